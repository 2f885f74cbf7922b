"""Promises with a clock: how long, when to warn, what a pause does, and who hears of a breach."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest

from bot.errors import AssistantInvalid
from bot.service.calendars import Calendar
from bot.service.escalation import move_on
from bot.service.policy import ServicePolicy, read_policy
from bot.service.promises import Clock, Rung, due, start, used
from bot.service_types import Site
from frontdesk.yaml_lines import parse_yaml

HOUR = 3600
LADDER = (Rung("owner", 0), Rung("lead", 2), Rung("manager", 8))
OFFICE = Calendar()  # 9 to 21 every day, Asia/Shanghai


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+08:00")


def running(**fields: object) -> Clock:
    return replace(Clock(budget_s=4 * HOUR, used_s=0, running_since=at("2026-03-06T10:00")), **fields)  # type: ignore[arg-type]


def policy(text: str) -> ServicePolicy:
    return read_policy(parse_yaml(text.encode(), name="service.yml"))


def test_a_promise_is_due_after_its_working_hours_and_looked_at_first_when_most_are_gone() -> None:
    clock = start("first_response", timedelta(hours=4), OFFICE, at("2026-03-06T19:00"))
    assert clock is not None
    assert clock.due_at == at("2026-03-07T11:00")
    assert clock.next_at == at("2026-03-07T10:00")


def test_where_nothing_is_promised_no_clock_begins() -> None:
    assert start("update", timedelta(0), OFFICE, at("2026-03-06T19:00")) is None


def test_a_case_begins_with_the_clocks_of_its_severity() -> None:
    rules = policy("promises: {first_response: {1: 8, 4: 0.5}, update: 24, solution: {2: 10}}")
    clocks = rules.clocks_for(4, at("2026-03-06T10:00"))
    assert [(clock.kind, clock.budget_s) for clock in clocks] == [("first_response", 1800), ("update", 24 * HOUR)]


def test_a_severity_counted_around_the_clock_does_not_wait_for_opening() -> None:
    rules = policy("promises: {first_response: 2, around_the_clock: [4]}")
    night = at("2026-03-06T23:00")
    assert rules.clocks_for(4, night, kinds=["first_response"])[0].due_at == at("2026-03-07T01:00")
    assert rules.clocks_for(3, night, kinds=["first_response"])[0].due_at == at("2026-03-07T11:00")


def test_a_case_at_a_site_counts_in_the_calendar_of_the_site() -> None:
    rules = policy('calendars: {early: {week: {mon-sun: ["06:00-08:00"]}}}\npromises: {first_response: 1}')
    clocks = rules.clocks_for(1, at("2026-03-06T10:00"), site_calendar="early", kinds=["first_response"])
    assert clocks[0].due_at == at("2026-03-07T07:00")


def test_a_site_in_another_zone_counts_by_its_own_clock_over_a_holiday_and_the_change_of_clocks() -> None:
    rules = policy(
        'calendars: {office: {timezone: Asia/Shanghai, week: {mon-sun: ["09:00-17:00"]}, holidays: [2026-03-30]}}\n'
        "promises: {solution: 16, calendar: office, around_the_clock: [4]}"
    )
    site = Site(1, "ber", {}, timezone="Europe/Berlin")
    saturday = datetime.fromisoformat("2026-03-28T13:00+01:00")  # clocks go forward in the night; Monday is a holiday
    (clock,) = rules.clocks_for(2, saturday, site_calendar=site.hours, kinds=["solution"])
    assert clock.due_at == datetime.fromisoformat("2026-03-31T13:00+02:00")
    counted = rules.calendars.get(clock.calendar)
    assert (counted.timezone, counted.between(saturday, clock.due_at)) == ("Europe/Berlin", timedelta(hours=16))
    (at_home,) = rules.clocks_for(2, saturday, kinds=["solution"])
    assert at_home.due_at == at("2026-03-31T09:00") + timedelta(hours=8)
    (danger,) = rules.clocks_for(4, saturday, site_calendar=site.hours, kinds=["solution"])
    assert danger.due_at == saturday + timedelta(hours=16)


def test_a_site_in_the_zone_of_its_calendar_counts_in_that_calendar_and_one_of_no_known_calendar_in_the_usual() -> None:
    rules = policy('calendars: {early: {timezone: Asia/Shanghai, week: {mon-sun: ["06:00-08:00"]}}}')
    for calendar, timezone, name in (
        ("early", "Asia/Shanghai", "early"),
        ("early", "", "early"),
        ("gone", "", "default"),
        ("gone", "Europe/Berlin", "default@Europe/Berlin"),
    ):
        site = Site(1, "s", {}, calendar=calendar, timezone=timezone)
        assert rules.calendar_for(2, site.hours).name == name


def test_a_paused_clock_is_never_due_and_goes_on_with_what_was_left() -> None:
    spent = used(running(), OFFICE, at("2026-03-06T13:00"))
    paused = running(used_s=spent, running_since=None)
    assert due(paused, OFFICE, LADDER).due_at is None
    assert due(paused, OFFICE, LADDER).next_at is None
    resumed = replace(paused, running_since=at("2026-03-09T20:30"))
    assert due(resumed, OFFICE, LADDER).due_at == at("2026-03-10T09:30")
    assert used(paused, OFFICE, at("2026-03-20T13:00")) == 3 * HOUR


def test_a_holiday_added_after_the_clock_started_moves_what_is_still_to_come() -> None:
    late = running(running_since=at("2026-03-06T20:00"))
    closed = Calendar(exceptions={date(2026, 3, 7): ()})
    assert due(late, OFFICE, LADDER).due_at == at("2026-03-07T12:00")
    assert due(late, closed, LADDER).due_at == at("2026-03-08T12:00")


def test_first_comes_the_warning_then_the_breach_then_one_rung_after_the_other() -> None:
    clock, seen = running(), []
    for moment in ("13:00", "14:00", "16:00", "18:00"):
        moved = move_on(clock, OFFICE, LADDER, at(f"2026-03-06T{moment}"))
        seen.append((moment, moved.steps))
        clock = moved.clock
    assert seen == [
        ("13:00", ("warned",)),
        ("14:00", ("breached", "escalated:owner")),
        ("16:00", ("escalated:lead",)),
        ("18:00", ()),
    ]
    assert move_on(clock, OFFICE, LADDER, at("2026-03-06T18:00")).next_at == at("2026-03-07T10:00")
    done = move_on(clock, OFFICE, LADDER, at("2026-03-07T10:00"))
    assert (done.steps, done.next_at) == (("escalated:manager",), None)


def test_a_scheduler_that_comes_a_week_late_leaves_nothing_out() -> None:
    moved = move_on(running(), OFFICE, LADDER, at("2026-03-13T10:00"))
    assert moved.steps == ("warned", "breached", "escalated:owner", "escalated:lead", "escalated:manager")
    assert moved.clock.warned_at == at("2026-03-06T13:00")
    assert moved.clock.breached_at == at("2026-03-06T14:00")


def test_looking_again_at_the_same_moment_does_nothing_twice() -> None:
    now = at("2026-03-06T14:00")
    once = move_on(running(), OFFICE, LADDER, now)
    again = move_on(once.clock, OFFICE, LADDER, now)
    assert again.steps == ()
    assert again.clock == once.clock


def test_without_a_ladder_a_breach_is_the_end_of_it() -> None:
    moved = move_on(running(), OFFICE, (), at("2026-03-06T15:00"))
    assert (moved.steps, moved.next_at) == (("warned", "breached"), None)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("promises: {first_response: {5: 1}}", "no severity"),
        ("promises: {first_response: {1: -1}}", "from 0 to 8760"),
        ("promises: {first_response: soon}", "must be a number"),
        ("promises: {warn_share: 0}", "above 0"),
        ("promises: {warn_share: 2}", "at most 1"),
        ("promises: {ladder: [{to: lead, after_h: 2}, {to: owner, after_h: 1}]}", "must not come before"),
        ("promises: {ladder: [{after_h: 2}]}", "to must be"),
        ("promises: {around_the_clock: [9]}", "severities from 1 to 4"),
        ("promises: {answer: 1}", "unknown key"),
    ],
)
def test_rules_that_make_no_sense_are_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(AssistantInvalid, match=reason):
        policy(text)
