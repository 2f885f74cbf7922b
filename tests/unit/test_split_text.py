"""split_text loses nothing, keeps the limit and cuts where a reader would."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.types import ReplyButton
from channels.text import LengthUnit, clusters, is_blank, length, numbered_list, split_text

FAMILY = "👨‍👩‍👧‍👦"
CHARACTERS = ("a", "é", "e\u0301", FAMILY, "🇨🇳", "👍🏽", "한", "ᄒ", "ᅡ", "ᆫ", "🙂", "❤️", "\u200b", "ก็")
PHRASES = (
    "您好。",
    "word ",
    "\n",
    "\n\n",
    "\r\n",
    "https://shop.example/a?b=1",
    "C-1024",
    "Yes. ",
    "！”",
    "  ",
    "2391",
)
PIECES = st.sampled_from(CHARACTERS + PHRASES)
UNITS: tuple[LengthUnit, ...] = ("utf16", "utf8", "codepoint")


@given(text=st.lists(PIECES, max_size=60).map("".join), limit=st.integers(4, 60), unit=st.sampled_from(UNITS))
def test_parts_keep_the_limit_and_their_concatenation_is_the_text(text: str, limit: int, unit: LengthUnit) -> None:
    parts = split_text(text, limit, unit)

    assert "".join(parts) == text
    assert all(0 < length(part, unit) <= limit for part in parts)


@given(text=st.text(max_size=200), unit=st.sampled_from(UNITS))
def test_any_text_at_all_is_split_without_loss(text: str, unit: LengthUnit) -> None:
    parts = split_text(text, 7, unit)

    assert "".join(parts) == text
    assert all(length(part, unit) <= 7 for part in parts)


@given(text=st.lists(PIECES, min_size=1, max_size=60).map("".join), limit=st.integers(12, 60))
def test_no_character_a_reader_sees_is_cut_when_a_part_can_hold_it(text: str, limit: int) -> None:
    cuts, at = set(), 0
    for part in split_text(text, limit, "utf16"):
        at += len(part)
        cuts.add(at)

    at = 0
    for cluster in clusters(text):
        inside = {at + offset for offset in range(1, len(cluster))}
        if length(cluster, "utf16") <= limit:
            assert not cuts & inside
        at += len(cluster)


def test_length_in_utf16_counts_an_emoji_twice() -> None:
    assert [length("a🙂您", unit) for unit in UNITS] == [4, 8, 3]


@pytest.mark.parametrize(
    ("text", "limit", "first"),
    [
        ("First paragraph.\n\nSecond one is longer.", 30, "First paragraph.\n\n"),
        ("line one\nline two is here", 16, "line one\n"),
        ("One sentence ends. Another begins here", 30, "One sentence ends. "),
        ("我们今天会给您打电话。请保持电话畅通，谢谢", 14, "我们今天会给您打电话。"),
        ('He said "stop." Then he went away', 22, 'He said "stop." '),
        ("several words without any mark", 16, "several words "),
        ("see https://shop.example/orders/2391 now", 34, "see "),
        ("订单号2391已经发出了", 5, "订单号"),
        ("write to info@shop.example please", 20, "write to "),
    ],
)
def test_the_cut_comes_where_a_reader_would_pause(text: str, limit: int, first: str) -> None:
    assert split_text(text, limit, "utf16")[0] == first


def test_a_link_longer_than_a_part_is_cut_rather_than_lost() -> None:
    link = "https://shop.example/" + "x" * 50

    assert "".join(split_text(link, 20, "utf16")) == link


def test_a_word_longer_than_a_part_fills_every_part() -> None:
    assert split_text("a" * 25, 10) == ["a" * 10, "a" * 10, "a" * 5]


def test_stacked_marks_beyond_the_limit_are_still_carried() -> None:
    pile = "a" + "\u0301" * 500

    assert "".join(split_text(pile, 100, "utf16")) == pile


def test_an_empty_text_has_no_parts() -> None:
    assert split_text("", 10) == []


def test_a_limit_that_cannot_hold_every_character_is_refused() -> None:
    with pytest.raises(ValueError, match="limit of 1"):
        split_text("🙂", 1, "utf16")


def test_a_text_of_twenty_thousand_characters_is_split_quickly_enough_to_do_it_in_line() -> None:
    text = "我想投诉，订单2391还没有到。Please help me with it! " * 500

    parts = split_text(text, 4096, "utf16")

    assert "".join(parts) == text
    assert len(parts) <= 7


@pytest.mark.parametrize("text", ["", " \n\t", "\u200b\u200d\ufeff", "\u2800", "\x00\x07", "\u3164"])
def test_what_cannot_be_seen_is_blank(text: str) -> None:
    assert is_blank(text)


def test_a_dot_is_not_blank() -> None:
    assert not is_blank("\u200b.")


def test_buttons_become_numbered_lines() -> None:
    shown = numbered_list("Which one?", (ReplyButton("Order", "o"), ReplyButton("", "raw")))

    assert shown == "Which one?\n\n1. Order\n2. raw"


def test_without_buttons_the_text_stays_as_it_is() -> None:
    assert numbered_list("text", ()) == "text"
