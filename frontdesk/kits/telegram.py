"""Telegram bots in a process: one poller or one webhook for each account."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from starlette.routing import BaseRoute

from bot.ports import MediaLibrary
from channels.telegram import TelegramAdapter, TelegramPoller, announce_webhook, telegram_routes
from config.settings import Settings

if TYPE_CHECKING:
    from frontdesk.app import App
    from frontdesk.kits import Work


class TelegramKit:
    """Implements `frontdesk.kits.Kit`."""

    channel = "telegram"

    def __init__(self, settings: Settings, media: MediaLibrary | None = None) -> None:
        read = media.read if media is not None else None
        self.adapters = {
            account: TelegramAdapter(account, section, read_media=read)
            for account, section in settings.channels.telegram.items()
        }

    def routes(self, app: App) -> Sequence[BaseRoute]:
        return telegram_routes(self.adapters, app.inbox, app.settings.max_body_bytes)

    def work(self, app: App) -> Mapping[str, Work]:
        work: dict[str, Work] = {}
        for account, adapter in self.adapters.items():
            adapter.trusts_links_of(app.secret_keys)
            if adapter.settings.mode == "polling":
                poller = TelegramPoller(adapter, app.inbox, app.store, fault=app.fault, watch=app.watch)
                work[f"telegram-{account}"] = poller.run
            else:
                work[f"telegram-webhook-{account}"] = partial(announce_webhook, adapter, app.settings.public_url)
        return work
