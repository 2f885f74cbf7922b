"""What is known of a broadcast before anything is sent: how many, why others not, how long, and what is wrong. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Any, Final

from bot.reach.content_reading import languages_of, variables_in
from bot.reach.plan import starts_at
from bot.reach.rendering import piece_for, recorded
from bot.reach.types import NOTHING, Broadcast

Account = tuple[str, str]  # channel, account
SLACK: Final = timedelta(minutes=1)  # between looking and starting: "now" has not passed by then


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong (`is_blocking`: nothing is sent with it) or worth knowing. `code` is worded elsewhere."""

    code: str
    is_blocking: bool = True
    details: Mapping[str, Any] = field(default_factory=lambda: NOTHING)


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a vendor allows the account, or each `person`, in this period. `used`: None where it does not say."""

    channel: str
    account: str
    kind: str
    period: str  # a day (2026-11-26) or a month (2026-11)
    limit: int
    of: str = "account"
    used: int | None = None


@dataclass(frozen=True, slots=True)
class Quota:
    """What a vendor allows in this period, what was used of it and what this broadcast would; `of` as in Allowed."""

    channel: str
    account: str
    kind: str
    period: str
    limit: int
    used: int
    needs: int
    of: str = "account"

    @property
    def left(self) -> int:
        return max(0, self.limit - self.used)

    @property
    def is_of_a_day(self) -> bool:
        return len(self.period) == len("2026-11-26")


@dataclass(frozen=True, slots=True)
class Counted:
    """People of the audience: sent to by account, skipped by reason; `asleep`: of those reached, who wait until their
    quiet hours are over.
    """

    reached: Mapping[Account, int]
    skipped: Mapping[str, int]
    asleep: int = 0

    @property
    def total(self) -> int:
        return sum(self.reached.values()) + sum(self.skipped.values())


@dataclass(frozen=True, slots=True)
class Preflight:
    """One page to decide on. `reached` counts those held out among them; `takes`: at the real rate of each account."""

    at: datetime
    counted: Counted
    held_out: int
    starts_at: datetime | None
    takes: timedelta
    coupons_left: int | None
    quotas: tuple[Quota, ...]
    cost_minor: int
    problems: tuple[Problem, ...]

    @property
    def may_start(self) -> bool:
        return not any(problem.is_blocking for problem in self.problems)


def takes(reached: Mapping[Account, int], per_s: Mapping[Account, float], holdout: float) -> timedelta:
    """How long the slowest account needs; accounts send side by side."""
    times = [count * (1 - holdout) / per_s[account] for account, count in reached.items() if per_s.get(account)]
    return timedelta(seconds=max(times, default=0.0))


def held_out(counted: Counted, holdout: float) -> int:
    """About so many of those who could be reached are only watched."""
    return round(sum(counted.reached.values()) * holdout)


def examine(
    broadcast: Broadcast,
    counted: Counted,
    *,
    now: datetime,
    zone: Any,
    variables: Collection[str],
    channels: Collection[str],
    coupons: tuple[int, datetime | None] | None,
    kinds: Mapping[Account, Collection[str]] | None = None,
) -> list[Problem]:
    """What is wrong with it as it is now.

    `variables`: names the record knows; `channels`: those that are set up; `coupons`: codes left in its pool and how
    long they are good, None where there is no such pool; `kinds`: what each account may send (`NamesKinds` of
    channels/base.py) beside plain messages.
    """
    found = [
        Problem("no_such_channel", details={"channel": name}) for name in broadcast.channels if name not in channels
    ]
    found += [
        Problem("unknown_variable", details={"variable": name, "nearest": _nearest(name, variables)})
        for name in sorted(recorded(broadcast) - set(variables))
    ]
    if not languages_of(broadcast.content):
        found.append(Problem("no_common_language"))
    found += _of_mass_sends(broadcast)
    found += _of_kinds(broadcast, counted, kinds or {})
    found += _of_time(broadcast, now, zone)
    reached = sum(counted.reached.values())
    if broadcast.plan.on is None:
        if not counted.total:
            found.append(Problem("nobody"))
        elif not reached:
            found.append(Problem("nobody_reached"))
    if broadcast.content.coupons:
        needed = reached - held_out(counted, broadcast.holdout)
        found += _of_coupons(coupons, needed, now, is_sure=broadcast.plan.on is None)
    if broadcast.holdout == 0:
        found.append(Problem("no_holdout", is_blocking=False))
    elif 0 < reached * broadcast.holdout < 30:
        found.append(Problem("small_holdout", is_blocking=False))
    return found


def _of_mass_sends(broadcast: Broadcast) -> list[Problem]:
    """A mass send is one text for many: nothing in it is anybody's own, and no file goes with it."""
    found: list[Problem] = []
    for channel in broadcast.channels:
        others = [variant.name for variant in broadcast.content.variants if piece_for(variant, channel).kind != "mass"]
        if 0 < len(others) < len(broadcast.content.variants):
            found.append(Problem("mass_is_all", details={"variant": others[0], "channel": channel}))
    for variant in broadcast.content.variants:
        for channel in broadcast.channels:
            piece = piece_for(variant, channel)
            if piece.kind != "mass":
                continue
            variables, details = variables_in(piece), {"variant": variant.name, "channel": channel}
            has_links = any(button.link for button in piece.buttons) or any(n.startswith("link_") for n in variables)
            if piece.image_url or piece.media or piece.cards or has_links or "coupon" in variables:
                found.append(Problem("mass_is_plain", details=details))
            elif variables:
                found.append(Problem("mass_in_groups", is_blocking=False, details=details))
    return found


def _of_kinds(broadcast: Broadcast, counted: Counted, kinds: Mapping[Account, Collection[str]]) -> list[Problem]:
    """What an account it would leave on may not send, so that it would pause or fail there; each once."""
    found: dict[tuple[str, ...], Problem] = {}
    accounts = counted.reached or dict.fromkeys(kinds, 0)
    for channel, account in sorted(place for place in accounts if place[0] in broadcast.channels):
        may = kinds.get((channel, account), ())
        for variant in broadcast.content.variants:
            piece = piece_for(variant, channel)
            kind = f"{piece.kind}:{piece.by}" if piece.by else piece.kind
            if kind and kind not in may and not (kind == "mass" and any(each.startswith("mass:") for each in may)):
                details = {"channel": channel, "account": account, "variant": variant.name, "kind": kind}
                found[channel, account, kind] = Problem("kind_not_allowed", details=details)
    return list(found.values())


def of_quotas(quotas: Sequence[Quota], *, is_sure: bool = True) -> list[Problem]:
    """A month that is too short for it keeps it from starting; of a day's the rest waits for the next one.

    `is_sure`: everybody is sent to; what events trigger starts even so.

    Whoever had all they may get in a month is skipped, so of a quota of persons there is nothing to say here.
    """
    return [
        Problem(
            "quota_short",
            is_blocking=is_sure and not each.is_of_a_day,
            details={"channel": each.channel, "kind": each.kind, "needs": each.needs, "left": each.left},
        )
        for each in quotas
        if each.of == "account" and each.needs > each.left
    ]


def _of_time(broadcast: Broadcast, now: datetime, zone: Any) -> list[Problem]:
    plan = broadcast.plan
    if plan.on is None and starts_at(plan, now - SLACK, zone) is None:
        return [Problem("time_passed")]
    if plan.until is not None and plan.until <= now:
        return [Problem("time_passed")]
    return []


def _of_coupons(
    coupons: tuple[int, datetime | None] | None, needed: int, now: datetime, *, is_sure: bool
) -> list[Problem]:
    """`is_sure`: everybody is sent to; of what events trigger, nobody knows how many that will be."""
    if coupons is None:
        return [Problem("no_such_pool")]
    left, until = coupons
    if until is not None and until <= now:
        return [Problem("coupons_over")]
    short = Problem("too_few_coupons", is_blocking=is_sure or not left, details={"left": left, "needed": needed})
    return [short] if left < needed else []


def _nearest(name: str, known: Collection[str]) -> str:
    """The known name that was probably meant, "" when none is like it."""
    return next(iter(get_close_matches(name, sorted(known), n=1)), "")


def too_long(parts: Sequence[Any], channel: str, variant: str) -> Problem | None:
    """A broadcast is one message: what a channel would cut in two is said before it starts."""
    return Problem("too_long", details={"channel": channel, "variant": variant}) if len(parts) > 1 else None
