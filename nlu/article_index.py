"""Ranks the articles of one language for a question: BM25 over words, pairs, character pieces and concepts.

`Shelf` is built once over many articles; `Additions` are those that came since, weighed as if they stood on it, so that
an edit costs milliseconds instead of a rebuild. Pure: arrays in, arrays out.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from nlu.article_fields import Indexable
from nlu.embedded.features import Features, features_of
from nlu.embedded.keys import Floats, Ints, Keys, KeyTable, runs
from nlu.language import fold

_COMMON = 12  # a feature is common when more than one article in so many has it
_NOT_SAID = re.compile(r"[\W_]+")
_CHUNK: Final = 1000  # articles read at a time: what is counted of one is forgotten before the next
_FEW: Final = 2000  # articles that are sorted for every question
K1, B = 2.0, 0.6
_TITLE, _QUESTION, _ANSWER = 2.0, 2.0, 0.7
# Stems, their pairs, pieces, concepts: meaning before spelling, since a customer's words are rarely the article's.
_WEIGHTS: Final = np.asarray([1.0, 1.0, 0.5, 2.0])

Counted = tuple[npt.NDArray[np.int32], npt.NDArray[np.int8], Keys, npt.NDArray[np.float32]]


class Shelf:
    """BM25F over the articles of one language; postings carry their finished weight, so that asking only adds up.

    Constants k1 and b, and weighting fields before saturation: Robertson and Zaragoza 2009, The Probabilistic
    Relevance Framework. Their values, and the weights of fields and groups, were chosen on the questions of the sample
    assistant and are flat around these.

    The feature at place n of `known` occurs in the articles `_rows[starts[n]:starts[n] + sizes[n]]` and adds
    `_values[...]` to each of them; `reach[n]` is what it could add at most.
    """

    def __init__(self, articles: Sequence[Indexable], goes_on: Callable[[], None] = lambda: None) -> None:
        """`goes_on` is called now and then: it may take seconds, and what is raised there ends it."""
        self.articles = articles
        total = len(articles)
        row, group, key, times = counts_of(articles, goes_on)
        lengths = np.bincount(row, times, minlength=total)
        self.mean_length = max(float(lengths.mean()), 1e-9)
        relative = 1 - B + B * lengths / self.mean_length
        keys, starts, sizes = np.unique(key, return_index=True, return_counts=True)
        self._starts, self._sizes = starts.astype(np.int64), sizes.astype(np.int64)
        self.known = KeyTable(keys)
        self.reach = _WEIGHTS[group[starts]] * _idf(sizes, total)
        # Many articles take half the memory so; few are added up a little faster as they are.
        is_small = total <= _FEW
        self._rows = row.astype(np.int64) if is_small else row
        values = times / (times + K1 * relative[row]) * np.repeat(self.reach, sizes)
        self._values = values if is_small else values.astype(np.float32)
        # What a good part of the articles has is quicker added up as whole lines.
        is_common = sizes * _COMMON > total
        self._line = np.where(is_common, np.cumsum(is_common) - 1, -1)
        self._lines = np.zeros((int(is_common.sum()), total), dtype=np.float32)
        entries = np.flatnonzero(np.repeat(is_common, sizes))
        self._lines[np.repeat(self._line, sizes)[entries], row[entries]] = self._values[entries]
        self.unseen = _WEIGHTS * _idf(np.zeros(len(_WEIGHTS)), total)
        self.exact = exact_of(articles)

    def ask(self, questions: Features) -> tuple[Floats, Floats]:
        """(questions, articles): what each question's features add to each article; and for each question the most that
        they could add to one, unseen features as if one article had them.
        """
        places, is_known = self.known.find(questions.key)
        unseen = np.where(is_known, 0.0, self.unseen.take(questions.group))
        reachable: Floats = np.bincount(questions.text, unseen, minlength=len(questions)).astype(np.float64)
        known = np.flatnonzero(is_known)
        places, asker = places.take(known), questions.text.take(known)
        reachable = reachable + np.bincount(asker, self.reach.take(places), minlength=len(questions))
        line = self._line.take(places)
        rare, common = np.flatnonzero(line < 0), np.flatnonzero(line >= 0)
        rare_places, total = places.take(rare), len(self.articles)
        sizes = self._sizes.take(rare_places)
        entries = runs(self._starts.take(rare_places), sizes)
        cell = np.repeat(asker.take(rare) * total, sizes) + self._rows.take(entries)
        scores = np.bincount(cell, self._values.take(entries), minlength=len(questions) * total).astype(np.float64)
        scores = scores.reshape(len(questions), total)
        line, ends = line.take(common), np.searchsorted(asker.take(common), np.arange(len(questions) + 1)).tolist()
        for question, (start, end) in enumerate(itertools.pairwise(ends)):
            if end > start:
                scores[question] += self._lines.take(line[start:end], axis=0).sum(axis=0)
        return scores, reachable


class Additions:
    """Articles that came after `shelf` was built, with its statistics.

    Of those that stood here `before` nothing is counted again, so that one more costs what that one costs.
    """

    def __init__(self, shelf: Shelf, articles: Sequence[Indexable], before: Additions | None = None) -> None:
        self.articles = articles
        self._counted = row, group, key, times = _counts_beside(articles, before)
        lengths = np.bincount(row, times, minlength=len(articles))
        relative = 1 - B + B * lengths / shelf.mean_length
        places, is_known = shelf.known.find(key)
        reach = np.where(is_known, shelf.reach.take(places, mode="clip"), shelf.unseen.take(group))
        keys, starts, sizes = np.unique(key, return_index=True, return_counts=True)
        self._known, self._starts, self._sizes = KeyTable(keys), starts.astype(np.int64), sizes.astype(np.int64)
        self._rows, self._values = row, times / (times + K1 * relative[row]) * reach
        self.exact = exact_of(articles)

    def scores(self, questions: Features) -> Floats:
        """As those of the shelf."""
        total = len(self.articles)
        places, is_known = self._known.find(questions.key)
        known = np.flatnonzero(is_known)
        places, asker = places.take(known), questions.text.take(known)
        sizes = self._sizes.take(places)
        entries = runs(self._starts.take(places), sizes)
        cell = np.repeat(asker * total, sizes) + self._rows.take(entries)
        scores = np.bincount(cell, self._values.take(entries), minlength=len(questions) * total).astype(np.float64)
        return scores.reshape(len(questions), total)


def _counts_beside(articles: Sequence[Indexable], before: Additions | None) -> Counted:
    """As `counts_of`, but the articles of a key are in any order."""
    if before is None:
        return counts_of(articles)
    at = {id(article): place for place, article in enumerate(before.articles)}  # they live as long as `before`
    moved, fresh = np.full(len(before.articles), -1, dtype=np.int32), []
    for place, article in enumerate(articles):
        if (old := at.get(id(article))) is None:
            fresh.append(place)
        else:
            moved[old] = place
    row, group, key, times = before._counted
    kept = np.flatnonzero(moved.take(row) >= 0)
    row, group, key, times = moved.take(row.take(kept)), group.take(kept), key.take(kept), times.take(kept)
    if fresh:
        new = counts_of([articles[place] for place in fresh])
        row = np.concatenate((row, np.asarray(fresh, dtype=np.int32).take(new[0])))
        group, key, times = (
            np.concatenate((group, new[1])),
            np.concatenate((key, new[2])),
            np.concatenate((times, new[3])),
        )
    order = np.argsort(key, kind="stable")
    return row.take(order), group.take(order), key.take(order), times.take(order)


def best_of(scores: Floats, count: int) -> list[tuple[list[int], list[float]]]:
    """Of each row the places of the `count` highest, best first, the earlier of equal ones, and how high they are."""
    if scores.shape[1] <= _FEW:
        order = np.argsort(-scores, axis=1, kind="stable")[:, :count]
        best = np.take_along_axis(scores, order, axis=1)
        return list(zip(order.tolist(), best.tolist(), strict=True))
    return [(places.tolist(), row[places].tolist()) for row in scores for places in (_best_in(row, count),)]


def _best_in(row: Floats, count: int) -> Ints:
    """As `best_of`, of one long row: it is not sorted, only looked through."""
    least = np.partition(row, len(row) - count)[len(row) - count]
    # Nothing tells the zeros apart, and there may be very many.
    places = np.flatnonzero(row >= least) if least > 0 else np.flatnonzero(row > 0)
    return places[np.argsort(-row[places], kind="stable")][:count]


def counts_of(articles: Sequence[Indexable], goes_on: Callable[[], None] = lambda: None) -> Counted:
    """Article, group, key and how often it occurs there, title and questions counting more; by key and article."""
    found = []
    for part in _counted(articles):
        goes_on()
        found.append(part)
    row, group = np.concatenate([each[0] for each in found]), np.concatenate([each[1] for each in found])
    key, times = np.concatenate([each[2] for each in found]), np.concatenate([each[3] for each in found])
    order = np.argsort(key, kind="stable")  # the articles of a key are in order already
    return row[order], group[order], key[order], times[order]


def _counted(articles: Sequence[Indexable]) -> Iterator[Counted]:
    for start in range(0, len(articles), _CHUNK):
        parts = [
            (text, weight, row)
            for row, article in enumerate(articles[start : start + _CHUNK], start=start)
            for text, weight in (
                (article.title, _TITLE),
                (article.answer, _ANSWER),
                *((question, _QUESTION) for question in article.questions),
            )
        ]
        found = features_of(tuple(text for text, _, _ in parts))
        weights, rows = np.asarray([weight for _, weight, _ in parts]), np.asarray([row for _, _, row in parts])
        row, times = rows[found.text], found.count * weights[found.text]
        order = np.lexsort((found.key, row))
        row, key, times, group = row[order], found.key[order], times[order], found.group[order]
        firsts = np.flatnonzero(np.append(True, (row[1:] != row[:-1]) | (key[1:] != key[:-1]))[: len(row)])
        summed = np.add.reduceat(times, firsts) if len(firsts) else times
        yield row[firsts].astype(np.int32), group[firsts].astype(np.int8), key[firsts], summed.astype(np.float32)


def exact_of(articles: Sequence[Indexable]) -> dict[str, int]:
    """Titles and questions as they are typed, with the place of their article; the first one's win."""
    found: dict[str, int] = {}
    for place, article in enumerate(articles):
        for way in (article.title, *article.questions):
            if words := plain(way):
                found.setdefault(words, place)
    return found


def plain(text: str) -> str:
    return _NOT_SAID.sub("", fold(text))


def _idf(holders: npt.NDArray[Any], total: int) -> Floats:
    idf: Floats = np.log(1 + (total - holders + 0.5) / (holders + 0.5))
    return idf
