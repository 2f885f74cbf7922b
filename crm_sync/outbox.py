"""The outbox: what is due to leave, one row at a time per conversation, and how each send ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, bindparam, select, update

from bot.ports import Clock, SendOutcome
from bot.types import Capabilities, Lane, Outbound
from crm_sync.chat_moves import move_chat
from crm_sync.columns import id_in, is_state
from crm_sync.committing import LANES
from crm_sync.database import Database
from crm_sync.outbox_claims import Ask, Merge, claim
from crm_sync.outbox_endings import END, END_STATES, ending
from crm_sync.reply_windows import HELD, left_in
from crm_sync.statements import Statement
from crm_sync.tables import conversations, identities, messages, outbox

_BROADCAST: Final = LANES[Lane.BROADCAST]
_OPERATOR: Final = LANES[Lane.OPERATOR]

_ANSWERED = Statement(
    select(
        outbox.c.id,
        outbox.c.state,
        outbox.c.lane,
        outbox.c.channel,
        outbox.c.message_id,
        outbox.c.maybe_repeated,
        outbox.c.is_vital,
        outbox.c.conversation_id,
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


_CONVERSATIONS = Statement(
    select(conversations.c.id)
    .join_from(conversations, outbox, outbox.c.conversation_id == conversations.c.id)
    .where(id_in(outbox.c.id, "ids"))
    .order_by(conversations.c.id)
    .with_for_update(of=conversations)
)


class SqlOutbox:
    """Implements `bot.ports.Outbox`."""

    def __init__(self, database: Database, clock: Clock, fault: Callable[[str], None]) -> None:
        self._database, self._clock, self._fault = database, clock, fault
        self._channels: Mapping[str, Capabilities] = {}
        self._merge: Merge | None = None

    def know(self, channels: Mapping[str, Capabilities], merge: Merge | None = None) -> None:
        """What each channel can do, and how texts that follow each other become one where replies are counted."""
        self._channels, self._merge = dict(channels), merge

    async def claim(self, sender: str, limit: int, channels: Sequence[tuple[str, str]] | None = None) -> list[Outbound]:
        """Due heads are marked `sending` and handed out, by lane and then age.

        Rows left `sending` by a dead sender follow the uncertain policy of `bot.ports.Outbox`. Where a channel counts
        replies and fewer are left than texts wait in the conversation, the texts behind a head leave with it.
        """
        accounts = None if channels is None else tuple(sorted(channels))
        ask = Ask(sender, accounts, self._channels, self._merge, self._clock.now())
        outbound: list[Outbound] = []
        while len(outbound) < limit:
            # A dropped or uncertain row ends its turn as head at once; the one behind it is due now, not at next sweep.
            handed, ended = await self._database.run(partial(claim, ask=ask, limit=limit - len(outbound)))
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
        unknown = {outcome.state for outcome in outcomes} - {"sent", "failed", "parked", "uncertain", "retry", "held"}
        if unknown:
            raise ValueError(f"no send ends as {', '.join(sorted(unknown))}")
        self._fault("outbox.before_finish")
        if outcomes:
            await self._database.run(partial(_finish, list(outcomes), self._is_keyed, self._clock.now()))
        self._fault("outbox.after_finish")

    def _is_keyed(self, channel: str) -> bool:
        can = self._channels.get(channel)
        return can is not None and can.idempotency_key


def _finish(outcomes: Sequence[SendOutcome], is_keyed: Callable[[str], bool], now: datetime, conn: Connection) -> None:
    open_again = _windows(conn, [outcome.outbox_id for outcome in outcomes if outcome.state == "held"], now)
    rows = {row.id: row for row in _ANSWERED.rows(conn, {"ids": [outcome.outbox_id for outcome in outcomes]})}
    endings: dict[int, dict[str, Any]] = {}
    vendor_ids: list[dict[str, Any]] = []
    unreachable: dict[int, str] = {}
    for outcome in outcomes:
        row = rows.get(outcome.outbox_id)
        if row is None or row.state in END_STATES or row.id in endings:
            continue
        endings[row.id] = (
            _held(row, open_again.get(row.conversation_id, 0), now)
            if outcome.state == "held"
            else _ended(outcome, row, is_keyed(row.channel), now)
        )
        if outcome.state == "sent" and outcome.vendor_message_id:
            vendor_ids.append({"b_id": row.message_id, "b_vendor_id": outcome.vendor_message_id})
        if outcome.unreachable:
            unreachable[row.identity_id] = outcome.reason
    END.change_each(conn, list(endings.values()))
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


def _windows(conn: Connection, held: Sequence[int], now: datetime) -> dict[int, int]:
    """Conversation -> replies left. A message accepted since the send was refused is seen: accepting it, which
    releases what is held, waits for this transaction or is over."""
    if not held:
        return {}
    ids = [row.id for row in _CONVERSATIONS.rows(conn, {"ids": list(held)})]
    return {conversation_id: window.left for conversation_id, window in left_in(conn, ids, now).items()}


def _held(row: Any, left: int, now: datetime) -> dict[str, Any]:
    """Set aside until the customer writes, unless that has happened meanwhile."""
    if left > (0 if row.is_vital or row.lane == _OPERATOR else 1):
        return ending(row.id, "pending", "", maybe_repeated=row.maybe_repeated)
    return ending(row.id, "parked", HELD, maybe_repeated=row.maybe_repeated, is_held=True, set_aside_at=now)


def _ended(outcome: SendOutcome, row: Any, is_keyed: bool, now: datetime) -> dict[str, Any]:
    repeated: bool = row.maybe_repeated
    if outcome.state == "sent":
        return ending(row.id, "sent", "", maybe_repeated=repeated, vendor_id=outcome.vendor_message_id, sent_at=now)
    if outcome.state == "retry":
        return ending(row.id, "pending", outcome.reason, maybe_repeated=repeated, not_before=outcome.retry_at)
    if outcome.state == "uncertain" and (is_keyed or (row.lane != _BROADCAST and not repeated)):
        again = repeated or not is_keyed
        return ending(row.id, "pending", outcome.reason, maybe_repeated=again, not_before=outcome.retry_at)
    return ending(row.id, outcome.state, outcome.reason, maybe_repeated=repeated, set_aside_at=now)


def release_dead(conn: Connection, now: datetime) -> int:
    """Sends in flight count as interrupted from now on; how many there were. Only for a store nobody else works on."""
    interrupted = is_state(outbox.c.state, "sending")
    return conn.execute(update(outbox).where(interrupted).values(lease_until=now)).rowcount
