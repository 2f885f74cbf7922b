"""An index with many edits is built anew beside the one that answers, and loses none of those made meanwhile."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from crm_sync.models import StoredArticle
from frontdesk.library import LoadedLibrary
from frontdesk.renewing import IndexRenewal
from frontdesk.runtimes import Shelf
from nlu.article_fields import Article
from nlu.knowledge import ArticleIndex, Key

HERE = Path("shop")
COLOURS = ("red", "green", "blue", "white", "black", "yellow", "purple", "orange", "brown", "grey", "pink", "golden")
SHELF = tuple(Article(colour, "en", f"Are there {colour} teapots", f"{colour}.") for colour in COLOURS)


def keyed(articles: Iterable[Article]) -> dict[Key, Article]:
    return {(each.id, each.language): each for each in articles}


class Due:
    """Stands in for a large index: building it anew takes until `go`."""

    is_due = True

    def __init__(self) -> None:
        self.go = threading.Event()

    def rebuilt(self, goes_on: Callable[[], None]) -> ArticleIndex:
        while not self.go.wait(0.001):
            goes_on()
        return ArticleIndex(SHELF)


async def test_what_was_edited_while_the_index_was_built_is_in_it() -> None:
    renewal, due, articles = IndexRenewal(), Due(), keyed(SHELF)
    index = cast("ArticleIndex", due)
    assert await renewal.step(HERE, articles, index) is None
    edited = Article("red", "en", "Do you sell scarlet teapots", "Crimson ones.")
    now = {key: each for key, each in {**articles, ("red", "en"): edited}.items() if key[0] != "blue"}
    assert await renewal.step(HERE, now, index) is None  # it is still being built
    due.go.set()
    await renewal._running[HERE].task
    built = await renewal.step(HERE, now, index)
    assert built is not None
    assert built.ask("do you sell scarlet teapots", language="en")[0].answer == "Crimson ones."
    assert "blue" not in {hit.article_id for hit in built.ask("are there blue teapots", language="en", top=20)}
    assert await renewal.step(HERE, now, built) is None  # nothing is due any more


async def test_an_index_of_articles_that_were_all_read_again_meanwhile_is_thrown_away() -> None:
    renewal, due = IndexRenewal(), Due()
    index = cast("ArticleIndex", due)
    await renewal.step(HERE, keyed(SHELF), index)
    due.go.set()
    await renewal._running[HERE].task
    others = keyed(Article(each.id, "en", f"{each.title} now", each.answer) for each in SHELF)
    assert await renewal.step(HERE, others, ArticleIndex(others.values())) is None


async def test_one_that_nobody_waits_for_any_more_is_given_up() -> None:
    renewal, due = IndexRenewal(), Due()
    begun, ended = threading.Event(), threading.Event()

    def rebuilt(goes_on: Callable[[], None]) -> ArticleIndex:
        begun.set()
        try:
            return due.rebuilt(goes_on)
        finally:
            ended.set()

    await renewal.step(HERE, keyed(SHELF), cast("ArticleIndex", SimpleNamespace(is_due=True, rebuilt=rebuilt)))
    task = renewal._running[HERE].task
    assert await asyncio.to_thread(begun.wait, 60)
    renewal.stop()
    assert await asyncio.to_thread(ended.wait, 60)
    assert task.cancelling()


def stored(articles: Iterable[Article]) -> list[StoredArticle]:
    return [StoredArticle(each.id, each.language, each.title, each.answer, each.questions) for each in articles]


def test_what_the_desk_tries_is_made_of_the_index_that_answers() -> None:
    index = ArticleIndex(SHELF)
    shelf = Shelf((), (), {}, datetime(2026, 3, 1, tzinfo=UTC), {}, keyed(SHELF), index)
    loaded: Any = SimpleNamespace(shelf=shelf)
    library = LoadedLibrary(lambda: [loaded], cast("Any", None))
    assert library.index(stored(SHELF)) is index
    draft = StoredArticle("red", "en", "Do you sell scarlet teapots", "Crimson ones.")
    tried = library.index([*stored(SHELF[1:]), draft])
    assert isinstance(tried, ArticleIndex)
    assert tried._parts["en"].shelf is index._parts["en"].shelf
    assert tried.ask("do you sell scarlet teapots", language="en")[0].answer == "Crimson ones."
    of_others = library.index(stored(SHELF[:6]))  # half of them are gone: no edit of that shelf
    assert isinstance(of_others, ArticleIndex)
    assert of_others._parts["en"].shelf is not index._parts["en"].shelf
