"""Values found in the words: the table of what customers write is the specification."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.types import Language
from nlu.embedded.dates import resolve_date
from nlu.entities import find_entities
from nlu.language import fold
from nlu.lexicon import Lexicon, build_lexicon
from nlu.numerals import zh_number
from nlu.training_data import AnnotatedEntity, Example, Lookup, RegexPattern, TrainingData

SUNDAY = datetime(2026, 11, 22, 12, tzinfo=ZoneInfo("Asia/Shanghai"))
EMPTY = Lexicon()


def found(text: str, lexicon: Lexicon = EMPTY, language: Language = "zh") -> list[tuple[str, str]]:
    return [(e.name, e.value) for e in find_entities(text, lexicon, now=SUNDAY, language=language)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("order 2391 has not arrived", [("order_number", "2391")]),
        ("SO-20391到哪了", [("order_number", "SO-20391")]),
        ("so20391", [("order_number", "SO-20391")]),
        ("我的订单10482还没到", [("order_number", "10482")]),
        ("订单号：２３９１", [("order_number", "2391")]),
        ("12345678", [("order_number", "12345678")]),
        ("123", []),
        ("123456789", []),
        ("2026年的订单", []),
        ("what about C-1024-7", [("case_number", "C-1024-7")]),
        ("c-1024 呢", [("case_number", "C-1024")]),
        ("Ｃ－１０２４－７", [("case_number", "C-1024-7")]),
        ("投诉单C-1024-7怎么样了", [("case_number", "C-1024-7")]),
        ("it's 13812345678", [("phone", "+8613812345678")]),
        ("电话138 1234 5678", [("phone", "+8613812345678")]),
        ("+86 138-1234-5678", [("phone", "+8613812345678")]),
        ("+44 20 7946 0958", [("phone", "+442079460958")]),
        ("call (650) 253-0000", [("phone", "+16502530000")]),
        ("010-62345678", [("phone", "+861062345678")]),
        ("mail me at Ann.Lee@example.com", [("email", "ann.lee@example.com")]),
        ("12345678@qq.com", [("email", "12345678@qq.com")]),
    ],
)
def test_numbers_and_addresses(text: str, expected: list[tuple[str, str]]) -> None:
    assert found(text) == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("128元", "128.00 CNY"),
        ("¥99", "99.00 CNY"),
        ("￥99.5", "99.50 CNY"),
        ("39 yuan", "39.00 CNY"),
        ("1,299.00 CNY", "1299.00 CNY"),
        ("三百块", "300.00 CNY"),
        ("两百五十元", "250.00 CNY"),
        ("一千二百元", "1200.00 CNY"),
        ("1.2万元", "12000.00 CNY"),
        ("三块五", "3.50 CNY"),
        ("9块9", "9.90 CNY"),
        ("一块钱", "1.00 CNY"),
        ("$20", "20.00 USD"),
        ("20 dollars", "20.00 USD"),
        ("50 rmb", "50.00 CNY"),
        ("2000元", "2000.00 CNY"),
    ],
)
def test_amounts(text: str, value: str) -> None:
    assert found(text) == [("amount", value)]


@pytest.mark.parametrize("text", ["我们一块去", "元旦放假吗", "no money mentioned", "第三块区域件"])
def test_words_that_only_look_like_money_are_left_alone(text: str) -> None:
    assert not [name for name, _ in found(text) if name == "amount"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("昨天", "2026-11-21"),
        ("前天下单的", "2026-11-20"),
        ("大前天", "2026-11-19"),
        ("明天给我打电话", "2026-11-23"),
        ("三天前", "2026-11-19"),
        ("10天前买的", "2026-11-12"),
        ("两周前", "2026-11-08"),
        ("半个月前", "2026-11-07"),
        ("一个月前", "2026-10-22"),
        ("上周五", "2026-11-13"),
        ("这周一", "2026-11-16"),
        ("下周三", "2026-11-25"),
        ("星期五", "2026-11-20"),
        ("11月3日", "2026-11-03"),
        ("11月3号", "2026-11-03"),
        ("1月5日", "2027-01-05"),
        ("2025年12月1日", "2025-12-01"),
        ("十一月三号", "2026-11-03"),
        ("3号下的单", "2026-12-03"),
        ("2026-11-03", "2026-11-03"),
        ("2026/11/3", "2026-11-03"),
        ("yesterday", "2026-11-21"),
        ("the day before yesterday", "2026-11-20"),
        ("last Friday", "2026-11-20"),
        ("since Monday", "2026-11-16"),
        ("next Tuesday", "2026-11-24"),
        ("3 days ago", "2026-11-19"),
        ("a week ago", "2026-11-15"),
        ("two months ago", "2026-09-22"),
        ("November 3rd", "2026-11-03"),
        ("Nov 3, 2025", "2025-11-03"),
        ("3 November", "2026-11-03"),
        ("in 3 days", "2026-11-25"),
    ],
)
def test_dates_count_from_the_customers_day(text: str, expected: str) -> None:
    language: Language = "en" if text.isascii() else "zh"
    resolved = resolve_date(text, SUNDAY, language)
    assert resolved is not None
    assert resolved.isoformat() == expected


@pytest.mark.parametrize("text", ["2月30日", "the sun may shine", "I sat down", "24/7", "3号楼", "hello", "2026-13-40"])
def test_text_without_a_possible_date_has_none(text: str) -> None:
    assert resolve_date(text, SUNDAY, "en") is None


def test_zone_decides_the_day() -> None:
    late = datetime(2026, 11, 22, 20, tzinfo=UTC)
    assert str(resolve_date("昨天", late, "zh")) == "2026-11-21"
    assert str(resolve_date("昨天", late.astimezone(ZoneInfo("Asia/Shanghai")), "zh")) == "2026-11-22"


@pytest.mark.parametrize(
    ("written", "value"),
    [("三百", 300), ("两千零五", 2005), ("一万二", 12000), ("三百五", 350), ("十二", 12), ("猫", None)],
)
def test_chinese_numerals(written: str, value: int | None) -> None:
    assert zh_number(written) == value


def a_lexicon() -> Lexicon:
    return build_lexicon(
        TrainingData(
            examples=(
                Example(
                    "where is my rice cooker", "order_status", (AnnotatedEntity("product", "rice cooker", 12, 23),)
                ),
                Example("order 2391", "inform", (AnnotatedEntity("order_number", "2391", 6, 10),)),
            ),
            synonyms={"电饭锅": "rice cooker", "电饭煲": "rice cooker"},
            lookups=(Lookup("product", ("kettle", "电水壶", "水壶", "pan")), Lookup("store", ("Riverside",))),
            regexes=(RegexPattern("order_number", r"\d{4,8}"), RegexPattern("sku", r"[A-Z]{2}\d{2}")),
        )
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("my kettle broke", [("product", "kettle")]),
        ("my Kettles broke", [("product", "kettle")]),
        ("company", []),
        ("电水壶坏了", [("product", "电水壶")]),
        ("電水壺壞了", [("product", "电水壶")]),
        ("我的电饭锅不工作", [("product", "rice cooker")]),
        ("at riverside", [("store", "Riverside")]),
        ("phone 13812345678", [("phone", "+8613812345678")]),
        ("my case C-1024-7", [("case_number", "C-1024-7")]),
        ("article AB12 please", [("sku", "AB12")]),
    ],
)
def test_phrases_patterns_and_synonyms_of_the_assistant(text: str, expected: list[tuple[str, str]]) -> None:
    assert found(text, a_lexicon()) == expected


def test_lexicon_survives_storing() -> None:
    lexicon = a_lexicon()
    again = Lexicon.from_json(lexicon.to_json())
    assert (
        found("電水壺 and AB12", again) == found("電水壺 and AB12", lexicon) == [("product", "电水壶"), ("sku", "AB12")]
    )


_PIECES = st.sampled_from(
    [
        "2391",
        " ",
        "13812345678",
        "¥",
        "元",
        "C-1024-7",
        "上周五",
        "kettle",
        "\u200b",
        "电水壶",
        "-",
        ".",
        "a@b.co",
        "Ａ",
        "块",
        "5",
    ]
)


@settings(deadline=None)
@given(st.lists(_PIECES | st.text(max_size=4), max_size=12).map("".join))
def test_entities_stand_where_they_say_and_never_overlap(text: str) -> None:
    entities = find_entities(text, a_lexicon(), now=SUNDAY, language="zh")
    for entity in entities:
        assert text[entity.start : entity.end] == entity.text
        assert entity.text
    for first, second in itertools.pairwise(entities):
        assert first.end <= second.start


@settings(deadline=None)
@given(st.text())
def test_folding_keeps_every_position(text: str) -> None:
    assert len(fold(text)) == len(text)


def test_a_phrase_at_the_end_of_a_text_ends_with_it() -> None:
    lexicon = build_lexicon(
        TrainingData((), lookups=(Lookup("product", ("rice cooker", "rice cooker with a glass lid")),))
    )
    text = "a timer for my rice cooker"
    assert [(e.start, e.end) for e in find_entities(text, lexicon, now=SUNDAY, language="en")] == [(15, len(text))]
    assert found("RICE COOKERS", lexicon, "en") == [("product", "rice cooker")]
    assert found("price cooker", lexicon, "en") == []
