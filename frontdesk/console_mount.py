"""The console in this process: its screens with the services behind them, and the task that keeps them live."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from starlette.routing import BaseRoute

from bot.business_time import zone
from bot.service.policy import ServicePolicy
from bot.types import CustomerId
from console.assets import asset_routes
from console.cases import cases_routes
from console.customers import customers_routes
from console.frame import Frame
from console.inbox_desk import InboxServices
from console.inbox_routes import inbox_routes
from console.live import live_route
from console.live_hub import LiveHub
from console.me import me_routes
from console.settings import SettingsServices, settings_routes
from console.sign_in import sign_in_routes
from desk.accounts import AccountDesk
from desk.actors import Actor
from desk.audit import AuditDesk
from desk.case_board import CaseBoard
from desk.cases import CaseDesk
from desk.customer_records import CustomerRecords
from desk.handoff import HandoffDesk
from desk.hooks import HookDesk
from desk.own_account import OwnAccount
from desk.policies import PolicyDesk
from desk.regression import RegressionDesk
from desk.roles import RoleDesk
from desk.tasks import TaskDesk
from desk.tokens import TokenDesk
from frontdesk.api_mount import exporting
from frontdesk.clock import SystemClock
from frontdesk.console_broadcasts import broadcast_routes
from frontdesk.console_cases import case_services, customer_services
from frontdesk.console_content import content_routes, unclear_of
from frontdesk.customer_files import erase_with_files
from frontdesk.desk_facts import flow_names, rules_file, site_link
from frontdesk.doctor import examine
from frontdesk.policies import model_name
from frontdesk.staff_access import build_signing_in, build_single_sign_on

if TYPE_CHECKING:
    from frontdesk.app import App


class ConsoleRole:
    """Routes, and what runs beside them. Nothing is read or started before it is asked for."""

    def __init__(self, app: App) -> None:
        self._app = app
        database, clock = app.store.database, SystemClock()
        self._signing_in = build_signing_in(app.settings, database, app.secret_keys, clock, self._policy)
        self._own = OwnAccount(database, clock, self._signing_in)
        found = build_single_sign_on(app.settings, database, app.secret_keys, clock, self._signing_in)
        self._single = found[0] if found is not None else None
        self.provider = found[1] if found is not None else None
        self._frame = Frame(
            signing_in=self._signing_in,
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
            handoff=HandoffDesk(database, self._policy, clock, app.signals, flows=lambda: flow_names(app)),
            records=CustomerRecords(database, clock, self._policy),
            cases=CaseDesk(database, self._policy, clock),
            tasks=TaskDesk(database, clock),
            teams=self._teams,
            flows=self._flows,
            make_test=self._make_test,
            unclear=unclear_of(app, clock),
        )
        self.hub = LiveHub(self._frame, staff.inbox, CaseBoard(database))
        self._customers = customer_services(
            database,
            self._policy,
            clock,
            export=exporting(app),
            erase=lambda customer_id: erase_with_files(app.store, app.media, CustomerId(customer_id)),
        )
        self._cases = case_services(
            database, self._policy, clock, self._services.handoff, self._teams, link=site_link(app)
        )

    async def close(self) -> None:
        """Every stream ends, and what was held open to the provider."""
        self.hub.close()
        if self.provider is not None:
            await self.provider.close()

    def routes(self) -> list[BaseRoute]:
        return [
            *live_route(self._frame, self._services, self.hub),
            *inbox_routes(self._frame, self._services),
            *sign_in_routes(self._frame, self._own, self._single),
            *me_routes(self._frame, self._own),
            *settings_routes(self._frame, self._settings()),
            *content_routes(self._app, self._frame, self._services.cases, self._tests),
            *cases_routes(self._frame, self._cases),
            *customers_routes(self._frame, self._customers),
            *broadcast_routes(self._app, self._frame),
            *asset_routes(),
        ]

    def _settings(self) -> SettingsServices:
        app, clock = self._app, SystemClock()
        database = app.store.database
        return SettingsServices(
            accounts=AccountDesk(database, clock, self._policy, app.signals),
            roles=RoleDesk(database, clock),
            canned=app.staff.canned,
            policies=PolicyDesk(database, self._policy, model_name(app.settings.assistant), clock, app.library),
            tokens=TokenDesk(database, clock),
            hooks=HookDesk(database, clock, app.secret_keys, allows_private=app.settings.hooks.allow_private),
            audit=AuditDesk(database),
            rules_file=lambda: rules_file(app),
            examine=lambda: examine(app.settings),
            unreadable=app.store.newest_unreadable,
            teams=self._teams,
            channels=lambda: sorted({channel for channel, _ in app.adapters}),
        )

    # --- what the screens ask of the assistant --------------------------------------------------------------------

    def _policy(self) -> ServicePolicy:
        return self._app.runtimes.policy()

    def _teams(self, language: str) -> Sequence[tuple[str, str]]:
        return [(name, team.titles.get(language, name)) for name, team in self._policy().teams.items()]

    def _flows(self, language: str) -> Sequence[tuple[str, str]]:
        flows = self._app.runtimes.default_assistant().flows
        return sorted((name, flow.name or name) for name, flow in flows.items())

    async def _make_test(self, actor: Actor, conversation_id: int) -> str:
        assistant = model_name(self._app.settings.assistant)
        return (await self._tests.make(actor, assistant, conversation_id)).name
