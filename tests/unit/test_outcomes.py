"""What a customer did next tells how the message before had been understood."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from crm_sync.outcomes import outcome_of

OFFERED = {
    "buttons": [
        {"label": "Order status", "value": "intent:order_status"},
        {"label": "Return something", "value": "intent:return_request"},
        {"label": "Refunds", "value": "article:refunds"},
        {"label": "Something else", "value": "say:something_else"},
        {"label": "Yes", "value": "helpful:yes"},
        {"label": "No", "value": "helpful:no"},
    ]
}


def _next(content: dict[str, Any], *, answered: str = "", offered: dict[str, Any] | None = OFFERED) -> Any:
    return SimpleNamespace(
        message={"content": content},
        content=offered,
        intent="order_status",
        answered=answered,
        template="utter_clarify",
    )


@pytest.mark.parametrize(
    ("pressed", "outcome"),
    [
        ("intent:order_status", ("confirmed", "order_status")),
        ("intent:return_request", ("corrected", "return_request")),
        ("article:refunds", ("corrected", "article:refunds")),
        ("say:something_else", ("corrected", "")),
        ("helpful:yes", ("confirmed", "")),
        ("helpful:no", ("unhelpful", "")),
        ("intent:never_offered", None),
    ],
)
def test_a_button_that_was_offered_says_what_was_meant(pressed: str, outcome: tuple[str, str] | None) -> None:
    assert outcome_of(_next({"kind": "button", "value": pressed})) == outcome


def test_a_label_typed_by_hand_counts_as_the_button() -> None:
    assert outcome_of(_next({"kind": "text", "text": " return  Something"})) == ("corrected", "return_request")
    assert outcome_of(_next({"kind": "text", "text": "where is my order"})) is None
    assert outcome_of(_next({"kind": "text", "text": ""})) is None


def test_words_that_an_article_did_not_help_are_told_by_the_answer_to_them() -> None:
    said = _next({"kind": "text", "text": "useless"}, answered="utter_offer_person_article", offered=None)
    assert outcome_of(said) == ("unhelpful", "")
