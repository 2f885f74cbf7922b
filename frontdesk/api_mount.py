"""`/api/v1` in this process: put together when somebody first asks for it, so that no start pays for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.routing import BaseRoute, Mount
from starlette.types import ASGIApp

from bot.errors import NotSignedIn
from bot.types import CustomerId, Identity
from channels.base import Finding
from crm_sync.erasure import export_customer
from desk.hooks import HookDesk
from desk.outside import Outside
from desk.tokens import TokenDesk
from frontdesk.app import App
from frontdesk.clock import SystemClock
from frontdesk.customer_files import erase_with_files, with_links
from frontdesk.desk_facts import flow_names, report_titles, rules_file, site_link
from frontdesk.encoders import Encoders
from frontdesk.lazily import Lazily
from frontdesk.policies import model_name

if TYPE_CHECKING:
    from api.desk import Caller

PREFIX = "/api/v1"


def api_routes(app: App) -> list[BaseRoute]:
    """The route of the API; feeds and outages have routes of their own, which come first."""
    return [Mount(PREFIX, Lazily(lambda: _build(app)))]


def _build(app: App) -> ASGIApp:
    from api.app import build_api
    from api.desk import ApiDesk

    return build_api(
        ApiDesk(
            database=app.store.database,
            policy=app.runtimes.policy,
            assistant=model_name(app.settings.assistant),
            clock=SystemClock(),
            signals=app.signals,
            rate_tokens=app.rate_tokens,
            resolve=_resolve(app),
            export=exporting(app),
            erase=lambda customer_id: erase_with_files(app.store, app.media, CustomerId(customer_id)),
            hooks=HookDesk(
                app.store.database, SystemClock(), app.secret_keys, allows_private=app.settings.hooks.allow_private
            ),
            help=app.staff.help,
            outside=_outside(app),
            reach=app.reach,
            library=app.library,
            flows=lambda: flow_names(app),
            timezone=lambda: app.settings.timezone,
            examine=lambda: _examine(app),
            site_link=site_link(app),
            rules_file=partial(rules_file, app),
            report_titles=report_titles(app),
            max_body_bytes=app.settings.max_body_bytes,
        )
    )


def _resolve(app: App) -> Callable[[str], Awaitable[Caller | None]]:
    from api.desk import Caller

    tokens = TokenDesk(app.store.database, SystemClock())

    async def resolve(token: str) -> Caller | None:
        try:
            bearer = await tokens.resolve(token)
        except NotSignedIn:
            return None
        return Caller(bearer.actor, bearer.per_minute)

    return resolve


def _outside(app: App) -> Outside:
    adapters = list(app.adapters.values())
    return Outside(
        clock=SystemClock(),
        signals=app.signals,
        encoder=Encoders(adapters, app.media.link),
        library=app.media,
        channels={adapter.channel: adapter.capabilities for adapter in adapters},
        zone=lambda channel, account: app.runtimes.runtime_for(Identity(channel, account, "")).timezone,
        keep_files=app.media.retention,
    )


def exporting(app: App) -> Callable[[int], Awaitable[Mapping[str, Any]]]:
    """What hands out a person's data with links to their files."""

    async def export(customer_id: int) -> Mapping[str, Any]:
        document = await export_customer(app.store.database, CustomerId(customer_id))
        return {**document, "media": with_links(document["media"], app.media, key="key")}

    return export


async def _examine(app: App) -> list[Finding]:
    from frontdesk.doctor import examine

    return await examine(app.settings)
