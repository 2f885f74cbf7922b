"""Things to be done once, at or after a moment: planned in any transaction, found again by index, done exactly once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, and_, bindparam, select, text, update
from sqlalchemy.sql.elements import ColumnElement

from crm_sync.columns import is_postgres
from crm_sync.rows import insert_if_absent
from crm_sync.service_tables import timers
from crm_sync.statements import Statement

MAX_ATTEMPTS: Final = 6
_ONE_AT_A_TIME: Final = 7_310_642_114  # advisory lock: handing out in order needs a single hand


@dataclass(frozen=True, slots=True)
class Timer:
    """A due timer, locked by this transaction."""

    id: int
    kind: str
    at: datetime
    customer_id: int | None
    case_id: int | None
    details: Mapping[str, Any]
    attempts: int


def plan(
    conn: Connection,
    kind: str,
    at: datetime,
    now: datetime,
    *,
    key: str | None = None,
    customer_id: int | None = None,
    case_id: int | None = None,
    details: Mapping[str, Any] | None = None,
) -> bool:
    """It will be done at (or soon after) `at`; False when this key was planned before, done or not."""
    row = {
        "key": key,
        "kind": kind,
        "at": at,
        "customer_id": customer_id,
        "case_id": case_id,
        "details": dict(details or {}),
        "created_at": now,
    }
    return insert_if_absent(conn, timers, row, key=("key",))  # rows without a key never stand in each other's way


def cancel(conn: Connection, key: str, now: datetime) -> bool:
    """It will not be done, and the key is free again; False when nothing with it was still to be done."""
    return _cancel(conn, timers.c.key == key, now) > 0


def free(conn: Connection, key: str) -> bool:
    """What was set aside undone under this key keeps its reason and no longer stands in the way of another try."""
    set_aside = and_(timers.c.key == key, timers.c.at.is_(None), timers.c.done_at.is_(None))
    return conn.execute(update(timers).where(set_aside).values(key=None)).rowcount > 0


def cancel_for_case(conn: Connection, case_id: int, kinds: Sequence[str], now: datetime) -> int:
    """Nothing of these kinds is still to be done for the case; how many there were."""
    return _cancel(conn, and_(timers.c.case_id == case_id, timers.c.kind.in_(kinds)), now)


def _cancel(conn: Connection, which: ColumnElement[bool], now: datetime) -> int:
    gone = {"at": None, "key": None, "done_at": now, "reason": "cancelled"}
    return conn.execute(update(timers).where(which, timers.c.at.is_not(None)).values(**gone)).rowcount


_ANY_DUE: Final = Statement(select(timers.c.id).where(timers.c.at <= bindparam("now", type_=timers.c.at.type)).limit(1))


def is_due(conn: Connection, now: datetime) -> bool:
    """Whether anything is; nothing is locked."""
    return bool(_ANY_DUE.rows(conn, {"now": now}))


def due(conn: Connection, now: datetime, limit: int) -> list[Timer]:
    """The timers that are due, the oldest first, locked; none while another process holds some."""
    if is_postgres(conn) and not conn.execute(text(f"SELECT pg_try_advisory_xact_lock({_ONE_AT_A_TIME})")).scalar():
        return []
    rows = conn.execute(
        select(timers)
        .where(timers.c.at <= now)
        .order_by(timers.c.at, timers.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [Timer(row.id, row.kind, row.at, row.customer_id, row.case_id, row.details, row.attempts) for row in rows]


def hold(conn: Connection, timer_id: int, now: datetime) -> bool:
    """The timer is locked by this transaction and still due; False when somebody else has done it."""
    still = and_(timers.c.id == timer_id, timers.c.at <= now)
    return conn.execute(select(timers.c.id).where(still).with_for_update()).first() is not None


def lease(conn: Connection, timer_id: int, until: datetime) -> None:
    """It is being worked on, and due again at `until` unless somebody says otherwise."""
    conn.execute(update(timers).where(timers.c.id == timer_id).values(at=until))


def extend(conn: Connection, timer_id: int, held: datetime, until: datetime) -> bool:
    """What was leased until `held` is due at `until` instead; False when somebody else has it by now."""
    still = and_(timers.c.id == timer_id, timers.c.at == held)
    return conn.execute(update(timers).where(still).values(at=until, attempts=0)).rowcount > 0


def done(conn: Connection, ids: Sequence[int], now: datetime) -> None:
    """They are not due again."""
    conn.execute(update(timers).where(timers.c.id.in_(ids)).values(at=None, done_at=now))


def failed(conn: Connection, timer: Timer, reason: str, now: datetime) -> None:
    """It is tried again after a while that grows; set aside with the reason after MAX_ATTEMPTS."""
    attempts = timer.attempts + 1
    again = None if attempts >= MAX_ATTEMPTS else now + timedelta(seconds=15 * 2**attempts)
    conn.execute(update(timers).where(timers.c.id == timer.id).values(attempts=attempts, at=again, reason=reason[:500]))
