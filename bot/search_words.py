"""Words of a text as a search index keeps them, and where in a text they are. Pure, the same for text and query.

Chinese, Japanese and Korean have no spaces between words: each character is one, and so are two next to each other.
Other letters and digits are folded (case, width, accents) and cut where something else stands between them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from operator import add
from typing import Final

LONGEST_TEXT: Final = 20_000  # characters that are looked at
LONGEST_WORD: Final = 40
MOST_WORDS: Final = 10_000  # different ones of one text
EXCERPT: Final = 90  # characters around the first place found
_CJK: Final = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U000323af"
_STRETCH: Final = re.compile(r"[^\W_]+")  # of letters and digits
_SPACELESS_OR_NOT: Final = re.compile(f"[{_CJK}]+|[^{_CJK}]+")
_SPACELESS: Final = re.compile(f"[{_CJK}]")
_REMEMBERED: Final = 10_000  # characters, more than any language uses


@dataclass(frozen=True, slots=True)
class Query:
    """What must all be there. `begins`: the last word may go on, since somebody may still be typing it."""

    words: tuple[str, ...]
    begins: str = ""
    runs: tuple[str, ...] = ()  # as they stand in the text, for marking them

    @property
    def is_empty(self) -> bool:
        return not self.words and not self.begins


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of an excerpt; marked where it is what was looked for."""

    text: str
    is_match: bool


def words_of(text: str) -> list[str]:
    """The different words, in order of appearance."""
    found: dict[str, None] = {}
    shortened = text[:LONGEST_TEXT]
    for run, is_cjk in _runs(shortened.lower() if shortened.isascii() else shortened.translate(_FOLDED)):
        if is_cjk:
            found.update(dict.fromkeys(run))
            found.update(dict.fromkeys(map(add, run, run[1:])))
        else:
            found[run[:LONGEST_WORD]] = None
        if len(found) >= MOST_WORDS:
            break
    return list(found)[:MOST_WORDS]


def query_of(text: str) -> Query:
    """What to look for."""
    words: dict[str, None] = {}
    runs = list(_runs(_folded(text[:200])[0]))
    begins = ""
    for place, (run, is_cjk) in enumerate(runs):
        if is_cjk and len(run) > 1:
            words.update(dict.fromkeys(run[start : start + 2] for start in range(len(run) - 1)))
        elif not is_cjk and place == len(runs) - 1 and text[-1:].isalnum():
            begins = run[:LONGEST_WORD]
        else:
            words[run[:LONGEST_WORD]] = None
    return Query(tuple(words), begins, tuple(run for run, _ in runs))


def excerpt(text: str, query: Query) -> tuple[Span, ...]:
    """A stretch of the text around what was found, as spans; without marks where the text says it in another way."""
    flat = " ".join(text[:LONGEST_TEXT].split())
    folded, places = _folded(flat)
    marks = sorted(_places(folded, places, query))
    start = max(0, (marks[0][0] if marks else 0) - EXCERPT // 3)
    end = min(len(flat), start + EXCERPT)
    spans: list[Span] = [Span("…", False)] if start else []
    here = start
    for begin, stop in marks:
        if begin < here or begin >= end:
            continue
        if begin > here:
            spans.append(Span(flat[here:begin], False))
        here = min(stop, end)
        spans.append(Span(flat[begin:here], True))
    if here < end:
        spans.append(Span(flat[here:end], False))
    if end < len(flat):
        spans.append(Span("…", False))
    return tuple(spans)


def _places(folded: str, places: list[int], query: Query) -> Iterator[tuple[int, int]]:
    """Where each run of the query stands in the original; where one does not as a whole, its words."""
    for run in query.runs:
        wanted = [run] if run in folded else [word for word in query.words if word in run]
        for word in wanted:
            found = folded.find(word)
            while found >= 0:
                last = found + len(word) - 1
                yield places[found], places[last] + 1
                found = folded.find(word, found + len(word))


class _Folding(dict[int, str]):
    """What is left of a character without case, width and accents; each is looked at once."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        parts = char if "\uac00" <= char <= "\ud7a3" else unicodedata.normalize("NFKD", char)
        folded = "".join(part.casefold() for part in parts if not unicodedata.combining(part))
        if len(self) < _REMEMBERED:
            self[code] = folded
        return folded


_FOLDED: Final = _Folding()


def _folded(text: str) -> tuple[str, list[int]]:
    """The text folded, and for each of its characters where it was in the original."""
    if text.isascii():
        return text.lower(), list(range(len(text)))
    made = [_FOLDED[ord(char)] for char in text]
    return "".join(made), [place for place, parts in enumerate(made) for _ in parts]


def _runs(folded: str) -> Iterator[tuple[str, bool]]:
    """Stretches of letters and digits: (the stretch, whether it is written without spaces)."""
    for stretch in _STRETCH.findall(folded):
        if stretch.isascii():
            yield stretch, False
        else:
            for run in _SPACELESS_OR_NOT.findall(stretch):
                yield run, _SPACELESS.match(run) is not None
