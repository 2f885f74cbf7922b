"""What scores mean: probabilities that can be believed, when to give an answer up, and from when on it is sure.

In: how far texts lie on the right side of each intent's line, by models that had not seen them, and what the texts
mean. Out: a `Scale` and thresholds. Fitting needs scipy, scaling does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]

# The share of rightly understood messages that may be rejected: 0, 1, … 20 in a hundred.
_SHARES: Final = 21
# Sure: of what scores so well, at most one in twenty is wrong. Never below or above these, so that a small or an easy
# set of examples neither interrupts a customer on a guess nor asks back about everything.
_MOST_WRONG, _LEAST_SURE, _MOST_SURE = 0.05, 0.5, 0.9
_UNKNOWN_TRUST, _UNKNOWN_SURE = 0.02, 0.7
_LEAST_SEEN: Final = 20  # fewer rightly understood texts tell nothing about one in twenty
_MOST_FITTED: Final = 2000  # more texts than these do not change three numbers
_MOST_MARGINS, _LEAST_FITTED = 400_000, 300  # of many intents fewer texts: each try costs texts times intents


@dataclass(frozen=True, slots=True)
class Scale:
    """From margins to probabilities: softmax(power * log sigmoid(steepness * margin + shift)).

    The sigmoid makes differences among what does not fit count more and those among what fits well less than a
    temperature would: on held-out rows that halves the calibration error (docs/nlu.md).
    """

    steepness: float = 2.0
    shift: float = 1.5
    power: float = 3.0

    def probabilities(self, margins: Floats) -> Floats:
        """(texts, intents)."""
        logits: Floats = np.logaddexp(np.float32(0), np.float32(-self.steepness) * margins - np.float32(self.shift))
        logits *= np.float32(-self.power)
        return softmax(logits)


def softmax(logits: Floats) -> Floats:
    """Along the last axis."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities: Floats = shifted / shifted.sum(axis=-1, keepdims=True)
    return probabilities


@dataclass(frozen=True, slots=True)
class Calibration:
    """`reject_at[n]` is the trust below which n in a hundred of what is rightly understood lie."""

    scale: Scale
    reject_at: tuple[float, ...]
    sure_from: float

    @classmethod
    def unknown(cls, scale: Scale | None = None) -> Calibration:
        """Where there is too little to learn it from."""
        return cls(scale or Scale(), (_UNKNOWN_TRUST,) * _SHARES, _UNKNOWN_SURE)


def calibrate(margins: Floats, trust: Floats, labels: Labels, ours: Sequence[int]) -> Calibration:
    """`ours`: the numbers of the intents in scope; only texts of these count for the thresholds."""
    scale = _fitted(margins, labels)
    is_ours = np.isin(labels, ours)
    probabilities = scale.probabilities(margins[is_ours])
    is_right = probabilities.argmax(axis=1) == labels[is_ours]
    if is_right.sum() < _LEAST_SEEN:
        return Calibration.unknown(scale)
    reject_at = np.quantile(trust[is_ours][is_right], np.arange(_SHARES) / 100)
    sure_from = _sure_from(probabilities.max(axis=1), is_right)
    return Calibration(scale, tuple(np.round(reject_at, 6).tolist()), round(sure_from, 4))


def _fitted(margins: Floats, labels: Labels) -> Scale:
    """The scale of the least negative log-likelihood."""
    from scipy.optimize import minimize

    most = min(_MOST_FITTED, max(_MOST_MARGINS // margins.shape[1], _LEAST_FITTED))
    step = -(-len(labels) // most)
    margins, labels = margins[::step], labels[::step]
    rows = np.arange(len(labels))

    def loss(point: Any) -> float:
        likely = _scale_at(point).probabilities(margins)[rows, labels]
        # The last term keeps a handful of texts from saying that everything is certain.
        return float(-np.log(likely + 1e-9).mean() + 0.001 * (point**2).sum())

    start = np.asarray([0.7, 1.5, 1.1])  # close to where every data set tried ends
    found = minimize(loss, start, method="Nelder-Mead", options={"maxiter": 150, "xatol": 0.01, "fatol": 1e-4})
    return _scale_at(found.x)


def _scale_at(point: Any) -> Scale:
    steepness, shift, power = point.tolist()
    return Scale(
        round(float(np.exp(min(steepness, 3.0))), 4), round(shift, 4), round(float(np.exp(min(power, 5.0))), 4)
    )


def _sure_from(score: Floats, is_right: npt.NDArray[np.bool_]) -> float:
    order = np.argsort(-score, kind="stable")
    wrong = np.cumsum(~is_right[order]) / np.arange(1, len(order) + 1)
    few = np.flatnonzero(wrong <= _MOST_WRONG)
    least = float(score[order[few[-1]]]) if len(few) else _MOST_SURE
    return min(max(least, _LEAST_SURE), _MOST_SURE)
