"""A conversation carried over from another channel, and the form before a chat, purely through `decide`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bot.types import Command, Content, Event, LinkIdentity, LinkOffer, Need, RecordConsent, UpdateCustomer
from tests.builders import Chat, a_turn

NEED = Need("link", "tok")
STARTED = Command("start", "x7", "continue", "tok")


def _offer(channel: str = "", state: Any = None) -> LinkOffer:
    here = a_turn("hello").conversation.identity.channel
    return LinkOffer(channel or here, "default", state or {}, "en")


@pytest.mark.parametrize("came", [STARTED, Event("follow", {"link_kind": "continue", "link_id": "tok"})])
def test_nothing_is_linked_before_the_customer_says_yes(came: Content) -> None:
    chat = Chat(language="en", elsewhere={NEED: _offer()})
    chat.send(came)
    assert chat.templates == ["utter_link_ask"]
    assert chat.effects == []
    chat.press("Yes")
    assert chat.templates == ["utter_linked"]
    assert [effect.token for effect in chat.effects if isinstance(effect, LinkIdentity)] == ["tok"]


@pytest.mark.parametrize("said", ["No", "typed"])
def test_a_no_or_another_matter_links_nothing(said: str) -> None:
    chat = Chat(language="en", elsewhere={NEED: _offer()})
    chat.send(STARTED)
    chat.press("No") if said == "No" else chat.hear("where is my order", "order_status")
    chat.hear("yes", "affirm")

    assert not any(isinstance(effect, LinkIdentity) for effect in chat.effects)


@pytest.mark.parametrize("offer", [None, _offer("wechat")])
def test_a_link_that_is_over_or_leads_elsewhere_is_said_so(offer: LinkOffer | None) -> None:
    chat = Chat(language="en", elsewhere={NEED: offer})
    chat.send(STARTED)

    assert chat.templates == ["utter_link_over"]
    chat.hear("yes", "affirm")
    assert chat.effects == []


def test_an_open_flow_goes_on_where_the_customer_went() -> None:
    web = Chat(language="en")
    web.hear("I want to complain, the kettle leaks", "complaint", entities={"product": "kettle"})
    chat = Chat(language="en", elsewhere={NEED: _offer(state=web.state)})
    chat.send(STARTED)
    chat.press("Yes")

    assert chat.templates == ["utter_linked", web.templates[-1]]


def test_an_ordinary_start_is_a_greeting() -> None:
    chat = Chat(language="en")
    chat.send(Command("start", "campaign-7"))

    assert chat.templates == ["utter_greet"]


def _profile(**detail: Any) -> tuple[Any, ...]:
    chat = Chat()
    chat.send(Event("profile", detail))
    assert chat.templates == []
    return tuple(chat.effects)


def test_a_form_becomes_facts_and_consent_with_its_source() -> None:
    told = {
        "name": "王芳",
        "phone": "138 0000 2210",
        "email": "wang@example.com",
        "consent": True,
        "source": "web:form",
    }
    assert _profile(**told) == (
        UpdateCustomer(name="王芳", phone="+8613800002210", email="wang@example.com"),
        RecordConsent("contact", True, "web:form"),
    )


def test_a_box_left_empty_is_a_no_and_a_missing_one_says_nothing() -> None:
    assert _profile(consent=False, source="web:form") == (RecordConsent("contact", False, "web:form"),)
    assert _profile(name="") == ()
    assert _profile(phone="not a number") == ()


def test_an_event_that_wants_no_turn_changes_nothing() -> None:
    turn = a_turn(content=Event("profile", {"name": "X"}))
    chat = Chat()
    chat.take(replace(turn, message=replace(turn.message, wants_turn=False)))
    assert chat.effects == []
