"""Is this bot account in working order? For `frontdesk doctor`."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from channels.telegram.api import BotApi
from config.settings import TelegramSettings

RECENT_S = 3600.0  # a delivery that failed longer ago says nothing about now
MANY_PENDING = 1000


@dataclass(frozen=True, slots=True)
class Examination:
    """`problem` is empty when all is well, else what is wrong and what to do about it."""

    summary: str
    problem: str = ""


def webhook_url(public_url: str, account: str) -> str:
    return f"{public_url.rstrip('/')}/channels/telegram/{account}"


async def examine(api: BotApi, settings: TelegramSettings, account: str, public_url: str) -> Examination:
    """Token, way of delivery and backlog are judged. Raises: ServiceError when Telegram cannot be asked."""
    me = await api.call("getMe", {})
    info = await api.call("getWebhookInfo", {})
    info = info if isinstance(info, dict) else {}
    name = me.get("username", "?") if isinstance(me, dict) else "?"
    pending = info.get("pending_update_count", 0)
    summary = f"@{name}, {settings.mode}, {pending} updates waiting"
    return Examination(summary, _problem(info, settings, account, public_url))


def _problem(info: dict[str, Any], settings: TelegramSettings, account: str, public_url: str) -> str:
    url = info.get("url") or ""
    if settings.mode == "polling":
        return "a webhook is set, so polling gets nothing; frontdesk run takes it down" if url else ""
    if not public_url:
        return "webhook mode needs FRONTDESK_PUBLIC_URL"
    if not url:
        return "no webhook is set; frontdesk run sets it"
    if url != webhook_url(public_url, account):
        return "the webhook points to another address; frontdesk run sets it to FRONTDESK_PUBLIC_URL"
    failed_at = info.get("last_error_date")
    if isinstance(failed_at, int) and time.time() - failed_at < RECENT_S:
        return f"Telegram could not deliver: {info.get('last_error_message', 'no reason given')}"
    pending = info.get("pending_update_count", 0)
    if isinstance(pending, int) and pending > MANY_PENDING:
        return f"{pending} updates wait at Telegram; is the web role running and reachable?"
    return ""
