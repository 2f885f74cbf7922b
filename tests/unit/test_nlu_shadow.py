"""A candidate beside the model that serves: what is better, what is worse, and what only changes."""

from __future__ import annotations

import pytest

from bot.types import ScoredIntent
from nlu.embedded.model import Model, train_model
from nlu.shadow import Heard, compare, verdict_on
from nlu.training_data import Example, TrainingData


def _sure(name: str) -> ScoredIntent:
    return ScoredIntent(name, 0.9)


def _unsure(name: str) -> ScoredIntent:
    return ScoredIntent(name, 0.2)


@pytest.mark.parametrize(
    ("was", "now", "truth", "verdict"),
    [
        (_sure("a"), _sure("a"), "", ""),
        (_unsure("a"), _unsure("b"), "", ""),  # both ask back
        (_sure("a"), _sure("b"), "", "changed"),
        (_unsure("a"), _sure("a"), "", "clearer"),
        (_sure("a"), _unsure("a"), "", "less_clear"),
        (_sure("a"), _sure("b"), "b", "better"),
        (_sure("a"), _sure("b"), "a", "worse"),
        (_sure("a"), _sure("b"), "c", "changed"),  # wrong either way
        (_unsure("a"), _sure("a"), "a", "better"),
        (_unsure("a"), _sure("b"), "a", "worse"),  # asking back was better than a wrong answer
        (_sure("b"), _unsure("b"), "a", "better"),
        (_sure("a"), _unsure("a"), "a", "worse"),
    ],
)
def test_a_verdict_says_what_the_customer_would_notice(
    was: ScoredIntent, now: ScoredIntent, truth: str, verdict: str
) -> None:
    assert verdict_on(was, now, truth=truth, accept=0.45) == verdict


def _model(*more: tuple[str, str]) -> Model:
    pairs = [
        *(
            ("opening hours", f"{a} {b}")
            for a in ("when do you", "at what time do you")
            for b in ("open", "close", "shut")
        ),
        *(("refund", f"{a} {b}") for a in ("give me", "i want") for b in ("my money back", "a refund", "the money")),
    ]
    return train_model(TrainingData(tuple(Example(text, intent) for intent, text in [*pairs, *more])))


def test_messages_are_named_by_number_and_those_learnt_from_prove_nothing() -> None:
    taught = [("refund", text) for text in ("zork please", "zork it", "i would like to zork")]
    comparison = compare(
        _model(),
        _model(*taught),
        [
            Heard(1, "zork please", truth="refund", is_learnt=True),
            Heard(2, "can you zork this", truth="refund"),
            Heard(3, "when do you open", truth="opening hours"),
            Heard(4, "when do you close", acted_on="refund", engine="rasa"),
        ],
        accept=0.45,
    )
    assert (comparison["looked_at"], comparison["known"]) == (4, 2)
    assert comparison["right_after"] >= comparison["right_before"]
    assert comparison["disagreeing"] == [4]
    assert "zork" not in str(comparison)
    by_id = {row["id"]: row for row in comparison["rows"]}
    assert by_id[1]["learnt"]
    assert by_id[1]["verdict"] == "better"
    assert sum(comparison["counts"].values()) == 4
