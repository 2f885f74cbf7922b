"""Any reply on any channel: what it cannot carry in its own form it carries as words, and nothing is lost."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from bot.types import Capabilities, Card, OutMedia, OutPart, RenderedReply, ReplyButton
from channels.encoding import encode_reply, merge_parts
from channels.markup import to_plain
from tests.replies import all_of, replies, within_limits

BARE = Capabilities("sms", 160, "codepoint", 0, False, False, False, False)
RICH = replace(
    BARE,
    max_text=1000,
    buttons=3,
    markdown=True,
    media=frozenset({"image", "video", "document"}),
    album=3,
    cards=2,
    asks=frozenset({"rating"}),
    max_caption=100,
)
YES_NO = (ReplyButton("Yes", "intent:affirm"), ReplyButton("No", "intent:deny"))

capabilities = st.builds(
    Capabilities,
    channel=st.just("any"),
    max_text=st.integers(40, 600),
    length_unit=st.sampled_from(["utf16", "utf8", "codepoint"]),
    buttons=st.integers(0, 5),
    can_edit=st.booleans(),
    can_type=st.booleans(),
    idempotency_key=st.booleans(),
    direct=st.booleans(),
    markdown=st.booleans(),
    media=st.frozensets(st.sampled_from(["image", "voice", "audio", "video", "document"])),
    album=st.integers(1, 4),
    cards=st.integers(0, 3),
    asks=st.frozensets(st.sampled_from(["rating", "date", "location"])),
    max_caption=st.sampled_from([0, 10, 40]),
    max_button_value=st.sampled_from([None, 8]),
    max_button_label=st.sampled_from([None, 5]),
)


@settings(max_examples=7 * settings.default.max_examples)  # replies have many shapes
@given(reply=replies, can=capabilities)
def test_nothing_is_lost_and_every_limit_kept(reply: RenderedReply, can: Capabilities) -> None:
    parts = encode_reply(reply, can)

    assert within_limits(parts, can) == []
    assert all_of(reply, can).missing_in(parts) == []
    assert encode_reply(reply, can) == parts


def test_buttons_become_a_numbered_list() -> None:
    assert encode_reply(RenderedReply("Sure?", YES_NO), BARE) == (OutPart("Sure?\n\n1. Yes\n2. No"),)
    assert encode_reply(RenderedReply("Sure?", YES_NO), RICH) == (OutPart("Sure?", YES_NO),)


def test_one_button_that_does_not_fit_turns_all_into_a_list() -> None:
    narrow = replace(RICH, max_button_label=2)

    assert encode_reply(RenderedReply("Sure?", YES_NO), narrow) == (OutPart("Sure?\n\n1. Yes\n2. No"),)


def test_a_button_that_opens_an_address_may_be_longer_than_one_that_answers() -> None:
    button = ReplyButton("Book", "https://shop.example/" + "x" * 100)
    reply, can = RenderedReply("Half price", (button,)), replace(RICH, max_button_value=64)
    assert encode_reply(reply, replace(can, link_buttons=True)) == (OutPart("Half price", (button,)),)
    assert encode_reply(reply, can) == (OutPart("Half price\n\n1. Book"),)


def test_cards_become_text_where_there_are_none_or_too_many() -> None:
    card = Card("Teapot", "0.8 l", url="https://shop.example/1", buttons=(ReplyButton("Buy", "flow:buy"),))

    assert encode_reply(RenderedReply("Look", cards=(card,)), BARE) == (
        OutPart("Look\n\nTeapot\n0.8 l\nhttps://shop.example/1\n\n1. Buy"),
    )
    assert encode_reply(RenderedReply("Look", cards=(card,) * 2), RICH) == (
        OutPart("Look"),
        OutPart("", cards=(card,) * 2),
    )
    assert all(not part.cards for part in encode_reply(RenderedReply("Look", cards=(card,) * 3), RICH))


def test_a_file_the_channel_cannot_send_is_a_link_below_the_text() -> None:
    voice = OutMedia("voice", url="https://shop.example/v.ogg", caption="Listen")

    assert encode_reply(RenderedReply("Hi", media=(voice,)), RICH) == (
        OutPart("Hi\n\nListen\nhttps://shop.example/v.ogg"),
    )


def test_albums_hold_what_goes_together_in_order_and_no_more_than_fits() -> None:
    pictures = tuple(OutMedia("image", url=f"https://shop.example/{n}") for n in range(4))
    paper = OutMedia("document", url="https://shop.example/p.pdf")

    parts = encode_reply(RenderedReply("", media=(*pictures, paper)), RICH)

    assert [part.media for part in parts] == [pictures[:3], pictures[3:], (paper,)]


def test_a_short_text_goes_with_its_picture_and_a_long_one_follows() -> None:
    picture = "https://shop.example/a.png"

    assert encode_reply(RenderedReply("Look", YES_NO, picture), RICH) == (OutPart("Look", YES_NO, picture),)
    assert encode_reply(RenderedReply("x" * 101, YES_NO, picture), RICH) == (
        OutPart("", image_url=picture),
        OutPart("x" * 101, YES_NO),
    )
    assert encode_reply(RenderedReply("Look", YES_NO, picture), BARE) == (
        OutPart(f"Look\n\n{picture}\n\n1. Yes\n2. No"),
    )


def test_markdown_is_plain_where_the_channel_has_none() -> None:
    reply = RenderedReply("**Hi** [shop](https://shop.example)", text_format="markdown")

    assert encode_reply(reply, BARE) == (OutPart("Hi shop (https://shop.example)"),)
    assert encode_reply(reply, RICH) == (OutPart(reply.text, text_format="markdown"),)


def test_what_is_added_below_markdown_is_no_markup() -> None:
    reply = RenderedReply("**Hi**", (ReplyButton("*a*", "1"),), text_format="markdown")

    assert encode_reply(reply, replace(RICH, buttons=0)) == (OutPart("**Hi**\n\n1. \\*a\\*", text_format="markdown"),)


def test_markdown_is_never_cut_inside_a_mark() -> None:
    reply = RenderedReply(f"**{'word ' * 50}end**", text_format="markdown")

    parts = encode_reply(reply, replace(RICH, max_text=100))

    assert {part.text_format for part in parts} == {"markdown"}
    assert all(part.text.strip().startswith("**") and part.text.strip().endswith("**") for part in parts)
    assert "".join(to_plain(part.text) for part in parts).split() == ["word"] * 50 + ["end"]


def test_what_is_asked_for_is_text_alone_without_a_control() -> None:
    assert encode_reply(RenderedReply("How was it?", ask="rating"), RICH) == (OutPart("How was it?", ask="rating"),)
    assert encode_reply(RenderedReply("When?", ask="date"), RICH) == (OutPart("When?"),)


def test_the_status_key_is_on_the_first_part_only() -> None:
    parts = encode_reply(RenderedReply("x" * 400, status_key="case:C-1"), BARE)

    assert [part.status_key for part in parts] == ["case:C-1", "", ""]


@given(
    parts=st.lists(st.builds(OutPart, st.text("ab 中\n", min_size=1, max_size=30)), min_size=1, max_size=6),
    most=st.integers(40, 90),
)
def test_merged_texts_hold_all_their_words_and_fit(parts: list[OutPart], most: int) -> None:
    part, count = merge_parts(parts, replace(BARE, max_text=most))

    assert 1 <= count <= len(parts)
    assert part.text == "\n\n".join(each.text for each in parts[:count])
    assert len(part.text) <= most


def test_only_texts_are_merged() -> None:
    text, picture = OutPart("a"), OutPart("b", image_url="https://x.example/a.png")

    assert merge_parts([text, picture], BARE) == (text, 1)
    assert merge_parts([picture, text], BARE) == (picture, 1)
    assert merge_parts([text, OutPart("c", YES_NO), picture], BARE) == (OutPart("a\n\nc\n\n1. Yes\n2. No"), 2)
    assert merge_parts([OutPart("**a**", text_format="markdown"), text], RICH) == (OutPart("a\n\na"), 2)
    assert merge_parts([text, OutPart("b", status_key="case:1")], BARE) == (text, 1)
