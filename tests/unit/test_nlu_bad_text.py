"""Whatever arrives as text is read without an exception, at offsets of the text itself, in time that fits its size."""

from __future__ import annotations

import importlib
import itertools
import re
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from types import FrameType
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.types import Understanding
from nlu.compound import clauses_of, may_be_compound, split_clauses
from nlu.entities import MAX_CHARS, find_entities
from nlu.language import detect, fold
from nlu.lexicon import Lexicon, build_lexicon
from nlu.training_data import Lookup, RegexPattern, TrainingData

SUNDAY = datetime(2026, 11, 22, 12, tzinfo=ZoneInfo("Asia/Shanghai"))
LEXICON = build_lexicon(
    TrainingData(
        (),
        {"电饭锅": "rice cooker"},
        (Lookup("product", ("kettle", "rice cooker", "电饭煲")), Lookup("store", ("Riverside", "人民广场店"))),
        (RegexPattern("sku", r"[A-Z]{2}\d{2}"),),
    )
)
# Pieces of every recogniser, and what breaks readers: invisible, right to left, control characters, surrogates, digits
# of other scripts, characters that change their length when folded.
PIECES = st.sampled_from(
    [
        "昨天", "下午三点", "上周五", "3pm", "last Friday", "at ", "half past ", "one thousand two hundred ",
        "yuan", "一千二百三十", "元", "五角", "¥", "$", "12.5", "k", "1,299.00", "万", "百分之", "箱", "kg",
        "个半小时前", "in ", "13812345678", "+1 650 253 0000", "4111 1111 1111 1111", "11010519491231002X",
        "冀F", "7K26N", "SO-2391", "C-1024-7", "a@b.co", "AB12", "ketle", "电饭堡", "kettle", "到", "的", " ",
        "\u200b", "\u202e", "\x00", "\t", "\n", "\ud800", "٣", "३", "²", "½", "㎏", "ﬁ", "İ", "ß", "👨‍👩‍👧",
        "🇨🇳", "مرحبا", "שלום", "Ａ", "１２", "：", "-", "/", ".", ":", "2", "0",
    ]
)  # fmt: skip
TEXTS = st.lists(PIECES | st.text(max_size=3), max_size=14).map("".join)
# Each is repeated up to the length a message may have.
BLOWING_UP = [
    "1", "1 ", "1-", "1,", "1.", "+1", "1:", "1/", "0", "12:", "1,234", "12 34 ", "4111 ", "a@", "a.", "@",
    "aaaa", "- ", "一", "十", "千万", "一百", "零", "点", "半", "三点", "块", "三块五", "周", "前", "年",
    "one ", "one hundred and ", "a ", "at ", "at 3 ", "half past ", "in ", "in a ", "three ", "昨天的",
    "昨天 ", "yesterday ", "下午的", "$", "¥1", "%", "冀F", "plate ", "kettl", "ketle ", "rice ", "电饭",
    "电饭堡", "C-", "SO-", "\u200b", "\u202e", "\x00", "👍", "，", "，另外", ", and ", "。", ": ", "?",
    "the day ", "next ", "c 1024 ", "ab12 ", " ", "昨天三点 ", "3pm Friday ", "三点到",
]  # fmt: skip


def entities_are_sound(text: str, lexicon: Lexicon = LEXICON) -> None:
    language = detect(text).language
    entities = find_entities(text, lexicon, now=SUNDAY, language=language)
    for entity in entities:
        assert 0 <= entity.start < entity.end <= len(text)
        assert text[entity.start : entity.end] == entity.text
        assert entity.value
    for one, other in itertools.pairwise(entities):
        assert one.end <= other.start or (one.start, one.end) == (other.start, other.end)


@settings(deadline=None)
@given(TEXTS)
def test_entities_of_any_text_stand_where_they_say_and_swallow_nothing(text: str) -> None:
    entities_are_sound(text)


@pytest.mark.parametrize("piece", BLOWING_UP)
def test_a_message_of_twenty_thousand_characters_is_read_like_any_other(piece: str) -> None:
    text = piece * (20_000 // len(piece))
    entities_are_sound(text)
    assert detect(text).language in ("zh", "en")
    assert len(fold(text)) == len(text)
    assert clauses_of(text) == []


@settings(deadline=None)
@given(TEXTS)
def test_clauses_of_any_text_are_its_own_words_in_order(text: str) -> None:
    at = 0
    for clause in split_clauses(text):
        found = text.find(clause, at)
        assert found >= 0
        at = found + len(clause)
    if may_be_compound(text):
        assert all(clause for clause, _ in clauses_of(text))


@settings(deadline=None, max_examples=15)
@given(TEXTS, TEXTS)
def test_what_stands_behind_a_long_message_changes_nothing_before_it(text: str, more: str) -> None:
    filler = "。" * MAX_CHARS
    first = find_entities(text + filler, LEXICON, now=SUNDAY, language="zh")
    assert find_entities(text + filler + more, LEXICON, now=SUNDAY, language="zh") == first


# --- time in line with the length -----------------------------------------------------------------------------------


def steps(text: str) -> int:
    """Calls of functions, ours and the interpreter's, that reading the text takes."""
    count = 0

    def counted(_frame: FrameType, _event: str, _argument: Any) -> None:
        nonlocal count
        count += 1

    before = sys.getprofile()
    sys.setprofile(counted)
    try:
        find_entities(text, LEXICON, now=SUNDAY, language="zh")
        split_clauses(text[:600])
        detect(text)
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("piece", BLOWING_UP)
def test_twice_the_text_takes_at_most_twice_the_steps(piece: str) -> None:
    shorter, longer = (piece * (length // len(piece)) for length in (1000, 2000))
    steps(longer)  # what is loaded and remembered at first use is not counted
    assert steps(longer) <= 2.2 * steps(shorter) + 50


MODULES = (
    "amounts",
    "compound",
    "embedded.dates",
    "entities",
    "identifiers",
    "language",
    "quantities",
    "times",
    "typos",
)


def patterns() -> Iterator[tuple[str, re.Pattern[str]]]:
    for name in MODULES:
        module = importlib.import_module(f"nlu.{name}")
        for attribute, value in vars(module).items():
            if isinstance(value, re.Pattern):
                yield f"{name}.{attribute}", value


def test_no_pattern_repeats_without_bound_what_itself_has_no_bound() -> None:
    """Such a pattern takes time that grows with a power of the length, or doubles with each character."""
    found = dict(patterns())
    assert len(found) >= 30
    assert [name for name, pattern in found.items() if has_nested_repeats(pattern.pattern)] == []
    assert has_nested_repeats(r"(?:a+b?)+")
    assert not has_nested_repeats(r"(?:a+b?){1,4}")


def has_nested_repeats(pattern: str) -> bool:
    parser = cast(Any, importlib.import_module("re._parser"))
    return _nested(parser.parse(pattern, re.IGNORECASE), is_inside=False)


def _nested(tree: Any, *, is_inside: bool) -> bool:
    for operation, argument in tree:
        name = str(operation)
        if name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            is_endless = argument[1] == cast(Any, importlib.import_module("re._constants")).MAXREPEAT
            if (is_endless and is_inside) or _nested(argument[2], is_inside=is_inside or is_endless):
                return True
        elif any(_nested(part, is_inside=is_inside) for part in _parts(argument)):
            return True
    return False


def _parts(argument: Any) -> Sequence[Any]:
    """The patterns inside an operation's argument, however deep they stand in it."""
    if hasattr(argument, "data"):
        return [argument]
    if isinstance(argument, tuple | list):
        return [part for each in argument for part in _parts(each)]
    return []


def test_an_empty_text_holds_nothing() -> None:
    assert find_entities("", LEXICON, now=SUNDAY, language="zh") == ()
    assert Understanding("", "zh", False, (), (), "none").intent.name == ""
