"""Talking about a broadcast the customer had."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bot.dialogue import decide
from bot.types import BroadcastSent, Language, Need
from tests.builders import NOON, Chat, a_turn, shop

ABOUT = Need("broadcast", str(a_turn("").conversation.id))
SENT = BroadcastSent(
    "Winter check",
    "The winter check is half price until Sunday.",
    NOON - timedelta(days=1),
    coupon="W-77",
    terms={"en": "It is good for one check.", "zh": "可用于一次检查。"},
    valid_until=NOON + timedelta(days=3),
)


def asked(words: str, sent: BroadcastSent | None, language: Language = "en", intent: str = "") -> Chat:
    """The chat after these words came."""
    chat = Chat(language=language, elsewhere={ABOUT: sent})
    chat.hear(words, intent, 0.95 if intent else 0.0)
    return chat


@pytest.mark.parametrize(
    ("words", "language", "terms"),
    [
        ("what was my coupon code again?", "en", "It is good for one check."),
        ("我的券码是多少", "zh", "可用于一次检查。"),
    ],
)
def test_whoever_asks_for_their_code_is_told_it(words: str, language: Language, terms: str) -> None:
    chat = asked(words, SENT, language)
    assert chat.templates == ["utter_broadcast_code_until"]
    assert all(part in chat.said for part in ("W-77", "Winter check", terms))


@pytest.mark.parametrize(
    ("changes", "template"),
    [
        ({"valid_until": None}, "utter_broadcast_code"),
        ({"valid_until": NOON}, "utter_broadcast_code_over"),
        ({"is_used": True}, "utter_broadcast_code_used"),
        ({"coupon": ""}, "utter_broadcast_said"),
    ],
)
def test_a_code_is_spoken_of_as_it_stands(changes: dict[str, Any], template: str) -> None:
    assert asked("does my voucher still work", replace(SENT, **changes)).templates == [template]


def test_whoever_asks_about_the_message_is_reminded_of_it() -> None:
    chat = asked("what about that offer you sent", SENT)
    assert chat.templates == ["utter_broadcast_said"]
    assert SENT.text in chat.said


def test_without_a_broadcast_the_words_go_their_usual_way() -> None:
    assert asked("any offers today?", None).templates == asked("any pears today?", None).templates


def test_other_words_do_not_make_us_look() -> None:
    words = "where is the nearest shop"
    assert all(need.kind != "broadcast" for need in decide(a_turn(words), shop()).needs)


def test_what_starts_a_flow_goes_its_own_way() -> None:
    words = "I want to complain about the offer"
    assert asked(words, SENT, intent="complaint").templates == ["utter_ask_what_happened"]
