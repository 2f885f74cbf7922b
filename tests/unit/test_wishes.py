"""The page where customers say how they want to be written to, and the question that makes a consent count."""

from __future__ import annotations

from typing import Any

import pytest

from bot.actions.wishes import ASKED_TO_CONFIRM, WISHES
from bot.errors import AssistantInvalid
from bot.service.broadcasts import BroadcastRules
from bot.service.policy import read_policy
from bot.service_types import AnswerConsent, EndConsents, WishContact
from bot.values import asked_for
from tests.builders import Chat
from tests.serving_shop import serving

POLICY: dict[str, Any] = {
    "broadcasts": {
        "purposes": {"club": {"title": {"zh": "车友会消息", "en": "news of the club"}, "double_opt_in": True}},
        "topics": {"tyres": {"zh": "轮胎", "en": "tyres"}, "events": {"zh": "活动", "en": "events"}},
        "cap": {"messages": 1, "days": 30},
        "quiet": ["22:00", "08:00"],
    }
}


def talking(stored: WishContact | None = None, asked: tuple[str, ...] = (), **more: Any) -> Chat:
    assistant = serving("contact_wishes", "consent_confirm", policy=POLICY)
    more = {"language": "en", **more}
    return Chat(assistant=assistant, elsewhere={WISHES: stored or WishContact(), ASKED_TO_CONFIRM: asked}, **more)


def test_the_word_opens_the_page_and_shows_how_things_stand() -> None:
    chat = talking(WishContact(("tyres",), 1, ("20:00", "10:00")))
    chat.hear("Message settings")
    said = chat.said
    assert "At most one a week" in said
    assert "20:00–10:00" in said
    assert "tyres" in said
    chat = talking(language="zh")
    chat.hear("消息设置")
    assert "22:00–08:00" in chat.said


@pytest.mark.parametrize(
    "words",
    [
        "How do I change my message settings?",
        "I'd like to see my message settings please",
        "我想修改一下消息设置",
        "怎么打开免打扰设置",
        "消息设置在哪",
    ],
)
def test_a_request_for_the_page_opens_it(words: str) -> None:
    assert asked_for(words) == "wishes"


@pytest.mark.parametrize(
    "words", ["message", "my order settings", "消息没收到", "I did not get your message settings mail"]
)
def test_what_is_about_something_else_does_not(words: str) -> None:
    assert asked_for(words) == ""


@pytest.mark.parametrize(
    ("steps", "wished"),
    [
        (("How often", "At most one a week"), WishContact((), 1)),
        (("How often", "At most two a week"), WishContact((), 2)),
        (("Quiet hours", "22:30 to 9:05"), WishContact((), None, ("22:30", "09:05"))),
        (("Quiet hours", "Evenings, early hours (20–10)"), WishContact((), None, ("20:00", "10:00"))),
        (("Topics", "Leave out: tyres"), WishContact(("tyres",))),
    ],
)
def test_what_is_chosen_counts_at_once_and_is_shown(steps: tuple[str, ...], wished: WishContact) -> None:
    chat = talking()
    chat.hear("message settings")
    for words in steps:
        chat.hear(words)
    effect = chat.effect(WishContact)
    assert (effect.topics_off, effect.per_week, effect.quiet) == (wished.topics_off, wished.per_week, wished.quiet)
    assert "noted" in chat.said
    assert "What would you like to change?" in chat.said


def test_several_changes_add_up_and_a_topic_comes_back() -> None:
    chat = talking(WishContact(("tyres",)))
    for words in ("message settings", "Topics", "Leave out: events", "Topics", "Write again about: tyres"):
        chat.hear(words)
    wished = [effect for effect in chat.effects if isinstance(effect, WishContact)]
    assert [effect.topics_off for effect in wished] == [("tyres", "events"), ("events",)]
    chat.hear("How often")
    chat.hear("Back")
    chat.hear("That is all")
    assert "message settings" in chat.said


def test_hours_that_are_none_and_words_nobody_understands_are_asked_again() -> None:
    chat = talking()
    for words in ("message settings", "Quiet hours", "25:00-09:00"):
        chat.hear(words)
    assert "did not understand" in chat.said
    assert not [effect for effect in chat.effects if isinstance(effect, WishContact)]


def test_everything_stops_from_the_page_too() -> None:
    chat = talking()
    chat.hear("message settings")
    chat.hear("Stop all of it")
    assert chat.effect(EndConsents).source == "chat:contact_wishes"


@pytest.mark.parametrize(("answer", "granted"), [("yes", True), ("No thanks", False)])
def test_what_was_signed_up_for_elsewhere_is_asked_and_answered(answer: str, granted: bool) -> None:
    chat = talking(asked=("club",))
    chat.take_choice("flow:consent_confirm")
    chat.hear(answer)
    assert chat.effect(AnswerConsent).granted is granted


def test_the_rules_of_broadcasts_are_read_and_mistakes_named() -> None:
    rules = read_policy(POLICY).broadcasts
    assert (rules.cap, rules.quiet, rules.purpose("club").needs_confirming) == ((1, 30), ("22:00", "08:00"), True)
    assert read_policy({}).broadcasts == BroadcastRules()
    assert read_policy({"broadcasts": {"cap": None}}).broadcasts.cap is None
    for wrong in (
        {"cap": {"messages": 0, "days": 7}},
        {"quiet": ["25:00", "09:00"]},
        {"quiet": "21:00"},
        {"purposes": {"No Name": {}}},
        {"purposes": {"club": {"double_opt_in": "yes"}}},
        {"approval_from": True},
        {"caps": 1},
    ):
        with pytest.raises(AssistantInvalid):
            read_policy({"broadcasts": wrong})
