"""Words of a text as a search index keeps them, and where in a text they are. Pure, the same for text and query.

Chinese, Japanese and Korean have no spaces between words: each character is one, and so are two next to each other.
Other letters and digits are folded (case, width, accents) and cut where something else stands between them.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

LONGEST_TEXT: Final = 20_000  # characters that are looked at
LONGEST_WORD: Final = 40
MOST_WORDS: Final = 10_000  # different ones of one text
EXCERPT: Final = 90  # characters around the first place found


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
    for run, is_cjk in _runs(_folded(text[:LONGEST_TEXT])[0]):
        if is_cjk:
            found.update(dict.fromkeys(run))
            found.update(dict.fromkeys(run[start : start + 2] for start in range(len(run) - 1)))
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


def _folded(text: str) -> tuple[str, list[int]]:
    """The text folded, and for each of its characters where it was in the original."""
    if text.isascii():
        return text.lower(), list(range(len(text)))
    made: list[str] = []
    places: list[int] = []
    for place, char in enumerate(text):
        for part in unicodedata.normalize("NFKD", char) if not _is_hangul(char) else char:
            if not unicodedata.combining(part):
                low = part.casefold()
                made.append(low)
                places.extend([place] * len(low))
    return "".join(made), places


def _runs(folded: str) -> Iterator[tuple[str, bool]]:
    """Stretches of letters and digits: (the stretch, whether it is written without spaces)."""
    start, kind = 0, 0
    for place, char in enumerate(folded):
        now = 0 if not char.isalnum() else 2 if _is_cjk(char) else 1
        if now != kind:
            if kind:
                yield folded[start:place], kind == 2
            start, kind = place, now
    if kind:
        yield folded[start:], kind == 2


def _is_cjk(char: str) -> bool:
    return (
        "\u3040" <= char <= "\u30ff"
        or "\u3400" <= char <= "\u4dbf"
        or "\u4e00" <= char <= "\u9fff"
        or "\uac00" <= char <= "\ud7a3"
        or "\uf900" <= char <= "\ufaff"
        or "\U00020000" <= char <= "\U000323af"
    )


def _is_hangul(char: str) -> bool:
    return "\uac00" <= char <= "\ud7a3"
