"""Anger and haste as one score, for how severe a complaint is and who is first in the queue; swearing alone is none."""

from __future__ import annotations

import pytest

from bot.actions.complaint_reading import severity
from bot.service.anger import Anger
from bot.service.handoff import HandoffMatter, HandoffRules
from bot.service.mood import HIGH, RAISED, is_only_swearing, read_mood
from bot.stems import stems
from bot.types import OpenCase, RequestHandoff
from tests.builders import Chat


@pytest.mark.parametrize(
    ("words", "anger", "haste"),
    [
        ("where is my order", 0, 0),
        ("态度太差了", 0.5, 0),
        ("太差了，简直是骗子", 0.75, 0),
        ("please send it asap", 0, 0.5),
        ("紧急，马上处理", 0, 0.75),
        ("this is unacceptable, answer right now", 0.5, 0.5),
        ("妈的，我的订单呢", 0.5, 0),
        ("no rush, whenever you can", 0, 0),
        ("不着急", 0, 0),
        ("where is the emergency exit", 0, 0),
        ("", 0, 0),
    ],
)
def test_signs_of_anger_and_haste_are_counted(words: str, anger: float, haste: float) -> None:
    mood = read_mood(words)
    assert (mood.anger, mood.haste) == (anger, haste)
    assert max(anger, haste) <= mood.score <= 1


def test_the_business_says_what_sounds_angry() -> None:
    own = Anger(words=stems("无法接受", "flabbergasted"))
    assert read_mood("我无法接受", own).anger == RAISED
    assert severity("I am flabbergasted", anger=own) == 2
    assert severity("I am flabbergasted") == 1


@pytest.mark.parametrize(
    ("words", "level"),
    [
        ("the lid is scratched", 1),
        ("the lid is scratched, I need a new one asap", 2),
        ("什么态度，推来推去", 2),
        ("气死我了，骗子，太过分", 2),
        ("气死我了，骗子，太过分，马上给我处理", 3),
        ("太过分了，第三次了", 3),
        ("fuck", 1),
    ],
)
def test_the_same_score_decides_how_severe_a_complaint_is(words: str, level: int) -> None:
    assert severity(words) == level


def test_the_score_decides_who_is_first_in_the_queue_among_those_with_the_same_reason() -> None:
    rules = HandoffRules()
    calm = rules.priority(HandoffMatter("customer_asked"))
    cross = rules.priority(HandoffMatter("customer_asked", mood=RAISED))
    furious = rules.priority(HandoffMatter("customer_asked", mood=HIGH))
    assert calm < cross < furious
    assert rules.priority(HandoffMatter("anger", mood=HIGH)) == rules.priority(HandoffMatter("anger"))


@pytest.mark.parametrize(
    "words", ["fuck", "Shit!", "what the hell", "妈的", "操", "垃圾", "垃圾！！！", "damn it", "你妈的", "滚", "wtf???"]
)
def test_a_swear_word_alone_is_only_that(words: str) -> None:
    assert is_only_swearing(words)


@pytest.mark.parametrize(
    "words",
    [
        "垃圾桶",
        "操作说明",
        "草莓",
        "滚筒洗衣机",
        "shit quality",
        "妈的，我的订单呢",
        "hello",
        "",
        "👍",
        "garbage bin",
        "13",
    ],
)
def test_words_with_something_to_say_are_more_than_swearing(words: str) -> None:
    assert not is_only_swearing(words)


@pytest.mark.parametrize("words", ["垃圾", "fuck"])
def test_a_swear_word_alone_opens_no_complaint_whatever_the_engine_makes_of_it(words: str) -> None:
    chat = Chat()
    chat.hear(words, "complaint", 0.96)
    assert not [effect for effect in chat.effects if isinstance(effect, OpenCase)]
    assert "complaint" not in [frame["flow"] for frame in chat.state.get("stack", ())]
    assert not [effect for effect in chat.effects if isinstance(effect, RequestHandoff) and effect.topic]


def test_an_angry_customer_who_asks_for_a_person_goes_before_a_calm_one() -> None:
    points = []
    for words in ("please let me talk to a person", "let me talk to a person right now"):
        chat = Chat(language="en")
        chat.hear(words, "human_handoff")
        asked = chat.effect(RequestHandoff)
        assert isinstance(asked, RequestHandoff)
        points.append(asked.priority)
    assert points[0] < points[1]
