"""What last month would have looked like under other rules: promises counted again over real histories. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from bot.service.calendars import Calendar
from bot.service.escalation import move_on
from bot.service.policy import CASE_CLOCKS, ServicePolicy
from bot.service.promises import Clock, Rung, used

# What of a case's history a clock reacts to.
ANSWERED = "answered"  # staff did something the customer sees
PAUSED, RESUMED = "paused", "resumed"  # we wait for the customer, and no longer
SOLVED, REOPENED, CLOSED = "solved", "reopened", "closed"

_ENDS = {
    "first_response": frozenset({ANSWERED, SOLVED, CLOSED}),
    "update": frozenset({SOLVED, CLOSED}),
    "solution": frozenset({SOLVED, CLOSED}),
}
_RESTARTS = {
    "first_response": frozenset[str](),
    "update": frozenset({ANSWERED, REOPENED}),
    "solution": frozenset({REOPENED}),
}


@dataclass(frozen=True, slots=True)
class Happening:
    at: datetime
    what: str  # one of the words above


@dataclass(frozen=True, slots=True)
class CaseHistory:
    """A case as far as promises are concerned; happenings in order."""

    number: str
    opened_at: datetime
    severity: int
    site_calendar: str = ""
    happenings: tuple[Happening, ...] = ()


@dataclass(frozen=True, slots=True)
class Kept:
    """How the promises of one kind went, over all cases: how many, and how many were warned of, broken, passed up."""

    promised: int = 0
    warned: int = 0
    breached: int = 0
    escalated: int = 0


@dataclass(frozen=True)
class WhatIf:
    """The same cases under two policies, by kind of promise; and the cases broken under one of them only."""

    cases: int
    before: dict[str, Kept] = field(default_factory=dict)
    after: dict[str, Kept] = field(default_factory=dict)
    newly_broken: tuple[str, ...] = ()
    no_longer_broken: tuple[str, ...] = ()


def compare(histories: Iterable[CaseHistory], old: ServicePolicy, new: ServicePolicy, until: datetime) -> WhatIf:
    """Every case's promises as they would have gone until `until`, under both."""
    counts: tuple[dict[str, Counter[str]], dict[str, Counter[str]]] = ({}, {})
    worse: list[str] = []
    better: list[str] = []
    total = 0
    for history in histories:
        total += 1
        broken = []
        for policy, counted in zip((old, new), counts, strict=True):
            is_broken = False
            for kind in CASE_CLOCKS:
                steps = played(history, kind, policy, until)
                tally = counted.setdefault(kind, Counter())
                tally.update(step.partition(":")[0] for step in steps)
                is_broken = is_broken or "breached" in steps
            broken.append(is_broken)
        if broken == [False, True]:
            worse.append(history.number)
        elif broken == [True, False]:
            better.append(history.number)
    before, after = ({kind: _kept(tally) for kind, tally in counted.items()} for counted in counts)
    return WhatIf(total, before, after, tuple(worse), tuple(better))


def _kept(tally: Counter[str]) -> Kept:
    return Kept(tally["promised"], tally["warned"], tally["breached"], tally["escalated"])


def played(history: CaseHistory, kind: str, policy: ServicePolicy, until: datetime) -> list[str]:
    """What would have become of one kind of promise: promised, warned, breached, escalated:<to>, in order.

    A promise that begins again (the next update, a reopened case) counts again.
    """
    budget_s = int(policy.promises.budget(kind, history.severity).total_seconds())
    if not budget_s:
        return []
    calendar = policy.calendar_for(history.severity, history.site_calendar)
    fresh = Clock(budget_s, 0, history.opened_at, policy.promises.warn_share)
    run = _Run(calendar, policy.promises.ladder, ["promised"], fresh)
    for happening in (*_until(history.happenings, until), Happening(until, "")):
        run.take(happening, kind)
    return run.steps


def _until(happenings: Sequence[Happening], until: datetime) -> list[Happening]:
    return [happening for happening in happenings if happening.at <= until]


@dataclass
class _Run:
    """One clock on its way through a history; `clock` None: met or stopped."""

    calendar: Calendar
    ladder: tuple[Rung, ...]
    steps: list[str]
    clock: Clock | None

    def take(self, happening: Happening, kind: str) -> None:
        if self.clock is not None:
            moved = move_on(self.clock, self.calendar, self.ladder, happening.at)
            self.steps += moved.steps
            self.clock = moved.clock
        if happening.what in _RESTARTS[kind]:
            self._restart(happening)
        elif happening.what in _ENDS[kind]:
            self.clock = None
        elif happening.what == PAUSED and self.clock is not None and self.clock.running_since is not None:
            spent = used(self.clock, self.calendar, happening.at)
            self.clock = replace(self.clock, used_s=spent, running_since=None)
        elif happening.what == RESUMED and self.clock is not None and self.clock.running_since is None:
            self.clock = replace(self.clock, running_since=happening.at)

    def _restart(self, happening: Happening) -> None:
        if self.clock is None and happening.what != REOPENED:
            return  # an answer to a solved case promises nothing
        self.steps.append("promised")
        before = self.clock
        budget_s = before.budget_s if before else self._budget_s
        self.clock = Clock(budget_s, 0, happening.at, before.warn_share if before else self._warn_share)

    def __post_init__(self) -> None:
        if self.clock is None:
            raise ValueError("a run begins with a clock")
        self._budget_s, self._warn_share = self.clock.budget_s, self.clock.warn_share
