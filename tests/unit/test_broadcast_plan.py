"""When messages of a broadcast leave, over zones, nights and changes of the clocks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import AssistantInvalid
from bot.reach.plan import awake, leaves_at, moment, next_run, next_step, occasion_of, starts_at
from bot.reach.types import Plan, Step
from bot.service.broadcasts import read_broadcasts

SHANGHAI, BERLIN, NEW_YORK = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")
NIGHT = ("21:00", "09:00")


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type]  # year, month, day …


def wall(*parts: int) -> datetime:
    """What a clock on a wall shows, wherever it hangs."""
    return datetime(*parts)  # type: ignore[arg-type]  # noqa: DTZ001 - it has no zone


def test_a_wall_time_that_the_clocks_leave_out_is_moved_with_them() -> None:
    assert moment(wall(2026, 3, 29, 2, 30), BERLIN) == utc(2026, 3, 29, 1, 30)  # 03:30 on the new clock


def test_a_wall_time_that_comes_twice_is_its_first() -> None:
    assert moment(wall(2026, 10, 25, 2, 30), BERLIN) == utc(2026, 10, 25, 0, 30)


@pytest.mark.parametrize(
    ("at", "quiet", "leaves"),
    [
        (utc(2026, 12, 1, 2, 0), NIGHT, utc(2026, 12, 1, 2, 0)),  # 10:00 in Shanghai
        (utc(2026, 12, 1, 14, 0), NIGHT, utc(2026, 12, 2, 1, 0)),  # 22:00: tomorrow at 9
        (utc(2026, 12, 1, 18, 0), NIGHT, utc(2026, 12, 2, 1, 0)),  # 02:00: today at 9
        (utc(2026, 12, 1, 1, 0), NIGHT, utc(2026, 12, 1, 1, 0)),  # 09:00: they are over
        (utc(2026, 12, 1, 13, 0), NIGHT, utc(2026, 12, 2, 1, 0)),  # 21:00: they begin
        (utc(2026, 12, 1, 5, 0), ("12:00", "14:00"), utc(2026, 12, 1, 6, 0)),
        (utc(2026, 12, 1, 14, 0), ("08:00", "08:00"), utc(2026, 12, 1, 14, 0)),  # none
    ],
)
def test_quiet_hours_are_those_where_the_person_is(at: datetime, quiet: tuple[str, str], leaves: datetime) -> None:
    assert awake(at, SHANGHAI, quiet) == leaves


_clock = st.builds(lambda hour, minute: f"{hour:02}:{minute:02}", st.integers(0, 23), st.integers(0, 59))


@given(
    st.datetimes(wall(2025, 1, 1), wall(2028, 1, 1)),
    st.sampled_from([SHANGHAI, BERLIN, NEW_YORK, ZoneInfo("Pacific/Apia"), ZoneInfo("Australia/Lord_Howe")]),
    st.tuples(_clock, _clock),
)
def test_nothing_leaves_in_quiet_hours_and_nothing_waits_longer_than_a_day(
    at: datetime, zone: ZoneInfo, quiet: tuple[str, str]
) -> None:
    planned = at.replace(tzinfo=UTC)
    leaves = awake(planned, zone, quiet)
    assert planned <= leaves <= planned + timedelta(hours=25)
    shown, (begin, end) = leaves.astimezone(zone).strftime("%H:%M"), quiet
    if begin < end:
        assert not begin <= shown < end
    elif begin > end:
        # Clocks that are put on may leave the very end out: then it is later.
        assert end <= shown < begin


def test_at_one_moment_everybody_gets_it_then() -> None:
    plan = Plan(at=utc(2026, 12, 1, 2, 0))
    assert leaves_at(plan, utc(2026, 12, 1, 2, 0), SHANGHAI) == utc(2026, 12, 1, 2, 0)


def test_in_each_zone_it_is_the_same_time_of_day() -> None:
    plan = Plan(at=wall(2026, 12, 1, 10, 0), in_each_zone=True)
    base = utc(2026, 11, 30, 20, 0)
    assert leaves_at(plan, base, SHANGHAI) == utc(2026, 12, 1, 2, 0)
    assert leaves_at(plan, base, NEW_YORK) == utc(2026, 12, 1, 15, 0)


def test_a_persons_own_quiet_hours_win() -> None:
    plan = Plan(at=utc(2026, 12, 1, 2, 0))
    assert leaves_at(plan, utc(2026, 12, 1, 2, 0), SHANGHAI, ("09:00", "18:00")) == utc(2026, 12, 1, 10, 0)


def test_a_time_that_has_passed_never_starts() -> None:
    now = utc(2026, 12, 1, 3, 0)
    assert starts_at(Plan(at=utc(2026, 12, 1, 2, 0)), now, SHANGHAI) is None
    assert starts_at(Plan(at=wall(2026, 11, 30, 10, 0), in_each_zone=True), now, SHANGHAI) is None
    assert starts_at(Plan(), now, SHANGHAI) == now


def test_a_plan_in_each_zone_begins_with_the_easternmost() -> None:
    plan = Plan(at=wall(2026, 12, 1, 10, 0), in_each_zone=True)
    assert starts_at(plan, utc(2026, 11, 1), SHANGHAI) == utc(2026, 11, 30, 20, 0)


@pytest.mark.parametrize(
    ("every", "after", "run"),
    [
        ({"unit": "day", "at": "10:00"}, utc(2026, 12, 1, 2, 0), utc(2026, 12, 2, 2, 0)),
        ({"unit": "day", "at": "10:00"}, utc(2026, 12, 1, 1, 59), utc(2026, 12, 1, 2, 0)),
        ({"unit": "week", "at": "10:00", "weekdays": [1, 5]}, utc(2026, 12, 1, 2, 0), utc(2026, 12, 4, 2, 0)),
        ({"unit": "month", "at": "10:00", "day": 31}, utc(2027, 2, 1, 0, 0), utc(2027, 2, 28, 2, 0)),
        ({"unit": "day", "at": "10:00", "from": "2027-01-01T00:00+08:00"}, utc(2026, 12, 1), utc(2027, 1, 1, 2, 0)),
    ],
)
def test_a_run_comes_again_on_its_days(every: dict[str, Any], after: datetime, run: datetime) -> None:
    assert next_run(every, after, SHANGHAI) == run


def test_a_daily_run_keeps_its_time_of_day_when_the_clocks_change() -> None:
    every, run, seen = {"unit": "day", "at": "10:00"}, utc(2026, 10, 23, 12, 0), []
    for _ in range(4):
        following = next_run(every, run, BERLIN)
        assert following is not None
        run = following
        seen.append(run.hour)
    assert seen == [8, 9, 9, 9]


def test_runs_are_told_apart_by_their_moment() -> None:
    assert occasion_of(utc(2026, 12, 1, 2, 0)) == "2026-12-01T02:00Z"


STEPS = (
    Step("one", "a", when={"clicked": "three", "replied": "end"}),
    Step("two", "b"),
    Step("three", "b", when={"else": "end"}),
)


@pytest.mark.parametrize(
    ("name", "answers", "following"),
    [
        ("", frozenset(), "one"),
        ("one", frozenset(), "two"),
        ("one", frozenset({"clicked", "replied"}), "three"),
        ("one", frozenset({"replied"}), None),
        ("two", frozenset({"bought"}), "three"),
        ("three", frozenset({"clicked"}), None),
        ("gone", frozenset(), None),
    ],
)
def test_a_journey_goes_where_the_answer_leads(name: str, answers: frozenset[str], following: str | None) -> None:
    step = next_step(STEPS, name, answers)
    assert (step.name if step else None) == following


@pytest.mark.parametrize("words", ["T0930", "09.30", "9:30", "24:00", "09:60", "０9:30", "09:30\n", ""])
def test_what_is_no_time_of_day_is_none_for_the_business_s_rules_either(words: str) -> None:
    with pytest.raises(AssistantInvalid):
        read_broadcasts({"quiet": [words, "09:00"]})
