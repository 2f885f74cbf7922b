"""What comes after a step of a journey: the next one, waiting longer, or nothing more. Pure.

A complaint ends it. A reply ends it too, unless the step says where a reply leads: whoever answers is in a
conversation, and the rest of the journey would talk over it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.reach.plan import END, next_step
from bot.reach.states import SkipReason
from bot.reach.types import Step


@dataclass(frozen=True, slots=True)
class GoOn:
    """They are sent this step now."""

    step: Step


@dataclass(frozen=True, slots=True)
class PutOff:
    """Nothing yet; look again at this time."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Over:
    """Nothing more comes: done, replied or complained."""

    outcome: str


Next = GoOn | PutOff | Over


def first_look(steps: tuple[Step, ...], name: str) -> timedelta | None:
    """How long after a step was sent it is first asked what comes next; None: nothing ever does."""
    names = [step.name for step in steps]
    if name not in names:
        return None
    index = names.index(name)
    ways = {to for to in steps[index].when.values() if to != END}
    if "else" not in steps[index].when and index + 1 < len(steps):
        ways.add(names[index + 1])
    return min((step.after for step in steps if step.name in ways), default=None)


def why_not_any_more(name: str, found: Next) -> SkipReason | None:
    """Why the step `name`, which was decided on a while ago, is not sent now; None: it is.

    `found`: what comes next by all they did until this moment.
    """
    if isinstance(found, Over) and found.outcome == "complained":
        return "complained"
    if isinstance(found, Over) and found.outcome == "replied":
        return "replied"
    return None if isinstance(found, GoOn) and found.step.name == name else "went_elsewhere"


def what_next(steps: tuple[Step, ...], name: str, answers: frozenset[str], sent_at: datetime, now: datetime) -> Next:
    """What comes for somebody who was sent the step `name` then and has done this since."""
    if "complained" in answers:
        return Over("complained")
    rules = next((step.when for step in steps if step.name == name), {})
    if "replied" in answers and "replied" not in rules:
        return Over("replied")
    following = next_step(steps, name, answers)
    if following is None:
        return Over("done")
    at = sent_at + following.after
    return PutOff(at) if at > now else GoOn(following)
