"""Consents collected elsewhere: each row says who agreed to what, when, and where that is written down."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, or_, select

from bot.errors import InputError
from crm_sync.consent_register import put
from crm_sync.eligibility import EVERYTHING
from crm_sync.import_cells import moment
from crm_sync.import_rows import CellError
from crm_sync.imports import LINE, How, Kind, Written
from crm_sync.tables import consents
from crm_sync.uploaded_lists import COLUMNS, Named, find_people, read_named

_COLUMNS: Final = (*COLUMNS, "purpose", "granted", "at", "until", "confirmed_at", "source")
_PURPOSE: Final = re.compile(r"[a-z][a-z0-9_:]{0,39}")
_CHANNEL: Final = re.compile(r"[a-z][a-z0-9_]{0,30}")
_NO: Final = frozenset({"0", "no", "false", "否", "n"})
_YES: Final = frozenset({"", "1", "yes", "true", "是", "y"})


@dataclass(frozen=True, slots=True)
class ConsentRow:
    """What one row says."""

    who: Named
    purpose: str
    channel: str
    granted: bool
    at: datetime
    until: datetime | None
    source: str
    proof: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.purpose} on {self.channel} of {self.who}"


def consents_kind(file_name: str, source: str = "", confirmed: Collection[str] = ()) -> Kind:
    """Imports consents from a file. `source`: where they come from, unless a row says so itself; a consent that comes
    from nowhere is refused. `confirmed`: purposes that need a confirmation (double opt-in) to be shown.
    """
    return Kind(
        "consents",
        _COLUMNS,
        ("channel", "purpose", "at"),
        partial(_read, file_name=file_name, source=source.strip(), confirmed=frozenset(confirmed)),
        str,
        _write,
        is_numbered=True,
    )


def _read(row: Mapping[str, str], how: How, *, file_name: str, source: str, confirmed: frozenset[str]) -> ConsentRow:
    if not _PURPOSE.fullmatch(row["purpose"]):
        raise CellError("purpose", "purpose is a name in small letters, e.g. news")
    if not _CHANNEL.fullmatch(row["channel"]):
        raise CellError("channel", "channel is the name of one, e.g. telegram")
    if row["granted"].lower() not in _YES | _NO:
        raise CellError("granted", "granted is yes or no")
    granted = row["granted"].lower() in _YES
    from_where = row["source"] or source
    if not from_where:
        raise CellError("source", "says nowhere where the consent comes from; fill source, or name it with --source")
    at, until = moment(row, "at", how.zone), moment(row, "until", how.zone)
    if at is None:
        raise CellError("at", "at is empty")
    if until is not None and until <= at:
        raise CellError("until", "until is not after at")
    confirmed_at = moment(row, "confirmed_at", how.zone)
    if granted and row["purpose"] in confirmed and confirmed_at is None:
        raise CellError("confirmed_at", f"{row['purpose']} counts once it was confirmed: fill confirmed_at")
    if confirmed_at is not None and confirmed_at < at:
        raise CellError("confirmed_at", "confirmed_at is before at")
    proof: dict[str, Any] = {"file": file_name, "line": int(row[LINE])}
    if confirmed_at is not None:
        proof["confirmed_at"] = confirmed_at.isoformat()
    began = confirmed_at or at
    return ConsentRow(read_named(row, how), row["purpose"], row["channel"], granted, began, until, from_where, proof)


def _write(conn: Connection, rows: Sequence[ConsentRow], now: datetime) -> Written:
    written = Written()
    people = find_people(conn, [row.who for row in rows])
    said = _said(conn, {person for person in people if not isinstance(person, InputError)}, now)
    for place, (row, person) in enumerate(zip(rows, people, strict=True)):
        if isinstance(person, InputError):
            written.errors[place] = person
            continue
        if row.at > now:
            written.errors[place] = CellError("at", "at is in the future")
            continue
        mine = [line for line in said.get(person, []) if line.channel in (row.channel, EVERYTHING)]
        about = [line for line in mine if line.purpose in (row.purpose, EVERYTHING)]
        if any(line.granted is not row.granted and line.at >= row.at for line in about):
            later = "taken back" if row.granted else "agreed to again"
            written.errors[place] = InputError(f"was {later} later than this")
        elif not any(line.granted is row.granted and line.purpose == row.purpose for line in about):
            put(
                conn,
                person,
                purpose=row.purpose,
                channel=row.channel,
                granted=row.granted,
                source=row.source,
                at=row.at,
                until=row.until,
                proof=row.proof,
            )
            said.update(_said(conn, {person}, now))
            written.inserted += 1
    return written


def _said(conn: Connection, people: Collection[int], now: datetime) -> dict[int, list[Any]]:
    """What holds now, by person."""
    holds = or_(consents.c.until.is_(None), consents.c.until > now)
    said: dict[int, list[Any]] = {}
    for line in conn.execute(select(consents).where(consents.c.customer_id.in_(sorted(people)), holds)):
        said.setdefault(line.customer_id, []).append(line)
    return said
