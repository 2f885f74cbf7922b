"""Replies are cut and degraded to what Telegram carries, losing nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from telegram.constants import InlineKeyboardButtonLimit, MessageLimit

from bot.types import OutPart, RenderedReply, ReplyButton
from channels.telegram.adapter import MAX_CALLBACK_BYTES, MAX_CAPTION, MAX_TEXT, TelegramAdapter
from channels.telegram.keyboards import keyboard
from channels.text import is_blank, length
from config.settings import TelegramSettings

ADAPTER = TelegramAdapter("main", TelegramSettings(token="1000001:test"))
IMAGE = "https://shop.example/a.png"


def test_our_limits_are_those_another_client_knows() -> None:
    assert MAX_TEXT == MessageLimit.MAX_TEXT_LENGTH
    assert MAX_CAPTION == MessageLimit.CAPTION_LENGTH
    assert MAX_CALLBACK_BYTES == InlineKeyboardButtonLimit.MAX_CALLBACK_DATA


@given(
    text=st.text(max_size=40).flatmap(lambda piece: st.integers(1, 300).map(lambda times: piece * times)),
    labels=st.lists(st.text(max_size=20), max_size=5),
    image=st.sampled_from(["", IMAGE]),
)
def test_every_part_can_be_sent_and_nothing_visible_is_lost(text: str, labels: list[str], image: str) -> None:
    buttons = tuple(ReplyButton(label, f"value-{number}") for number, label in enumerate(labels))

    parts = ADAPTER.encode(RenderedReply(text, buttons, image))

    for part in parts:
        assert length(part.text, "utf16") <= (MAX_CAPTION if part.image_url else MAX_TEXT)
        assert part.image_url or not is_blank(part.text)
    assert [part.image_url for part in parts if part.image_url] == ([image] if image else [])
    said = "".join(part.text for part in parts)
    if not is_blank(text):
        assert visible(text) == visible(said)[: len(visible(text))]
    shown = [button for part in parts for button in part.buttons]
    assert shown == list(buttons) or all(button.label in said for button in buttons)
    assert all(not part.buttons for part in parts[:-1])


def visible(text: str) -> str:
    return "".join(char for char in text if not is_blank(char))


def test_buttons_sit_below_the_last_part() -> None:
    buttons = (ReplyButton("Yes", "yes"), ReplyButton("No", "no"))

    parts = ADAPTER.encode(RenderedReply("word " * 2000, buttons))

    assert [part.buttons for part in parts] == [(), (), buttons]


def test_a_value_too_long_for_a_button_turns_all_of_them_into_a_list() -> None:
    buttons = (ReplyButton("第一个", "short"), ReplyButton("第二个", "长" * 22))

    parts = ADAPTER.encode(RenderedReply("请选择", buttons))

    assert parts == (OutPart("请选择\n\n1. 第一个\n2. 第二个"),)


def test_a_value_of_exactly_64_bytes_is_a_button() -> None:
    button = ReplyButton("ok", "长" * 21 + "x")

    assert ADAPTER.encode(RenderedReply("choose", (button,)))[0].buttons == (button,)


def test_a_short_text_is_the_caption_of_its_picture() -> None:
    assert ADAPTER.encode(RenderedReply("look", (), IMAGE)) == (OutPart("look", (), IMAGE),)


def test_a_long_text_follows_its_picture() -> None:
    parts = ADAPTER.encode(RenderedReply("a" * 1025, (ReplyButton("ok", "ok"),), IMAGE))

    assert parts == (OutPart("", (), IMAGE), OutPart("a" * 1025, (ReplyButton("ok", "ok"),)))


def test_nothing_visible_is_no_message() -> None:
    assert ADAPTER.encode(RenderedReply(" \n\u200b")) == ()


def test_buttons_without_words_still_reach_the_customer() -> None:
    button = ReplyButton("ok", "ok")

    assert ADAPTER.encode(RenderedReply("", (button,))) == (OutPart("…", (button,)),)


def test_short_labels_share_a_row_and_long_ones_do_not() -> None:
    labels = ["Yes", "No", "I would like to talk to a person", "Other"]

    rows = keyboard([ReplyButton(label, label[:9]) for label in labels])

    assert [[cell["text"] for cell in row] for row in rows] == [["Yes", "No"], [labels[2]], ["Other"]]


def test_a_button_with_an_address_opens_it() -> None:
    (row,) = keyboard([ReplyButton("Book", "https://shop.example/book"), ReplyButton("No", "/no")])
    assert [(cell.url, cell.callback_data) for cell in row] == [("https://shop.example/book", None), (None, "/no")]
