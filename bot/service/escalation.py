"""What happens when a promise's next moment comes: a warning, a breach, a rung of the ladder. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from bot.service.calendars import Calendar
from bot.service.promises import Clock, Rung, due


@dataclass(frozen=True, slots=True)
class Move:
    """The clock as it is now, what happened to it on the way, and when to look again."""

    clock: Clock
    steps: tuple[str, ...]  # warned | breached | escalated:<to>, in order
    due_at: datetime | None
    next_at: datetime | None


def move_on(clock: Clock, calendar: Calendar, ladder: tuple[Rung, ...], now: datetime) -> Move:
    """Everything whose moment has come until `now`. Several at once when the scheduler comes late: nothing is left out.

    The times of what happened are those at which it was due, so that a late scheduler moves no later rung.
    """
    steps: list[str] = []
    while True:
        times = due(clock, calendar, ladder)
        if times.next_at is None or times.next_at > now:
            return Move(clock, tuple(steps), times.due_at, times.next_at)
        if clock.breached_at is not None:
            steps.append(f"escalated:{ladder[clock.escalated].to}")
            clock = replace(clock, escalated=clock.escalated + 1)
        elif clock.warned_at is not None or times.due_at == times.next_at:
            steps.append("breached")
            clock = replace(clock, breached_at=times.due_at)
        else:
            steps.append("warned")
            clock = replace(clock, warned_at=times.next_at)
