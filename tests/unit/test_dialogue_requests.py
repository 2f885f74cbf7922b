"""Requests that are no complaint, and the customer's last visits: the record answers first, the rest is asked once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path

import pytest

from bot.assistant import Assistant
from bot.service.record import CreditRule
from bot.service_types import AgreePayPlan, Asset, Due, Preference, Visit
from bot.types import OpenCase, RequestHandoff, UpdateCase
from frontdesk.assistant import load_assistant
from tests.builders import NOON, Chat, a_case, a_customer

ASSISTANTS = Path(__file__).parents[2] / "config" / "assistants"
METER = Asset(1, "meter", "MB02000037", "电表", {"address": "平安里 3 号楼 201"})
SECOND = Asset(2, "meter", "MB02000999", "电表", {"address": "柳河镇 8 号"})


@cache
def assistant(name: str) -> Assistant:
    return load_assistant(ASSISTANTS / name)


def power(**record: object) -> Chat:
    return Chat(customer=a_customer(**record), assistant=assistant("power"))


def opened(chat: Chat) -> OpenCase:
    return next(effect for effect in chat.effects if isinstance(effect, OpenCase))


def test_a_reading_for_the_only_meter_is_asked_for_once_and_kept_with_number_and_time() -> None:
    chat = power(assets=(METER,))
    assert "有功总" in chat.hear("我要报表数", "meter_reading")
    said = chat.hear("8866", "inform", entities={"reading": "8866"})
    case = opened(chat)
    assert (case.kind, case.subject, case.asset) == ("meter_reading", METER.key, METER.id)
    assert case.details == {"reading": "8866"}
    assert case.clocks
    assert case.number in said
    assert "8866" in said
    assert "平安里 3 号楼 201" in said


def test_a_reading_told_at_once_is_not_asked_for() -> None:
    chat = power(assets=(METER,))
    said = chat.hear("电表读数是8866", "meter_reading", entities={"reading": "8866"})
    assert opened(chat).details == {"reading": "8866"}
    assert "有功总" not in said


def test_with_two_meters_the_customer_chooses_which() -> None:
    chat = power(assets=(METER, SECOND))
    chat.hear("我要报表数", "meter_reading")
    assert [button.value for button in chat.buttons] == [
        f"slot:request_asset={METER.key}",
        f"slot:request_asset={SECOND.key}",
    ]
    chat.press("柳河镇")
    chat.hear("512", "inform", entities={"reading": "512"})
    assert opened(chat).asset == SECOND.id


def test_a_meter_somebody_no_longer_has_is_not_offered() -> None:
    gone = Asset(3, "meter", "MB1", until=NOON - timedelta(days=1))
    chat = power(assets=(METER, gone))
    assert "有功总" in chat.hear("我要报表数", "meter_reading")


def test_a_stranger_names_the_account_in_words() -> None:
    chat = power()
    assert "户号" in chat.hear("电表", "meter_fault")
    chat.hear("4001234567", "inform", entities={"account": "4001234567"})
    chat.hear("屏幕黑了两天", "meter_fault")
    case = opened(chat)
    assert (case.subject, case.asset) == ("4001234567", None)
    assert case.details == {"request_text": "屏幕黑了两天"}
    assert (case.category, case.team) == ("meter", "metering")


def test_a_danger_is_answered_with_how_to_stay_safe_and_wakes_somebody() -> None:
    chat = power()
    assert "8 米" in chat.hear("路上有根电线断了，还在冒火花", "safety_hazard")
    said = chat.hear("平安里三号楼门口", "inform")
    case = opened(chat)
    assert (case.severity, case.category, case.details["place"]) == (4, "safety", "平安里三号楼门口")
    assert any(isinstance(effect, RequestHandoff) and effect.urgency == 4 for effect in chat.effects)
    assert case.number in said


def test_what_is_no_reading_is_refused_with_an_example() -> None:
    chat = power(assets=(METER,))
    chat.hear("我要报表数", "meter_reading")
    assert "8866" in chat.hear("看不清", "", 0.0)


@pytest.mark.parametrize(("credit_class", "said"), [("A", "不需要班长审批"), ("C", "班长确认")])
def test_more_time_to_pay_is_asked_for_by_credit_class_and_nobody_says_that_the_bill_has_changed(
    credit_class: str, said: str
) -> None:
    chat = power(assets=(METER,), credit_class=credit_class)
    chat.hear("能晚几天交吗", "payment_extension")
    answer = chat.press("分 2 期")
    for part in (said, "账单现在还没有变", "前在这里答复您"):
        assert part in answer
    assert opened(chat).details == {"payment_plan": "two_parts"}


BILL = Due("b-1", "electricity", 10_001, "CNY", "2026-12-31", asset_key=METER.key)


def test_a_plan_that_the_rules_allow_at_once_is_told_with_its_days_and_written_down() -> None:
    chat = power(assets=(METER,), credit_class="A", dues=(BILL,))
    chat.hear("能晚几天交吗", "payment_extension")
    answer = chat.press("分 2 期")
    assert "账单现在还没有变" not in answer
    assert "50.01 元" in answer
    assert "50.00 元" in answer
    (effect,) = [effect for effect in chat.effects if isinstance(effect, AgreePayPlan)]
    assert [(part.amount_minor, part.due_on) for part in effect.parts["b-1"]] == [
        (5001, "2026-12-31"),
        (5000, "2027-01-30"),
    ]
    assert effect.case_number == opened(chat).number


@pytest.mark.parametrize(
    ("credit_class", "due"),
    [("C", BILL), ("A", replace(BILL, kind="instalment")), ("A", replace(BILL, asset_key="another"))],
)
def test_no_plan_is_written_down_that_a_colleague_has_to_decide_on_or_for_other_payments(
    credit_class: str, due: Due
) -> None:
    chat = power(assets=(METER,), credit_class=credit_class, dues=(due,))
    chat.hear("能晚几天交吗", "payment_extension")
    assert "账单现在还没有变" in chat.press("分 2 期")
    assert not [effect for effect in chat.effects if isinstance(effect, AgreePayPlan)]


def test_a_request_that_is_no_complaint_weighs_no_more_by_the_rule_of_the_credit_class() -> None:
    chat = power(assets=(METER,), credit_class="A")
    service = chat.assistant.service
    record = replace(service.record, credit={"A": CreditRule(severity=1)})
    chat.assistant = replace(chat.assistant, service=replace(service, record=record))
    chat.hear("能晚几天交吗", "payment_extension")
    chat.press("分 2 期")
    assert opened(chat).severity == 1


def test_the_same_request_again_is_added_to_the_open_one() -> None:
    chat = Chat(
        customer=a_customer(assets=(METER,)),
        cases=[a_case("C-2001-3", kind="meter_fault", category="meter_fault", subject=METER.key)],
        assistant=assistant("power"),
    )
    assert "C-2001-3" in chat.hear("电表现在还冒出嗡嗡声", "meter_fault")
    assert [type(effect) for effect in chat.effects] == [UpdateCase]


def test_the_last_visits_are_told_with_place_and_amount_in_the_customers_language() -> None:
    names = {"zh": "保定路站", "en": "Baoding Road"}
    days = (timedelta(days=ago) for ago in (1, 9, 17, 25))
    visits = tuple(Visit(NOON - ago, "refuel", "s-01", names, "95# 42.0 L", 32718, "CNY") for ago in days)
    chat = Chat(customer=a_customer(visits=visits), assistant=assistant("fuel"))
    said = chat.hear("查我的加油记录", "visit_history")
    assert said.count("保定路站") == 3
    assert "昨天" in said
    assert "327.18" in said
    assert "Baoding Road" in chat.hear("my last fill-ups", "visit_history", language="en")


def test_without_visits_on_record_that_is_said() -> None:
    assert "还没有" in Chat(assistant=assistant("fuel")).hear("查我的加油记录", "visit_history")


STAY = Asset(
    4, "room_stay", "st-1", "湖景房 1208", {"site": "h-01"}, NOON - timedelta(days=1), NOON + timedelta(days=2)
)


def test_a_guest_in_the_house_is_not_asked_which_stay_a_complaint_is_about() -> None:
    chat = Chat(customer=a_customer(assets=(STAY,)), assistant=assistant("hotel"))
    said = chat.hear("空调不制冷，热得睡不着", "complaint")
    assert "哪一次" not in said
    assert "1208" in chat.press("马上处理")
    assert (opened(chat).subject, opened(chat).asset) == (STAY.key, STAY.id)


def test_between_two_stays_the_guest_is_asked() -> None:
    other = Asset(5, "room_stay", "st-2", "双床房 0302", {}, NOON - timedelta(hours=3), NOON + timedelta(days=1))
    chat = Chat(customer=a_customer(assets=(STAY, other)), assistant=assistant("hotel"))
    assert "哪一次" in chat.hear("空调不制冷，热得睡不着", "complaint")


def test_what_a_guest_wants_brought_goes_to_the_room_they_are_in() -> None:
    chat = Chat(customer=a_customer(assets=(STAY,)), assistant=assistant("hotel"))
    said = chat.hear("麻烦加两条浴巾", "housekeeping_request")
    assert "加两条浴巾" in said
    assert "1208" in said
    assert "st-1" not in said
    assert opened(chat).severity == 2


def test_what_a_guest_likes_is_remembered_when_they_book_again() -> None:
    likes = (Preference("allergy", "我对羽绒过敏", NOON - timedelta(days=90)),)
    chat = Chat(customer=a_customer(preferences=likes), assistant=assistant("hotel"))
    assert "我对羽绒过敏" in chat.hear("想订一间房", "room_booking")
    assert "记得" not in Chat(assistant=assistant("hotel")).hear("想订一间房", "room_booking")
