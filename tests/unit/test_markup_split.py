"""A long formatted text is cut without tearing a mark, losing a word or passing the limit."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bot.types import Capabilities, RenderedReply
from channels.encoding import encode_reply
from channels.markup import escape, to_html, to_plain
from channels.markup_split import split_markup
from channels.simulators.telegram_params import HtmlText
from channels.text import length

WORDS = st.text(alphabet="ab *_`[]()\\<&é长🙂-", min_size=1, max_size=30)
SPANS = st.one_of(
    WORDS.map(escape),
    WORDS.map(lambda words: f"**{escape(words)}**"),
    WORDS.map(lambda words: f" *{escape(words)}* "),
    WORDS.map(lambda words: f"`{escape(words)}`"),
    WORDS.map(lambda words: f"[{escape(words)}](https://shop.example/a)"),
    WORDS.map(lambda words: f"**{escape(words)} *{escape(words)}* {escape(words)}**"),
)
LINES = st.lists(SPANS, min_size=1, max_size=12).map("".join)
TEXTS = st.lists(st.one_of(LINES, LINES.map(lambda line: f"- {line}")), min_size=1, max_size=8).map("\n".join)


def visible(text: str) -> str:
    return "".join(text.split())


@given(text=TEXTS, limit=st.integers(60, 200))
def test_every_part_is_sound_and_nothing_visible_is_lost(text: str, limit: int) -> None:
    can = Capabilities("telegram", limit, "utf16", 0, False, False, False, False, markdown=True)

    parts = encode_reply(RenderedReply(text, text_format="markdown"), can)

    assert all(length(part.text, "utf16") <= limit for part in parts)
    shown = [to_plain(part.text) if part.text_format == "markdown" else part.text for part in parts]
    assert visible("".join(shown)) == visible(to_plain(text))
    for part in parts:
        HtmlText.of(to_html(part.text))  # raises for a torn tag


def test_a_long_bold_line_stays_bold_in_every_part() -> None:
    parts = split_markup("**" + "word " * 100 + "end**", 120, "utf16")

    assert len(parts) > 3
    assert all("<b>" in to_html(part) and "**" not in to_plain(part) for part in parts)


def test_a_list_is_cut_between_its_items() -> None:
    parts = split_markup("\n".join(f"- **item** {number}" for number in range(20)), 60, "utf16")

    assert all(part.startswith("- **item**") for part in parts)
    assert "\n".join(parts).count("item") == 20


def test_a_link_longer_than_a_part_is_told_as_text() -> None:
    url = "https://shop.example/" + "a" * 100

    parts = split_markup(f"see [the whole catalogue]({url}) now", 60, "utf16")

    assert "the whole catalogue" in "".join(map(to_plain, parts))
    assert visible("".join(map(to_plain, parts))) == visible(f"see the whole catalogue ({url}) now")
