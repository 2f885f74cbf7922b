"""A broadcast looked at before it leaves: how many would get it, why others not, and how it looks to one of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from functools import partial
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import Connection, Select, func, select

from bot.business_time import zone as zone_named
from bot.errors import InputError, NotFound
from bot.reach.plan import base_from, first_leave, starts_at
from bot.reach.preflight import (
    Account,
    Allowed,
    Counted,
    Preflight,
    Problem,
    Quota,
    examine,
    held_out,
    of_quotas,
    takes,
    too_long,
)
from bot.reach.rendering import Message, Person, render
from bot.reach.types import Broadcast, Plan, Variant
from bot.types import OutPart
from crm_sync import coupons, recipient_facts
from crm_sync.broadcast_audience import Members, QuietFor, count_range, kinds_of, people_of, rules_of, together
from crm_sync.broadcast_quotas import MASS, quotas_used
from crm_sync.database import Database
from crm_sync.eligibility import SendRules, judged, moments
from crm_sync.tables import customers
from desk.outside import Outside

SAMPLES: Final = 20  # people whose message is tried on
_NEVER: Final = ("00:00", "00:00")  # quiet hours that are none
_CODE: Final = "XXXX-XXXX"  # stands for a code in a preview: none is drawn


@dataclass(frozen=True, slots=True)
class Decisions:
    """What the business decided about all its broadcasts, and what its accounts can do.

    `asked`: the fields of SendRules that are the business's; `variables`: attributes of its record; `per_s`: messages a
    second on each account that is set up; `kinds`: what each may send (bot/reach/preflight.py); `members`: who a
    segment means; `quiet`: hours in which nobody is disturbed.
    """

    zone: tzinfo
    members: Members
    quiet: tuple[str, str] = ("21:00", "09:00")
    approval_from: int = 1000  # people reached from which a second person approves
    variables: Collection[str] = ()
    asked: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    per_s: Mapping[Account, float] = field(default_factory=lambda: MappingProxyType({}))
    kinds: Mapping[Account, Collection[str]] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def channels(self) -> frozenset[str]:
        return frozenset(channel for channel, _ in self.per_s)


@dataclass(frozen=True, slots=True)
class Preview:
    """What one person would see, as the channel shows it; more than one part is too long for a broadcast."""

    channel: str
    variant: str
    language: str
    parts: tuple[OutPart, ...]


class PreflightDesk:
    """Looks only: nothing is written. `alive` says of addresses whether they answer, `quotas` what vendors allow of
    the kinds that a channel is to send; None: not asked.
    """

    def __init__(
        self,
        database: Database,
        outside: Outside,
        decisions: Callable[[], Decisions],
        alive: Callable[[Sequence[str]], Awaitable[Mapping[str, bool]]] | None = None,
        quotas: Callable[[Mapping[str, Collection[str]], datetime], Awaitable[Sequence[Allowed]]] | None = None,
    ) -> None:
        self._database, self._outside, self._decisions, self._alive = database, outside, decisions, alive
        self._allowed = quotas

    async def look(self, broadcast: Broadcast) -> Preflight:
        """Raises: InputError (a condition that cannot be evaluated)."""
        decided, now = self._decisions(), self._outside.clock.now()
        try:
            people, rules = await self._database.run(lambda conn: self._asked(conn, broadcast, now), read=True)
        except NotFound as missing:
            return self._nobody(broadcast, now, Problem("no_such_audience", details={"reason": str(missing)}))
        counted = await self._count(people, rules, now, partial(_quiet_for, broadcast.plan, now, decided.zone))
        pool = await self._database.run(partial(_pool, broadcast.content.coupons), read=True)
        problems = examine(
            broadcast,
            counted,
            now=now,
            zone=decided.zone,
            variables={*recipient_facts.VARIABLES, *decided.variables},
            channels=decided.channels,
            coupons=pool,
            kinds=decided.kinds,
        )
        problems += await self._too_long(broadcast, people, rules, now)
        problems += await self._dead_links(broadcast)
        quotas = await self._quotas(broadcast, counted, now)
        problems += of_quotas(quotas, is_sure=broadcast.plan.on is None)
        rates = {account: min(rate, broadcast.per_s or rate) for account, rate in decided.per_s.items()}
        reached = sum(counted.reached.values())
        return Preflight(
            now,
            counted,
            held_out(counted, broadcast.holdout),
            starts_at(broadcast.plan, now, decided.zone),
            takes(counted.reached, rates, broadcast.holdout),
            pool[0] if pool else None,
            tuple(quotas),
            broadcast.effect.cost_minor * (reached - held_out(counted, broadcast.holdout)),
            tuple(problems),
        )

    async def previews(self, broadcast: Broadcast, customer_id: int | None = None) -> list[Preview]:
        """Each variant on each channel as this person would see it; None: as somebody of whom nothing is known.

        Raises: NotFound.
        """
        person = Person(0)
        if customer_id is not None:
            variables = {*recipient_facts.VARIABLES, *self._decisions().variables}
            person = await self._database.run(partial(_person, customer_id, variables), read=True)
        return [
            self._preview(broadcast, variant, channel, person)
            for variant in broadcast.content.variants
            for channel in broadcast.channels
            if self._outside.can(channel) is not None
        ]

    def _preview(self, broadcast: Broadcast, variant: Variant, channel: str, person: Person) -> Preview:
        message = self._rendered(broadcast, variant, channel, person)
        parts = self._outside.encoder.encode(channel, message.reply)
        return Preview(channel, variant.name, message.language, parts)

    def _rendered(self, broadcast: Broadcast, variant: Variant, channel: str, person: Person) -> Message:
        can = self._outside.can(channel)
        return render(
            broadcast,
            variant,
            channel,
            person,
            coupon=_CODE,
            link=lambda name: broadcast.content.links[name],
            opens_links=can is not None and can.link_buttons,
        )

    # --- counting -------------------------------------------------------------------------------------------------

    def _asked(self, conn: Connection, broadcast: Broadcast, now: datetime) -> tuple[Select[tuple[int]], SendRules]:
        rules = rules_of(conn, broadcast, **self._decisions().asked)
        return people_of(conn, broadcast.audience, self._decisions().members, now), rules

    async def _count(self, people: Select[tuple[int]], rules: SendRules, now: datetime, quiet_for: QuietFor) -> Counted:
        """In ranges, so that nobody waits long for the store meanwhile."""
        counts: list[Counted] = []
        after: int | None = 0
        while after is not None:
            some, after = await self._database.run(
                partial(_range, people, rules, after, now, quiet_for=quiet_for), read=True
            )
            counts.append(some)
            await asyncio.sleep(0)
        return together(counts)

    async def _too_long(
        self, broadcast: Broadcast, people: Select[tuple[int]], rules: SendRules, now: datetime
    ) -> list[Problem]:
        """Messages that would not be one, tried with people who would get them."""
        variables = {*recipient_facts.VARIABLES, *self._decisions().variables}
        some = await self._database.run(partial(_samples, people, rules, variables, now), read=True)
        found: dict[tuple[str, str], Problem] = {}
        for variant in broadcast.content.variants:
            for channel in broadcast.channels:
                for person in [Person(0), *some]:
                    if self._outside.can(channel) is None:
                        continue
                    shown = self._preview(broadcast, variant, channel, person)
                    if problem := too_long(shown.parts, channel, variant.name):
                        found[channel, variant.name] = problem
        return list(found.values())

    async def _dead_links(self, broadcast: Broadcast) -> list[Problem]:
        links = broadcast.content.links
        if self._alive is None or not links:
            return []
        alive = await self._alive(list(links.values()))
        return [
            Problem("link_dead", is_blocking=False, details={"link": name, "url": url})
            for name, url in links.items()
            if not alive.get(url, False)
        ]

    async def _quotas(self, broadcast: Broadcast, counted: Counted, now: datetime) -> list[Quota]:
        """What it would use of what vendors allow the accounts it would go out on."""
        if self._allowed is None:
            return []
        kinds = {channel: kinds_of(broadcast, channel) for channel in broadcast.channels}
        allowed = [
            each for each in await self._allowed(kinds, now) if counted.reached.get((each.channel, each.account))
        ]
        used = await self._database.run(partial(quotas_used, allowed=allowed), read=True)
        return [_quota(each, used[each], broadcast, counted) for each in allowed]

    def _nobody(self, broadcast: Broadcast, now: datetime, problem: Problem) -> Preflight:
        nothing = takes({}, {}, 0)
        return Preflight(now, Counted({}, {}), 0, None, nothing, None, (), 0, (problem,))


def _quota(each: Allowed, used: int, broadcast: Broadcast, counted: Counted) -> Quota:
    people = counted.reached[each.channel, each.account]
    # A mass send is one, however many get it; of other kinds each message is.
    needs = 1 if each.kind == MASS else round(people * (1 - broadcast.holdout))
    return Quota(each.channel, each.account, each.kind, each.period, each.limit, used, needs, each.of)


def _range(
    people: Select[tuple[int]], rules: SendRules, after: int, now: datetime, conn: Connection, *, quiet_for: QuietFor
) -> tuple[Counted, int | None]:
    return count_range(conn, people, rules, after, now, quiet_for=quiet_for)


def _quiet_for(plan: Plan, now: datetime, business: tzinfo, zone: str, quiet: tuple[str, str] | None) -> str:
    """Whether quiet hours hold somebody's message up, or keep it from leaving at all, if it started now."""
    if plan.on is not None:
        return ""  # its moment is not known yet
    there, base = zone_named(zone) if zone else business, base_from(plan, now, business)
    at = first_leave(plan, base, business, there, quiet)
    if at is None:
        return "over"
    return "waits" if at != first_leave(plan, base, business, there, _NEVER) else ""


def _pool(name: str, conn: Connection) -> tuple[int, datetime | None] | None:
    found = next((pool for pool in coupons.pools(conn) if pool.name == name and pool.closed_at is None), None)
    return (found.left, found.valid_until) if found else None


def _samples(
    people: Select[tuple[int]], rules: SendRules, variables: set[str], now: datetime, conn: Connection
) -> list[Person]:
    first = conn.execute(people.order_by(customers.c.id).limit(200)).scalars().all()
    them = select(customers.c.id).where(customers.c.id.in_(first))
    found = judged(them, rules, lambda customer_id: (customer_id.in_(first),)).subquery()
    rows = conn.execute(
        select(found.c.customer_id, found.c.conversation_id).where(found.c.reason == "").limit(SAMPLES),
        moments(rules, now),
    ).all()
    talks = {row.customer_id: row.conversation_id for row in rows}
    return list(recipient_facts.people(conn, talks, variables, "UTC").values())


def _person(customer_id: int, variables: set[str], conn: Connection) -> Person:
    if conn.execute(select(func.count()).where(customers.c.id == customer_id)).scalar_one() == 0:
        raise NotFound(f"there is no customer {customer_id}")
    return recipient_facts.people(conn, {customer_id: None}, variables, "UTC")[customer_id]


def refuse(problems: Sequence[Problem]) -> None:
    """Raises: InputError, naming the first that is blocking."""
    for problem in problems:
        if problem.is_blocking:
            details = ", ".join(f"{name}: {value}" for name, value in problem.details.items() if value != "")
            raise InputError(f"{problem.code.replace('_', ' ')}{f' ({details})' if details else ''}")
