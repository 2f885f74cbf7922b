"""A bell on a signal topic: wait until it rings or a sweep is due."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from bot.ports import Signals, Subscription


class Wakeup:
    """Rings stay rung until waited for, so a signal that comes while working is not missed."""

    def __init__(self, signals: Signals, topic: str) -> None:
        self._signals, self._topic = signals, topic
        self._rung = asyncio.Event()
        self._listener: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        # Subscribed here, not in the task: a signal sent before the task first runs must not be missed.
        subscription = self._signals.subscribe(self._topic)
        self._listener = asyncio.get_running_loop().create_task(self._listen(subscription))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._listener is not None:
            self._listener.cancel()

    async def wait(self, timeout_s: float) -> bool:
        """True when rung, False when `timeout_s` passed; the bell is silent again afterwards."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._rung.wait()
        except TimeoutError:
            return False
        finally:
            self._rung.clear()
        return True

    async def _listen(self, subscription: Subscription) -> None:
        try:
            async for _ in subscription:
                self._rung.set()
        finally:
            await subscription.aclose()
