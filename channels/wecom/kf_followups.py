"""What follows once 微信客服 entries are stored: a greeting within 20 s, and the customers' names. Best effort."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any, Final

import structlog

from bot.errors import BotError
from bot.ports import Inbox
from bot.types import Event, InboundMessage, Received, RenderedReply, Text
from channels.wecom.kf import KfAdapter
from channels.wecom.kf_decode import welcome_code
from channels.wecom.kf_pull import is_recent

log = structlog.get_logger()

GREET_WITHIN_S: Final = 20.0  # document 96428; later the code is worth nothing
NAMES_AT_ONCE: Final = 100  # document 95159 "获取客户基础信息"
KNOWN_NAMES: Final = 50_000  # customers whose name was asked for, remembered by this process

Greeting = Callable[[InboundMessage], RenderedReply | None]


class KfFollowups:
    """Hand `note` to a KfPuller. Whatever fails here is logged and left: the next message brings another occasion."""

    def __init__(self, adapter: KfAdapter, inbox: Inbox, greeting: Greeting) -> None:
        self._adapter, self._inbox, self._greeting = adapter, inbox, greeting
        self._nameless: dict[str, str] = {}  # customer -> open_kfid
        self._asked: set[str] = set()
        self._learning: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def note(self, pulled: Sequence[tuple[Any, Received]]) -> None:
        """Greetings and names are under way. Never waits, never raises."""
        for entry, received in pulled:
            message = received.message
            if message is None or message.author != "customer":
                continue
            if message.chat_id not in self._asked:
                self._nameless.setdefault(message.chat_id, message.topic)
            code = welcome_code(entry)
            if code and is_recent(message.sent_at, self._adapter.connection.now(), GREET_WITHIN_S):
                self._start(partial(self._greet, code, message))
        if self._nameless and (self._learning is None or self._learning.done()):
            self._learning = self._start(self._learn_names)

    async def settle(self) -> None:
        """Everything under way is over."""
        while self._tasks:
            await asyncio.gather(*self._tasks)

    async def close(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(self._best_effort(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _best_effort(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except BotError as exc:
            log.warning("kf_followup_failed", account=self._adapter.account, error=type(exc).__name__)

    async def _greet(self, code: str, entered: InboundMessage) -> None:
        """The customer reads the greeting, and the conversation says so."""
        greeting = self._greeting(entered)
        parts = self._adapter.encode(greeting) if greeting else ()
        if not parts:
            return
        key = f"hi{hashlib.sha256(code.encode()).hexdigest()[:30]}"
        await self._adapter.greet(code, parts[0], key)
        said = replace(
            entered,
            content=Text(parts[0].text),
            dedupe_key=f"greeting:{key}",
            vendor_message_id=key,
            sent_at=self._adapter.connection.now(),
            author="bot",
        )
        await self._inbox.accept([Received(said.sender.channel, said.sender.account, said.dedupe_key, b"", said)])

    async def _learn_names(self) -> None:
        """One call after the other: a burst of customers is no burst of calls."""
        while self._nameless:
            chosen = dict(islice(self._nameless.items(), NAMES_AT_ONCE))
            for customer in chosen:
                del self._nameless[customer]
            await self._learn(chosen)
            if len(self._asked) > KNOWN_NAMES:
                self._asked.clear()
            self._asked |= chosen.keys()  # those who were not told are asked for at their next message

    async def _learn(self, customers: dict[str, str]) -> None:
        names = await self._adapter.names(list(customers))
        told = []
        for customer, name in names.items():
            if customer in customers:
                digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:16]
                key = f"name:{customers[customer]}:{customer}:{digest}"
                told.append(self._adapter.report(customers[customer], customer, Event("named"), key, name=name))
        if told:
            await self._inbox.accept(told)
