"""A chat on the real store and media library for the browser suite, with a bot that says what a test tells it to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bot.ports import TOPIC_WEB, OutMessage
from bot.types import Accepted, InboundMessage, OutPart, Received, RenderedReply
from channels.web import WebAdapter, WebExtras
from config.settings import WebSettings
from crm_sync.media.library import SqlMediaLibrary
from crm_sync.store import SqlStore
from frontdesk.media_routes import media_routes
from tests.media_library import library_in
from tests.store_steps import decided
from tests.web_server import WebServer

Bot = Callable[[InboundMessage], Sequence[RenderedReply]]


@dataclass
class Desk(WebServer):
    """`bot` answers each message; what it says takes the real way: encoder, transaction, stream."""

    bot: Bot = lambda message: ()
    library: SqlMediaLibrary | None = None
    heard: list[InboundMessage] = field(default_factory=list)
    _turns: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def accept(self, received: Sequence[Received]) -> list[Accepted]:
        accepted: list[Accepted] = await self.store.accept(received)
        asyncio.get_running_loop().create_task(self._answer())
        return accepted

    async def _answer(self) -> None:
        async with self._turns:
            for claimed in await self.store.claim("bot", 10):
                commit = decided(claimed)
                turns = []
                for turn, claimed_message in zip(commit.turns, claimed.messages, strict=True):
                    self.heard.append(claimed_message.message)
                    parts = [
                        part
                        for reply in self.bot(claimed_message.message)
                        for part in WebAdapter("default").encode(reply)
                    ]
                    turns.append(replace(turn, out=(OutMessage(tuple(parts), "en"),) if parts else ()))
                (committed,) = await self.store.commit([replace(commit, turns=tuple(turns))])
                hint = {"conversation_id": committed.conversation_id, "events": committed.visible}
                self.signals.publish(TOPIC_WEB, hint)

    def said(self) -> list[Any]:
        return [message.content for message in self.heard]


@contextlib.asynccontextmanager
async def a_desk(
    url: str, folder: Path, settings: WebSettings, bot: Bot, extras: WebExtras | None = None
) -> AsyncIterator[Desk]:
    """A running chat of account `default`."""
    store = await SqlStore.open(url)
    library = library_in(store, folder, base_url="", max_bytes=2_000_000)
    extras = replace(extras or WebExtras(), store=store, library=library, max_upload_bytes=2_000_000)
    desk = Desk(
        {"default": settings},
        store=store,
        extras=extras,
        other_routes=media_routes(library),
        hub_options={"sweep_s": 600.0, "link": library.link},
        bot=bot,
        library=library,
    )
    await desk.start()
    try:
        yield desk
    finally:
        await desk.stop()
        await store.close()


def words(text: str, **fields: Any) -> RenderedReply:
    return RenderedReply(text, **fields)


__all__ = ["Desk", "OutPart", "a_desk", "words"]
