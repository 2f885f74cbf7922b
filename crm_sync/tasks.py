"""What a person must do: once per customer and kind, with a clock where a time was promised, and an outcome."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, and_, insert, select, update
from sqlalchemy.sql.elements import ColumnElement

from bot.errors import NotFound, StaleState
from bot.types import CreateTask
from crm_sync import clocks
from crm_sync.service_tables import clocks as clocks_table
from crm_sync.subjects import Subject, note
from crm_sync.tables import cases, tasks, timeline

MAX_LISTED: Final = 500


@dataclass(frozen=True, slots=True)
class OpenTask:
    """A task as staff see it."""

    id: int
    kind: str
    customer_id: int
    summary: str
    assignee: str
    due_at: datetime | None
    case_number: str
    suggestion: str
    rule: str
    details: dict[str, Any]
    is_late: bool


def create_task(conn: Connection, effect: CreateTask, subject: Subject) -> None:
    """The task is open, or the open one of its kind says this now; the customer's timeline tells."""
    case_id = None
    if effect.case_number:
        mine = and_(cases.c.number == effect.case_number, cases.c.customer_id == subject.customer_id)
        case_id = conn.execute(select(cases.c.id).where(mine)).scalar()
    is_new = put_task(
        conn, effect, subject.customer_id, subject.now, conversation_id=subject.conversation_id, case_id=case_id
    )
    note(conn, subject, f"task_{'created' if is_new else 'updated'}", effect.summary, effect.kind)


def put_task(
    conn: Connection,
    task: CreateTask,
    customer_id: int,
    now: datetime,
    *,
    conversation_id: int | None = None,
    case_id: int | None = None,
) -> bool:
    """True when the task is new; else the open one of its kind has what this one says, and its clocks begin anew."""
    same = and_(tasks.c.customer_id == customer_id, tasks.c.kind == task.kind, tasks.c.is_open)
    existing = conn.execute(select(tasks).where(same).with_for_update()).first()
    values: dict[str, Any] = {"summary": task.summary, "updated_at": now}
    for name in ("assignee", "rule", "suggestion"):
        if getattr(task, name):
            values[name] = getattr(task, name)
    if existing is None:
        values |= {
            "customer_id": customer_id,
            "conversation_id": conversation_id,
            "case_id": case_id,
            "kind": task.kind,
            "details": dict(task.details),
            "is_open": True,
            "due_at": task.due_at,
            "created_at": now,
        }
        task_id = conn.execute(insert(tasks).values(values)).inserted_primary_key[0]  # type: ignore[index]  # one row, one key
    else:
        task_id = existing.id
        values |= {"details": {**existing.details, **task.details}, "due_at": task.due_at or existing.due_at}
        conn.execute(update(tasks).where(tasks.c.id == task_id).values(values))
    clocks.begin(conn, task.clocks, now, task_id=task_id)
    return existing is None


def end_task(conn: Connection, task_id: int, *, outcome: str, note: str, by: str, now: datetime) -> None:
    """The task is done with this outcome, its clocks are met, the customer's timeline says so.

    Raises: NotFound; StaleState when somebody else has ended it.
    """
    task = conn.execute(select(tasks).where(tasks.c.id == task_id).with_for_update()).first()
    if task is None:
        raise NotFound(f"no task {task_id}")
    if not task.is_open:
        raise StaleState(f"task {task_id} was ended by {task.done_by or 'somebody'} before")
    conn.execute(
        update(tasks)
        .where(tasks.c.id == task_id)
        .values(is_open=False, outcome=outcome, outcome_note=note, done_by=by, done_at=now, updated_at=now)
    )
    kinds = conn.execute(select(clocks_table.c.kind).where(clocks_table.c.task_id == task_id)).scalars().all()
    clocks.end(conn, now, met=kinds, task_id=task_id)
    line = {"kind": "task_done", "summary": outcome or task.summary, "reference": task.kind, "author": "operator"}
    place = {"customer_id": task.customer_id, "conversation_id": task.conversation_id}
    conn.execute(insert(timeline), {**line, **place, "at": now})


def open_tasks(
    conn: Connection,
    now: datetime,
    *,
    assignee: str = "",
    kind: str = "",
    customer_id: int | None = None,
    limit: int = MAX_LISTED,
) -> list[OpenTask]:
    """Open tasks, those due first at the top; of one person or team, one kind, or for one customer, when named."""
    wanted: list[ColumnElement[bool]] = [tasks.c.is_open]
    wanted += [tasks.c.assignee == assignee] if assignee else []
    wanted += [tasks.c.kind == kind] if kind else []
    wanted += [tasks.c.customer_id == customer_id] if customer_id is not None else []
    rows = conn.execute(
        select(tasks, cases.c.number)
        .join_from(tasks, cases, cases.c.id == tasks.c.case_id, isouter=True)
        .where(*wanted)
        .order_by(tasks.c.due_at.nulls_last(), tasks.c.id)
        .limit(min(limit, MAX_LISTED))
    )
    return [
        OpenTask(
            id=row.id,
            kind=row.kind,
            customer_id=row.customer_id,
            summary=row.summary,
            assignee=row.assignee,
            due_at=row.due_at,
            case_number=row.number or "",
            suggestion=row.suggestion,
            rule=row.rule,
            details=row.details,
            is_late=row.due_at is not None and row.due_at < now,
        )
        for row in rows
    ]
