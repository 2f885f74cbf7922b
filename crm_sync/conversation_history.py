"""What was said in a person's conversations, merged in the order of acceptance, page by page; with what belongs to it.

Each conversation is walked by its own index from the place on, so that a page costs the same however long it all is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Select, func, select, union_all

from crm_sync.columns import id_in, is_state
from crm_sync.console_tables import conversation_notes, handoff_events
from crm_sync.conversation_lists import Sight, is_visible
from crm_sync.message_lines import Delivery, File, HistoryMessage, Understood, messages_of
from crm_sync.statements import Statement
from crm_sync.tables import conversations, messages, outbox

__all__ = ["Delivery", "File", "HistoryEvent", "HistoryMessage", "HistoryNote", "Understood"]

MOST_TALKS: Final = 50  # conversations of one person merged into one history; further, older ones have their own
MOST_BESIDE: Final = 200  # notes, and events, in one page
MOST_UNSETTLED: Final = 50  # of each kind, the newest
_OTHERS: Final = (
    conversations.c.id,
    conversations.c.channel,
    conversations.c.account,
    conversations.c.chat_id,
    conversations.c.status,
    conversations.c.owner,
    conversations.c.last_message_at,
    conversations.c.customer_read_seq,
)
_EDITED: Final = Statement(
    select(messages.c.replaces).where(id_in(messages.c.id, "ids"), messages.c.replaces.is_not(None))
)


@dataclass(frozen=True, slots=True)
class HistoryNote:
    """What staff wrote for each other; customers never see it."""

    id: int
    conversation_id: int
    by: str
    text: str
    mentions: tuple[str, ...]
    at: datetime
    edited_at: datetime | None


@dataclass(frozen=True, slots=True)
class HistoryEvent:
    """How the conversation came to whom. kinds: requested, assigned, taken, transferred, returned …"""

    id: int
    conversation_id: int
    kind: str
    by: str
    to: str
    note: str
    at: datetime


Entry = HistoryMessage | HistoryNote | HistoryEvent
Reached = Mapping[int, int]  # conversation -> its newest message known


def talks_of(conn: Connection, sight: Sight, customer_id: int) -> list[Any]:
    """The person's conversations that this member of staff sees, those spoken in last first."""
    found = select(*_OTHERS).where(conversations.c.customer_id == customer_id, *is_visible(sight))
    latest = func.coalesce(conversations.c.last_message_at, conversations.c.created_at).desc()
    return list(conn.execute(found.order_by(latest, conversations.c.id.desc()).limit(MOST_TALKS)))


def ids_before(conn: Connection, talks: Sequence[int], before: int | None, limit: int) -> list[int]:
    """The newest message ids below `before`, newest first; edits are part of what they changed."""
    return [row.id for row in conn.execute(_walk(talks, before, limit))] if talks else []


def _walk(talks: Sequence[int], before: int | None, limit: int) -> Select[Any]:
    parts = []
    for talk in talks:
        walk = select(messages.c.id).where(messages.c.conversation_id == talk, messages.c.replaces.is_(None))
        if before is not None:
            walk = walk.where(messages.c.id < before)
        parts.append(select(walk.order_by(messages.c.id.desc()).limit(limit).subquery()))
    found = union_all(*parts).subquery()
    return select(found.c.id).order_by(found.c.id.desc()).limit(limit)


def ids_after(conn: Connection, reached: Reached, limit: int) -> list[int]:
    """Message ids above what is known of each conversation, oldest first, edits among them."""
    if not reached:
        return []
    parts = [
        select(
            select(messages.c.id)
            .where(messages.c.conversation_id == talk, messages.c.id > known)
            .order_by(messages.c.id)
            .limit(limit)
            .subquery()
        )
        for talk, known in sorted(reached.items())
    ]
    found = union_all(*parts).subquery()
    return [row.id for row in conn.execute(select(found.c.id).order_by(found.c.id).limit(limit))]


def newest(conn: Connection, talks: Sequence[int]) -> dict[int, int]:
    """Conversation -> its newest message, edits too; 0 where there is none."""
    last = select(func.max(messages.c.id)).where(messages.c.conversation_id == conversations.c.id).scalar_subquery()
    rows = conn.execute(select(conversations.c.id, last.label("last")).where(conversations.c.id.in_(talks)))
    return {row.id: row.last or 0 for row in rows}


def changed_by(conn: Connection, ids: Sequence[int]) -> list[int]:
    """Messages that these ones, being edits, have changed."""
    return [row.replaces for row in _EDITED.rows(conn, {"ids": list(ids)})]


def unsettled(conn: Connection, conversation_id: int) -> set[int]:
    """Messages of ours that are on their way, or did not leave, or of which a change is or did not."""
    found: set[int] = set()
    for states in (("pending", "sending"), ("parked", "failed", "uncertain")):  # each has an index of its own
        rows = (
            select(func.coalesce(messages.c.replaces, messages.c.id))
            .join_from(outbox, messages, messages.c.id == outbox.c.message_id)
            .where(outbox.c.conversation_id == conversation_id, is_state(outbox.c.state, *states))
            .order_by(outbox.c.id.desc())
            .limit(MOST_UNSETTLED)
        )
        found.update(conn.execute(rows).scalars())
    return found


def beside(
    conn: Connection, talks: Sequence[int], since: datetime | None, until: datetime | None
) -> list[HistoryNote | HistoryEvent]:
    """Notes and changes of hands of a stretch of time, at most MOST_BESIDE of each, the newest of it."""
    found: list[HistoryNote | HistoryEvent] = []
    for table, make in ((conversation_notes, _note), (handoff_events, _event)):
        rows = select(table).where(table.c.conversation_id.in_(talks))
        if since is not None:
            rows = rows.where(table.c.at >= since)
        if until is not None:
            rows = rows.where(table.c.at < until)
        found += [
            make(row) for row in conn.execute(rows.order_by(table.c.at.desc(), table.c.id.desc()).limit(MOST_BESIDE))
        ]
    return found


def beside_after(conn: Connection, talks: Sequence[int], notes: int, events: int) -> list[HistoryNote | HistoryEvent]:
    """Notes and changes of hands with higher ids than these."""
    found: list[HistoryNote | HistoryEvent] = []
    for table, make, known in ((conversation_notes, _note, notes), (handoff_events, _event, events)):
        rows = select(table).where(table.c.conversation_id.in_(talks), table.c.id > known)
        found += [make(row) for row in conn.execute(rows.order_by(table.c.id).limit(MOST_BESIDE))]
    return found


def newest_beside(conn: Connection, talks: Sequence[int]) -> tuple[int, int]:
    """The highest ids of notes and of changes of hands."""
    notes, events = (
        conn.execute(select(func.max(table.c.id)).where(table.c.conversation_id.in_(talks))).scalar() or 0
        for table in (conversation_notes, handoff_events)
    )
    return notes, events


def merged(said: Sequence[HistoryMessage], beside_them: Sequence[HistoryNote | HistoryEvent]) -> tuple[Entry, ...]:
    """All of it, the oldest first; what was said keeps the order of acceptance."""
    places: dict[int, datetime] = {}
    latest: datetime | None = None
    for message in said:
        latest = message.at if latest is None or message.at > latest else latest
        places[message.id] = latest
    entries: list[tuple[datetime, int, int, Entry]] = [(places[item.id], 0, item.id, item) for item in said]
    entries += [(item.at, 1, item.id, item) for item in beside_them]
    entries.sort(key=lambda entry: entry[:3])
    return tuple(entry[3] for entry in entries)


def _note(row: Any) -> HistoryNote:
    return HistoryNote(row.id, row.conversation_id, row.by, row.text, tuple(row.mentions), row.at, row.edited_at)


def _event(row: Any) -> HistoryEvent:
    return HistoryEvent(row.id, row.conversation_id, row.kind, row.by, row.to, row.note, row.at)


def lines(conn: Connection, ids: Sequence[int]) -> list[HistoryMessage]:
    """The messages with all that belongs to them, the oldest first."""
    return messages_of(conn, sorted(set(ids)))
