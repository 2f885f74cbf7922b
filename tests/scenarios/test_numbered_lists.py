"""On a channel without buttons the customer reads a numbered list and types from it."""

from __future__ import annotations

import pytest

from bot.actions.wishes import ASKED_TO_CONFIRM, WISHES
from bot.rendering import render
from bot.service_types import WishContact
from bot.types import Capabilities, Language
from channels.encoding import encode_reply
from tests.builders import Chat, an_order
from tests.serving_shop import serving

BARE = Capabilities("sms", 500, "codepoint", 0, False, False, False, False)


def read(chat: Chat) -> str:
    """What a channel without buttons shows of the bot's last replies."""
    rendered = [render(reply, chat.language, "sms", chat.assistant) for reply in chat.last.replies]
    parts = [part for reply in rendered for part in encode_reply(reply, BARE)]
    assert all(not part.buttons for part in parts)
    return "\n".join(part.text for part in parts)


@pytest.mark.parametrize(
    ("language", "asked", "typed", "answer"),
    [
        ("zh", "我的快递呢", "第二个", "正在备货"),
        ("zh", "我的快递呢", "２", "正在备货"),
        ("zh", "我的快递呢", "选2", "正在备货"),
        ("en", "where is my parcel", "the second one", "being prepared"),
        ("en", "where is my parcel", "2.", "being prepared"),
    ],
)
def test_the_second_order_of_the_list_is_told_about(language: Language, asked: str, typed: str, answer: str) -> None:
    chat = Chat(orders=[an_order("2391"), an_order("10482", "processing", items="台灯")], language=language)

    chat.hear(asked, "order_status")
    shown = read(chat)
    said = chat.hear(typed)

    (line,) = [line for line in shown.splitlines() if line.startswith("2. ")]
    assert "10482" in line
    assert answer in said


def test_an_order_number_typed_instead_is_one() -> None:
    chat = Chat(orders=[an_order("2391"), an_order("10482", "processing")])

    chat.hear("我的快递呢", "order_status")

    assert "2391" in chat.hear("2391", "inform", entities={"order_number": "2391"})


def test_a_number_means_nothing_once_something_else_was_said() -> None:
    chat = Chat(orders=[an_order("2391"), an_order("10482", "processing")])
    chat.hear("我的快递呢", "order_status")
    chat.hear("算了", "cancel")
    chat.hear("谢谢", "thanks")

    assert "正在备货" not in chat.hear("2")


@pytest.mark.parametrize(
    ("language", "typed", "wished"),
    [
        ("en", ("1", "2"), WishContact((), 1)),
        ("zh", ("频率", "第三个"), WishContact((), 2)),
        ("zh", ("2", "1", "3", "1"), WishContact(("tyres",))),
        ("en", ("2", "23:00-7:30"), WishContact((), None, ("23:00", "07:30"))),
    ],
)
def test_message_settings_are_chosen_by_their_numbers(
    language: Language, typed: tuple[str, ...], wished: WishContact
) -> None:
    policy = {"broadcasts": {"topics": {"tyres": {"zh": "轮胎", "en": "tyres"}}}}
    assistant = serving("contact_wishes", "consent_confirm", policy=policy)
    chat = Chat(assistant=assistant, elsewhere={WISHES: WishContact(), ASKED_TO_CONFIRM: ()}, language=language)

    chat.hear({"zh": "消息设置", "en": "message settings"}[language])
    assert "1. " in read(chat)
    for words in typed:
        chat.hear(words)

    kept = [effect for effect in chat.effects if isinstance(effect, WishContact)][-1]
    assert (kept.topics_off, kept.per_week, kept.quiet) == (wished.topics_off, wished.per_week, wished.quiet)
