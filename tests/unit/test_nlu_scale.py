"""Training of very many intents or examples: what is left out to finish in time, and that it is still understood."""

from __future__ import annotations

import numpy as np
import pytest

from nlu.embedded import lines, training
from nlu.embedded.model import Model, train_model
from nlu.training_data import Example, TrainingData

THINGS = ("lamp", "kettle", "duvet", "shelf", "pillow", "oven", "carpet", "mirror")
WISHES = ("where is my {}", "the {} has not come", "please send the {} soon", "is my {} on its way", "a {} for me")
DATA = TrainingData(tuple(Example(wish.format(thing), thing) for thing in THINGS for wish in WISHES))


def answers(model: Model, texts: list[str]) -> list[str]:
    return [model.intents[best] for best in model.probabilities(texts).argmax(axis=1).tolist()]


def test_lines_drawn_with_the_closest_texts_only_tell_intents_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = train_model(DATA)
    monkeypatch.setattr(lines, "MOST_PAIRS", 100)
    monkeypatch.setattr(lines, "_LEAST_OTHERS", 10)
    monkeypatch.setattr(lines, "_AT_ONCE", 3)
    part = train_model(DATA)
    assert not np.array_equal(part.weights, whole.weights)
    assert np.array_equal(part.weights, train_model(DATA).weights)
    assert answers(part, [f"tell me about the {thing}" for thing in THINGS]) == list(THINGS)


@pytest.mark.parametrize(
    ("texts", "intents", "most", "folds"),
    [(900, 10, 99, 99), (900, 10, 3, 3), (2500, 500, 99, 2), (6000, 10, 99, 2), (6000, 10, 3, 1), (100_000, 5, 99, 1)],
)
def test_the_more_fitting_costs_the_fewer_parts_are_left_out(texts: int, intents: int, most: int, folds: int) -> None:
    assert training._tried_folds(texts, intents, most) == folds
