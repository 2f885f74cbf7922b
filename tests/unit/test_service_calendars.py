"""Working time: breaks, holidays, days made up for, midnight, leap days, and the days when clocks change."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import AssistantInvalid
from bot.service.calendars import ALWAYS, Calendar, Calendars, NoWorkingTime, always, read_calendars
from bot.service.policy import read_policy
from frontdesk.yaml_lines import parse_yaml

OFFICE = {day: ((time(9), time(12)), (time(13), time(18))) for day in range(5)}


def local(text: str, zone: str = "+08:00") -> datetime:
    return datetime.fromisoformat(text + zone)


def calendar(**fields: object) -> Calendar:
    return Calendar(**{"week": OFFICE, **fields})  # type: ignore[arg-type]


def test_working_time_leaves_out_the_break_the_night_and_the_weekend() -> None:
    friday = local("2026-03-06T11:00")
    assert calendar().add(friday, timedelta(hours=2)) == local("2026-03-06T14:00")
    assert calendar().add(friday, timedelta(hours=7)) == local("2026-03-09T10:00")
    assert calendar().between(friday, local("2026-03-09T10:00")) == timedelta(hours=7)


def test_a_promise_that_ends_with_the_day_is_due_at_its_end_not_at_the_next_opening() -> None:
    assert calendar().add(local("2026-03-06T15:00"), timedelta(hours=3)) == local("2026-03-06T18:00")


def test_before_and_after_hours_the_count_begins_with_the_next_opening() -> None:
    assert calendar().next_open(local("2026-03-06T07:00")) == local("2026-03-06T09:00")
    assert calendar().next_open(local("2026-03-06T18:00")) == local("2026-03-09T09:00")
    assert calendar().next_open(local("2026-03-06T12:30")) == local("2026-03-06T13:00")


def test_a_holiday_has_no_working_time_and_a_weekend_day_made_up_for_has() -> None:
    spring = calendar(
        exceptions={
            **{date(2026, 2, 16) + timedelta(days=day): () for day in range(5)},
            date(2026, 2, 14): OFFICE[0],  # Saturday, worked in place of the Monday
        }
    )
    assert spring.is_open(local("2026-02-14T10:00"))
    assert not spring.is_open(local("2026-02-16T10:00"))
    assert spring.add(local("2026-02-14T17:00"), timedelta(hours=2)) == local("2026-02-23T10:00")


def test_a_night_that_crosses_midnight_and_the_end_of_february_is_counted_through() -> None:
    night = calendar(week=dict.fromkeys(range(7), ((time(0), time(6)), (time(22), time(0)))))
    assert night.add(local("2028-02-28T23:00"), timedelta(hours=3)) == local("2028-02-29T02:00")
    assert night.add(local("2028-02-29T23:00"), timedelta(hours=3)) == local("2028-03-01T02:00")
    assert night.add(local("2027-02-28T23:00"), timedelta(hours=3)) == local("2027-03-01T02:00")


@pytest.mark.parametrize(
    ("start", "hours", "end"),
    [
        # Clocks go forward at 02:00 on 29 March 2026 in Berlin: the night has one hour less.
        ("2026-03-28T23:00+01:00", 4, "2026-03-29T04:00+02:00"),
        # And back at 03:00 on 25 October: one hour comes twice, and both count.
        ("2026-10-24T23:00+02:00", 4, "2026-10-25T02:00+01:00"),
    ],
)
def test_the_hour_that_is_skipped_or_comes_twice_counts_as_it_passes(start: str, hours: int, end: str) -> None:
    open_always = calendar(timezone="Europe/Berlin", week=dict.fromkeys(range(7), ((time(0), time(0)),)))
    assert open_always.add(datetime.fromisoformat(start), timedelta(hours=hours)) == datetime.fromisoformat(end)


def test_nine_to_five_is_eight_hours_on_the_day_the_clocks_change_too() -> None:
    berlin = calendar(timezone="Europe/Berlin", week=dict.fromkeys(range(7), ((time(9), time(17)),)))
    day = datetime.fromisoformat("2026-03-29T00:00+01:00")
    assert berlin.between(day, day + timedelta(days=1)) == timedelta(hours=8)


def test_a_span_inside_the_skipped_hour_holds_no_time() -> None:
    berlin = calendar(timezone="Europe/Berlin", week={6: ((time(2), time(3)),)})
    assert berlin.intervals(date(2026, 3, 29)) == []
    assert berlin.next_open(datetime(2026, 3, 29, tzinfo=UTC)) == datetime.fromisoformat("2026-04-05T02:00+02:00")


def test_a_calendar_that_never_opens_is_said_so_rather_than_searched_for_ever() -> None:
    with pytest.raises(NoWorkingTime, match="default"):
        calendar(week={}).add(local("2026-03-06T11:00"), timedelta(hours=1))


def test_a_moment_without_a_zone_and_time_backwards_are_refused() -> None:
    with pytest.raises(ValueError, match="aware"):
        calendar().add(datetime(2026, 3, 6, 11), timedelta(hours=1))  # noqa: DTZ001 - the mistake under test
    with pytest.raises(ValueError, match="forwards"):
        calendar().add(local("2026-03-06T11:00"), timedelta(hours=-1))


@given(
    st.datetimes(datetime(2024, 1, 1), datetime(2028, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001 - made aware
    st.integers(0, 300 * 3600),
    st.sampled_from(["Asia/Shanghai", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"]),
)
def test_what_is_added_is_what_lies_between(start: datetime, seconds: int, zone: str) -> None:
    hours = calendar(timezone=zone, exceptions={date(2026, 5, 1): (), date(2026, 5, 9): OFFICE[0]})
    end = hours.add(start, timedelta(seconds=seconds))
    assert end >= start
    assert hours.between(start, end) == timedelta(seconds=seconds)


def test_every_hour_counts_in_the_calendar_that_is_always_there() -> None:
    start = local("2026-10-01T03:00")
    assert always().add(start, timedelta(hours=50)) == start + timedelta(hours=50)
    assert Calendars().get(ALWAYS) == always()
    assert Calendars().get("closed down").name == "default"


# --- reading ------------------------------------------------------------------------------------------------------


def read(text: str) -> Calendars:
    return read_calendars(parse_yaml(text.encode(), name="service.yml"))


def test_calendars_are_read_with_holidays_made_up_days_and_what_they_are_like() -> None:
    found = read(
        """
        default:
          week: {mon-fri: ["09:00-12:00", "13:30-18:00"], sat: ["09:00-12:00"]}
          holidays: [2026-10-01, {from: 2026-02-16, to: 2026-02-22}]
          working_days: [2026-02-14, {day: 2026-02-28, hours: ["10:00-11:00"]}]
        station: {like: default, week: {mon-sun: ["00:00-24:00"]}, holidays: []}
        """
    )
    office, station = found.get("default"), found.get("station")
    assert office.spans(date(2026, 2, 20)) == office.spans(date(2026, 10, 1)) == ()
    assert office.spans(date(2026, 2, 14)) == office.spans(date(2026, 3, 2))
    assert office.spans(date(2026, 2, 28)) == ((time(10), time(11)),)
    assert station.is_open(local("2026-10-01T23:59"))
    assert station.timezone == "Asia/Shanghai"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("default: {week: {mon: ['9-18']}}", "no span of hours"),
        ("default: {week: {mon: ['18:00-09:00']}}", "closes before it opens"),
        ("default: {week: {mon: ['13:00-18:00', '09:00-12:00']}}", "follow each other"),
        ("default: {week: {mon: ['09:00-24:00', '10:00-12:00']}}", "follow each other"),
        ("default: {week: {fri-mon: []}}", "no day of the week"),
        ("default: {week: {mon: []}}", "never open"),
        ("default: {timezone: Mars/Base}", "no time zone"),
        ("default: {timezone: ../etc}", "no time zone"),
        ("default: {holidays: [2026-02-30]}", "no day such as"),
        ("default: {holidays: [{from: 2026-02-20, to: 2026-02-16}]}", "ends before it begins"),
        ("default: {holidays: [{from: 2026-02-20, to: 2036-02-16}]}", "lasts too long"),
        ("default: {like: other}", "no calendar 'other'"),
        ("default: {hours: 9}", "unknown key"),
        ("default: 9", "must be a mapping"),
    ],
)
def test_a_calendar_that_makes_no_sense_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(AssistantInvalid, match=reason):
        read(text)


def test_an_error_in_the_file_names_its_line() -> None:
    document = parse_yaml(b"calendars:\n  default:\n    week:\n      mon: ['25:00-26:00']\n", name="service.yml")
    with pytest.raises(AssistantInvalid, match=r"service\.yml:4: "):
        read_policy(document)


def test_a_section_nobody_knows_is_refused() -> None:
    with pytest.raises(AssistantInvalid, match="unknown key 'clocks'"):
        read_policy(parse_yaml(b"clocks: {}\n", name="service.yml"))
