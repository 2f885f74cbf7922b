r"""The markdown subset replies may use, as a small tree, and what each channel shows of it. Pure.

`**bold**`, `*italic*` or `_italic_`, `` `code` ``, `[label](address)` and lines beginning with `- `. A backslash before
a mark makes it a plain character; whatever else looks like markup is text. Links lead to http, https, tel and mailto.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

SpanKind = Literal["text", "bold", "italic", "code", "link"]

_MARKS = r"\\`*_\[\]()\-"
_ESCAPED = re.compile(rf"\\([{_MARKS}])")
_MARK = re.compile(rf"([{_MARKS}])")
_ITEM = re.compile(r"^ {0,3}[-*] +(?=\S)")
_SAFE_ADDRESS = re.compile(r"^(?:https?://\S|tel:\S|mailto:\S)", re.IGNORECASE)
# Each alternative stops at its own mark, so that no text makes the search slow. Multiplication is no emphasis.
_INLINE = re.compile(
    rf"\\(?P<escaped>[{_MARKS}])"
    r"|`(?P<code>(?:\\.|[^`\\])+)`"
    r"|\[(?P<label>(?:\\.|[^\[\]\\])+)\]\((?P<url>(?:\\.|[^()\s\\])+)\)"
    r"|\*\*(?=[^\s*])(?P<bold>(?:\\.|[^*\\]|\*(?!\*))+)(?<!\s)\*\*"
    r"|(?<![0-9A-Za-z*])\*(?=[^\s*])(?P<italic>(?:\\.|[^*\\])+)(?<!\s)\*(?![0-9A-Za-z*])"
    r"|(?<![0-9A-Za-z_])_(?=[^\s_])(?P<slanted>(?:\\.|[^_\\])+)(?<!\s)_(?![0-9A-Za-z_])"
)
_TAGS = {"bold": "b", "italic": "i"}


@dataclass(frozen=True, slots=True)
class Span:
    """`text` of text and code; `children` of bold, italic and links; `url` of links."""

    kind: SpanKind
    text: str = ""
    children: tuple[Span, ...] = ()
    url: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    spans: tuple[Span, ...]
    is_item: bool = False  # of a list


def parse(source: str) -> tuple[Line, ...]:
    """The lines of a text. Takes any text: what is no markup is text."""
    return tuple(_line(line) for line in source.split("\n"))


def escape(text: str) -> str:
    """`text` as markdown that shows exactly `text`."""
    return _MARK.sub(r"\\\1", text)


def to_plain(source: str) -> str:
    """The words without marks; a link's address follows its label in brackets."""
    return "\n".join(("• " if line.is_item else "") + _plain(line.spans) for line in parse(source))


def to_html(source: str) -> str:
    """HTML of b, i, code and a[href] only, as Telegram's parse mode takes it; everything else is escaped."""
    return "\n".join(("• " if line.is_item else "") + _html(line.spans) for line in parse(source))


def _line(source: str) -> Line:
    item = _ITEM.match(source)
    return Line(_spans(source[item.end() :] if item else source), is_item=item is not None)


def _spans(source: str) -> tuple[Span, ...]:
    found: list[Span] = []
    words: list[str] = []

    def close_words() -> None:
        if words:
            found.append(Span("text", "".join(words)))
            words.clear()

    at = 0
    for match in _INLINE.finditer(source):
        words.append(source[at : match.start()])
        at = match.end()
        span = _span(match)
        if span.kind == "text":
            words.append(span.text)
        else:
            close_words()
            found.append(span)
    words.append(source[at:])
    if any(words):
        close_words()
    return tuple(span for span in found if span.kind != "text" or span.text)


def _span(match: re.Match[str]) -> Span:
    kind = match.lastgroup
    if kind == "escaped":
        return Span("text", match["escaped"])
    if kind == "code":
        return Span("code", _unescape(match["code"]))
    if kind == "bold":
        return Span("bold", children=_spans(match["bold"]))
    if kind in ("italic", "slanted"):
        return Span("italic", children=_spans(match[kind]))
    url = _unescape(match["url"])
    if not _SAFE_ADDRESS.match(url):
        return Span("text", match[0])
    return Span("link", children=_spans(match["label"]), url=url)


def _unescape(text: str) -> str:
    return _ESCAPED.sub(r"\1", text)


def _plain(spans: Sequence[Span]) -> str:
    return "".join(_plain_span(span) for span in spans)


def _plain_span(span: Span) -> str:
    if span.kind != "link":
        return span.text + _plain(span.children)
    label = _plain(span.children)
    address = span.url if span.url.lower().startswith("http") else span.url.partition(":")[2]
    return label if label in (address, span.url) else f"{label} ({address})"


def _html(spans: Sequence[Span]) -> str:
    return "".join(_html_span(span) for span in spans)


def _html_span(span: Span) -> str:
    if span.kind == "text":
        return html.escape(span.text)
    if span.kind == "code":
        return f"<code>{html.escape(span.text)}</code>"
    if span.kind == "link":
        return f'<a href="{html.escape(span.url)}">{_html(span.children)}</a>'
    tag = _TAGS[span.kind]
    return f"<{tag}>{_html(span.children)}</{tag}>"
