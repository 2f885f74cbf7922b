"""Measures an engine the way `frontdesk nlu test` reports it, and shapes an understanding like Rasa's /model/parse.

In: training data and test data (paths or already read), or one `Understanding`. Out: JSON-ready dicts.
"""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bot.types import Understanding
from nlu.embedded.encoder import SentenceEncoder
from nlu.embedded.engine import EmbeddedEngine
from nlu.embedded.model import Model, pack, train_model
from nlu.training_data import OUT_OF_SCOPE, Example, TrainingData, load_training_data

_ECE_BINS = 15  # Guo et al. 2017, On Calibration of Modern Neural Networks


def parse_json(understanding: Understanding) -> dict[str, Any]:
    """The shape of Rasa's `POST /model/parse`."""
    ranking = [{"name": scored.name, "confidence": scored.confidence} for scored in understanding.intents]
    return {
        "text": understanding.text,
        "intent": ranking[0] if ranking else {"name": None, "confidence": 0.0},
        "intent_ranking": ranking,
        "entities": [
            {
                "entity": entity.name,
                "value": entity.value,
                "start": entity.start,
                "end": entity.end,
                "confidence_entity": entity.confidence,
                "extractor": entity.extractor,
            }
            for entity in understanding.entities
        ],
    }


def train_and_test(
    train: Path | str | TrainingData,
    test: Path | str | TrainingData,
    *,
    seed: int = 0,
    encoder: SentenceEncoder | None = None,
    keep: Path | None = None,
) -> dict[str, Any]:
    """Train on one set, measure on the other: the JSON of `frontdesk nlu test`. The packed model is written to `keep`.

    Rows whose intent is `out_of_scope` measure rejection. Raises: AssistantInvalid.
    """
    training = train if isinstance(train, TrainingData) else load_training_data(train)
    testing = test if isinstance(test, TrainingData) else load_training_data(test)
    started = time.perf_counter()
    model = train_model(training, seed=seed, encoder=encoder)
    train_s, packed = time.perf_counter() - started, pack(model)
    if keep is not None:
        keep.write_bytes(packed)
    report = measure(model, testing.examples)
    return {
        **report,
        "train_s": round(train_s, 3),
        **_speed(EmbeddedEngine(model), [example.text for example in testing.examples]),
        "peak_rss_mb": round(_peak_rss_mb(), 1),
        "model_mb": round(len(packed) / 1e6, 3),
        "n_train": len(training.examples),
        "n_test": len(testing.examples),
    }


def measure(model: Model, examples: Sequence[Example]) -> dict[str, Any]:
    """Quality on `examples`.

    `accuracy`, `macro_f1` and `ece` are over in-scope rows, before rejection: the likeliest in-scope intent counts.
    `accuracy_after_rejection`: the same rows, where a rejected one counts as wrong. `mcc` is over all rows, with
    `out_of_scope` as one more class that rejected rows belong to; without out-of-scope rows it is before rejection.
    `oos.auroc` sets the distrust in foreign rows against that in the others. Measures that need rows
    the test does not have are None.
    """
    names = np.asarray(model.intents)
    is_ours = names != OUT_OF_SCOPE
    probabilities, trust = model.read([example.text for example in examples])
    ours = np.where(is_ours, probabilities, -1.0)
    truth = np.asarray([example.intent for example in examples])
    predicted, score = names[ours.argmax(axis=1)], ours.max(axis=1)
    rejected = (names[probabilities.argmax(axis=1)] == OUT_OF_SCOPE) | (trust < model.reject_below())
    foreign = truth == OUT_OF_SCOPE
    known = ~foreign
    right = predicted == truth
    final = np.where(rejected, OUT_OF_SCOPE, predicted) if foreign.any() else predicted
    return {
        "accuracy": _share(right[known]),
        "accuracy_after_rejection": _share((right & ~rejected)[known]),
        "macro_f1": _macro_f1(truth[known], predicted[known]) if known.any() else None,
        "mcc": _mcc(truth, final),
        "ece": _ece(score[known], right[known]) if known.any() else None,
        "oos": {
            "recall": _share(rejected[foreign]),
            "precision": _share(foreign[rejected]) if foreign.any() else None,
            "auroc": _auroc(np.where(names[probabilities.argmax(axis=1)] == OUT_OF_SCOPE, np.inf, -trust), foreign),
        },
    }


def _share(flags: npt.NDArray[np.bool_]) -> float | None:
    return round(float(flags.mean()), 4) if flags.size else None


def _macro_f1(truth: npt.NDArray[np.str_], predicted: npt.NDArray[np.str_]) -> float:
    scores = []
    for name in np.unique(truth):
        hits = int(((truth == name) & (predicted == name)).sum())
        scores.append(2 * hits / (int((truth == name).sum()) + int((predicted == name).sum())))
    return round(statistics.fmean(scores), 4)


def _mcc(truth: npt.NDArray[np.str_], predicted: npt.NDArray[np.str_]) -> float:
    """Matthews correlation for many classes (Gorodkin 2004)."""
    names = np.unique(np.concatenate([truth, predicted]))
    true_counts = np.asarray([(truth == name).sum() for name in names], dtype=float)
    predicted_counts = np.asarray([(predicted == name).sum() for name in names], dtype=float)
    total, hits = float(len(truth)), float((truth == predicted).sum())
    above = hits * total - float(true_counts @ predicted_counts)
    below = np.sqrt(total**2 - predicted_counts @ predicted_counts) * np.sqrt(total**2 - true_counts @ true_counts)
    return round(above / float(below), 4) if below else 0.0


def _ece(score: npt.NDArray[np.float64], right: npt.NDArray[np.bool_]) -> float:
    """Expected calibration error: how far confidence and accuracy lie apart, over equal bins."""
    bins = np.minimum((score * _ECE_BINS).astype(int), _ECE_BINS - 1)
    gaps = [
        float((bins == b).mean()) * abs(float(score[bins == b].mean()) - float(right[bins == b].mean()))
        for b in np.unique(bins)
    ]
    return round(sum(gaps), 4)


def _auroc(score: npt.NDArray[np.float64], positive: npt.NDArray[np.bool_]) -> float | None:
    """Chance that a positive row scores above a negative one; ties count half."""
    if positive.all() or not positive.any():
        return None
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    positives, negatives = int(positive.sum()), int((~positive).sum())
    return round(float((ranks[positive].sum() - positives * (positives + 1) / 2) / (positives * negatives)), 4)


def _speed(engine: EmbeddedEngine, texts: Sequence[str]) -> dict[str, float]:
    """Wall milliseconds of whole parses, entities included, one at a time, after a short warm-up."""
    now = datetime.now(UTC)
    for text in texts[:50]:
        engine.understand(text, now=now)
    durations = []
    for text in texts:
        started = time.perf_counter()
        engine.understand(text, now=now)
        durations.append((time.perf_counter() - started) * 1000)
    p50, p99 = np.percentile(durations, [50, 99])
    return {"p50_ms": round(float(p50), 4), "p99_ms": round(float(p99), 4)}


def _peak_rss_mb() -> float:
    """Of this process since its start, training included."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
