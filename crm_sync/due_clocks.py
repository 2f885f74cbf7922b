"""Promises that run out: found by index, in batches, each step of each clock written once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, insert, or_, select, update

from crm_sync.accounts import Account, accounts_of
from crm_sync.service_tables import clocks
from crm_sync.staff_notices import notify_each
from crm_sync.statements import Statement
from crm_sync.tables import case_events, cases, tasks

_UPDATE = (
    update(clocks)
    .where(clocks.c.id == bindparam("b_id"))
    .values(
        due_at=bindparam("b_due_at", type_=clocks.c.due_at.type),
        next_at=bindparam("b_next_at", type_=clocks.c.next_at.type),
        warned_at=bindparam("b_warned_at", type_=clocks.c.warned_at.type),
        breached_at=bindparam("b_breached_at", type_=clocks.c.breached_at.type),
        escalated=bindparam("b_escalated"),
    )
)

_HAND_UP = (
    update(tasks)
    .where(tasks.c.id == bindparam("b_id"))
    .values(
        assignee=bindparam("b_assignee"),
        due_at=bindparam("b_now", type_=tasks.c.due_at.type),
        updated_at=bindparam("b_now", type_=tasks.c.updated_at.type),
    )
)


@dataclass(frozen=True, slots=True)
class DueClock:
    """A clock the scheduler has to look at, with what it belongs to; locked by this transaction."""

    id: int
    kind: str
    calendar: str
    budget_s: int
    used_s: int
    running_since: datetime | None
    due_at: datetime | None
    warn_share: float
    warned_at: datetime | None
    breached_at: datetime | None
    escalated: int
    case_id: int | None
    task_id: int | None
    customer_id: int
    number: str  # of the case; "" for a task's
    severity: int
    team: str
    owner: str
    watchers: tuple[str, ...]
    summary: str
    account: Account = ("", "")  # where the case or task came from


@dataclass(frozen=True, slots=True)
class Task:
    """What a person is asked to do because of a clock."""

    kind: str
    assignee: str
    summary: str


@dataclass(frozen=True, slots=True)
class Step:
    """What has become of a clock: its new times, the lines of the case's history, and who is asked to act."""

    due_at: datetime | None
    next_at: datetime | None
    warned_at: datetime | None
    breached_at: datetime | None
    escalated: int
    events: tuple[Mapping[str, Any], ...] = ()  # changes of case_events, e.g. {"clock": "solution", "step": "breached"}
    tasks: tuple[Task, ...] = ()
    watchers: tuple[str, ...] = field(default=())  # who watches the case from now on, beside those before


Decide = Callable[[DueClock], Step]


_ANY_DUE = Statement(
    select(clocks.c.id).where(clocks.c.next_at <= bindparam("now", type_=clocks.c.next_at.type)).limit(1)
)


def is_clock_due(conn: Connection, now: datetime) -> bool:
    """Whether any is; nothing is locked."""
    return bool(_ANY_DUE.rows(conn, {"now": now}))


def step_due(conn: Connection, now: datetime, limit: int, decide: Decide) -> int:
    """Up to `limit` clocks whose next moment has come are moved on as `decide` says; how many there were.

    Rows another scheduler holds are left to it.
    """
    found = _due(conn, now, limit)
    if found:
        _write(conn, [(clock, decide(clock)) for clock in found], now)
    return len(found)


def recount(conn: Connection, after_id: int, limit: int, decide: Decide) -> int | None:
    """Running clocks with an id above `after_id` get their times anew, e.g. because a holiday was added.

    The id to go on after; None when all are done.
    """
    rows = conn.execute(
        _joined()
        .where(clocks.c.id > after_id, clocks.c.state == "running")
        .order_by(clocks.c.id)
        .limit(limit)
        .with_for_update(of=clocks)
    ).all()
    changes = []
    for row, clock in zip(rows, _clocks(conn, rows), strict=True):
        step = decide(clock)
        if (step.due_at, step.next_at) != (row.due_at, row.next_at):
            changes.append((clock, step))
    if changes:
        conn.execute(_UPDATE, [_values(clock, step) for clock, step in changes])
    return rows[-1].id if len(rows) == limit else None


def _joined() -> Any:
    """Clocks with the case or task they belong to."""
    return (
        select(
            clocks,
            cases.c.customer_id.label("case_customer"),
            cases.c.conversation_id.label("case_conversation"),
            cases.c.number,
            cases.c.severity,
            cases.c.team,
            cases.c.owner,
            cases.c.watchers,
            cases.c.summary,
            tasks.c.customer_id.label("task_customer"),
            tasks.c.conversation_id.label("task_conversation"),
            tasks.c.assignee,
            tasks.c.summary.label("task_summary"),
        )
        .join_from(clocks, cases, cases.c.id == clocks.c.case_id, isouter=True)
        .join(tasks, tasks.c.id == clocks.c.task_id, isouter=True)
    )


def _due(conn: Connection, now: datetime, limit: int) -> list[DueClock]:
    rows = conn.execute(
        _joined()
        .where(clocks.c.next_at <= now, or_(clocks.c.case_id.is_not(None), clocks.c.task_id.is_not(None)))
        .order_by(clocks.c.next_at, clocks.c.id)
        .limit(limit)
        .with_for_update(of=clocks, skip_locked=True)
    ).all()
    return _clocks(conn, rows)


def _clocks(conn: Connection, rows: Sequence[Any]) -> list[DueClock]:
    came = [(row.case_conversation or row.task_conversation, row.case_customer or row.task_customer) for row in rows]
    return [_clock(row, account) for row, account in zip(rows, accounts_of(conn, came), strict=True)]


def _clock(row: Any, account: Account) -> DueClock:
    is_case = row.case_id is not None
    return DueClock(
        id=row.id,
        kind=row.kind,
        calendar=row.calendar,
        budget_s=row.budget_s,
        used_s=row.used_s,
        running_since=row.running_since,
        due_at=row.due_at,
        warn_share=row.warn_share,
        warned_at=row.warned_at,
        breached_at=row.breached_at,
        escalated=row.escalated,
        case_id=row.case_id,
        task_id=row.task_id,
        customer_id=row.case_customer if is_case else row.task_customer,
        number=row.number or "",
        severity=row.severity or 2,
        team=row.team or "",
        owner=(row.owner if is_case else row.assignee) or "",
        watchers=tuple(row.watchers or ()),
        summary=(row.summary if is_case else row.task_summary) or "",
        account=account,
    )


def _write(conn: Connection, stepped: Sequence[tuple[DueClock, Step]], now: datetime) -> None:
    conn.execute(_UPDATE, [_values(clock, step) for clock, step in stepped])
    events = [
        {
            "case_id": clock.case_id,
            "kind": "clock",
            "author": "system",
            "is_internal": True,
            "changes": dict(event),
            "at": now,
        }
        for clock, step in stepped
        if clock.case_id is not None
        for event in step.events
    ]
    if events:
        conn.execute(insert(case_events), events)
    for clock, step in stepped:
        added = [name for name in step.watchers if name not in clock.watchers]
        if clock.case_id is not None and added:
            conn.execute(update(cases).where(cases.c.id == clock.case_id).values(watchers=[*clock.watchers, *added]))
    notify_each(conn, [line for clock, step in stepped for line in _bells(clock, step, now)])
    _ask_people(conn, [(clock, task) for clock, step in stepped for task in step.tasks], now)


def _bells(clock: DueClock, step: Step, now: datetime) -> list[tuple[str, dict[str, Any]]]:
    """Who has the case and who watches it hear that a promise is at risk, or broken."""
    moments = {str(event.get("step")) for event in step.events} & {"warned", "breached"}
    people = sorted({clock.owner, *clock.watchers, *step.watchers} - {""})
    if clock.case_id is None or not moments:
        return []
    kind = "case_breached" if "breached" in moments else "case_warned"
    line = {"kind": kind, "conversation_id": None, "reference": clock.number, "by": "", "at": now}
    return [(name, line) for name in people]


def _values(clock: DueClock, step: Step) -> dict[str, Any]:
    return {
        "b_id": clock.id,
        "b_due_at": step.due_at,
        "b_next_at": step.next_at,
        "b_warned_at": step.warned_at,
        "b_breached_at": step.breached_at,
        "b_escalated": step.escalated,
    }


def _ask_people(conn: Connection, asked: Sequence[tuple[DueClock, Task]], now: datetime) -> None:
    """One open task per customer and kind: a second one of the same kind changes hands to the higher rung."""
    if not asked:
        return
    people = sorted({clock.customer_id for clock, _ in asked})
    rows = conn.execute(
        select(tasks.c.id, tasks.c.customer_id, tasks.c.kind).where(tasks.c.customer_id.in_(people), tasks.c.is_open)
    )
    known = {(row.customer_id, row.kind): row.id for row in rows}
    new: dict[tuple[int, str], dict[str, Any]] = {}
    changed: list[dict[str, Any]] = []
    for clock, task in asked:
        key = (clock.customer_id, task.kind)
        if key in known:
            changed.append({"b_id": known[key], "b_assignee": task.assignee, "b_now": now})
            continue
        new[key] = {
            "customer_id": clock.customer_id,
            "kind": task.kind,
            "summary": task.summary,
            "details": {"number": clock.number, "clock": clock.kind},
            "is_open": True,
            "due_at": now,
            "created_at": now,
            "updated_at": now,
            "assignee": task.assignee,
            "case_id": clock.case_id,
        }
    if new:
        conn.execute(insert(tasks), list(new.values()))
    if changed:
        conn.execute(_HAND_UP, changed)
