"""Draws a line between each intent and all others: linear support vector machines.

In: vectors of texts and the number of each one's intent. Out: weights and bias of each intent that has texts. What it
costs grows with intents times texts, so that where there are very many of both, each line is drawn with only those
texts of others that lie closest to it: the rest would not move it much.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]

# Inverse strength of regularisation. Held-out rows of training data (docs/nlu.md): 0.3 to 3 differ by less than a
# point, and none is best everywhere.
_C = 1.0
_TOLERANCE = 0.1  # a finer solution takes longer and is no better on held-out rows
# An intent counts by its number of examples to this power more, the fewer it has: 1 would make all intents equal.
_BALANCE = 0.5
MOST_PAIRS = 1_500_000  # of an intent and a text; ten seconds of CPU
_LEAST_OTHERS = 200
_AT_ONCE = 256  # intents whose likeness to all texts is held at once


def draw_lines(matrix: Any, labels: Labels, centres: Floats, seed: int) -> tuple[Labels, Floats, Floats]:
    """(intents that have texts, weights (those, columns), bias (those)).

    `centres` is (intents, features); `matrix` may have more columns to its right.
    """
    present, sizes = np.unique(labels, return_counts=True)
    importance = (len(labels) / (len(present) * sizes)) ** _BALANCE
    if len(present) * len(labels) > MOST_PAIRS:
        weights, bias = _with_closest(
            matrix, labels, centres, dict(zip(present.tolist(), importance, strict=True)), seed
        )
        return present, weights, bias
    estimator = _machine(dict(zip(present.tolist(), importance, strict=True)), seed).fit(matrix, labels)
    weights, bias = estimator.coef_, estimator.intercept_
    if len(present) == 2:  # one row for the second class; as two rows softmax gives the same
        weights, bias = np.vstack([-weights / 2, weights / 2]), np.concatenate([-bias / 2, bias / 2])
    return present, weights.astype(np.float32), bias.astype(np.float32)


def _machine(importance: dict[int, float], seed: int) -> Any:
    from sklearn.svm import LinearSVC

    return LinearSVC(C=_C, tol=_TOLERANCE, random_state=seed, class_weight=importance)


def _with_closest(
    matrix: Any, labels: Labels, centres: Floats, importance: dict[int, float], seed: int
) -> tuple[Floats, Floats]:
    """One line after the other, each with the intent's own texts and the others' most like the intent's centre."""
    most = max(MOST_PAIRS // len(importance), _LEAST_OTHERS)
    weights = np.zeros((len(importance), matrix.shape[1]), dtype=np.float32)
    bias = np.zeros(len(importance), dtype=np.float32)
    words = matrix[:, : centres.shape[1]]
    intents = list(importance)
    for start in range(0, len(intents), _AT_ONCE):
        likeness = words @ centres[intents[start : start + _AT_ONCE]].T
        for place, intent in enumerate(intents[start : start + _AT_ONCE]):
            is_own = labels == intent
            others = np.flatnonzero(~is_own)
            closest = others[np.argsort(-likeness[others, place], kind="stable")[:most]]
            rows = np.sort(np.concatenate([np.flatnonzero(is_own), closest]))
            line = _machine({1: importance[intent]}, seed).fit(matrix[rows], is_own[rows].astype(np.int64))
            weights[start + place] = line.coef_[0]
            bias[start + place] = line.intercept_[0]
    return weights, bias
