"""Before anything is published: how an article would look to customers, and which questions it would answer.

And the other way round: questions nobody could answer, put together, and made into a draft with one call.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bot.errors import InputError
from bot.ports import BatchIndex, Clock
from bot.rendering import render
from bot.types import ArticleHit, Language, OutPart, Reply
from crm_sync import article_versions as versions
from crm_sync.article_versions import ArticleVersion
from crm_sync.database import Database
from crm_sync.models import StoredArticle, edited_articles
from crm_sync.unanswered import OpenQuestion, open_questions
from desk.actors import Actor
from desk.knowledge import TO_BE_WRITTEN, KnowledgeDesk, published_articles
from desk.library import AssistantLibrary
from desk.nearness import grouped
from desk.placeholders import Placeholders
from desk.wording import LONGEST_QUESTION, LONGEST_TITLE, ArticleText

RANKED = 5  # articles looked at for each question
MOST_QUESTIONS = 500  # tried in one go
MOST_OPEN = 2000  # unanswered questions looked at, the newest


@dataclass(frozen=True, slots=True)
class Found:
    """What the bot would say to a question: the best article, and where the one tried stands (1 is first)."""

    article_id: str = ""
    title: str = ""
    score: float = 0.0
    is_sure: bool = False
    rank: int | None = None
    own_score: float = 0.0


@dataclass(frozen=True, slots=True)
class Trial:
    """One question, without the draft and with it."""

    question: str
    language: str
    before: Found
    after: Found

    @property
    def is_gained(self) -> bool:
        """Nobody would have answered it surely, and now this article does."""
        return self.after.is_sure and self.after.rank == 1 and not self.before.is_sure

    @property
    def is_taken(self) -> bool:
        """Another article answered it surely and would no longer be first."""
        return self.before.is_sure and self.after.article_id != self.before.article_id


@dataclass(frozen=True, slots=True)
class QuestionGroup:
    """Questions that say nearly the same. `conversations` and `at`: of the newest; `nearest`: what came closest."""

    questions: tuple[str, ...]  # different wordings, the newest first, without personal data
    language: str
    count: int
    conversation_ids: tuple[int, ...]
    at: datetime
    nearest: ArticleHit | None = None
    draft_of: str = ""  # an article in preparation that has one of these questions already

    @property
    def title(self) -> str:
        return min(self.questions, key=len)


class ArticleTrials:
    """Previews and trials. Nothing is changed but by `draft_from`."""

    def __init__(
        self, database: Database, library: AssistantLibrary, clock: Clock, knowledge: KnowledgeDesk | None = None
    ) -> None:
        self._database, self._library, self._clock = database, library, clock
        self._knowledge = knowledge or KnowledgeDesk(database, library, clock)

    def preview(
        self, actor: Actor, assistant: str, draft: ArticleText, *, language: Language, channel: str
    ) -> tuple[OutPart, ...]:
        """What a customer on this channel would see. Raises: NotPermitted, NotFound for a channel nobody serves."""
        actor.require("knowledge.read")
        reply = Reply("utter_article", {"title": draft.title}, literal=draft.answer)
        shown = render(reply, language, channel, self._library.assistant(assistant))
        return self._library.encode(channel, shown)

    async def try_questions(
        self,
        actor: Actor,
        assistant: str,
        article_id: str,
        draft: ArticleText,
        *,
        language: Language,
        questions: Sequence[str] = (),
    ) -> tuple[Trial, ...]:
        """How these questions (without any: its own) rank with the draft published and without.

        Raises: NotPermitted, NotFound, InputError.
        """
        actor.require("knowledge.read")
        if len(questions) > MOST_QUESTIONS:
            raise InputError(f"{MOST_QUESTIONS} questions are tried at a time")
        article = draft.checked(article_id, language, self._library.assistant(assistant).languages)
        before = await self._published(assistant)
        others = [each for each in before if (each.id, each.language) != (article_id, language)]
        asked = [question.strip() for question in questions if question.strip()] or [draft.title, *article.questions]

        def work() -> tuple[Trial, ...]:
            return _trials(self._library.index(before), self._library.index([*others, article]), asked, article)

        return await asyncio.to_thread(work)

    # --- what nobody could answer -------------------------------------------------------------------------------

    async def unanswered(
        self, actor: Actor, assistant: str, *, days: int = 30, language: str = "", limit: int = 100
    ) -> list[QuestionGroup]:
        """Questions of the last days that no article answers by now, those asked most often first.

        Raises: NotPermitted, NotFound.
        """
        actor.require("knowledge.read")
        since = self._clock.now() - timedelta(days=days)
        asked = await self._database.run(lambda conn: open_questions(conn, since=since, limit=MOST_OPEN), read=True)
        asked = [each for each in asked if not language or each.language == language]
        published = await self._published(assistant)
        drafts = await self._database.run(lambda conn: versions.newest_of_each(conn, assistant), read=True)
        in_work = {question: each.article_id for each in drafts if each.is_open for question in each.questions}
        return await asyncio.to_thread(self._groups, asked, published, in_work, limit)

    async def draft_from(
        self, actor: Actor, assistant: str, questions: Sequence[str], language: Language, *, answer: str = ""
    ) -> ArticleVersion:
        """A draft of a new article that these questions lead to; its answer is still to be written where none is given.

        Raises: NotPermitted, NotFound, InputError.
        """
        actor.require("knowledge.write")
        hide = Placeholders(language=language)
        asked = list(dict.fromkeys(hide(each.strip())[:LONGEST_QUESTION] for each in questions if each.strip()))
        if not asked:
            raise InputError("an article needs at least one question")
        taken = {view.id for view in await self._knowledge.articles(actor, assistant)}
        title = min(asked, key=len)[:LONGEST_TITLE]
        written = answer.strip() or TO_BE_WRITTEN[language]
        draft = ArticleText(title, written, tuple(asked))
        return await self._knowledge.save(
            actor,
            assistant,
            _free_id(title, self._clock.now(), taken),
            language,
            draft,
            note="from unanswered questions",
        )

    def _groups(
        self, asked: Sequence[OpenQuestion], published: Sequence[StoredArticle], in_work: dict[str, str], limit: int
    ) -> list[QuestionGroup]:
        index = self._library.index(published)
        hits = index.ask_many([(each.text, "zh" if each.language == "zh" else "en") for each in asked], top=1)
        left = [(each, hit[0] if hit else None) for each, hit in zip(asked, hits, strict=True)]
        left = [(each, hit) for each, hit in left if hit is None or not hit.is_sure]
        found = []
        for spoken in ("zh", "en"):
            mine = [(each, hit) for each, hit in left if each.language == spoken]
            for group in grouped([each.text for each, _ in mine]):
                found.append(_group([mine[place] for place in group], in_work))
        return sorted(found, key=lambda group: (-group.count, group.language, group.title))[:limit]

    async def _published(self, assistant: str) -> list[StoredArticle]:
        seeds = await self._library.seeded_articles(assistant)
        stored = await self._database.run(lambda conn: edited_articles(conn, assistant), read=True)
        return published_articles(seeds, stored)


def _group(members: Sequence[tuple[OpenQuestion, ArticleHit | None]], in_work: dict[str, str]) -> QuestionGroup:
    hide = Placeholders(language=members[0][0].language)
    questions = tuple(dict.fromkeys(hide(each.text.strip())[:LONGEST_QUESTION] for each, _ in members))
    best = max((hit for _, hit in members if hit is not None), key=lambda hit: hit.score, default=None)
    return QuestionGroup(
        questions=questions,
        language=members[0][0].language,
        count=len(members),
        conversation_ids=tuple(dict.fromkeys(each.conversation_id for each, _ in members)),
        at=members[0][0].at,
        nearest=best,
        draft_of=next((in_work[question] for question in questions if question in in_work), ""),
    )


def _trials(old: BatchIndex, new: BatchIndex, questions: Sequence[str], draft: StoredArticle) -> tuple[Trial, ...]:
    language: Language = "zh" if draft.language == "zh" else "en"
    asked = [(question, language) for question in questions]
    before, after = old.ask_many(asked, top=RANKED), new.ask_many(asked, top=RANKED)
    return tuple(
        Trial(question, language, _found(hits, draft.id), _found(later, draft.id))
        for question, hits, later in zip(questions, before, after, strict=True)
    )


def _found(hits: Sequence[ArticleHit], article_id: str) -> Found:
    best = Found(hits[0].article_id, hits[0].title, hits[0].score, hits[0].is_sure) if hits else Found()
    rank = next((place for place, hit in enumerate(hits, start=1) if hit.article_id == article_id), None)
    return replace(best, rank=rank, own_score=hits[rank - 1].score if rank else 0.0)


def _free_id(title: str, now: datetime, taken: set[str]) -> str:
    """An id nobody has: the words of an English title, else the day."""
    words = re.findall(r"[a-z0-9]+", title.lower())
    base = "-".join(words)[:50].strip("-") if title.isascii() and words else f"article-{now:%Y%m%d}"
    place = 1
    while (found := base if place == 1 else f"{base}-{place}") in taken:
        place += 1
    return found
