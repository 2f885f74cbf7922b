"""Find the articles that answer a question, say how sure that is, and measure how good that is.

In: articles (nlu/articles.py reads them from files). Out: an in-memory index per language that ranks them; a question
never raises.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bot.errors import AssistantInvalid
from bot.types import ArticleHit, Language
from nlu.article_fields import Indexable
from nlu.article_index import Additions, Shelf, best_of, plain
from nlu.articles import load_articles
from nlu.embedded.features import Features, features_of
from nlu.reranking import CANDIDATES, Ranked, Reranker, Usual
from nlu.training_data import read_table

# Good enough to answer with: on the 120 paraphrased questions of the sample assistant 19 of 20 answers given from here
# on are right, and it is reached by two questions of five. A business with other articles measures its own with
# `frontdesk knowledge test`. The weights below were fitted on the same questions, so other ones will do worse.
SURE = 0.6

_MAX_QUERY = 300  # characters; beyond them a question is a story, and the cost per question stays bounded
_EXACT = 0.99
_NOTHING = 0.005  # a best hit below this shares a few letters with the question and no more
# So many articles may stand beside a shelf, or a tenth of what is on it; then it should be built anew. Small ones are
# at once (below a second), large ones when whoever holds the index calls `rebuilt`.
_BESIDE: Final = 300
_SMALL: Final = 1500
Key = tuple[str, str]  # id and language


def _now() -> datetime:
    return datetime.now(UTC)


class ArticleIndex:
    """Implements `bot.ports.KnowledgeIndex`. Never changes after building; safe to share between threads.

    `sure` is the score from which a hit is good enough to answer with; `staff`: articles for the staff are found too.
    With a `reranker` the best hits are put into a new order where it knows their language.
    """

    def __init__(
        self,
        articles: Iterable[Indexable],
        *,
        sure: float = SURE,
        staff: bool = False,
        clock: Callable[[], datetime] = _now,
        reranker: Reranker | None = None,
    ) -> None:
        by_language: dict[str, list[Indexable]] = {}
        for article in articles:
            by_language.setdefault(article.language[:2], []).append(article)
        self._sure, self._staff, self._clock = sure, staff, clock
        self._parts = {language: _Part(Shelf(members)) for language, members in by_language.items()}
        self._reranker = reranker
        usual = {language: reranker.usual(members) for language, members in by_language.items()} if reranker else {}
        self._usual: dict[str, Usual] = {language: found for language, found in usual.items() if found is not None}

    @property
    def is_slow(self) -> bool:
        """A question may take long enough to be asked in a thread."""
        return bool(self._usual)

    def updated(self, changed: Collection[Indexable], removed: Collection[Key] = ()) -> ArticleIndex:
        """An index in which these articles are new or say something else, and those are gone.

        It costs what the changed ones cost. See `is_due`.
        """
        other = self._copy()
        keys = {(article.id, article.language) for article in changed} | set(removed)
        for language in {language[:2] for _, language in keys}:
            mine = [article for article in changed if article.language[:2] == language]
            part = self._parts.get(language)
            if part is not None:
                other._parts[language] = part.updated(mine, {key for key in keys if key[1][:2] == language})
            elif mine:
                other._parts[language] = _Part(Shelf(mine))
        return other

    @property
    def is_due(self) -> bool:
        """So much has changed since it was built that `rebuilt` is worth its seconds."""
        return any(part.is_due for part in self._parts.values())

    def rebuilt(self, goes_on: Callable[[], None] = lambda: None) -> ArticleIndex:
        """The same articles, with the statistics of them all. `goes_on` is called often; what it raises ends this."""
        usual = {}
        other = self._copy()
        for language, part in self._parts.items():
            standing = part.standing()
            if standing:
                other._parts[language] = _Part(Shelf(standing, goes_on))
            usual[language] = self._reranker.usual(standing) if self._reranker else None
        other._usual = {language: found for language, found in usual.items() if found is not None}
        return other

    def for_staff(self) -> ArticleIndex:
        """The same articles, with those for the staff."""
        other = self._copy()
        other._staff = True
        return other

    def _copy(self) -> ArticleIndex:
        other = ArticleIndex((), sure=self._sure, staff=self._staff, clock=self._clock, reranker=self._reranker)
        other._parts, other._usual = dict(self._parts), self._usual
        return other

    def ask(self, text: str, *, language: Language, top: int = 3) -> tuple[ArticleHit, ...]:
        """Best first, articles of `language` only; empty when nothing of the question occurs in any."""
        return self.ask_many(((text, language),), top=top)[0]

    def ask_many(self, questions: Sequence[tuple[str, Language]], *, top: int = 3) -> list[tuple[ArticleHit, ...]]:
        """`ask` for each text in its language; together they cost a fraction."""
        texts = tuple(text[:_MAX_QUERY] for text, _ in questions)
        answers: list[tuple[ArticleHit, ...]] = [()] * len(texts)
        if top <= 0 or not texts:
            return answers
        features, now = features_of(texts), self._clock()
        for language, part in self._parts.items():
            asked = [place for place, (_, wanted) in enumerate(questions) if wanted == language]
            if not asked:
                continue
            own = features if len(asked) == len(texts) else features.at(np.asarray(asked))
            hidden = part.hidden(now, staff=self._staff)
            usual = self._usual.get(language)
            most = max(top, CANDIDATES) if usual else top
            found = list(part.ask([texts[each] for each in asked], own, most, hidden))
            if usual is not None:
                self._reorder([texts[each] for each in asked], found, usual)
            for place, ranked in zip(asked, found, strict=True):
                answers[place] = tuple(self._hit(article, score) for article, score in ranked[:top])
        return answers

    def _reorder(self, texts: Sequence[str], found: list[Ranked], usual: Usual) -> None:
        """By what they mean, but where an article was asked for by its own words."""
        doubtful = [place for place, ranked in enumerate(found) if ranked and ranked[0][1] < _EXACT]
        if self._reranker is None or not doubtful:
            return
        asked = [(texts[place], found[place][:CANDIDATES]) for place in doubtful]
        one = self._reranker.reranked
        ordered = [one(*asked[0], usual)] if len(asked) == 1 else self._reranker.reranked_many(asked, usual)
        for place, ranked in zip(doubtful, ordered, strict=True):
            found[place] = ranked + found[place][CANDIDATES:]

    def _hit(self, article: Indexable, score: float) -> ArticleHit:
        return ArticleHit(
            article.id, article.title, article.answer, article.language, score, is_sure=score >= self._sure,
            media=article.details.media, buttons=article.details.buttons,
        )  # fmt: skip


@dataclass(frozen=True)
class _Part:
    """The articles of one language: a shelf, what has left it, and what came since. `gone`: places on the shelf."""

    shelf: Shelf
    gone: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    beside: Additions | None = None

    def __post_init__(self) -> None:
        places = [place for place, article in enumerate(self.articles()) if _is_conditional(article)]
        object.__setattr__(self, "_conditional", places)

    def articles(self) -> list[Indexable]:
        """By place: the shelf's, those that have left it included, then those beside it."""
        return [*self.shelf.articles, *(self.beside.articles if self.beside else ())]

    def at(self, place: int) -> Indexable:
        on_shelf = len(self.shelf.articles)
        if place < on_shelf or self.beside is None:
            return self.shelf.articles[place]
        return self.beside.articles[place - on_shelf]

    def updated(self, changed: Sequence[Indexable], keys: Collection[Key]) -> _Part:
        beside = [
            each for each in (self.beside.articles if self.beside else ()) if (each.id, each.language) not in keys
        ]
        beside += changed
        leaving = [place for place, each in enumerate(self.shelf.articles) if (each.id, each.language) in keys]
        gone = np.union1d(self.gone, np.asarray(leaving, dtype=np.int64))
        if self._is_due(len(beside), len(gone)) and len(self.shelf.articles) <= _SMALL:
            return _Part(Shelf([*_without(self.shelf.articles, gone), *beside]))
        return _Part(self.shelf, gone, Additions(self.shelf, beside, self.beside) if beside else None)

    @property
    def is_due(self) -> bool:
        return self._is_due(len(self.beside.articles) if self.beside else 0, len(self.gone))

    def _is_due(self, beside: int, gone: int) -> bool:
        """So many articles are beside the shelf or have left it that those that are left should be indexed anew."""
        on_shelf = len(self.shelf.articles)
        return beside + gone > max(_BESIDE, on_shelf // 10) and beside + on_shelf > gone

    def standing(self) -> list[Indexable]:
        """Those that are on the shelf still, and those beside it."""
        return [*_without(self.shelf.articles, self.gone), *(self.beside.articles if self.beside else ())]

    def hidden(self, now: datetime, *, staff: bool) -> npt.NDArray[np.int64]:
        """Places whose articles may not answer now."""
        conditional: list[int] = self._conditional  # type: ignore[attr-defined]
        closed = [place for place in conditional if not self.at(place).details.is_for(now, staff=staff)]
        return np.concatenate([self.gone, np.asarray(closed, dtype=np.int64)]) if closed else self.gone

    def ask(
        self, texts: Sequence[str], features: Features, top: int, hidden: npt.NDArray[np.int64]
    ) -> Iterable[Ranked]:
        """For each text: an article whose title or question was typed as it stands comes first."""
        scores, reachable = self.shelf.ask(features)
        if self.beside is not None:
            scores = np.concatenate([scores, self.beside.scores(features)], axis=1)
        if len(hidden):
            scores[:, hidden] = 0.0
        best = best_of(scores, max(top, 2))
        for text, (rows, reached), most in zip(texts, best, reachable.tolist(), strict=True):
            ranked = self._ranked(rows, reached, most, top)
            exact = self._exact(plain(text), hidden)
            if exact is not None:
                ranked = [(exact, _EXACT), *((a, score) for a, score in ranked if a is not exact)][:top]
            yield ranked

    def _exact(self, words: str, hidden: npt.NDArray[np.int64]) -> Indexable | None:
        place = self.shelf.exact.get(words)
        if place is not None and not (hidden == place).any():
            return self.shelf.articles[place]
        beside = self.beside.exact.get(words) if self.beside is not None else None
        if beside is None or (hidden == beside + len(self.shelf.articles)).any():
            return None
        return self.at(beside + len(self.shelf.articles))

    def _ranked(self, rows: list[int], scores: list[float], reachable: float, top: int) -> Ranked:
        found = [(row, score) for row, score in zip(rows, scores, strict=True) if score > 0]
        hits: Ranked = []
        for place, (row, score) in enumerate(found[:top]):
            margin = score / scores[0] if place else score / found[1][1] if len(found) > 1 else math.inf
            hits.append((self.at(row), _confidence(score / reachable, margin, reachable)))
        return hits if hits and hits[0][1] >= _NOTHING else []


def _without(articles: Sequence[Indexable], gone: npt.NDArray[np.int64]) -> list[Indexable]:
    left = set(gone.tolist())
    return [each for place, each in enumerate(articles) if place not in left]


def _is_conditional(article: Indexable) -> bool:
    details = article.details
    return bool(details.audience or details.valid_from or details.valid_until)


def _confidence(share: float, margin: float, evidence: float) -> float:
    """Chance that this is the right article.

    `share`: reached part of what the question could reach; `margin`: score over the best other one; `evidence`: what
    the question could reach, small for a word or two. Logistic regression on the sample assistant's questions, its
    articles' own phrasings (each left out in turn) and small talk.
    """
    logit = 1.48 * math.log(share) + 1.48 * math.log(min(margin, 3.0)) + 3.02 * math.log(min(evidence, 100.0)) - 11.7
    return round(1 / (1 + math.exp(-logit)), 4)


# --- measuring -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Question:
    """A test question and the id of the article that answers it ("" or `none`: no article does)."""

    text: str
    article: str
    language: str


def load_questions(path: Path | str) -> list[Question]:
    """Questions from a CSV with columns question, article, language. Raises: AssistantInvalid."""
    path = Path(path)
    if not path.is_file():
        raise AssistantInvalid("no such file", file=str(path))
    reader = csv.DictReader(io.StringIO(read_table(path).text, newline=""))
    missing = {"question", "article", "language"} - set(reader.fieldnames or ())
    if missing:
        raise AssistantInvalid(f"the first line must name a column `{sorted(missing)[0]}`", file=path.name, line=1)
    rows = [row for row in reader if (row["question"] or "").strip()]
    if not rows:
        raise AssistantInvalid("has no questions", file=path.name)
    return [Question(r["question"].strip(), (r["article"] or "").strip(), (r["language"] or "").strip()) for r in rows]


def evaluate_articles(articles: Path | str, questions: Path | str, reranker: Reranker | None = None) -> dict[str, Any]:
    """How often the right article comes first, among five, and its mean reciprocal rank (0 beyond the first ten).

    `sure_share`: questions answered without asking back; `sure_precision`: how many of these answers are right.
    Raises: AssistantInvalid, also for a question whose article does not exist.
    """
    known = load_articles(articles)
    asked = load_questions(questions)
    ids = {(article.id, article.language) for article in known}
    for question in asked:
        if question.article not in ("", "none") and (question.article, question.language) not in ids:
            reason = f"question {question.text!r} names the unknown article `{question.article}` ({question.language})"
            raise AssistantInvalid(reason, file=str(questions))
    return evaluate_index(ArticleIndex(known, reranker=reranker), asked)


def evaluate_index(index: ArticleIndex, questions: Sequence[Question]) -> dict[str, Any]:
    """The measures of `evaluate_articles`; questions without an article count only where nothing should be sure."""
    ranks: list[int] = []
    sure = sure_and_right = 0
    for question in questions:
        hits = index.ask(question.text, language="zh" if question.language.startswith("zh") else "en", top=10)
        found = [hit.article_id for hit in hits]
        if question.article not in ("", "none"):
            ranks.append(found.index(question.article) + 1 if question.article in found else 0)
        if hits and hits[0].is_sure:
            sure += 1
            sure_and_right += hits[0].article_id == question.article
    return {
        "recall@1": round(sum(rank == 1 for rank in ranks) / max(len(ranks), 1), 4),
        "recall@5": round(sum(1 <= rank <= 5 for rank in ranks) / max(len(ranks), 1), 4),
        "mrr": round(sum(1 / rank for rank in ranks if rank) / max(len(ranks), 1), 4),
        "sure_share": round(sure / max(len(questions), 1), 4),
        "sure_precision": round(sure_and_right / sure, 4) if sure else None,
        "questions": len(questions),
    }
