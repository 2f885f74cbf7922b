"""Cutting text to what a channel can carry, and showing buttons as a numbered list where it has none. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from bot.types import ReplyButton

LengthUnit = Literal["utf16", "utf8", "codepoint"]

# Things that stop working when cut: links, addresses, mentions, hashtags, commands, phone and order numbers.
_WHOLE = re.compile(
    r"(?:https?|tg)://[^\s<>\"'，。；、）】》！？]+"
    r"|[\w.+-]+@[\w-]+(?:\.[\w-]+)+"
    r"|[@#/][\w]+"
    r"|\+?\d[\d\-.:/ ]{0,40}\d"
    r"|[A-Za-z0-9]+(?:[-_'.][A-Za-z0-9]+)*"
)
_SENTENCE_END = (".", "!", "?", "。", "！", "？", "；", ";", "…")
_WIDE_END = frozenset("。！？；…")
_CLOSING = "\"')]}”’）】》」』"
_ZWJ = "\u200d"
_REGIONAL = range(0x1F1E6, 0x1F200)
_JOINING = (range(0x1F3FB, 0x1F400), range(0xE0020, 0xE0080))  # skin tones, flag tags
_HANGUL_L, _HANGUL_V, _HANGUL_T = range(0x1100, 0x1160), range(0x1160, 0x11A8), range(0x11A8, 0x1200)
_HANGUL_SYLLABLE = range(0xAC00, 0xD7A4)
_INVISIBLE = frozenset("\u2800\u3164\uffa0\ufffc")  # blank braille, hangul fillers, object replacement


def length(text: str, unit: LengthUnit) -> int:
    """How long the channel says `text` is."""
    if unit == "codepoint" or text.isascii():
        return len(text)
    if unit == "utf16":
        return len(text.encode("utf-16-le", "surrogatepass")) // 2
    return len(text.encode("utf-8", "surrogatepass"))


def is_blank(text: str) -> bool:
    """True when nothing of `text` can be seen: messengers refuse such a message as empty."""
    return all(char.isspace() or char in _INVISIBLE or unicodedata.category(char) in {"Cc", "Cf"} for char in text)


def split_text(text: str, limit: int, unit: LengthUnit = "codepoint") -> list[str]:
    """Parts of at most `limit` units whose concatenation is `text`; an empty text has no parts.

    Cuts at the end of a paragraph, else a line, a sentence, a word, else between characters as people see them
    (never inside a grapheme cluster, a link, a number or a word that fits a part by itself). A boundary is used only
    when it leaves a part at least half full, so that a long text does not fall into crumbs.

    Raises: ValueError when `limit` cannot hold a single code point (4 units are always enough).
    """
    if limit < _widest(unit):
        raise ValueError(f"a limit of {limit} cannot hold every character")
    parts = []
    rest = text
    while length(rest, unit) > limit:
        cut = _best_cut(rest, limit, unit)
        parts.append(rest[:cut])
        rest = rest[cut:]
    if rest:
        parts.append(rest)
    return parts


def numbered_list(text: str, buttons: Sequence[ReplyButton]) -> str:
    """`text` with the buttons' labels as lines "1. …" below it, for channels that cannot show buttons."""
    if not buttons:
        return text
    lines = "\n".join(f"{number}. {button.label or button.value}" for number, button in enumerate(buttons, start=1))
    return f"{text}\n\n{lines}" if text else lines


def _widest(unit: LengthUnit) -> int:
    return {"codepoint": 1, "utf16": 2, "utf8": 4}[unit]


def _window(text: str, limit: int, unit: LengthUnit) -> int:
    """Most code points from the start of `text` that fit into `limit` units."""
    if unit == "codepoint" or length(text[:limit], unit) == min(limit, len(text)):
        return min(limit, len(text))
    used = 0
    for index, char in enumerate(text[: limit + 1]):
        used += length(char, unit)
        if used > limit:
            return index
    return len(text)


def _best_cut(text: str, limit: int, unit: LengthUnit) -> int:
    end = _window(text, limit, unit)
    half = end // 2
    head = text[: end + 1]  # one more, to see what follows the last character that fits
    for finder in (_after_paragraph, _after_line, _after_sentence):
        cut = finder(head, half, end)
        if cut:
            return cut
    return _between_characters(text, end, half, limit, unit)


def _after_paragraph(head: str, low: int, end: int) -> int:
    return _last(lambda at: head[at - 1] == "\n" and at >= 2 and head[at - 2] == "\n", low, end)


def _after_line(head: str, low: int, end: int) -> int:
    return _last(lambda at: head[at - 1] == "\n", low, end)


def _after_sentence(head: str, low: int, end: int) -> int:
    """After the blank (or, in scripts without blanks, the mark) that ends a sentence."""

    def ends(at: int) -> bool:
        if not _is_boundary(head, at):
            return False
        before = head[at - 1]
        if before.isspace():
            words = head[max(0, at - 8) : at].rstrip().rstrip(_CLOSING)
            return words.endswith(_SENTENCE_END)
        is_wide_end = before in _WIDE_END or (before in _CLOSING and at >= 2 and head[at - 2] in _WIDE_END)
        return is_wide_end and head[at : at + 1] not in (*_WIDE_END, *_CLOSING)

    return _last(ends, low, end)


def _last(fits: Callable[[int], bool], low: int, end: int) -> int:
    return next((at for at in range(end, max(low, 1) - 1, -1) if fits(at)), 0)


def _between_characters(text: str, end: int, low: int, limit: int, unit: LengthUnit) -> int:
    """The latest cut up to `end` outside whole things and clusters; inside one only when no part can hold it."""
    cut = end
    for match in _WHOLE.finditer(text, max(0, end - limit), end + limit):
        if match.start() >= end:
            break
        if match.end() > end and match.start() > 0 and length(match.group(), unit) <= limit:
            cut = match.start()
    blank = next((at for at in range(cut, max(low, 1) - 1, -1) if text[at - 1].isspace()), 0)
    if blank and _is_boundary(text, blank) and not _has_wide(text[blank:cut]):
        return blank
    return next((at for at in range(cut, 0, -1) if _is_boundary(text, at)), end)


def _has_wide(text: str) -> bool:
    """True for text in a script that may be cut between any two characters (Chinese, Japanese, Thai …)."""
    return any(char > "\u0dff" and unicodedata.category(char) == "Lo" for char in text)


def _is_boundary(text: str, at: int) -> bool:
    """True when no grapheme cluster spans `at` (UAX #29, rounded towards not cutting)."""
    if at <= 0 or at >= len(text):
        return True
    before, after = text[at - 1], text[at]
    if before < "\u0300" and after < "\u0300":
        return not (before == "\r" and after == "\n")
    if before in "\r\n\t":
        return True
    if _ZWJ in (before, after) or _extends(after):
        return False
    if ord(before) in _REGIONAL and ord(after) in _REGIONAL:
        return _regionals_before(text, at) % 2 == 0
    return not _hangul_joins(ord(before), ord(after)) and not ("\ud800" <= before <= "\udbff" and after >= "\udc00")


def _extends(char: str) -> bool:
    return unicodedata.category(char) in {"Mn", "Mc", "Me"} or any(ord(char) in block for block in _JOINING)


def _regionals_before(text: str, at: int) -> int:
    count = 0
    while count < at and ord(text[at - 1 - count]) in _REGIONAL:
        count += 1
    return count


def _hangul_joins(before: int, after: int) -> bool:
    if before in _HANGUL_L:
        return after in _HANGUL_L or after in _HANGUL_V or after in _HANGUL_SYLLABLE
    if before in _HANGUL_V or before in _HANGUL_SYLLABLE:
        return after in _HANGUL_V or after in _HANGUL_T
    return before in _HANGUL_T and after in _HANGUL_T


def clusters(text: str) -> Iterator[str]:
    """The grapheme clusters of `text`, in order."""
    start = 0
    for at in range(1, len(text) + 1):
        if at == len(text) or _is_boundary(text, at):
            yield text[start:at]
            start = at
