"""The web chat in a process: always there, with an account `default`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from starlette.routing import BaseRoute

from channels.web import WebAdapter, web_routes
from config.settings import Settings

if TYPE_CHECKING:
    from frontdesk.app import App
    from frontdesk.kits import Work


class WebKit:
    """Implements `frontdesk.kits.Kit`."""

    channel = "web"

    def __init__(self, settings: Settings) -> None:
        self.adapters = {account: WebAdapter(account) for account in settings.web_accounts()}

    def routes(self, app: App) -> Sequence[BaseRoute]:
        return web_routes(
            accounts=app.settings.web_accounts(),
            store=app.store,
            inbox=app.inbox,
            hub=app.hub,
            signals=app.signals,
            secrets=app.secret_keys,
            public_url=app.settings.public_url,
            max_body_bytes=app.settings.max_body_bytes,
        )

    def work(self, app: App) -> Mapping[str, Work]:
        return {"web-hub": app.hub.run}
