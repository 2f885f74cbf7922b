"""While an answer is being thought of, the customer's own app says so, on channels that can."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import structlog

from bot.errors import ServiceError
from bot.ports import TOPIC_TYPING, RateTokens, Signals
from channels.base import ChannelAdapter, ShowsTyping

log = structlog.get_logger()

SHOWN_FOR_S: Final = 5.0  # Bot API sendChatAction: "for 5 seconds or less"


async def relay_typing(
    adapters: Mapping[tuple[str, str], ChannelAdapter], signals: Signals, tokens: RateTokens
) -> None:
    """Passes typing hints on to the accounts (by channel and name) until cancelled.

    Every web process hears a hint; the token they share lets one of them act, and only as often as it shows.
    """
    showing = {account: adapter for account, adapter in adapters.items() if isinstance(adapter, ShowsTyping)}
    subscription = signals.subscribe(TOPIC_TYPING)
    try:
        async for signal in subscription:
            hint = signal.payload
            adapter = showing.get((str(hint.get("channel")), str(hint.get("account"))))
            if adapter is None:
                continue
            chat, topic = str(hint.get("chat_id", "")), str(hint.get("topic", ""))
            try:
                key = f"typing:{hint['channel']}:{hint['account']}:{chat}:{topic}"
                if await tokens.take(key, per_s=1 / SHOWN_FOR_S) == 0.0:
                    await adapter.send_typing(chat, topic)
            except ServiceError as error:
                log.info("typing_not_shown", channel=hint["channel"], error=type(error).__name__)
    finally:
        await subscription.aclose()
