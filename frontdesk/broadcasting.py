"""The sender's part of broadcasts: claim, word, pace, send, store how it ended; hold, stop and finish runs.

Behind replies in everything: small claims, tokens that replies are never short of, a place in the account's second that
any reply may have first. A paused or cancelled run is seen within `watch_s`, whoever paused it.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final

import structlog
from sqlalchemy import Connection

from bot.errors import BotError, Misconfigured, RateLimited, ServiceError
from bot.ports import TOPIC_BROADCASTS, TOPIC_WEB, ChannelHealth, Clock, QuotaLedger, RateTokens, Signals
from bot.reach.states import BroadcastState
from channels.base import ChannelAdapter, SendsToMany
from channels.broadcast_pace import BroadcastPace
from channels.traffic import Account, AllTraffic
from crm_sync import broadcast_runs
from crm_sync.database import Database
from crm_sync.recipient_batches import take_over_batches
from crm_sync.recipient_claims import Handed, claim, renew, take_over, withdrawn
from crm_sync.recipient_endings import Ending, finish
from frontdesk.broadcast_calls import Calls, ending_of
from frontdesk.broadcast_following import begin_waiting
from frontdesk.broadcast_mass import MassSends, is_mass
from frontdesk.broadcast_rules import over_or_stopped
from frontdesk.broadcast_runs import Business, Run, load_run
from frontdesk.broadcast_words import Composer, Worded

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class BroadcastPolicy:
    """Numbers of the broadcast lane; all of them ours, seconds unless named otherwise."""

    watch_s: float = 0.25  # how often states are read
    ahead_s: float = 0.2  # so much of the rate is claimed at once
    most_claimed: int = 50
    concurrency: int = 64  # sends under way at once on an account
    gather_s: float = 0.1  # outcomes wait so long to be stored together
    most_stored: int = 100  # outcomes in one transaction
    consent_s: float = 0.1  # so old may be what was read of somebody's consent when they are called
    idle_s: float = 0.5
    rules_s: float = 0.5  # how often it is asked whether a run is over or has to stop
    renew_s: float = 8.0
    take_over_s: float = 2.0
    drain_s: float = 12.0


@dataclass(frozen=True, slots=True)
class Ready:
    """Claimed and worded: waits for its turn."""

    run: Run
    one: Handed
    worded: Worded


class BroadcastSender:
    """Sends what runs on these accounts until cancelled. Any number of processes may do so on one store."""

    def __init__(
        self,
        database: Database,
        adapters: Mapping[Account, ChannelAdapter],
        tokens: RateTokens,
        signals: Signals,
        clock: Clock,
        *,
        business: Business,
        composer: Composer,
        name: str = "sender",
        policy: BroadcastPolicy | None = None,
        traffic: AllTraffic | None = None,
        alone: bool = True,
        ledger: QuotaLedger | None = None,
        watch: ChannelHealth | None = None,
        fault: Callable[[str], None] = lambda point: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`alone`: no other process sends for these accounts."""
        self._database, self._adapters, self._signals, self._clock = database, adapters, signals, clock
        self._business, self._composer, self._name = business, composer, name
        self._policy, self._fault, self._sleep, self._monotonic = policy or BroadcastPolicy(), fault, sleep, monotonic
        self._direct = frozenset(place[0] for place, adapter in adapters.items() if adapter.capabilities.direct)
        shared = traffic or AllTraffic(monotonic)
        self._paces = {
            place: BroadcastPace(
                place, adapter.capabilities, tokens, shared, alone=alone, sleep=sleep, monotonic=monotonic
            )
            for place, adapter in adapters.items()
        }
        self._calls = Calls(adapters, self._paces, clock, ledger=ledger, watch=watch, fault=fault)
        self._mass = MassSends(
            database,
            adapters,
            clock,
            composer=composer,
            name=name,
            fault=fault,
            account_is_out=self._account_is_out,
        )
        self._runs: dict[int, Run] = {}
        self._journeys: dict[int, Run] = {}  # seen ever: what leaves while one is paused goes on later
        self._queues: dict[Account, asyncio.Queue[Ready]] = {place: asyncio.Queue() for place in adapters}
        self._under_way: dict[Account, set[asyncio.Task[None]]] = {place: set() for place in adapters}
        self._held: dict[int, float] = {}  # recipients claimed and not yet stored -> when their lease began
        self._endings: list[Ending] = []  # not stored yet; never dropped
        self._to_say: dict[int, Run] = {}  # recipients of direct channels whose ending is their message
        self._store_failures = 0
        self._ended, self._wake, self._stopping = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def run(self) -> None:
        """Until `stop` or cancellation; what is under way is waited for (bounded) and its outcome stored."""
        loops: list[Callable[[], Awaitable[None]]] = [
            partial(self._again, self._watch_states, self._policy.watch_s),
            partial(self._again, self._look_after, self._policy.rules_s),
            partial(self._again, self._take_over, self._policy.take_over_s),
            partial(self._again, self._renew, self._policy.renew_s),
            self._store_endings,
        ]
        for place in self._adapters:
            loops += [partial(self._claim_for, place), partial(self._send_for, place)]
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(_forever(loop)) for loop in loops]
                await self._stopping.wait()
                for task in tasks:
                    task.cancel()
        finally:
            await self._drain()

    def stop(self) -> None:
        """`run` claims nothing more and returns once the sends under way are over."""
        self._stopping.set()

    async def run_once(self) -> int:
        """What runs is sent as far as it is due, and what is over is finished; how many were sent to."""
        await self._watch_states()
        count = 0
        for place in self._adapters:
            while ready := await self._claim(place):
                await self._start(place, ready)
                await asyncio.gather(*self._under_way[place])
                await self._flush()
                count += len(ready)
        await self._look_after()
        return count

    # --- what runs ------------------------------------------------------------------------------------------------

    async def _watch_states(self) -> None:
        """Runs that were paused or ended are dropped here; new ones are read."""
        now = await self._database.run(broadcast_runs.states, read=True)
        running = {key: version for key, (state, version) in now.items() if state == BroadcastState.RUNNING}
        for key in [key for key, run in self._runs.items() if running.get(key) != run.row.version]:
            del self._runs[key]
        if fresh := running.keys() - self._runs.keys():
            for row in await self._database.run(broadcast_runs.active, read=True):
                if row.id in fresh and row.state is BroadcastState.RUNNING:
                    await self._take_up(row)
            self._wake.set()

    async def _take_up(self, row: broadcast_runs.RunRow) -> None:
        try:
            run = self._runs[row.id] = await self._loaded(row)
            if run.broadcast.plan.steps:
                self._journeys[row.id] = run
        except ServiceError:
            raise
        except BotError as error:
            await self._hold(row.id, BroadcastState.PAUSED, str(error))

    async def _loaded(self, row: broadcast_runs.RunRow) -> Run:
        return await self._database.run(lambda conn: load_run(conn, row, self._business), read=True)

    async def _hold(self, broadcast_id: int, state: BroadcastState, reason: str) -> None:
        self._runs.pop(broadcast_id, None)
        now = self._clock.now()
        if await self._database.run(lambda conn: broadcast_runs.hold(conn, broadcast_id, state, reason, now)):
            log.error("broadcast_held", broadcast=broadcast_id, state=state.value, reason=reason)

    def _is_running(self, run: Run) -> bool:
        return self._runs.get(run.row.id) is run and not self._stopping.is_set()

    # --- claiming -------------------------------------------------------------------------------------------------

    async def _claim_for(self, place: Account) -> None:
        """The next few are claimed while those before them are being sent."""
        queue = self._queues[place]
        if queue.qsize() or self._store_failures:
            await self._sleep(0.01)
            return
        ready = await self._claim(place)
        for each in ready:
            queue.put_nowait(each)
        if not ready:
            await self._wait()

    async def _wait(self) -> None:
        self._wake.clear()
        try:
            async with asyncio.timeout(self._policy.idle_s if self._runs else 2.0):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _claim(self, place: Account) -> list[Ready]:
        for run in tuple(self._runs.values()):
            if place[0] not in run.broadcast.channels:
                continue
            if isinstance(self._adapters[place], SendsToMany) and is_mass(run, place[0]):
                self._endings += await self._mass.send_some(run, place, partial(self._is_running, run))
                self._ended.set()
                continue
            while self._is_running(run):
                now = self._clock.now()
                size = self._size(run, place)
                unit = partial(claim, ask=run.asked, sender=self._name, place=place, limit=size, now=now)
                claimed = await self._database.run(unit)
                if claimed.handed:
                    self._fault("broadcast.claimed")
                    # In turn: the run just served goes behind the others.
                    self._runs[run.row.id] = self._runs.pop(run.row.id, run)
                    return await self._worded(run, claimed.handed)
                if not claimed.looked_at:
                    break
        return []

    def _size(self, run: Run, place: Account) -> int:
        pace = self._paces[place]
        rate = min(run.broadcast.per_s or pace.limit, pace.limit)
        return max(1, min(self._policy.most_claimed, int(rate * self._policy.ahead_s)))

    async def _worded(self, run: Run, handed: Sequence[Handed]) -> list[Ready]:
        self._held.update(dict.fromkeys((one.id for one in handed), self._monotonic()))
        try:
            words = await self._composer.words_for(run, handed)
        except Exception as error:  # noqa: BLE001 - nothing has left: all of them are due again, and somebody looks
            log.error("broadcast_not_worded", broadcast=run.row.id, error=type(error).__name__)
            self._put_back(handed)
            if not isinstance(error, ServiceError):
                await self._hold(
                    run.row.id, BroadcastState.PAUSED, f"its words cannot be made ({type(error).__name__})"
                )
            return []
        if short := [one for one in handed if words[one.id].reason == "no_coupon"]:
            # A clean pause: with more codes in the pool it goes on with exactly these.
            self._put_back(short)
            await self._hold(run.row.id, BroadcastState.PAUSED, "the pool of coupons is used up")
        ready: list[Ready] = []
        for one in handed:
            worded = words[one.id]
            if worded.reason == "no_coupon":
                continue
            if worded.reason:
                self._end(Ending(one.id, one.attempt, "skipped", worded.reason))
            else:
                ready.append(Ready(run, one, worded))
        return ready

    def _put_back(self, handed: Sequence[Handed]) -> None:
        for one in handed:
            self._end(Ending(one.id, one.attempt, "pending"))

    # --- sending --------------------------------------------------------------------------------------------------

    async def _send_for(self, place: Account) -> None:
        """The next few, as many as leave with one token: their consents are looked at once for all of them."""
        queue = self._queues[place]
        group = [await queue.get()]
        run = group[0].run
        while len(group) < self._paces[place].size(run.broadcast.per_s) and not queue.empty():
            group.append(queue.get_nowait())
        await self._start(place, group)

    async def _start(self, place: Account, group: Sequence[Ready]) -> None:
        """Each leaves when it may; who took their consent back until just then is skipped."""
        if place[0] in self._direct:
            self._say(group)
            return
        waiting = deque(group)
        try:
            # Before the permit: what waits for the store with one in hand would leave late, on top of what comes next.
            gone, asked_at = await self._withdrawn(waiting), self._monotonic()
            while waiting:
                ready = waiting[0]
                if not await self._may_leave(place, ready.run):
                    self._put_back([waiting.popleft().one])
                    continue
                if self._monotonic() - asked_at > self._policy.consent_s:
                    gone, asked_at = await self._withdrawn(waiting), self._monotonic()
                waiting.popleft()
                if ready.one.id in gone:
                    self._paces[place].give_back()
                    self._end(Ending(ready.one.id, ready.one.attempt, "skipped", "no_consent"))
                    continue
                task = asyncio.get_running_loop().create_task(self._deliver(place, ready))
                self._under_way[place].add(task)
                task.add_done_callback(self._under_way[place].discard)
        except ServiceError as error:  # no token source, or no store, answers: nothing leaves
            log.error("broadcast_not_paced", channel=place[0], account=place[1], error=type(error).__name__)
            await self._sleep(1.0)
        finally:  # also when this process is to stop
            self._put_back([each.one for each in waiting])

    async def _may_leave(self, place: Account, run: Run) -> bool:
        while len(self._under_way[place]) >= self._policy.concurrency:
            await asyncio.wait(self._under_way[place], return_when=asyncio.FIRST_COMPLETED)
        return await self._paces[place].take(run.broadcast.per_s, partial(self._is_running, run))

    async def _withdrawn(self, group: Iterable[Ready]) -> set[int]:
        """Whose consent ended between the claim and now."""
        by_run: dict[int, list[Ready]] = defaultdict(list)
        for ready in group:
            by_run[ready.run.row.id].append(ready)
        gone: set[int] = set()
        for some in by_run.values():
            ask, ids, now = some[0].run.asked, [each.one.id for each in some], self._clock.now()
            gone |= await self._database.run(partial(withdrawn, ask=ask, ids=ids, now=now), read=True)
        return gone

    def _say(self, group: Sequence[Ready]) -> None:
        """Where sending is storing: said with the next flush, which looks at the consents again."""
        for ready in group:
            one, worded = ready.one, ready.worded
            if not self._is_running(ready.run):
                self._put_back([one])
                continue
            self._to_say[one.id] = ready.run
            self._end(Ending(one.id, one.attempt, "sent", part=worded.part, language=worded.language))

    async def _deliver(self, place: Account, ready: Ready) -> None:
        run, one, worded = ready.run, ready.one, ready.worded
        try:
            ending = await self._calls.send(place, one, worded)
        except Exception as error:  # noqa: BLE001 - whatever happens, a recipient gets an ending
            ending = ending_of(error, one, worded, self._clock.now())
            if isinstance(error, RateLimited):
                await self._rest(place, run, error.retry_after_s)
            elif isinstance(error, Misconfigured):
                await self._account_is_out(place, run.row.id, error.reason)
        self._end(ending)

    async def _rest(self, place: Account, run: Run, wait_s: float) -> None:
        try:
            await self._paces[place].rest(wait_s, run.broadcast.per_s)
        except ServiceError as error:  # this process rests all the same
            log.warning("broadcast_rest_not_shared", error=type(error).__name__)

    async def _account_is_out(self, place: Account, broadcast_id: int, reason: str) -> None:
        """Banned, or its credentials are refused: a clean pause instead of a million failures."""
        try:
            await self._hold(broadcast_id, BroadcastState.PAUSED, f"{place[0]}/{place[1]} cannot send: {reason}")
        except ServiceError as error:
            log.error("broadcast_not_held", broadcast=broadcast_id, error=type(error).__name__)

    # --- storing how it ended -------------------------------------------------------------------------------------

    def _end(self, ending: Ending) -> None:
        self._endings.append(ending)
        self._ended.set()

    async def _store_endings(self) -> None:
        await self._ended.wait()
        await self._sleep(self._policy.gather_s)
        self._ended.clear()
        try:
            await self._flush()
            self._store_failures = 0
        except ServiceError as error:
            self._store_failures += 1
            log.error("broadcast_outcomes_not_stored", count=len(self._endings), error=type(error).__name__)
            self._ended.set()
            await self._sleep(min(5.0, 0.1 * 2.0 ** min(self._store_failures, 10)))

    async def _flush(self) -> None:
        while batch := self._endings[: self._policy.most_stored]:
            self._fault("broadcast.before_finish")
            now = self._clock.now()

            def unit(conn: Any) -> Any:
                settled = self._agreed(conn, batch, now)  # noqa: B023 - run at once
                visible = finish(conn, settled, self._direct, now)  # noqa: B023
                begin_waiting(conn, settled, self._journeys)
                return visible

            visible = await self._database.run(unit)
            del self._endings[: len(batch)]
            for ending in batch:
                self._held.pop(ending.recipient_id, None)
                self._to_say.pop(ending.recipient_id, None)
            self._fault("broadcast.after_finish")
            for each in visible:
                payload = {"conversation_id": each.conversation_id, "events": [each.event]}
                self._signals.publish(TOPIC_WEB, payload)

    def _agreed(self, conn: Connection, batch: Sequence[Ending], now: datetime) -> Sequence[Ending]:
        """As they ended; whoever agrees no longer to what is said with this transaction is skipped."""
        gone: set[int] = set()
        for run in {id(run): run for run in self._to_say.values()}.values():
            ids = [each.recipient_id for each in batch if self._to_say.get(each.recipient_id) is run]
            if ids:
                gone |= withdrawn(conn, run.asked, ids, now)
        return [
            Ending(each.recipient_id, each.attempt, "skipped", "no_consent") if each.recipient_id in gone else each
            for each in batch
        ]

    async def _drain(self) -> None:
        for queue in self._queues.values():
            while not queue.empty():
                self._put_back([queue.get_nowait().one])
        tasks = {task for some in self._under_way.values() for task in some}
        if tasks:
            await asyncio.wait(tasks, timeout=self._policy.drain_s)
        for task in tasks:
            task.cancel()
        try:
            await self._flush()
        except ServiceError as error:
            # They stay `sending`, and are uncertain when the lease is over.
            log.error("broadcast_outcomes_not_stored", count=len(self._endings), error=type(error).__name__)

    # --- leases, rules, ends --------------------------------------------------------------------------------------

    async def _renew(self) -> None:
        long = [key for key, since in self._held.items() if self._monotonic() - since > self._policy.renew_s / 2]
        if long:
            now = self._clock.now()
            await self._database.run(partial(renew, ids=long, sender=self._name, now=now), durable=False)

    async def _take_over(self) -> None:
        """Whom a dead sender had is uncertain, or repeated where the vendor takes the same key."""
        unit = partial(take_over, sender=self._name, direct=sorted(self._direct), limit=100, now=self._clock.now())
        left = await self._database.run(unit)
        batches = await self._database.run(partial(take_over_batches, sender=self._name, now=self._clock.now()))
        if not left and not batches:
            return
        log.warning("broadcast_sends_taken_over", count=len(left), batches=len(batches))
        of = {one.broadcast_id for one in left} | {batch.broadcast_id for batch in batches}
        for row in await self._database.run(lambda conn: broadcast_runs.rows_of(conn, of), read=True):
            for batch in batches:
                if batch.broadcast_id == row.id:
                    self._endings += await self._mass.settle(batch, await self._loaded(row))
            mine = [one for one in left if one.broadcast_id == row.id]
            words = await self._words_again(row, mine) if mine else {}
            for one in mine:
                worded = words.get(one.id, Worded())
                part = worded.part if one.id in words else None
                self._end(Ending(one.id, one.attempt, "uncertain", "interrupted", part=part, language=worded.language))
        self._ended.set()

    async def _words_again(self, row: broadcast_runs.RunRow, handed: Sequence[Handed]) -> Mapping[int, Worded]:
        """What a dead sender most likely said; nothing where that cannot be told any more."""
        try:
            return await self._composer.words_for(await self._loaded(row), handed)
        except Exception as error:  # noqa: BLE001 - that it is uncertain must be stored whatever its words were
            log.warning("broadcast_words_lost", broadcast=row.id, error=type(error).__name__)
            return {}

    async def _look_after(self) -> None:
        """Runs that are over are finished, and those that do harm are stopped."""
        for run in tuple(self._runs.values()):
            now = self._clock.now()
            if await self._database.run(partial(over_or_stopped, run=run, now=now)):
                self._runs.pop(run.row.id, None)
                self._signals.publish(TOPIC_BROADCASTS)

    async def _again(self, work: Callable[[], Awaitable[None]], every_s: float) -> None:
        try:
            await work()
        except ServiceError as error:
            log.warning("broadcasts_not_looked_after", error=type(error).__name__)
        await self._sleep(every_s)


RETRY_S: Final = 1.0


async def _forever(work: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await work()
        except ServiceError as error:
            log.error("broadcast_store_failed", error=type(error).__name__)
            await asyncio.sleep(RETRY_S)
