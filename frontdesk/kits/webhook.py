"""The kit of a channel that needs nothing but its webhook."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Generic

from starlette.routing import BaseRoute

from bot.types import Received
from channels.webhook import Adapter, Headers, nothing, webhook_routes

if TYPE_CHECKING:
    from frontdesk.app import App
    from frontdesk.kits import Work


class WebhookKit(Generic[Adapter]):
    """Implements `frontdesk.kits.Kit`; `admit`, `verify` and `stored` as in `channels.webhook.webhook_routes`."""

    def __init__(
        self,
        channel: str,
        adapters: Mapping[str, Adapter],
        *,
        admit: Callable[[Adapter, Headers], None] = nothing,
        verify: Callable[[Adapter, Headers, bytes], None] = nothing,
        stored: Callable[[Adapter, Received], None] = nothing,
    ) -> None:
        self.channel, self.adapters = channel, adapters
        self._admit, self._verify, self._stored = admit, verify, stored

    def routes(self, app: App) -> Sequence[BaseRoute]:
        return webhook_routes(
            self.channel,
            self.adapters,
            app.inbox,
            app.settings.max_body_bytes,
            admit=self._admit,
            verify=self._verify,
            stored=self._stored,
        )

    def work(self, app: App) -> Mapping[str, Work]:
        return {}
