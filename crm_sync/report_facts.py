"""What reports count, worked out once as messages come in: one row per conversation and day, and marks beside it.

Counting a million messages anew for each look would take seconds, so each message and handoff is added to its day once:
the place reached is kept in the same transaction as the sums. Days are those of the business's zone; where that
changes, everything is counted anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta, tzinfo
from typing import Any, Final

from sqlalchemy import Connection, delete, select, text

from crm_sync.columns import dump_json, id_in, is_postgres, load_json
from crm_sync.console_tables import report_days, report_marks
from crm_sync.deployment import get_cursor, set_cursor
from crm_sync.rows import upsert_many
from crm_sync.tables import UNCLEAR_TEMPLATES, conversations, handoffs, messages, turns

CURSOR: Final = "report_facts"
CHUNK: Final = 250  # messages in one transaction: some 30 ms
_LOOKAHEAD: Final = 100  # the parts of one answer are not torn apart
SETTLES: Final = timedelta(seconds=20)  # rows younger than this may still get an older neighbour (PostgreSQL)
_LOCK: Final = 7_310_642_115  # advisory: one process counts at a time
_SAID: Final = ("text", "button", "command", "media", "location", "contact", "unsupported")


@dataclass(slots=True)
class Place:
    """How far was counted, and for which zone."""

    zone: str
    message: int = 0
    handoff: int = 0


@dataclass(slots=True)
class _Day:
    """A row of report_days in the making."""

    messages_in: int = 0
    bot_out: int = 0
    staff_out: int = 0
    first_in_at: datetime | None = None
    bot_s: float | None = None
    unclear: int = 0
    handoffs: int = 0


@dataclass(slots=True)
class _Sums:
    zone: tzinfo
    days: dict[tuple[str, int], _Day] = field(default_factory=dict)
    marks: Counter[tuple[str, int, str, str]] = field(default_factory=Counter)

    def day(self, at: datetime, conversation_id: int) -> tuple[str, _Day]:
        day = at.astimezone(self.zone).date().isoformat()
        return day, self.days.setdefault((day, conversation_id), _Day())


def count_on(conn: Connection, *, zone_name: str, zone: tzinfo, now: datetime) -> int:
    """The next messages and handoffs are part of the sums; how many. 0: everything settled is counted.

    Safe to call from several processes at once: one of them counts.
    """
    if is_postgres(conn) and not conn.execute(text(f"SELECT pg_try_advisory_xact_lock({_LOCK})")).scalar():
        return 0
    place = _place(conn, zone_name)
    if place is None:
        conn.execute(delete(report_marks))
        conn.execute(delete(report_days))
        place = Place(zone_name)
    said = _messages(conn, place.message, now)
    asked = _handoffs(conn, place.handoff, now)
    if not said and not asked:
        return 0
    sums = _Sums(zone)
    touched = sorted({row.conversation_id for row in (*said, *asked)})
    _load(conn, sums, said, asked)
    _add_messages(sums, said, _intents(conn, said))
    for row in asked:
        sums.day(row.requested_at, row.conversation_id)[1].handoffs += 1
    _store(conn, sums, touched)
    place.message = said[-1].id if said else place.message
    place.handoff = asked[-1].id if asked else place.handoff
    set_cursor(conn, CURSOR, dump_json(asdict(place)), now)
    return len(said) + len(asked)


def _place(conn: Connection, zone_name: str) -> Place | None:
    kept = get_cursor(conn, CURSOR)
    place = Place(**load_json(kept)) if kept else None
    return place if place is not None and place.zone == zone_name else None


def _messages(conn: Connection, after: int, now: datetime) -> Sequence[Any]:
    table = messages
    rows = conn.execute(
        select(
            table.c.id, table.c.conversation_id, table.c.direction, table.c.author, table.c.kind, table.c.template,
            table.c.inbox_id, table.c.by, table.c.at, table.c.replaces,
        )
        .where(table.c.id > after)
        .order_by(table.c.id)
        .limit(CHUNK + _LOOKAHEAD)
    ).all()  # fmt: skip
    rows = rows[: _settled([row.at for row in rows], now)]
    end = min(CHUNK, len(rows))
    answering = {row.inbox_id for row in rows[:end] if row.direction == "out" and row.inbox_id is not None}
    for at in range(len(rows) - 1, end - 1, -1):
        if rows[at].direction == "out" and rows[at].inbox_id in answering:
            return rows[: at + 1]
    return rows[:end]


def _handoffs(conn: Connection, after: int, now: datetime) -> Sequence[Any]:
    rows = conn.execute(
        select(handoffs.c.id, handoffs.c.conversation_id, handoffs.c.requested_at)
        .where(handoffs.c.id > after)
        .order_by(handoffs.c.id)
        .limit(CHUNK)
    ).all()
    return rows[: _settled([row.requested_at for row in rows], now)]


def _settled(moments: Sequence[datetime], now: datetime) -> int:
    """How many of them, from the first, are old enough (or so far ahead that a clock must have been wrong)."""
    fresh, wrong = now - SETTLES, now + timedelta(hours=1)
    return next((place for place, at in enumerate(moments) if fresh < at < wrong), len(moments))


def _intents(conn: Connection, said: Sequence[Any]) -> Mapping[int, str]:
    """What the messages that were answered here had been understood as."""
    ids = sorted({row.inbox_id for row in said if row.direction == "out" and row.inbox_id is not None})
    if not ids:
        return {}
    known = select(turns.c.inbox_id, turns.c.intent).where(id_in(turns.c.inbox_id, "ids"), turns.c.intent != "")
    return {row.inbox_id: row.intent for row in conn.execute(known, {"ids": ids})}


def _add_messages(sums: _Sums, said: Sequence[Any], intents: Mapping[int, str]) -> None:
    counted: set[int] = set()
    for row in said:
        if row.replaces is not None or row.author == "system":
            continue
        day, sum_ = sums.day(row.at, row.conversation_id)
        if row.direction == "in":
            if row.kind in _SAID:
                sum_.messages_in += 1
                sum_.first_in_at = sum_.first_in_at or row.at
            continue
        if row.author == "operator":
            sum_.staff_out += 1
            if row.by:
                sums.marks[day, row.conversation_id, "operator", row.by] += 1
            continue
        sum_.bot_out += 1
        if row.inbox_id is None:
            continue
        if sum_.bot_s is None and sum_.first_in_at is not None:
            sum_.bot_s = _rounded(max(0.0, (row.at - sum_.first_in_at).total_seconds()))
        if row.inbox_id in counted:
            continue
        counted.add(row.inbox_id)
        sum_.unclear += row.template in UNCLEAR_TEMPLATES
        if row.inbox_id in intents:
            sums.marks[day, row.conversation_id, "intent", intents[row.inbox_id]] += 1


def _rounded(seconds: float) -> float:
    """To tenths below ten seconds, to seconds above: few different values, so that medians are found by counting."""
    return round(seconds, 1) if seconds < 10 else float(round(seconds))


def _load(conn: Connection, sums: _Sums, said: Sequence[Any], asked: Sequence[Any]) -> None:
    """The rows these belong to as they are so far; missing ones begin at nothing."""
    for row in said:
        sums.day(row.at, row.conversation_id)
    for row in asked:
        sums.day(row.requested_at, row.conversation_id)
    ids = sorted({conversation_id for _, conversation_id in sums.days})
    first = min(day for day, _ in sums.days)
    known = select(report_days).where(id_in(report_days.c.conversation_id, "ids"), report_days.c.day >= first)
    for row in conn.execute(known, {"ids": ids}):
        if (key := (row.day, row.conversation_id)) in sums.days:
            sums.days[key] = _Day(
                row.messages_in, row.bot_out, row.staff_out, row.first_in_at, row.bot_s, row.unclear, row.handoffs
            )


def _store(conn: Connection, sums: _Sums, touched: Sequence[int]) -> None:
    where = select(conversations.c.id, conversations.c.channel, conversations.c.account).where(
        id_in(conversations.c.id, "ids")
    )
    places = {row.id: (row.channel, row.account) for row in conn.execute(where, {"ids": list(touched)})}
    days = [
        {
            "day": day,
            "conversation_id": conversation_id,
            "channel": places[conversation_id][0],
            "account": places[conversation_id][1],
            "messages_in": sum_.messages_in,
            "bot_out": sum_.bot_out,
            "staff_out": sum_.staff_out,
            "first_in_at": sum_.first_in_at,
            "bot_s": sum_.bot_s,
            "unclear": sum_.unclear,
            "handoffs": sum_.handoffs,
        }
        for (day, conversation_id), sum_ in sums.days.items()
    ]
    upsert_many(conn, report_days, days, key=["day", "conversation_id"])
    marks = [
        {"day": day, "conversation_id": conversation_id, "kind": kind, "name": name, "count": count}
        for (day, conversation_id, kind, name), count in sums.marks.items()
    ]
    upsert_many(
        conn, report_marks, marks, key=["day", "conversation_id", "kind", "name"], added=["count"]
    )  # fmt: skip
