"""The outbox: what is due to leave, one row at a time per conversation, and how each send ended."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

import structlog
from sqlalchemy import Connection, and_, bindparam, exists, or_, select, true, update
from sqlalchemy.sql.elements import ColumnElement

from bot.ports import Clock, SendOutcome
from bot.types import Capabilities, ConversationId, Lane, Outbound, OutboxId, Owner
from crm_sync.chat_moves import move_chat
from crm_sync.codec import load_part
from crm_sync.columns import id_in, is_state
from crm_sync.committing import LANES
from crm_sync.database import Database
from crm_sync.statements import Statement
from crm_sync.tables import conversations, identities, messages, outbox

log = structlog.get_logger(__name__)

SEND_LEASE: Final = timedelta(seconds=30)  # longer than any channel waits for a vendor's answer
END_STATES: Final = frozenset({"sent", "failed", "uncertain", "parked", "dropped"})
_UNFINISHED: Final = ("pending", "sending")
_LANE_OF: Final = {rank: lane for lane, rank in LANES.items()}
_BROADCAST: Final = LANES[Lane.BROADCAST]

_now = bindparam("now", type_=outbox.c.created_at.type)
_before = outbox.alias("before")
_is_head = ~exists().where(
    _before.c.conversation_id == outbox.c.conversation_id,
    _before.c.id < outbox.c.id,
    is_state(_before.c.state, *_UNFINISHED),
)
_is_due = or_(
    and_(is_state(outbox.c.state, "pending"), or_(outbox.c.not_before.is_(None), outbox.c.not_before <= _now)),
    and_(is_state(outbox.c.state, "sending"), outbox.c.lease_until <= _now),
)
_HEADS = (
    select(outbox)
    .where(is_state(outbox.c.state, *_UNFINISHED), _is_due, _is_head)
    .order_by(outbox.c.lane, outbox.c.id)
    .limit(bindparam("limit"))
    .with_for_update(of=outbox, skip_locked=True)
)
# Shared lock: an operator who takes over at this moment waits, or is seen here.
_OWNERS = Statement(
    select(conversations.c.id, conversations.c.owner, conversations.c.fence)
    .where(id_in(conversations.c.id, "ids"))
    .order_by(conversations.c.id)
    .with_for_update(read=True)
)
_WORDS = Statement(select(messages.c.id, messages.c.text, messages.c.content).where(id_in(messages.c.id, "ids")))
_HAND_OUT = Statement(
    update(outbox)
    .where(outbox.c.id == bindparam("b_id"))
    .values(
        state="sending",
        attempts=bindparam("b_attempts"),
        maybe_repeated=bindparam("b_maybe_repeated"),
        lease_owner=bindparam("b_sender"),
        lease_until=bindparam("b_until"),
        not_before=None,
    )
)
_END = Statement(
    update(outbox)
    .where(outbox.c.id == bindparam("b_id"), is_state(outbox.c.state, *_UNFINISHED))
    .values(
        state=bindparam("b_state"),
        reason=bindparam("b_reason"),
        vendor_message_id=bindparam("b_vendor_id"),
        not_before=bindparam("b_not_before", type_=outbox.c.not_before.type),
        maybe_repeated=bindparam("b_maybe_repeated"),
        sent_at=bindparam("b_sent_at", type_=outbox.c.sent_at.type),
        lease_owner=None,
        lease_until=None,
    )
)
_ANSWERED = Statement(
    select(
        outbox.c.id,
        outbox.c.state,
        outbox.c.lane,
        outbox.c.channel,
        outbox.c.message_id,
        outbox.c.maybe_repeated,
        conversations.c.identity_id,
    )
    .join_from(outbox, conversations, conversations.c.id == outbox.c.conversation_id)
    .where(id_in(outbox.c.id, "ids"))
    .order_by(outbox.c.id)
    .with_for_update(of=outbox)
)
_VENDOR_IDS = Statement(
    update(messages).where(messages.c.id == bindparam("b_id")).values(vendor_message_id=bindparam("b_vendor_id"))
)


@dataclass(frozen=True, slots=True)
class _Ask:
    """Who asks for what to send, and what they can do."""

    sender: str
    channels: Sequence[tuple[str, str]] | None
    keyed: frozenset[str]
    now: datetime


class SqlOutbox:
    """Implements `bot.ports.Outbox`."""

    def __init__(self, database: Database, clock: Clock, fault: Callable[[str], None]) -> None:
        self._database, self._clock, self._fault = database, clock, fault
        self._keyed: frozenset[str] = frozenset()

    def know(self, channels: Mapping[str, Capabilities]) -> None:
        """What each channel can do: one with an idempotency key lets an uncertain send be repeated safely."""
        self._keyed = frozenset(name for name, capabilities in channels.items() if capabilities.idempotency_key)

    async def claim(self, sender: str, limit: int, channels: Sequence[tuple[str, str]] | None = None) -> list[Outbound]:
        """Due heads are marked `sending` and handed out, by lane and then age.

        Rows left `sending` by a dead sender follow the uncertain policy of `bot.ports.Outbox`.
        """
        ask = _Ask(sender, channels, self._keyed, self._clock.now())
        outbound: list[Outbound] = []
        while len(outbound) < limit:
            # A dropped or uncertain row ends its turn as head at once; the one behind it is due now, not at next sweep.
            handed, ended = await self._database.run(partial(_claim, ask=ask, limit=limit - len(outbound)))
            outbound += handed
            if not ended:
                break
        if outbound:
            self._fault("outbox.claimed")
        return outbound

    async def finish(self, outcomes: Sequence[SendOutcome]) -> None:
        """How the sends ended is stored; a row already in an end state is left alone.

        Raises: ValueError for a state that no send ends in.
        """
        unknown = {outcome.state for outcome in outcomes} - {"sent", "failed", "parked", "uncertain", "retry"}
        if unknown:
            raise ValueError(f"no send ends as {', '.join(sorted(unknown))}")
        self._fault("outbox.before_finish")
        if outcomes:
            await self._database.run(partial(_finish, list(outcomes), self._keyed, self._clock.now()))
        self._fault("outbox.after_finish")


def _claim(conn: Connection, ask: _Ask, limit: int) -> tuple[list[Outbound], int]:
    """What to send now, and how many rows came to an end instead."""
    heads = conn.execute(_HEADS.where(_only(ask.channels)), {"now": ask.now, "limit": limit}).all()
    if not heads:
        return [], 0
    owners = {row.id: row for row in _OWNERS.rows(conn, {"ids": sorted({row.conversation_id for row in heads})})}
    handed: list[tuple[Any, dict[str, Any]]] = []
    ended: list[dict[str, Any]] = []
    for row in heads:
        fate = _fate(row, owners[row.conversation_id], ask.keyed)
        if fate is not None:
            ended.append(_ending(row.id, *fate, maybe_repeated=row.maybe_repeated))
            continue
        repeated = row.maybe_repeated or (row.state == "sending" and row.channel not in ask.keyed)
        handed.append((row, _handing_out(row, ask.sender, repeated=repeated, now=ask.now)))
    _END.change_each(conn, ended)
    if not handed:
        return [], len(ended)
    _HAND_OUT.change_each(conn, [values for _, values in handed])
    words = {row.id: row for row in _WORDS.rows(conn, {"ids": [row.message_id for row, _ in handed]})}
    return [_outbound(row, words[row.message_id]) for row, _ in handed], len(ended)


def _only(channels: Sequence[tuple[str, str]] | None) -> ColumnElement[bool]:
    if channels is None:
        return true()
    wanted = [and_(outbox.c.channel == channel, outbox.c.account == account) for channel, account in sorted(channels)]
    return or_(*wanted) if wanted else ~true()


def _fate(row: Any, conversation: Any, keyed: Collection[str]) -> tuple[str, str] | None:
    """(end state, reason) for a row that must not be sent (again); None when it goes out."""
    if row.state == "sending":
        # Its sender died between the call and the stored answer: nobody knows whether it left.
        if row.channel in keyed:
            return None
        if row.lane == _BROADCAST or row.maybe_repeated:
            return "uncertain", "the answer to the send was lost"
        return None
    if row.lane == LANES[Lane.REPLY] and (row.fence < conversation.fence or conversation.owner == Owner.OPERATOR):
        return "dropped", "somebody else answers now"
    return None


def _handing_out(row: Any, sender: str, *, repeated: bool, now: datetime) -> dict[str, Any]:
    return {
        "b_id": row.id,
        "b_attempts": row.attempts + 1,
        "b_maybe_repeated": repeated,
        "b_sender": sender,
        "b_until": now + SEND_LEASE,
    }


def _ending(
    outbox_id: int,
    state: str,
    reason: str,
    *,
    maybe_repeated: bool,
    vendor_id: str = "",
    not_before: datetime | None = None,
    sent_at: datetime | None = None,
) -> dict[str, Any]:
    return {
        "b_id": outbox_id,
        "b_state": state,
        "b_reason": reason,
        "b_vendor_id": vendor_id,
        "b_not_before": not_before,
        "b_maybe_repeated": maybe_repeated,
        "b_sent_at": sent_at,
    }


def _outbound(row: Any, words: Any) -> Outbound:
    return Outbound(
        outbox_id=OutboxId(row.id),
        conversation_id=ConversationId(row.conversation_id),
        channel=row.channel,
        account=row.account,
        chat_id=row.chat_id,
        topic=row.topic,
        part=load_part(words.text, words.content),
        lane=_LANE_OF[row.lane],
        idempotency_key=row.idempotency_key or "",
        attempt=row.attempts + 1,
        fence=row.fence,
        created_at=row.created_at,
    )


def _finish(outcomes: Sequence[SendOutcome], keyed: Collection[str], now: datetime, conn: Connection) -> None:
    rows = {row.id: row for row in _ANSWERED.rows(conn, {"ids": [outcome.outbox_id for outcome in outcomes]})}
    endings: dict[int, dict[str, Any]] = {}
    vendor_ids: list[dict[str, Any]] = []
    unreachable: dict[int, str] = {}
    for outcome in outcomes:
        row = rows.get(outcome.outbox_id)
        if row is None or row.state in END_STATES or row.id in endings:
            continue
        endings[row.id] = _ended(outcome, row, keyed, now)
        if outcome.state == "sent" and outcome.vendor_message_id:
            vendor_ids.append({"b_id": row.message_id, "b_vendor_id": outcome.vendor_message_id})
        if outcome.unreachable:
            unreachable[row.identity_id] = outcome.reason
    _END.change_each(conn, list(endings.values()))
    _VENDOR_IDS.change_each(conn, vendor_ids)
    for outcome in outcomes:
        if outcome.moved_to:
            _move(conn, outcome)
    for identity_id, reason in sorted(unreachable.items()):
        conn.execute(
            update(identities)
            .where(identities.c.id == identity_id)
            .values(unreachable_at=now, unreachable_reason=reason)
        )


def _move(conn: Connection, outcome: SendOutcome) -> None:
    row = conn.execute(
        select(outbox.c.channel, outbox.c.account, outbox.c.chat_id).where(outbox.c.id == outcome.outbox_id)
    ).first()
    if row is not None and row.chat_id != outcome.moved_to:
        move_chat(conn, row.channel, row.account, row.chat_id, outcome.moved_to)


def _ended(outcome: SendOutcome, row: Any, keyed: Collection[str], now: datetime) -> dict[str, Any]:
    repeated: bool = row.maybe_repeated
    if outcome.state == "sent":
        return _ending(row.id, "sent", "", maybe_repeated=repeated, vendor_id=outcome.vendor_message_id, sent_at=now)
    if outcome.state == "retry":
        return _ending(row.id, "pending", outcome.reason, maybe_repeated=repeated, not_before=outcome.retry_at)
    if outcome.state == "uncertain" and (row.channel in keyed or (row.lane != _BROADCAST and not repeated)):
        again = repeated or row.channel not in keyed
        return _ending(row.id, "pending", outcome.reason, maybe_repeated=again, not_before=outcome.retry_at)
    return _ending(row.id, outcome.state, outcome.reason, maybe_repeated=repeated)


def release_dead(conn: Connection, now: datetime) -> int:
    """Sends in flight count as interrupted from now on; how many there were. Only for a store nobody else works on."""
    interrupted = is_state(outbox.c.state, "sending")
    return conn.execute(update(outbox).where(interrupted).values(lease_until=now)).rowcount
