"""The board of open cases: how many there are of each status, and which promises run out when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, func, literal, select, tuple_
from sqlalchemy.sql.elements import ColumnElement

from crm_sync.case_lists import BoardFilter, conditions, names_of
from crm_sync.columns import is_state
from crm_sync.service_tables import clocks
from crm_sync.tables import case_events, cases


@dataclass(frozen=True, slots=True)
class DueLine:
    """A running promise of an open case. `is_broken`: it was seen to run out."""

    clock_id: int
    kind: str
    due_at: datetime
    is_broken: bool
    is_warned: bool
    number: str
    summary: str
    severity: int
    status: str
    team: str
    owner: str
    customer_id: int
    customer_name: str = ""


_CASE: Final = ("number", "summary", "severity", "status", "team", "owner", "customer_id")


def count_by_status(conn: Connection, which: BoardFilter) -> dict[str, int]:
    """How many cases fit, by their status; statuses without any are left out. Raises: NotFound."""
    statement = select(cases.c.status, func.count()).where(*conditions(conn, which)).group_by(cases.c.status)
    counts: dict[str, int] = dict(conn.execute(statement).all())
    return counts


def newest_event(conn: Connection) -> int:
    """A number that is another one whenever something has happened to a case."""
    return conn.execute(select(func.max(case_events.c.id))).scalar() or 0


def due_lines(
    conn: Connection,
    which: BoardFilter,
    since: datetime,
    until: datetime,
    *,
    after: tuple[datetime, int] | None = None,
    limit: int,
) -> list[DueLine]:
    """Promises that run out in this time, the soonest first; `after`: the last one of the page before.

    Raises: NotFound for a site there is none of.
    """
    statement = (
        select(
            clocks.c.id.label("clock_id"),
            clocks.c.kind,
            clocks.c.due_at,
            clocks.c.breached_at.is_not(None).label("is_broken"),
            clocks.c.warned_at.is_not(None).label("is_warned"),
            *(cases.c[name] for name in _CASE),
        )
        .join_from(clocks, cases, cases.c.id == clocks.c.case_id)
        .where(*conditions(conn, which), is_state(clocks.c.state, "running"))
        .where(clocks.c.due_at >= since, clocks.c.due_at < until)
    )
    if after is not None:
        statement = statement.where(tuple_(clocks.c.due_at, clocks.c.id) > _pair(*after))
    rows = conn.execute(statement.order_by(clocks.c.due_at, clocks.c.id).limit(limit)).all()
    names = names_of(conn, [row.customer_id for row in rows]) if rows else {}
    return [DueLine(**row._mapping, customer_name=names.get(row.customer_id, "")) for row in rows]


def _pair(due_at: datetime, clock_id: int) -> ColumnElement[Any]:
    return tuple_(literal(due_at, clocks.c.due_at.type), literal(clock_id, clocks.c.id.type))
