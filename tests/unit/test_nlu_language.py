"""Which language a message is in, and when that is not worth believing."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlu.language import detect


@pytest.mark.parametrize(
    ("text", "language", "is_sure"),
    [
        ("我的订单到哪了", "zh", True),
        ("where is my order", "en", True),
        ("帮我查一下 SO-20391 iPhone case", "zh", True),
        ("refund", "en", True),
        ("please send it to 人民广场 store before Friday", "en", True),
        ("13812345678", "zh", False),
        ("👍👍", "zh", False),
        ("？？！", "zh", False),
        ("ok", "zh", False),
        ("", "zh", False),
        ("Dyson", "en", False),
        ("مرحبا كيف حالك", "en", False),
        ("a@b.com", "zh", False),
        ("冀F7K26N", "zh", True),
    ],
)
def test_language_and_whether_to_believe_it(text: str, language: str, is_sure: bool) -> None:
    detected = detect(text)
    assert (detected.language, detected.is_sure) == (language, is_sure)


def test_what_tells_nothing_keeps_the_default() -> None:
    assert detect("123", default="en").language == "en"


@pytest.mark.parametrize(("text", "expected"), [("我的訂單還沒到", True), ("我的订单还没到", False), ("hello", False)])
def test_traditional_writing_is_recognised(text: str, expected: bool) -> None:
    assert detect(text).is_traditional is expected


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("我的订单还没到", "zh-Hans"),
        ("我的訂單還沒到", "zh-Hant"),
        ("where is my order", "en"),
        ("我的 order 还没到，can you check", "mixed"),
        ("please send it to 人民广场 store before Friday", "mixed"),
        ("iPhone坏了", "zh-Hans"),
        ("帮我查一下 SO-20391 iPhone case", "zh-Hans"),
        ("冀F7K26N", "zh-Hans"),
        ("my 冰箱 stopped working and nobody ever called me back about it", "en"),
        ("ok", ""),
        ("13812345678", ""),
        ("👍", ""),
        ("مرحبا كيف حالك", ""),
    ],
)
def test_each_message_says_how_it_is_written(text: str, written: str) -> None:
    assert detect(text).written == written


@settings(deadline=None)
@given(st.text())
def test_any_text_has_a_language(text: str) -> None:
    assert detect(text).language in ("zh", "en")
