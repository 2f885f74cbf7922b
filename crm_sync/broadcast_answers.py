"""What people did after a broadcast reached them: replied, left, complained. Noted once, from what came in since.

The place reached is kept in the same transaction, so that each message, withdrawal and complaint is looked at once. It
counts for the last broadcast the person had before it, as long as that was not too long ago.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, func, select, text, update

from crm_sync.broadcast_tables import broadcast_recipients
from crm_sync.columns import dump_json, id_in, is_postgres, is_state, load_json
from crm_sync.deployment import get_cursor, set_cursor
from crm_sync.statements import Statement
from crm_sync.tables import cases, consents, conversations, identities, messages

CURSOR: Final = "broadcast_answers"
CHUNK: Final = 500  # rows of each kind in one transaction
SETTLES: Final = timedelta(seconds=20)  # rows younger than this may still get an older neighbour (PostgreSQL)
REPLY_WITHIN: Final = timedelta(days=3)
HARM_WITHIN: Final = timedelta(days=7)
_LOCK: Final = 7_310_642_116  # advisory: one process notes at a time
_ROW: Final = broadcast_recipients.c
_HAD = Statement(
    select(_ROW.id, _ROW.conversation_id, _ROW.sent_at)
    .where(id_in(_ROW.conversation_id, "ids"), is_state(_ROW.state, "sending", "sent", "uncertain"))
    .where(_ROW.sent_at.is_not(None))
    .order_by(_ROW.sent_at.desc())
)
_TALKS = Statement(
    select(conversations.c.id, conversations.c.customer_id).where(id_in(conversations.c.customer_id, "ids"))
)
_TALKS_OF_IDENTITIES = Statement(
    select(conversations.c.id, conversations.c.identity_id).where(id_in(conversations.c.identity_id, "ids"))
)


@dataclass(slots=True)
class _Place:
    """How far was looked: ids, and a moment for what has none."""

    message: int = 0
    consent: int = 0
    case: int = 0
    unreachable: float = 0.0  # seconds since 1970


Done = tuple[int, datetime]  # conversation, when


def note_on(conn: Connection, now: datetime) -> bool:
    """What came in next is noted with the broadcasts it answers; False when all of it was.

    Safe to call from several processes at once: one of them notes.
    """
    if is_postgres(conn) and not conn.execute(text(f"SELECT pg_try_advisory_xact_lock({_LOCK})")).scalar():
        return False
    stored = get_cursor(conn, CURSOR)
    if not stored:
        set_cursor(conn, CURSOR, dump_json(asdict(_today(conn, now))), now)
        return False
    place, settled = _Place(**load_json(stored)), now - SETTLES
    before = replace(place)
    said = _said(conn, place, settled)
    withdrawn = _withdrawn(conn, place, settled)
    complained = _complained(conn, place, settled)
    unreachable = _unreachable(conn, place, settled)
    if place == before:
        return False
    _note(conn, "replied_at", said, REPLY_WITHIN)
    _note(conn, "left_at", [*_of_people(conn, withdrawn), *unreachable], HARM_WITHIN)
    _note(conn, "complained_at", _of_people(conn, complained), HARM_WITHIN)
    set_cursor(conn, CURSOR, dump_json(asdict(place)), now)
    return True


def _today(conn: Connection, now: datetime) -> _Place:
    """Where a store that never noted begins: nothing before it answered a broadcast of ours."""
    message, consent, complaint = (
        conn.execute(select(func.coalesce(func.max(table.c.id), 0))).scalar_one()
        for table in (messages, consents, cases)
    )
    return _Place(message, consent, complaint, now.timestamp())


# --- what came in -----------------------------------------------------------------------------------------------------


def _said(conn: Connection, place: _Place, settled: datetime) -> list[Done]:
    found = select(messages.c.id, messages.c.conversation_id, messages.c.direction, messages.c.at).where(
        messages.c.id > place.message
    )
    rows = [row for row in conn.execute(found.order_by(messages.c.id).limit(CHUNK)) if row.at <= settled]
    if rows:
        place.message = rows[-1].id
    return [(row.conversation_id, row.at) for row in rows if row.direction == "in"]


def _withdrawn(conn: Connection, place: _Place, settled: datetime) -> list[Done]:
    found = select(consents.c.id, consents.c.customer_id, consents.c.granted, consents.c.at).where(
        consents.c.id > place.consent
    )
    rows = [row for row in conn.execute(found.order_by(consents.c.id).limit(CHUNK)) if row.at <= settled]
    if rows:
        place.consent = rows[-1].id
    return [(row.customer_id, row.at) for row in rows if not row.granted]


def _complained(conn: Connection, place: _Place, settled: datetime) -> list[Done]:
    found = select(cases.c.id, cases.c.customer_id, cases.c.kind, cases.c.opened_at).where(cases.c.id > place.case)
    rows = [row for row in conn.execute(found.order_by(cases.c.id).limit(CHUNK)) if row.opened_at <= settled]
    if rows:
        place.case = rows[-1].id
    return [(row.customer_id, row.opened_at) for row in rows if row.kind == "complaint"]


def _unreachable(conn: Connection, place: _Place, settled: datetime) -> list[Done]:
    since = datetime.fromtimestamp(place.unreachable, tz=settled.tzinfo)
    rows = conn.execute(
        select(identities.c.id, identities.c.unreachable_at).where(
            identities.c.unreachable_at > since, identities.c.unreachable_at <= settled
        )
    ).all()
    if not rows:
        return []
    place.unreachable = max(row.unreachable_at for row in rows).timestamp()
    when = {row.id: row.unreachable_at for row in rows}
    talks = _TALKS_OF_IDENTITIES.rows(conn, {"ids": list(when)})
    return [(talk.id, when[talk.identity_id]) for talk in talks]


def _of_people(conn: Connection, done: Sequence[tuple[int, datetime]]) -> list[Done]:
    """The same of each of their conversations."""
    if not done:
        return []
    talks: dict[int, list[int]] = {}
    for talk in _TALKS.rows(conn, {"ids": sorted({who for who, _ in done})}):
        talks.setdefault(talk.customer_id, []).append(talk.id)
    return [(talk, at) for who, at in done for talk in talks.get(who, [])]


# --- noted ------------------------------------------------------------------------------------------------------------


def _note(conn: Connection, column: str, done: Iterable[Done], within: timedelta) -> None:
    """The first thing done after each of the broadcasts counts."""
    earliest: dict[int, datetime] = {}
    listed = sorted(done, key=lambda each: each[1])
    had: dict[int, list[Any]] = {}
    for row in _HAD.rows(conn, {"ids": sorted({talk for talk, _ in listed})}) if listed else ():
        had.setdefault(row.conversation_id, []).append(row)
    for talk, at in listed:
        last = next((row for row in had.get(talk, []) if row.sent_at < at <= row.sent_at + within), None)
        if last is not None:
            earliest.setdefault(last.id, at)
    for recipient_id, at in earliest.items():
        first = (_ROW.id == recipient_id) & _ROW[column].is_(None)
        conn.execute(update(broadcast_recipients).where(first).values({column: at}))
