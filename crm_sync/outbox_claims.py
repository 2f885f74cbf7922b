"""Claiming from the outbox: due heads, whether they may leave, and which rows behind them leave with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final

from sqlalchemy import Connection, and_, bindparam, exists, or_, select, true, update
from sqlalchemy.sql.elements import ColumnElement

from bot.types import Capabilities, ConversationId, Lane, Outbound, OutboxId, OutPart, Owner
from crm_sync.codec import load_part
from crm_sync.columns import id_in, is_filled, is_state
from crm_sync.committing import LANES
from crm_sync.outbox_endings import END, ending
from crm_sync.reply_windows import left_in
from crm_sync.statements import Statement
from crm_sync.tables import conversations, messages, outbox

SEND_LEASE: Final = timedelta(seconds=30)  # longer than any channel waits for a vendor's answer
UNFINISHED: Final = ("pending", "sending")
_LANE_OF: Final = {rank: lane for lane, rank in LANES.items()}
_BROADCAST: Final = LANES[Lane.BROADCAST]
_OPERATOR: Final = LANES[Lane.OPERATOR]

Account = tuple[str, str]  # channel, account
# Texts of rows that follow each other -> one part with the words of the first so many of them.
Merge = Callable[[Sequence[OutPart], Capabilities], tuple[OutPart, int]]

_now = bindparam("now", type_=outbox.c.created_at.type)
_before = outbox.alias("before")
_is_head = ~exists().where(
    _before.c.conversation_id == outbox.c.conversation_id,
    _before.c.id < outbox.c.id,
    is_state(_before.c.state, *UNFINISHED),
)
_is_due = or_(
    and_(is_state(outbox.c.state, "pending"), or_(outbox.c.not_before.is_(None), outbox.c.not_before <= _now)),
    and_(is_state(outbox.c.state, "sending"), outbox.c.lease_until <= _now),
)
# Shared lock: an operator who takes over at this moment waits, or is seen here.
_OWNERS = Statement(
    select(conversations.c.id, conversations.c.owner, conversations.c.fence)
    .where(id_in(conversations.c.id, "ids"))
    .order_by(conversations.c.id)
    .with_for_update(read=True)
)
_WORDS = Statement(select(messages.c.id, messages.c.text, messages.c.content).where(id_in(messages.c.id, "ids")))
_QUEUED = Statement(
    select(outbox, messages.c.text.label("words"), messages.c.content)
    .join_from(outbox, messages, messages.c.id == outbox.c.message_id)
    .where(id_in(outbox.c.conversation_id, "ids"), is_state(outbox.c.state, *UNFINISHED))
    .order_by(outbox.c.id)
)
_LIVING = Statement(
    select(messages.c.vendor_message_id)
    .where(
        messages.c.conversation_id == bindparam("conversation"),
        messages.c.status_key == bindparam("key"),
        is_filled(messages.c.status_key),
        messages.c.direction == "out",
        is_filled(messages.c.vendor_message_id),
    )
    .order_by(messages.c.id.desc())
    .limit(1)
)
_HAND_OUT = Statement(
    update(outbox)
    .where(outbox.c.id == bindparam("b_id"))
    .values(
        state="sending",
        attempts=bindparam("b_attempts"),
        maybe_repeated=bindparam("b_maybe_repeated"),
        merged_into=bindparam("b_merged_into"),
        lease_owner=bindparam("b_sender"),
        lease_until=bindparam("b_until"),
        not_before=None,
    )
)


@dataclass(frozen=True, slots=True)
class Ask:
    """Who asks for what to send, and what the channels can do."""

    sender: str
    accounts: tuple[Account, ...] | None  # None: of every channel
    channels: Mapping[str, Capabilities]
    merge: Merge | None
    now: datetime

    def can(self, channel: str) -> Capabilities | None:
        return self.channels.get(channel)

    def is_keyed(self, channel: str) -> bool:
        """Whether an uncertain send can be repeated safely."""
        can = self.can(channel)
        return can is not None and can.idempotency_key

    def is_windowed(self, channel: str) -> bool:
        can = self.can(channel)
        return can is not None and can.is_windowed


def claim(conn: Connection, ask: Ask, limit: int) -> tuple[list[Outbound], int]:
    """What to send now, and how many rows came to an end instead."""
    heads = _heads(ask.accounts).rows(conn, {"now": ask.now, "limit": limit})
    if not heads:
        return [], 0
    owners = {row.id: row for row in _OWNERS.rows(conn, {"ids": sorted({row.conversation_id for row in heads})})}
    behind = _behind(conn, heads, ask)
    leaving: list[Any] = []
    ended: list[dict[str, Any]] = []
    for row in heads:
        fate = _fate(row, owners[row.conversation_id], ask)
        if fate is None:
            leaving.append(row)
            continue
        same_send = [other for other in behind.get(row.id, ()) if other.merged_into == row.id]
        ended += [ending(other.id, *fate, maybe_repeated=other.maybe_repeated) for other in (row, *same_send)]
    END.change_each(conn, ended)
    if not leaving:
        return [], len(ended)
    merged = _merged(conn, leaving, behind, owners, ask)
    _HAND_OUT.change_each(conn, [values for row in leaving for values in _handing_out(row, merged.get(row.id), ask)])
    words = {row.id: row for row in _WORDS.rows(conn, {"ids": [row.message_id for row in leaving]})}
    return [_outbound(conn, row, words[row.message_id], merged.get(row.id), ask) for row in leaving], len(ended)


@cache
def _heads(accounts: tuple[Account, ...] | None) -> Statement:
    return Statement(
        select(outbox)
        .where(is_state(outbox.c.state, *UNFINISHED), _is_due, _is_head, _only(accounts))
        .order_by(outbox.c.lane, outbox.c.id)
        .limit(bindparam("limit"))
        .with_for_update(of=outbox, skip_locked=True)
    )


def _only(accounts: tuple[Account, ...] | None) -> ColumnElement[bool]:
    if accounts is None:
        return true()
    wanted = [and_(outbox.c.channel == channel, outbox.c.account == account) for channel, account in accounts]
    return or_(*wanted) if wanted else ~true()


def _fate(row: Any, conversation: Any, ask: Ask) -> tuple[str, str] | None:
    """(end state, reason) for a row that must not be sent (again); None when it goes out."""
    if row.state == "sending":
        # Its sender died between the call and the stored answer: nobody knows whether it left.
        if not ask.is_keyed(row.channel) and (row.lane == _BROADCAST or row.maybe_repeated):
            return "uncertain", "the answer to the send was lost"
        return None
    if row.lane == LANES[Lane.REPLY] and (row.fence < conversation.fence or conversation.owner == Owner.OPERATOR):
        return "dropped", "somebody else answers now"
    return None


# --- several rows in one send ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Merged:
    """The rows behind a head whose words leave with it."""

    part: OutPart
    rows: Sequence[Any]


def _behind(conn: Connection, heads: Sequence[Any], ask: Ask) -> dict[int, list[Any]]:
    """Head -> the unfinished rows behind it, in order; only for channels that count replies."""
    counted = {row.conversation_id: row.id for row in heads if ask.is_windowed(row.channel)}
    behind: dict[int, list[Any]] = {head: [] for head in counted.values()}
    if counted:
        for row in _QUEUED.rows(conn, {"ids": sorted(counted)}):
            if row.id != (head := counted[row.conversation_id]):
                behind[head].append(row)
    return behind


def _merged(
    conn: Connection, leaving: Sequence[Any], behind: Mapping[int, Sequence[Any]], owners: Mapping[int, Any], ask: Ask
) -> dict[int, _Merged]:
    """Head -> what leaves with it, where fewer replies are left than texts wait. What was merged once stays merged."""
    heads = [row for row in leaving if behind.get(row.id)]
    if not heads or ask.merge is None:
        return {}
    left = left_in(conn, {row.conversation_id for row in heads}, ask.now)
    words = {row.id: row for row in _WORDS.rows(conn, {"ids": [row.message_id for row in heads]})}
    found: dict[int, _Merged] = {}
    for head in heads:
        rows = [row for row in behind[head.id] if row.merged_into == head.id]
        if not rows and head.attempts == 0 and head.lane != _BROADCAST:
            rows = _mergeable(head, behind[head.id], owners[head.conversation_id], ask)
            is_vital = head.lane == _OPERATOR or any(row.is_vital for row in (head, *rows))
            window = left.get(head.conversation_id)
            most = (window.left if window else 0) - (0 if is_vital else 1)
            if 1 + len(rows) <= most:
                continue
        can = ask.can(head.channel)
        if rows and can is not None:
            first = words[head.message_id]
            parts = [load_part(first.text, first.content), *(load_part(row.words, row.content) for row in rows)]
            part, count = ask.merge(parts, can)
            if count > 1:
                found[head.id] = _Merged(part, rows[: count - 1])
    return found


def _mergeable(head: Any, behind: Sequence[Any], owner: Any, ask: Ask) -> list[Any]:
    """The rows directly behind the head that could leave now as it does."""
    found = []
    for row in behind:
        is_fresh = row.state == "pending" and row.attempts == 0 and (row.not_before or ask.now) <= ask.now
        if not is_fresh or row.lane != head.lane or _fate(row, owner, ask) is not None:
            break
        found.append(row)
    return found


# --- handing out ------------------------------------------------------------------------------------------------------


def _handing_out(head: Any, merged: _Merged | None, ask: Ask) -> list[dict[str, Any]]:
    return [
        {
            "b_id": row.id,
            "b_attempts": row.attempts + 1,
            "b_maybe_repeated": row.maybe_repeated or (row.state == "sending" and not ask.is_keyed(row.channel)),
            "b_merged_into": None if row.id == head.id else head.id,
            "b_sender": ask.sender,
            "b_until": ask.now + SEND_LEASE,
        }
        for row in (head, *(merged.rows if merged else ()))
    ]


def _outbound(conn: Connection, row: Any, words: Any, merged: _Merged | None, ask: Ask) -> Outbound:
    part = load_part(words.text, words.content)
    others = merged.rows if merged else ()
    return replace(
        outbound_of(row, part),
        part=merged.part if merged else part,
        edits=_edited(conn, row, part, ask),
        is_vital=any(each.is_vital for each in (row, *others)),
        merged=tuple(OutboxId(each.id) for each in others),
    )


def outbound_of(row: Any, part: OutPart) -> Outbound:
    """An outbox row by itself, as its next try."""
    return Outbound(
        outbox_id=OutboxId(row.id),
        conversation_id=ConversationId(row.conversation_id),
        channel=row.channel,
        account=row.account,
        chat_id=row.chat_id,
        topic=row.topic,
        part=part,
        lane=_LANE_OF[row.lane],
        idempotency_key=row.idempotency_key or "",
        attempt=row.attempts + 1,
        fence=row.fence,
        created_at=row.created_at,
    )


def _edited(conn: Connection, row: Any, part: OutPart, ask: Ask) -> str:
    """The vendor's id of our newest message of the same status; "" where there is none or it cannot be edited."""
    can = ask.can(row.channel)
    if not part.status_key or can is None or not can.can_edit:
        return ""
    living = _LIVING.rows(conn, {"conversation": row.conversation_id, "key": part.status_key})
    return str(living[0].vendor_message_id) if living else ""
