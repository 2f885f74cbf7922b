"""What messages say, understood before anything is decided: all that a worker has claimed at once.

In: claimed messages and what answers on their accounts. Out: `Read`, from which each turn takes its understanding and
articles. Reading together costs half as much; what could not be read so is read by its own turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import cast

from bot.assistant import Assistant
from bot.ports import BatchEngine, BatchIndex, ClaimedMessage, KnowledgeIndex, NluEngine
from bot.types import ArticleHit, Conversation, InboundMessage, Language, Media, Text, Understanding

AT_ONCE = 64  # texts: nobody else gets a word in while they are read
ARTICLES = 3


@dataclass(frozen=True, slots=True)
class AssistantRuntime:
    """What answers on one account: the assistant, what understands for it, and what it knows."""

    assistant: Assistant
    nlu: NluEngine
    knowledge: KnowledgeIndex
    timezone: str
    language: Language


@dataclass(frozen=True, slots=True)
class Read:
    """What is known of texts with one runtime: by words and timezone, and the articles by words and language."""

    runtime: AssistantRuntime
    understood: dict[tuple[str, str], Understanding] = field(default_factory=dict)
    articles: dict[tuple[str, Language], tuple[ArticleHit, ...]] = field(default_factory=dict)


async def read_together(
    conversations: Iterable[tuple[Conversation, Sequence[ClaimedMessage]]], runtime: AssistantRuntime, now: datetime
) -> Read:
    """Everything said in these conversations, as far as the runtime's engine can read many texts at once.

    A voice nobody has heard yet is left out, and so is everything where one text breaks the engine.
    """
    # Asking a Protocol whether this is an instance costs more than a message.
    if not hasattr(runtime.nlu, "parse_many"):
        return Read(runtime)
    engine = cast("BatchEngine", runtime.nlu)
    knowledge = cast("BatchIndex", runtime.knowledge) if hasattr(runtime.knowledge, "ask_many") else None
    said: dict[tuple[str, str], Language] = {}  # words and timezone -> the language to fall back on
    for conversation, messages in conversations:
        timezone = conversation.customer.timezone or runtime.timezone
        for item in messages:
            words = words_of(item.message)
            if words is not None:
                said.setdefault((words, timezone), language_before(conversation, item.message, runtime))
    read = Read(runtime)
    if len(said) < 2:
        return read
    every = list(said)
    for start in range(0, len(every), AT_ONCE):
        part = every[start : start + AT_ONCE]
        texts, timezones = zip(*part, strict=True)
        found = await engine.parse_many(texts, now=now, timezones=timezones)
        read.understood.update(zip(part, found, strict=True))
        if knowledge is not None:
            asked = [
                (understood.text, language_of_words(understood, said[key]))
                for key, understood in zip(part, found, strict=True)
            ]
            if is_slow(knowledge):
                hits = await asyncio.to_thread(knowledge.ask_many, asked, top=ARTICLES)
            else:
                hits = knowledge.ask_many(asked, top=ARTICLES)
            read.articles.update(zip(asked, hits, strict=True))
    return read


async def ask_articles(knowledge: KnowledgeIndex, text: str, language: Language) -> tuple[ArticleHit, ...]:
    """The best articles, in a thread where finding them takes long, so that others are served meanwhile."""
    if is_slow(knowledge):
        return await asyncio.to_thread(knowledge.ask, text, language=language, top=ARTICLES)
    return knowledge.ask(text, language=language, top=ARTICLES)


def is_slow(knowledge: KnowledgeIndex) -> bool:
    """It says so itself, where a question costs it more than the millisecond that nobody minds."""
    return getattr(knowledge, "is_slow", False) is True


def language_before(conversation: Conversation, message: InboundMessage, runtime: AssistantRuntime) -> Language:
    """The language to use where the words themselves do not tell."""
    return conversation.language or hinted_language(message) or runtime.language


def language_of_words(understanding: Understanding, otherwise: Language) -> Language:
    return understanding.language if understanding.language_is_sure else otherwise


def words_of(message: InboundMessage) -> str | None:
    """The words NLU should see; None when nothing was said (a button, a place, an event)."""
    match message.content:
        case Text(text=text):
            return text
        case Media(caption=caption, transcript=transcript):
            return transcript or caption or None
        case _:
            return None


def hinted_language(message: InboundMessage) -> Language | None:
    """Language the channel reports for its user (BCP 47 tag), if we speak it."""
    primary = message.language_hint.lower().split("-")[0].split("_")[0]
    if primary == "zh":
        return "zh"
    return "en" if primary else None


def nothing_said(language: Language) -> Understanding:
    return Understanding(text="", language=language, language_is_sure=False, intents=(), entities=(), engine="none")
