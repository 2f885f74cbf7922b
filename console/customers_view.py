"""What the record of a customer shows, as plain values: sections of lines, each cell with what it leads to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from console.cases_view import named
from console.frame import Look
from console.saying import moment, money
from console.words import say
from desk.customer_records import CustomerLine

MOST_LINES: Final = 20  # of a section, the newest
PROFILE: Final = ("name", "phone", "email", "language", "timezone")


@dataclass(frozen=True, slots=True)
class Cell:
    text: str
    url: str = ""
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the record. `note`: a sentence about all of it."""

    key: str
    title: str
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""


def when(value: Any, look: Look) -> str:
    """A time of the record as staff read it; what is no time as it is."""
    if not isinstance(value, str) or "T" not in value:
        return str(value or "")
    return moment(datetime.fromisoformat(value), look.now, look.zone, look.language)


def sections_of(record: Mapping[str, Any], look: Look) -> list[Section]:
    """The sections that have anything to show, the most asked for first."""
    makers: tuple[tuple[str, Callable[[Mapping[str, Any], Look], Iterable[Cell]]], ...] = (
        ("cases", _case),
        ("conversations", _conversation),
        ("identities", _identity),
        ("orders", _order),
        ("appointments", _appointment),
        ("visits", _visit),
        ("assets", _asset),
        ("dues", _due),
        ("points", _points),
        ("preferences", _preference),
        ("surveys", _survey),
        ("subscriptions", _subscription),
        ("outages", _outage),
    )
    found = []
    for key, make in makers:
        rows = list(record.get(key, ()))[::-1][:MOST_LINES]
        if rows:
            note = ""
            if key == "points":
                note = say(look.language, "record.balance", count=sum(row["change"] for row in record["points"]))
            title = say(look.language, f"record.{key}")
            found.append(Section(key, title, tuple(tuple(make(row, look)) for row in rows), note))
    return found


def why_class(value: Mapping[str, Any] | None, look: Look) -> str:
    """What the value class follows from, in a sentence."""
    if value is None or not value["value_class"]:
        return say(look.language, "record.class.none")
    return say(
        look.language,
        "record.class.why",
        value=value["value_class"],
        visits=value["visits"],
        amount=money(value["amount_year_minor"], value["currency"]),
        **{name: value[name] if value[name] is not None else "–" for name in ("recency", "frequency", "monetary")},
    )


def classes_of(line: CustomerLine, look: Look) -> str:
    stage = named("lifecycle", line.lifecycle, look) if line.lifecycle else ""
    return " · ".join(filter(None, (line.value_class, line.credit_class, stage)))


def _amount(row: Mapping[str, Any]) -> str:
    return "" if row["amount_minor"] is None else money(row["amount_minor"], row["currency"])


def _site(row: Mapping[str, Any], look: Look) -> str:
    titles = row["site_names"] or {}
    return titles.get(look.language) or row["site"] or ""


def _case(row: Mapping[str, Any], look: Look) -> Iterable[Cell]:
    yield Cell(row["number"], f"/console/cases/{row['number']}")
    yield Cell(named("status", row["status"], look), tone="accent" if row["is_open"] else "")
    yield Cell(row["summary"])
    yield Cell(when(row["opened_at"], look))


def _conversation(row: Mapping[str, Any], look: Look) -> Iterable[Cell]:
    yield Cell(f"{named('channel', row['channel'], look)} #{row['id']}", f"/console/inbox/{row['id']}?list=all")
    owner = row["owner"] if row["owner"] in ("bot", "queue") else "other"
    yield Cell(say(look.language, f"talk.holder.{owner}", name=row["operator"] or "–"))
    yield Cell(when(row["last_message_at"], look))


def _identity(row: Mapping[str, Any], look: Look) -> Iterable[Cell]:
    yield Cell(named("channel", row["channel"], look))
    yield Cell(row["display_name"] or row["external_id"])
    if row["unreachable_at"]:
        yield Cell(say(look.language, "record.unreachable", reason=row["unreachable_reason"] or "–"), tone="bad")
    else:
        yield Cell(say(look.language, "record.reachable"))
    yield Cell(when(row["created_at"], look))


def _order(row: Mapping[str, Any], look: Look) -> Iterable[Cell]:
    yield Cell(row["number"])
    yield Cell(row["status"])
    yield Cell(str(row["items"] or ""))
    yield Cell(_amount(row))
    yield Cell(when(row["placed_at"], look))


def _appointment(row: Mapping[str, Any], look: Look) -> Iterable[Cell]:
    yield Cell(when(row["starts_at"], look))
    yield Cell(row["service"])
    yield Cell(_site(row, look))
    yield Cell(row["state"])


def _visit(row: Mapping[str, Any], look: Look) -> Iterable[Cell]:
    yield Cell(when(row["at"], look))
    yield Cell(_site(row, look))
    yield Cell(str(row["items"] or row["kind"]))
    yield Cell(_amount(row))


def _asset(row: Mapping[str, Any], look: Look) -> Iterable[Cell]:
    yield Cell(row["key"])
    yield Cell(row["name"] or row["kind"])
    yield Cell(when(row["since"], look))


def _due(row: Mapping[str, Any], look: Look) -> Iterable[Cell]:
    yield Cell(row["due_on"], tone="" if row["paid_on"] else "warn")
    yield Cell(row["kind"])
    yield Cell(_amount(row))
    yield Cell(row["paid_on"])


def _points(row: Mapping[str, Any], look: Look) -> Iterable[Cell]:
    yield Cell(f"{row['change']:+d}")
    yield Cell(row["reason"])
    yield Cell(when(row["at"], look))


def _preference(row: Mapping[str, Any], look: Look) -> Iterable[Cell]:
    yield Cell(row["topic"])
    yield Cell(row["value"])
    yield Cell(when(row["ended_at"] or row["at"], look))


def _survey(row: Mapping[str, Any], look: Look) -> Iterable[Cell]:
    yield Cell(row["kind"])
    yield Cell("–" if row["score"] is None else str(row["score"]))
    yield Cell(row["case_number"] or "", f"/console/cases/{row['case_number']}" if row["case_number"] else "")
    yield Cell(when(row["answered_at"], look))


def _subscription(row: Mapping[str, Any], look: Look) -> Iterable[Cell]:
    yield Cell(row["topic"])
    yield Cell(str(row["match"] or ""))
    yield Cell(when(row["ended_at"], look))


def _outage(row: Mapping[str, Any], look: Look) -> Iterable[Cell]:
    yield Cell(row["address"])
    yield Cell(row["note"])
    yield Cell(when(row["at"], look))
