"""Care signals found in the record, each once per occasion, as tasks for people; and whether that helped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, Text, and_, exists, func, literal_column, or_, select
from sqlalchemy import case as sql_case

from bot.types import CreateTask
from crm_sync import timers
from crm_sync.columns import seconds_between
from crm_sync.service_tables import customer_values, surveys, visits
from crm_sync.service_tables import timers as timers_table
from crm_sync.tables import cases, customers, orders, tasks
from crm_sync.tasks import put_task

PAGE: Final = 500
KIND: Final = "care"  # of the timer that remembers the occasion
RECENT: Final = timedelta(days=7)  # scores older than this call for nothing any more


@dataclass(frozen=True, slots=True)
class Sign:
    """Something about a customer that a rule may act on. `occasion` tells it from the next of its kind."""

    row_id: int  # to go on behind
    customer_id: int
    name: str
    language: str
    value_class: str
    occasion: str
    last_at: datetime | None = None
    usual_interval_s: float | None = None
    amount_year: int = 0
    amount_before: int = 0
    case_number: str = ""


@dataclass(frozen=True, slots=True)
class CareResult:
    """What became of one rule's tasks."""

    rule: str
    tasks: int
    done: int
    helped: int  # came back (or their case was solved) within the rule's days after it was done
    outcomes: dict[str, int]


_PERSON = (
    customers.c.id.label("customer_id"),
    customers.c.name,
    customers.c.language,
    func.coalesce(customer_values.c.value_class, "").label("value_class"),
)


def signs(conn: Connection, signal: str, level: float, after: int, now: datetime) -> list[Sign]:
    """The next PAGE of those the signal may be true of, behind a row; the rule has the last word on the first two."""
    rows = conn.execute(_QUERIES[signal](level, now, after).limit(PAGE))
    return [Sign(**row._mapping) for row in rows]


def _values(level: float, now: datetime, after: int) -> Select[Any]:
    return (
        select(
            *_PERSON,
            customers.c.id.label("row_id"),
            customer_values.c.last_at,
            customer_values.c.usual_interval_s,
            customer_values.c.amount_year_minor.label("amount_year"),
            customer_values.c.amount_before_minor.label("amount_before"),
            literal_column("''", Text).label("occasion"),  # the rule says what it is
        )
        .join_from(customer_values, customers, customers.c.id == customer_values.c.customer_id)
        .where(customers.c.id > after, customers.c.erased_at.is_(None))
        .order_by(customers.c.id)
    )


def _unanswered(level: float, now: datetime, after: int) -> Select[Any]:
    return (
        select(
            *_PERSON, cases.c.id.label("row_id"), cases.c.number.label("case_number"), cases.c.number.label("occasion")
        )
        .join_from(cases, customers, customers.c.id == cases.c.customer_id)
        .outerjoin(customer_values, customer_values.c.customer_id == customers.c.id)
        .where(
            cases.c.id > after,
            cases.c.is_open,
            cases.c.kind == "complaint",
            cases.c.first_response_at.is_(None),
            cases.c.opened_at <= now - timedelta(hours=level),
        )
        .order_by(cases.c.id)
    )


def _low(level: float, now: datetime, after: int) -> Select[Any]:
    """Scores of a case are followed up where they are given; these are the others."""
    return (
        select(*_PERSON, surveys.c.id.label("row_id"), surveys.c.reference.label("occasion"))
        .join_from(surveys, customers, customers.c.id == surveys.c.customer_id)
        .outerjoin(customer_values, customer_values.c.customer_id == customers.c.id)
        .where(
            surveys.c.id > after,
            surveys.c.case_id.is_(None),
            surveys.c.score <= level,
            surveys.c.answered_at > now - RECENT,
        )
        .order_by(surveys.c.id)
    )


_QUERIES: Final[dict[str, Callable[[float, datetime, int], Select[Any]]]] = {
    "no_visit": _values,
    "falling_amount": _values,
    "unanswered_complaint": _unanswered,
    "low_score": _low,
}


def follow_up(conn: Connection, sign: Sign, occasion: str, task: CreateTask, now: datetime) -> bool:
    """Somebody is asked to follow up; False when this occasion was taken up before, by whichever scheduler."""
    key = f"{KIND}:{task.rule}:{sign.customer_id}:{occasion}"
    if not timers.plan(conn, KIND, now, now, key=key, customer_id=sign.customer_id):
        return False
    planned = conn.execute(select(timers_table.c.id).where(timers_table.c.key == key)).scalars().all()
    timers.done(conn, list(planned), now)
    case_id = None
    if task.case_number:
        case_id = conn.execute(select(cases.c.id).where(cases.c.number == task.case_number)).scalar()
    put_task(conn, task, sign.customer_id, now, case_id=case_id)
    return True


def open_care(conn: Connection, *, assignee: str = "", limit: int = 200) -> list[dict[str, Any]]:
    """Open tasks that a rule asked for, those due first at the top."""
    wanted = and_(tasks.c.is_open, tasks.c.rule != "", *([tasks.c.assignee == assignee] if assignee else []))
    rows = conn.execute(
        select(
            tasks.c.id,
            tasks.c.rule,
            tasks.c.customer_id,
            customers.c.name,
            tasks.c.assignee,
            tasks.c.due_at,
            tasks.c.summary,
            tasks.c.suggestion,
        )
        .join_from(tasks, customers, customers.c.id == tasks.c.customer_id)
        .where(wanted)
        .order_by(tasks.c.due_at.nulls_last(), tasks.c.id)
        .limit(limit)
    )
    return [dict(row._mapping) for row in rows]


def report(
    conn: Connection, rule: str, helped_days: int, *, since: datetime | None = None, until: datetime | None = None
) -> CareResult:
    """How often following this rule was done, how it ended, and how often it helped.

    `since`, `until`: of what was asked for from then on, and before then.
    """
    asked = [tasks.c.rule == rule]
    asked += [tasks.c.created_at >= since] if since is not None else []
    asked += [tasks.c.created_at < until] if until is not None else []
    is_done = tasks.c.done_at.is_not(None)
    helped = func.sum(sql_case((and_(is_done, _helped(timedelta(days=helped_days))), 1), else_=0))
    counted = select(is_done.label("is_done"), tasks.c.outcome, func.count().label("many"), helped.label("helped"))
    rows = conn.execute(counted.where(*asked).group_by(is_done, tasks.c.outcome)).all()
    done = [row for row in rows if row.is_done]
    outcomes = {row.outcome: int(row.many) for row in done}
    return CareResult(
        rule, sum(row.many for row in rows), sum(outcomes.values()), sum(row.helped for row in done), outcomes
    )


def _helped(within: timedelta) -> ColumnElement[bool]:
    """What was to be solved was, or the person came back or bought something, in this time after it was done."""

    def soon(at: ColumnElement[Any]) -> ColumnElement[bool]:
        return and_(at > tasks.c.done_at, seconds_between(tasks.c.done_at, at) <= within.total_seconds())

    solved = exists().where(cases.c.id == tasks.c.case_id, soon(cases.c.solved_at))
    came = exists().where(visits.c.customer_id == tasks.c.customer_id, soon(visits.c.at))
    bought = exists().where(orders.c.customer_id == tasks.c.customer_id, soon(orders.c.placed_at))
    return or_(solved, and_(tasks.c.case_id.is_(None), or_(came, bought)))


def rules_seen(conn: Connection) -> Sequence[str]:
    """Every rule that ever asked for something."""
    return (
        conn.execute(select(tasks.c.rule).where(tasks.c.rule != "").distinct().order_by(tasks.c.rule)).scalars().all()
    )
