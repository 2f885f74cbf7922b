"""The loops of broadcasts put together for one process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Select

from bot.ports import ChannelHealth, Clock, Encoder, QuotaLedger, RateTokens, Signals
from bot.reach.short_links import PATH, ShortLink, sign
from bot.reach.types import Audience, Broadcast
from channels.base import ChannelAdapter
from channels.pacing import LocalRateTokens
from channels.traffic import Account, AllTraffic
from crm_sync.broadcast_audience import people_of, rules_of
from crm_sync.database import Database
from crm_sync.eligibility import SendRules
from desk.broadcast_preflight import Decisions
from frontdesk.broadcast_preparing import BroadcastPreparer
from frontdesk.broadcast_runs import Business
from frontdesk.broadcast_words import Composer
from frontdesk.broadcasting import BroadcastSender


@dataclass(frozen=True, slots=True)
class BroadcastLoops:
    """`preparer` belongs to the scheduler role, `sender` to the sender role."""

    preparer: BroadcastPreparer
    sender: BroadcastSender


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the loops stand on. `name` tells senders apart; `traffic` is shared with the sender of replies."""

    database: Database
    adapters: Mapping[Account, ChannelAdapter]
    tokens: RateTokens
    signals: Signals
    clock: Clock
    encoder: Encoder
    decide: Callable[[], Decisions]
    keys: Sequence[bytes]
    public_url: str
    name: str
    traffic: AllTraffic
    ledger: QuotaLedger
    watch: ChannelHealth
    fault: Callable[[str], None]


def broadcast_loops(around: Surroundings) -> BroadcastLoops:
    """Neither has begun."""
    business = business_of(around.decide)
    opening = {place[0] for place, each in around.adapters.items() if each.capabilities.link_buttons}

    def address(link: ShortLink) -> str:
        return f"{around.public_url.rstrip('/')}{PATH}{sign(link, around.keys)}"

    composer = Composer(
        around.database,
        around.encoder,
        around.clock,
        address=address,
        opens_links=opening.__contains__,
        zone=str(around.decide().zone),
    )
    sender = BroadcastSender(
        around.database,
        {place: adapter for place, adapter in around.adapters.items() if place[0] != "cli"},
        around.tokens,
        around.signals,
        around.clock,
        business=business,
        composer=composer,
        name=around.name,
        traffic=around.traffic,
        alone=isinstance(around.tokens, LocalRateTokens),
        ledger=around.ledger,
        watch=around.watch,
        fault=around.fault,
    )
    preparer = BroadcastPreparer(around.database, around.signals, around.clock, business, fault=around.fault)
    return BroadcastLoops(preparer, sender)


def business_of(decide: Callable[[], Decisions]) -> Business:
    """What holds for all broadcasts, as the business decides it now."""

    def people(conn: Connection, audience: Audience, now: datetime) -> Select[tuple[int]]:
        return people_of(conn, audience, decide().members, now)

    def rules(conn: Connection, broadcast: Broadcast) -> SendRules:
        return rules_of(conn, broadcast, **decide().asked)

    return Business(zone=lambda: decide().zone, people=people, rules=rules)
