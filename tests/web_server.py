"""A web chat on a real server, for tests: the routes, an in-memory store that keeps the contract, a scripted bot."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.routing import BaseRoute

from bot.errors import DedupeMismatch, StoreUnavailable
from bot.ports import TOPIC_WEB
from bot.types import Accepted, Button, ConversationId, Identity, InboxId, MessageId, Received, Text
from channels.web import WebExtras, WebHub, web_routes
from config.settings import WebSettings
from frontdesk.signals import LocalSignals

SECRET = b"a secret key of the test suite"


class MemoryWebStore:
    """Keeps the promises of `Inbox` and `WebStore` in memory; `is_down` makes every call fail as a full disk would."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.events: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
        self.read: dict[int, int] = {}
        self.reads = 0
        self.is_down = False
        self.was_down = asyncio.Event()  # set when a call has failed because of it
        self._conversations: dict[Identity, ConversationId] = {}
        self._accepted: dict[tuple[str, str, str], tuple[Any, Accepted]] = {}

    async def accept(self, received: Sequence[Received]) -> list[Accepted]:
        await self._commit()
        return [self._accept(item) for item in received]

    async def web_conversation(self, identity: Identity) -> ConversationId:
        await self._commit()
        return self._conversations.setdefault(identity, ConversationId(len(self._conversations) + 1))

    async def events_after(self, conversation_id: ConversationId, after: int, limit: int) -> list[dict[str, Any]]:
        await self._commit()
        self.reads += 1
        return [event for event in self.events[conversation_id] if event["seq"] > after][:limit]

    async def mark_read(self, conversation_id: ConversationId, seq: int) -> None:
        await self._commit()
        self.read[conversation_id] = max(seq, self.read.get(conversation_id, 0))

    def append(self, conversation_id: int, text: str, **fields: Any) -> dict[str, Any]:
        """A message becomes visible; nobody is told."""
        seq = len(self.events[conversation_id]) + 1
        event = {"seq": seq, "id": seq, "direction": "out", "author": "bot", "text": text, "buttons": [], **fields}
        self.events[conversation_id].append({**event, "at": datetime.now(UTC).isoformat()})
        return self.events[conversation_id][-1]

    def conversation_of(self, user: str, account: str = "default") -> int:
        return self._conversations[Identity("web", account, user)]

    def _accept(self, item: Received) -> Accepted:
        assert item.message is not None
        key = (item.channel, item.account, item.dedupe_key)
        if key in self._accepted:
            content, accepted = self._accepted[key]
            if content != item.message.content:
                raise DedupeMismatch("same id, other content")
            return Accepted(
                accepted.inbox_id, accepted.conversation_id, accepted.message_id, accepted.seq, is_new=False
            )
        self.received.append(item)
        number = self._conversations.setdefault(item.message.sender, ConversationId(len(self._conversations) + 1))
        content = item.message.content
        text = content.text if isinstance(content, Text) else content.label if isinstance(content, Button) else ""
        event = self.append(number, text, direction="in", author="customer")
        row = len(self.received)
        accepted = Accepted(InboxId(row), number, MessageId(row), event["seq"], is_new=True)
        self._accepted[key] = (content, accepted)
        return accepted

    async def _commit(self) -> None:
        await asyncio.sleep(0)
        if self.is_down:
            self.was_down.set()
            raise StoreUnavailable("store", "disk full")


Responder = Callable[[Received], Sequence[Mapping[str, Any]]]


@dataclass
class WebServer:
    """A running chat. `say` makes the bot speak; `stop` and `start` restart it on the same port and store."""

    accounts: Mapping[str, WebSettings]
    store: Any = field(default_factory=MemoryWebStore)  # or the real one
    signals: LocalSignals = field(default_factory=LocalSignals)
    responder: Responder = lambda received: ()
    hub_options: Mapping[str, Any] = field(default_factory=dict)
    extras: WebExtras | None = None
    other_routes: Sequence[BaseRoute] = ()  # served beside the chat
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def accept(self, received: Sequence[Received]) -> list[Accepted]:
        """The inbox the routes see: stores, then lets the scripted bot answer."""
        accepted = await self.store.accept(received)
        for item, row in zip(received, accepted, strict=True):
            if row.is_new and row.conversation_id is not None:
                asyncio.get_running_loop().call_soon(self._respond, item, row.conversation_id)
        return accepted

    def say(self, conversation_id: int, text: str, **fields: Any) -> dict[str, Any]:
        event = self.store.append(conversation_id, text, **fields)
        self.signals.publish(TOPIC_WEB, {"conversation_id": conversation_id, "events": [event]})
        return event

    def _respond(self, item: Received, conversation_id: int) -> None:
        for reply in self.responder(item):
            self.say(conversation_id, **reply)

    async def start(self) -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        self.hub = WebHub(self.store, self.signals, **self.hub_options)
        routes = web_routes(
            self.accounts,
            store=self.store,
            inbox=self,
            hub=self.hub,
            signals=self.signals,
            secrets=[SECRET],
            extras=self.extras,
        )
        config = uvicorn.Config(
            Starlette(routes=[*routes, *self.other_routes]),
            loop="none",
            http="httptools",
            ws="websockets-sansio",
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=3,
        )
        self._server = uvicorn.Server(config)
        self._server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]
        self._tasks = [
            asyncio.create_task(self._server.serve(sockets=[listener])),
            asyncio.create_task(self.hub.run()),
        ]
        while not self._server.started:  # noqa: ASYNC110 - uvicorn has no event to wait for
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        await self.hub.close()
        self._server.should_exit = True
        await self._tasks[0]
        self._tasks[1].cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def web_server(**options: Any) -> AsyncIterator[WebServer]:
    server = WebServer(options.pop("accounts", {"default": WebSettings()}), **options)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
