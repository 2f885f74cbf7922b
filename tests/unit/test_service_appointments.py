"""Free slots: in working time, never in the past, right when clocks change; days ahead as people say them."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import AssistantInvalid
from bot.service.appointments import AppointmentRules, BookableService, free_slots, spread
from bot.service.calendars import Calendar
from bot.service.day_words import day_ahead, part_of_day, time_of_day
from bot.service.policy import read_policy
from bot.service_types import FreeSlot

MONDAY = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)  # 10:00 in Shanghai
WEEK = dict.fromkeys(range(5), ((time(9), time(12)), (time(13, 30), time(18))))
OFFICE = Calendar("office", "Asia/Shanghai", WEEK)
ALL_DAY = dict.fromkeys(range(7), ((time(0), time(0)),))


def service(**fields: object) -> BookableService:
    return BookableService("check", **{"lead_hours": 2, "days_ahead": 3, **fields})  # type: ignore[arg-type]


def slots(
    offer: BookableService, calendar: Calendar = OFFICE, *, taken: tuple[datetime, ...] = (), now: datetime = MONDAY
) -> list[FreeSlot]:
    return list(free_slots(offer, "s1", calendar, taken, now))


def local(found: list[FreeSlot], zone: str = "Asia/Shanghai") -> list[str]:
    return [f"{slot.starts_at.astimezone(ZoneInfo(zone)):%m-%d %H:%M}" for slot in found]


def test_slots_lie_in_opening_hours_after_the_lead_time_and_before_the_last_day() -> None:
    assert local(slots(service(days_ahead=1))) == [
        *(f"03-02 {hour}" for hour in ("13:30", "14:30", "15:30", "16:30")),
        *(f"03-03 {hour}" for hour in ("09:00", "10:00", "11:00", "13:30", "14:30", "15:30", "16:30")),
    ]


def test_a_slot_ends_before_the_site_closes() -> None:
    long = service(minutes=150, every_minutes=60, days_ahead=1)
    assert local(slots(long))[:2] == ["03-02 13:30", "03-02 14:30"]
    assert all(slot.ends_at - slot.starts_at == timedelta(minutes=150) for slot in slots(long))


def test_holidays_hold_none_and_made_up_weekend_days_do() -> None:
    calendar = Calendar(
        "station", "Asia/Shanghai", WEEK, {date(2026, 3, 3): (), date(2026, 3, 7): ((time(9), time(10)),)}
    )
    found = local(slots(service(days_ahead=5), calendar))
    assert not any(slot.startswith("03-03") for slot in found)
    assert [slot for slot in found if slot.startswith("03-07")] == ["03-07 09:00"]


def test_a_slot_is_full_when_all_its_places_are_taken() -> None:
    first = slots(service())[0].starts_at
    two = service(places=2)
    assert slots(two)[0].left == 2
    assert slots(two, taken=(first,))[0].left == 1
    assert slots(two, taken=(first, first))[0].starts_at > first
    assert slots(two, taken=(first, first, first))[0].starts_at > first  # more than there are places: never below none


def test_a_booking_takes_a_place_of_every_slot_it_overlaps() -> None:
    offer = service(minutes=60, every_minutes=30, days_ahead=0)
    nine = [slot.starts_at for slot in slots(offer)]
    assert local(slots(offer, taken=(nine[2],)))[:2] == ["03-02 13:30", "03-02 15:30"]
    assert [slot.left for slot in slots(service(minutes=60, every_minutes=30, places=3), taken=(nine[2],))][:5] == [
        3,
        2,
        2,
        2,
        3,
    ]


def test_on_the_day_clocks_go_forward_the_skipped_hour_holds_no_slot() -> None:
    berlin = Calendar("round", "Europe/Berlin", ALL_DAY)
    now = datetime(2026, 3, 28, 22, 0, tzinfo=UTC)
    day = [slot for slot in slots(service(days_ahead=1), berlin, now=now) if slot.starts_at.day == 29]
    walls = [slot for slot in local(day, "Europe/Berlin") if slot.startswith("03-29")]
    assert "03-29 02:00" not in walls
    assert {"03-29 01:00", "03-29 03:00"} <= set(walls)


def test_on_the_day_clocks_go_back_both_two_oclocks_can_be_booked_and_are_different() -> None:
    berlin = Calendar("round", "Europe/Berlin", ALL_DAY)
    now = datetime(2026, 10, 24, 20, 0, tzinfo=UTC)
    found = slots(service(days_ahead=1, lead_hours=0), berlin, now=now)
    assert local(found, "Europe/Berlin").count("10-25 02:00") == 2
    assert len({slot.starts_at for slot in found}) == len(found)
    assert len([slot for slot in local(found, "Europe/Berlin") if slot.startswith("10-25")]) == 25


def test_a_leap_day_can_be_booked() -> None:
    found = local(slots(service(days_ahead=2), now=datetime(2028, 2, 28, 2, 0, tzinfo=UTC)))
    assert any(slot.startswith("02-29") for slot in found)


@given(
    st.integers(0, 3 * 365 * 24 * 60).map(lambda minutes: MONDAY + timedelta(minutes=minutes)),
    st.sampled_from(["Asia/Shanghai", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
    st.integers(5, 300),
    st.integers(5, 300),
)
def test_slots_are_in_order_in_the_future_open_throughout_and_none_twice(
    now: datetime, zone: str, minutes: int, every: int
) -> None:
    calendar = Calendar("any", zone, {**WEEK, 6: ((time(0), time(0)),)})
    found = slots(service(minutes=minutes, every_minutes=every, days_ahead=7), calendar, now=now)
    starts = [slot.starts_at for slot in found]
    assert starts == sorted(set(starts))
    for slot in found:
        assert slot.starts_at >= now + timedelta(hours=2)
        assert calendar.between(slot.starts_at, slot.ends_at) == timedelta(minutes=minutes)


def test_without_a_wish_times_of_several_days_are_offered() -> None:
    found = local(spread(slots(service()), OFFICE, 6))
    assert found == ["03-02 13:30", "03-02 14:30", "03-02 15:30", "03-03 09:00", "03-03 10:00", "03-04 09:00"]
    assert spread([], OFFICE, 6) == []


@pytest.mark.parametrize("most", range(1, 9))
def test_never_more_times_are_offered_than_asked_for(most: int) -> None:
    assert 1 <= len(spread(slots(service()), OFFICE, most)) <= most


def test_a_reminder_that_would_come_too_late_is_none() -> None:
    offer = service(remind_hours=24)
    assert offer.remind_at(MONDAY + timedelta(hours=48), MONDAY) == MONDAY + timedelta(hours=24)
    assert offer.remind_at(MONDAY + timedelta(hours=24, minutes=10), MONDAY) is None
    assert service(remind_hours=0).remind_at(MONDAY + timedelta(hours=48), MONDAY) is None


# --- the section --------------------------------------------------------------------------------------------------


def rules(section: dict[str, object]) -> AppointmentRules:
    return read_policy({"appointments": section}).appointments


def test_a_service_of_the_section_has_what_it_says_and_defaults_for_the_rest() -> None:
    found = rules({"services": {"wash": {"title": {"zh": "洗车"}, "minutes": 30, "kinds": ["station"]}}})
    wash = found.services["wash"]
    assert (wash.minutes, wash.every_minutes, wash.places, wash.kinds) == (30, 30, 1, {"station"})
    assert (wash.title("en"), BookableService("x").title("zh")) == ("洗车", "x")
    assert read_policy({}).appointments.services == {}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"minutes": 0}, "minutes must be a number from 5 to 1440"),
        ({"places": 0}, "places must be"),
        ({"days_ahead": 400}, "days_ahead must be"),
        ({"lead_hours": "two"}, "lead_hours must be"),
        ({"kinds": "workshop"}, "kinds must be a list"),
        ({"colour": "red"}, "unknown key 'colour'"),
    ],
)
def test_a_wrong_service_is_refused_with_the_reason(body: dict[str, object], reason: str) -> None:
    with pytest.raises(AssistantInvalid, match=reason):
        rules({"services": {"wash": body}})


# --- days and hours as people say them ----------------------------------------------------------------------------

TODAY = date(2026, 3, 4)  # a Wednesday


@pytest.mark.parametrize(
    ("words", "day"),
    [
        ("明天", "2026-03-05"),
        ("后天下午", "2026-03-06"),
        ("周五下午三点", "2026-03-06"),
        ("周三", "2026-03-04"),
        ("周一可以吗", "2026-03-09"),
        ("下周一", "2026-03-09"),
        ("3月10号", "2026-03-10"),
        ("1月3日", "2027-01-03"),
        ("2026-03-20", "2026-03-20"),
        ("Friday at 3 pm", "2026-03-06"),
        ("on Tuesday please", "2026-03-10"),
        ("next Friday", "2026-03-06"),
        ("10 March", "2026-03-10"),
        ("2月29日", "2028-02-29"),
        ("29 Feb", "2028-02-29"),
        ("2026-02-29", None),
        ("2025年3月1日", None),
        ("越快越好", None),
        ("", None),
    ],
)
def test_a_day_ahead_is_read_as_meant(words: str, day: str | None) -> None:
    assert day_ahead(words, TODAY) == (date.fromisoformat(day) if day else None)


@given(st.text(max_size=40), st.dates(date(2026, 1, 1), date(2030, 1, 1)))
def test_whatever_is_said_the_day_is_not_over(words: str, today: date) -> None:
    found = day_ahead(words, today)
    assert found is None or found >= today
    time_of_day(words)
    part_of_day(words)


@pytest.mark.parametrize(
    ("words", "hour"),
    [
        ("周五下午三点", time(15)),
        ("上午十点半", time(10, 30)),
        ("晚上8点一刻", time(20, 15)),
        ("14:30", time(14, 30)),
        ("１４：３０", time(14, 30)),
        ("3 pm", time(15)),
        ("12 am", time(0)),
        ("9:05 am", time(9, 5)),
        ("tomorrow at 10 o'clock", time(10)),
        ("十二点", time(12)),
        ("25:00", None),
        ("下午", None),
        ("明天", None),
    ],
)
def test_an_hour_is_read_as_meant(words: str, hour: time | None) -> None:
    assert time_of_day(words) == hour


@pytest.mark.parametrize(
    ("words", "begins"),
    [("上午", time(0)), ("明天下午", time(12)), ("Friday evening", time(17)), ("morning", time(0)), ("周五", None)],
)
def test_a_part_of_the_day_is_read_as_meant(words: str, begins: time | None) -> None:
    found = part_of_day(words)
    assert (found[0] if found else None) == begins
