"""A stand-in company on a stepped clock and our adapters connected to it, for tests without the whole desk."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from bot.errors import NotFound
from bot.ports import StoredFile
from bot.types import ConversationId, Lane, Outbound, OutboxId, OutPart, Received, RenderedReply, ReplyButton
from channels.simulators.wecom import OPEN_KFID, WecomSimulator
from channels.wecom import KfAdapter, WecomAdapter, WecomConnection
from config.settings import WecomSettings
from tests.channel_doubles import MemoryCursors, SteppedClock


class MemoryMedia:
    """As much of the media library as a send needs."""

    def __init__(self) -> None:
        self.files: dict[str, tuple[StoredFile, bytes]] = {}

    async def add(self, content: bytes, *, file_name: str = "", conversation_id: ConversationId | None = None) -> Any:
        raise NotImplementedError

    async def read(self, media_id: str) -> tuple[StoredFile, bytes]:
        if media_id not in self.files:
            raise NotFound(media_id)
        return self.files[media_id]

    def link(self, media_id: str) -> str:
        return f"https://desk.example/files/{media_id}"


@dataclass
class World:
    clock: SteppedClock
    simulator: WecomSimulator
    connection: WecomConnection
    app: WecomAdapter
    kf: KfAdapter
    media: MemoryMedia
    cursors: MemoryCursors
    states: list[Received] = field(default_factory=list)  # sessions found elsewhere

    @property
    def company(self) -> Any:
        return self.simulator.company

    def calls(self, method: str, outcome: str = "ok") -> int:
        return len(self.simulator.ledger.entries("call", method=method, outcome=outcome))


@asynccontextmanager
async def a_world(**settings: Any) -> AsyncIterator[World]:
    clock = SteppedClock()
    async with WecomSimulator(now=lambda: clock.now().timestamp(), sleep=clock.sleep) as simulator:
        section = WecomSettings.model_validate({**simulator.settings(), "timeout_s": 5, **settings})
        media, cursors = MemoryMedia(), MemoryCursors()
        connection = WecomConnection("main", section, media=media, now=clock.now)
        world = World(
            clock, simulator, connection, WecomAdapter(connection), KfAdapter(connection, cursors), media, cursors
        )

        async def found(received: Received) -> None:
            world.states.append(received)

        world.kf.on_state = found
        try:
            yield world
        finally:
            await connection.close()


def a_row(number: int, part: OutPart | str, *, chat: str, topic: str = "", channel: str = "wecom") -> Outbound:
    return Outbound(
        outbox_id=OutboxId(number),
        conversation_id=ConversationId(1),
        channel=channel,
        account="main",
        chat_id=chat,
        topic=topic,
        part=OutPart(part) if isinstance(part, str) else part,
        lane=Lane.REPLY,
        idempotency_key=f"{number:032x}",
        attempt=1,
        fence=0,
    )


def a_kf_row(number: int, part: OutPart | str, *, chat: str = "wm1") -> Outbound:
    return replace(a_row(number, part, chat=chat, topic=OPEN_KFID), channel="kf")


def with_buttons(text: str, *labels: str) -> RenderedReply:
    return RenderedReply(text, tuple(ReplyButton(label, f"/{label}") for label in labels))


async def send_all(adapter: Any, parts: Sequence[OutPart], *, chat: str, topic: str = "") -> None:
    for number, part in enumerate(parts, start=1):
        await adapter.send(a_row(number, part, chat=chat, topic=topic))
