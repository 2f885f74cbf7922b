"""Articles put into order by a sentence encoder: by meaning where it knows the language, else as words have it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import cast

import numpy as np
import pytest

from bot.reading import ask_articles
from bot.types import ArticleHit, Language
from nlu.article_fields import Article
from nlu.embedded.encoder import Floats, SentenceEncoder
from nlu.knowledge import ArticleIndex
from nlu.reranking import Reranker

TOPICS = ("parking", "refund", "parcel", "invoice", "warranty", "birthday", "password", "kettle", "desk", "oven")
ARTICLES = tuple(
    Article(f"{topic}", "en", f"All about the {topic} of yours", "Answer.", (f"{topic} please", "zzz"))
    for topic in TOPICS
)
GARAGE = Article("garage", "en", "The garage and every vehicle", "Here.", ("a place for a vehicle",))


class Knowing:
    """Stands in for an encoder: a direction for each topic, and for the words that mean one without naming it."""

    size = len(TOPICS) + 1

    def __init__(self, **meant: str) -> None:
        self.meant, self.asked = {topic: topic for topic in TOPICS} | meant, 0

    def vectors(self, texts: Sequence[str]) -> Floats:
        self.asked += len(texts)
        found = np.zeros((len(texts), self.size), dtype=np.float32)
        for place, text in enumerate(texts):
            topic = next((topic for word, topic in self.meant.items() if word in text), None)
            found[place, TOPICS.index(topic) if topic else -1] = 1
        return found


def index(encoder: Knowing | None, articles: Sequence[Article] = ARTICLES) -> ArticleIndex:
    return ArticleIndex(articles, reranker=Reranker(cast("SentenceEncoder", encoder)) if encoder else None)


def found(asked: ArticleIndex, text: str, language: Language = "en") -> list[str]:
    return [hit.article_id for hit in asked.ask(text, language=language)]


def test_what_is_meant_comes_before_what_shares_more_words() -> None:
    text = "my vehicle, and the desk too"
    assert found(index(None), text)[0] == "desk"
    ranked = index(Knowing(vehicle="parking"), (*ARTICLES, GARAGE)).ask(text, language="en")
    assert ranked[0].article_id == "garage"
    assert [hit.score for hit in ranked] == sorted((hit.score for hit in ranked), reverse=True)


def test_an_encoder_that_finds_fewer_articles_than_words_do_is_not_asked() -> None:
    stranger = Knowing()
    stranger.meant = {}
    asked = index(stranger)
    tried = stranger.asked
    assert not asked.is_slow
    assert asked.ask("where is my parcel", language="en") == index(None).ask("where is my parcel", language="en")
    assert stranger.asked == tried


def test_words_typed_as_an_article_has_them_need_no_encoder() -> None:
    encoder = Knowing()
    asked = index(encoder)
    tried = encoder.asked
    assert found(asked, "Parcel, please!")[0] == "parcel"
    assert encoder.asked == tried


def test_phrasings_are_encoded_once_and_edits_are_ranked_too() -> None:
    encoder = Knowing(vehicle="parking")
    asked = index(encoder)
    asked.ask("where is the parcel of mine", language="en")
    before = encoder.asked
    asked.ask("where is the parcel of mine", language="en")
    assert encoder.asked == before + 1
    edited = asked.updated([Article("garage", "en", "The vehicle of yours", "Here.")])
    assert edited.is_slow
    assert "garage" in found(edited, "about a vehicle of yours today")


def test_few_articles_tell_nothing_about_an_encoder() -> None:
    assert not index(Knowing(), ARTICLES[:5]).is_slow


@pytest.mark.parametrize("is_slow", [True, False])
async def test_a_slow_index_is_asked_in_a_thread(is_slow: bool) -> None:
    class Index:
        def __init__(self) -> None:
            self.is_slow, self.thread = is_slow, 0

        def ask(self, text: str, *, language: Language, top: int = 3) -> tuple[ArticleHit, ...]:
            self.thread = threading.get_ident()
            return ()

    slow = Index()
    assert await ask_articles(slow, "hello", "en") == ()
    assert (slow.thread != threading.get_ident()) is is_slow
