"""Long polling: fetch, store, and only then confirm. Everything ends in the same inbox as the webhook."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import structlog

from bot.errors import (
    InputError,
    Misconfigured,
    RateLimited,
    ServiceError,
    ServiceUnavailable,
    StoreUnavailable,
)
from bot.ports import ChannelHealth, CursorStore, Inbox
from bot.types import Received
from channels.telegram.adapter import ALLOWED_UPDATES, TelegramAdapter, utc_now
from channels.telegram.api import SERVICE, Conflict, result_of
from channels.telegram.batch import Single, singles
from channels.telegram.decode import CHANNEL

log = structlog.get_logger()

BATCH = 100  # most that getUpdates gives at once
CURSOR_VALID_FOR = timedelta(
    hours=24
)  # Telegram keeps no update longer, and may start over with lower ids after idling
BACKOFF_S = (1.0, 60.0)  # first and longest pause after a failure
CONFLICT_BACKOFF_S = (5.0, 60.0)


class PollerState(StrEnum):
    STARTING = "starting"
    POLLING = "polling"
    CONFLICT = "conflict"  # somebody else polls this bot
    UNAVAILABLE = "unavailable"  # Telegram or the store does not answer
    MISCONFIGURED = "misconfigured"  # stopped: the token is wrong
    STOPPED = "stopped"


class TelegramPoller:
    """Polls one account until cancelled. `state` is for health checks."""

    def __init__(
        self,
        adapter: TelegramAdapter,
        inbox: Inbox,
        cursors: CursorStore,
        *,
        poll_timeout_s: int = 25,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        now: Callable[[], datetime] = utc_now,
        jitter: Callable[[], float] = random.random,
        fault: Callable[[str], None] = lambda point: None,
        watch: ChannelHealth | None = None,
    ) -> None:
        """`jitter` gives 0 to 1; `fault` is called at "telegram.before_confirm" (see frontdesk/faults.py); `watch` is
        told how each poll went.
        """
        self.state = PollerState.STARTING
        self.account = adapter.account
        self._adapter, self._inbox, self._cursors = adapter, inbox, cursors
        self._poll_timeout_s = poll_timeout_s
        self._sleep, self._now, self._jitter, self._fault = sleep, now, jitter, fault
        self._watch = watch
        # The bot's public number is part of the name: another bot under the same account starts afresh.
        bot_number = adapter.settings.token.get_secret_value().partition(":")[0]
        self._cursor_name = f"telegram:{adapter.account}:{bot_number}"
        self._offset: int | None = None
        self._offset_at = now()
        self._failures = 0
        self._is_prepared = False

    async def run(self) -> None:
        """Returns only by cancellation or by raising Misconfigured (wrong token: an operator must act)."""
        try:
            while True:
                await self._step()
        except Misconfigured as exc:
            self.state = PollerState.MISCONFIGURED
            self._went_wrong(exc)
            log.error("telegram_polling_stopped", account=self._adapter.account, reason="token or address refused")
            raise
        finally:
            if self.state is not PollerState.MISCONFIGURED:
                self.state = PollerState.STOPPED

    async def _step(self) -> None:
        try:
            if not self._is_prepared:
                await self._prepare()
                if self.state is PollerState.STARTING:  # the first long poll may last: say that all is well so far
                    self._went_well()
            await self.poll_once()
        except Conflict as exc:
            # A webhook set by somebody is taken down by the next preparation; another poller has to be stopped by hand.
            self._is_prepared = False
            self._went_wrong(exc)
            await self._back_off(PollerState.CONFLICT, CONFLICT_BACKOFF_S, reason=exc.reason)
        except RateLimited as exc:
            self._went_wrong(exc)
            log.warning("telegram_polling_slowed", account=self._adapter.account, retry_after_s=exc.retry_after_s)
            await self._sleep(exc.retry_after_s)
        except Misconfigured:
            raise
        except ServiceError as exc:
            self._went_wrong(exc)
            await self._back_off(PollerState.UNAVAILABLE, BACKOFF_S, reason=type(exc).__name__)
        else:
            self._went_well()

    def _went_well(self) -> None:
        if self.state is not PollerState.POLLING:
            log.info("telegram_polling_started", account=self._adapter.account)
        self.state, self._failures = PollerState.POLLING, 0
        if self._watch is not None:
            self._watch.answered(CHANNEL, self.account, receiving=True)

    def _went_wrong(self, error: ServiceError) -> None:
        if self._watch is not None and not isinstance(
            error, StoreUnavailable
        ):  # our own trouble says nothing of theirs
            self._watch.failed(CHANNEL, self.account, error.reason, receiving=True)

    async def poll_once(self) -> int:
        """How many updates one getUpdates brought; all of them are committed and will be confirmed by the next.

        Raises: ServiceError of any kind; nothing is confirmed then.
        """
        params: dict[str, Any] = {
            "timeout": self._poll_timeout_s,
            "limit": BATCH,
            "allowed_updates": list(ALLOWED_UPDATES),
        }
        if self._offset is not None and self._now() - self._offset_at < CURSOR_VALID_FOR:
            params["offset"] = self._offset
        status, body = await self._adapter.api.call_raw("getUpdates", params, extra_wait_s=self._poll_timeout_s)
        updates = singles(body) if status == 200 else None
        if updates is None:
            result_of(status, body)
            raise ServiceUnavailable(SERVICE, "getUpdates answered something else", happened="no")
        if not updates:
            return 0
        await self._accept([self._decode(update) for update in updates])
        self._fault("telegram.before_confirm")
        await self._advance(updates)
        return len(updates)

    async def _prepare(self) -> None:
        """Ready to poll: the bot is known, no webhook takes the updates, the stored position is read."""
        await self._adapter.prepare_polling()
        offset, _, stored_at = (await self._cursors.get_cursor(self._cursor_name)).partition("@")
        if offset.isdecimal() and stored_at.isdecimal():
            age_s = self._now().timestamp() - int(stored_at)
            if age_s < CURSOR_VALID_FOR.total_seconds():
                self._offset, self._offset_at = int(offset), self._now() - timedelta(seconds=max(age_s, 0))
        self._is_prepared = True

    def _decode(self, update: Single) -> Received:
        if update.parsed is None:
            # Parses to nothing: decode() names the reason, the salvaged id keeps its place in the inbox.
            received = self._adapter.decode(update.raw)[0]
            if received.message is None and update.update_id is not None:
                received = replace(received, dedupe_key=str(update.update_id))
        else:
            received = self._adapter.decode_update(update.parsed, update.raw)
        if received.message is None:
            log.warning("update_parked", channel=received.channel, account=received.account, reason=received.reason)
        return received

    async def _accept(self, batch: Sequence[Received]) -> None:
        """All of the batch is committed. Raises: StoreUnavailable."""
        try:
            accepted = await self._inbox.accept(batch)
        except (InputError, ValueError, TypeError) as exc:
            if len(batch) == 1:
                await self._park(batch[0], type(exc).__name__)
                return
            # Something in one of them does not fit the store: the others must not wait for it.
            for received in batch:
                await self._accept([received])
            return
        for received, row in zip(batch, accepted, strict=True):
            if row.is_new:
                self._adapter.acknowledge_press(received)

    async def _park(self, received: Received, reason: str) -> None:
        log.error("update_not_storable", account=received.account, dedupe_key=received.dedupe_key, error=reason)
        await self._inbox.accept([replace(received, message=None, reason=f"not storable: {reason}")])

    async def _advance(self, updates: Sequence[Single]) -> None:
        """The position is stored; the next getUpdates confirms. The batch decides, not the old position:

        after an idle week Telegram starts over with a random id, which may be lower than all before.
        """
        ids = [update.update_id for update in updates if update.update_id is not None]
        if not ids:
            raise ServiceUnavailable(SERVICE, "no update of the batch has an id to confirm it by", happened="no")
        self._offset, self._offset_at = max(ids) + 1, self._now()
        await self._cursors.set_cursor(self._cursor_name, f"{self._offset}@{int(self._offset_at.timestamp())}")

    async def _back_off(self, state: PollerState, bounds: tuple[float, float], *, reason: str) -> None:
        first, longest = bounds
        pause_s = min(longest, first * 2 ** min(self._failures, 10)) * (0.5 + self._jitter() / 2)
        self._failures += 1
        if self.state is not state:
            log.error("telegram_polling_interrupted", account=self._adapter.account, state=state, reason=reason)
        self.state = state
        await self._sleep(pause_s)
