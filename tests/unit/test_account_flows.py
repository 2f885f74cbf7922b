"""What the customer sees and changes of their own record, and what is kept of their likes for next time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bot.actions.account import begin_acquaintance
from bot.actions.base import ActionContext, ActionResult
from bot.service.policy import read_policy
from bot.service_types import Asset, Preference, RecordPreference, RequestErasure, SetAttribute
from bot.types import CustomerSnapshot, UpdateCustomer
from tests.builders import Chat, a_case, a_customer, a_turn
from tests.serving_shop import serving

NOW = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)  # a Monday, 10:00 in Shanghai
POLICY = {
    "record": {
        "attributes": {"mileage": {"type": "whole", "zh": "里程", "en": "mileage", "own": False}},
        "preferences": {"allergy": ["过敏", "allergic"], "room": ["安静", "quiet"]},
        "erase_after_days": 7,
    }
}
FLOWS = ("account_show", "account_correct", "account_delete", "preference", "preferences_show", "get_acquainted")


def talking(customer: CustomerSnapshot | None = None, **more: object) -> Chat:
    return Chat(customer=customer, assistant=serving(*FLOWS, policy=POLICY), now=NOW, **more)  # type: ignore[arg-type]


KNOWN = a_customer(
    name="王芳",
    phone="+8613800001234",
    email="fang@example.com",
    attributes={"birthday": "1990-02-03", "mileage": 12000},
    assets=(Asset(1, "vehicle", "AB1", "潮汐"),),
    preferences=(Preference("allergy", "对羽毛过敏", NOW), Preference("room", "要安静的房间", NOW)),
    points=30,
)


def test_what_is_known_is_told_and_contact_data_only_in_part() -> None:
    said = talking(KNOWN).hear("你们有我哪些资料", "account_show")
    for part in ("王芳", "****1234", "f***@example.com", "生日：1990-02-03", "潮汐", "对羽毛过敏", "30"):
        assert part in said
    assert "13800001234" not in said
    assert "fang@" not in said


def test_somebody_unknown_is_told_so() -> None:
    assert "还没有记下" in talking().hear("你们有我哪些资料", "account_show")


def test_a_fact_is_changed_once_it_is_confirmed() -> None:
    chat = talking(KNOWN)
    assert "哪一项" in chat.hear("我要改资料", "account_correct")
    assert [button.label for button in chat.buttons] == ["姓名", "电话", "邮箱", "语言", "生日"]
    chat.press("生日")
    assert "请再写一次" in chat.hear("三月")
    assert "把生日改为“1991-03-04”" in chat.hear("1991年3月4日")
    assert chat.effects == []
    assert "已修改：生日" in chat.press("对，修改")
    assert chat.effects == [SetAttribute("birthday", "1991-03-04", "chat:account_correct")]


def test_an_address_in_the_request_is_not_asked_for_again() -> None:
    chat = talking(KNOWN)
    assert "邮箱改为“new@example.com”" in chat.hear("我的邮箱换成 new@example.com 了", "account_correct")
    chat.press("对，修改")
    assert chat.effects == [UpdateCustomer(email="new@example.com")]


def test_not_confirmed_is_not_changed_and_what_is_not_theirs_is_refused() -> None:
    chat = talking(KNOWN)
    chat.hear("我要改资料", "account_correct")
    assert "不能在这里修改" in chat.hear("里程")
    chat.press("姓名")
    chat.hear("王方")
    assert "没有改动" in chat.press("不改")
    assert chat.effects == []


def test_a_proven_number_does_not_give_way_to_one_only_told() -> None:
    chat = talking(a_customer(phone="+8613800001234", phone_is_verified=True))
    chat.hear("我要改资料", "account_correct")
    chat.press("电话")
    chat.hear("+8613900000000")
    assert "已经验证" in chat.press("对，修改")
    assert chat.effects == []


def test_erasure_is_asked_once_names_the_day_and_what_is_open_and_can_be_taken_back() -> None:
    chat = talking(KNOWN, cases=(a_case(number="C-1024-7", is_open=True),))
    said = chat.hear("删除我的资料", "account_delete")
    assert "C-1024-7" in said
    assert "3月9日" in said
    chat.press("确定删除")
    (effect,) = chat.effects
    assert effect == RequestErasure(NOW + timedelta(days=7), "chat:account_delete")

    later = talking(a_customer(attributes={"erasure_at": effect.at.isoformat()}))
    assert "撤回" in later.hear("删除我的资料", "account_delete")
    later.press("撤回，保留资料")
    assert later.effects == [RequestErasure(None, "chat:account_keep")]


def test_a_preference_told_at_once_is_kept_in_the_customers_words() -> None:
    chat = talking()
    said = chat.hear("帮我记一下，我对羽毛过敏", "preference")
    assert "我对羽毛过敏" in said
    assert chat.effects == [RecordPreference("allergy", "我对羽毛过敏", "chat")]


def test_a_preference_not_told_is_asked_for() -> None:
    chat = talking(language="en")
    assert "like or need to avoid" in chat.hear("note", "preference")
    chat.hear("no onions please")
    assert chat.effects == [RecordPreference("general", "no onions please", "chat")]


@pytest.mark.parametrize(("answer", "ended"), [("2", "要安静的房间"), ("保留", None)])
def test_preferences_are_listed_and_one_can_be_taken_out(answer: str, ended: str | None) -> None:
    chat = talking(KNOWN)
    said = chat.hear("我的喜好", "preferences_show")
    assert "1. 对羽毛过敏" in said
    chat.hear(answer)
    assert [effect.value for effect in chat.effects] == ([ended] if ended else [])


def test_the_rules_say_how_each_class_is_served_and_read_values_by_type() -> None:
    rules = read_policy({"record": {"credit": {"D": {"tone": "firm", "remind_days": 20}}}}).record
    assert (rules.credit_rule("D").remind_days, rules.credit_rule("D").compensation) == (20, 0.0)
    assert rules.credit_rule("").tone == rules.credit_rule("B").tone == "friendly"
    assert rules.read("birthday", "1990/2/3") == "1990-02-03"
    assert rules.read("birthday", "1990-02-30") is None
    assert rules.read("height", "5") is None


def _greeted(customer: CustomerSnapshot, since: timedelta) -> ActionResult:
    turn = a_turn("您好", "greet")
    conversation = replace(turn.conversation, customer=customer, last_message_at=turn.now - since)
    assistant = serving(*FLOWS, policy=POLICY)
    return begin_acquaintance(ActionContext(replace(turn, conversation=conversation), assistant, "zh", "", {}))


def test_a_name_is_asked_for_on_the_second_visit_only_once_and_only_if_unknown() -> None:
    day = timedelta(days=1)
    asked = _greeted(a_customer(), day)
    assert asked.slots == {"account_step": "ask"}
    (effect,) = asked.effects
    assert isinstance(effect, SetAttribute)
    assert _greeted(a_customer(attributes={effect.name: effect.value}), day).slots == {"account_step": "known"}
    assert _greeted(a_customer(), timedelta(minutes=5)).slots == {"account_step": "known"}
    assert _greeted(KNOWN, day).replies[0].args == {"name": "王芳"}
