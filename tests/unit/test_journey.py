"""What comes after a step of a journey."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bot.reach.journey import GoOn, Next, Over, PutOff, first_look, what_next
from bot.reach.types import Step

SENT = datetime(2026, 12, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ONE = Step("one", "a", when={"clicked": "three", "replied": "end"})
TWO = Step("two", "b", after=2 * DAY)
THREE = Step("three", "c", after=HOUR, when={"else": "end"})
STEPS = (ONE, TWO, THREE)


@pytest.mark.parametrize(("name", "after"), [("one", HOUR), ("two", HOUR), ("three", None), ("gone", None)])
def test_it_is_first_asked_when_the_soonest_way_could_be_taken(name: str, after: timedelta | None) -> None:
    assert first_look(STEPS, name) == after


@pytest.mark.parametrize(
    ("name", "answers", "passed", "found"),
    [
        ("one", set(), HOUR, PutOff(SENT + 2 * DAY)),
        ("one", set(), 2 * DAY, GoOn(TWO)),
        ("one", {"clicked"}, HOUR, GoOn(THREE)),
        ("one", {"clicked"}, timedelta(), PutOff(SENT + HOUR)),
        ("one", {"replied"}, HOUR, Over("done")),
        ("two", {"replied"}, HOUR, Over("replied")),
        ("two", {"bought"}, HOUR, GoOn(THREE)),
        ("one", {"clicked", "complained"}, HOUR, Over("complained")),
        ("three", set(), DAY, Over("done")),
        ("gone", set(), DAY, Over("done")),
    ],
)
def test_what_somebody_did_decides(name: str, answers: set[str], passed: timedelta, found: Next) -> None:
    assert what_next(STEPS, name, frozenset(answers), SENT, SENT + passed) == found
