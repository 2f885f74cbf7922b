"""Timers whose work talks to the outside: leased in the transaction that finds them, done one by one beside it.

What answers slowly so holds up nothing else that is due. Work whose process died is done again when its lease ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

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


class OutsideWork(Protocol):
    async def __call__(self, store: SqlStore, timer: Timer, context: Context) -> datetime | None:
        """Does it, in transactions of its own; the moment when it is to be done again, if any.

        It is done twice when the process dies in between. Raises: ServiceError; it is tried again later.
        """
        ...


class OutsideJobs:
    """The works of one scheduler by kind of timer, and the task that does them."""

    def __init__(self, store: SqlStore, clock: Clock, works: Mapping[str, OutsideWork]) -> None:
        self._store, self._clock, self._works = store, clock, works
        self._at_work: set[asyncio.Task[None]] = set()

    def __contains__(self, kind: str) -> bool:
        return kind in self._works

    def lease(self, conn: Connection, due: Sequence[Timer], now: datetime) -> None:
        """These, locked by this transaction, are this scheduler's once it is committed; then comes `begin`."""
        for timer in due:
            timers.lease(conn, timer.id, now + LEASE)

    def begin(self, due: Sequence[Timer], context: Context) -> None:
        """The leased timers are being done, one after the other."""
        if due:
            task = asyncio.create_task(self._do_all(due, context))
            self._at_work.add(task)
            task.add_done_callback(self._at_work.discard)

    async def until_idle(self) -> None:
        """Whatever was begun is over."""
        if self._at_work:
            await asyncio.wait(set(self._at_work))

    async def stop(self) -> None:
        """What is at work is broken off; somebody does it again when its lease ends."""
        at_work = list(self._at_work)
        for task in at_work:
            task.cancel()
        await asyncio.gather(*at_work, return_exceptions=True)

    async def _do_all(self, due: Sequence[Timer], context: Context) -> None:
        for timer in due:
            held, until = context.now + LEASE, self._clock.now() + LEASE
            try:
                renew = partial(timers.extend, timer_id=timer.id, held=held, until=until)
                if await self._store.database.run(renew):  # else those before it took so long that it is another's
                    await self._do(timer, context)
            except ServiceError as error:  # the store is away: done again when the lease ends
                log.warning("outside_work_left", kind=timer.kind, timer_id=timer.id, error=type(error).__name__)

    async def _do(self, timer: Timer, context: Context) -> None:
        try:
            again = await self._works[timer.kind](self._store, timer, context)
        except Exception as error:  # noqa: BLE001 - kept with its reason and tried again; the others go on
            level = log.warning if isinstance(error, ServiceError) else log.error
            level("outside_work_failed", kind=timer.kind, timer_id=timer.id, error=type(error).__name__)
            aside = partial(timers.failed, timer=timer, reason=type(error).__name__, now=self._clock.now())
            await self._store.database.run(aside)
            return
        if again is None:
            await self._store.database.run(partial(timers.done, ids=[timer.id], now=self._clock.now()))
        else:
            await self._store.database.run(partial(timers.lease, timer_id=timer.id, until=again))
