"""LINE Official Accounts in a process."""

from __future__ import annotations

from channels.line.adapter import LineAdapter
from config.settings import Settings
from frontdesk.kits.webhook import WebhookKit


def line_kit(settings: Settings) -> WebhookKit[LineAdapter]:
    adapters = {account: LineAdapter(account, section) for account, section in settings.channels.line.items()}
    return WebhookKit("line", adapters, verify=LineAdapter.verify, stored=LineAdapter.remember)
