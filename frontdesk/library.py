"""The assistants as the desk works on them: their files, how their answers are found and how channels show them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bot.assistant import Assistant
from bot.errors import AssistantInvalid, NotFound
from bot.ports import BatchIndex, Encoder
from bot.types import OutPart, RenderedReply
from crm_sync.models import StoredArticle
from frontdesk.policies import model_name
from frontdesk.runtimes import LoadedAssistant, Shelf, training_hash
from frontdesk.sentence_encoder import article_reranker, sentence_encoder
from nlu.article_fields import Indexable
from nlu.embedded.model import unpack
from nlu.knowledge import ArticleIndex, Key

# An index with so few other articles, and at most one in ten, is made of one that is there.
MOST_EDITED: Final = 300
_MOSTLY: Final = 10


@dataclass(frozen=True, slots=True)
class LoadedLibrary:
    """Implements `desk.library.AssistantLibrary` over the assistants this process has loaded."""

    loaded: Callable[[], Iterable[LoadedAssistant]]
    encoder: Encoder
    served: Sequence[str] = ()
    sentence_encoder_in: Path | None = None

    def names(self) -> Sequence[str]:
        return sorted(self._by_name())

    def assistant(self, name: str) -> Assistant:
        return self._loaded(name).assistant

    async def seeded_articles(self, name: str) -> Sequence[StoredArticle]:
        return [
            StoredArticle(each.id, each.language, each.title, each.answer, each.questions, details=each.details)
            for each in self._loaded(name).shelf.seeds
        ]

    def seeded_assistant(self, name: str) -> Assistant:
        return self._loaded(name).seeded

    def index(self, articles: Iterable[StoredArticle]) -> BatchIndex:
        wanted = {(each.id, each.language): each for each in articles}
        for loaded in self.loaded():
            found = _edited(loaded.shelf, wanted)
            if found is not None:
                return found
        return ArticleIndex(wanted.values(), reranker=article_reranker(self.sentence_encoder_in))

    def channels(self) -> Sequence[str]:
        return self.served

    def encode(self, channel: str, reply: RenderedReply) -> tuple[OutPart, ...]:
        try:
            return self.encoder.encode(channel, reply)
        except KeyError as exc:
            raise NotFound(f"no account of channel {channel!r} is served here") from exc

    async def files_hash(self, name: str) -> str:
        return await asyncio.to_thread(training_hash, self._loaded(name).folder)

    async def why_unreadable(self, packed: bytes) -> str:
        try:
            encoder = await asyncio.to_thread(sentence_encoder, self.sentence_encoder_in)
            await asyncio.to_thread(unpack, packed, encoder)
        except AssistantInvalid as error:
            return error.reason
        return ""

    def folder(self, name: str) -> Path:
        """Raises: NotFound."""
        return self._loaded(name).folder

    def _by_name(self) -> Mapping[str, LoadedAssistant]:
        return {model_name(each.folder): each for each in self.loaded()}

    def _loaded(self, name: str) -> LoadedAssistant:
        found = self._by_name().get(name)
        if found is None:
            raise NotFound(f"there is no assistant {name!r}")
        return found


def _edited(shelf: Shelf, wanted: Mapping[Key, StoredArticle]) -> ArticleIndex | None:
    """The index of a shelf with exactly the articles that are wanted; None where too much differs.

    Fifty thousand articles are compared in a tenth of a second and indexed in half a minute.
    """
    gone = [key for key in shelf.articles if key not in wanted]
    most = min(MOST_EDITED, len(shelf.articles) // _MOSTLY)
    if len(gone) > most:
        return None
    changed: list[Indexable] = []
    for key, article in wanted.items():
        known = shelf.articles.get(key)
        if known is None or not _says_the_same(known, article):
            changed.append(article)
            if len(gone) + len(changed) > most:
                return None
    return shelf.index.updated(changed, gone) if changed or gone else shelf.index


def _says_the_same(one: Indexable, other: Indexable) -> bool:
    return (one.title, one.answer, one.questions, one.details) == (
        other.title, other.answer, other.questions, other.details,
    )  # fmt: skip
