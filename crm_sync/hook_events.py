"""What subscribers are told, read from the rows that say that it happened; whoever wrote those need not know.

Rows are followed by id. On PostgreSQL a lower id may become visible after a higher one, so ids that were passed over
are looked for again during a minute, which is longer than any transaction of ours lasts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Select, Table, func, or_, select, update

from crm_sync.columns import dump_json, is_postgres, load_json
from crm_sync.console_tables import handoff_events
from crm_sync.rows import insert_if_absent
from crm_sync.service_tables import audit
from crm_sync.tables import case_events, cases, consents, conversations, cursors, messages, timeline

CURSOR: Final = "hooks"
BATCH: Final = 200  # rows of one table in one transaction
PATIENCE: Final = timedelta(minutes=1)
MOST_GAPS: Final = 1000
EVENTS: Final[Mapping[str, str]] = {
    "conversation.opened": "Somebody wrote for the first time in this place",
    "conversation.handoff": "A person is wanted; it waits in the queue",
    "conversation.taken": "An operator has it",
    "conversation.transferred": "It waits for another team or operator",
    "conversation.returned": "The bot, or the queue, has it again",
    "conversation.closed": "Staff closed it",
    "message.received": "A customer wrote",
    "message.sent": "The bot or an operator wrote; its delivery is seen in the conversation",
    "case.opened": "A case was opened",
    "case.changed": "Something about a case is different",
    "case.closed": "A case was confirmed or withdrawn",
    "customer.changed": "Fields of a customer's record are different",
    "consent.changed": "A customer agreed to something, or no longer does",
    "survey.answered": "A customer said how satisfied they are",
}
_HANDS: Final = {
    "requested": "conversation.handoff",
    "taken": "conversation.taken",
    "assigned": "conversation.taken",
    "pulled": "conversation.taken",
    "transferred": "conversation.transferred",
    "overflowed": "conversation.transferred",
    "expired": "conversation.returned",
    "released": "conversation.returned",
    "returned": "conversation.returned",
    "solved": "conversation.returned",
    "left": "conversation.returned",
    "closed": "conversation.closed",
}


@dataclass(frozen=True, slots=True)
class HookEvent:
    """Something that happened. `id` is the same for every subscriber, and in every repeat."""

    id: str
    name: str
    at: datetime
    customer_id: int | None
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Source:
    """A table whose new rows tell of something; `read` makes an event of a row, or none."""

    table: Table
    statement: Select[Any]
    read: Callable[[Any], tuple[str, Mapping[str, Any]] | None]


def _opened(row: Any) -> tuple[str, Mapping[str, Any]]:
    return "conversation.opened", _facts(row, "channel", "account", conversation_id=row.id)


def _said(row: Any) -> tuple[str, Mapping[str, Any]] | None:
    facts = _facts(
        row, "conversation_id", "channel", "account", "author", "by", "kind", "text", "language", message_id=row.id
    )
    return ("message.received" if row.direction == "in" else "message.sent"), facts


def _hands(row: Any) -> tuple[str, Mapping[str, Any]] | None:
    name = _HANDS.get(row.kind)
    return (name, _facts(row, "conversation_id", "kind", "by", "to", "channel", "account")) if name else None


def _case(row: Any) -> tuple[str, Mapping[str, Any]] | None:
    changes = {name: value for name, value in (row.changes or {}).items() if name != "watching"}
    if row.kind == "watch" or (row.is_internal and not changes):
        return None  # notes of colleagues stay among them
    facts = _facts(row, "number", "author", "by", case_kind=row.case_kind, changes=changes)
    if not row.is_internal:
        facts["note"] = row.note
    if row.kind == "opened":
        return "case.opened", {**facts, "category": row.category, "severity": row.severity, "summary": row.summary}
    return ("case.closed" if changes.get("status") in ("confirmed", "withdrawn") else "case.changed"), facts


def _record(row: Any) -> tuple[str, Mapping[str, Any]] | None:
    if row.customer_id is None or not row.fields:
        return None
    return "customer.changed", {"action": row.action, "fields": row.fields, "by": row.author}


def _consent(row: Any) -> tuple[str, Mapping[str, Any]]:
    return "consent.changed", _facts(row, "purpose", "channel", "granted", "source")


def _answered(row: Any) -> tuple[str, Mapping[str, Any]] | None:
    kind, _, rest = row.kind.partition("_")
    if rest != "answered" or not row.summary.isdecimal():
        return None
    return "survey.answered", {"kind": kind, "score": int(row.summary), "reference": row.reference}


def _facts(row: Any, *names: str, **more: Any) -> dict[str, Any]:
    return {**more, **{name: getattr(row, name) for name in names}}


_TALK: Final = (conversations.c.customer_id, conversations.c.channel, conversations.c.account)
_ABOUT: Final = (cases.c.number, cases.c.customer_id, cases.c.category, cases.c.severity, cases.c.summary)
SOURCES: Final = (
    _Source(conversations, select(conversations, conversations.c.created_at.label("at")), _opened),
    _Source(
        messages,
        select(messages, *_TALK).join_from(messages, conversations, conversations.c.id == messages.c.conversation_id),
        _said,
    ),
    _Source(
        handoff_events,
        select(handoff_events, *_TALK).join_from(
            handoff_events, conversations, conversations.c.id == handoff_events.c.conversation_id
        ),
        _hands,
    ),
    _Source(
        case_events,
        select(case_events, *_ABOUT, cases.c.kind.label("case_kind")).join_from(
            case_events, cases, cases.c.id == case_events.c.case_id
        ),
        _case,
    ),
    _Source(audit, select(audit), _record),
    _Source(consents, select(consents), _consent),
    _Source(timeline, select(timeline), _answered),
)


# --- following ------------------------------------------------------------------------------------------------------


def heads(conn: Connection) -> dict[str, int]:
    """The highest id of each table that is followed."""
    return {
        source.table.name: int(conn.execute(select(func.coalesce(func.max(source.table.c.id), 0))).scalar_one())
        for source in SOURCES
    }


def begin_here(conn: Connection, now: datetime) -> None:
    """What happens from now on is told; what happened while nobody listened is not."""
    places = {name: {"after": head, "gaps": {}} for name, head in heads(conn).items()}
    value = dump_json(places)
    insert_if_absent(conn, cursors, {"name": CURSOR, "value": value, "updated_at": now}, key=("name",))
    conn.execute(update(cursors).where(cursors.c.name == CURSOR).values(value=value, updated_at=now))


def has_news(conn: Connection) -> bool:
    """Whether `follow` would find anything to do."""
    value = conn.execute(select(cursors.c.value).where(cursors.c.name == CURSOR)).scalar()
    if value is None:
        return False
    places = load_json(value)
    return any(places.get(name, {}).get("after", 0) != head for name, head in heads(conn).items()) or any(
        place["gaps"] for place in places.values()
    )


def follow(conn: Connection, now: datetime) -> list[HookEvent]:
    """What has happened since the last time, each thing once; the place is kept in the caller's transaction.

    None of it is lost or told twice, because only one at a time may follow.
    """
    row = conn.execute(select(cursors.c.value).where(cursors.c.name == CURSOR).with_for_update()).first()
    if row is None:
        return []
    places, found = load_json(row.value), list[HookEvent]()
    highest = heads(conn)
    for source in SOURCES:
        name = source.table.name
        place = places.setdefault(name, {"after": highest[name], "gaps": {}})
        # On SQLite the id of a row that was the last one and is gone may be given out again.
        place["after"] = min(place["after"], highest[name])
        found += _new_of(conn, source, place, now)
    conn.execute(update(cursors).where(cursors.c.name == CURSOR).values(value=dump_json(places), updated_at=now))
    return found


def _new_of(conn: Connection, source: _Source, place: dict[str, Any], now: datetime) -> list[HookEvent]:
    after, ids = place["after"], source.table.c.id
    gaps = {int(gap): since for gap, since in place["gaps"].items()}
    wanted = ids > after if not gaps else or_(ids > after, ids.in_(list(gaps)))
    rows = conn.execute(source.statement.where(wanted).order_by(ids).limit(BATCH)).all()
    if rows and rows[-1].id > after:
        place["after"] = rows[-1].id
        if is_postgres(conn):
            passed = range(max(after + 1, rows[-1].id - MOST_GAPS), rows[-1].id)
            gaps |= dict.fromkeys(set(passed) - {row.id for row in rows}, now.timestamp())
    seen = {row.id for row in rows}
    oldest = (now - PATIENCE).timestamp()
    place["gaps"] = {str(gap): since for gap, since in gaps.items() if gap not in seen and since >= oldest}
    events = []
    for row in rows:
        told = source.read(row)
        if told is not None:
            events.append(_event(source.table.name, row, *told))
    return events


def _event(table: str, row: Any, name: str, facts: Mapping[str, Any]) -> HookEvent:
    return HookEvent(f"evt_{table}_{row.id}", name, row.at, row.customer_id, {"customer_id": row.customer_id, **facts})
