"""Messages with several requests in them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.types import ScoredIntent, Understanding
from nlu.compound import CompoundEngine, may_be_compound, split_clauses

NOW = datetime(2026, 11, 22, tzinfo=UTC)


class KeywordEngine:
    """Understands by keyword, so that a test says what each clause means."""

    name = "keywords"
    _KNOWN: tuple[tuple[tuple[str, ...], str], ...] = (
        (("complain", "投诉"), "complaint"),
        (("arrived", "没到", "where is"), "order_status"),
        (("hello", "你好"), "greet"),
        (("refund", "退款"), "refund_status"),
    )

    async def parse(self, text: str, *, now: datetime, timezone: str) -> Understanding:
        name = next((intent for keys, intent in self._KNOWN if any(key in text for key in keys)), "inform")
        return Understanding(text, "zh", True, (ScoredIntent(name, 0.9),), (), "embedded")

    async def is_ready(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("order 2391 hasn't arrived and I want to complain", ("order 2391 hasn't arrived", "I want to complain")),
        ("我的订单还没到，另外我要投诉", ("我的订单还没到", "我要投诉")),
        ("Where is it? Also, my refund is late.", ("Where is it", "my refund is late")),
        ("¥1,299.50 for a pan", ("¥1,299.50 for a pan",)),
        ("bread and butter", ("bread and butter",)),
        ("SO-20391", ("SO-20391",)),
        ("我要退货和开发票", ("我要退货", "开发票")),
        ("订单到哪了 发票怎么开", ("订单到哪了", "发票怎么开")),
        ("cancel it & call me back", ("cancel it", "call me back")),
        ("I want to return it and get an invoice", ("I want to return it", "get an invoice")),
        ("version 3.1.2 of www.a.com", ("version 3.1.2 of www.a.com",)),
        ("", ("",)),
    ],
)
def test_clauses(text: str, clauses: tuple[str, ...]) -> None:
    assert split_clauses(text) == clauses


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("order 2391 hasn't arrived and I want to complain", ["order_status", "complaint"]),
        ("我的订单还没到，另外我要投诉", ["order_status", "complaint"]),
        ("你好，我的订单还没到", []),
        ("I want to complain, and I will complain again", []),
        ("my order has not arrived", []),
        ("where is my order, my number is 2391", []),
    ],
)
async def test_parts_are_different_requests_only(text: str, parts: list[str]) -> None:
    whole = await CompoundEngine(KeywordEngine()).parse(text, now=NOW, timezone="UTC")
    assert [part.intent.name for part in whole.parts] == parts


async def test_politeness_before_one_request_does_not_hide_it() -> None:
    whole = await CompoundEngine(GreetsFirst()).parse("你好，我要投诉你们", now=NOW, timezone="UTC")
    assert (whole.intent.name, whole.parts) == ("complaint", ())


class GreetsFirst(KeywordEngine):
    """Takes any message with a greeting in it for a greeting."""

    _KNOWN = ((("你好",), "greet"), *KeywordEngine._KNOWN)


def test_ordinary_messages_are_not_even_split() -> None:
    for text in ("where is my order", "我的订单到哪了", "13812345678", "好的"):
        assert not may_be_compound(text)


@settings(deadline=None)
@given(st.text(max_size=300))
def test_clauses_invent_nothing(text: str) -> None:
    for clause in split_clauses(text):
        assert clause in text


class BlurredEngine(KeywordEngine):
    """Sure of a clause, unsure of the whole story."""

    async def parse(self, text: str, *, now: datetime, timezone: str) -> Understanding:
        if "," in text:
            ranking = (ScoredIntent("return_request", 0.35), ScoredIntent("complaint", 0.3))
            return Understanding(text, "en", True, ranking, (), "embedded")
        return await super().parse(text, now=now, timezone=timezone)


async def test_a_story_around_one_clear_request_does_not_blur_it() -> None:
    engine = CompoundEngine(BlurredEngine())
    understood = await engine.parse("I want to complain, the kettle leaks", now=NOW, timezone="UTC")
    assert understood.intent == ScoredIntent("complaint", 0.9)
    assert understood.parts == ()


class MeasuredEngine:
    """Clauses with the intents and scores a real model gave them."""

    name = "measured"

    def __init__(self) -> None:
        self._scores = {
            "我要投诉": ("complaint", 0.99),
            "I want to complain": ("complaint", 0.92),
            "快递没到": ("order_status", 0.93),
            "my order never arrived": ("order_status", 0.99),
            "我要退货": ("return_request", 1.0),
            "包邮门槛是多少": ("delivery_options", 0.49),
            "包邮的门槛": ("delivery_options", 0.49),
            "多少": ("price_question", 0.2),
        }

    async def parse(self, text: str, *, now: datetime, timezone: str) -> Understanding:
        name, score = self._scores.get(text, ("inform", 0.7))
        return Understanding(text, "zh", True, (ScoredIntent(name, score),), (), "embedded")

    async def is_ready(self) -> bool:
        return True


@pytest.mark.parametrize(
    "text",
    [
        "我要投诉：快递没到，订单 SO-20391",
        "我要投诉:快递没到",
        "I want to complain: my order never arrived, order SO-20391",
    ],
)
async def test_what_follows_a_colon_is_told_about_the_request_before_it(text: str) -> None:
    whole = await CompoundEngine(MeasuredEngine()).parse(text, now=NOW, timezone="UTC")
    assert (whole.intent.name, whole.parts) == ("complaint", ())


@pytest.mark.parametrize("text", ["订单号：SO-20391", "order number: 20391", "see you at 10:30", "http://a.com/b"])
def test_a_colon_before_a_value_or_inside_one_separates_nothing(text: str) -> None:
    assert split_clauses(text) == (text,)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("我要退货，另外包邮门槛是多少", ["return_request", "delivery_options"]),
        ("我要退货，另外包邮的门槛", []),
        ("我要退货，包邮门槛是多少", []),
        ("我要退货，另外多少", []),
        ("我要投诉：快递没到，另外包邮门槛是多少", ["complaint", "delivery_options"]),
    ],
)
async def test_an_announced_question_is_a_request_even_when_only_moderately_sure(text: str, parts: list[str]) -> None:
    whole = await CompoundEngine(MeasuredEngine()).parse(text, now=NOW, timezone="UTC")
    assert [part.intent.name for part in whole.parts] == parts


class HalfSureEngine(KeywordEngine):
    """Believes a part of a message less than a whole one."""

    async def parse(self, text: str, *, now: datetime, timezone: str) -> Understanding:
        whole = await super().parse(text, now=now, timezone=timezone)
        return whole if len(text) > 8 else replace(whole, intents=(ScoredIntent(whole.intent.name, 0.8),))


@pytest.mark.parametrize(
    ("engine", "parts"), [(KeywordEngine(), ["refund_status", "complaint"]), (HalfSureEngine(), [])]
)
async def test_requests_joined_like_words_are_two_only_where_both_are_very_sure(
    engine: KeywordEngine, parts: list[str]
) -> None:
    answer = await CompoundEngine(engine).parse("我要问退款和投诉你们", now=NOW, timezone="UTC")
    assert [part.intent.name for part in answer.parts] == parts


class NameEngine(KeywordEngine):
    """Takes an answer for what it is, and a name alone for a complaint without believing it much."""

    async def parse(self, text: str, *, now: datetime, timezone: str) -> Understanding:
        whole = await super().parse(text, now=now, timezone=timezone)
        return replace(whole, intents=(ScoredIntent("complaint", 0.53),)) if text == "I am Ann Lee" else whole


async def test_a_clause_that_is_hardly_believed_does_not_make_a_request_of_an_answer() -> None:
    answer = await CompoundEngine(NameEngine()).parse("my number is 13812345678, I am Ann Lee", now=NOW, timezone="UTC")
    assert (answer.intent.name, answer.parts) == ("inform", ())
