"""The sample assistant understands sentences written by somebody who had not seen its examples."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from config.settings import SAMPLE_ASSISTANT
from frontdesk.runtimes import trained
from nlu.embedded.model import Model, unpack

ROOT = Path(__file__).parents[2]
PER_INTENT = 10


@pytest.fixture(scope="module")
def model() -> Model:
    _, packed = trained(SAMPLE_ASSISTANT, ROOT / ".frontdesk" / "model")
    return unpack(packed)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_unseen_paraphrases_are_understood(model: Model, language: str) -> None:
    with (SAMPLE_ASSISTANT / "tests" / f"paraphrases_{language}.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == PER_INTENT * len(model.intents)
    best = model.probabilities([row["text"] for row in rows]).argmax(axis=1)
    right = sum(model.intents[place] == row["intent"] for place, row in zip(best, rows, strict=True))
    assert right / len(rows) >= 0.85
