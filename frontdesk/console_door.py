"""The console's door in this process: signing in, and what its page needs; light enough to be there at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import BaseRoute

from bot.business_time import zone
from console.assets import asset_routes
from console.frame import Frame
from console.sign_in import sign_in_routes
from desk.own_account import OwnAccount
from frontdesk.clock import SystemClock
from frontdesk.staff_access import build_signing_in, build_single_sign_on

if TYPE_CHECKING:
    from frontdesk.app import App


class ConsoleDoor:
    """`frame` and `own` are what the screens behind it work with too."""

    def __init__(self, app: App) -> None:
        database, clock = app.store.database, SystemClock()
        signing_in = build_signing_in(app.settings, database, app.secret_keys, clock, app.runtimes.policy)
        self.own = OwnAccount(database, clock, signing_in)
        found = build_single_sign_on(app.settings, database, app.secret_keys, clock, signing_in)
        self._single = found[0] if found is not None else None
        self._provider = found[1] if found is not None else None
        self.frame = Frame(
            signing_in=signing_in,
            signals=app.signals,
            clock=clock,
            zone=lambda: zone(app.settings.timezone),
            language="en" if app.settings.language.startswith("en") else "zh",
            is_https=app.settings.public_url.startswith("https://"),
        )

    def routes(self) -> list[BaseRoute]:
        return [*sign_in_routes(self.frame, self.own, self._single), *asset_routes()]

    async def close(self) -> None:
        """What was held open to the provider."""
        if self._provider is not None:
            await self._provider.close()
