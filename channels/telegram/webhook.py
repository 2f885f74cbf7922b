"""POST /channels/telegram/{account}: the secret is in a header, so that strangers' bodies are not even read."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.routing import Route

from bot.ports import Inbox
from channels.telegram.adapter import TelegramAdapter
from channels.webhook import webhook_routes


def telegram_routes(adapters: Mapping[str, TelegramAdapter], inbox: Inbox, max_body_bytes: int) -> list[Route]:
    """The webhook route over those accounts that use one."""
    return webhook_routes(
        "telegram",
        {account: adapter for account, adapter in adapters.items() if adapter.settings.mode == "webhook"},
        inbox,
        max_body_bytes,
        admit=TelegramAdapter.verify_webhook,
        stored=TelegramAdapter.acknowledge_press,
    )
