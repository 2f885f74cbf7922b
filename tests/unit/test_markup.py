"""Markdown is a small subset; whatever is inserted into it stays text, on every channel."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.rendering import escape_markdown
from channels.markup import Line, Span, escape, parse, to_html, to_plain

# Marks, brackets, schemes and blanks, so that random texts look like markup often.
MARKUP = st.text(st.sampled_from("*_`[]()\\- ab1中\n<>&\"':/."), max_size=60)


@pytest.mark.parametrize(
    ("source", "plain", "html"),
    [
        ("**Two** for one", "Two for one", "<b>Two</b> for one"),
        ("*soon* and _now_", "soon and now", "<i>soon</i> and <i>now</i>"),
        ("请**务必**填写*完整*", "请务必填写完整", "请<b>务必</b>填写<i>完整</i>"),
        ("**bold _and_ more**", "bold and more", "<b>bold <i>and</i> more</b>"),
        ("say `a < b`", "say a < b", "say <code>a &lt; b</code>"),
        ("- one\n* two\nthree", "• one\n• two\nthree", "• one\n• two\nthree"),
        (
            "[Offer](https://shop.example/a?b=1&c=2)",
            "Offer (https://shop.example/a?b=1&c=2)",
            '<a href="https://shop.example/a?b=1&amp;c=2">Offer</a>',
        ),
        ("[call](tel:+8613800000000)", "call (+8613800000000)", '<a href="tel:+8613800000000">call</a>'),
        (
            "[https://x.example](https://x.example)",
            "https://x.example",
            '<a href="https://x.example">https://x.example</a>',
        ),
        (r"\*not bold\*", "*not bold*", "*not bold*"),
        ("2*3*4 and snake_case_name", "2*3*4 and snake_case_name", "2*3*4 and snake_case_name"),
        ("5 * 3 * 2", "5 * 3 * 2", "5 * 3 * 2"),
        ("**open", "**open", "**open"),
        ("", "", ""),
    ],
)
def test_what_is_markup_and_what_is_text(source: str, plain: str, html: str) -> None:
    assert (to_plain(source), to_html(source)) == (plain, html)


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "JaVaScRiPt:x", "data:text/html,x", "file:///etc/passwd", "//x", "tg://user"]
)
def test_a_link_elsewhere_stays_text(url: str) -> None:
    assert "<a" not in to_html(f"[press]({url})")
    assert to_plain(f"[press]({url})") == f"[press]({url})"


@given(st.text(max_size=80) | MARKUP)
def test_escaped_text_is_shown_as_it_is(text: str) -> None:
    expected = tuple(Line((Span("text", line),) if line else ()) for line in text.split("\n"))

    assert parse(escape(text)) == expected
    assert to_plain(escape(text)) == text
    assert escape_markdown(text) == escape(text)  # the two layers may not import each other, and must agree


@given(MARKUP)
def test_a_value_never_becomes_markup_whatever_stands_around_it(value: str) -> None:
    shown = to_html(f"**Dear** {escape_markdown(value)}, see [it](https://x.example/{escape_markdown('1')})")

    assert Tags(shown).seen == ["b", "a"]


@given(st.text(max_size=80) | MARKUP)
def test_html_is_made_of_four_tags_which_all_close(source: str) -> None:
    tags = Tags(to_html(source))

    assert set(tags.seen) <= {"b", "i", "code", "a"}
    assert not tags.open
    assert all(re.match(r"(?:https?://|tel:|mailto:)", address, re.IGNORECASE) for address in tags.addresses)


def test_a_long_text_of_half_written_marks_is_read_in_one_pass() -> None:
    for mark in ("**a", "[a](", "`", "_a", "[", "\\", "*", "[a](b"):
        assert to_plain(mark * 20_000)


class Tags(HTMLParser):
    """The tags of a fragment, in order."""

    def __init__(self, fragment: str) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.feed(fragment)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.open.append(tag)
        assert [name for name, _ in attrs] == (["href"] if tag == "a" else [])
        self.addresses += [value or "" for _, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
