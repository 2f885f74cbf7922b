"""Is this bot account in working order? For `frontdesk doctor`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from telegram import Bot, WebhookInfo

from bot.errors import ServiceError
from channels.base import Finding
from channels.telegram.request import asked
from config.settings import TelegramSettings

RECENT = timedelta(hours=1)  # a delivery that failed longer ago says nothing about now
MANY_PENDING = 1000


def webhook_url(public_url: str, account: str) -> str:
    return f"{public_url.rstrip('/')}/channels/telegram/{account}"


async def examine(bot: Bot, settings: TelegramSettings, account: str, public_url: str) -> Sequence[Finding]:
    """Token, way of delivery and backlog are judged. What could not be asked is a finding."""
    check = f"telegram/{account}"
    try:
        me = await asked(bot.get_me())
        webhook = await asked(bot.get_webhook_info())
    except ServiceError as error:
        return (Finding(check, True, str(error), "check token and api_base_url"),)
    problem = _problem(webhook, settings, account, public_url)
    summary = f"@{me.username or '?'}, {settings.mode}, {webhook.pending_update_count} updates waiting"
    return (Finding(check, bool(problem), summary, problem),)


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
