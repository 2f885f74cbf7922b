"""`frontdesk nlu review`: each message stands once, in the list that says most about it, with suggestions."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.errors import InputError
from config.settings import Settings
from crm_sync.models import StoredModel
from crm_sync.traffic import Spoken
from frontdesk.commands.nlu_learning import _label, worth_labelling
from nlu.embedded.model import pack, train_model
from nlu.training_data import load_training_data

SMALL = Path(__file__).parents[1] / "faults" / "assistant"


def _spoken(number: int, text: str, **fields: object) -> Spoken:
    known: dict[str, object] = {"intent": "hello", "confidence": 0.9, "engine": "embedded", **fields}
    return Spoken(number, 1, text, **known)  # type: ignore[arg-type]


def test_what_is_worth_labelling_is_listed_by_what_makes_it_so() -> None:
    model = train_model(load_training_data(SMALL / "data"))
    active = StoredModel("assistant", model.version, pack(model), "h")
    spoken = [
        _spoken(9, "zork the gizmo", confidence=0.1),
        _spoken(8, "zork the gizmo now", confidence=0.1),
        _spoken(7, "zork the gizmos", confidence=0.2),
        _spoken(6, "something odd", confidence=0.2),
        _spoken(5, "when do you open", intent="hello", engine="rasa"),
        _spoken(4, "that one", outcome="corrected", meant="hours"),
        _spoken(3, "does not help", outcome="unhelpful"),
        _spoken(2, "labelled already", confidence=0.1, label="hello"),
        _spoken(1, "hello", confidence=0.99),
    ]
    found = worth_labelling(spoken, active, Settings(assistant=SMALL), limit=10)
    assert {title: [row["id"] for row in rows] for title, rows in found.items()} == {
        "corrected": [4],
        "unhelpful": [3],
        "clusters": [9],
        "disagreeing": [5],
        "unclear": [8, 7, 6],
    }
    assert found["corrected"][0]["suggested"].startswith("hours")
    assert "hours" in found["disagreeing"][0]["suggested"]


def test_a_label_is_a_number_and_a_meaning() -> None:
    assert _label("12=hello") == (12, "hello")
    assert _label("12=-") == (12, "")
    for wrong in ("hello", "x=hello", "=hello", "9" * 30 + "=hello"):
        with pytest.raises(InputError):
            _label(wrong)
