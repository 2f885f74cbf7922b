"""Subscribers and what they are told: rows, deliveries that are due, and how each of them ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, and_, delete, func, insert, select, update

from bot.errors import NotFound, StaleState
from crm_sync.columns import is_postgres, is_state
from crm_sync.console_tables import hook_deliveries, hooks
from crm_sync.rows import new_ids

MOST_HOOKS: Final = 100


def all_hooks(conn: Connection) -> Sequence[Any]:
    """Every subscriber, by id."""
    return conn.execute(select(hooks).order_by(hooks.c.id).limit(MOST_HOOKS)).all()


def active(conn: Connection) -> Sequence[Any]:
    """Those that want to be told now."""
    return conn.execute(select(hooks).where(hooks.c.is_active).order_by(hooks.c.id)).all()


def find(conn: Connection, hook_id: int) -> Any:
    """Raises: NotFound."""
    row = conn.execute(select(hooks).where(hooks.c.id == hook_id)).first()
    if row is None:
        raise NotFound(f"there is no subscriber {hook_id}")
    return row


def locked(conn: Connection, hook_id: int, version: int | None = None) -> Any:
    """The row, which nobody else changes before this transaction ends. Raises: NotFound, StaleState."""
    row = conn.execute(select(hooks).where(hooks.c.id == hook_id).with_for_update()).first()
    if row is None:
        raise NotFound(f"there is no subscriber {hook_id}")
    if version is not None and version != row.version:
        raise StaleState(f"subscriber {hook_id} was changed by somebody else; look at it again")
    return row


def new_id(conn: Connection) -> int:
    """The id of a subscriber to come: its secret is sealed for that id."""
    return int(new_ids(conn, hooks, 1)[0])


def add(conn: Connection, values: Mapping[str, Any]) -> None:
    conn.execute(insert(hooks), dict(values))


def change(conn: Connection, row: Any, values: Mapping[str, Any]) -> None:
    """The locked row has these values and a new version."""
    conn.execute(update(hooks).where(hooks.c.id == row.id).values(**values, version=row.version + 1))


def remove(conn: Connection, hook_id: int) -> None:
    """The subscriber is gone, with all it was told."""
    conn.execute(delete(hook_deliveries).where(hook_deliveries.c.hook_id == hook_id))
    conn.execute(delete(hooks).where(hooks.c.id == hook_id))


# --- deliveries -----------------------------------------------------------------------------------------------------


def put_deliveries(conn: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        conn.execute(insert(hook_deliveries), [dict(row) for row in rows])


def deliveries(
    conn: Connection, hook_id: int, *, state: str = "", before: int | None = None, limit: int
) -> Sequence[Any]:
    """What a subscriber was told, the newest first."""
    statement = select(hook_deliveries).where(hook_deliveries.c.hook_id == hook_id)
    if state:
        statement = statement.where(hook_deliveries.c.state == state)
    if before is not None:
        statement = statement.where(hook_deliveries.c.id < before)
    return conn.execute(statement.order_by(hook_deliveries.c.id.desc()).limit(limit)).all()


def find_delivery(conn: Connection, hook_id: int, delivery_id: int) -> Any:
    """Raises: NotFound."""
    mine = and_(hook_deliveries.c.id == delivery_id, hook_deliveries.c.hook_id == hook_id)
    row = conn.execute(select(hook_deliveries).where(mine).with_for_update()).first()
    if row is None:
        raise NotFound(f"subscriber {hook_id} was never told anything as {delivery_id}")
    return row


def replay(conn: Connection, delivery_id: int, now: datetime) -> None:
    """It is told once more, with all the time for tries that something new has."""
    again = {"state": "pending", "attempts": 0, "next_at": now, "status": None, "reason": "", "done_at": None}
    conn.execute(update(hook_deliveries).where(hook_deliveries.c.id == delivery_id).values(**again, created_at=now))


def hooks_due(conn: Connection, now: datetime) -> Sequence[int]:
    """Ids of the active subscribers for whom something is due."""
    due = and_(is_state(hook_deliveries.c.state, "pending"), hook_deliveries.c.next_at <= now)
    waiting = select(hook_deliveries.c.hook_id).where(due).distinct()
    return conn.execute(select(hooks.c.id).where(hooks.c.is_active, hooks.c.id.in_(waiting))).scalars().all()


def claim(conn: Connection, hook_id: int, now: datetime, lease: timedelta, limit: int) -> Sequence[Any]:
    """Due deliveries of a subscriber, the oldest first; nobody else is given them before the lease is over."""
    due = (
        select(hook_deliveries)
        .where(
            is_state(hook_deliveries.c.state, "pending"),
            hook_deliveries.c.next_at <= now,
            hook_deliveries.c.hook_id == hook_id,
        )
        .order_by(hook_deliveries.c.next_at, hook_deliveries.c.id)
        .limit(limit)
    )
    rows = conn.execute(due.with_for_update(skip_locked=True) if is_postgres(conn) else due).all()
    if rows:
        conn.execute(
            update(hook_deliveries)
            .where(hook_deliveries.c.id.in_([row.id for row in rows]))
            .values(attempts=hook_deliveries.c.attempts + 1, next_at=now + lease)
        )
    return rows


def ended(
    conn: Connection, row: Any, *, state: str, next_at: datetime | None, status: int | None, reason: str, now: datetime
) -> None:
    """How a try ended; the subscriber counts as failing from its first try that failed on."""
    mine = and_(hook_deliveries.c.id == row.id, is_state(hook_deliveries.c.state, "pending"))
    done_at = None if state == "pending" else now
    values = {"state": state, "next_at": next_at, "status": status, "reason": reason, "done_at": done_at}
    conn.execute(update(hook_deliveries).where(mine).values(**values))
    if state == "delivered":
        was = and_(hooks.c.id == row.hook_id, hooks.c.failing_since.is_not(None))
        conn.execute(update(hooks).where(was).values(failing_since=None))
    else:
        was = and_(hooks.c.id == row.hook_id, hooks.c.failing_since.is_(None))
        conn.execute(update(hooks).where(was).values(failing_since=now))


def waiting(conn: Connection, hook_id: int) -> int:
    """How much a subscriber has not been told yet."""
    mine = and_(is_state(hook_deliveries.c.state, "pending"), hook_deliveries.c.hook_id == hook_id)
    return int(conn.execute(select(func.count()).select_from(hook_deliveries).where(mine)).scalar_one())


def prune(conn: Connection, before: datetime) -> int:
    """Deliveries that ended before this are gone; how many."""
    return conn.execute(delete(hook_deliveries).where(hook_deliveries.c.done_at < before)).rowcount
