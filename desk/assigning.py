"""What happens to conversations by the rules alone: given out, moved on, taken back from who is gone, returned."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from bot.service.assignment import ONLINE, Operator, Waiting, assign, overflowing
from bot.service.policy import ServicePolicy
from bot.types import Owner
from crm_sync import handoffs, presence
from crm_sync.handoffs import Move, Moved
from crm_sync.presence import StaffLine
from desk.actors import permits

BATCH: Final = 200  # leases and silences in one transaction
MOST_WAITING: Final = 2000  # looked at in one go; those beyond have the fewest points


def is_due(conn: Connection, policy: ServicePolicy, now: datetime) -> bool:
    """Whether `step` would do anything. Locks and writes nothing."""
    return handoffs.is_any_over(conn, now, now - policy.handoff.silence) or bool(_plan(conn, policy, now, lock=False))


def step(conn: Connection, policy: ServicePolicy, now: datetime) -> list[Moved]:
    """One look at all that the rules decide by themselves, in one transaction; nothing while somebody else looks."""
    if not presence.is_alone(conn):
        return []
    rules = policy.handoff
    over = handoffs.expired(conn, now, BATCH)
    moved = handoffs.move(conn, [let_go(row, "expired") for row in over], now)
    presence.are_gone(conn, [row.operator for row in over], now - rules.lease, now) if over else None
    quiet = handoffs.silent(conn, now - rules.silence, BATCH)
    moved += handoffs.move(conn, [Move(row, "returned", Owner.BOT) for row in quiet], now)
    return moved + give_out(conn, policy, now)


def let_go(row: Any, kind: str, by: str = "") -> Move:
    """Whom an operator no longer looks after waits at their old place; what was closed is the bot's."""
    if row.status == "closed":
        return Move(row, "returned", Owner.BOT, by=by)
    return Move(row, kind, Owner.QUEUE, by=by)


def give_out(conn: Connection, policy: ServicePolicy, now: datetime) -> list[Moved]:
    """Who has waited too long is in another team's queue, and whoever is there and has room was given their share."""
    moves = _plan(conn, policy, now, lock=True)
    presence.were_given(conn, [item.operator for item in moves if item.operator], now)
    return handoffs.move(conn, moves, now)


def _plan(conn: Connection, policy: ServicePolicy, now: datetime, *, lock: bool) -> list[Move]:
    rules = policy.handoff
    here = presence.staff_lines(conn, presence=ONLINE)
    answering = {role for role in {line.role for line in here} if permits(conn, role, "conversations.reply")}
    people = [operator_of(line, policy) for line in here if line.role in answering]
    people = [person for person in people if person.has_room and person.is_there(rules, now)]
    if not people and not any(each.handoff.overflow for each in policy.each):
        return []
    rows = presence.waiting_chats(conn, MOST_WAITING, lock=lock)
    by_id = {row.id: row for row in rows}
    waiting = [waiting_of(row, policy, now) for row in rows]
    given = assign(waiting, people, rules, now)
    taken = {item.conversation_id for item in given}
    left = [chat for chat in waiting if chat.id not in taken]
    late: dict[int, str] = {}
    for mine in policy.each:  # to whom somebody is passed on, each assistant's rules say for its own accounts
        chats = [chat for chat in left if policy.of((chat.channel, by_id[chat.id].account)) is mine]
        late |= overflowing(chats, mine.handoff, now)
    moves = [
        Move(by_id[item.conversation_id], "assigned", Owner.OPERATOR, operator=item.operator, until=now + rules.lease)
        for item in given
    ]
    return moves + [Move(by_id[chat], "overflowed", Owner.QUEUE, team=team) for chat, team in late.items()]


def operator_of(line: StaffLine, policy: ServicePolicy) -> Operator:
    return Operator(
        name=line.name,
        capacity=line.capacity or policy.handoff.capacity,
        load=line.load,
        presence=line.presence,
        seen_at=line.seen_at,
        assigned_at=line.assigned_at,
        teams=policy.teams_of(line.name),
        languages=line.languages,
        topics=line.topics,
        channels=line.channels,
    )


def waiting_of(row: Any, policy: ServicePolicy, now: datetime) -> Waiting:
    is_recent = row.last_message_at is not None and now - row.last_message_at < policy.handoff.sticky
    return Waiting(
        id=row.id,
        priority=row.priority,
        waiting_since=row.waiting_since or now,
        team=row.team,
        language=row.language or "",
        topic=row.topic,
        channel=row.channel,
        sticky_operator=row.last_operator if is_recent else "",
    )


def in_turn(rows: Sequence[Any], operator: Operator, policy: ServicePolicy, now: datetime) -> Any | None:
    """The row of the waiting conversation that this operator is to take next; None when none is for them."""
    chats = [waiting_of(row, policy, now) for row in rows]
    mine = [chat for chat in chats if operator.can_help(chat)]
    first = min(mine, key=lambda chat: (policy.handoff.rank(chat.priority, chat.waiting_since), chat.id), default=None)
    return next((row for row in rows if first is not None and row.id == first.id), None)
