"""The outbox worker: claim, pace, send, store how it ended. Conversations run side by side, each in its own order."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

import structlog

from bot.errors import Misconfigured, RateLimited, ServiceError, ServiceUnavailable, WindowClosed
from bot.ports import (
    TOPIC_OUTBOX,
    ChannelHealth,
    Clock,
    Outbox,
    QuotaLedger,
    RateTokens,
    SendOutcome,
    Signals,
    Subscription,
)
from bot.types import Lane, Outbound
from channels.base import ChannelAdapter, NotifiesHeld
from channels.delivery_policy import DeliveryPolicy, for_all, outcome_of, reserve_for, uncertain
from channels.permits import Account, MustWait, Permits
from channels.traffic import AllTraffic

log = structlog.get_logger()

HELD_NOTICE_EVERY_S = 86_400.0
PACED = "paced"  # why a row waits although nothing is wrong


@dataclass(frozen=True, slots=True)
class AccountHealth:
    """`reason` is empty while the account sends."""

    is_ok: bool
    reason: str = ""


class Sender:
    """Sends what the outbox holds for these accounts until cancelled."""

    def __init__(
        self,
        outbox: Outbox,
        adapters: Mapping[Account, ChannelAdapter],
        signals: Signals,
        tokens: RateTokens,
        clock: Clock,
        *,
        name: str = "sender",
        policy: DeliveryPolicy | None = None,
        fault: Callable[[str], None] = lambda point: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
        ledger: QuotaLedger | None = None,
        watch: ChannelHealth | None = None,
        traffic: AllTraffic | None = None,
    ) -> None:
        """`name` tells senders apart in the outbox's leases; `fault` is called before and after each vendor call.

        `ledger` counts replies on channels that allow so many; `watch` is told which accounts work; `traffic` is shared
        with the broadcasts of this process. Accounts of direct channels need no sender and are left alone.
        """
        adapters = {account: adapter for account, adapter in adapters.items() if not adapter.capabilities.direct}
        self._outbox, self._adapters, self._signals = outbox, adapters, signals
        self._tokens, self._clock, self._name = tokens, clock, name
        self._ledger, self._watch = ledger, watch
        self._policy = policy or DeliveryPolicy()
        self._fault, self._sleep, self._monotonic, self._jitter = fault, sleep, monotonic, jitter
        self._paused_until: dict[Account, float] = {}  # monotonic
        self._health: dict[Account, AccountHealth] = {account: AccountHealth(True) for account in adapters}
        self._permits = Permits(
            tokens, self._pause_left_s, hold_s=self._policy.hold_s, sleep=sleep, monotonic=monotonic, traffic=traffic
        )
        self._under_way: set[asyncio.Task[None]] = set()
        self._outcomes: list[SendOutcome] = []  # not stored yet; never dropped
        self._store_failures = 0  # in a row, while storing outcomes
        self._ended = asyncio.Event()  # an outcome waits to be stored
        self._stopping = asyncio.Event()
        self._wake = asyncio.Event()  # the outbox may have something
        self._next_due = float("inf")  # monotonic: earliest retry we know of

    def health(self) -> Mapping[Account, AccountHealth]:
        return dict(self._health)

    async def run(self) -> None:
        """Until `stop` or cancellation; what is under way is waited for (bounded) and its outcome stored."""
        subscription = self._signals.subscribe(TOPIC_OUTBOX)
        try:
            async with asyncio.TaskGroup() as group:
                loops = (self._listen(subscription), self._store_outcomes(), self._claim_forever())
                tasks = [group.create_task(loop) for loop in loops]
                await self._stopping.wait()
                for task in tasks:
                    task.cancel()
        finally:
            await subscription.aclose()
            await self._drain()

    def stop(self) -> None:
        """`run` claims nothing more and returns once the sends under way are over."""
        self._stopping.set()

    async def run_once(self) -> int:
        """How many rows were due: each was tried once and how it ended is stored. Raises: StoreUnavailable."""
        count = await self._start_due()
        await asyncio.gather(*self._under_way)
        await self._flush()
        return count

    # --- claiming -------------------------------------------------------------------------------------------------

    async def _claim_forever(self) -> None:
        failures = 0
        while True:
            try:
                started = await self._start_due()
            except ServiceError as exc:
                failures += 1
                log.error("outbox_not_readable", error=type(exc).__name__)
                await self._sleep(self._store_backoff_s(failures))
                continue
            failures = 0
            if not started:
                await self._wait_for_work()

    async def _start_due(self) -> int:
        self._wake.clear()
        room = self._policy.concurrency - len(self._under_way)
        now = self._monotonic()
        ready = [account for account in self._adapters if self._paused_until.get(account, 0.0) <= now]
        # Outcomes that could not be stored come first: claiming more would only widen what a crash leaves open.
        if room <= 0 or not ready or self._store_failures:
            return 0
        rows = await self._outbox.claim(self._name, room, ready)
        claimed_at = self._monotonic()
        for row in rows:
            task = asyncio.get_running_loop().create_task(self._deliver(row, claimed_at))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
        return len(rows)

    async def _wait_for_work(self) -> None:
        now = self._monotonic()
        resuming = [until for until in self._paused_until.values() if until > now]
        wait_s = min(self._policy.sweep_s, max(0.0, min([self._next_due, *resuming], default=now) - now))
        if self._next_due <= now + wait_s:
            self._next_due = float("inf")
        try:
            async with asyncio.timeout(max(wait_s, 0.001)):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _listen(self, subscription: Subscription) -> None:
        async for _ in subscription:
            self._wake.set()

    # --- one send -------------------------------------------------------------------------------------------------

    async def _deliver(self, row: Outbound, claimed_at: float) -> None:
        account = (row.channel, row.account)
        try:
            await self._permits.take(row, self._adapters[account].capabilities, claimed_at)
            outcome = await self._send(row)
        except MustWait as wait:
            outcome = self._retry(row, wait.wait_s, PACED)
        except ServiceError as exc:
            outcome = self._failed(row, exc)
        except Exception as exc:  # noqa: BLE001 - a bug in one adapter must not leave a row without an outcome
            log.error("send_crashed", outbox_id=row.outbox_id, error=type(exc).__name__, exc_info=False)
            reason = f"internal error {type(exc).__name__}"
            outcome = uncertain(row, reason, now=self._clock.now(), policy=self._policy)
        self._tell(account, outcome)
        if outcome.state == "held":
            await self._notify_held(row)
        if outcome.state in {"sent", "failed", "parked"} and not self._health[account].is_ok:
            self._set_health(account, AccountHealth(True))
        if outcome.retry_at is not None:
            wait_s = (outcome.retry_at - self._clock.now()).total_seconds()
            self._next_due = min(self._next_due, self._monotonic() + max(wait_s, 0.0))
        self._outcomes += for_all(row, outcome)
        self._ended.set()

    async def _send(self, row: Outbound) -> SendOutcome:
        adapter = self._adapters[(row.channel, row.account)]
        if not await self._may_reply(row, adapter):
            return SendOutcome(row.outbox_id, "held")
        began = self._monotonic()
        self._fault("send.before_call")
        try:
            with self._permits.under_way(row, adapter.capabilities):
                receipt = await adapter.send(row)
        except ServiceError as error:
            await self._settle_window(row, adapter, error)
            raise
        self._fault("send.after_call")
        duration_ms = round((self._monotonic() - began) * 1000, 1)
        log.info(
            "message_sent", outbox_id=row.outbox_id, channel=row.channel, attempt=row.attempt, duration_ms=duration_ms
        )
        return SendOutcome(
            row.outbox_id, "sent", vendor_message_id=receipt.vendor_message_id, moved_to=receipt.moved_to
        )

    async def _may_reply(self, row: Outbound, adapter: ChannelAdapter) -> bool:
        """True when the channel counts no replies, or one of this recipient's was taken for the row."""
        if not adapter.capabilities.is_windowed or self._ledger is None:
            return True
        return await self._ledger.take(row, reserve=reserve_for(row))

    async def _settle_window(self, row: Outbound, adapter: ChannelAdapter, error: ServiceError) -> None:
        """The reply taken for a send that failed is given back, unless it may have been sent after all."""
        if not adapter.capabilities.is_windowed or self._ledger is None:
            return
        is_unknown = isinstance(error, ServiceUnavailable) and error.happened == "unknown"
        try:
            if isinstance(error, WindowClosed):
                await self._ledger.spent(row)
            elif not is_unknown:
                await self._ledger.give_back(row)
        except ServiceError as exc:
            # One reply too many stays counted: the customer's next message makes it right.
            log.warning("window_not_settled", outbox_id=row.outbox_id, error=type(exc).__name__)

    async def _notify_held(self, row: Outbound) -> None:
        """The recipient is told, once a day and where the channel can, that something waits for them. Best effort."""
        adapter = self._adapters[(row.channel, row.account)]
        if not isinstance(adapter, NotifiesHeld) or row.lane is Lane.BROADCAST:
            return
        try:
            key = f"held:{row.channel}:{row.account}:{row.chat_id}"
            if not await self._tokens.take(key, per_s=1 / HELD_NOTICE_EVERY_S):
                await adapter.notify_held(row)
        except ServiceError as exc:
            log.warning("held_notice_not_sent", outbox_id=row.outbox_id, error=type(exc).__name__)

    def _failed(self, row: Outbound, error: ServiceError) -> SendOutcome:
        account = (row.channel, row.account)
        if isinstance(error, RateLimited):
            self._pause(account, error.retry_after_s)
            self._set_health(account, AccountHealth(False, error.reason))
        elif isinstance(error, Misconfigured):
            self._pause(account, self._policy.misconfigured_pause_s)
            self._set_health(account, AccountHealth(False, error.reason))
        outcome = outcome_of(
            error,
            row,
            now=self._clock.now(),
            policy=self._policy,
            jitter=self._jitter,
        )
        log.warning(
            "message_not_sent",
            outbox_id=row.outbox_id,
            channel=row.channel,
            attempt=row.attempt,
            error=type(error).__name__,
            state=outcome.state,
        )
        return outcome

    def _tell(self, account: Account, outcome: SendOutcome) -> None:
        if self._watch is None:
            return
        if outcome.state == "sent":
            self._watch.sent(*account)
        elif outcome.state in {"failed", "parked", "held"}:
            self._watch.answered(*account)
        elif outcome.reason != PACED:
            self._watch.failed(*account, outcome.reason)

    def _retry(self, row: Outbound, wait_s: float, reason: str) -> SendOutcome:
        at = self._clock.now() + timedelta(seconds=wait_s)
        return SendOutcome(row.outbox_id, "retry", retry_at=at, reason=reason)

    def _pause(self, account: Account, wait_s: float) -> None:
        until = self._monotonic() + wait_s
        self._paused_until[account] = max(until, self._paused_until.get(account, 0.0))

    def _pause_left_s(self, account: Account) -> float:
        return self._paused_until.get(account, 0.0) - self._monotonic()

    def _set_health(self, account: Account, health: AccountHealth) -> None:
        if self._health[account].is_ok != health.is_ok:
            level = log.info if health.is_ok else log.error
            level("account_health_changed", channel=account[0], account=account[1], reason=health.reason)
        self._health[account] = health

    # --- storing how it ended -------------------------------------------------------------------------------------

    async def _store_outcomes(self) -> None:
        while True:
            await self._ended.wait()
            if self._under_way:  # one transaction for several, and one claim for as many new ones
                await self._sleep(self._policy.gather_s)
            self._ended.clear()
            while self._outcomes:
                try:
                    await self._flush()
                    self._store_failures = 0
                except ServiceError as exc:
                    self._store_failures += 1
                    log.error("outcomes_not_stored", count=len(self._outcomes), error=type(exc).__name__)
                    await self._sleep(self._store_backoff_s(self._store_failures))
            self._wake.set()  # the next rows of those conversations may go

    async def _flush(self) -> None:
        batch = tuple(self._outcomes)
        if batch:
            await self._outbox.finish(batch)
            del self._outcomes[: len(batch)]

    def _store_backoff_s(self, failures: int) -> float:
        return min(5.0, 0.1 * 2.0 ** min(failures, 10))

    async def _drain(self) -> None:
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=self._policy.drain_s)
        for task in tuple(self._under_way):
            task.cancel()
        try:
            await self._flush()
        except ServiceError as exc:
            # The rows stay `sending`; the outbox's uncertain policy takes them when the lease is over.
            log.error("outcomes_not_stored", count=len(self._outcomes), error=type(exc).__name__)
