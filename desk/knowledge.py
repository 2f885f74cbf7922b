"""Articles as staff write them: drafts, review, publishing, history; a published one answers the next customer.

Files seed, the store wins: what is published here goes before the assistant's folder. Every save is a version of its
own, so nobody's words are lost. `seen` is the newest version the caller knows; somebody else's save in between is a
StaleState.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from bot.errors import NotFound, NotPermitted, RuleError, StaleState
from bot.ports import Clock
from bot.service_types import Notice
from crm_sync import article_versions as versions
from crm_sync.article_versions import ArticleVersion
from crm_sync.database import Database
from crm_sync.models import StoredArticle, edited_articles, put_article, raise_epoch
from crm_sync.own_news import Audience, publish
from crm_sync.subscriptions import in_languages
from desk import audit
from desk.actors import Actor
from desk.library import AssistantLibrary
from desk.wording import ArticleText

ORIGIN_FILE, ORIGIN_STORE = "file", "store"
TO_BE_WRITTEN: Final = {"zh": "（答案待撰写）", "en": "(The answer is still to be written.)"}


@dataclass(frozen=True, slots=True)
class Side:
    """An article in one language. `seen`: the newest version, to be given back with a change; 0: none but the file."""

    language: str
    published: StoredArticle | None  # what customers read now
    origin: str  # file | store | "": nothing is published
    newest: ArticleVersion | None
    history: tuple[ArticleVersion, ...] = ()  # the newest first

    @property
    def seen(self) -> int:
        return self.newest.version if self.newest else 0

    @property
    def state(self) -> str:
        """draft | review | published | withdrawn: what somebody looking for work wants to know."""
        if self.newest is not None and self.newest.is_open:
            return self.newest.state
        return "published" if self.published else "withdrawn"

    @property
    def title(self) -> str:
        if self.newest is not None and self.newest.is_open:
            return self.newest.title
        return self.published.title if self.published else self.newest.title if self.newest else ""

    @property
    def changed_at(self) -> datetime | None:
        return self.newest.at if self.newest else None


@dataclass(frozen=True, slots=True)
class ArticleView:
    """An article, its languages side by side."""

    id: str
    sides: Mapping[str, Side] = field(default_factory=dict)

    @property
    def title(self) -> str:
        return next((side.title for side in self.sides.values() if side.title), self.id)


class KnowledgeDesk:
    """What staff do with articles. Each change is one transaction."""

    def __init__(self, database: Database, library: AssistantLibrary, clock: Clock) -> None:
        self._database, self._library, self._clock = database, library, clock

    # --- looking ------------------------------------------------------------------------------------------------

    async def articles(
        self, actor: Actor, assistant: str, *, search: str = "", state: str = "", missing: str = ""
    ) -> list[ArticleView]:
        """By id. `search`: in id, titles, questions and answers; `state`: of any language; `missing`: a language.

        Raises: NotPermitted, NotFound.
        """
        actor.require("knowledge.read")
        found = await self._views(assistant)
        words = search.casefold().split()
        return [
            view
            for view in found
            if all(word in _searched(view) for word in words)
            and (not state or any(side.state == state for side in view.sides.values()))
            and (not missing or missing not in view.sides or view.sides[missing].published is None)
        ]

    async def article(self, actor: Actor, assistant: str, article_id: str) -> ArticleView:
        """With its history. Raises: NotPermitted, NotFound."""
        actor.require("knowledge.read")
        seeds = await self._library.seeded_articles(assistant)

        def unit(conn: Connection) -> list[ArticleView]:
            history = versions.of_article(conn, assistant, article_id)
            return _views(seeds, edited_articles(conn, assistant), history, only=article_id)

        found = await self._database.run(unit, read=True)
        if not found:
            raise NotFound(f"there is no article {article_id!r}")
        return found[0]

    # --- writing ------------------------------------------------------------------------------------------------

    async def save(
        self, actor: Actor, assistant: str, article_id: str, language: str, draft: ArticleText, *, seen: int = 0,
        note: str = "",
    ) -> ArticleVersion:  # fmt: skip
        """The words are the newest draft; what is published stays until somebody publishes it.

        Raises: NotPermitted, NotFound, InputError, StaleState.
        """
        actor.require("knowledge.write")
        article = draft.checked(article_id, language, self._library.assistant(assistant).languages)
        seeds = {(each.id, each.language): each for each in await self._library.seeded_articles(assistant)}

        def unit(conn: Connection) -> ArticleVersion:
            whole = article
            if draft.details is None:  # who edits words leaves the rest as it is
                was = versions.newest(conn, assistant, article_id, language) or seeds.get((article_id, language))
                whole = replace(article, details=was.details if was else article.details)
            return self._add(conn, actor, assistant, whole, seen=seen, note=note)

        return await self._database.run(unit)

    async def submit(
        self, actor: Actor, assistant: str, article_id: str, language: str, *, seen: int
    ) -> ArticleVersion:
        """The draft waits for review. Raises: NotPermitted, NotFound, RuleError, StaleState."""
        actor.require("knowledge.write")
        return await self._step(
            assistant, article_id, language, seen=seen, before=versions.DRAFT, after=versions.REVIEW
        )

    async def send_back(
        self, actor: Actor, assistant: str, article_id: str, language: str, *, seen: int, note: str
    ) -> ArticleVersion:
        """The reviewer wants something changed: a draft again, with the reason. Raises: as `submit`."""
        actor.require("knowledge.publish")
        return await self._step(
            assistant,
            article_id,
            language,
            seen=seen,
            before=versions.REVIEW,
            after=versions.DRAFT,
            note=note,
            reviewed_by=actor.name,
        )

    async def restore(
        self, actor: Actor, assistant: str, article_id: str, language: str, *, version: int, seen: int
    ) -> ArticleVersion:
        """The words of an older version (0: the file's) are the newest draft.

        Raises: NotPermitted, NotFound, StaleState.
        """
        actor.require("knowledge.write")
        seeds = {(each.id, each.language): each for each in await self._library.seeded_articles(assistant)}

        def unit(conn: Connection) -> ArticleVersion:
            old = seeds.get((article_id, language))
            if version:
                kept = versions.of_article(conn, assistant, article_id)
                old = next(
                    (each.as_article() for each in kept if (each.language, each.version) == (language, version)), None
                )
            if old is None:
                raise NotFound(f"article {article_id!r} has no version {version} in {language}")
            return self._add(conn, actor, assistant, old, seen=seen, note=f"restored version {version}")

        return await self._database.run(unit)

    # --- publishing ---------------------------------------------------------------------------------------------

    async def publish(self, actor: Actor, assistant: str, article_id: str, seen: Mapping[str, int]) -> None:
        """The newest drafts in these languages (each with the version seen) answer customers from now on.

        Every process notices within a second. Subscribers of the topic for articles are told of a new one.
        Raises: NotPermitted (also to the author where the policy wants a second pair of eyes), NotFound, RuleError,
        StaleState.
        """
        actor.require("knowledge.publish")
        rules = self._library.assistant(assistant).service
        is_file = any(each.id == article_id for each in await self._library.seeded_articles(assistant))
        now = self._clock.now()

        def unit(conn: Connection) -> None:
            raise_epoch(conn)  # first: its row is the lock of all who write articles
            was_known = is_file or any(row.id == article_id for row in edited_articles(conn, assistant))
            titles = {}
            for language, version in seen.items():
                draft = _current(conn, assistant, article_id, language, version)
                if not draft.is_open:
                    raise RuleError(f"version {version} of {article_id} ({language}) is {draft.state}, not a draft")
                if draft.answer in TO_BE_WRITTEN.values():
                    raise RuleError(f"the answer of {article_id} ({language}) is still to be written")
                if rules.knowledge.four_eyes and draft.by == actor.name:
                    raise NotPermitted("somebody else than the author has to publish it")
                versions.supersede(conn, assistant, article_id, language, (versions.PUBLISHED, versions.WITHDRAWN))
                self._move(
                    conn, assistant, draft, versions.PUBLISHED, seen=draft.state, reviewed_by=actor.name,
                    published_at=now,
                )  # fmt: skip
                put_article(conn, assistant, draft.as_article(), now)
                titles[language] = draft.title
            topic = rules.topics.own.articles
            if titles and topic and not was_known:
                audience = Audience(topic, languages=tuple(titles))
                notice = Notice("utter_article_news", {"title": in_languages(titles)})
                publish(conn, audience, notice, f"article:{assistant}:{article_id}", now)
            details = {"assistant": assistant, "versions": dict(seen)}
            audit.record(conn, actor, "article.publish", f"article:{article_id}", details, now=now)

        await self._database.run(unit)

    async def withdraw(self, actor: Actor, assistant: str, article_id: str, language: str, *, seen: int) -> None:
        """No customer is answered with it any more, also where a file has it; publishing it again takes that back.

        Raises: NotPermitted, NotFound, StaleState.
        """
        actor.require("knowledge.publish")
        view = await self.article(actor, assistant, article_id)
        published = view.sides[language].published if language in view.sides else None
        if published is None:
            raise NotFound(f"nothing of article {article_id!r} is published in {language}")
        gone = StoredArticle(
            article_id, language, published.title, published.answer, published.questions, True, published.details
        )
        now = self._clock.now()

        def unit(conn: Connection) -> None:
            last = versions.newest(conn, assistant, article_id, language)
            if (last.version if last else 0) != seen:
                raise StaleState(f"article {article_id!r} was changed meanwhile")
            versions.supersede(conn, assistant, article_id, language, (versions.PUBLISHED,))
            version = last.version + 1 if last else 1
            if not versions.add(
                conn, assistant, gone, version=version, state=versions.WITHDRAWN, by=actor.name, note="", at=now
            ):
                raise StaleState(f"article {article_id!r} was changed meanwhile")
            put_article(conn, assistant, gone, now)
            details = {"assistant": assistant, "language": language}
            audit.record(conn, actor, "article.withdraw", f"article:{article_id}", details, now=now)

        await self._database.run(unit)

    # --- inside a transaction -----------------------------------------------------------------------------------

    def _add(
        self, conn: Connection, actor: Actor, assistant: str, article: StoredArticle, *, seen: int, note: str
    ) -> ArticleVersion:
        last = versions.newest(conn, assistant, article.id, article.language)
        stale = StaleState(f"article {article.id!r} was changed meanwhile")
        if (last.version if last else 0) != seen:
            raise stale
        versions.supersede(conn, assistant, article.id, article.language, versions.OPEN)
        if not versions.add(
            conn, assistant, article, version=seen + 1, state=versions.DRAFT, by=actor.name, note=note,
            at=self._clock.now(),
        ):  # fmt: skip
            raise stale
        return _current(conn, assistant, article.id, article.language, seen + 1)

    async def _step(
        self, assistant: str, article_id: str, language: str, *, seen: int, before: str, after: str, **more: str
    ) -> ArticleVersion:
        def unit(conn: Connection) -> ArticleVersion:
            found = _current(conn, assistant, article_id, language, seen)
            if found.state != before:
                raise RuleError(f"version {seen} of {article_id} ({language}) is {found.state}, not {before}")
            self._move(conn, assistant, found, after, seen=before, **more)
            return _current(conn, assistant, article_id, language, seen)

        return await self._database.run(unit)

    def _move(
        self, conn: Connection, assistant: str, which: ArticleVersion, state: str, *, seen: str,
        **more: str | datetime,
    ) -> None:  # fmt: skip
        if not versions.move(conn, assistant, which, state, seen=seen, **more):
            raise StaleState(f"article {which.article_id!r} was changed meanwhile")

    async def _views(self, assistant: str) -> list[ArticleView]:
        seeds = await self._library.seeded_articles(assistant)

        def unit(conn: Connection) -> list[ArticleView]:
            return _views(seeds, edited_articles(conn, assistant), versions.newest_of_each(conn, assistant))

        return await self._database.run(unit, read=True)


def _current(conn: Connection, assistant: str, article_id: str, language: str, seen: int) -> ArticleVersion:
    """The newest version, which has to be the one seen. Raises: NotFound, StaleState."""
    found = versions.newest(conn, assistant, article_id, language)
    if found is None:
        raise NotFound(f"article {article_id!r} has no draft in {language}")
    if found.version != seen:
        raise StaleState(f"article {article_id!r} was changed meanwhile")
    return found


def _views(
    seeds: Sequence[StoredArticle],
    stored: Sequence[StoredArticle],
    history: Sequence[ArticleVersion],
    *,
    only: str = "",
) -> list[ArticleView]:
    """Articles by id. `history`: the newest first within an article and language."""
    published = {(each.id, each.language): (each, ORIGIN_FILE) for each in seeds}
    published |= {(each.id, each.language): (each, ORIGIN_STORE) for each in stored}
    written: dict[tuple[str, str], list[ArticleVersion]] = {}
    for version in history:
        written.setdefault((version.article_id, version.language), []).append(version)
    found: dict[str, dict[str, Side]] = {}
    for key in sorted({*published, *written}, key=lambda key: (key[0], key[1] != "zh", key[1])):
        if only and key[0] != only:
            continue
        article, origin = published.get(key, (None, ""))
        if article is not None and article.is_withdrawn:
            article, origin = None, ""
        mine = tuple(written.get(key, ()))
        side = Side(key[1], article, origin, mine[0] if mine else None, mine)
        found.setdefault(key[0], {})[key[1]] = side
    return [ArticleView(article_id, sides) for article_id, sides in found.items()]


def _searched(view: ArticleView) -> str:
    parts = [view.id]
    for side in view.sides.values():
        for text in (side.published, side.newest if side.newest and side.newest.is_open else None):
            if text is not None:
                parts += [text.title, text.answer, *text.questions]
    return "\n".join(parts).casefold()


def published_articles(seeds: Sequence[StoredArticle], stored: Sequence[StoredArticle]) -> list[StoredArticle]:
    """What customers are answered with: the files', unless the store has them otherwise or withdrawn."""
    merged = {(each.id, each.language): each for each in (*seeds, *stored)}
    return [each for each in merged.values() if not each.is_withdrawn]
