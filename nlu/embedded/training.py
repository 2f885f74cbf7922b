"""Fits the classifier: features, multinomial logistic regression, a temperature and a rejection threshold.

In: `TrainingData`. Out: a `Model` that needs none of this to serve. The only file that imports scikit-learn, and
only inside functions.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from bot.errors import AssistantInvalid
from nlu.embedded.features import Features, features_of
from nlu.embedded.model import FORMAT_VERSION, Floats, Manifest, Model, softmax
from nlu.embedded.vocabulary import Vocabulary, build_vocabulary
from nlu.lexicon import build_lexicon
from nlu.training_data import OUT_OF_SCOPE, TrainingData

Labels = npt.NDArray[np.int64]

# Inverse strength of regularisation; held-out rows of BANKING77's training split, ten examples per intent:
# 5 to 20 differ by half a point.
_C = 10.0
_FOLDS = 4
_MAX_LOSS = 0.1
_BARE_EXAMPLES, _BARE_VALUES = 3, 60
# From so many examples on, part of them is enough to calibrate with.
_LARGE = 3000
_FALLBACK_THRESHOLD = 0.3
_SEPARATORS = re.compile(r"[_\W]+")


@dataclass(frozen=True, slots=True)
class _Labelled:
    """What is learnt from: features of texts, the intent number of each, and features of the intents' names."""

    texts: Features
    labels: Labels
    names: Features
    knows_out_of_scope: bool

    def at(self, rows: Labels) -> _Labelled:
        return _Labelled(self.texts.at(rows), self.labels[rows], self.names, self.knows_out_of_scope)


@dataclass(frozen=True, slots=True)
class _Fitted:
    vocabulary: Vocabulary
    weights: Floats
    bias: Floats
    knows_out_of_scope: bool

    def logits(self, texts: Features) -> Floats:
        """(texts, intents), before temperature; flattened as `Model.probabilities` does."""
        scored: Floats = np.asarray(_matrix(self.vocabulary, texts) @ self.weights + self.bias, dtype=np.float32)
        if self.knows_out_of_scope:
            return scored
        return scored * self.vocabulary.familiarity(texts).astype(np.float32)[:, None]


def fit(data: TrainingData, *, seed: int, created_at: datetime | None) -> Model:
    """See `nlu.embedded.model.train_model`."""
    started = time.perf_counter()
    pairs = sorted({(example.text, example.intent) for example in data.examples} | _bare_values(data))
    intents = tuple(sorted({intent for _, intent in pairs}))
    if len(intents) < 2:
        raise AssistantInvalid(f"training needs at least two intents, there is only `{intents[0]}`")
    texts = features_of(tuple(text for text, _ in pairs))
    labels = np.asarray([intents.index(intent) for _, intent in pairs], dtype=np.int64)
    names = features_of(tuple("" if name == OUT_OF_SCOPE else _SEPARATORS.sub(" ", name) for name in intents))
    labelled = _Labelled(texts, labels, names, OUT_OF_SCOPE in intents)
    fitted = _fit(labelled)
    calibration = _calibrate(labelled, intents, seed)
    version = hashlib.sha256(f"{FORMAT_VERSION}:{seed}:{data.content_hash()}".encode()).hexdigest()[:12]
    manifest = Manifest(
        version=version,
        data_hash=data.content_hash(),
        created_at=(created_at or datetime.now(UTC)).isoformat(timespec="seconds"),
        seed=seed,
        intents=intents,
        examples=len(data.examples),
        features=len(fitted.vocabulary),
        train_s=round(time.perf_counter() - started, 3),
        temperature=calibration.temperature,
        reject_below=calibration.reject_below,
    )
    return Model(
        manifest=manifest,
        vocabulary=fitted.vocabulary,
        weights=fitted.weights,
        bias=fitted.bias,
        lexicon=build_lexicon(data),
    )


def _bare_values(data: TrainingData) -> set[tuple[str, str]]:
    """(phrase, intent) for known phrases of an entity whose values alone were given as examples of an intent.

    Where "kettle" and "duvet" alone are examples of `inform`, so are the other products, sixty at most per entity.
    """
    alone: Counter[tuple[str, str]] = Counter()
    for example in data.examples:
        if (
            len(example.entities) == 1
            and example.text == example.text[example.entities[0].start : example.entities[0].end]
        ):
            alone[example.intent, example.entities[0].name] += 1
    given = {example.text for example in data.examples}
    more: set[tuple[str, str]] = set()
    for (intent, entity), count in alone.items():
        phrases = sorted({p for k in data.lookups if k.entity == entity for p in k.phrases} - given)
        if count >= _BARE_EXAMPLES and phrases:
            more |= {(phrase, intent) for phrase in phrases[:: -(-len(phrases) // _BARE_VALUES)]}
    return more


def _fit(labelled: _Labelled) -> _Fitted:
    """Logistic regression over all intents; an intent without examples gets a bias that keeps it out.

    An intent's name is one more example of it (worth a point of accuracy with ten examples per intent; not measured
    with more).
    """
    from sklearn.linear_model import LogisticRegression

    names = labelled.names
    named = np.asarray([label for label in np.unique(labelled.labels) if names.has_words(label)], dtype=np.int64)
    texts = labelled.texts + names.at(named)
    labels = np.concatenate([labelled.labels, named])
    vocabulary = build_vocabulary(texts)
    estimator = LogisticRegression(C=_C, max_iter=300, tol=1e-3)
    estimator.fit(_matrix(vocabulary, texts), labels)
    coefficients, intercept = estimator.coef_, estimator.intercept_
    if len(estimator.classes_) == 2:  # one row for the second class; as two rows softmax gives the same
        coefficients = np.vstack([-coefficients / 2, coefficients / 2])
        intercept = np.concatenate([-intercept / 2, intercept / 2])
    weights = np.zeros((len(vocabulary), len(names)), dtype=np.float32)
    bias = np.full(len(names), -50.0, dtype=np.float32)
    weights[:, estimator.classes_] = coefficients.T
    bias[estimator.classes_] = intercept
    return _Fitted(vocabulary, weights, bias, labelled.knows_out_of_scope)


def _matrix(vocabulary: Vocabulary, texts: Features) -> Any:
    """(texts, features) sparse float32."""
    from scipy import sparse

    rows, values, starts = vocabulary.vectors(texts)
    return sparse.csr_matrix((values.astype(np.float32), rows, starts), shape=(len(texts), len(vocabulary)))


# --- calibration ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Calibration:
    temperature: float
    reject_below: float


def _calibrate(labelled: _Labelled, intents: tuple[str, ...], seed: int) -> _Calibration:
    """Temperature and threshold from texts the model did not see.

    Temperature: out-of-fold logits, least negative log-likelihood. Threshold: intents are left out in turn, and the
    scores of their (then foreign) texts are set against those of known texts.
    """
    labels = labelled.labels
    folds = _folds(labels, seed)
    if folds is None:
        return _Calibration(temperature=1.0, reject_below=_FALLBACK_THRESHOLD)
    unseen: list[Floats] = []
    truth: list[Labels] = []
    for fold in range(2 if len(labels) > _LARGE else _FOLDS):
        fitted = _fit(labelled.at(np.flatnonzero(folds != fold)))
        outside = labelled.at(np.flatnonzero(folds == fold))
        unseen.append(fitted.logits(outside.texts))
        truth.append(outside.labels)
    logits, labels = np.concatenate(unseen), np.concatenate(truth)
    temperature = _temperature(logits, labels)
    probabilities = softmax(logits / np.float32(temperature))
    believed = probabilities.max(axis=1)[probabilities.argmax(axis=1) == labels]
    foreign = _foreign_scores(labelled, intents, temperature, seed)
    return _Calibration(temperature, _threshold(believed, foreign))


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


def _foreign_scores(labelled: _Labelled, intents: tuple[str, ...], temperature: float, seed: int) -> Floats:
    """Best scores of texts whose intent was left out of training, a third of the intents at a time."""
    ours = [number for number, name in enumerate(intents) if name != OUT_OF_SCOPE]
    if len(ours) < 6:
        return np.zeros(0, dtype=np.float32)
    scores: list[Floats] = []
    groups = np.array_split(np.random.default_rng(seed).permutation(ours), 3)
    for group in groups[: 1 if len(labelled.labels) > _LARGE else 3]:
        is_foreign = np.isin(labelled.labels, group)
        fitted = _fit(labelled.at(np.flatnonzero(~is_foreign)))
        logits = fitted.logits(labelled.at(np.flatnonzero(is_foreign)).texts)
        scores.append(softmax(logits / np.float32(temperature)).max(axis=1))
    return np.concatenate(scores)


def _threshold(believed: Floats, foreign: Floats) -> float:
    """The score that rejects most foreign texts for the least loss among `believed`, the rightly understood ones.

    Never one that would reject more than a tenth of those: intents left out are closer to the others than what
    customers really say off topic, so the plain optimum is too strict.
    """
    if not len(believed) or not len(foreign):
        return _FALLBACK_THRESHOLD
    grid = np.linspace(0.05, 0.9, 86)
    grid = grid[[(believed < t).mean() <= _MAX_LOSS for t in grid]]
    if not len(grid):
        return 0.05
    gains = [(believed >= t).mean() + (foreign < t).mean() for t in grid]
    return round(float(grid[int(np.argmax(gains))]), 3)
