"""Webhooks that wait for the reply to their message, woken together: one look into the store serves all of them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable

import structlog

from bot.errors import ServiceError
from bot.ports import TOPIC_OUTBOX, ComposedReply, PassiveReplies, Signals
from bot.types import InboxId
from bot.wakeup import Wakeup
from channels.wechat.replies import Compose

log = structlog.get_logger()

POLL_S = 0.25  # where a turn ends in another process and no signal comes
BUSY_S = 0.1  # before asking again while an earlier reply of the conversation is on its way
MAX_ASKED = 500  # ids in one look
NOTHING_YET = ComposedReply(b"")


class Waiting:
    """Who waits for which message's turn. `run` has to be running for anybody to be woken."""

    def __init__(
        self,
        replies: PassiveReplies,
        signals: Signals,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._replies, self._signals, self._monotonic, self._sleep = replies, signals, monotonic, sleep
        # One for each delivery of the message, and until when it waits.
        self._waiting: dict[InboxId, dict[asyncio.Event, float]] = {}
        self._somebody = asyncio.Event()
        self._is_closed = False

    async def reply(
        self,
        inbox_id: InboxId,
        compose: Compose,
        within_s: float,
        *,
        is_new: bool = True,
        is_last_way: bool = False,
        is_gone: Callable[[], Awaitable[bool]] | None = None,
    ) -> ComposedReply:
        """What to carry back; an empty body when there is nothing, or not in time. Never raises a ServiceError.

        A redelivery (`is_new` False) gets what is there already, or joins those who wait here; it waits anew only where
        the reply has no other way than this one (`is_last_way`). For a caller who is gone nothing is taken.
        """
        deadline = self._monotonic() + within_s
        if not (is_new or is_last_way):
            deadline = max(self._waiting.get(inbox_id, {}).values(), default=0.0)
        try:
            if is_new:
                await self._until_ended(inbox_id, deadline)
            has_waited = is_new
            while (not has_waited or self._monotonic() < deadline) and not self._is_closed:
                if is_gone is not None and await is_gone():
                    return NOTHING_YET
                taken = await self._replies.take(inbox_id, compose)
                if taken is not None:
                    return taken
                if has_waited:
                    await self._sleep(BUSY_S)
                else:
                    await self._until_ended(inbox_id, deadline)
                    has_waited = True
        except ServiceError as exc:
            log.warning("passive_reply_not_taken", inbox_id=inbox_id, error=type(exc).__name__)
        return NOTHING_YET

    async def put_back(self, inbox_id: InboxId) -> None:
        """What `reply` gave was not written. Raises: StoreUnavailable."""
        await self._replies.put_back(inbox_id)

    async def run(self) -> None:
        """Until cancelled; then everybody stops waiting, and what they waited for is left to the sender."""
        try:
            with Wakeup(self._signals, TOPIC_OUTBOX) as wakeup:
                while True:
                    await self._somebody.wait()
                    await wakeup.wait(POLL_S)
                    with contextlib.suppress(ServiceError):  # those who wait have a deadline; the next look may work
                        await self._wake_those_whose_turn_is_over()
        finally:
            self._is_closed = True
            self._wake(list(self._waiting))

    async def _wake_those_whose_turn_is_over(self) -> None:
        asked = list(self._waiting)
        for start in range(0, len(asked), MAX_ASKED):
            self._wake(await self._replies.ended(asked[start : start + MAX_ASKED]))

    def _wake(self, inbox_ids: Iterable[InboxId]) -> None:
        for inbox_id in inbox_ids:
            for ended in self._waiting.pop(inbox_id, ()):
                ended.set()
        if not self._waiting:
            self._somebody.clear()

    async def _until_ended(self, inbox_id: InboxId, deadline: float) -> None:
        ended = asyncio.Event()
        self._waiting.setdefault(inbox_id, {})[ended] = deadline
        self._somebody.set()
        try:
            async with asyncio.timeout(deadline - self._monotonic()):
                await ended.wait()
        except TimeoutError:
            return
        finally:
            mine = self._waiting.get(inbox_id)
            if mine is not None:
                mine.pop(ended, None)
                if not mine:
                    del self._waiting[inbox_id]
