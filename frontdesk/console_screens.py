"""The screens of the console beside the inbox, with the services behind them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from starlette.routing import BaseRoute

from bot.types import CustomerId
from console.cases import cases_routes
from console.customers import customers_routes
from console.settings import SettingsServices, settings_routes
from desk.accounts import AccountDesk
from desk.audit import AuditDesk
from desk.channels import ChannelDesk
from desk.hooks import HookDesk
from desk.policies import PolicyDesk
from desk.roles import RoleDesk
from desk.tokens import TokenDesk
from frontdesk.api_mount import exporting
from frontdesk.clock import SystemClock
from frontdesk.console_broadcasts import broadcast_routes
from frontdesk.console_cases import case_services, customer_services
from frontdesk.console_content import content_routes
from frontdesk.customer_files import erase_with_files
from frontdesk.desk_facts import rules_file, site_link
from frontdesk.doctor import examine
from frontdesk.policies import model_name

if TYPE_CHECKING:
    from frontdesk.app import App
    from frontdesk.console_mount import ConsoleInbox


def screen_routes(app: App, inbox: ConsoleInbox) -> Sequence[BaseRoute]:
    """Every page below `/console/SCREEN`. Nothing is read before it is asked for."""
    frame, services = inbox.frame, inbox.services
    database, clock, policy = app.store.database, SystemClock(), app.runtimes.policy
    customers = customer_services(
        database,
        policy,
        clock,
        export=exporting(app),
        erase=lambda customer_id: erase_with_files(app.store, app.media, CustomerId(customer_id)),
    )
    cases = case_services(database, policy, clock, services.handoff, services.teams, link=site_link(app))
    settings = SettingsServices(
        accounts=AccountDesk(database, clock, policy, app.signals),
        roles=RoleDesk(database, clock),
        canned=app.staff.canned,
        policies=PolicyDesk(database, policy, model_name(app.settings.assistant), clock, app.library),
        tokens=TokenDesk(database, clock),
        hooks=HookDesk(database, clock, app.secret_keys, allows_private=app.settings.hooks.allow_private),
        audit=AuditDesk(database),
        channel_desk=ChannelDesk(database),
        rules_file=lambda: rules_file(app),
        examine=lambda: examine(app.settings),
        teams=services.teams,
        channels=lambda: sorted({channel for channel, _ in app.adapters}),
    )
    return [
        *settings_routes(frame, settings),
        *content_routes(app, frame, services.cases, inbox.tests),
        *cases_routes(frame, cases),
        *customers_routes(frame, customers),
        *broadcast_routes(app, frame),
    ]
