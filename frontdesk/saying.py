"""One turn through the real engine and store, with the command line as its channel."""

from __future__ import annotations

import asyncio
import secrets
from time import perf_counter
from typing import Any

from bot.errors import InputError, ServiceUnavailable
from bot.types import Identity, InboundMessage, Received, Text
from config.settings import Settings
from frontdesk.app import App
from frontdesk.clock import SystemClock

ANSWER_WITHIN_S = 15.0
POLL_S = 0.05
LONGEST_USER = 100  # characters


def said(user: str, text: str, *, key: str) -> Received:
    """What the inbox takes for `text` said by `user`."""
    now = SystemClock().now()
    message = InboundMessage(
        sender=Identity("cli", "default", user),
        chat_id=user,
        dedupe_key=key,
        content=Text(text),
        sent_at=now,
        vendor_message_id=key,
    )
    raw = text.encode("utf-8", "surrogatepass")
    return Received(channel="cli", account="default", dedupe_key=key, raw=raw, message=message)


async def say_once(settings: Settings, user: str, text: str) -> dict[str, Any]:
    """The turn's replies and what was understood, in the shape of `frontdesk say --json`.

    Works beside a running desk: whichever worker claims the conversation first answers, once.
    Raises: ServiceUnavailable when no answer is committed within 15 s; the message stays accepted.
    """
    if not 0 < len(user) <= LONGEST_USER:
        raise InputError(f"--user takes 1 to {LONGEST_USER} characters")
    app = await App.open(settings, exclusive=False)
    try:
        return await say_with(app, user, text)
    finally:
        await app.close()


async def say_with(app: App, user: str, text: str) -> dict[str, Any]:
    """As `say_once`, on an app that is already open."""
    started = perf_counter()
    (accepted,) = await app.inbox.accept([said(user, text, key=f"{user}:{secrets.token_hex(8)}")])
    deadline = started + ANSWER_WITHIN_S
    while (turn := await app.store.turn_of(accepted.inbox_id)) is None:
        if perf_counter() > deadline:
            raise ServiceUnavailable("worker", "gave no answer in time; the message is kept and will be answered")
        if not await app.worker.run_once():
            await asyncio.sleep(POLL_S)
    return {
        "replies": [{"text": reply["text"], "buttons": reply["buttons"]} for reply in turn["replies"]],
        "intent": turn["intent"],
        "confidence": turn["confidence"],
        "entities": turn["entities"],
        "engine": turn["engine"],
        "conversation_id": accepted.conversation_id,
        "customer_id": turn["customer_id"],
        "turn_ms": round((perf_counter() - started) * 1000, 2),
    }
