"""The console in this process: its screens with the services behind them, and the task that keeps them live."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from starlette.routing import BaseRoute

from bot.business_time import zone
from bot.service.policy import ServicePolicy
from bot.types import Language
from console.assets import asset_routes
from console.frame import Frame
from console.inbox import InboxServices, Suggestion, inbox_routes
from console.live import LiveHub, live_route
from console.sign_in import sign_in_routes
from desk.cases import CaseDesk
from desk.conversations import ConversationDesk
from desk.customer_records import CustomerRecords
from desk.handoff import HandoffDesk
from desk.inbox import InboxDesk
from desk.outside import Outside
from desk.replies import ReplyDesk
from desk.signing_in import SigningIn
from frontdesk.clock import SystemClock
from frontdesk.encoders import Encoders

if TYPE_CHECKING:
    from frontdesk.app import App


class ConsoleRole:
    """Routes, and what runs beside them. Nothing is read or started before it is asked for."""

    def __init__(self, app: App) -> None:
        self._app = app
        database, clock = app.store.database, SystemClock()
        self._frame = Frame(
            signing_in=SigningIn(database, app.secret_keys, clock, self._policy),
            signals=app.signals,
            clock=clock,
            zone=lambda: zone(app.settings.timezone),
            language="en" if app.settings.language.startswith("en") else "zh",
            is_https=app.settings.public_url.startswith("https://"),
        )
        adapters = list(app.adapters.values())
        outside = Outside(
            clock=clock,
            signals=app.signals,
            encoder=Encoders(adapters, app.media.link),
            library=app.media,
            channels={adapter.channel: adapter.capabilities for adapter in adapters},
            zone=self._zone_of,
        )
        inbox = InboxDesk(database)
        self._services = InboxServices(
            inbox=inbox,
            conversations=ConversationDesk(database, outside),
            replies=ReplyDesk(database, outside),
            handoff=HandoffDesk(database, self._policy, clock, app.signals, flows=self._flow_names),
            records=CustomerRecords(database, clock),
            cases=CaseDesk(database, self._policy, clock),
            teams=self._teams,
            flows=self._flows,
            articles=self._articles,
        )
        self.hub = LiveHub(self._frame, inbox.changed_since)

    def routes(self) -> list[BaseRoute]:
        return [
            *live_route(self._frame, self._services, self.hub),
            *inbox_routes(self._frame, self._services),
            *sign_in_routes(self._frame),
            *asset_routes(),
        ]

    # --- what the screens ask of the assistant --------------------------------------------------------------------

    def _policy(self) -> ServicePolicy:
        return self._app.runtimes.default_assistant().service

    def _teams(self, language: str) -> Sequence[tuple[str, str]]:
        return [(name, team.titles.get(language, name)) for name, team in self._policy().routing.teams.items()]

    def _flow_names(self) -> frozenset[str]:
        return frozenset(self._app.runtimes.default_assistant().flows)

    def _flows(self, language: str) -> Sequence[tuple[str, str]]:
        flows = self._app.runtimes.default_assistant().flows
        return sorted((name, flow.name or name) for name, flow in flows.items())

    def _zone_of(self, channel: str, account: str) -> str:
        return self._app.settings.timezone

    async def _articles(self, words: str, language: str) -> Sequence[Suggestion]:
        index = self._app.runtimes.default_knowledge()
        wanted: Language = "zh" if language.startswith("zh") else "en"
        return [Suggestion(hit.title, hit.answer) for hit in index.ask(words, language=wanted, top=5)]
