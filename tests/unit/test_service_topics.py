"""Subscriptions, outages, bills and reminders: the rules, and the flows as the customer sees them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import AssistantInvalid
from bot.service.places import Position
from bot.service.policy import read_policy
from bot.service.topics import OwnTopics, Reminding, TopicRules, days_left
from bot.service_types import Asset, Due, Outage, ReportOutage, SubscribeTopic
from bot.types import CreateTask, CustomerSnapshot, Language, Location, Need, Owner, RecordConsent
from crm_sync.dues import OpenDue
from crm_sync.own_news import OrderNews
from frontdesk.assistant import load_assistant
from frontdesk.due_reminders import decide_reminder
from frontdesk.own_news import order_notice
from tests.builders import Chat, a_customer, an_order
from tests.serving_shop import serving

NOW = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)  # a Monday, 10:00 in Shanghai
POLICY: dict[str, Any] = {
    "topics": {
        "subscribe": {
            "price": {
                "title": {"zh": "油价", "en": "Fuel price"},
                "choices": {"92": {"zh": "92 号", "en": "92"}, "95": {"zh": "95 号", "en": "95"}},
            },
            "outage": {"title": {"zh": "停电通知", "en": "Outages"}},
            "order": {"title": {"zh": "订单进度", "en": "Order progress"}, "needs_match": True},
        },
        "reminders": {"A": {"days": [1], "tone": "gentle"}, "D": {"days": [0, 7, 3, -2], "tone": "firm"}},
    }
}
FLOWS = (
    "subscribe_topic",
    "unsubscribe_topic",
    "subscriptions_show",
    "outage_report",
    "outage_status",
    "bill_show",
    "points_show",
)
EAST = Outage(5, "o5", "outage", "东区", NOW - timedelta(hours=1), NOW + timedelta(hours=3), 38.874, 115.464, 1500)
OUTAGES = Need("outages", "")


def talking(customer: CustomerSnapshot | None = None, *, outages: tuple[Outage, ...] = (EAST,), **more: Any) -> Chat:
    assistant = serving(*FLOWS, policy=POLICY)
    return Chat(customer=customer, assistant=assistant, now=NOW, elsewhere={OUTAGES: outages}, **more)


# --- subscribing --------------------------------------------------------------------------------------------------


def test_a_topic_named_with_the_wish_is_narrowed_and_subscribed_with_how_to_stop_it() -> None:
    chat = talking()
    said = chat.hear("油价变了告诉我", "subscribe_topic")
    assert "油价：请问具体是哪一项" in said
    assert [button.label for button in chat.buttons] == ["92 号", "95 号", "全部"]
    said = chat.press("95 号")
    assert "已订阅油价 · 95 号" in said
    assert "回复“退订”即可停止" in said
    assert chat.effect(SubscribeTopic) == SubscribeTopic("price", True, "chat:subscribe_topic", "95")


def test_all_of_a_topic_can_be_wanted_and_a_topic_without_choices_asks_nothing() -> None:
    chat = talking(language="en")
    chat.hear("keep me posted", "subscribe_topic")
    chat.press("Fuel price")
    chat.hear("all of it")
    assert chat.effect(SubscribeTopic).match == ""
    other = talking()
    other.hear("停电通知", "subscribe_topic")
    assert other.effect(SubscribeTopic).topic == "outage"


def test_a_topic_that_is_about_one_thing_asks_which_and_offers_no_all() -> None:
    chat = talking()
    chat.hear("订单进度告诉我", "subscribe_topic")
    assert chat.buttons == []
    chat.hear("SO-2391")
    assert chat.effect(SubscribeTopic).match == "SO-2391"


def test_a_topic_there_is_none_of_is_asked_again() -> None:
    chat = talking()
    chat.hear("告诉我消息", "subscribe_topic")
    assert "没有找到" in chat.hear("星座运势")
    assert [button.label for button in chat.buttons] == ["油价", "停电通知", "订单进度"]


@pytest.mark.parametrize("word", ["退订", "TD", "stop", "Unsubscribe", " ＴＤ "])
def test_one_word_stops_everything_at_once(word: str) -> None:
    chat = talking(a_customer(subscriptions=(("price", "95"), ("outage", "")), consents={"promotion": True}))
    said = chat.hear(word, language="zh")
    assert "已全部退订" in said
    assert chat.effect(SubscribeTopic) == SubscribeTopic("*", False, "chat:unsubscribe_topic")
    stopped = {effect.purpose for effect in chat.effects if isinstance(effect, RecordConsent) and not effect.granted}
    assert stopped == {"news", "promotion"}


def test_the_word_stops_everything_also_while_an_operator_is_there() -> None:
    chat = talking(a_customer(subscriptions=(("price", ""),)))
    chat.owner = Owner.OPERATOR
    chat.hear("退订")
    assert chat.effect(SubscribeTopic).topic == "*"


@pytest.mark.parametrize("word", ["退订", "TD", "stop", "unsubscribe"])
@pytest.mark.parametrize("begun", ["subscribe_topic", "unsubscribe_topic", "outage_report"])
def test_the_word_stops_everything_also_where_a_question_is_open(word: str, begun: str) -> None:
    chat = talking(a_customer(subscriptions=(("price", "95"), ("outage", "")), consents={"news": True}))
    chat.hear("请帮我办一下", begun)
    assert chat.state["stack"]
    chat.hear(word, language="zh")
    assert chat.templates.count("utter_topic_stopped_all") == 1
    assert chat.effect(SubscribeTopic).topic == "*"
    assert chat.effect(RecordConsent).granted is False
    assert [frame["flow"] for frame in chat.state["stack"]] == (["outage_report"] if begun == "outage_report" else [])


@pytest.mark.parametrize("word", ["退订", "TD", "stop", "unsubscribe"])
def test_the_word_is_no_topic_also_for_somebody_who_is_sent_nothing_yet(word: str) -> None:
    chat = talking()
    chat.hear("请帮我办一下", "subscribe_topic")
    chat.hear(word, language="zh")
    assert chat.templates == ["utter_topic_stopped_all"]
    assert chat.effect(RecordConsent).granted is False


@pytest.mark.parametrize("word", ["退订", "stop"])
def test_the_word_stops_everything_also_while_a_person_is_awaited(word: str) -> None:
    chat = talking(a_customer(subscriptions=(("price", "95"),)))
    chat.owner = Owner.QUEUE
    chat.hear(word, language="zh")
    assert chat.templates == ["utter_topic_stopped_all"]
    assert chat.effect(SubscribeTopic).topic == "*"


def test_stop_drops_what_is_being_done_where_nothing_is_sent() -> None:
    chat = talking()
    chat.hear("我家停电了", "outage_report")
    chat.hear("stop", language="zh")
    assert chat.templates == ["utter_cancelled"]
    chat.owner = Owner.QUEUE
    chat.hear("stop", language="zh")
    assert chat.templates == ["utter_queue_left"]


def test_an_assistant_that_only_sends_news_ends_topics_from_elsewhere_with_the_news() -> None:
    chat = Chat(customer=a_customer(subscriptions=(("price", ""),)))
    chat.hear("我要投诉", "complaint")
    chat.hear("退订")
    assert chat.templates == ["utter_unsubscribe_news_done", "utter_ask_what_happened"]
    assert chat.effect(SubscribeTopic).topic == "*"
    assert chat.effect(RecordConsent) == RecordConsent("news", granted=False, source="chat:unsubscribe_news")


def test_with_an_operator_the_word_ends_every_consent() -> None:
    chat = talking(a_customer(consents={"promotion": True}))
    chat.owner = Owner.OPERATOR
    assert chat.hear("退订").startswith("已停止")  # one line, so that they know it worked
    stopped = {effect.purpose for effect in chat.effects if isinstance(effect, RecordConsent) and not effect.granted}
    assert stopped == {"news", "promotion"}


def test_one_of_several_is_stopped_by_choice_and_the_only_one_without() -> None:
    chat = talking(a_customer(subscriptions=(("price", "95"), ("outage", ""))))
    chat.hear("我不想再收到这些", "unsubscribe_topic")
    assert "已停止：停电通知" in chat.press("停电通知")
    assert chat.effect(SubscribeTopic) == SubscribeTopic("outage", False, "chat:unsubscribe_topic")
    only = talking(a_customer(subscriptions=(("price", "95"),)))
    assert "已停止：油价" in only.hear("我不想再收到这个", "unsubscribe_topic")


def test_subscriptions_are_shown_and_none_is_said() -> None:
    chat = talking(a_customer(subscriptions=(("price", "95"), ("outage", ""))))
    said = chat.hear("我订了什么", "subscriptions_show")
    assert "· 油价 · 95 号\n· 停电通知" in said
    assert "没有订阅" in talking().hear("我订了什么", "subscriptions_show")


# --- outages ------------------------------------------------------------------------------------------------------


def test_a_fault_near_a_known_outage_belongs_to_it_and_its_expected_end_is_said() -> None:
    chat = talking()
    assert "在哪里" in chat.hear("停电了", "outage_report")
    said = chat.send(Location(38.876, 115.466))
    assert "东区的故障我们已经知道" in said
    assert "今天 13:00" in said
    effect = chat.effect(ReportOutage)
    assert (effect.outage_id, effect.latitude) == (5, 38.876)
    assert not [one for one in chat.effects if isinstance(one, CreateTask)]


def test_a_fault_elsewhere_is_a_new_one_somebody_looks_at() -> None:
    chat = talking()
    chat.hear("停电了", "outage_report")
    said = chat.send(Location(38.99, 115.464))
    assert "没有已知的故障" in said
    assert chat.effect(ReportOutage).outage_id is None
    assert chat.effect(CreateTask).kind == "outage"


def test_the_meter_of_the_record_says_where_without_asking() -> None:
    meter = Asset(1, "meter", "M-77", attributes={"area": "东区"})
    chat = talking(a_customer(assets=(meter,)), language="en")
    said = chat.hear("the power is out", "outage_report")
    assert "We know of the fault in 东区" in said
    assert chat.effect(ReportOutage).asset_key == "M-77"


def test_the_area_of_the_record_goes_with_the_report_so_that_an_outage_found_later_is_matched() -> None:
    chat = talking(a_customer(attributes={"area": "石桥村"}), outages=())
    chat.hear("我家没电了", "outage_report")
    assert chat.effect(ReportOutage).address == "石桥村"


def test_a_place_in_words_is_not_taken_for_the_home_of_the_record() -> None:
    home = a_customer(attributes={"latitude": 38.874, "longitude": 115.464})
    assert "东区" in talking(home).hear("停电了", "outage_status")
    away = talking()
    away.hear("停电了吗", "outage_status")
    assert "没有已知的故障" in away.hear("西边的小区")
    named = talking()
    named.hear("停电了吗", "outage_status")
    assert "13:00" in named.hear("东区花园小区")


@pytest.mark.parametrize("place", [Location(0.0, 0.0), Location(float("nan"), 115.0), Location(91.0, 0.0)])
def test_an_impossible_place_belongs_to_no_outage(place: Location) -> None:
    chat = talking()
    chat.hear("停电了", "outage_report")
    chat.send(place)
    effect = chat.effect(ReportOutage)
    assert (effect.outage_id, effect.latitude, effect.longitude) == (None, None, None)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"expected_end_at": None}, "恢复时间还不能确定"),
        ({"expected_end_at": NOW - timedelta(minutes=1)}, "已超过原来预计的时间"),
        (
            {"kind": "planned", "starts_at": NOW + timedelta(hours=1)},
            "有计划检修：今天 11:00开始，预计今天 13:00前结束",
        ),
    ],
)
def test_what_is_not_known_or_no_longer_true_is_not_promised(change: dict[str, Any], words: str) -> None:
    chat = talking(outages=(replace(EAST, **change),))
    chat.hear("停电了吗", "outage_status")
    assert words in chat.hear("东区")


def test_of_overlapping_outages_the_nearest_counts_and_the_radius_is_that_of_the_rules_where_none_is_given() -> None:
    near = Outage(6, "o6", "outage", "", NOW, None, 38.8745, 115.464)
    rules = TopicRules(outage_radius_m=100)
    assert rules.outage_at((EAST, near), Position(38.8744, 115.464), ()) == near
    assert rules.outage_at((near,), Position(38.8765, 115.464), ()) is None
    assert TopicRules().outage_at((near,), Position(38.8765, 115.464), ()) == near


# --- bills and points ---------------------------------------------------------------------------------------------


def test_unpaid_bills_are_named_with_their_day_and_points_with_their_number() -> None:
    due = Due("d1", "electricity", 12850, "CNY", "2026-03-03", asset_key="M-77")
    odd = Due("d2", "rent", 100, "CNY", "soon")
    chat = talking(a_customer(dues=(due, odd), points=120))
    said = chat.hear("我的账单", "bill_show")
    assert "· 电费 · M-77 · 128.50 元 · 明天到期" in said
    assert "· rent · 1.00 元 · soon到期" in said
    assert "120 积分" in chat.hear("积分", "points_show")
    assert "没有待支付" in talking().hear("我的账单", "bill_show")


# --- reminders ----------------------------------------------------------------------------------------------------

RULES = read_policy(POLICY).topics
TODAY = date(2026, 3, 2)


def a_due(due_on: str, credit_class: str = "") -> OpenDue:
    return OpenDue(1, 1, "electricity", 100, "CNY", due_on, credit_class, "")


@pytest.mark.parametrize(
    ("due_on", "credit_class", "decided"),
    [
        ("2026-03-03", "A", (1, "utter_due_gentle")),
        ("2026-03-04", "A", None),
        ("2026-03-09", "D", (7, "utter_due_firm")),
        ("2026-03-07", "D", (7, "utter_due_firm")),  # the day was missed: the step is still the same one
        ("2026-03-05", "D", (3, "utter_due_firm")),
        ("2026-03-02", "D", (0, "utter_due_firm")),
        ("2026-03-01", "D", None),  # what was for the due day is over with it
        ("2026-02-28", "D", (-2, "utter_overdue_firm")),
        ("2026-03-05", "", (3, "utter_due_plain")),
        ("2026-03-05", "B", (3, "utter_due_plain")),
        ("someday", "D", None),
        ("2026-02-30", "D", None),
    ],
)
def test_who_is_reminded_today_and_how_follows_from_the_class(
    due_on: str, credit_class: str, decided: tuple[int, str] | None
) -> None:
    assert decide_reminder(a_due(due_on, credit_class), rules=RULES, today=TODAY) == decided


def test_a_leap_day_is_counted() -> None:
    assert days_left("2028-03-01", date(2028, 2, 28)) == 2
    assert days_left("2027-03-01", date(2027, 2, 28)) == 1


@given(st.lists(st.integers(-60, 60), min_size=1, unique=True), st.integers(-90, 90))
def test_a_step_never_comes_before_its_day_and_only_goes_on(days: list[int], left: int) -> None:
    reminding = Reminding(tuple(days))
    step = reminding.step(left)
    assert (step is None) == (left > max(days))
    if step is not None:
        assert left <= step
        assert (reminding.step(left - 1) or step) <= step


def test_the_days_looked_through_are_those_anybody_is_reminded_on() -> None:
    assert (RULES.earliest_days, RULES.latest_days) == (7, -2)
    assert (TopicRules().earliest_days, TopicRules().latest_days) == (7, 0)


@pytest.mark.parametrize(
    ("section", "reason"),
    [
        ({"subscribe": {"price": {"colour": 1}}}, "unknown key 'colour'"),
        ({"subscribe": {"price": {"needs_match": "yes"}}}, "needs_match must be true or false"),
        ({"reminders": {"A": {"days": [1.5]}}}, "days must be whole numbers"),
        ({"reminders": {"A": {"tone": "rude"}}}, "tone must be one of gentle, plain, firm"),
        ({"remind_at": "late"}, "remind_at must be a time"),
        ({"outage_radius_m": 0}, "outage_radius_m"),
        ({"own": {"orders": "order"}}, "there is no topic 'order' to subscribe to"),
        ({"own": {"weather": "order"}}, "unknown key 'weather' in own"),
    ],
)
def test_a_wrong_section_is_refused_with_the_reason(section: dict[str, Any], reason: str) -> None:
    with pytest.raises(AssistantInvalid, match=reason):
        read_policy({"topics": section})


@pytest.mark.parametrize(
    ("own", "topics"),
    [
        ({}, OwnTopics("order", "outage", "")),
        ({"orders": "price", "outages": None}, OwnTopics("price", "", "")),
    ],
)
def test_news_that_arise_here_go_to_the_topics_named_so_unless_the_policy_says_otherwise(
    own: dict[str, Any], topics: OwnTopics
) -> None:
    assert read_policy({"topics": {**POLICY["topics"], "own": own}}).topics.own == topics
    assert TopicRules().own == OwnTopics()


def test_what_news_are_about_is_found_by_the_name_of_a_choice_too() -> None:
    assert RULES.matches("price", "95 号", "") == ("95 号", "95")
    assert RULES.matches("outage", "东区") == ("东区",)


def test_own_orders_are_offered_and_found_in_the_words_said() -> None:
    chat = talking(orders=(an_order("SO-2391", items="台灯"),))
    chat.hear("订单进度告诉我", "subscribe_topic")
    assert [button.label for button in chat.buttons] == ["SO-2391 台灯"]
    chat.hear("就是 so2391 这个订单")
    assert chat.effect(SubscribeTopic).match == "SO-2391"


@pytest.mark.parametrize(
    ("language", "status", "words"),
    [
        ("zh", "Shipped", "您的订单 SO-2391：已发货，正在运输途中，预计明天送达。"),
        ("en", "shipped", "Your order SO-2391: shipped and on its way, expected tomorrow."),
        ("en", "delivered", "Your order SO-2391: delivered."),
    ],
)
def test_a_new_status_is_told_in_words_with_the_expected_day_while_it_is_to_come(
    language: Language, status: str, words: str
) -> None:
    news = OrderNews(1, "SO-2391", status, 1, NOW + timedelta(days=1))
    chat = talking(a_customer(language=language))
    assert chat.send(order_notice(news, zone=ZoneInfo("Asia/Shanghai"))) == words


def test_a_notice_names_its_topic_in_the_customers_words() -> None:
    assistant = load_assistant(Path(__file__).parents[2] / "config" / "assistants" / "fuel")
    assert assistant.word("topic", "price", "zh") == "油价"
    assert assistant.word("topic", "price", "en") == "fuel prices"
