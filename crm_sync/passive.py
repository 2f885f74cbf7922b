"""Replies that travel inside the vendor's own request: taken from the outbox by the webhook that waits for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, and_, delete, insert, or_, select, update

from bot.ports import Clock, ComposedReply
from bot.types import InboxId, Lane, Outbound, OutboxId, Owner
from crm_sync.codec import load_part
from crm_sync.columns import id_in, is_state
from crm_sync.committing import LANES
from crm_sync.database import Database
from crm_sync.outbox_claims import SEND_LEASE, UNFINISHED, outbound_of
from crm_sync.outbox_endings import END_STATES
from crm_sync.statements import Statement
from crm_sync.tables import conversations, inbox, messages, outbox, passive_replies

KEPT_FOR: Final = timedelta(hours=1)  # WeChat delivers again within 15 s
AGAIN_WITHIN: Final = timedelta(seconds=2)  # it does so as soon as it has given up; the rest is for a busy desk
_NOTHING: Final = ComposedReply(b"")

Compose = Callable[[Sequence[Outbound]], ComposedReply | None]

_ENDED = Statement(select(inbox.c.id).where(id_in(inbox.c.id, "ids"), ~is_state(inbox.c.state, "pending")))


class SqlPassiveReplies:
    """Implements `bot.ports.PassiveReplies`."""

    def __init__(self, database: Database, clock: Clock, fault: Callable[[str], None]) -> None:
        self._database, self._clock, self._fault = database, clock, fault

    async def ended(self, inbox_ids: Sequence[InboxId]) -> set[InboxId]:
        """Those whose turn is over (or that were set aside)."""
        ids = list(inbox_ids)
        rows = await self._database.run(lambda conn: _ENDED.rows(conn, {"ids": ids}), read=True)
        return {InboxId(row.id) for row in rows}

    async def take(self, inbox_id: InboxId, compose: Compose) -> ComposedReply | None:
        """See `bot.ports.PassiveReplies`."""
        taken = await self._database.run(partial(_take, inbox_id=inbox_id, compose=compose, now=self._clock.now()))
        if taken is not None and taken.carries:
            self._fault("passive.taken")
        return taken

    async def put_back(self, inbox_id: InboxId) -> None:
        """See `bot.ports.PassiveReplies`."""
        await self._database.run(partial(_put_back, inbox_id=inbox_id, now=self._clock.now()))

    async def prune(self) -> int:
        """Bodies no redelivery can ask for any more are gone; how many."""
        old = delete(passive_replies).where(passive_replies.c.at < self._clock.now() - KEPT_FOR)
        return await self._database.run(lambda conn: conn.execute(old).rowcount, durable=False)


def _take(conn: Connection, inbox_id: InboxId, compose: Compose, now: datetime) -> ComposedReply | None:
    asked = conn.execute(select(inbox.c.state, inbox.c.conversation_id).where(inbox.c.id == inbox_id)).first()
    if asked is None or asked.conversation_id is None:
        return _NOTHING
    if asked.state == "pending":
        return None
    # Shared, as the sender does it: an operator who takes over at this moment waits, or is seen here.
    owner = conn.execute(
        select(conversations.c.owner, conversations.c.fence)
        .where(conversations.c.id == asked.conversation_id)
        .with_for_update(read=True)
    ).one()
    rows = _unfinished(conn, asked.conversation_id)
    stored = conn.execute(select(passive_replies.c.body).where(passive_replies.c.inbox_id == inbox_id)).scalar()
    if stored is not None and _is_repeated(conn, inbox_id):
        return _NOTHING  # its process died, and the sender has said it again meanwhile
    if stored is not None:
        # Those a first delivery took and never finished: its process died, or is still writing. This one brings them.
        return ComposedReply(stored, tuple(OutboxId(row.id) for row in rows if row.lease_owner == _holder(inbox_id)))
    dropped = [row.id for row in rows if row.state != "sending" and _is_fenced(row, owner)]
    _set(conn, dropped, state="dropped", reason="somebody else answers now", is_held=False)
    rows = [row for row in rows if row.id not in dropped]
    mine = [row for row in rows if row.inbox_id == inbox_id]
    last = max((row.id for row in rows if row.is_held or row.inbox_id == inbox_id), default=0)
    upto = [row for row in rows if row.id <= last]
    if not upto:
        return _NOTHING
    if any(_is_busy(row, inbox_id, now) for row in upto):
        return None
    composed = compose([outbound_of(row, load_part(row.text, row.content)) for row in upto])
    carried = set(composed.carries) if composed else set()
    _set(conn, [row.id for row in mine if row.id not in carried], not_before=None)
    if composed is None:
        return _NOTHING
    _set(
        conn,
        sorted(carried),
        state="sending",
        attempts=outbox.c.attempts + 1,
        lease_owner=_holder(inbox_id),
        lease_until=now + SEND_LEASE,
        not_before=None,
        is_held=False,
        merged_into=None,  # each ends by itself now
    )
    conn.execute(insert(passive_replies).values(inbox_id=inbox_id, body=composed.body, at=now))
    return composed


def _put_back(conn: Connection, inbox_id: InboxId, now: datetime) -> None:
    taken = update(outbox).where(
        outbox.c.conversation_id == select(inbox.c.conversation_id).where(inbox.c.id == inbox_id).scalar_subquery(),
        is_state(outbox.c.state, *UNFINISHED),  # in the index's words
        outbox.c.state == "sending",
        outbox.c.lease_owner == _holder(inbox_id),
    )
    untried = {"state": "pending", "attempts": outbox.c.attempts - 1, "lease_owner": None, "lease_until": None}
    if conn.execute(taken.values(**untried, not_before=now + AGAIN_WITHIN)).rowcount:
        conn.execute(delete(passive_replies).where(passive_replies.c.inbox_id == inbox_id))


def _is_repeated(conn: Connection, inbox_id: InboxId) -> bool:
    answer = and_(messages.c.id == outbox.c.message_id, messages.c.inbox_id == inbox_id)
    repeated = select(outbox.c.id).join_from(outbox, messages, answer).where(outbox.c.maybe_repeated).limit(1)
    return conn.execute(repeated).first() is not None


def _set(conn: Connection, ids: Sequence[int], **values: Any) -> None:
    if ids:
        conn.execute(update(outbox).where(outbox.c.id.in_(ids)).values(**values))


def _holder(inbox_id: InboxId) -> str:
    return f"passive:{inbox_id}"


def _unfinished(conn: Connection, conversation_id: int) -> Sequence[Any]:
    """The conversation's rows that have not come to an end or are held, in order, with what they answer and say."""
    return conn.execute(
        select(outbox, messages.c.inbox_id, messages.c.text, messages.c.content)
        .join_from(outbox, messages, messages.c.id == outbox.c.message_id)
        .where(
            outbox.c.conversation_id == conversation_id,
            or_(outbox.c.is_held, outbox.c.state.notin_(sorted(END_STATES))),
        )
        .order_by(outbox.c.id)
        .with_for_update(of=outbox)
    ).all()


def _is_busy(row: Any, inbox_id: InboxId, now: datetime) -> bool:
    """Somebody is sending it, or it is kept for the webhook of another message."""
    is_kept = row.attempts == 0 and row.not_before is not None and row.not_before > now
    return bool(row.state == "sending" or (is_kept and row.inbox_id != inbox_id))


def _is_fenced(row: Any, conversation: Any) -> bool:
    """Decided before somebody else took over: it is dropped, as the sender would."""
    if row.lane != LANES[Lane.REPLY]:
        return False
    return bool(row.fence < conversation.fence or conversation.owner == Owner.OPERATOR)
