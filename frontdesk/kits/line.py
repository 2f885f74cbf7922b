"""LINE Official Accounts in a process."""

from __future__ import annotations

from bot.ports import MediaLibrary
from channels.line.adapter import LineAdapter
from config.settings import Settings
from frontdesk.kits.webhook import WebhookKit


def line_kit(settings: Settings, media: MediaLibrary | None) -> WebhookKit[LineAdapter]:
    link = media.link if media else str
    adapters = {account: LineAdapter(account, its, link=link) for account, its in settings.channels.line.items()}
    return WebhookKit("line", adapters, verify=LineAdapter.verify, stored=LineAdapter.remember)
