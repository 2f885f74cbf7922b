"""Jobs done again and again beside the timers: each in a task of its own, by one scheduler at a time.

Whoever begins a job leases it: its timer is due again when the lease ends. The lease is renewed while the job is at
work, so that a long one is not begun a second time, and one whose process died is begun again soon.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog
from sqlalchemy import Connection

from bot.errors import ServiceError
from bot.ports import Clock
from crm_sync import timers
from crm_sync.store import SqlStore
from crm_sync.timers import Timer

if TYPE_CHECKING:
    from frontdesk.scheduler import Context

log = structlog.get_logger()

LEASE: Final = timedelta(minutes=10)
RENEW_S: Final = 60.0
AGAIN_AFTER_FAILURE: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Periodic:
    """A job done again and again. `work` makes its own transactions and may be done twice after a crash."""

    name: str
    every: timedelta
    work: Callable[[SqlStore, Context], Awaitable[None]]


@dataclass(slots=True)
class _Lease:
    timer_id: int
    until: datetime


class PeriodicJobs:
    """The jobs of one scheduler, and those of them that it is at work on."""

    def __init__(self, store: SqlStore, clock: Clock, jobs: Sequence[Periodic], *, renew_s: float = RENEW_S) -> None:
        self._store, self._clock, self._renew_s = store, clock, renew_s
        self._jobs = {job.name: job for job in jobs}
        self._at_work: dict[str, asyncio.Task[None]] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._jobs

    async def plan(self) -> None:
        """Every job is planned; one that was planned before keeps its time."""
        now = self._clock.now()

        def unit(conn: Connection) -> None:
            for name in self._jobs:
                timers.plan(conn, name, now, now, key=f"periodic:{name}")

        await self._store.database.run(unit)

    async def do_all(self, context: Context) -> None:
        """Every job is done now, one after the other, whenever it is planned."""
        for job in self._jobs.values():
            await job.work(self._store, context)

    def lease(self, conn: Connection, due: Sequence[Timer], now: datetime) -> None:
        """These, locked by this transaction, are this scheduler's once it is committed; then comes `begin`."""
        for timer in due:
            timers.lease(conn, timer.id, now + LEASE)

    def begin(self, timer: Timer, context: Context) -> None:
        """The leased job is being done, and planned again when it is over."""
        work = self._do(self._jobs[timer.kind], _Lease(timer.id, context.now + LEASE), context)
        self._at_work[timer.kind] = asyncio.create_task(self._after(self._at_work.get(timer.kind), work))

    async def until_idle(self) -> None:
        """Whatever was begun is over."""
        if self._at_work:
            await asyncio.wait(self._at_work.values())

    async def stop(self) -> None:
        """What is at work is broken off; somebody begins it again when its lease ends."""
        for task in self._at_work.values():
            task.cancel()
        await asyncio.gather(*self._at_work.values(), return_exceptions=True)

    async def _after(self, before: asyncio.Task[None] | None, work: Awaitable[None]) -> None:
        if before is not None and not before.done():  # its lease ended while the store was away
            before.cancel()
            await asyncio.wait([before])
        await work

    async def _do(self, job: Periodic, lease: _Lease, context: Context) -> None:
        is_over = asyncio.Event()
        keeping = asyncio.create_task(self._keep(job, lease, asyncio.current_task(), is_over))
        try:
            await job.work(self._store, context)
            again = self._clock.now() + job.every
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not end the job for good
            level = log.warning if isinstance(error, ServiceError) else log.error
            level("job_failed", job=job.name, error=type(error).__name__)
            again = self._clock.now() + min(job.every, AGAIN_AFTER_FAILURE)
        finally:
            is_over.set()
            await keeping  # a renewal under way says until when the lease is
        try:
            await self._store.database.run(
                partial(timers.extend, timer_id=lease.timer_id, held=lease.until, until=again)
            )
        except ServiceError as error:
            log.warning("job_not_planned", job=job.name, error=type(error).__name__)  # done again when the lease ends

    async def _keep(
        self, job: Periodic, lease: _Lease, worker: asyncio.Task[None] | None, is_over: asyncio.Event
    ) -> None:
        """The lease is renewed until the work is over; the work is over when the lease is somebody else's."""
        while not await _is_set_within(is_over, self._renew_s):
            until = self._clock.now() + LEASE
            renew = partial(timers.extend, timer_id=lease.timer_id, held=lease.until, until=until)
            try:
                is_held = await self._store.database.run(renew)
            except ServiceError as error:
                log.warning("job_lease_not_renewed", job=job.name, error=type(error).__name__)
                is_held = self._clock.now() < lease.until
            else:
                lease.until = until
            if not is_held and worker is not None:
                log.warning("job_lease_lost", job=job.name)
                worker.cancel()
                return


async def _is_set_within(event: asyncio.Event, length_s: float) -> bool:
    try:
        async with asyncio.timeout(length_s):
            return await event.wait()
    except TimeoutError:
        return False
