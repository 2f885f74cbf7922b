"""Customers whom the bot hands to a person are put where the people are: WeCom's queue, or one colleague's sessions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

import structlog

from bot.errors import BotError, RateLimited
from bot.ports import Inbox
from channels.wecom.connection import TransitionRefused
from channels.wecom.kf import CLOSED, POOL, SERVICER, KfAdapter, SessionState

log = structlog.get_logger()

LOOK_EVERY_S: Final = 1.0
RETRY_S: Final = 60.0  # for one that WeCom did not take
PAUSE_S: Final = 5.0


class Waiting(Protocol):
    """A customer who waits for a person, and whom the vendor's people do not know of yet."""

    @property
    def handoff_id(self) -> int: ...

    @property
    def chat_id(self) -> str: ...

    @property
    def topic(self) -> str: ...


class Handovers(Protocol):
    async def waiting(self) -> Sequence[Waiting]:
        """Those of this account, nothing of ours being left to send to them. Raises: StoreUnavailable."""
        ...

    async def passed_on(self, handoff_id: int) -> None:
        """The vendor's people have it. Raises: StoreUnavailable."""
        ...


class KfHandover:
    """Passes on what the store has waiting until cancelled."""

    def __init__(
        self,
        adapter: KfAdapter,
        handovers: Handovers,
        inbox: Inbox,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._adapter, self._handovers, self._inbox = adapter, handovers, inbox
        self._sleep, self._monotonic = sleep, monotonic
        self._not_before: dict[int, float] = {}

    async def run(self) -> None:
        while True:
            pause_s = LOOK_EVERY_S
            try:
                await self.run_once()
            except RateLimited as exc:
                pause_s = exc.retry_after_s
            except BotError as exc:
                log.warning("kf_handover_failed", account=self._adapter.account, error=type(exc).__name__)
                pause_s = PAUSE_S
            await self._sleep(pause_s)

    async def run_once(self) -> int:
        """How many were passed on. Raises: ServiceError."""
        now, count = self._monotonic(), 0
        waiting = await self._handovers.waiting()
        self._not_before = {
            handoff.handoff_id: self._not_before[handoff.handoff_id]
            for handoff in waiting
            if handoff.handoff_id in self._not_before
        }
        for handoff in waiting:
            if self._not_before.get(handoff.handoff_id, 0.0) > now:
                continue
            if await self._pass_on(handoff):
                count += 1
            else:
                self._not_before[handoff.handoff_id] = now + RETRY_S
        return count

    async def _pass_on(self, handoff: Waiting) -> bool:
        """Also when they are there already. False: WeCom takes them nowhere now, and they wait here."""
        settings = self._adapter.connection.settings
        wanted = [SessionState(POOL)]
        if settings.kf_handoff == "servicer":
            wanted.insert(0, SessionState(SERVICER, settings.kf_servicer))
        for goal in wanted:
            try:
                await self._adapter.move(handoff.topic, handoff.chat_id, goal)
            except TransitionRefused as refused:
                log.warning(
                    "kf_handover_refused", account=self._adapter.account, state=goal.state, code=refused.reason[:5]
                )
                continue
            await self._settle(handoff, goal)
            return True
        found = await self._adapter.state(handoff.topic, handoff.chat_id)
        if found.state in (POOL, SERVICER, CLOSED):
            await self._settle(handoff, found)
            return True
        return False

    async def _settle(self, handoff: Waiting, now: SessionState) -> None:
        """The store knows; a colleague who has the session silences the bot."""
        if now.state != POOL:
            key = f"handoff:{handoff.handoff_id}:{now.state}"
            await self._inbox.accept([self._adapter.owner_event(handoff.topic, handoff.chat_id, now, key)])
        await self._handovers.passed_on(handoff.handoff_id)
        log.info("kf_session_passed_on", account=self._adapter.account, handoff_id=handoff.handoff_id, state=now.state)
