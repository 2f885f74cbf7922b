"""An order or case of somebody else: offered, coded, shown; in the same words whether there is such a number or not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.engine import _kept
from bot.service_types import CaseNews, SendCode, TryCode
from bot.types import CodeTried, Decision, Language, Lookup, Need, Order, RequestHandoff
from bot.values import one_time_code, without_digits
from config.settings import SAMPLE_ASSISTANT
from frontdesk.assistant import load_assistant
from tests.builders import NOON, Chat, a_case, an_order, an_understanding

CODE = "482913"
OFFERED = Lookup(can_send=True, codes_left=3)
ASKED = {"order": Need("lookup", "1|order|8888"), "case": Need("lookup", "1|case|C-1024-7")}


def a_try(kind: str = "order", number: str = "8888", typed: str = CODE) -> Need:
    return Need("code", f"1|{kind}|{number}|{typed}")


def asking(view: Lookup = OFFERED, *, language: Language = "en", tries: dict[Need, Any] | None = None) -> Chat:
    """Somebody has asked for an order that is not in their record."""
    chat = Chat(language=language, elsewhere={ASKED["order"]: view, **(tries or {})})
    chat.hear("where is order 8888?", "order_status", entities={"order_number": "8888"})
    return chat


def waiting(*, language: Language = "en", tries: dict[Need, Any] | None = None) -> Chat:
    """… and has had a code sent."""
    chat = asking(language=language, tries=tries)
    chat.hear("yes", "affirm")
    return chat


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_foreign_order_is_offered_by_code_and_nothing_is_said_about_it(language: Language) -> None:
    chat = asking(language=language)

    assert chat.templates == ["utter_ask_wants_code"]
    assert "8888" in chat.said
    assert [button.value for button in chat.buttons][:2] == ["intent:affirm", "intent:deny"]
    assert chat.effects == []


def test_without_any_way_for_codes_or_codes_left_the_answer_is_the_old_one() -> None:
    for view in (Lookup(), Lookup(can_send=True, codes_left=0), Lookup(can_send=False, codes_left=3)):
        assert asking(view).templates == ["utter_order_not_found"]


def test_yes_sends_a_code_and_asks_for_it() -> None:
    chat = waiting()

    assert chat.templates == ["utter_code_sent", "utter_ask_one_time_code"]
    assert chat.effect(SendCode) == SendCode("order", "8888", "en")
    assert "contact we have on file" in chat.said


def test_no_sends_nothing() -> None:
    chat = asking()
    chat.press("No, thanks")

    assert chat.templates == ["utter_code_declined"]
    assert chat.effects == []


@pytest.mark.parametrize("typed", [CODE, "482 913", "４８２９１３", "my code is 482913", "482-913."])
@pytest.mark.parametrize("intent", ["inform", "order_status", "complaint_status"])
def test_the_right_code_shows_the_order_however_it_is_typed(typed: str, intent: str) -> None:
    order = an_order("8888", "shipped")
    chat = waiting(tries={a_try(): CodeTried("right", order=order)})
    chat.hear(typed, intent, 0.9, entities={"order_number": CODE})

    assert chat.templates == ["utter_code_right", "utter_order_status_tracked"]
    assert chat.effect(TryCode) == TryCode("order", "8888", is_right=True)
    assert CODE not in json.dumps(chat.state)
    assert not chat.buttons  # nothing is offered to be done with what is somebody else's


def test_a_wrong_code_is_asked_for_again_and_says_how_often() -> None:
    chat = waiting(tries={a_try(): CodeTried("wrong", left=4)})
    chat.hear(CODE, "order_status", entities={"order_number": CODE})

    assert chat.templates == ["utter_code_wrong", "utter_ask_one_time_code"]
    assert "4" in chat.said
    assert chat.effect(TryCode) == TryCode("order", "8888", is_right=False)
    assert CODE not in json.dumps(chat.state)


def test_what_can_no_longer_be_right_leads_to_a_new_code() -> None:
    chat = waiting(tries={a_try(): CodeTried("over")})
    chat.hear(CODE, "inform")
    assert chat.templates == ["utter_code_over", "utter_ask_wants_new_code"]
    chat.hear("yes", "affirm")

    assert chat.templates == ["utter_code_sent", "utter_ask_one_time_code"]
    assert [type(effect) for effect in chat.effects] == [SendCode, TryCode, SendCode]


@pytest.mark.parametrize(("language", "words"), [("en", "nothing arrived"), ("zh", "没收到验证码"), ("zh", "重新发送")])
def test_another_code_can_be_asked_for_until_none_is_left(language: Language, words: str) -> None:
    chat = waiting(language=language)
    chat.hear(words, "", 0.0)
    assert chat.templates == ["utter_code_sent", "utter_ask_one_time_code"]
    chat.elsewhere[ASKED["order"]] = replace(OFFERED, codes_left=0)
    chat.take_choice("slot:one_time_code=new")

    assert chat.templates == ["utter_code_refused"]
    assert sum(isinstance(effect, SendCode) for effect in chat.effects) == 2


def test_words_that_hold_no_code_are_no_try() -> None:
    chat = waiting()
    chat.hear("it must come any moment", "", 0.0)
    assert chat.templates == ["utter_code_unread", "utter_ask_one_time_code"]
    chat.hear("is it 482913 or 111222", "", 0.0)

    assert not any(isinstance(effect, TryCode) for effect in chat.effects)


def test_a_person_can_be_had_instead() -> None:
    chat = waiting()
    chat.press("Talk to a person")

    assert isinstance(chat.effects[-1], RequestHandoff)


def test_an_order_opened_here_before_is_shown_again_without_a_code() -> None:
    order = an_order("8888", "delivered", expected_at=None)
    chat = asking(replace(OFFERED, order=order))

    assert chat.templates == ["utter_order_status_plain_tracked"]


def test_a_case_of_somebody_else_is_shown_by_code_with_its_news_and_no_buttons() -> None:
    news = (CaseNews(NOON, "a new lamp is on its way"),)
    right = CodeTried("right", case=a_case(), news=news)
    chat = Chat(language="en", elsewhere={ASKED["case"]: OFFERED, a_try("case", "C-1024-7"): right})
    chat.hear("how is case C-1024-7?", "complaint_status")
    assert chat.templates == ["utter_ask_wants_code"]
    chat.hear("yes", "affirm")
    chat.hear(CODE, "inform")

    assert chat.templates == ["utter_code_right", "utter_case_waiting", "utter_case_news"]
    assert not chat.buttons


def test_the_customers_own_order_needs_no_code() -> None:
    chat = Chat(language="en", orders=[an_order("8888")], elsewhere={ASKED["order"]: OFFERED})
    chat.hear("where is order 8888?", "order_status", entities={"order_number": "8888"})

    assert chat.templates == ["utter_order_status_tracked"]


def test_a_right_code_opens_no_return_of_the_order() -> None:
    order: Order = an_order("8888")
    chat = asking(replace(OFFERED, order=order))
    chat.hear("I want to return order 8888", "return_request", entities={"order_number": "8888"})

    assert "utter_order_not_found" in chat.templates


def test_what_was_typed_is_not_kept_with_what_was_understood() -> None:
    heard = an_understanding(f"code {CODE}", "inform", entities={"order_number": CODE})
    kept = _kept(heard, Decision(effects=(TryCode("order", "8888", is_right=False),)))

    assert (kept.text, kept.entities) == ("code ••••••", ())
    assert _kept(heard, Decision()) is heard


@pytest.mark.parametrize("words", ["48291", "4829130", "482913 482914", "", "four"])
def test_only_one_run_of_six_digits_is_a_code(words: str) -> None:
    assert one_time_code(words) is None


def test_digits_of_any_script_are_taken_out() -> None:
    assert without_digits("a4８٩b") == "a•••b"
    for written in ("①②③④⑤⑥", "⑩⑩⑩", "４８２９１３"):
        assert one_time_code(written) is not None
        assert set(without_digits(written)) == {"•"}


@pytest.mark.parametrize("name", ["auto", "fuel", "power", "hotel", "shop"])
def test_every_assistant_can_confirm_who_asks_for_a_case(name: str) -> None:
    folder: Path = SAMPLE_ASSISTANT.parent / name
    chat = Chat(language="en", assistant=load_assistant(folder), elsewhere={ASKED["case"]: OFFERED})
    chat.hear("how is case C-1024-7?", "complaint_status")

    assert chat.templates == ["utter_ask_wants_code"]
