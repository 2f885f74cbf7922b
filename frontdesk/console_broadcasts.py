"""The screens of broadcasts, with the services behind them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from starlette.routing import BaseRoute

from bot.service.policy import ServicePolicy
from console.audiences import audiences_routes
from console.broadcasts import BroadcastScreens, broadcasts_routes
from console.composer import composer_routes
from console.frame import Frame
from console.segments import segments_routes
from crm_sync.recipient_facts import VARIABLES
from frontdesk.broadcast_services import BroadcastServices

if TYPE_CHECKING:
    from frontdesk.app import App


def broadcast_routes(app: App, frame: Frame) -> list[BaseRoute]:
    """Every page of broadcasts. Nothing is read before it is asked for."""
    screens = broadcast_screens(
        app.reach,
        app.runtimes.policy,
        lambda: sorted({channel for channel, _ in app.adapters if channel != "cli"}),
    )
    return routes_of(frame, screens)


def routes_of(frame: Frame, screens: BroadcastScreens) -> list[BaseRoute]:
    return [
        *composer_routes(frame, screens),
        *segments_routes(frame, screens),
        *audiences_routes(frame, screens),
        *broadcasts_routes(frame, screens),
    ]


def broadcast_screens(
    services: BroadcastServices, rules: Callable[[], ServicePolicy], channels: Callable[[], Sequence[str]]
) -> BroadcastScreens:
    return BroadcastScreens(
        broadcasts=services.broadcasts,
        coupons=services.coupons,
        results=services.results,
        uncertain=services.uncertain,
        segments=services.segments,
        audiences=services.audiences,
        consents=services.consents,
        rules=rules,
        channels=channels,
        variables=lambda: (*VARIABLES, *rules().record.attributes),
    )
