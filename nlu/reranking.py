"""Orders the articles that words have found by what they mean: a sentence encoder beside BM25, where one is set.

In: a question, and the articles found for it with the chance of each. Out: the same articles in their new order with
new chances. Whether an encoder knows a language at all shows on the articles' own phrasings: where words alone find
more of them, it is not asked. An article's phrasings are encoded when it is first found, and remembered.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from nlu.article_fields import Article, Indexable
from nlu.article_index import Shelf
from nlu.embedded.encoder import SentenceEncoder
from nlu.embedded.features import features_of
from nlu.embedded.remembered import Remembered

Floats = npt.NDArray[np.float32]
Ranked = list[tuple[Indexable, float]]  # articles and their scores, best first

CANDIDATES: Final = 5  # articles that are looked at for a question
_PHRASINGS: Final = 6  # of each article, its title first: each costs 10 ms when it is first met
_REMEMBERED: Final = 20_000  # phrasings and questions; 30 MB
_TRIED, _LEAST_TRIED = 40, 8  # articles on whose phrasings the encoder is tried
_LONGEST: Final = 300  # characters of a question
_WEIGHT, _EVEN = 0.6, 4.0  # of one spread above the usual likeness, and where it speaks neither for nor against
_MOST_ABOVE, _LEAST = 8.0, 1e-4


@dataclass(frozen=True, slots=True)
class Usual:
    """How alike phrasings of different articles are: what an encoder says is only known beside this."""

    mean: float
    spread: float


class Reranker:
    """Safe to share between threads and indexes."""

    def __init__(self, encoder: SentenceEncoder) -> None:
        self._encoder = encoder
        self._known = Remembered(self._read, _REMEMBERED)

    def usual(self, articles: Sequence[Indexable]) -> Usual | None:
        """None where the encoder finds fewer of these articles by another phrasing than words do, or too few tell."""
        told = [article for article in articles if article.questions]
        told = told[:: max(len(told) // _TRIED, 1)][:_TRIED]
        if len(told) < _LEAST_TRIED:
            return None
        asked = [article.questions[0] for article in told]
        likeness = self._vectors(asked) @ self._vectors([article.title for article in told]).T
        own = np.arange(len(told))
        titles = Shelf([Article(article.id, article.language, article.title, "") for article in told])
        by_words, _ = titles.ask(features_of(tuple(asked)))
        if (likeness.argmax(axis=1) == own).sum() < (by_words.argmax(axis=1) == own).sum():
            return None
        others = likeness[~np.eye(len(told), dtype=np.bool_)]
        return Usual(float(others.mean()), max(float(others.std()), 1e-3))

    def reranked(self, text: str, ranked: Ranked, usual: Usual) -> Ranked:
        """Best first. An article is as like the question as the one of its phrasings that is most like it."""
        return self._in_order(self._encoder.vectors([text[:_LONGEST]])[0], ranked, usual)

    def reranked_many(self, asked: Sequence[tuple[str, Ranked]], usual: Usual) -> list[Ranked]:
        """`reranked` for questions that are kept and will be asked again: their vectors are remembered too."""
        questions = self._vectors([text[:_LONGEST] for text, _ in asked]) if asked else ()
        phrasings = {way for _, ranked in asked for article, _ in ranked for way in _ways(article)}
        if phrasings and len(phrasings) <= _REMEMBERED // 2:
            self._vectors(sorted(phrasings))  # read together, and remembered
        return [self._in_order(question, ranked, usual) for question, (_, ranked) in zip(questions, asked, strict=True)]

    def _in_order(self, question: Floats, ranked: Ranked, usual: Usual) -> Ranked:
        ways = [_ways(article) for article, _ in ranked]
        likeness = self._vectors([way for each in ways for way in each]) @ question
        starts = np.cumsum([0, *(len(each) for each in ways[:-1])])
        above = (np.maximum.reduceat(likeness, starts) - usual.mean) / usual.spread
        found = [(article, _chance(score, own)) for (article, score), own in zip(ranked, above.tolist(), strict=True)]
        return sorted(found, key=lambda each: -each[1])

    def _vectors(self, texts: Sequence[str]) -> Floats:
        """Those met before are remembered, the others are encoded together."""
        found = self._known.vectors(texts)
        return np.stack([found[text] for text in texts])

    def _read(self, texts: Sequence[str]) -> dict[str, Floats]:
        return dict(zip(texts, self._encoder.vectors(texts), strict=True))


def _ways(article: Indexable) -> list[str]:
    return [article.title, *article.questions[: _PHRASINGS - 1]]


def _chance(score: float, above: float) -> float:
    """Chance that this is the right article, from the one by words and how far it is above what is usual.

    On 169 English questions of three sample assistants with a small encoder (MiniLM), right articles lie 6 spreads
    above the usual likeness and wrong ones 2; weights from half of this to twice as much put as many first.
    """
    odds = math.log(max(score, _LEAST) / max(1 - score, _LEAST)) + _WEIGHT * (min(above, _MOST_ABOVE) - _EVEN)
    return round(1 / (1 + math.exp(-odds)), 4)
