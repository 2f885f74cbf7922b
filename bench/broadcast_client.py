"""What one message of a broadcast costs the channel's client: CPU time of a process that does nothing else."""

from __future__ import annotations

import asyncio
import json
import sys
from time import process_time

import uvloop

from bot.types import ConversationId, Lane, Outbound, OutboxId, OutPart
from channels.simulators.telegram import DEFAULT_TOKEN
from channels.telegram import TelegramAdapter
from config.settings import TelegramSettings

AT_ONCE = 16


async def measure(url: str, chats: range) -> float:
    """Milliseconds of CPU for each message."""
    settings = TelegramSettings(token=DEFAULT_TOKEN, api_base_url=url, allow_paid_broadcast=True)
    adapter = TelegramAdapter("bench", settings)
    gate = asyncio.Semaphore(AT_ONCE)

    async def send(chat: int) -> None:
        async with gate:
            await adapter.send_bulk(
                Outbound(
                    outbox_id=OutboxId(-chat),
                    conversation_id=ConversationId(chat),
                    channel="telegram",
                    account="bench",
                    chat_id=str(chat),
                    topic="",
                    part=OutPart("The winter check is half price until Sunday."),
                    lane=Lane.BROADCAST,
                    idempotency_key="",
                    attempt=1,
                    fence=0,
                )
            )

    warm, rest = chats[:50], chats[50:]
    await asyncio.gather(*(send(chat) for chat in warm))
    before = process_time()
    await asyncio.gather(*(send(chat) for chat in rest))
    spent = process_time() - before
    await adapter.close()
    return spent / len(rest) * 1000


if __name__ == "__main__":
    first, last = int(sys.argv[2]), int(sys.argv[3])
    sys.stdout.write(json.dumps({"ms": uvloop.run(measure(sys.argv[1], range(first, last)))}) + "\n")
