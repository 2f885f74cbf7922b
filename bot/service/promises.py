"""Promises with a clock: how long for what severity, when to warn, who hears of a breach, and what pausing means."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from bot.located import invalid, only_keys, rows, table, text
from bot.service.calendars import Calendar
from bot.service_types import ClockStart

KINDS = ("first_response", "update", "solution", "callback", "followup")
SEVERITIES = (1, 2, 3, 4)
Hours = Mapping[int, float]  # severity -> working hours


def _default_hours() -> dict[str, Hours]:
    return {
        "first_response": {1: 4, 2: 4, 3: 1, 4: 0.5},
        "update": {1: 24, 2: 24, 3: 12, 4: 4},
        "solution": {1: 60, 2: 36, 3: 24, 4: 12},
    }


@dataclass(frozen=True, slots=True)
class Rung:
    """One step up after a breach: whom it concerns (owner, lead, manager), and how many working hours after it."""

    to: str
    after_h: float


@dataclass(frozen=True)
class PromiseRules:
    """The section `promises` of service.yml. Hours are working hours of the calendar the case counts in.

    `around_the_clock`: severities that count every hour, whatever the calendar says.
    """

    hours: Mapping[str, Hours] = field(default_factory=_default_hours)
    callback_h: float = 1.0
    followup_h: float = 16.0
    warn_share: float = 0.75
    ladder: tuple[Rung, ...] = (Rung("owner", 0), Rung("lead", 2), Rung("manager", 8))
    around_the_clock: frozenset[int] = frozenset()
    calendar: str = "default"

    def budget(self, kind: str, severity: int) -> timedelta:
        """Working time promised; zero where nothing of this kind is promised."""
        if kind in ("callback", "followup"):
            return timedelta(hours=self.callback_h if kind == "callback" else self.followup_h)
        return timedelta(hours=self.hours.get(kind, {}).get(severity, 0))


def start(
    kind: str, budget: timedelta, calendar: Calendar, now: datetime, *, warn_share: float = 0.75
) -> ClockStart | None:
    """The clock that begins now; None when nothing is promised."""
    if not budget:
        return None
    return ClockStart(
        kind=kind,
        calendar=calendar.name,
        budget_s=int(budget.total_seconds()),
        due_at=calendar.add(now, budget),
        next_at=calendar.add(now, budget * warn_share),
        warn_share=warn_share,
    )


# --- a clock as it stands ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Clock:
    """What is kept of a running or paused promise; the times in between follow from these."""

    budget_s: int
    used_s: int
    running_since: datetime | None  # None: paused
    warn_share: float = 0.75
    warned_at: datetime | None = None
    breached_at: datetime | None = None
    escalated: int = 0  # rungs climbed


def clock_of(kept: Any, running_since: datetime | None) -> Clock:
    """The clock in `kept`, a row or value with the fields of one, running since then."""
    return Clock(
        budget_s=kept.budget_s,
        used_s=kept.used_s,
        running_since=running_since,
        warn_share=kept.warn_share,
        warned_at=kept.warned_at,
        breached_at=kept.breached_at,
        escalated=kept.escalated,
    )


@dataclass(frozen=True, slots=True)
class Due:
    """When the promise runs out, and when somebody has to look next. Both None while it is paused."""

    due_at: datetime | None
    next_at: datetime | None


def due(clock: Clock, calendar: Calendar, ladder: tuple[Rung, ...]) -> Due:
    """When this clock runs out, and what comes next: the warning, the breach, or a rung of the ladder after it."""
    if clock.running_since is None:
        return Due(None, None)
    left = max(0, clock.budget_s - clock.used_s)
    due_at = calendar.add(clock.running_since, timedelta(seconds=left))
    if clock.breached_at is not None:
        rungs = ladder[clock.escalated :]
        return Due(due_at, calendar.add(clock.breached_at, timedelta(hours=rungs[0].after_h)) if rungs else None)
    if clock.warned_at is None:
        warn_in = max(0.0, clock.budget_s * clock.warn_share - clock.used_s)
        return Due(due_at, calendar.add(clock.running_since, timedelta(seconds=warn_in)))
    return Due(due_at, due_at)


def used(clock: Clock, calendar: Calendar, now: datetime) -> int:
    """Working seconds spent until `now`."""
    if clock.running_since is None:
        return clock.used_s
    return clock.used_s + int(calendar.between(clock.running_since, now).total_seconds())


# --- reading ----------------------------------------------------------------------------------------------------


def read_promises(section: dict[str, Any]) -> PromiseRules:
    """The rules of the section. Raises: AssistantInvalid.

    ```yaml
    promises:
      first_response: {1: 4, 2: 4, 3: 1, 4: 0.5}     # working hours by severity; one number holds for all
      update: 24
      solution: {1: 60, 2: 36, 3: 24, 4: 12}
      callback_h: 1
      warn_share: 0.75
      ladder: [{to: owner, after_h: 0}, {to: lead, after_h: 2}, {to: manager, after_h: 8}]
      around_the_clock: [4]
    ```
    """
    only_keys(
        section,
        (*KINDS[:3], "callback_h", "followup_h", "warn_share", "ladder", "around_the_clock", "calendar"),
        "promises",
    )
    defaults = PromiseRules()
    hours = {**defaults.hours, **{kind: _hours(section, kind) for kind in KINDS[:3] if kind in section}}
    warn_share = _number(section, "warn_share", defaults.warn_share)
    if not 0 < warn_share <= 1:
        raise invalid("warn_share must be above 0 and at most 1", section, "warn_share")
    always = rows(section.get("around_the_clock", []), "around_the_clock", section, "around_the_clock")
    if any(item not in SEVERITIES for item in always):
        raise invalid("around_the_clock lists severities from 1 to 4", section, "around_the_clock")
    return PromiseRules(
        hours=hours,
        callback_h=_number(section, "callback_h", defaults.callback_h),
        followup_h=_number(section, "followup_h", defaults.followup_h),
        warn_share=warn_share,
        ladder=_ladder(section) if "ladder" in section else defaults.ladder,
        around_the_clock=frozenset(always),
        calendar=text(section.get("calendar", defaults.calendar), "calendar", section, "calendar"),
    )


def _hours(section: dict[str, Any], kind: str) -> dict[int, float]:
    value = section[kind]
    if not isinstance(value, dict):
        return dict.fromkeys(SEVERITIES, _number(section, kind, 0))
    found: dict[int, float] = {}
    for key, hours in value.items():
        severity = int(key) if str(key).isdigit() else 0
        if severity not in SEVERITIES:
            raise invalid(f"{key!r} is no severity from 1 to 4", value, str(key))
        if isinstance(hours, bool) or not isinstance(hours, int | float) or not 0 <= hours <= 8760:
            raise invalid("hours must be a number from 0 to 8760", value, str(key))
        found[severity] = float(hours)
    return found


def _number(section: dict[str, Any], key: str, default: float) -> float:
    value = section.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 8760:
        raise invalid(f"{key} must be a number from 0 to 8760", section, key)
    return float(value)


def _ladder(section: dict[str, Any]) -> tuple[Rung, ...]:
    found = []
    for item in rows(section["ladder"], "ladder", section, "ladder"):
        body = table(item, "a rung of the ladder", section, "ladder")
        only_keys(body, ("to", "after_h"), "a rung of the ladder")
        found.append(Rung(text(body.get("to"), "to", body, "to"), _number(body, "after_h", 0)))
    if any(later.after_h < earlier.after_h for earlier, later in itertools.pairwise(found)):
        raise invalid("a rung of the ladder must not come before the one below it", section, "ladder")
    return tuple(found)
