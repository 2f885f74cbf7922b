"""What the knowledge screen shows, as plain values: lines of the list, an article's fields, how versions differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bot.errors import NotFound
from console.frame import Look
from console.words import LANGUAGES, Language, say
from desk.actors import Actor
from desk.knowledge import ArticleView, Side
from desk.wording import ArticleText, Wording, WordingDiff, compare


@dataclass(frozen=True, slots=True)
class ArticleLine:
    """One line of the list. `states`: (language, state key, words) for each language of the assistant."""

    id: str
    title: str
    states: tuple[tuple[str, str, str], ...]
    changed_at: datetime | None
    by: str


def article_lines(views: Sequence[ArticleView], languages: Sequence[Language], look: Look) -> list[ArticleLine]:
    found = []
    for view in views:
        states = []
        for language in languages:
            side = view.sides.get(language)
            state = side.state if side else "missing"
            states.append((LANGUAGES[language], state, say(look.language, f"know.state.{state}")))
        dated = [side.newest for side in view.sides.values() if side.newest is not None]
        newest = max(dated, key=lambda version: version.at, default=None)
        title = next((view.sides[each].title for each in (look.language, *languages) if each in view.sides), "")
        found.append(
            ArticleLine(
                view.id,
                title or view.id,
                tuple(states),
                newest.at if newest else None,
                newest.by if newest else "",
            )
        )
    return found


@dataclass(frozen=True, slots=True)
class SideForm:
    """An article's fields in one language. `diff`: what somebody else saved against `mine`, where they were first."""

    language: str
    state: str
    title: str
    answer: str
    questions: str
    seen: int
    note: str
    by: str
    side: Side
    is_open: bool
    is_own: bool  # the person who looks wrote the newest draft
    four_eyes: bool
    may_publish: bool  # as far as the second pair of eyes goes
    diff: WordingDiff | None = None


def side_form(side: Side, actor: Actor, *, four_eyes: bool, mine: ArticleText | None = None) -> SideForm:
    newest = side.newest
    is_open = newest is not None and newest.is_open
    words: Wording | None = newest if newest is not None and is_open else side.published or newest
    shown = mine or words
    is_own = newest is not None and newest.by == actor.name
    return SideForm(
        language=side.language,
        state=side.state if words else "missing",
        title=shown.title if shown else "",
        answer=shown.answer if shown else "",
        questions="\n".join(shown.questions) if shown else "",
        seen=side.seen,
        note=newest.note if newest and is_open else "",
        by=newest.by if newest else "",
        side=side,
        is_open=is_open,
        is_own=is_own,
        four_eyes=four_eyes,
        may_publish=is_open and not (four_eyes and is_own),
        diff=compare(words, mine) if words and mine else None,
    )


@dataclass(frozen=True, slots=True)
class VersionLine:
    version: int
    state: str
    at: datetime | None
    by: str
    note: str


def versions_of(side: Side, look: Look) -> list[VersionLine]:
    """The newest first; the file's words are version 0."""
    found = [
        VersionLine(each.version, say(look.language, f"know.state.{each.state}"), each.at, each.by, each.note)
        for each in side.history
    ]
    if side.origin == "file":
        found.append(VersionLine(0, say(look.language, "know.file"), None, "", ""))
    return found


def diff_of(side: Side, version: int) -> WordingDiff:
    """From an earlier version to the newest words. Raises: NotFound."""
    later: Wording | None = side.newest or side.published
    earlier: Wording | None = next((each for each in side.history if each.version == version), None)
    if version == 0 and side.origin == "file":
        earlier = side.published
    if earlier is None or later is None:
        raise NotFound(f"there is no version {version}")
    return compare(earlier, later)
