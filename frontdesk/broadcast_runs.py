"""A broadcast under way, read once for each version: what it says, whom it may go to, when each may have it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from functools import cache, cached_property
from typing import Any, Final, Protocol

from sqlalchemy import Connection, Select, select

from bot.business_time import zone as zone_named
from bot.reach.document import read_broadcast
from bot.reach.plan import awake, first_leave, first_step, in_time, next_run, occasion_of
from bot.reach.types import Audience, Broadcast, Step
from crm_sync.broadcast_runs import RunRow
from crm_sync.broadcast_tables import coupon_pools
from crm_sync.columns import EPOCH, MICROSECOND
from crm_sync.eligibility import SendRules
from crm_sync.recipient_claims import Asked, Quiet
from crm_sync.recipients import Occasion

EASTERNMOST: Final = timedelta(hours=14)  # how far the first zone's clocks are ahead


class FindsPeople(Protocol):
    def __call__(self, conn: Connection, audience: Audience, now: datetime) -> Select[tuple[int]]:
        """The ids of all it means. Raises: NotFound, InputError."""
        ...


class FindsRules(Protocol):
    def __call__(self, conn: Connection, broadcast: Broadcast) -> SendRules:
        """What it asks of everybody, with what the business decided. Raises: NotFound."""
        ...


@dataclass(frozen=True)
class Business:
    """What holds for all broadcasts of a business."""

    zone: Callable[[], tzinfo]
    people: FindsPeople
    rules: FindsRules


@dataclass(frozen=True)
class Run:
    """A broadcast as it is carried out. `pool`: of its coupons; None: it gives none away."""

    row: RunRow
    broadcast: Broadcast
    rules: SendRules
    zone: tzinfo
    pool: int | None

    @property
    def base(self) -> datetime:
        """The moment this run was planned for."""
        plan = self.broadcast.plan
        if plan.every and self.row.occasion:
            return datetime.fromisoformat(self.row.occasion)
        if plan.at is not None and plan.at.tzinfo is not None:
            return plan.at
        return self.row.started_at or EPOCH

    def first_leave(self, zone: str, quiet: Quiet | None) -> datetime | None:
        """When somebody in this zone is to have it; None: not before the plan is over."""
        return first_leave(self.broadcast.plan, self.base, self.zone, self._zone(zone), quiet)

    def leave_from(self, at: datetime, zone: str, quiet: Quiet | None) -> datetime | None:
        """`at`, or when they are awake again; None: not before the plan is over."""
        plan = self.broadcast.plan
        return in_time(plan, awake(at, self._zone(zone), plan.quiet if quiet is None else quiet))

    @cached_property
    def asked(self) -> Asked:
        """What a claim asks."""
        return Asked(self.row.id, self.rules, self.leave_from, self.broadcast.plan.steps, self._planned)

    def _planned(self, occasion: str, step: str, zone: str, quiet: Quiet | None) -> datetime | None:
        """The hour that the plan means for somebody there; None where it goes by other things than their zone."""
        plan = self.broadcast.plan
        if not plan.in_each_zone or occasion != self.row.occasion or step != first_step(plan):
            return None
        at = self._hours(zone, quiet)
        return plan.until + MICROSECOND if at is None and plan.until is not None else at

    @cached_property
    def _hours(self) -> Callable[[str, Quiet | None], datetime | None]:
        return cache(self.first_leave)

    def occasion(self, people: Select[tuple[int]], **more: Any) -> Occasion:
        """What is written down for `people`. Every message of a journey goes to all but those held out."""
        plan, content = self.broadcast.plan, self.broadcast.content
        variants = [(variant.name, 1.0) for variant in content.variants]
        given: dict[str, Any] = {
            "variants": [("journey", 1.0)] if plan.steps else variants,
            "not_before": self.first_leave,
            "name": self.row.occasion,
            "step": first_step(plan),
            "comes_again": bool(plan.every or plan.on or plan.steps),
        }
        return Occasion(
            self.row.id,
            self.row.seed,
            people,
            self.rules,
            self.broadcast.holdout,
            **{**given, **more},
        )

    def variant_for(self, arm: str, step: str) -> str:
        """The name of the variant that somebody in this arm gets at this step."""
        named = {each.name: each for each in self.broadcast.plan.steps}
        return named[step].variant if step in named else arm

    def step(self, name: str) -> Step | None:
        return next((each for each in self.broadcast.plan.steps if each.name == name), None)

    def following(self, now: datetime) -> tuple[str, datetime | None]:
        """The occasion that begins now, and when the one after it is looked for."""
        plan = self.broadcast.plan
        if not plan.every:
            return "", None
        ahead = EASTERNMOST if plan.in_each_zone else timedelta()
        run = (self.row.next_at or now) + ahead
        later = next_run(plan.every, run, self.zone)
        if later is not None and plan.until is not None and later > plan.until:
            later = None
        return occasion_of(run), later - ahead if later else None

    def _zone(self, name: str) -> tzinfo:
        return zone_named(name) if name else self.zone


def load_run(conn: Connection, row: RunRow, business: Business) -> Run:
    """Raises: AssistantInvalid, NotFound (a list that is gone), InputError: nothing can be sent as it stands."""
    zone = business.zone()
    broadcast = read_broadcast(row.document, zone)
    pool = None
    if broadcast.content.coupons:
        named = select(coupon_pools.c.id).where(coupon_pools.c.name == broadcast.content.coupons)
        pool = conn.execute(named).scalar()
    return Run(row, broadcast, business.rules(conn, broadcast), zone, pool)
