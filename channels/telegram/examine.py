"""Is this bot account in working order? For `frontdesk doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from telegram import Bot, WebhookInfo

from channels.telegram.request import asked
from config.settings import TelegramSettings

RECENT = timedelta(hours=1)  # a delivery that failed longer ago says nothing about now
MANY_PENDING = 1000


@dataclass(frozen=True, slots=True)
class Examination:
    """`problem` is empty when all is well, else what is wrong and what to do about it."""

    summary: str
    problem: str = ""


def webhook_url(public_url: str, account: str) -> str:
    return f"{public_url.rstrip('/')}/channels/telegram/{account}"


async def examine(bot: Bot, settings: TelegramSettings, account: str, public_url: str) -> Examination:
    """Token, way of delivery and backlog are judged. Raises: ServiceError when Telegram cannot be asked."""
    me = await asked(bot.get_me())
    webhook = await asked(bot.get_webhook_info())
    summary = f"@{me.username or '?'}, {settings.mode}, {webhook.pending_update_count} updates waiting"
    return Examination(summary, _problem(webhook, settings, account, public_url))


def _problem(webhook: WebhookInfo, settings: TelegramSettings, account: str, public_url: str) -> str:
    if settings.mode == "polling":
        return "a webhook is set, so polling gets nothing; frontdesk run takes it down" if webhook.url else ""
    if not public_url:
        return "webhook mode needs FRONTDESK_PUBLIC_URL"
    if not webhook.url:
        return "no webhook is set; frontdesk run sets it"
    if webhook.url != webhook_url(public_url, account):
        return "the webhook points to another address; frontdesk run sets it to FRONTDESK_PUBLIC_URL"
    failed_at = webhook.last_error_date
    if failed_at is not None and datetime.now(UTC) - failed_at < RECENT:
        return f"Telegram could not deliver: {webhook.last_error_message or 'no reason given'}"
    if webhook.pending_update_count > MANY_PENDING:
        return f"{webhook.pending_update_count} updates wait at Telegram; is the web role running and reachable?"
    return ""
