"""A number typed instead of a pressed button, in both languages, however people write it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.assistant import Slot
from bot.hearing import hear
from bot.memory import Frame, Memory, Offered
from bot.typed_numbers import LAST, typed_number
from bot.types import Entity
from tests.builders import a_turn, shop

LIST = [
    Offered("退货", "intent:return_request"),
    Offered("换货", "intent:exchange_request"),
    Offered("维修", "flow:repair"),
]


@pytest.mark.parametrize(
    "words",
    ["2", "２", "2.", "2、", "（2）", "2\ufe0f\u20e3", " 2 \n", "二", "第二个", "第2个", "第二", "选2", "我选2",
     "我要第二个", "选择二", "第二项吧", "2号", "no. 2", "No 2", "number two", "option 2", "#2", "two",
     "the second", "second", "2nd", "the 2nd one", "I'll take the second one, please", "I choose 2"],
)  # fmt: skip
def test_two_in_many_forms(words: str) -> None:
    number = typed_number(words)

    assert number is not None
    assert number.place == 2


@pytest.mark.parametrize("words", ["最后一个", "我要最后一个", "the last one", "the last"])
def test_the_last(words: str) -> None:
    number = typed_number(words)

    assert number is not None
    assert number.place == LAST


@pytest.mark.parametrize(
    ("words", "place"), [("十", 10), ("第十二个", 12), ("二十", 20), ("二十一", 21), ("the twelfth", 12)]
)
def test_larger_numbers(words: str, place: int) -> None:
    number = typed_number(words)

    assert number is not None
    assert number.place == place


@pytest.mark.parametrize(
    "words",
    ["", "0", "2391", "两三天", "2 orders are late", "two weeks", "wait a second", "二手的吗", "第二天到货", "2.5",
     "-2", "1/2", "a", "the", "2 3", "十十", "一二三", "我要退货"],
)  # fmt: skip
def test_what_is_no_choice(words: str) -> None:
    assert typed_number(words) is None


@given(st.text(max_size=60))
def test_any_text_is_read(words: str) -> None:
    number = typed_number(words)

    assert number is None or number.place >= LAST


def test_the_number_chooses_from_the_list_shown_last() -> None:
    (request,) = hear(a_turn("２"), Memory(offered=LIST), shop())

    assert request.choice is not None
    assert (request.choice.kind, request.choice.name) == ("intent", "exchange_request")


def test_the_last_of_the_list() -> None:
    (request,) = hear(a_turn("the last one"), Memory(offered=LIST), shop())

    assert request.choice is not None
    assert request.choice.name == "repair"


def test_without_a_list_or_beyond_it_a_number_is_words() -> None:
    assert hear(a_turn("2"), Memory(), shop())[0].choice is None
    assert hear(a_turn("4"), Memory(offered=LIST), shop())[0].choice is None


@pytest.mark.parametrize("slot", [Slot("amount", "float"), Slot("amount", "text", entities=("amount",))])
def test_an_amount_that_was_asked_for_is_not_swallowed(slot: Slot) -> None:
    assistant = replace(shop(), slots={"amount": slot})
    memory = Memory(offered=LIST, stack=[Frame("refund", "1", "1", asked="amount")])
    turn = a_turn("2", entities=[Entity("amount", "2", "2", 0, 1)])

    assert hear(turn, memory, assistant)[0].choice is None
    assert hear(a_turn("第二个", entities=[Entity("amount", "2", "二", 1, 2)]), memory, assistant)[0].choice is not None


def test_a_day_that_was_asked_for_is_not_swallowed() -> None:
    memory = Memory(offered=LIST, stack=[Frame("complaint", "1", "1", asked="since")])

    assert hear(a_turn("2 days ago"), memory, shop())[0].choice is None
