"""When messages of a broadcast leave: a moment, a wall time in each zone, runs that come again, steps of a journey.

A wall time that a change to summer time leaves out is moved by as much as the clocks are; one that comes twice is its
first. Quiet hours are those of the person's zone: what would fall into them leaves when they end.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any, Final

from bot.located import invalid
from bot.reach.types import Plan, Step

_CLOCK: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)", re.ASCII)
_LONGEST_WAY: Final = timedelta(hours=14)  # the easternmost zone is that far ahead of UTC
_FARTHEST: Final = timedelta(hours=12)  # and the westernmost so far behind


def is_time_of_day(words: str) -> bool:
    """Whether it is HH:MM."""
    return _CLOCK.fullmatch(words) is not None


def clock_time(value: Any, place: Any, key: str) -> str:
    """`value` when it is a time of day, HH:MM. Raises: AssistantInvalid."""
    if not isinstance(value, str) or not is_time_of_day(value):
        raise invalid(f"{key} must be a time of day like 09:30", place, key)
    return value


def moment(wall: datetime, zone: tzinfo) -> datetime:
    """The UTC moment at which clocks in `zone` show `wall`; see the module about clocks that are put on or back."""
    return wall.replace(tzinfo=zone, fold=0).astimezone(UTC)


def awake(at: datetime, zone: tzinfo, quiet: tuple[str, str]) -> datetime:
    """`at`, or the end of the quiet hours it falls into. Equal ends mean that there are none."""
    begin, end = _time(quiet[0]), _time(quiet[1])
    if begin == end:
        return at
    local = at.astimezone(zone)
    now = local.time().replace(tzinfo=None)
    is_quiet = begin <= now < end if begin < end else now >= begin or now < end
    if not is_quiet:
        return at
    day = local.date() if now < end else local.date() + timedelta(days=1)
    return moment(datetime.combine(day, end), zone)


def leaves_at(plan: Plan, base: datetime, zone: tzinfo, quiet: tuple[str, str] | None = None) -> datetime:
    """When a message planned for `base` leaves for somebody in `zone`; `quiet` are the person's own quiet hours.

    `base` is the moment of the run (aware); for a plan in each zone its wall time is kept, read from `plan.at`, or from
    `base` itself where the run comes again (then `base` is the wall time as if it were UTC).
    """
    at = base
    if plan.in_each_zone:
        at = moment((plan.at or base).replace(tzinfo=None), zone)
    return awake(at, zone, plan.quiet if quiet is None else quiet)


def first_leave(
    plan: Plan, base: datetime, business: tzinfo, zone: tzinfo, quiet: tuple[str, str] | None = None
) -> datetime | None:
    """When somebody in `zone` is to have what was planned for `base`; None: not before the plan is over."""
    if plan.every and plan.in_each_zone:
        base = base.astimezone(business).replace(tzinfo=UTC)  # its wall time, which leaves_at keeps
    return in_time(plan, leaves_at(plan, base, zone, quiet))


def in_time(plan: Plan, at: datetime) -> datetime | None:
    """`at`, or None when the plan is over by then."""
    return None if plan.until is not None and at > plan.until else at


def base_from(plan: Plan, now: datetime, zone: tzinfo) -> datetime:
    """The moment planned for a run that is started `now`."""
    if plan.every:
        return next_run(plan.every, now, zone) or now
    return max(now, plan.at) if plan.at is not None and plan.at.tzinfo is not None else now


def starts_at(plan: Plan, now: datetime, zone: tzinfo) -> datetime | None:
    """The first moment at which there is something to prepare; None when it has passed or never comes.

    Plans in each zone are prepared when the day begins in the easternmost zone.
    """
    if plan.every:
        found = next_run(plan.every, now, zone)
        return found - _LONGEST_WAY if found and plan.in_each_zone else found
    if plan.at is None:
        return now
    if plan.in_each_zone:
        wall = plan.at.replace(tzinfo=UTC)
        return max(now, wall - _LONGEST_WAY) if wall + _FARTHEST >= now else None
    return plan.at if plan.at >= now else None


def next_run(every: Mapping[str, Any], after: datetime, zone: tzinfo) -> datetime | None:
    """The first run later than `after` (aware): at `every['at']` on its days of `zone`. None: there is none."""
    first = after
    if every.get("from"):
        first = max(first, datetime.fromisoformat(every["from"]) - timedelta(microseconds=1))
    day, at = first.astimezone(zone).date(), _time(every["at"])
    for _ in range(400):  # a month's run is never farther away
        if _is_day(every, day):
            found = moment(datetime.combine(day, at), zone)
            if found > first:
                return found
        day += timedelta(days=1)
    return None


def occasion_of(run: datetime) -> str:
    """The name of a run among those of its broadcast, such as 2026-12-01T02:00Z."""
    return run.astimezone(UTC).strftime("%Y-%m-%dT%H:%MZ")


def first_step(plan: Plan) -> str:
    """The step a journey begins with; "" of a plan that is none."""
    return plan.steps[0].name if plan.steps else ""


def next_step(steps: tuple[Step, ...], name: str, answers: frozenset[str]) -> Step | None:
    """Where somebody goes after the step `name` ("": before the first) who did this: replied, clicked, bought.

    Without a rule that fits it is the next one as written. None: the journey is over.
    """
    by_name = {step.name: index for index, step in enumerate(steps)}
    if not name:
        return steps[0] if steps else None
    index = by_name.get(name)
    if index is None:
        return None
    rules = steps[index].when
    for answer in ("bought", "clicked", "replied"):
        if answer in answers and answer in rules:
            return _named(steps, by_name, rules[answer])
    if "else" in rules:
        return _named(steps, by_name, rules["else"])
    return steps[index + 1] if index + 1 < len(steps) else None


END: Final = "end"  # in a rule of a step: the journey is over


def _named(steps: tuple[Step, ...], by_name: Mapping[str, int], name: str) -> Step | None:
    return None if name == END else steps[by_name[name]]


def check_plan(plan: Plan, place: Any) -> None:
    """Steps have names of their own, lead somewhere, and never round in a circle. Raises: AssistantInvalid."""
    names = [step.name for step in plan.steps]
    if len(set(names)) != len(names) or END in names:
        raise invalid(f"steps need names of their own, and none is called {END!r}", place, "steps")
    ways: dict[str, set[str]] = {}
    for index, step in enumerate(plan.steps):
        to = {name for name in step.when.values() if name != END}
        if lost := to - set(names):
            raise invalid(f"the step {step.name!r} leads to {sorted(lost)[0]!r}, which is not there", place, "steps")
        if "else" not in step.when and index + 1 < len(names):
            to.add(names[index + 1])
        ways[step.name] = to
    if circle := _circle(ways):
        raise invalid(f"the journey goes round in a circle: {' → '.join(circle)}", place, "steps")
    if plan.until is not None and plan.at is not None and not plan.in_each_zone and plan.until <= plan.at:
        raise invalid("until is not later than at", place, "until")


def _circle(ways: Mapping[str, set[str]]) -> list[str]:
    """Names of one way round, the first again at the end; empty when there is none."""
    done: set[str] = set()
    for start in ways:
        path: list[str] = []
        trail = [(start, iter(sorted(ways[start])))] if start not in done else []
        while trail:
            name, further = trail[-1]
            if len(path) < len(trail):
                path.append(name)
            following = next(further, None)
            if following is None:
                done.add(name)
                trail.pop()
                path.pop()
            elif following in path:
                return [*path[path.index(following) :], following]
            elif following not in done:
                trail.append((following, iter(sorted(ways[following]))))
    return []


def _is_day(every: Mapping[str, Any], day: date) -> bool:
    if every["unit"] == "week":
        return bool(day.isoweekday() in every["weekdays"])
    if every["unit"] == "month":
        return bool(day.day == min(every["day"], monthrange(day.year, day.month)[1]))
    return True


def _time(words: str) -> time:
    return time(int(words[:2]), int(words[3:]))
