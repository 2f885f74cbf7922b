"""The assistants of the service businesses understand sentences none of their examples say."""

from __future__ import annotations

import csv
from functools import cache

import pytest

from frontdesk.runtimes import trained
from nlu.embedded.model import Model, unpack
from tests.models import ASSISTANTS, CACHE


@cache
def model(name: str) -> Model:
    return unpack(trained(ASSISTANTS / name, CACHE)[1])


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("name", ["auto", "hotel"])
def test_unseen_paraphrases_are_understood(name: str, language: str) -> None:
    with (ASSISTANTS / name / "tests" / f"paraphrases_{language}.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    best = model(name).probabilities([row["text"] for row in rows]).argmax(axis=1)
    wrong = [
        (row["text"], row["intent"], model(name).intents[place])
        for place, row in zip(best, rows, strict=True)
        if model(name).intents[place] != row["intent"]
    ]
    assert len(wrong) / len(rows) <= 0.15, wrong
