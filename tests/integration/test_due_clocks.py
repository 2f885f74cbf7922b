"""Promises that run out: warned, breached, escalated once each, with several schedulers and with rules that change."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select, text, update

from bot.assistant import Assistant
from bot.service.calendars import Calendar, Calendars
from bot.service.policy import ServicePolicy
from bot.service.promises import PromiseRules, Rung
from crm_sync.columns import is_postgres
from crm_sync.console_tables import staff_notices
from crm_sync.service_tables import clocks
from crm_sync.store import SqlStore
from crm_sync.tables import case_events, cases, staff_users, tasks
from frontdesk.scheduler import Scheduler, TimerHandler
from frontdesk.signals import LocalSignals
from tests.builders import shop
from tests.store_steps import SetClock, converse

RULES = ServicePolicy(promises=PromiseRules(ladder=(Rung("owner", 0), Rung("lead", 2))))


@pytest.fixture
async def clock() -> SetClock:
    return SetClock(datetime.fromisoformat("2026-03-06T10:00+08:00"))


@pytest.fixture
async def timed(store_url: str, clock: SetClock) -> AsyncIterator[SqlStore]:
    store = await SqlStore.open(store_url, clock=clock)
    yield store
    await store.close()


class Rules:
    """The assistant as the scheduler sees it; the test changes its service rules."""

    def __init__(self, policy: ServicePolicy = RULES) -> None:
        self.policy = policy

    def __call__(self) -> Assistant:
        return replace(shop(), service=self.policy)


def scheduler(store: SqlStore, clock: SetClock, rules: Rules | None = None, **more: Any) -> Scheduler:
    return Scheduler(store, LocalSignals(), clock, rules or Rules(), **more)


async def promised(store: SqlStore, clock: SetClock, count: int = 1, **fields: Any) -> None:
    """So many open cases of one customer, each with a solution promised in four working hours."""
    claimed = await converse(store, "hello", "hi", channel="telegram")
    now = clock.now()

    def unit(conn: Connection) -> None:
        case = {
            "customer_id": claimed.conversation.customer.customer_id,
            "kind": "complaint",
            "category": "product",
            "severity": 2,
            "status": "assigned",
            "summary": "lamp",
            "details": {},
            "is_open": True,
            "opened_at": now,
            "updated_at": now,
            "team": "care",
            "owner": "ann",
        }
        rows = [{**case, "id": n, "number": f"C-{n}", "subject": str(n)} for n in range(1, count + 1)]
        conn.execute(insert(cases), rows)
        promise = {
            "kind": "solution",
            "state": "running",
            "calendar": "default",
            "budget_s": 4 * 3600,
            "running_since": now,
            "started_at": now,
            "due_at": now + timedelta(hours=4),
            "next_at": now + timedelta(hours=3),
            **fields,
        }
        conn.execute(insert(clocks), [{**promise, "case_id": n} for n in range(1, count + 1)])

    await store.database.run(unit)


async def steps(store: SqlStore) -> list[str]:
    def unit(conn: Connection) -> list[str]:
        rows = conn.execute(
            select(case_events.c.changes).where(case_events.c.kind == "clock").order_by(case_events.c.id)
        )
        return [row.changes["step"] for row in rows]

    return await store.database.run(unit)


async def test_a_promise_is_warned_of_then_broken_then_passed_up_and_all_of_it_is_in_the_history(
    timed: SqlStore, clock: SetClock
) -> None:
    await promised(timed, clock)
    seen = []
    for hours in (2, 1, 1, 2, 100):
        clock.advance(hours=hours)
        await scheduler(timed, clock).settle()
        seen.append(await steps(timed))
    assert seen == [
        [],
        ["warned"],
        ["warned", "breached", "escalated:owner"],
        ["warned", "breached", "escalated:owner", "escalated:lead"],
        ["warned", "breached", "escalated:owner", "escalated:lead"],
    ]


async def test_who_is_asked_to_act_has_a_task_for_it(timed: SqlStore, clock: SetClock) -> None:
    await promised(timed, clock)
    clock.advance(hours=4)
    await scheduler(timed, clock).settle()

    def unit(conn: Connection) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in conn.execute(select(tasks.c.kind, tasks.c.assignee, tasks.c.case_id))]

    assert await timed.database.run(unit) == [("escalation:C-1", "ann", 1)]


async def test_who_has_the_case_and_who_watches_it_hear_of_a_promise_at_risk_and_broken(
    timed: SqlStore, clock: SetClock
) -> None:
    await promised(timed, clock)

    def staffed(conn: Connection) -> None:
        account = {
            "role": "operator",
            "password_hash": "x",
            "created_at": clock.now(),
            "password_changed_at": clock.now(),
        }
        conn.execute(insert(staff_users), [{"name": name, **account} for name in ("ann", "bea", "cid")])
        conn.execute(update(cases).values(watchers=["bea", "gone"]))

    await timed.database.run(staffed)
    for hours in (3, 1):
        clock.advance(hours=hours)
        await scheduler(timed, clock).settle()
    joined = select(staff_users.c.name, staff_notices.c.kind, staff_notices.c.reference).join_from(
        staff_notices, staff_users, staff_users.c.id == staff_notices.c.user_id
    )
    found = await timed.database.run(lambda conn: [tuple(row) for row in conn.execute(joined)])
    assert sorted(found) == [
        (name, kind, "C-1") for name in ("ann", "bea") for kind in ("case_breached", "case_warned")
    ]


async def test_a_paused_clock_is_left_alone(timed: SqlStore, clock: SetClock) -> None:
    await promised(timed, clock, state="paused", running_since=None, due_at=None, next_at=None)
    clock.advance(days=30)
    await scheduler(timed, clock).settle()
    assert await steps(timed) == []


async def test_many_due_at_the_same_minute_are_each_moved_on_once_by_four_schedulers(
    timed: SqlStore, clock: SetClock
) -> None:
    await promised(timed, clock, count=1000)
    clock.advance(hours=4)
    await asyncio.gather(*(scheduler(timed, clock).settle() for _ in range(4)))
    assert Counter(await steps(timed)) == {"warned": 1000, "breached": 1000, "escalated:owner": 1000}


async def test_a_holiday_added_after_the_clock_started_moves_what_is_due(timed: SqlStore, clock: SetClock) -> None:
    clock.at = datetime.fromisoformat("2026-03-06T20:00+08:00")
    await promised(timed, clock, next_at=clock.at + timedelta(hours=14), due_at=clock.at + timedelta(hours=15))
    rules = Rules()
    desk = scheduler(timed, clock, rules)
    await desk.settle()
    closed = Calendars({**Calendars().by_name, "default": Calendar(exceptions={date(2026, 3, 7): ()})})
    rules.policy = replace(RULES, calendars=closed)
    await desk.settle()

    def unit(conn: Connection) -> datetime:
        return conn.execute(select(clocks.c.due_at)).scalar_one()

    assert await timed.database.run(unit) == datetime.fromisoformat("2026-03-08T12:00+08:00")
    clock.at = datetime.fromisoformat("2026-03-07T13:00+08:00")
    await desk.settle()
    assert await steps(timed) == []


async def test_due_clocks_and_timers_are_found_by_index(timed: SqlStore, clock: SetClock) -> None:
    await promised(timed, clock, count=200)

    def unit(conn: Connection) -> str:
        if is_postgres(conn):
            conn.execute(text("SET LOCAL enable_seqscan = off"))
        explain = "EXPLAIN " if is_postgres(conn) else "EXPLAIN QUERY PLAN "
        plans = []
        for table, column in (("clocks", "next_at"), ("timers", "at")):
            moment = "now()" if is_postgres(conn) else "0"
            query = f"SELECT id FROM {table} WHERE {column} <= {moment} ORDER BY {column} LIMIT 10"
            plans += [str(tuple(row)) for row in conn.execute(text(explain + query))]
        return "\n".join(plans)

    plan = await timed.database.run(unit)
    assert "ix_clocks_next" in plan
    assert "ix_timers_due" in plan


# --- timers and jobs --------------------------------------------------------------------------------------------------


async def test_a_timer_that_breaks_does_not_stop_the_others_and_is_set_aside_with_its_reason(
    timed: SqlStore, clock: SetClock
) -> None:
    from crm_sync import timers

    done: list[int] = []

    def handler(conn: Connection, due: list[timers.Timer], context: Any) -> list[timers.Timer]:
        for timer in due:
            if timer.details["number"] == 2:
                raise LookupError("broken")
        done.extend(timer.details["number"] for timer in due)
        return []

    handlers: dict[str, TimerHandler] = {"work": handler}
    await timed.database.run(
        lambda conn: (
            [timers.plan(conn, "work", clock.now(), clock.now(), details={"number": number}) for number in range(4)]
            and None
        )
    )
    desk = scheduler(timed, clock, handlers=handlers)
    for _ in range(8):
        await desk.settle()
        clock.advance(hours=1)
    assert sorted(done) == [0, 1, 3]

    def kept(conn: Connection) -> list[tuple[Any, ...]]:
        table = timers.timers
        return [
            tuple(row)
            for row in conn.execute(select(table.c.attempts, table.c.reason).where(table.c.done_at.is_(None)))
        ]

    assert await timed.database.run(kept) == [(timers.MAX_ATTEMPTS, "LookupError")]


async def test_a_case_that_is_gone_takes_its_clock_with_it(timed: SqlStore, clock: SetClock) -> None:
    await promised(timed, clock)
    await timed.database.run(
        lambda conn: conn.execute(update(clocks).values(state="stopped", next_at=None, due_at=None)) and None
    )
    clock.advance(days=3)
    await scheduler(timed, clock).settle()
    assert await steps(timed) == []
