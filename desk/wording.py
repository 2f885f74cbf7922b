"""The words of an article, checked, and how two wordings differ."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import Literal, Protocol

from bot.errors import InputError
from bot.types import NO_DETAILS, ArticleDetails
from crm_sync.models import StoredArticle

LONGEST_TITLE, LONGEST_ANSWER, LONGEST_QUESTION, MOST_QUESTIONS = 200, 8000, 300, 200
_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,79}")
_WORD = re.compile(r"[A-Za-z0-9_]+|\s+|.", re.DOTALL)
_COMPARED = 4000  # pieces of one text at most; longer ones are compared line by line


@dataclass(frozen=True, slots=True)
class ArticleText:
    """What an article says in one language. `questions`: other ways to ask for it; `details`: None leaves them."""

    title: str
    answer: str
    questions: tuple[str, ...] = ()
    details: ArticleDetails | None = None

    def checked(self, article_id: str, language: str, languages: Sequence[str]) -> StoredArticle:
        """As it is kept: trimmed, every question once. Raises: InputError naming the field."""
        if not _ID.fullmatch(article_id):
            raise InputError("an article's id is 1 to 80 of a-z, 0-9, _ and -")
        if language not in languages:
            raise InputError(f"the assistant speaks {', '.join(languages)}, not {language!r}")
        questions = tuple(dict.fromkeys(each.strip() for each in self.questions if each.strip()))
        for what, words, most in (
            ("title", self.title.strip(), LONGEST_TITLE),
            ("answer", self.answer.strip(), LONGEST_ANSWER),
            *(("question", question, LONGEST_QUESTION) for question in questions),
        ):
            if not words:
                raise InputError(f"the {what} is missing")
            if len(words) > most:
                raise InputError(f"a {what} has {most} characters at most, not {len(words)}")
        if len(questions) > MOST_QUESTIONS:
            raise InputError(f"an article has {MOST_QUESTIONS} questions at most")
        return StoredArticle(
            article_id, language, self.title.strip(), self.answer.strip(), questions, details=self.details or NO_DETAILS
        )


class Wording(Protocol):
    """What is compared; versions and published articles have it."""

    @property
    def title(self) -> str: ...
    @property
    def answer(self) -> str: ...
    @property
    def questions(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text that both have, or only the later (added) or only the earlier one (removed)."""

    kind: Literal["same", "added", "removed"]
    text: str


@dataclass(frozen=True, slots=True)
class WordingDiff:
    """What became of the earlier wording; the pieces that are not `added` make up the earlier text again."""

    title: tuple[Piece, ...]
    answer: tuple[Piece, ...]
    questions: tuple[Piece, ...]  # whole questions

    @property
    def is_same(self) -> bool:
        return all(piece.kind == "same" for piece in (*self.title, *self.answer, *self.questions))


def compare(earlier: Wording, later: Wording) -> WordingDiff:
    """Title and answer word by word (Chinese: character by character), questions as a whole."""
    return WordingDiff(
        text_diff(earlier.title, later.title),
        text_diff(earlier.answer, later.answer),
        _diff(earlier.questions, later.questions, joined=False),
    )


def text_diff(earlier: str, later: str) -> tuple[Piece, ...]:
    """Pieces in order; long texts are compared by lines, so that the time stays bounded."""
    before, after = _WORD.findall(earlier), _WORD.findall(later)
    if max(len(before), len(after)) > _COMPARED:
        before, after = earlier.splitlines(keepends=True), later.splitlines(keepends=True)
    return _diff(before, after, joined=True)


def _diff(before: Sequence[str], after: Sequence[str], *, joined: bool) -> tuple[Piece, ...]:
    found: list[Piece] = []

    def put(kind: Literal["same", "added", "removed"], parts: Iterable[str]) -> None:
        for part in ("".join(parts),) if joined else parts:
            if joined and found and found[-1].kind == kind:
                found[-1] = replace(found[-1], text=found[-1].text + part)
            elif part:
                found.append(Piece(kind, part))

    for tag, i1, i2, j1, j2 in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag == "equal":
            put("same", before[i1:i2])
            continue
        put("removed", before[i1:i2])
        put("added", after[j1:j2])
    return tuple(found)
