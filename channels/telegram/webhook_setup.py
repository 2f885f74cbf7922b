"""At start: Telegram is told where to deliver, until it has understood."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import structlog

from bot.errors import Misconfigured, RateLimited, ServiceError
from channels.telegram.adapter import TelegramAdapter

log = structlog.get_logger()

BACKOFF_S = (1.0, 60.0)  # first and longest pause after a failure


async def announce_webhook(
    adapter: TelegramAdapter,
    public_url: str,
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    jitter: Callable[[], float] = random.random,
) -> None:
    """Telegram delivers this account's updates below `public_url`; without one nothing is changed, and a line says so.

    Raises: Misconfigured when Telegram does not take the token or the address: an operator must act.
    """
    if not public_url:
        reason = "FRONTDESK_PUBLIC_URL is not set, so Telegram was not told where to deliver"
        log.error("telegram_webhook_not_set", account=adapter.account, reason=reason)
        return
    first, longest = BACKOFF_S
    failures = 0
    while True:
        try:
            await adapter.set_webhook(public_url)
        except Misconfigured:
            raise
        except ServiceError as exc:
            pause_s = min(longest, first * 2 ** min(failures, 10)) * (0.5 + jitter() / 2)
            pause_s = exc.retry_after_s if isinstance(exc, RateLimited) else pause_s
            failures += 1
            log.warning("telegram_webhook_not_set", account=adapter.account, reason=exc.reason, retry_in_s=pause_s)
            await sleep(pause_s)
        else:
            log.info("telegram_webhook_set", account=adapter.account)
            return
