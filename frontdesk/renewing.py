"""Article indexes with many edits beside them are built anew in a thread, while the old ones answer and are edited.

Building fifty thousand articles takes half a minute: an edit must not wait for it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nlu.article_fields import Article
from nlu.knowledge import ArticleIndex, Key

Articles = Mapping[Key, Article]


class _Stopped(Exception):
    """Nobody wants the index any more."""


@dataclass(frozen=True, slots=True)
class _Running:
    articles: Articles  # that are being indexed
    task: asyncio.Task[ArticleIndex]


class IndexRenewal:
    """One index at a time for each assistant."""

    def __init__(self) -> None:
        self._running: dict[Path, _Running] = {}
        self._stop = threading.Event()

    async def step(self, folder: Path, articles: Articles, index: ArticleIndex) -> ArticleIndex | None:
        """Begins where that is due. Once there is a new index, that one, with what was edited meanwhile; else None.

        `index` answers now, and `articles` are what it holds; both are replaced and never changed.
        """
        running = self._running.get(folder)
        if running is None:
            if index.is_due:
                task = asyncio.create_task(asyncio.to_thread(index.rebuilt, self._goes_on))
                self._running[folder] = _Running(articles, task)
            return None
        if not running.task.done():
            return None
        del self._running[folder]
        return await asyncio.to_thread(caught_up, running.task.result(), running.articles, articles)

    def stop(self) -> None:
        """What is being built is given up."""
        self._stop.set()
        for running in self._running.values():
            running.task.cancel()

    def _goes_on(self) -> None:
        if self._stop.is_set():
            raise _Stopped


def caught_up(index: ArticleIndex, indexed: Articles, now: Articles) -> ArticleIndex | None:
    """The index of `indexed` as one of `now`; None where hardly anything is the same: it was made in vain."""
    changed = [article for key, article in now.items() if indexed.get(key) is not article]
    gone = [key for key in indexed if key not in now]
    if len(changed) + len(gone) > len(now) // 2:
        return None
    return index.updated(changed, gone) if changed or gone else index
