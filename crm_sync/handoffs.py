"""Who holds a conversation: bot, queue or an operator with a lease; every change is one row of its history.

The fence goes up with each change of who writes, and with each act of the staff, so that of two acts at once one wins
and a bot reply decided before is dropped by the outbox. While somebody waits the bot goes on writing: what it said
leaves.
All of it is done for many conversations with a handful of statements.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, and_, bindparam, exists, select, update
from sqlalchemy.sql.elements import ColumnElement

from bot.types import Lane, Owner
from crm_sync.columns import id_in, is_filled, is_state
from crm_sync.committing import LANES
from crm_sync.console_tables import handoff_events, staff_notices
from crm_sync.statements import Statement, insert_rows
from crm_sync.tables import conversations, handoffs, outbox, staff_users, timeline

# What a move needs to know of a conversation.
COLUMNS: Final = (
    conversations.c.id,
    conversations.c.customer_id,
    conversations.c.channel,
    conversations.c.account,
    conversations.c.language,
    conversations.c.status,
    conversations.c.owner,
    conversations.c.operator,
    conversations.c.owner_until,
    conversations.c.last_operator,
    conversations.c.team,
    conversations.c.priority,
    conversations.c.fence,
    conversations.c.waiting_since,
    conversations.c.unanswered_since,
)
IN_ITS_PLACE: Final = frozenset({"expired", "released"})  # nobody's choice: the customer keeps the place they had
_TOLD: Final = frozenset({"assigned", "transferred"})
_IN_THE_RECORD: Final = frozenset({"taken", "assigned", "pulled", "transferred", "returned"})


@dataclass(frozen=True, slots=True)
class Move:
    """A conversation, locked, as it was (`row`: COLUMNS), and who has it from now on.

    kinds: requested, taken, assigned, pulled (taken from a colleague), transferred, overflowed, expired, released (the
    operator left), returned, solved (what they waited for is), left (the customer no longer waits). `by`: the staff
    user; "": the rules.
    """

    row: Any
    kind: str
    owner: Owner
    by: str = ""
    operator: str = ""
    team: str | None = None  # None: as it was
    note: str = ""
    until: datetime | None = None  # of the operator's lease


@dataclass(frozen=True, slots=True)
class Moved:
    """How the conversation stands after a move."""

    conversation_id: int
    owner: Owner
    operator: str
    team: str
    fence: int
    waiting_since: datetime | None
    until: datetime | None


_OPEN = Statement(
    select(handoffs.c.id, handoffs.c.conversation_id, handoffs.c.queued_at)
    .where(id_in(handoffs.c.conversation_id, "ids"), handoffs.c.ended_at.is_(None))
    .order_by(handoffs.c.id)
)
_SET = Statement(
    update(conversations)
    .where(conversations.c.id == bindparam("b_id"))
    .values(
        **{
            name: bindparam(f"b_{name}", type_=conversations.c[name].type)
            for name in (
                "owner", "operator", "owner_until", "last_operator", "team", "priority", "fence", "waiting_since",
                "unanswered_since",
            )
        }
    )
)  # fmt: skip
_REOPEN = Statement(
    update(conversations)
    .where(id_in(conversations.c.id, "b_ids"), ~is_state(conversations.c.status, "open"))
    .values(status="open", snoozed_until=None, closed_at=None)
)
_ENDED = Statement(
    update(handoffs)
    .where(handoffs.c.id == bindparam("b_id"))
    .values(
        ended_at=bindparam("b_at", type_=handoffs.c.ended_at.type),
        ended_by=bindparam("b_by", type_=handoffs.c.ended_by.type),
        summary=bindparam("b_summary", type_=handoffs.c.summary.type),
    )
)
_TAKEN = Statement(
    update(handoffs)
    .where(handoffs.c.id == bindparam("b_id"), handoffs.c.taken_at.is_(None))
    .values(operator=bindparam("b_operator"), taken_at=bindparam("b_at", type_=handoffs.c.taken_at.type))
)
_QUEUED = Statement(
    update(handoffs)
    .where(handoffs.c.id == bindparam("b_id"))
    .values(team=bindparam("b_team"), queued_at=bindparam("b_at", type_=handoffs.c.queued_at.type))
)
# What the bot said to somebody whom only the staff's act made another owner's leaves: the bot writes before and after.
_STILL_LEAVES = Statement(
    update(outbox)
    .where(
        outbox.c.conversation_id == bindparam("b_id"),
        is_state(outbox.c.state, "pending", "sending"),
        outbox.c.lane == LANES[Lane.REPLY],
        outbox.c.fence == bindparam("b_before"),
    )
    .values(fence=bindparam("b_fence"))
)
_ANSWERED = Statement(
    update(conversations)
    .where(conversations.c.id == bindparam("b_id"))
    .values(unanswered_since=None, answered_at=bindparam("b_at", type_=conversations.c.answered_at.type))
)
_FIRST_REPLY = Statement(
    update(handoffs)
    .where(
        handoffs.c.conversation_id == bindparam("b_id"),
        handoffs.c.ended_at.is_(None),
        handoffs.c.first_reply_at.is_(None),
    )
    .values(first_reply_at=bindparam("b_at", type_=handoffs.c.first_reply_at.type))
)
_RENEW = Statement(
    update(conversations)
    .where(conversations.c.operator == bindparam("b_operator"), conversations.c.owner_until.is_not(None))
    .values(owner_until=bindparam("b_until", type_=conversations.c.owner_until.type))
)


def as_it_is(row: Any) -> Moved:
    """How a conversation (COLUMNS) stands that nobody moved."""
    return Moved(row.id, Owner(row.owner), row.operator, row.team, row.fence, row.waiting_since, row.owner_until)


def move(conn: Connection, moves: Sequence[Move], now: datetime) -> list[Moved]:
    """Every conversation is with whom its move says, with the history and the open handoff that go with it."""
    if not moves:
        return []
    found = _OPEN.rows(conn, {"ids": sorted({item.row.id for item in moves})})
    waiting: dict[int, Any] = {row.conversation_id: row for row in found}
    moved = [_moved(item, waiting.get(item.row.id), now) for item in moves]
    both = list(zip(moves, moved, strict=True))
    _SET.change_each(conn, [_values(item, after) for item, after in both])
    if reopened := [item.row.id for item in moves if item.owner is not Owner.BOT and item.kind not in IN_ITS_PLACE]:
        _REOPEN.change(conn, {"b_ids": reopened})
    _STILL_LEAVES.change_each(
        conn,
        [
            {"b_id": item.row.id, "b_before": item.row.fence, "b_fence": after.fence}
            for item, after in both
            if Owner.OPERATOR not in (item.owner, item.row.owner) and after.fence != item.row.fence
        ],
    )
    ids = _handoffs(conn, both, waiting, now)
    insert_rows(conn, handoff_events, [_event(item, after, ids.get(item.row.id), now) for item, after in both])
    insert_rows(conn, timeline, [_line(item, now) for item in moves if item.kind in _IN_THE_RECORD])
    _tell(conn, [item for item in moves if item.kind in _TOLD and item.operator and item.operator != item.by], now)
    return moved


def _moved(item: Move, waiting: Any, now: datetime) -> Moved:
    row = item.row
    since = None
    if item.owner is Owner.QUEUE:
        place = waiting.queued_at if waiting is not None and item.kind in IN_ITS_PLACE else None
        since = row.waiting_since or place or row.unanswered_since or now
    is_same_writer = item.owner is not Owner.OPERATOR and row.owner != Owner.OPERATOR and not item.by
    return Moved(
        row.id,
        item.owner,
        item.operator if item.owner is Owner.OPERATOR else "",
        row.team if item.team is None else item.team,
        row.fence if is_same_writer else row.fence + 1,
        since,
        item.until if item.owner is Owner.OPERATOR else None,
    )


def _values(item: Move, after: Moved) -> dict[str, Any]:
    row, with_bot = item.row, item.owner is Owner.BOT
    return {
        "b_id": row.id,
        "b_owner": after.owner.value,
        "b_operator": after.operator,
        "b_owner_until": after.until,
        "b_last_operator": after.operator or row.last_operator,
        "b_team": "" if with_bot else after.team,
        "b_priority": 0 if with_bot else row.priority,
        "b_fence": after.fence,
        "b_waiting_since": after.waiting_since,
        "b_unanswered_since": None if with_bot else row.unanswered_since or after.waiting_since,
    }


def _handoffs(
    conn: Connection, both: Sequence[tuple[Move, Moved]], waiting: Mapping[int, Any], now: datetime
) -> dict[int, int]:
    """Each conversation's open handoff is there, taken, queued or ended as its move says; conversation -> its id."""
    begun = [
        {
            "conversation_id": item.row.id,
            "reason": item.kind,
            "urgency": 2,
            "fence": after.fence,
            "requested_at": now,
            "queued_at": after.waiting_since or now,
            "team": after.team,
            "priority": item.row.priority,
        }
        for item, after in both
        if item.row.id not in waiting and item.owner is not Owner.BOT
    ]
    ids = {conversation: int(row.id) for conversation, row in waiting.items()}
    if begun:
        insert_rows(conn, handoffs, begun)
        rows = _OPEN.rows(conn, {"ids": sorted(row["conversation_id"] for row in begun)})
        ids.update({row.conversation_id: int(row.id) for row in rows})
    _ENDED.change_each(
        conn,
        [
            {"b_id": ids[item.row.id], "b_at": now, "b_by": item.by or item.kind, "b_summary": item.note}
            for item, _ in both
            if item.owner is Owner.BOT and item.row.id in ids
        ],
    )
    _TAKEN.change_each(
        conn,
        [
            {"b_id": ids[item.row.id], "b_operator": after.operator, "b_at": now}
            for item, after in both
            if item.owner is Owner.OPERATOR
        ],
    )
    _QUEUED.change_each(
        conn,
        [
            {"b_id": ids[item.row.id], "b_team": after.team, "b_at": after.waiting_since}
            for item, after in both
            if item.owner is Owner.QUEUE
        ],
    )
    return ids


def _event(item: Move, after: Moved, handoff_id: int | None, now: datetime) -> dict[str, Any]:
    return {
        "conversation_id": item.row.id,
        "handoff_id": handoff_id,
        "kind": item.kind,
        "by": item.by,
        "to": after.operator or (after.team if item.owner is Owner.QUEUE else ""),
        "note": item.note,
        "fence": after.fence,
        "at": now,
    }


def _line(item: Move, now: datetime) -> dict[str, Any]:
    return {
        "customer_id": item.row.customer_id,
        "conversation_id": item.row.id,
        "kind": f"handoff_{item.kind}",
        "summary": item.note if item.kind == "returned" else item.kind,  # notes between colleagues stay with them
        "reference": item.operator or item.by,
        "author": "operator" if item.by else "system",
        "at": now,
    }


def _tell(conn: Connection, moves: Sequence[Move], now: datetime) -> None:
    """Whoever was given a conversation by somebody else finds it among their notices."""
    if not moves:
        return
    names = {item.operator for item in moves}
    found = conn.execute(select(staff_users.c.id, staff_users.c.name).where(staff_users.c.name.in_(names)))
    ids = {row.name: row.id for row in found}
    rows = [
        {"user_id": ids[item.operator], "kind": item.kind, "conversation_id": item.row.id, "by": item.by, "at": now}
        for item in moves
        if item.operator in ids
    ]
    insert_rows(conn, staff_notices, rows)


# --- while an operator has it ---------------------------------------------------------------------------------------


def answered(conn: Connection, conversation_id: int, now: datetime) -> None:
    """An operator's words are on their way: nothing is unanswered, and the first answer of the handoff has its time."""
    _ANSWERED.change(conn, {"b_id": conversation_id, "b_at": now})
    _FIRST_REPLY.change(conn, {"b_id": conversation_id, "b_at": now})


def renew(conn: Connection, operator: str, until: datetime, now: datetime) -> int:
    """A sign of life: all the operator holds is theirs until then; how many conversations that is."""
    conn.execute(update(staff_users).where(staff_users.c.name == operator).values(last_seen_at=now))
    return _RENEW.change(conn, {"b_operator": operator, "b_until": until})


def held_by(conn: Connection, operator: str) -> Sequence[Any]:
    """What this operator holds (COLUMNS), locked, in order of ids."""
    mine = and_(conversations.c.operator == operator, is_state(conversations.c.owner, "operator"))
    return conn.execute(select(*COLUMNS).where(mine).order_by(conversations.c.id).with_for_update()).all()


def expired(conn: Connection, now: datetime, limit: int) -> Sequence[Any]:
    """Conversations (COLUMNS) whose operator gave no sign of life for a lease, locked; none that others look at."""
    return _some(conn, _is_over(now), limit)


def silent(conn: Connection, before: datetime, limit: int) -> Sequence[Any]:
    """Our operators' conversations (COLUMNS) where nothing was said or done since and nothing is unanswered, locked."""
    return _some(conn, _is_silent(before), limit)


def is_any_over(conn: Connection, now: datetime, before: datetime) -> bool:
    """Whether there is one to be found by `expired` or `silent`; nothing is locked."""
    return any(
        conn.execute(select(conversations.c.id).where(which).limit(1)).first() is not None
        for which in (_is_over(now), _is_silent(before))
    )


def _is_over(now: datetime) -> ColumnElement[bool]:
    return and_(conversations.c.owner_until.is_not(None), conversations.c.owner_until <= now)


def _is_silent(before: datetime) -> ColumnElement[bool]:
    came_since = exists().where(handoff_events.c.conversation_id == conversations.c.id, handoff_events.c.at > before)
    return and_(
        is_filled(conversations.c.operator),
        conversations.c.owner_until.is_not(None),
        conversations.c.last_message_at <= before,
        conversations.c.unanswered_since.is_(None),
        ~came_since,
    )


def _some(conn: Connection, which: ColumnElement[bool], limit: int) -> Sequence[Any]:
    found = select(*COLUMNS).where(which).order_by(conversations.c.id).limit(limit)
    return conn.execute(found.with_for_update(skip_locked=True)).all()
