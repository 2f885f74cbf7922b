"""A place shared with one touch answers the question that asks for it, and no other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bot.assistant import Assistant
from bot.dialogue import decide
from bot.types import Contact, Decision, Location
from tests.builders import a_turn, shop

PLACE = Location(38.8738, 115.4646)


def asking_for(ask: Any) -> Assistant:
    question = tuple(replace(one, ask=ask) for one in shop().responses["utter_ask_what_happened"])
    return replace(shop(), responses={**shop().responses, "utter_ask_what_happened": question})


def shared(place: Location, assistant: Assistant) -> Decision:
    """What becomes of a place shared as the answer to the complaint's first question."""
    asked = decide(a_turn("我要投诉", intent="complaint"), assistant)
    assert asked.state["stack"][-1]["asked"] == "what_happened"
    return decide(a_turn(content=place, state=asked.state), assistant)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (PLACE, "38.873800, 115.464600"),
        (replace(PLACE, name="保定路站", address="保定路 1 号"), "保定路站, 保定路 1 号 (38.873800, 115.464600)"),
    ],
)
def test_a_shared_place_answers_the_question_that_asks_for_one(place: Location, value: str) -> None:
    decision = shared(place, asking_for("location"))

    assert decision.state["stack"][-1]["slots"]["what_happened"] == value
    assert "utter_location_received" not in [reply.template for reply in decision.replies]


@pytest.mark.parametrize("ask", ["", "contact"])
def test_a_place_nobody_asked_for_goes_with_the_complaint_and_answers_nothing(ask: Any) -> None:
    decision = shared(PLACE, asking_for(ask))

    slots = decision.state["stack"][-1]["slots"]
    assert slots.get("what_happened") is None
    assert slots["place"] == "38.873800, 115.464600"
    assert decision.replies[0].template == "utter_place_noted"


def test_a_place_that_nothing_under_way_can_use_is_only_kept() -> None:
    asked = decide(a_turn("please call me", intent="callback_request"), shop())

    decision = decide(a_turn(content=PLACE, state=asked.state), shop())

    assert decision.state["stack"][-1]["slots"].get("place") is None
    assert decision.replies[0].template == "utter_location_received"


def test_the_shop_offers_to_share_the_number_it_asks_for() -> None:
    assert {variation.ask for variation in shop().responses["utter_ask_callback_phone"]} == {"contact"}
    asked = decide(a_turn("please call me", intent="callback_request"), shop())
    assert asked.state["stack"][-1]["asked"] == "callback_phone"

    decision = decide(a_turn(content=Contact("+8613800138000", "Li", is_own=True), state=asked.state), shop())

    assert decision.state["stack"][-1]["slots"]["callback_phone"] == "+8613800138000"
