"""Jobs done again and again: once a period, beside what is due, by one scheduler at a time, also when one dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, select, update
from structlog.testing import capture_logs

from crm_sync import timers
from crm_sync.store import SqlStore
from frontdesk.periodic import LEASE, Periodic
from frontdesk.scheduler import Scheduler
from frontdesk.signals import LocalSignals
from tests.builders import shop
from tests.store_steps import START, SetClock

WITHIN_S = 20.0  # never reached when all is well
DAY = timedelta(days=1)
ROWS = timers.timers


@pytest.fixture
async def clock() -> SetClock:
    return SetClock(START)


@pytest.fixture
async def timed(store_url: str, clock: SetClock) -> AsyncIterator[SqlStore]:
    store = await SqlStore.open(store_url, clock=clock)
    yield store
    await store.close()


class Work:
    """A job that is at work until it is let go."""

    def __init__(self) -> None:
        self.begun: list[datetime] = []
        self.ended: list[datetime] = []
        self.began, self.may_end = asyncio.Event(), asyncio.Event()

    async def __call__(self, store: SqlStore, context: Any) -> None:
        self.begun.append(context.now)
        self.began.set()
        await self.may_end.wait()
        self.ended.append(context.now)


def scheduler(store: SqlStore, clock: SetClock, work: Any, **more: Any) -> Scheduler:
    return Scheduler(store, LocalSignals(), clock, shop, periodic=(Periodic("nightly", DAY, work),), **more)


async def leased_until(store: SqlStore) -> datetime:
    return await store.database.run(lambda conn: conn.execute(select(ROWS.c.at)).scalar_one(), read=True)


async def test_a_job_is_done_once_per_period_however_many_schedulers_there_are(
    timed: SqlStore, clock: SetClock
) -> None:
    work = Work()
    work.may_end.set()
    desks = [scheduler(timed, clock, work) for _ in range(3)]
    for _ in range(2):
        for desk in desks:
            await desk.plan_periodic()
            await desk.settle()
        clock.advance(hours=24)
    assert work.ended == [START, START + DAY]


async def test_a_job_at_work_holds_up_nothing_that_is_due(timed: SqlStore, clock: SetClock) -> None:
    work, told = Work(), []

    def tell(conn: Connection, due: list[timers.Timer], context: Any) -> list[timers.Timer]:
        told.extend(due)
        return []

    desk = scheduler(timed, clock, work, handlers={"notice": tell})
    await desk.plan_periodic()
    async with asyncio.timeout(WITHIN_S):
        assert await desk.run_once() == 1
        await work.began.wait()
        await timed.database.run(lambda conn: timers.plan(conn, "notice", START, START))
        assert await desk.run_once() == 1
    assert len(told) == 1
    assert work.ended == []
    work.may_end.set()
    await desk.settle()


async def test_a_job_that_takes_longer_than_its_lease_is_not_begun_by_another(timed: SqlStore, clock: SetClock) -> None:
    work, other = Work(), Work()
    desk = scheduler(timed, clock, work, renew_s=0.001)
    await desk.plan_periodic()
    async with asyncio.timeout(WITHIN_S):
        await desk.run_once()
        for _ in range(3):
            clock.advance(seconds=LEASE.total_seconds() - 60)
            while await leased_until(timed) < clock.now() + LEASE:
                pass
            assert await scheduler(timed, clock, other).run_once() == 0
        work.may_end.set()
        while await leased_until(timed) != clock.now() + DAY:
            pass
    assert other.begun == []


async def test_a_job_whose_lease_somebody_else_has_is_broken_off(timed: SqlStore, clock: SetClock) -> None:
    work, theirs = Work(), START + timedelta(hours=3)
    desk = scheduler(timed, clock, work, renew_s=0.001)
    await desk.plan_periodic()
    with capture_logs() as logs:
        async with asyncio.timeout(WITHIN_S):
            await desk.run_once()
            await timed.database.run(lambda conn: conn.execute(update(ROWS).values(at=theirs)) and None)
            while not any(line["event"] == "job_lease_lost" for line in logs):
                assert await leased_until(timed) == theirs
    work.may_end.set()
    await desk.settle()
    assert work.ended == []
    assert await leased_until(timed) == theirs, "the other one says when it is done again"


async def test_a_job_stops_with_its_scheduler_and_is_begun_again_when_the_lease_ends(
    timed: SqlStore, clock: SetClock
) -> None:
    work, again = Work(), Work()
    again.may_end.set()
    running = asyncio.create_task(scheduler(timed, clock, work).run())
    async with asyncio.timeout(WITHIN_S):
        await work.began.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    work.may_end.set()
    clock.advance(seconds=LEASE.total_seconds() - 1)
    await scheduler(timed, clock, again).settle()
    assert again.begun == []
    clock.advance(seconds=1)
    await scheduler(timed, clock, again).settle()
    assert again.ended == [clock.now()]
    assert work.ended == []


async def test_a_job_that_fails_is_tried_again_soon_and_logged_without_its_words(
    timed: SqlStore, clock: SetClock
) -> None:
    tried: list[datetime] = []

    async def fails(store: SqlStore, context: Any) -> None:
        tried.append(context.now)
        raise LookupError("Ann, +8613800000001")

    desk = scheduler(timed, clock, fails)
    await desk.plan_periodic()
    with capture_logs() as logs:
        await desk.settle()
        await desk.settle()
        clock.advance(minutes=1)
        await desk.settle()
    assert tried == [START, START + timedelta(minutes=1)]
    assert logs[0] == {"event": "job_failed", "job": "nightly", "error": "LookupError", "log_level": "error"}
