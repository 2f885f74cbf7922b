"""Values in words and times in words: what is recognised, what is left alone, what is promised."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.assistant import StaffedHours
from bot.business_time import find_date, say_day, say_time, zone
from bot.values import (
    case_number,
    is_cancel_word,
    is_stop_word,
    order_number,
    phone,
    same_case,
    same_order,
    yes_or_no,
)

TODAY = date(2024, 11, 20)  # a Wednesday
HOURS = StaffedHours()


@pytest.mark.parametrize(
    ("words", "number"),
    [
        ("订单2391还没到", "2391"),
        ("order no. 10482 please", "10482"),
        ("so-20391", "SO-20391"),
        ("SO20391", "SO-20391"),
        ("２３９１", "2391"),
        ("不是2391，是10482", "10482"),
        ("订单号是10482，不是2391", "10482"),
        ("no, the order number is 10482 not 2391", "10482"),
        ("C-1024-7", None),
        ("13812345678", None),
        ("138 1234 5678", None),
        ("128元", None),
        ("花了2000元", None),
        ("¥2000", None),
        ("2000 yuan", None),
        ("2024-11-03", None),
        ("2023年买的", None),
        ("123", None),
        ("123456789", None),
        ("abc", None),
    ],
)
def test_order_numbers(words: str, number: str | None) -> None:
    assert order_number(words) == number


@pytest.mark.parametrize(
    ("words", "number"),
    [
        ("what about C-1024?", "C-1024"),
        ("c-1024-7", "C-1024-7"),
        ("C1024", "C-1024"),
        ("ABC-1024", None),
        ("C-12", None),
    ],
)
def test_case_numbers(words: str, number: str | None) -> None:
    assert case_number(words) == number


def test_a_case_is_the_same_with_or_without_check_digit() -> None:
    assert same_case("C-1024", "C-1024-7")
    assert same_case("C-1024-7", "C-1024-7")
    assert not same_case("C-1024-8", "C-1024-7")
    assert not same_case("C-102", "C-1024-7")


def test_an_order_is_the_same_with_or_without_prefix() -> None:
    assert same_order("SO-2391", "2391")
    assert not same_order("2391", "23910")
    assert not same_order("", "")


@pytest.mark.parametrize(
    ("words", "number"),
    [
        ("13812345678", "+8613812345678"),
        ("我的电话是138 1234 5678", "+8613812345678"),
        ("+86 138-1234-5678", "+8613812345678"),
        ("010-62345678", "+861062345678"),
        ("+44 20 7946 0958", "+442079460958"),
        ("0044 20 7946 0958", "+442079460958"),
        ("12345678901", None),
        ("1381234567", None),
        ("2391", None),
        ("", None),
    ],
)
def test_phone_numbers_become_e164(words: str, number: str | None) -> None:
    assert phone(words) == number


@pytest.mark.parametrize(
    ("words", "day"),
    [
        ("2024-11-03", date(2024, 11, 3)),
        ("2024年11月3日", date(2024, 11, 3)),
        ("昨天", date(2024, 11, 19)),
        ("the day before yesterday", date(2024, 11, 18)),
        ("上周五", date(2024, 11, 15)),
        ("周五", date(2024, 11, 15)),
        ("last Friday", date(2024, 11, 15)),
        ("since Monday", date(2024, 11, 18)),
        ("Wednesday", TODAY),
        ("next Friday", date(2024, 11, 22)),
        ("下周一", date(2024, 11, 25)),
        ("三天前", date(2024, 11, 17)),
        ("2 weeks ago", date(2024, 11, 6)),
        ("11月3日", date(2024, 11, 3)),
        ("12月25号", date(2023, 12, 25)),
        ("3 November", date(2024, 11, 3)),
        ("Nov 3", date(2024, 11, 3)),
        ("明天", date(2024, 11, 21)),
        ("2月31日", None),
        ("my birthday", None),
        ("", None),
    ],
)
def test_days_are_found_as_seen_from_a_wednesday(words: str, day: date | None) -> None:
    assert find_date(words, TODAY) == day


@pytest.mark.parametrize(
    ("words", "agrees"),
    [
        ("是的", True),
        ("Yes.", True),
        ("👍", True),
        ("不用", False),
        ("no!", False),
        ("👎", False),
        ("maybe", None),
        ("👍👎", None),
        ("🙂", None),
        ("", None),
        ("yes but no", None),
    ],
)
def test_yes_and_no(words: str, agrees: bool | None) -> None:
    assert yes_or_no(words) is agrees


def test_stop_and_cancel_words_are_whole_messages() -> None:
    assert is_stop_word(" Unsubscribe! ")
    assert is_stop_word("退订")
    assert not is_stop_word("how do I unsubscribe my friend")
    assert is_cancel_word("算了。")
    assert not is_cancel_word("取消订单")


def at(hour: int, minute: int = 0) -> datetime:
    """A moment of 20 November in Shanghai, in UTC."""
    return datetime(2024, 11, 20, hour, minute, tzinfo=zone("Asia/Shanghai")).astimezone(UTC)


def test_days_and_times_are_said_as_people_say_them() -> None:
    assert say_day(date(2024, 11, 23), TODAY, "zh") == "11月23日"
    assert say_day(date(2025, 1, 2), TODAY, "en") == "2 Jan 2025"
    assert say_time(at(17), at(12), "Asia/Shanghai", "en") == "today at 17:00"


def test_an_unknown_zone_is_utc_rather_than_an_error() -> None:
    assert zone("Mars/Phobos") is UTC
    assert zone("") is UTC


@given(st.text(max_size=300))
def test_no_text_breaks_a_recogniser(words: str) -> None:
    for recognise in (order_number, case_number, phone, yes_or_no, is_stop_word, is_cancel_word):
        recognise(words)
    find_date(words, TODAY)
