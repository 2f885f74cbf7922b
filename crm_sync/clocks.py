"""The rows of clocks: begun, paused, resumed, met, stopped. What is due when is decided by whoever knows the calendars.

Functions take a connection and are part of the caller's transaction. Looking at due ones is in `due_clocks.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, and_, select, update
from sqlalchemy.sql.elements import ColumnElement

from bot.service_types import ClockStart
from crm_sync.columns import is_state
from crm_sync.service_tables import clocks
from crm_sync.statements import insert_rows

ACTIVE: Final = ("running", "paused")
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
        _end(conn, "stopped", now, _of(case_id, task_id), clocks.c.kind.in_([start.kind for start in starts]))
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
    insert_rows(
        conn,
        clocks,
        [
            {
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
            for start in starts
        ],
    )


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


def meet(conn: Connection, kind: str, now: datetime, *, case_id: int | None = None, task_id: int | None = None) -> bool:
    """The promise is kept: its clock has ended. False when none of this kind was under way."""
    return _end(conn, "met", now, _of(case_id, task_id), clocks.c.kind == kind)


def stop_all(conn: Connection, now: datetime, *, case_id: int | None = None, task_id: int | None = None) -> None:
    """No clock of the case or task goes on: what was promised no longer matters."""
    _end(conn, "stopped", now, _of(case_id, task_id))


def _of(case_id: int | None, task_id: int | None) -> ColumnElement[bool]:
    if (case_id is None) == (task_id is None):
        raise ValueError("a clock belongs to a case or to a task")
    return clocks.c.case_id == case_id if case_id is not None else clocks.c.task_id == task_id


def _end(conn: Connection, state: str, now: datetime, *which: ColumnElement[bool]) -> bool:
    ended = conn.execute(
        update(clocks)
        .where(and_(*which), is_state(clocks.c.state, *ACTIVE))
        .values(state=state, ended_at=now, running_since=None, next_at=None)
    )
    return ended.rowcount > 0
