"""Fits the classifier: features, multinomial logistic regression, a temperature and a rejection threshold.

In: `TrainingData`. Out: a `Model` that needs none of this to serve. The only file that imports scikit-learn, and
only inside functions.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from bot.errors import AssistantInvalid
from nlu.embedded.features import Features, extract
from nlu.embedded.model import FORMAT, Floats, Manifest, Model, softmax, weigh
from nlu.entities import build_lexicon
from nlu.training_data import OUT_OF_SCOPE, TrainingData

Labels = npt.NDArray[np.int64]

# Inverse strength of regularisation; chosen by cross-validation on BANKING77's training split, flat from 10 to 20.
_C = 10.0
_FOLDS = 4


@dataclass(frozen=True, slots=True)
class _Vocabulary:
    words: dict[str, int]
    pieces: dict[str, int]
    idf: tuple[float, ...]
    unknown_idf: float

    def matrix(self, texts: Sequence[Features]) -> Any:
        """(texts, features) sparse float32."""
        from scipy import sparse

        rows: list[int] = []
        values: list[float] = []
        ends = [0]
        for text in texts:
            for found, vocabulary in ((text.words, self.words), (text.pieces, self.pieces)):
                weigh(found, vocabulary, self.idf, self.unknown_idf, rows, values)
            ends.append(len(rows))
        shape = (len(texts), len(self.idf))
        return sparse.csr_matrix((np.asarray(values, dtype=np.float32), rows, ends), shape=shape)


@dataclass(frozen=True, slots=True)
class _Fitted:
    vocabulary: _Vocabulary
    weights: Floats
    bias: Floats

    def logits(self, texts: Sequence[Features]) -> Floats:
        scored: Floats = np.asarray(self.vocabulary.matrix(texts) @ self.weights + self.bias, dtype=np.float32)
        return scored


def fit(data: TrainingData, *, seed: int, created_at: datetime | None) -> Model:
    """See `nlu.embedded.model.train_model`."""
    started = time.perf_counter()
    pairs = sorted({(example.text, example.intent) for example in data.examples})
    intents = tuple(sorted({intent for _, intent in pairs}))
    if len(intents) < 2:
        raise AssistantInvalid(f"training needs at least two intents, there is only `{intents[0]}`")
    texts = [extract(text) for text, _ in pairs]
    labels = np.asarray([intents.index(intent) for _, intent in pairs], dtype=np.int64)
    fitted = _fit(texts, labels, len(intents))
    calibration = _calibrate(texts, labels, intents, seed)
    version = hashlib.sha256(f"{FORMAT}:{seed}:{data.content_hash()}".encode()).hexdigest()[:12]
    manifest = Manifest(
        version=version,
        data_hash=data.content_hash(),
        created_at=(created_at or datetime.now(UTC)).isoformat(timespec="seconds"),
        seed=seed,
        intents=intents,
        examples=len(pairs),
        features=len(fitted.vocabulary.idf),
        train_s=round(time.perf_counter() - started, 3),
        temperature=calibration.temperature,
        reject_below=calibration.reject_below,
    )
    return Model(
        manifest=manifest,
        words=fitted.vocabulary.words,
        pieces=fitted.vocabulary.pieces,
        idf=fitted.vocabulary.idf,
        unknown_idf=fitted.vocabulary.unknown_idf,
        weights=fitted.weights,
        bias=fitted.bias,
        lexicon=build_lexicon(data),
    )


def _fit(texts: Sequence[Features], labels: Labels, classes: int) -> _Fitted:
    """Logistic regression over all `classes`; a class without examples gets a bias that keeps it out."""
    from sklearn.linear_model import LogisticRegression

    vocabulary = _vocabulary(texts)
    estimator = LogisticRegression(C=_C, max_iter=300, tol=1e-3)
    estimator.fit(vocabulary.matrix(texts), labels)
    coefficients, intercept = estimator.coef_, estimator.intercept_
    if len(estimator.classes_) == 2:  # one row for the second class; as two rows softmax gives the same
        coefficients = np.vstack([-coefficients / 2, coefficients / 2])
        intercept = np.concatenate([-intercept / 2, intercept / 2])
    weights = np.zeros((len(vocabulary.idf), classes), dtype=np.float32)
    bias = np.full(classes, -50.0, dtype=np.float32)
    weights[:, estimator.classes_] = coefficients.T
    bias[estimator.classes_] = intercept
    return _Fitted(vocabulary, weights, bias)


def _vocabulary(texts: Sequence[Features]) -> _Vocabulary:
    words: Counter[str] = Counter()
    pieces: Counter[str] = Counter()
    for text in texts:
        words.update(set(text.words))
        pieces.update(set(text.pieces))
    # Large data sets repeat themselves: what occurs once there is mostly a typing error.
    least = 2 if len(texts) > 3000 else 1
    kept_words = sorted(word for word, count in words.items() if count >= least)
    kept_pieces = sorted(piece for piece, count in pieces.items() if count >= least)
    counts = [words[word] for word in kept_words] + [pieces[piece] for piece in kept_pieces]
    total = len(texts) + 1
    return _Vocabulary(
        words={word: row for row, word in enumerate(kept_words)},
        pieces={piece: row for row, piece in enumerate(kept_pieces, start=len(kept_words))},
        idf=tuple(math.log(total / (count + 1)) + 1 for count in counts),
        unknown_idf=math.log(total) + 1,
    )


# --- calibration ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Calibration:
    temperature: float
    reject_below: float


def _calibrate(texts: Sequence[Features], labels: Labels, intents: tuple[str, ...], seed: int) -> _Calibration:
    """Temperature and threshold from texts the model did not see.

    Temperature: out-of-fold logits, least negative log-likelihood. Threshold: intents are left out in turn, and the
    scores of their (then foreign) texts are set against those of known texts.
    """
    folds = _folds(labels, seed)
    if folds is None:
        return _Calibration(temperature=1.0, reject_below=0.3)
    logits = np.zeros((len(texts), len(intents)), dtype=np.float32)
    for fold in range(_FOLDS):
        inside = np.flatnonzero(folds != fold)
        outside = np.flatnonzero(folds == fold)
        fitted = _fit([texts[i] for i in inside], labels[inside], len(intents))
        logits[outside] = fitted.logits([texts[i] for i in outside])
    temperature = _temperature(logits, labels)
    return _Calibration(temperature, _threshold(texts, labels, intents, temperature, seed))


def _folds(labels: Labels, seed: int) -> npt.NDArray[np.int64] | None:
    """Fold number of each text, spread evenly within each intent; None when no intent has two texts."""
    random = np.random.default_rng(seed)
    folds = np.zeros(len(labels), dtype=np.int64)
    spread = False
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        folds[members] = (np.arange(len(members)) + random.integers(_FOLDS)) % _FOLDS
        spread |= len(members) > 1
    enough = all(len(np.unique(labels[folds != fold])) >= 2 and (folds == fold).any() for fold in range(_FOLDS))
    return folds if spread and enough else None


def _temperature(logits: Floats, labels: Labels) -> float:
    grid = np.geomspace(0.2, 5.0, 61)
    rows = np.arange(len(labels))
    losses = [-np.log(softmax(logits / np.float32(t))[rows, labels] + 1e-9).mean() for t in grid]
    return round(float(grid[int(np.argmin(losses))]), 4)


def _threshold(
    texts: Sequence[Features], labels: Labels, intents: tuple[str, ...], temperature: float, seed: int
) -> float:
    """The score that best separates texts of known intents from texts of intents left out of training."""
    known: list[Floats] = []
    foreign: list[Floats] = []
    random = np.random.default_rng(seed)
    candidates = [i for i, name in enumerate(intents) if name != OUT_OF_SCOPE]
    if len(candidates) < 4:
        return 0.3
    left_out = np.array_split(random.permutation(candidates), 2)
    holdout = random.random(len(texts)) < 0.2
    for group in left_out:
        is_foreign = np.isin(labels, group)
        inside = np.flatnonzero(~is_foreign & ~holdout)
        if len(np.unique(labels[inside])) < 2:
            return 0.3
        fitted = _fit([texts[i] for i in inside], labels[inside], len(intents))
        for where, scores in ((~is_foreign & holdout, known), (is_foreign & holdout, foreign)):
            chosen = np.flatnonzero(where)
            if len(chosen):
                logits = fitted.logits([texts[i] for i in chosen])
                scores.append(softmax(logits / np.float32(temperature)).max(axis=1))
    if not known or not foreign:
        return 0.3
    inside_scores, foreign_scores = np.concatenate(known), np.concatenate(foreign)
    grid = np.linspace(0.05, 0.9, 86)
    balanced = [(inside_scores >= t).mean() + (foreign_scores < t).mean() for t in grid]
    return round(float(grid[int(np.argmax(balanced))]), 3)
