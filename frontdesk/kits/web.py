"""The web chat in a process: always there, with an account `default`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from starlette.routing import BaseRoute

from channels.web import WebAdapter, WebExtras, web_routes
from config.settings import Settings
from frontdesk.continuing import continue_links
from frontdesk.mail import SmtpMailer

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
            extras=WebExtras(
                store=app.store,
                library=app.media,
                max_upload_bytes=app.settings.media.max_bytes,
                links=continue_links(app.adapters, app.secret_keys),
                mailer=SmtpMailer(app.settings.mail) if app.settings.mail.host else None,
                tokens=app.rate_tokens,
                timezone=app.settings.timezone,
            ),
        )

    def work(self, app: App) -> Mapping[str, Work]:
        return {"web-hub": app.hub.run}
