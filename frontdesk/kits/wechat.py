"""WeChat Official Accounts in a process: a webhook for each, whose requests wait for their reply together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from starlette.routing import BaseRoute

from bot.ports import MediaLibrary
from channels.wechat import WechatAdapter, wechat_routes
from channels.wechat.waiting import Waiting
from config.settings import Settings
from crm_sync.store import SqlStore

if TYPE_CHECKING:
    from frontdesk.app import App
    from frontdesk.kits import Work


class WechatKit:
    """Implements `frontdesk.kits.Kit`."""

    channel = "wechat"

    def __init__(self, settings: Settings, store: SqlStore | None, media: MediaLibrary | None) -> None:
        tokens = store.vendor_tokens if store is not None else None
        self.adapters = {
            account: WechatAdapter(account, section, tokens=tokens, library=media)
            for account, section in settings.channels.wechat.items()
        }
        self._waiting: Waiting | None = None

    def routes(self, app: App) -> Sequence[BaseRoute]:
        return wechat_routes(
            self.adapters,
            app.inbox,
            app.store.outbox,
            self._those_who_wait(app),
            app.settings.max_body_bytes,
            health=app.watch,
        )

    def work(self, app: App) -> Mapping[str, Work]:
        for adapter in self.adapters.values():
            adapter.trusts_links_of(app.secret_keys)
        return {"wechat-waiting": self._those_who_wait(app).run}

    def _those_who_wait(self, app: App) -> Waiting:
        if self._waiting is None:
            self._waiting = Waiting(app.store.passive, app.signals)
        return self._waiting
