"""Channels as a process takes them in: each brings its adapters, its routes and its background work.

Listed here by hand. A channel's modules are imported only where it is configured: some of them cost memory that other
deployments keep.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from starlette.routing import BaseRoute

from bot.ports import MediaLibrary
from channels.base import ChannelAdapter
from config.settings import Settings
from crm_sync.store import SqlStore

if TYPE_CHECKING:
    from frontdesk.app import App

Work = Callable[[], Awaitable[None]]


class Kit(Protocol):
    """Everything one channel brings along."""

    channel: str

    @property
    def adapters(self) -> Mapping[str, ChannelAdapter]:
        """By account."""
        ...

    def routes(self, app: App) -> Sequence[BaseRoute]:
        """What the web role serves for it."""
        ...

    def work(self, app: App) -> Mapping[str, Work]:
        """What the web role keeps running for it, by task name."""
        ...


def build_kits(settings: Settings, store: SqlStore | None, media: MediaLibrary | None = None) -> list[Kit]:
    """The channels with a section in `settings`. Without a store (`frontdesk doctor` on a broken one) they can be
    examined but not served. `media` is for kits whose adapters send files.

    Raises: Misconfigured.
    """
    from frontdesk.kits.command_line import CommandLineKit
    from frontdesk.kits.web import WebKit

    kits: list[Kit] = [CommandLineKit(), WebKit(settings)]
    if settings.channels.telegram:
        from frontdesk.kits.telegram import TelegramKit

        kits.append(TelegramKit(settings, media))
    if settings.channels.line:
        from frontdesk.kits.line import line_kit

        kits.append(line_kit(settings, media))
    if settings.channels.wecom:
        from frontdesk.kits.wecom import wecom_kits

        kits.extend(wecom_kits(settings, store, media))
    if settings.channels.wechat:
        from frontdesk.kits.wechat import WechatKit

        kits.append(WechatKit(settings, store, media))
    return kits
