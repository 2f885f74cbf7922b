"""The assistants for stations and power understand sentences nobody trained on."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from frontdesk.runtimes import trained
from nlu.embedded.model import unpack

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("name", ["fuel", "power"])
def test_unseen_paraphrases_are_understood(name: str, language: str) -> None:
    folder = ROOT / "config" / "assistants" / name
    _, packed = trained(folder, ROOT / ".frontdesk" / "model")
    model = unpack(packed)
    with (folder / "tests" / f"paraphrases_{language}.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    likeliest = model.probabilities([row["text"] for row in rows]).argmax(axis=1)
    right = sum(model.intents[int(found)] == row["intent"] for found, row in zip(likeliest, rows, strict=True))
    assert right / len(rows) >= 0.85
