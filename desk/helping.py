"""What helps with an answer: the article that fits, why the bot understood what it did, and a translation where
somebody translates for the deployment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from sqlalchemy import Connection, select

from bot.errors import NotFound, RuleError
from bot.ports import KnowledgeIndex
from bot.types import ArticleHit, Language
from crm_sync.database import Database
from crm_sync.message_lines import messages_of
from crm_sync.tables import messages
from desk.actors import Actor
from desk.sight import visible

LAST_WORDS: Final = 3  # messages of the customer's that are asked about together
LONGEST_QUESTION: Final = 500
MOST_ARTICLES: Final = 10
MOST_EXAMPLES: Final = 3


class Translator(Protocol):
    """Says the same in another language. None is on by default."""

    async def translate(self, text: str, *, to: str) -> str:
        """Raises: ServiceUnavailable."""
        ...


@dataclass(frozen=True, slots=True)
class Suggestion:
    """An article that answers what the customer said last. `is_sure`: good enough for the bot to answer with."""

    asked: str
    article_id: str
    title: str
    text: str
    language: str
    score: float
    is_sure: bool


@dataclass(frozen=True, slots=True)
class Alike:
    """A training example, what it means, and how like the message it is: 1 for the same words."""

    text: str
    intent: str
    likeness: float


class HelpDesk:
    """`knowledge`: channel and account -> the articles of its assistant, ranked. `nearest`: channel, account and words
    -> the examples of its training most like them, the most like first.
    """

    def __init__(
        self,
        database: Database,
        knowledge: Callable[[str, str], KnowledgeIndex],
        translator: Translator | None = None,
        nearest: Callable[[str, str, str], Sequence[Alike]] = lambda channel, account, text: (),
    ) -> None:
        self._database, self._knowledge, self._translator, self._nearest = database, knowledge, translator, nearest

    @property
    def translates(self) -> bool:
        """Whether there is somebody who translates."""
        return self._translator is not None

    async def suggest(self, actor: Actor, conversation_id: int) -> Suggestion | None:
        """The best article for the customer's last words; None when nothing fits. Raises: NotPermitted, NotFound."""
        actor.require("conversations.reply")

        def unit(conn: Connection) -> tuple[str, str, str, list[str]]:
            row = visible(conn, actor, conversation_id)
            return row.channel, row.account, row.language or "zh", _last_words(conn, conversation_id)

        channel, account, language, said = await self._database.run(unit, read=True)
        index = self._knowledge(channel, account)
        # The last message alone first: what came before it may have been about something else.
        for asked in dict.fromkeys((said[0] if said else "", " ".join(reversed(said)))):
            hits = await asyncio.to_thread(index.ask, asked, language=_spoken(language), top=1) if asked else ()
            if hits:
                return _suggestion(asked, hits[0])
        return None

    async def articles(self, actor: Actor, conversation_id: int, query: str, *, top: int = 5) -> tuple[ArticleHit, ...]:
        """Articles that fit the words, the best first. Raises: NotPermitted, NotFound."""
        actor.require("knowledge.read")
        row = await self._database.run(lambda conn: visible(conn, actor, conversation_id), read=True)
        words = query.strip()[:LONGEST_QUESTION]
        if not words:
            return ()
        most = max(1, min(top, MOST_ARTICLES))
        index = self._knowledge(row.channel, row.account)
        return await asyncio.to_thread(index.ask, words, language=_spoken(row.language or "zh"), top=most)

    async def examples(self, actor: Actor, conversation_id: int, message_id: int) -> tuple[Alike, ...]:
        """Why the customer's message was understood so: the training examples that are most like it.

        Raises: NotPermitted, NotFound.
        """

        def unit(conn: Connection) -> tuple[str, str, str]:
            row = visible(conn, actor, conversation_id)
            for line in messages_of(conn, [message_id]):
                if line.conversation_id == conversation_id and line.author == "customer":
                    return row.channel, row.account, line.text
            raise NotFound(f"the customer said no message {message_id} here")

        channel, account, said = await self._database.run(unit, read=True)
        if not said.strip():
            return ()
        # All examples are compared: others are served meanwhile.
        found = await asyncio.to_thread(self._nearest, channel, account, said[:LONGEST_QUESTION])
        return tuple(found)[:MOST_EXAMPLES]

    async def translate(self, actor: Actor, conversation_id: int, message_id: int, *, to: str) -> str:
        """The message's words in another language; nothing is stored.

        Raises: NotPermitted, NotFound, RuleError where nobody translates, ServiceUnavailable.
        """
        if self._translator is None:
            raise RuleError("this deployment has nobody who translates")

        def unit(conn: Connection) -> str:
            visible(conn, actor, conversation_id)
            here = (messages.c.id == message_id, messages.c.conversation_id == conversation_id)
            text = conn.execute(select(messages.c.text).where(*here)).scalar()
            if text is None:
                raise NotFound(f"there is no message {message_id} here")
            return str(text)

        return await self._translator.translate(await self._database.run(unit, read=True), to=to)


def _last_words(conn: Connection, conversation_id: int) -> list[str]:
    """What the customer said last, the newest first."""
    said = select(messages.c.text).where(
        messages.c.conversation_id == conversation_id,
        messages.c.direction == "in",
        messages.c.author == "customer",
        messages.c.replaces.is_(None),
        messages.c.text != "",
    )
    rows = conn.execute(said.order_by(messages.c.id.desc()).limit(LAST_WORDS)).scalars()
    return [text[:LONGEST_QUESTION] for text in rows]


def _spoken(language: str) -> Language:
    return "en" if language == "en" else "zh"


def _suggestion(asked: str, hit: ArticleHit) -> Suggestion:
    return Suggestion(asked, hit.article_id, hit.title, hit.answer, hit.language, hit.score, hit.is_sure)
