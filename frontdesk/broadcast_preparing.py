"""The scheduler's part of broadcasts: what is due begins, recipients are written down, what was cancelled cleared."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import Any, Final

import structlog
from sqlalchemy import Connection, Select

from bot.errors import BotError, ServiceError
from bot.ports import TOPIC_BROADCASTS, Clock, Signals
from bot.reach.states import BroadcastState
from bot.wakeup import Wakeup
from crm_sync import broadcast_runs
from crm_sync.broadcast_runs import RunRow
from crm_sync.columns import EPOCH
from crm_sync.database import Database
from crm_sync.recipient_claims import skip_pending
from crm_sync.recipients import FIRST_CHUNK, Occasion, next_size, write_chunk
from frontdesk.broadcast_following import LEARN_EVERY, follow_journeys, learn, take_in
from frontdesk.broadcast_runs import Business, Run, load_run

log = structlog.get_logger()

SWEEP_S: Final = 0.5
CLEARED: Final = 500  # recipients of a cancelled broadcast in one transaction


class BroadcastPreparer:
    """One of possibly several; a chunk is written by whoever holds the broadcast's row just then."""

    def __init__(
        self,
        database: Database,
        signals: Signals,
        clock: Clock,
        business: Business,
        *,
        fault: Callable[[str], None] = lambda point: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._database, self._signals, self._clock, self._business = database, signals, clock, business
        self._fault, self._sleep = fault, sleep
        self._learnt: dict[int, datetime] = {}

    async def run(self) -> None:
        """For ever; survives a store that is away."""
        with Wakeup(self._signals, TOPIC_BROADCASTS) as wakeup:
            while True:
                try:
                    busy = await self.run_once()
                except ServiceError as error:
                    log.warning("broadcasts_not_prepared", error=type(error).__name__)
                    busy = 0
                if not busy:
                    await wakeup.wait(SWEEP_S)

    async def run_once(self) -> int:
        """What is due is begun, what is begun is prepared to its end; how much there was to do."""
        now = self._clock.now()
        due = await self._database.run(lambda conn: broadcast_runs.due(conn, now), read=True)
        for row in due:
            await self._guarded(row, self._begin)
        active = await self._database.run(broadcast_runs.active, read=True)
        preparing = [row for row in active if row.state is BroadcastState.PREPARING]
        for row in preparing:
            await self._guarded(row, self._prepare)
        if await follow_journeys(self._database, self._business, now):
            self._signals.publish(TOPIC_BROADCASTS)
        for row in active:
            await self._guarded(row, self._learn)
        return len(due) + len(preparing) + await self._clear()

    async def _guarded(self, row: RunRow, work: Callable[[RunRow], Awaitable[None]]) -> None:
        """What cannot be carried out as it stands is paused and says why, so that the others go on."""
        try:
            await work(row)
        except ServiceError:
            raise
        except BotError as error:
            log.error("broadcast_not_prepared", broadcast=row.id, error=type(error).__name__)
            reason, now = str(error), self._clock.now()
            await self._database.run(lambda conn: broadcast_runs.hold(conn, row.id, BroadcastState.PAUSED, reason, now))

    async def _begin(self, row: RunRow) -> None:
        run = await self._loaded(row)
        now = self._clock.now()
        if run.broadcast.plan.on is not None:
            if await take_in(self._database, self._business, row, run, now):
                self._signals.publish(TOPIC_BROADCASTS)
            return
        occasion, next_at = run.following(now)
        if await self._database.run(lambda conn: broadcast_runs.begin(conn, row, occasion, next_at, now)):
            log.info("broadcast_begun", broadcast=row.id, occasion=occasion)

    async def _prepare(self, row: RunRow) -> None:
        run = await self._loaded(row)
        now, size = self._clock.now(), FIRST_CHUNK
        people: Select[Any] = await self._database.run(
            lambda conn: self._business.people(conn, run.broadcast.audience, now), read=True
        )
        occasion = run.occasion(people)
        while True:
            took: list[float] = []
            self._fault("broadcast.before_chunk")
            # What a power cut takes back is written again: nothing leaves before `prepared` is on disk.
            unit = partial(_timed, took, occasion, size, self._clock.now())
            chunk = await self._database.run(unit, durable=False, checked=False)
            self._fault("broadcast.after_chunk")
            if chunk is None:
                return  # paused, cancelled, or somebody else is at it
            if chunk.is_last:
                break
            size = next_size(size, took[-1])
            await self._sleep(0)
        now = self._clock.now()
        if await self._database.run(lambda conn: broadcast_runs.prepared(conn, row, now)):
            log.info("broadcast_prepared", broadcast=row.id)
            self._signals.publish(TOPIC_BROADCASTS)

    async def _learn(self, row: RunRow) -> None:
        """A bandit's next recipients are shared out anew, once a minute."""
        now = self._clock.now()
        if (
            row.document.get("content", {}).get("split") != "bandit"
            or now - self._learnt.get(row.id, EPOCH) < LEARN_EVERY
        ):
            return
        self._learnt[row.id] = now
        run = await self._loaded(row)
        await self._database.run(lambda conn: learn(conn, run))

    async def _loaded(self, row: RunRow) -> Run:
        return await self._database.run(lambda conn: load_run(conn, row, self._business), read=True)

    async def _clear(self) -> int:
        """Whoever was still to get a cancelled broadcast is skipped, a few at a time."""
        cleared = 0
        for broadcast_id in await self._database.run(broadcast_runs.cancelled_with_rest, read=True):
            skip = partial(skip_pending, broadcast_id=broadcast_id, reason="cancelled", limit=CLEARED)
            while some := await self._database.run(skip):
                cleared += some
                await self._sleep(0)
        return cleared


def _timed(took: list[float], occasion: Occasion, size: int, now: Any, conn: Connection) -> Any:
    began = time.monotonic()
    try:
        return write_chunk(conn, occasion, size, now)
    finally:
        took.append(time.monotonic() - began)
