"""Who of the staff is there, how much they hold, and what waits: what assignment looks at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, and_, bindparam, func, select, text, update

from bot.errors import NotFound
from crm_sync.columns import is_filled, is_postgres, is_state
from crm_sync.handoffs import COLUMNS
from crm_sync.statements import Statement
from crm_sync.tables import conversations, handoffs, staff_users

_ONE_AT_A_TIME: Final = 7_310_642_115  # advisory lock: two who give out at once would fill the same room twice
_GIVEN = Statement(
    update(staff_users)
    .where(staff_users.c.name == bindparam("b_name"))
    .values(assigned_at=bindparam("b_at", type_=staff_users.c.assigned_at.type))
)


@dataclass(frozen=True, slots=True)
class StaffLine:
    """One of the staff who may be given conversations."""

    name: str
    role: str
    languages: frozenset[str]
    topics: frozenset[str]
    channels: frozenset[str]
    capacity: int
    presence: str
    seen_at: datetime | None
    assigned_at: datetime | None
    load: int


def is_alone(conn: Connection) -> bool:
    """Whether nobody else gives out conversations until this transaction ends."""
    if not is_postgres(conn):
        return True  # it holds the only write lock
    return bool(conn.execute(text(f"SELECT pg_try_advisory_xact_lock({_ONE_AT_A_TIME})")).scalar())


def staff_lines(conn: Connection, *, presence: str = "") -> list[StaffLine]:
    """Accounts that may sign in, with how many conversations each holds; `presence`: only those."""
    held = (
        select(conversations.c.operator, func.count().label("load"))
        .where(is_filled(conversations.c.operator), conversations.c.status == "open")
        .group_by(conversations.c.operator)
    )
    loads: Mapping[str, int] = {row.operator: row.load for row in conn.execute(held)}
    wanted = [staff_users.c.disabled_at.is_(None), *([staff_users.c.presence == presence] if presence else [])]
    rows = conn.execute(select(staff_users).where(*wanted).order_by(staff_users.c.name))
    return [
        StaffLine(
            row.name,
            row.role,
            frozenset(row.languages),
            frozenset(row.topics),
            frozenset(row.channels),
            row.capacity,
            row.presence,
            row.last_seen_at,
            row.assigned_at,
            loads.get(row.name, 0),
        )
        for row in rows
    ]


def waiting_chats(conn: Connection, limit: int, *, lock: bool = True) -> Sequence[Any]:
    """The queue (COLUMNS and `topic`, `last_message_at`), locked, those with the most points first.

    Conversations that a turn or another hand has at this moment are left for the next time; those a vendor's people
    have are theirs.
    """
    waiting = and_(handoffs.c.conversation_id == conversations.c.id, handoffs.c.ended_at.is_(None))
    found = (
        select(*COLUMNS, handoffs.c.topic, conversations.c.last_message_at)
        .join_from(conversations, handoffs, waiting)
        .where(
            is_state(conversations.c.owner, "queue"),
            conversations.c.status == "open",
            handoffs.c.passed_on_at.is_(None),
        )
        .order_by(conversations.c.priority.desc(), conversations.c.waiting_since, conversations.c.id)
        .limit(limit)
    )
    return conn.execute(found.with_for_update(of=conversations, skip_locked=True) if lock else found).all()


def set_presence(conn: Connection, name: str, presence: str, now: datetime) -> None:
    """They are there, or not, from now on. Raises: NotFound."""
    mine = staff_users.c.name == name
    told = update(staff_users).where(mine).values(presence=presence, presence_at=now, last_seen_at=now)
    if conn.execute(told).rowcount == 0:
        raise NotFound(f"there is no staff account {name!r}")


def are_gone(conn: Connection, names: Sequence[str], seen_before: datetime, now: datetime) -> None:
    """Those of them who gave no sign of life since are off."""
    gone = and_(
        staff_users.c.name.in_(sorted(set(names))),
        staff_users.c.presence != "off",
        (staff_users.c.last_seen_at.is_(None)) | (staff_users.c.last_seen_at <= seen_before),
    )
    conn.execute(update(staff_users).where(gone).values(presence="off", presence_at=now))


def were_given(conn: Connection, names: Sequence[str], now: datetime) -> None:
    """They were given something just now."""
    _GIVEN.change_each(conn, [{"b_name": name, "b_at": now} for name in sorted(set(names))])


def may_work(conn: Connection, name: str) -> bool:
    """Whether there is such an account and it may sign in."""
    known = and_(staff_users.c.name == name, staff_users.c.disabled_at.is_(None))
    return conn.execute(select(staff_users.c.id).where(known)).first() is not None
