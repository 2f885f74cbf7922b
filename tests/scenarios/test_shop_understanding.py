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
    right = sum(model.intents[int(model.probabilities(row["text"]).argmax())] == row["intent"] for row in rows)
    assert right / len(rows) >= 0.85
