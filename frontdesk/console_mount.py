"""The console's inbox in this process: its pages with the services behind them, and the task that keeps them live."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from starlette.routing import BaseRoute

from bot.service.policy import ServicePolicy
from console.inbox_desk import InboxServices
from console.inbox_routes import inbox_routes
from console.live import live_route
from console.live_hub import LiveHub
from console.me import me_routes
from desk.actors import Actor
from desk.case_board import CaseBoard
from desk.cases import CaseDesk
from desk.customer_records import CustomerRecords
from desk.handoff import HandoffDesk
from desk.regression import RegressionDesk
from desk.tasks import TaskDesk
from desk.understanding import UnderstandingDesk
from frontdesk.clock import SystemClock
from frontdesk.desk_facts import flow_names
from frontdesk.policies import model_name

if TYPE_CHECKING:
    from frontdesk.app import App
    from frontdesk.console_door import ConsoleDoor


class ConsoleInbox:
    """Routes, and what runs beside them. Nothing is read or started before it is asked for."""

    def __init__(self, app: App, door: ConsoleDoor) -> None:
        self._app, self.frame, self._own = app, door.frame, door.own
        database, clock, staff = app.store.database, SystemClock(), app.staff
        self.tests = RegressionDesk(database, app.library, clock)
        self._understanding = UnderstandingDesk(database, app.library, clock)
        self.services = InboxServices(
            inbox=staff.inbox,
            conversations=staff.talks,
            replies=staff.replies,
            notes=staff.notes,
            canned=staff.canned,
            views=staff.views,
            search=staff.search,
            help=staff.help,
            handoff=HandoffDesk(database, self._policy, clock, app.signals, flows=lambda: flow_names(app)),
            records=CustomerRecords(database, clock, self._policy),
            cases=CaseDesk(database, self._policy, clock),
            tasks=TaskDesk(database, clock),
            teams=self._teams,
            flows=self._flows,
            make_test=self._make_test,
            unclear=self._unclear,
        )
        self.hub = LiveHub(self.frame, staff.inbox, CaseBoard(database), staff.notes)

    def close(self) -> None:
        """Every stream ends."""
        self.hub.close()

    def routes(self) -> list[BaseRoute]:
        return [
            *live_route(self.frame, self.services, self.hub),
            *inbox_routes(self.frame, self.services),
            *me_routes(self.frame, self._own),
        ]

    # --- what the pages ask of the assistant ----------------------------------------------------------------------

    def _policy(self) -> ServicePolicy:
        return self._app.runtimes.policy()

    def _teams(self, language: str) -> Sequence[tuple[str, str]]:
        return [(name, team.titles.get(language, name)) for name, team in self._policy().teams.items()]

    def _flows(self, language: str) -> Sequence[tuple[str, str]]:
        flows = self._app.runtimes.default_assistant().flows
        return sorted((name, flow.name or name) for name, flow in flows.items())

    async def _make_test(self, actor: Actor, conversation_id: int) -> str:
        assistant = model_name(self._app.settings.assistant)
        return (await self.tests.make(actor, assistant, conversation_id)).name

    async def _unclear(self, actor: Actor) -> int:
        """How many messages wait for somebody to label them."""
        counts = await self._understanding.counts(actor, model_name(self._app.settings.assistant))
        return counts.waiting["unclear"]
