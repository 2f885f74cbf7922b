"""Fits the classifier: features, a linear support vector machine for each intent, and what calibration makes of it.

In: `TrainingData`. Out: a `Model` that needs none of this to serve.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from bot.errors import AssistantInvalid
from nlu.embedded.calibration import Calibration, calibrate
from nlu.embedded.encoder import SentenceEncoder
from nlu.embedded.features import MAX_CHARS, Features, features_of
from nlu.embedded.lines import draw_lines
from nlu.embedded.model import FORMAT_VERSION, Floats, Manifest, Model, trust_in
from nlu.embedded.nearest import Taught
from nlu.embedded.vocabulary import Vectors, Vocabulary, build_vocabulary
from nlu.embedded.vote import MOST_VOTERS, Vote, fit_vote
from nlu.lexicon import build_lexicon
from nlu.training_data import OUT_OF_SCOPE, TrainingData

Labels = npt.NDArray[np.int64]
_Outside = tuple[Floats, Floats, Labels]  # margins, trust and intents of texts left out

_UNTAUGHT = -50.0  # bias of an intent without examples: it is never the likeliest
# From so many examples on, part of them is enough to calibrate with; below, every one is left out once.
_LARGE = 3000
_FOLDS, _FOLDS_OF_FEW, _FEW = 4, 8, 1000
_VERY_LARGE = 20_000  # from so many on, one quarter left out once is enough
_MANY_PAIRS = 300_000  # of an intent and a text: fitting takes seconds, and each fold is one more fit
_BARE_EXAMPLES, _BARE_VALUES = 3, 60
# Of so many weights a stored model is 20 MB. More intents than usual get along with fewer features.
_MOST_WEIGHTS = 10_000_000
# Tried on texts left out: in few-shot draws of BANKING77's training split 1.5 to 3 were about equally good.
_ENCODER_WEIGHTS = (0.0, 1.0, 2.0, 3.0)
_FOLDS_TO_CHOOSE = 3
_SEPARATORS = re.compile(r"[_\W]+")


@dataclass(frozen=True, slots=True)
class _Labelled:
    """What is learnt from: features of texts, the intent number of each, and features of the intents' names."""

    texts: Features
    labels: Labels
    names: Features
    meant: Floats  # of the texts, by the encoder, as heavy as it counts; of size 0 without one
    names_meant: Floats

    def at(self, rows: Labels) -> _Labelled:
        return replace(self, texts=self.texts.at(rows), labels=self.labels[rows], meant=self.meant[rows])

    def with_encoder(self, weight: float) -> _Labelled:
        if not weight:
            return replace(self, meant=self.meant[:, :0], names_meant=self.names_meant[:, :0])
        return replace(self, meant=self.meant * np.float32(weight), names_meant=self.names_meant * np.float32(weight))


@dataclass(frozen=True, slots=True)
class _Fitted:
    vocabulary: Vocabulary
    weights: Floats
    bias: Floats
    centres: Floats
    meaning: Floats
    vote: Vote | None

    def judged(self, labelled: _Labelled) -> tuple[Floats, Floats]:
        """Margins (texts, intents): how far each text lies on the right side of each intent's line. Trust (texts)."""
        vectors = self.vocabulary.vectors(labelled.texts)
        matrix = _matrix(vectors, len(self.vocabulary))
        margins = np.asarray(matrix @ self.weights + labelled.meant @ self.meaning + self.bias, dtype=np.float32)
        if self.vote is not None:
            margins += self.vote.margins(labelled.meant)
        owners = np.repeat(np.arange(len(margins)), np.diff(vectors.starts))
        examples = self.centres[margins.argmax(axis=1)[owners], vectors.rows]

        def summed(values: Any) -> Floats:
            sums: Floats = np.bincount(owners, values, minlength=len(margins)).astype(np.float32)
            return sums

        said = np.maximum(summed(vectors.values), np.float32(1e-9))
        covered: Floats = (summed(vectors.values * (examples > 0)) / said).astype(np.float32)
        return margins, trust_in(margins.max(axis=1), summed(vectors.values * examples), covered)


def fit(data: TrainingData, *, seed: int, created_at: datetime | None, encoder: SentenceEncoder | None = None) -> Model:
    """See `nlu.embedded.model.train_model`."""
    started = time.perf_counter()
    pairs = sorted({(example.text, example.intent) for example in data.examples} | _bare_values(data))
    intents = tuple(sorted({intent for _, intent in pairs}))
    if len(intents) < 2:
        found = f"there is only `{intents[0]}`" if intents else "there is no example"
        raise AssistantInvalid(f"training needs at least two intents, {found}")
    number = {intent: place for place, intent in enumerate(intents)}
    texts = features_of(tuple(text for text, _ in pairs))
    labels = np.asarray([number[intent] for _, intent in pairs], dtype=np.int64)
    names = features_of(tuple("" if name == OUT_OF_SCOPE else _SEPARATORS.sub(" ", name) for name in intents))
    meant, names_meant = np.zeros((len(pairs), 0), np.float32), np.zeros((len(intents), 0), np.float32)
    if encoder is not None:
        meant = encoder.vectors([text[:MAX_CHARS] for text, _ in pairs])
        names_meant = encoder.vectors([_SEPARATORS.sub(" ", name) for name in intents])
    labelled = _Labelled(texts, labels, names, meant, names_meant)
    weight = _weight_of_encoder(labelled, seed) if encoder is not None else 0.0
    labelled = labelled.with_encoder(weight)
    ours = [place for place, intent in enumerate(intents) if intent != OUT_OF_SCOPE]
    fitted = _fit(labelled, seed)
    calibration = _calibrated(labelled, ours, seed)
    offered = encoder.name if encoder is not None else ""
    version = hashlib.sha256(f"{FORMAT_VERSION}:{seed}:{data.content_hash()}{offered}".encode()).hexdigest()[:12]
    manifest = Manifest(
        version=version,
        data_hash=data.content_hash(),
        created_at=(created_at or datetime.now(UTC)).isoformat(timespec="seconds"),
        seed=seed,
        intents=intents,
        examples=len(data.examples),
        features=len(fitted.vocabulary),
        train_s=round(time.perf_counter() - started, 3),
        scale=calibration.scale,
        reject_at=calibration.reject_at,
        sure_from=calibration.sure_from,
        encoder=offered,
    )
    return Model(
        manifest=manifest,
        vocabulary=fitted.vocabulary,
        weights=fitted.weights,
        bias=fitted.bias,
        centres=fitted.centres,
        lexicon=build_lexicon(data),
        taught=Taught(tuple(text for text, _ in pairs), labels.astype(np.int32)),
        meaning=fitted.meaning * np.float32(weight),
        encoder=encoder if weight else None,
        vote=fitted.vote,
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


def _fit(labelled: _Labelled, seed: int) -> _Fitted:
    """One line between each intent and all others; an intent without examples gets a bias that keeps it out.

    An intent's name is one more example of it (worth a point of accuracy with ten examples per intent; not measured
    with more).
    """
    names = labelled.names
    named = np.asarray([label for label in np.unique(labelled.labels) if names.has_words(label)], dtype=np.int64)
    texts = labelled.texts + names.at(named)
    labels = np.concatenate([labelled.labels, named])
    vocabulary = build_vocabulary(texts, most=max(_MOST_WEIGHTS // len(names), 1))
    matrix = _matrix(vocabulary.vectors(texts), len(vocabulary))
    meant = np.concatenate([labelled.meant, labelled.names_meant[named]])
    centres = _centres(matrix, labels, len(names))
    present, lines, starts = draw_lines(_beside(matrix, meant), labels, centres, seed)
    weights = np.zeros((len(vocabulary) + meant.shape[1], len(names)), dtype=np.float32)
    bias = np.full(len(names), _UNTAUGHT, dtype=np.float32)
    weights[:, present] = lines.T
    bias[present] = starts
    votes = meant.shape[1] > 0 and len(labels) <= MOST_VOTERS
    vote = fit_vote(meant, labels, len(names)) if votes else None
    return _Fitted(vocabulary, weights[: len(vocabulary)], bias, centres, weights[len(vocabulary) :], vote)


def _beside(matrix: Any, meant: Floats) -> Any:
    """Words and meaning of each text in one row."""
    from scipy import sparse

    return sparse.hstack([matrix, sparse.csr_matrix(meant)], format="csr") if meant.shape[1] else matrix


def _centres(matrix: Any, labels: Labels, intents: int) -> Floats:
    """(intents, features): the sum of each intent's examples, of length one; zeros for one without."""
    from scipy import sparse

    members = sparse.csr_matrix(
        (np.ones(len(labels), np.float32), (labels, np.arange(len(labels)))), (intents, len(labels))
    )
    sums: Floats = (members @ matrix).toarray()
    sums /= np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), np.float32(1e-9))
    return sums


def _matrix(vectors: Vectors, features: int) -> Any:
    """(texts, features) sparse float32."""
    from scipy import sparse

    values = vectors.values.astype(np.float32)
    return sparse.csr_matrix((values, vectors.rows, vectors.starts), shape=(len(vectors.starts) - 1, features))


# --- what the model makes of texts it has not seen -------------------------------------------------------------------


def _calibrated(labelled: _Labelled, ours: list[int], seed: int) -> Calibration:
    """From the scores of texts by models that were fitted without them."""
    outside = list(_left_out(labelled, seed))
    if not outside:
        return Calibration.unknown()
    margins, trust, labels = (np.concatenate(part) for part in zip(*outside, strict=True))
    return calibrate(margins, trust, labels, ours)


def _weight_of_encoder(labelled: _Labelled, seed: int) -> float:
    """How much the encoder counts beside the words, 0 for not at all: what is right most often about texts left out."""
    right, tried = {}, 0
    for weight in _ENCODER_WEIGHTS:
        outside = list(_left_out(labelled.with_encoder(weight), seed, _FOLDS_TO_CHOOSE))
        right[weight] = sum(int((margins.argmax(axis=1) == labels).sum()) for margins, _, labels in outside)
        tried = sum(len(labels) for _, _, labels in outside)
    best = max(right, key=lambda weight: (right[weight], -weight))
    # An encoder costs much at each message: a gain that may be chance is none.
    return best if right[best] - right[0.0] > tried**0.5 / 2 else 0.0


def _left_out(labelled: _Labelled, seed: int, most: int = 99) -> Iterator[_Outside]:
    """Margins, trust and intents of the texts of each fold; nothing when no intent has two texts."""
    total = len(labelled.labels)
    count = _FOLDS_OF_FEW if total <= _FEW else _FOLDS
    folds = _folds(labelled.labels, count, seed)
    for fold in range(min(count, _tried_folds(total, len(labelled.names), most))):
        kept, left = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        known = np.isin(labelled.labels[left], labelled.labels[kept])
        left = left[known]  # nobody can know an intent whose only example is left out
        if len(left) and len(np.unique(labelled.labels[kept])) > 1:
            outside = labelled.at(left)
            fitted = _fit(labelled.at(kept), seed)
            margins, trust = fitted.judged(outside)
            yield margins, trust, outside.labels


def _tried_folds(texts: int, intents: int, most: int) -> int:
    if texts > _VERY_LARGE:
        return 1
    if texts > _LARGE:
        return min(most // 2, 2)
    return min(most, 2) if texts * intents > _MANY_PAIRS else most


def _folds(labels: Labels, count: int, seed: int) -> Labels:
    """Fold number of each text, spread evenly within each intent."""
    random = np.random.default_rng(seed)
    folds = np.zeros(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        folds[members] = (np.arange(len(members)) + random.integers(count)) % count
    return folds
