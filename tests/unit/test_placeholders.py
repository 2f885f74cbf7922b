"""Personal data become samples, the same one each time; what a story depends on stays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desk.nearness import grouped
from desk.placeholders import Placeholders


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("call 13912345678", "call 13800000001"),
        ("call 139 1234 5678 or 13912345678", "call 13800000001 or 13800000001"),
        ("write to zoe.q@mail.example", "write to customer1@example.com"),
        ("my order is SO-20391", "my order is SO-10001"),
        ("订单号2391，谢谢", "订单号1001，谢谢"),
        ("from +44 7911 123456", "from +44 7700 900001"),
        ("ID 11010519491231002X", "ID 110101199001010001"),
        ("on 2026-11-20 at 09:30, 3 pieces", "on 2026-11-20 at 09:30, 3 pieces"),
        ("since 2019", "since 2019"),
        ("冀F7K26N和冀F·7K26N是一辆，沪AD12345是另一辆", "京A00001和京A00001是一辆，京A00002是另一辆"),
    ],
)
def test_what_belongs_to_a_person_becomes_a_sample(text: str, hidden: str) -> None:
    assert Placeholders()(text) == hidden


def test_names_become_others_also_inside_chinese_and_never_inside_a_longer_word() -> None:
    hide = Placeholders(["Zoe", "李小龙"], language="en")
    assert hide("zoe likes zoetropes") == "Ann Lee likes zoetropes"
    assert "李小龙" not in hide("我是李小龙的朋友")
    assert hide("Zoe") == hide("ZOE")


def test_what_an_assistant_calls_personal_is_hidden_in_its_form() -> None:
    hide = Placeholders(personal=["M-79a", "王小明", "13912345678"])
    assert hide("card m-79A of 王小明, ham-79ab") == "card X-00X of 某某某, ham-79ab"
    assert hide("call 13912345678") == "call 13800000001"


def test_the_same_value_is_the_same_sample_in_every_text() -> None:
    hide = Placeholders()
    assert hide("SO-20391") == hide("so20391").replace("so", "SO-")
    assert hide("13912345678") != hide("13912345679")


@given(st.text(max_size=200), st.lists(st.text(max_size=10), max_size=3))
def test_no_text_breaks_it(text: str, names: list[str]) -> None:
    assert isinstance(Placeholders(names)(text), str)


def test_texts_that_say_nearly_the_same_are_one_group_and_the_largest_comes_first() -> None:
    texts = ["你们几点关门", "do you wrap gifts", "你们几点关门呀", "Do you wrap my gifts?", "请问你们几点关门", "!!!"]
    groups = grouped(texts)
    assert groups == [[0, 2, 4], [1, 3], [5]]


@given(st.lists(st.text(max_size=30), max_size=30))
def test_every_text_is_in_exactly_one_group(texts: list[str]) -> None:
    assert sorted(place for group in grouped(texts) for place in group) == list(range(len(texts)))
