"""Cutting a marked-up text so that no mark is torn: between lines, else between or inside the spans of a line. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from channels.markup import Span, escape, parse
from channels.text import LengthUnit, length, split_text

_MARKS = {"bold": "**", "italic": "*", "code": "`"}
_LONGEST_MARKS = 8  # units that the marks around a cut span add: bold in italic, both ends


def split_markup(source: str, limit: int, unit: LengthUnit) -> list[str]:
    """Parts of `source` of at most `limit` units, each marked up by itself; line breaks between parts are left out.

    A link too long for a part loses its address' place but not its words: it is told as text.
    """
    parts: list[str] = []
    for line in source.split("\n"):
        if length(line, unit) > limit:
            parts += _cut(line, limit, unit)
        elif parts and length(parts[-1], unit) + 1 + length(line, unit) <= limit:
            parts[-1] += "\n" + line
        else:
            parts.append(line)
    return [part for part in parts if part]


def _cut(line: str, limit: int, unit: LengthUnit) -> list[str]:
    (parsed,) = parse(line)
    parts = [""]
    for written in _pieces(parsed.spans, limit - _LONGEST_MARKS, unit):
        if length(parts[-1], unit) + length(written, unit) > limit:
            parts.append("")
        parts[-1] += written
    if parsed.is_item and length(parts[0], unit) + 2 <= limit:
        parts[0] = "- " + parts[0]
    return parts


def _pieces(spans: Sequence[Span], limit: int, unit: LengthUnit) -> Iterator[str]:
    """The spans as source, each piece complete and short enough to stand alone."""
    for span in spans:
        whole = _write(span)
        if length(whole, unit) <= limit:
            yield whole
        elif span.kind == "text":
            yield from map(escape, split_text(span.text, limit // 2, unit))  # every character may need a backslash
        elif span.kind == "code":
            yield from (_marked("code", escape(text)) for text in split_text(span.text, limit // 2, unit))
        elif span.kind == "link":
            yield from _pieces((*span.children, Span("text", f" ({span.url})")), limit, unit)
        else:
            yield from (_marked(span.kind, piece) for piece in _pieces(span.children, limit - _LONGEST_MARKS, unit))


def _write(span: Span) -> str:
    if span.kind == "text":
        return escape(span.text)
    if span.kind == "link":
        return f"[{''.join(map(_write, span.children))}]({escape(span.url)})"
    inside = escape(span.text) if span.kind == "code" else "".join(map(_write, span.children))
    return _marked(span.kind, inside)


def _marked(kind: str, source: str) -> str:
    """Marks hold on to words: blanks at the ends stay outside."""
    words = source.strip()
    if not words:
        return source
    before, _, after = source.partition(words)
    return f"{before}{_MARKS[kind]}{words}{_MARKS[kind]}{after}"
