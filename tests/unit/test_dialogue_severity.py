"""How severe a complaint is and what it is about, from words in both languages and from history."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bot.actions.complaint_reading import is_dangerous, is_description, severity
from bot.service.cases import CaseRules
from tests.builders import NOON, a_case


@pytest.mark.parametrize(
    "words",
    [
        "电水壶漏电，我被电了一下",
        "烤箱着火了",
        "风扇冒烟",
        "孩子被划伤了",
        "The kettle caught fire",
        "it gave me an electric shock",
        "smoke came out of the oven",
        "my daughter was injured",
        "the lamp exploded",
    ],
)
def test_danger_is_critical(words: str) -> None:
    assert severity(words) == 4


@pytest.mark.parametrize(
    "words",
    [
        "我要打12315",
        "再不处理我就找律师",
        "我会在微博曝光",
        "I will call my lawyer",
        "I'll report you to consumer protection",
        "this is a scam",
        "第三次了，太过分了",
        "this is unacceptable, it happened again",
    ],
)
def test_authorities_the_press_and_anger_over_a_repetition_are_urgent(words: str) -> None:
    assert severity(words) == 3


@pytest.mark.parametrize("words", ["态度太差了", "还没解决", "your staff were rude", "still waiting for an answer"])
def test_anger_or_a_repetition_alone_is_raised(words: str) -> None:
    assert severity(words) == 2


@pytest.mark.parametrize(
    "words", ["台灯颜色不对", "the lid is scratched", "包装破了", "火车站店没有座位", "", "I was issued a ticket"]
)
def test_everything_else_is_low(words: str) -> None:
    assert severity(words) == 1


@pytest.mark.parametrize(
    "words", ["没有着火，只是盖子坏了", "nobody was hurt, but the lid is broken", "the smoke alarm has a scratch"]
)
def test_the_absence_of_danger_is_no_danger(words: str) -> None:
    assert severity(words) == 1


def test_history_raises_the_severity() -> None:
    assert severity("the lid is scratched", [a_case()], NOON) == 2
    assert severity("the staff were rude", [a_case()], NOON) == 3
    assert severity("the lid is scratched", [a_case("C-1-1"), a_case("C-2-2"), a_case("C-3-3")], NOON) == 3


def test_old_closed_complaints_and_other_cases_are_no_history() -> None:
    old = a_case(is_open=False, opened_at=NOON - timedelta(days=200))
    assert severity("the lid is scratched", [old, a_case(kind="return")], NOON) == 1


@pytest.mark.parametrize(
    ("words", "category"),
    [
        ("快递一直没到", "delivery"),
        ("店员态度很差", "staff"),
        ("退款一直没到账", "refund"),
        ("电水壶漏水", "product"),
        ("烤箱着火了", "safety"),
        ("积分没有了", "account"),
        ("my parcel never came", "delivery"),
        ("the cashier was rude", "staff"),
        ("where is my refund", "refund"),
        ("the lamp is broken", "product"),
        ("hmm", "other"),
    ],
)
def test_the_category_of_a_complaint(words: str, category: str) -> None:
    assert CaseRules().find(words, is_danger=is_dangerous(words)).category == category


@pytest.mark.parametrize(
    "words", ["电水壶漏水", "order 2391 hasn't arrived and I want to complain", "店员态度很差我要投诉"]
)
def test_words_that_say_what_happened_are_a_description(words: str) -> None:
    assert is_description(words)


@pytest.mark.parametrize(
    "words",
    [
        "我要投诉",
        "我想投诉一下你们",
        "投诉",
        "I want to complain",
        "complaint!",
        "I'd like to file a complaint please",
        "",
    ],
)
def test_the_mere_wish_to_complain_is_none(words: str) -> None:
    assert not is_description(words)


@pytest.mark.parametrize(("words", "level"), [("车牌冀F12345", 1), ("电话 13812345678", 1), ("我要打12345投诉你们", 3)])
def test_a_hot_line_is_not_part_of_another_number(words: str, level: int) -> None:
    assert severity(words) == level
