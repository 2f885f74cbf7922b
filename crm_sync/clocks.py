"""The rows of clocks: begun, paused, resumed, met, stopped. What is due when is decided by whoever knows the calendars.

Functions take a connection and are part of the caller's transaction. Looking at due ones is in `due_clocks.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from functools import cache
from types import SimpleNamespace
from typing import Any, Final

from sqlalchemy import (
    Connection,
    Insert,
    Text,
    and_,
    bindparam,
    case,
    insert,
    literal_column,
    or_,
    select,
    union_all,
    update,
)

from bot.service_types import ClockStart
from crm_sync.columns import is_state, key_in
from crm_sync.service_tables import clocks
from crm_sync.statements import Statement, insert_rows

ACTIVE: Final = ("running", "paused")
_COLUMNS: Final = (
    *("case_id", "task_id", "kind", "state", "calendar", "budget_s", "used_s"),
    *("running_since", "due_at", "warn_share", "next_at", "started_at"),
)
Spent = Callable[[Any, datetime], int]  # clock row, now -> working seconds used until now
Again = Callable[[Any, datetime], tuple[datetime | None, datetime | None]]  # clock row, now -> due_at, next_at


def begin(
    conn: Connection,
    starts: Sequence[ClockStart],
    now: datetime,
    *,
    case_id: int | None = None,
    task_id: int | None = None,
) -> None:
    """These clocks of the case or task run from now on; ones of the same kind that ran before are stopped."""
    if starts:
        end(conn, now, stopped=[start.kind for start in starts], case_id=case_id, task_id=task_id)
        begin_first(conn, starts, now, case_id=case_id, task_id=task_id)


def begin_first(
    conn: Connection,
    starts: Sequence[ClockStart],
    now: datetime,
    *,
    case_id: int | None = None,
    task_id: int | None = None,
) -> None:
    """As `begin`, for a case or task that has no clocks of these kinds under way."""
    insert_rows(conn, clocks, [row_of(start, now, case_id=case_id, task_id=task_id) for start in starts])


def row_of(start: ClockStart, now: datetime, *, case_id: int | None, task_id: int | None = None) -> dict[str, Any]:
    """The row of a clock that begins now."""
    return {
        "case_id": case_id,
        "task_id": task_id,
        "kind": start.kind,
        "state": "running",
        "calendar": start.calendar,
        "budget_s": start.budget_s,
        "used_s": 0,
        "running_since": now,
        "due_at": start.due_at,
        "warn_share": start.warn_share,
        "next_at": start.next_at,
        "started_at": now,
    }


def insert_of_rows(prefixes: Sequence[str]) -> Insert:
    """Inserts a row of `row_of` for each prefix of its parameters' names, in this order: of several promises the first
    is told first.
    """
    # Of several inserts in a statement PostgreSQL does any one first, and one of several VALUES is compiled each time.
    rows = [
        select(*(bindparam(f"{prefix}{name}", type_=clocks.c[name].type) for name in _COLUMNS)) for prefix in prefixes
    ]
    return insert(clocks).from_select(_COLUMNS, union_all(*rows)).inline()


def tighten(conn: Connection, starts: Sequence[ClockStart], now: datetime, *, case_id: int) -> None:
    """Where one of these runs out before the running clock of its kind, it takes that one's place."""
    if not starts:
        return
    running = {
        row.kind: row.due_at
        for row in conn.execute(
            select(clocks.c.kind, clocks.c.due_at).where(clocks.c.case_id == case_id, is_state(clocks.c.state, *ACTIVE))
        )
    }
    earlier = [start for start in starts if (due := running.get(start.kind)) is not None and start.due_at < due]
    begin(conn, earlier, now, case_id=case_id)


def pause_all(conn: Connection, case_id: int, now: datetime, spent: Spent) -> None:
    """Every running clock of the case stands still; `spent` tells what was used of it until now."""
    for row in conn.execute(select(clocks).where(clocks.c.case_id == case_id, is_state(clocks.c.state, "running"))):
        conn.execute(
            update(clocks)
            .where(clocks.c.id == row.id)
            .values(state="paused", used_s=spent(row, now), running_since=None, due_at=None, next_at=None)
        )


def resume_all(conn: Connection, case_id: int, now: datetime, again: Again | None = None) -> None:
    """Every paused clock of the case runs again from now on.

    `again` tells when it is due now. Without it the scheduler, who knows the calendars, is to work that out at once.
    """
    for row in conn.execute(select(clocks).where(clocks.c.case_id == case_id, is_state(clocks.c.state, "paused"))):
        due_at, next_at = again(row, now) if again is not None else (None, now)
        conn.execute(
            update(clocks)
            .where(clocks.c.id == row.id)
            .values(state="running", running_since=now, due_at=due_at, next_at=next_at)
        )


def move_all(conn: Connection, case_id: int, calendar: str, now: datetime, *, spent: Spent, again: Again) -> None:
    """What is left of each promise of the case counts in this calendar from now on; what has run out stays as it is."""
    moved = and_(clocks.c.case_id == case_id, is_state(clocks.c.state, *ACTIVE), clocks.c.calendar != calendar)
    going_on = and_(clocks.c.breached_at.is_(None), or_(clocks.c.due_at.is_(None), clocks.c.due_at > now))
    for row in conn.execute(select(clocks).where(moved, going_on)).all():
        values: dict[str, Any] = {"calendar": calendar}
        if row.state == "running":
            values |= {"used_s": spent(row, now), "running_since": now}
            values["due_at"], values["next_at"] = again(SimpleNamespace(**{**row._mapping, **values}), now)
        conn.execute(update(clocks).where(clocks.c.id == row.id).values(**values))


def end(
    conn: Connection,
    now: datetime,
    *,
    met: Collection[str] = (),
    stopped: Collection[str] | None = (),
    case_id: int | None = None,
    task_id: int | None = None,
) -> bool:
    """Clocks of these kinds that were under way have ended: kept promises, and those that no longer matter.

    `stopped`: None for all that are not met. False when none was under way.
    """
    if (case_id is None) == (task_id is None):
        raise ValueError("a clock belongs to a case or to a task")
    if not met and stopped is not None and not stopped:
        return False
    owner = "case_id" if case_id is not None else "task_id"
    values = {"owner": case_id if case_id is not None else task_id, "now": now, "met": met, "stopped": stopped or ()}
    return _end(owner, stopped is None).change(conn, values) > 0


@cache
def _end(owner: str, is_all: bool) -> Statement:
    is_met = key_in(clocks.c.kind, "met")
    which = [clocks.c[owner] == bindparam("owner"), is_state(clocks.c.state, *ACTIVE)]
    if not is_all:
        which.append(or_(is_met, key_in(clocks.c.kind, "stopped")))
    state = case((is_met, literal_column("'met'", Text)), else_=literal_column("'stopped'", Text))
    ended_at = bindparam("now", type_=clocks.c.ended_at.type)
    return Statement(
        update(clocks).where(*which).values(state=state, ended_at=ended_at, running_since=None, next_at=None)
    )
