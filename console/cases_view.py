"""What the screens of cases show, as plain values: cards, filters, days of a week, and one case with all of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from bot.service.sites import name_of
from console.frame import Look
from console.saying import money, person_name, span
from console.words import WORDS, say
from desk.cases import BoardFilter, CaseLine, following
from desk.pay_plans import PlanChoice
from desk.site_offers import SiteChoice

SOON: Final = timedelta(hours=1)
SEVERITY_TONES: Final = {4: "bad", 3: "warn"}
MAP: Final = "https://www.openstreetmap.org/?mlat={:.6f}&mlon={:.6f}#map=16/{:.6f}/{:.6f}"
FIELDS: Final = ("team", "owner", "site", "severity", "kind", "late", "status")
# Status a card can be moved to -> the act of `console.case_acts` that does it.
MOVES: Final[Mapping[str, str]] = {
    "assigned": "take",
    "in_progress": "progress",
    "waiting_customer": "ask",
    "solved": "solve",
    "reopened": "reopen",
    "withdrawn": "withdraw",
}


def named(prefix: str, name: str, look: Look) -> str:
    """The word for this value, or the value where there is none."""
    key = f"{prefix}.{name}"
    return say(look.language, key) if key in WORDS else name.replace("_", " ")


# --- filters ----------------------------------------------------------------------------------------------------------


def filter_of(given: Mapping[str, str], look: Look) -> tuple[BoardFilter, dict[str, str]]:
    """Which cases an address asks for, and the fields it does so with; what cannot be meant is left out."""
    fields = {name: given[name].strip()[:100] for name in FIELDS if given.get(name, "").strip()}
    if fields.get("severity") not in (None, "1", "2", "3", "4"):
        del fields["severity"]
    if f"status.{fields.get('status', 'received')}" not in WORDS:
        del fields["status"]
    which = BoardFilter(
        status=fields.get("status", ""),
        team=fields.get("team", ""),
        owner=fields.get("owner", ""),
        site=fields.get("site", ""),
        severity=int(fields["severity"]) if "severity" in fields else None,
        kind=fields.get("kind", ""),
        late_at=look.now if "late" in fields else None,
    )
    return which, fields


# --- cards ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Card:
    """A case as the board and the list show it. `moves`: statuses staff may give it, with their words."""

    number: str
    summary: str
    person: str
    kind: str
    status: str
    severity: str
    severity_tone: str
    owner: str
    team: str
    clock: str
    tone: str
    escalated: int
    opened_at: datetime
    version: int
    moves: tuple[tuple[str, str], ...]


def card_of(line: CaseLine, look: Look, teams: Mapping[str, str]) -> Card:
    words, tone = clock_words(line.due_at, look, is_late=line.is_late, is_warned=line.is_warned)
    return Card(
        number=line.number,
        summary=line.summary,
        person=person_name(look.language, line.customer_name, line.customer_id),
        kind=named("kind", line.kind, look),
        status=named("status", line.status, look),
        severity=named("severity", str(line.severity), look),
        severity_tone=SEVERITY_TONES.get(line.severity, ""),
        owner=line.owner,
        team=teams.get(line.team, line.team),
        clock=words,
        tone=tone,
        escalated=line.escalated,
        opened_at=line.opened_at,
        version=line.version,
        moves=moves_of(line.status, look),
    )


def moves_of(status: str, look: Look) -> tuple[tuple[str, str], ...]:
    may = following(status)
    return tuple((name, say(look.language, f"status.{name}")) for name in MOVES if name in may and name != status)


def clock_words(
    due_at: datetime | None, look: Look, *, is_late: bool = False, is_warned: bool = False
) -> tuple[str, str]:
    """What is left of a promise, in words, and whether it is at risk (warn) or broken (bad)."""
    if due_at is None:
        return "", ""
    if due_at <= look.now or is_late:
        return say(look.language, "person.late", time=span(look.now - due_at, look.language)), "bad"
    left = say(look.language, "person.left", time=span(due_at - look.now, look.language))
    if is_warned or due_at - look.now < SOON:
        return say(look.language, "cases.at_risk", left=left), "warn"
    return left, ""


# --- one case ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Happening:
    """A line of a case's history."""

    at: datetime
    who: str
    what: str
    changes: tuple[str, ...]
    words: str
    is_internal: bool
    is_told: bool  # the customer was


@dataclass(frozen=True, slots=True)
class Promise:
    kind: str
    state: str
    tone: str
    due_at: datetime | None
    ended_at: datetime | None
    left: str
    escalated: int


@dataclass(frozen=True, slots=True)
class SiteTask:
    site: str
    state: str
    worker: str
    report: str
    address: str
    phone: str
    map: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Money:
    id: int
    kind: str
    amount: str
    state: str
    reason: str
    proposed_by: str
    decided_by: str
    is_open: bool


@dataclass(frozen=True, slots=True)
class CasePage:
    """All of one case. `facts`: label and value."""

    number: str
    summary: str
    status: str
    status_words: str
    severity: int
    severity_words: str
    severity_tone: str
    owner: str
    team: str
    customer_id: int
    person: str
    version: int
    is_open: bool
    watches: bool
    opened_at: datetime
    moves: tuple[tuple[str, str], ...]
    facts: tuple[tuple[str, str], ...]
    promises: tuple[Promise, ...]
    history: tuple[Happening, ...]
    sites: tuple[SiteTask, ...]
    money: tuple[Money, ...]
    talks: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class Names:
    """What codes of the business's rules are called in the reader's language."""

    teams: Mapping[str, str]
    categories: Mapping[str, str]
    causes: Mapping[str, str]
    remedies: Mapping[str, str]


def page_of_case(found: Mapping[str, Any], me: str, look: Look, names: Names) -> CasePage:
    """The page of what `CaseDesk.show` gives."""
    score = found["score"]
    facts = (
        ("cases.kind", named("kind", found["kind"], look)),
        ("case.category", names.categories.get(found["category"], found["category"])),
        ("case.subject", found["subject"]),
        ("case.quality", names.categories.get(found["quality_type"], found["quality_type"])),
        ("case.wish", found["wish"]),
        ("cases.site", found["site"]),
        ("case.value", money(found["value_minor"], found["currency"]) if found["value_minor"] is not None else ""),
        ("case.cause", names.causes.get(found["cause"], found["cause"])),
        ("case.remedy", names.remedies.get(found["remedy"], found["remedy"])),
        ("case.reopened", str(found["reopened"] or "")),
        ("case.score", f"{score}/5" if score is not None else _not_rated(found, look)),
        ("case.watchers", ", ".join(found["watchers"])),
    )
    told = tuple((name.replace("_", " "), str(value)) for name, value in found["details"].items() if value)
    return CasePage(
        number=found["number"],
        summary=found["summary"],
        status=found["status"],
        status_words=named("status", found["status"], look),
        severity=found["severity"],
        severity_words=named("severity", str(found["severity"]), look),
        severity_tone=SEVERITY_TONES.get(found["severity"], ""),
        owner=found["owner"],
        team=names.teams.get(found["team"], found["team"]),
        customer_id=found["customer_id"],
        person=person_name(look.language, found["customer_name"], found["customer_id"]),
        version=found["version"],
        is_open=found["is_open"],
        watches=me in found["watchers"],
        opened_at=found["opened_at"],
        moves=moves_of(found["status"], look),
        facts=(*((say(look.language, label), value) for label, value in facts if value), *told),
        promises=tuple(promise_of(kept, look) for kept in sorted(_newest_first(found["clocks"]), key=_has_ended)),
        history=tuple(happening_of(event, look, names) for event in _newest_first(found["events"])),
        sites=tuple(_site_task(row, look) for row in _newest_first(found["site_tasks"])),
        money=tuple(_money(row, look) for row in found["compensations"]),
        talks=tuple((row["id"], named("channel", row["channel"], look)) for row in found["conversations"]),
    )


def _newest_first(rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return list(rows)[::-1]


def _has_ended(kept: Mapping[str, Any]) -> bool:
    return kept["left_s"] is None


def _not_rated(found: Mapping[str, Any], look: Look) -> str:
    return say(look.language, "case.score.none") if found["solved_at"] is not None else ""


def promise_of(kept: Mapping[str, Any], look: Look) -> Promise:
    """A clock of a case with the working time that is left of it."""
    left, is_broken = kept["left_s"], kept["breached_at"] is not None
    words = ""
    if left is not None:
        length = span(timedelta(seconds=abs(left)), look.language)
        words = length if left >= 0 else say(look.language, "case.over", time=length)
    is_running = kept["state"] == "running"
    state = say(look.language, f"promise.{'broken' if is_broken else kept['state']}")
    at_risk = is_running and kept["warned_at"] is not None
    return Promise(
        kind=named("promise", kept["kind"], look),
        state=state,
        tone="bad" if is_broken or (left is not None and left < 0) else "warn" if at_risk else "",
        due_at=kept["due_at"] if is_running else None,
        ended_at=kept["ended_at"],
        left=words,
        escalated=kept["escalated"],
    )


def happening_of(event: Mapping[str, Any], look: Look, names: Names) -> Happening:
    author = (
        say(look.language, f"author.{event['author']}") if f"author.{event['author']}" in WORDS else event["author"]
    )
    return Happening(
        at=event["at"],
        who=event["by"] or author,
        what=named("case.event", event["kind"], look),
        changes=tuple(_changed(event["changes"], look, names)),
        words=event["note"],
        is_internal=event["is_internal"],
        is_told=not event["is_internal"]
        and event["author"] in ("operator", "site")
        and (event["kind"] == "status" or bool(event["note"])),
    )


def _changed(changes: Mapping[str, Any], look: Look, names: Names) -> Iterable[str]:
    """What became different, each in a few words."""
    if "status" in changes:
        was = changes.get("was")
        before = f"{named('status', str(was), look)} → " if was and was != changes["status"] else ""
        yield before + named("status", str(changes["status"]), look)
    if "amount_minor" in changes:
        kind = str(changes.get("kind"))
        currency = "" if kind == "points" else str(changes.get("currency", ""))
        yield f"{named('money', kind, look)} {money(int(changes['amount_minor']), currency)}"
        yield named("money", str(changes.get("state")), look)
        return
    for name, value in changes.items():
        match name:
            case "severity" | "owner" | "team" | "cause" | "remedy" | "score":
                label = {"severity": "cases.severity", "owner": "cases.owner", "team": "cases.team"}
                shown = {"team": names.teams, "cause": names.causes, "remedy": names.remedies}.get(name, {})
                words = named("severity", str(value), look) if name == "severity" else shown.get(value, str(value))
                yield f"{say(look.language, label.get(name, f'case.{name}'))}: {words or '–'}"
            case "clock":
                yield f"{named('promise', str(value), look)}: {named('promise', str(changes.get('step', '')), look)}"
            case "status" | "was" | "site_id" | "step" | "watching":
                continue
            case _:
                yield f"{name.replace('_', ' ')}: {value}"


def _site_task(row: Mapping[str, Any], look: Look) -> SiteTask:
    titles: Mapping[str, str] = row["names"]
    place = row["latitude"], row["longitude"]
    return SiteTask(
        site=titles.get(look.language) or next(iter(titles.values()), "") or row["site"],
        state=named("task", row["state"], look),
        worker=row["worker"],
        report=row["report"],
        address=row["address"],
        phone=row["phone"],
        map=MAP.format(*place, *place) if None not in place else "",
        at=row["ended_at"] or row["accepted_at"] or row["created_at"],
    )


def site_words(choice: SiteChoice, look: Look) -> str:
    """A site by its name, with the way there and what it has to do."""
    name = name_of(choice.names, look.language) or choice.key
    way = "" if choice.distance_m is None else f" · {choice.distance_m / 1000:.1f} km"
    return f"{name}{way} · {say(look.language, 'site.tasks', count=choice.open_tasks)}"


def plan_words(choice: PlanChoice) -> str:
    """A plan by what it means: each amount with its day."""
    return " · ".join(f"{money(part.amount_minor, choice.currency)} {part.due_on}" for part in choice.parts)


def _money(row: Mapping[str, Any], look: Look) -> Money:
    return Money(
        id=row["id"],
        kind=named("money", row["kind"], look),
        amount=money(row["amount_minor"], "" if row["kind"] == "points" else row["currency"]),
        state=named("money", row["state"], look),
        reason=row["reason"],
        proposed_by=row["proposed_by"],
        decided_by=row["decided_by"],
        is_open=row["state"] == "proposed",
    )
