"""Articles: read them from files, find the ones that answer a question, say how sure that is.

In: a folder of Markdown with front matter, or a .csv or .jsonl file. Out: `Article`s, and an in-memory index per
language that ranks them (BM25 over words and character pieces). Broken files are `AssistantInvalid` with file, line
and reason; a question never raises.
"""

from __future__ import annotations

import csv
import io
import itertools
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import orjson
import yaml

from bot.errors import AssistantInvalid
from bot.types import ArticleHit, Language
from nlu.embedded.features import Features, features_of
from nlu.embedded.keys import Floats, Ints, Keys, KeyTable, runs
from nlu.language import fold
from nlu.training_data import read_text

# Good enough to answer with: on the 120 paraphrased questions of the sample assistant 19 of 20 answers given from here
# on are right, and it is reached by two questions of five. A business with other articles measures its own with
# `frontdesk knowledge test`. The weights below were fitted on the same questions, so other ones will do worse.
SURE = 0.6

_MAX_QUERY = 300  # characters; beyond them a question is a story, and the cost per question stays bounded
_EXACT = 0.99
_NOTHING = 0.005  # a best hit below this shares a few letters with the question and no more
_COMMON = 12  # a feature is common when more than one article in so many has it
_NOT_SAID = re.compile(r"[\W_]+")
_LIST_SEPARATORS = "|\n；"


@dataclass(frozen=True, slots=True)
class Article:
    """One answer. `questions` are other ways to ask for it."""

    id: str
    language: str
    title: str
    answer: str
    questions: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


class Indexable(Protocol):
    """What the index reads of an article; rows of a store have it too."""

    @property
    def id(self) -> str: ...
    @property
    def language(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def answer(self) -> str: ...
    @property
    def questions(self) -> tuple[str, ...]: ...


# --- reading -------------------------------------------------------------------------------------------------------


def load_articles(path: Path | str) -> list[Article]:
    """The articles at `path`: a folder (its .md, .csv and .jsonl files in depth) or one such file.

    In a folder, CSV files without an `answer` column (lists of test questions) are passed over.
    Raises: AssistantInvalid with file, line and reason; also when two articles share id and language.
    """
    path = Path(path)
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.suffix.lower() in (".md", ".csv", ".jsonl") and p.is_file())
        found = [(article, file) for file in files for article in _read_file(file, path, in_folder=True)]
    elif path.is_file():
        found = [(article, path) for article in _read_file(path, path.parent, in_folder=False)]
    else:
        raise AssistantInvalid("no such file or folder", file=str(path))
    if not found:
        raise AssistantInvalid("holds no articles", file=str(path))
    seen: dict[tuple[str, str], Path] = {}
    for article, file in found:
        key = (article.id, article.language)
        if key in seen:
            raise AssistantInvalid(
                f"article `{article.id}` ({article.language}) is also in {seen[key]}", file=str(file)
            )
        seen[key] = file
    return [article for article, _ in found]


def _read_file(file: Path, root: Path, *, in_folder: bool) -> Iterator[Article]:
    suffix, name = file.suffix.lower(), file.relative_to(root).as_posix()
    if suffix == ".md":
        yield _markdown(read_text(file), name)
    elif suffix == ".csv":
        yield from _table(read_text(file), name, in_folder=in_folder)
    elif suffix == ".jsonl":
        yield from _json_lines(read_text(file), name)
    elif suffix in (".xlsx", ".xls", ".ods"):
        raise AssistantInvalid("spreadsheets are not read; save the sheet as CSV (UTF-8) and import that", file=name)
    else:
        raise AssistantInvalid("articles must be .md, .csv or .jsonl", file=name)


def _markdown(text: str, file: str) -> Article:
    lines = text.splitlines()
    if not lines or lines[0].strip() != "---":
        raise AssistantInvalid("must begin with front matter between two `---` lines", file=file, line=1)
    end = next((i for i, line in enumerate(lines[1:], start=1) if line.strip() == "---"), None)
    if end is None:
        raise AssistantInvalid("front matter is not closed by `---`", file=file, line=1)
    try:
        fields = yaml.safe_load("\n".join(lines[1:end]))
    except yaml.MarkedYAMLError as exc:
        line = exc.problem_mark.line + 2 if exc.problem_mark else 1
        raise AssistantInvalid(f"front matter is not YAML: {exc.problem}", file=file, line=line) from exc
    except yaml.YAMLError as exc:
        raise AssistantInvalid(f"front matter is not YAML: {exc}", file=file, line=1) from exc
    if not isinstance(fields, dict):
        raise AssistantInvalid("front matter must be `key: value` lines", file=file, line=2)
    return _article({**fields, "answer": "\n".join(lines[end + 1 :]).strip()}, file, 1)


def _table(text: str, file: str, *, in_folder: bool) -> Iterator[Article]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    header = [(name or "").strip().lower() for name in reader.fieldnames or ()]
    reader.fieldnames = header
    if in_folder and "answer" not in header:
        return
    missing = [name for name in ("id", "language", "title", "answer") if name not in header]
    if missing:
        raise AssistantInvalid(f"the first line must name a column `{missing[0]}`", file=file, line=1)
    try:
        for row in reader:
            if any(row.values()):
                yield _article({key: value for key, value in row.items() if key}, file, reader.line_num)
    except csv.Error as exc:
        raise AssistantInvalid(f"is not CSV: {exc}", file=file, line=reader.line_num) from exc


def _json_lines(text: str, file: str) -> Iterator[Article]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            fields = orjson.loads(line)
        except orjson.JSONDecodeError as exc:
            raise AssistantInvalid(f"is not JSON: {exc}", file=file, line=number) from exc
        if not isinstance(fields, dict):
            raise AssistantInvalid("each line must be a JSON object", file=file, line=number)
        yield _article(fields, file, number)


def _article(fields: dict[str, Any], file: str, line: int) -> Article:
    def required(name: str) -> str:
        value = fields.get(name)
        if value is None or not str(value).strip():
            raise AssistantInvalid(f"`{name}` is missing", file=file, line=line)
        return str(value).strip()

    language = required("language").lower()
    if language[:2] not in ("zh", "en"):
        raise AssistantInvalid(f"`language` must be zh or en, not {language!r}", file=file, line=line)
    return Article(
        id=required("id"),
        language=language[:2],
        title=required("title"),
        answer=required("answer"),
        questions=_list(fields.get("questions"), "questions", file, line),
        tags=_list(fields.get("tags"), "tags", file, line),
    )


def _list(value: Any, name: str, file: str, line: int) -> tuple[str, ...]:
    """A list, or in a table one cell with `|`, line breaks or `；` between the entries."""
    if value is None:
        return ()
    if isinstance(value, str):
        for separator in _LIST_SEPARATORS:
            value = value.replace(separator, "\n")
        value = value.split("\n")
    if not isinstance(value, list):
        raise AssistantInvalid(f"`{name}` must be a list", file=file, line=line)
    return tuple(str(entry).strip() for entry in value if str(entry).strip())


# --- asking --------------------------------------------------------------------------------------------------------


class ArticleIndex:
    """Implements `bot.ports.KnowledgeIndex`. Immutable after building; safe to share between threads.

    `sure` is the score from which a hit is good enough to answer with.
    """

    def __init__(self, articles: Iterable[Indexable], *, sure: float = SURE) -> None:
        by_language: dict[str, list[Indexable]] = {}
        for article in articles:
            by_language.setdefault(article.language[:2], []).append(article)
        self._sure = sure
        self._parts = {language: _Index(members) for language, members in by_language.items()}

    def ask(self, text: str, *, language: Language, top: int = 3) -> tuple[ArticleHit, ...]:
        """Best first, articles of `language` only; empty when nothing of the question occurs in any."""
        return self.ask_many(((text, language),), top=top)[0]

    def ask_many(self, questions: Sequence[tuple[str, Language]], *, top: int = 3) -> list[tuple[ArticleHit, ...]]:
        """`ask` for each text in its language; together they cost a fraction."""
        texts = tuple(text[:_MAX_QUERY] for text, _ in questions)
        answers: list[tuple[ArticleHit, ...]] = [()] * len(texts)
        if top <= 0 or not texts:
            return answers
        features = features_of(texts)
        for language, part in self._parts.items():
            asked = [place for place, (_, wanted) in enumerate(questions) if wanted == language]
            if not asked:
                continue
            own = features if len(asked) == len(texts) else features.at(np.asarray(asked))
            for place, ranked in zip(asked, part.ask([texts[place] for place in asked], own, top), strict=True):
                answers[place] = tuple(
                    ArticleHit(
                        article.id, article.title, article.answer, article.language, score, is_sure=score >= self._sure
                    )
                    for article, score in ranked
                )
        return answers


Ranked = list[tuple[Indexable, float]]  # articles and their scores, best first


class _Index:
    """BM25F over the articles of one language; postings carry their finished weight, so that asking only adds up.

    Constants k1 and b, and weighting fields before saturation: Robertson and Zaragoza 2009, The Probabilistic
    Relevance Framework. Their values, and the weights of fields and groups, were chosen on the questions of the sample
    assistant and are flat around these.

    The feature at place n of `_known` occurs in the articles `_rows[starts[n]:starts[n] + sizes[n]]` and adds
    `_values[...]` to each of them; `_reach[n]` is what it could add at most.
    """

    _K1, _B = 2.0, 0.6
    _TITLE, _QUESTION, _ANSWER = 2.0, 2.0, 0.7
    # Stems, their pairs, pieces, concepts: meaning before spelling, since a customer's words are rarely the article's.
    _WEIGHTS = np.asarray([1.0, 1.0, 0.5, 2.0])

    def __init__(self, articles: Sequence[Indexable]) -> None:
        self._articles = articles
        total = len(articles)
        row, group, key, times = self._counts(articles)
        lengths = np.bincount(row, times, minlength=total)
        relative = 1 - self._B + self._B * lengths / max(float(lengths.mean()), 1e-9)
        keys, self._starts, self._sizes = np.unique(key, return_index=True, return_counts=True)
        self._known = KeyTable(keys)
        self._reach = self._WEIGHTS[group[self._starts]] * _idf(self._sizes, total)
        self._rows = row
        self._values = times / (times + self._K1 * relative[row]) * np.repeat(self._reach, self._sizes)
        # What a good part of the articles has is quicker added up as whole lines.
        is_common = self._sizes * _COMMON > total
        self._line = np.where(is_common, np.cumsum(is_common) - 1, -1)
        self._lines = np.zeros((int(is_common.sum()), total), dtype=np.float32)
        entries = np.flatnonzero(np.repeat(is_common, self._sizes))
        self._lines[np.repeat(self._line, self._sizes)[entries], row[entries]] = self._values[entries]
        self._unseen = self._WEIGHTS * _idf(np.zeros(len(self._WEIGHTS)), total)
        self._exact = {_plain(way): a for a in reversed(articles) for way in (a.title, *a.questions) if _plain(way)}

    def _counts(self, articles: Sequence[Indexable]) -> tuple[Ints, Ints, Keys, Floats]:
        """Article, group, key and how often it occurs there, title and questions counting more; by key and article."""
        parts = [
            (text, weight, row)
            for row, article in enumerate(articles)
            for text, weight in (
                (article.title, self._TITLE),
                (article.answer, self._ANSWER),
                *((question, self._QUESTION) for question in article.questions),
            )
        ]
        found = features_of(tuple(text for text, _, _ in parts))
        weights, rows = np.asarray([weight for _, weight, _ in parts]), np.asarray([row for _, _, row in parts])
        row, times = rows[found.text], found.count * weights[found.text]
        order = np.lexsort((row, found.key))
        row, key, times, group = row[order], found.key[order], times[order], found.group[order]
        firsts = np.flatnonzero(np.append(True, (row[1:] != row[:-1]) | (key[1:] != key[:-1]))[: len(row)])
        return row[firsts], group[firsts], key[firsts], np.add.reduceat(times, firsts) if len(firsts) else times

    def ask(self, texts: Sequence[str], features: Features, top: int) -> list[Ranked]:
        """For each text: an article whose title or question was typed as it stands comes first."""
        answers = []
        for text, ranked in zip(texts, self._rank(features, top), strict=True):
            exact = self._exact.get(_plain(text))
            if exact is not None:
                ranked = [(exact, _EXACT), *((a, score) for a, score in ranked if a is not exact)][:top]  # noqa: PLW2901
            answers.append(ranked)
        return answers

    def _rank(self, questions: Features, top: int) -> list[Ranked]:
        places, is_known = self._known.find(questions.key)
        known = np.flatnonzero(is_known)
        places, text = places.take(known), questions.text
        asker = text.take(known)
        scores = self._added_up(places, asker, len(questions))
        # What the features of a question could add to one article at most; unseen ones as if one article had them.
        unseen = np.where(is_known, 0.0, self._unseen.take(questions.group))
        reachable = np.bincount(asker, self._reach.take(places), minlength=len(questions))
        reachable = reachable + np.bincount(text, unseen, minlength=len(questions))
        order = np.argsort(-scores, axis=1, kind="stable")[:, : max(top, 2)]
        best = np.take_along_axis(scores, order, axis=1)
        return [
            self._ranked(*each, top) for each in zip(order.tolist(), best.tolist(), reachable.tolist(), strict=True)
        ]

    def _added_up(self, places: Ints, asker: Ints, questions: int) -> Floats:
        """(questions, articles): what the features at these places add, each for the question that has it."""
        line = self._line.take(places)
        rare, common = np.flatnonzero(line < 0), np.flatnonzero(line >= 0)
        rare_places, total = places.take(rare), len(self._articles)
        sizes = self._sizes.take(rare_places)
        entries = runs(self._starts.take(rare_places), sizes)
        cell = np.repeat(asker.take(rare) * total, sizes) + self._rows.take(entries)
        scores = np.bincount(cell, self._values.take(entries), minlength=questions * total).astype(np.float64)
        scores = scores.reshape(questions, total)
        line, ends = line.take(common), np.searchsorted(asker.take(common), np.arange(questions + 1)).tolist()
        for question, (start, end) in enumerate(itertools.pairwise(ends)):
            scores[question] += self._lines.take(line[start:end], axis=0).sum(axis=0)
        return scores

    def _ranked(self, rows: list[int], scores: list[float], reachable: float, top: int) -> Ranked:
        found = [(row, score) for row, score in zip(rows, scores, strict=True) if score > 0]
        hits: Ranked = []
        for place, (row, score) in enumerate(found[:top]):
            margin = score / scores[0] if place else score / found[1][1] if len(found) > 1 else math.inf
            hits.append((self._articles[row], _confidence(score / reachable, margin, reachable)))
        return hits if hits and hits[0][1] >= _NOTHING else []


def _idf(holders: npt.NDArray[Any], total: int) -> Floats:
    return np.log(1 + (total - holders + 0.5) / (holders + 0.5))


def _confidence(share: float, margin: float, evidence: float) -> float:
    """Chance that this is the right article.

    `share`: reached part of what the question could reach; `margin`: score over the best other one; `evidence`: what
    the question could reach, small for a word or two. Logistic regression on the sample assistant's questions, its
    articles' own phrasings (each left out in turn) and small talk.
    """
    logit = 1.48 * math.log(share) + 1.48 * math.log(min(margin, 3.0)) + 3.02 * math.log(min(evidence, 100.0)) - 11.7
    return round(1 / (1 + math.exp(-logit)), 4)


def _plain(text: str) -> str:
    return _NOT_SAID.sub("", fold(text))


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
    reader = csv.DictReader(io.StringIO(read_text(path), newline=""))
    missing = {"question", "article", "language"} - set(reader.fieldnames or ())
    if missing:
        raise AssistantInvalid(f"the first line must name a column `{sorted(missing)[0]}`", file=path.name, line=1)
    rows = [row for row in reader if (row["question"] or "").strip()]
    if not rows:
        raise AssistantInvalid("has no questions", file=path.name)
    return [Question(r["question"].strip(), (r["article"] or "").strip(), (r["language"] or "").strip()) for r in rows]


def evaluate_articles(articles: Path | str, questions: Path | str) -> dict[str, Any]:
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
    return evaluate_index(ArticleIndex(known), asked)


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
