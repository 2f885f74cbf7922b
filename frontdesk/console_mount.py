"""The console in this process: its screens with the services behind them, and the task that keeps them live."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from starlette.routing import BaseRoute

from bot.business_time import zone
from bot.service.policy import ServicePolicy
from console.assets import asset_routes
from console.frame import Frame
from console.inbox_desk import InboxServices
from console.inbox_routes import inbox_routes
from console.live import LiveHub, live_route
from console.sign_in import sign_in_routes
from desk.actors import Actor
from desk.cases import CaseDesk
from desk.customer_records import CustomerRecords
from desk.handoff import HandoffDesk
from desk.regression import RegressionDesk
from desk.signing_in import SigningIn
from frontdesk.clock import SystemClock
from frontdesk.runtimes import model_name

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
        staff = app.staff
        self._tests = RegressionDesk(database, app.library, clock)
        self._services = InboxServices(
            inbox=staff.inbox,
            conversations=staff.talks,
            replies=staff.replies,
            notes=staff.notes,
            canned=staff.canned,
            views=staff.views,
            search=staff.search,
            help=staff.help,
            handoff=HandoffDesk(database, self._policy, clock, app.signals, flows=self._flow_names),
            records=CustomerRecords(database, clock),
            cases=CaseDesk(database, self._policy, clock),
            teams=self._teams,
            flows=self._flows,
            make_test=self._make_test,
        )
        self.hub = LiveHub(self._frame, staff.inbox.changed_since)

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

    async def _make_test(self, actor: Actor, conversation_id: int) -> str:
        assistant = model_name(self._app.settings.assistant)
        return (await self._tests.make(actor, assistant, conversation_id)).name
