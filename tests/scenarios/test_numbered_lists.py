"""On a channel without buttons the customer reads a numbered list and types from it."""

from __future__ import annotations

import pytest

from bot.rendering import render
from bot.types import Capabilities, Language
from channels.encoding import encode_reply
from tests.builders import Chat, an_order

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
