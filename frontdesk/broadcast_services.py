"""The services of broadcasts put together once for whoever shows them: console, API, command line."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import aiohttp
from sqlalchemy import Select

from bot.reach.preflight import Account
from bot.reach.segments import read_segment
from bot.service.policy import ServicePolicy
from bot.types import Capabilities
from channels.base import ChannelAdapter, NamesKinds
from crm_sync import segment_sql
from crm_sync.database import Database
from desk.audiences import AudienceDesk
from desk.broadcast_preflight import Decisions, PreflightDesk
from desk.broadcast_results import ResultDesk
from desk.broadcast_uncertain import UncertainSends
from desk.broadcasts import BroadcastDesk
from desk.consents import ConsentDesk
from desk.coupons import CouponDesk
from desk.outside import Outside
from desk.segments import SegmentDesk
from frontdesk.broadcast_quotas import monthly_of, quotas_of
from frontdesk.hook_sending import GuardedResolver, is_public

UNPACED_PER_S: Final = 200.0  # what is reckoned with on a channel that names no rate of its own
_ANSWER_S: Final = 5.0
_AT_ONCE: Final = 5


@dataclass(frozen=True, slots=True)
class BroadcastServices:
    """What marketers do; each service checks what its actor may."""

    broadcasts: BroadcastDesk
    coupons: CouponDesk
    results: ResultDesk
    uncertain: UncertainSends
    segments: SegmentDesk
    audiences: AudienceDesk
    consents: ConsentDesk


def broadcast_services(
    database: Database,
    outside: Outside,
    policy: Callable[[], ServicePolicy],
    zone: Callable[[], tzinfo],
    adapters: Mapping[Account, ChannelAdapter],
    *,
    allows_private: bool = False,
) -> BroadcastServices:
    """All of them over one store. `allows_private`: links may lead to addresses of this network."""
    decide = partial(decisions, policy, zone, adapters)
    preflights = PreflightDesk(
        database, outside, decide, partial(alive, allows_private=allows_private), partial(quotas_of, adapters)
    )
    segments = SegmentDesk(database, policy, outside.clock, lambda: str(zone()))
    return BroadcastServices(
        broadcasts=BroadcastDesk(database, outside, preflights, decide),
        coupons=CouponDesk(database, outside),
        results=ResultDesk(database, outside.clock, zone),
        uncertain=UncertainSends(database, outside.signals, outside.clock),
        segments=segments,
        audiences=AudienceDesk(database, segments, ZoneInfo(str(zone()))),
        consents=ConsentDesk(database, policy, outside.clock),
    )


def decisions(
    policy: Callable[[], ServicePolicy], zone: Callable[[], tzinfo], adapters: Mapping[Account, ChannelAdapter]
) -> Decisions:
    """What holds now, with the newest version of the business's rules."""
    rules = policy()
    attributes = {name: attribute.type for name, attribute in rules.record.attributes.items()}

    def members(definition: Mapping[str, Any], now: datetime) -> Select[tuple[int]]:
        return segment_sql.members(read_segment(definition, attributes), now.astimezone(zone()))

    told = rules.broadcasts
    notices = frozenset(purpose.name for purpose in told.purposes.values() if not purpose.is_promotion)
    return Decisions(
        zone(),
        members,
        quiet=told.quiet,
        approval_from=told.approval_from,
        variables=frozenset(attributes),
        asked={
            "cap": told.cap,
            "notices": notices,
            "counting": frozenset(place[0] for place, each in adapters.items() if each.capabilities.is_windowed),
            "monthly": monthly_of(adapters),
        },
        per_s=rates_of({place: each.capabilities for place, each in adapters.items()}),
        kinds={place: each.broadcast_kinds for place, each in adapters.items() if isinstance(each, NamesKinds)},
    )


def rates_of(capabilities: Mapping[Account, Capabilities]) -> dict[Account, float]:
    """Messages a second that broadcasts can count on, by account; the command line is no channel for them."""
    return {
        place: can.broadcast_per_s or can.per_account_per_s or UNPACED_PER_S
        for place, can in capabilities.items()
        if can.channel != "cli"
    }


async def alive(urls: Sequence[str], *, allows_private: bool = False) -> dict[str, bool]:
    """Whether each address answers with something that is there, asked once, a few at a time."""
    gate = asyncio.Semaphore(_AT_ONCE)
    connector = aiohttp.TCPConnector(resolver=None if allows_private else GuardedResolver())
    timeout = aiohttp.ClientTimeout(total=_ANSWER_S)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:

        async def asked(url: str) -> bool:
            if not allows_private and _is_private(url):
                return False
            async with gate:
                try:
                    # Where it sends us on is not followed: that may be anywhere.
                    async with session.get(url, allow_redirects=False) as answer:
                        return answer.status < 400
                except (aiohttp.ClientError, TimeoutError, OSError):
                    return False

        found = await asyncio.gather(*(asked(url) for url in urls))
    return dict(zip(urls, found, strict=True))


def _is_private(url: str) -> bool:
    """True where the host is a number that is not public: no resolver is asked about it."""
    host = urlsplit(url).hostname or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    return not is_public(host)
