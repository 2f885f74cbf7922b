"""Whole conversations purely through `decide`, with scripted understanding, in both languages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bot.dialogue import decide
from bot.types import (
    ArticleHit,
    Button,
    Command,
    Contact,
    Content,
    CreateTask,
    Lane,
    Location,
    Media,
    Need,
    OpenCase,
    Owner,
    RecordConsent,
    ReleaseHandoff,
    RequestHandoff,
    Unsupported,
    UpdateCase,
    UpdateCustomer,
)
from tests.builders import NIGHT, NOON, Chat, a_case, a_customer, a_turn, an_article, an_order, an_understanding, shop

# --- orders -----------------------------------------------------------------------------------------------------


def test_order_status_names_status_day_and_tracking_of_the_customers_order() -> None:
    chat = Chat(orders=[an_order("2391")])
    said = chat.hear("订单2391到哪了", "order_status", entities={"order_number": "2391"})
    assert "已发货" in said
    assert "明天" in said
    assert "SF1029384756" in said


def test_order_status_in_english_says_the_same_in_english() -> None:
    chat = Chat(orders=[an_order("SO-20391")], language="en")
    said = chat.hear("where is order 20391?", "order_status", entities={"order_number": "20391"})
    assert "SO-20391" in said
    assert "on its way" in said
    assert "expected tomorrow" in said


def test_without_a_number_the_only_open_order_is_meant() -> None:
    chat = Chat(orders=[an_order("2391"), an_order("10482", "delivered")])
    assert "2391" in chat.hear("我的快递呢", "order_status")


def test_without_a_number_several_open_orders_are_offered_and_one_can_be_chosen_by_number() -> None:
    chat = Chat(orders=[an_order("2391"), an_order("10482", "processing", items="台灯")])
    chat.hear("我的快递呢", "order_status")
    assert [button.value for button in chat.buttons] == ["slot:order_number=2391", "slot:order_number=10482"]
    assert "正在备货" in chat.hear("2")


def test_an_order_of_somebody_else_reveals_nothing() -> None:
    said = Chat().hear("订单2391到哪了", "order_status", entities={"order_number": "2391"})
    unknown = Chat().hear("订单9999到哪了", "order_status", entities={"order_number": "9999"})
    assert said.replace("2391", "9999") == unknown
    assert "没有查到" in said


def test_an_order_older_than_the_snapshot_is_fetched() -> None:
    chat = Chat(elsewhere={Need("order", "8888"): an_order("8888", "delivered")})
    assert "已签收" in chat.hear("8888", "inform", entities={"order_number": "8888"})


def test_a_bad_order_number_is_asked_again_with_the_reason_and_three_times_offer_a_person() -> None:
    chat = Chat()
    chat.hear("查订单", "order_status")
    said = chat.hear("abc", "inform", 0.3)
    assert "不像是订单号" in said
    assert chat.templates[-1] == "utter_ask_order_number"
    chat.hear("还是abc", "", 0.0)
    assert chat.hear("我不知道", "", 0.0).endswith("或回复“取消”。")
    chat.press("转人工")
    assert chat.effect(RequestHandoff).reason == "flow_failed"


def test_a_late_order_says_sorry_and_offers_a_complaint_that_knows_the_order() -> None:
    chat = Chat(orders=[an_order("2391", expected_at=NOON - timedelta(days=2))])
    assert "抱歉" in chat.hear("订单2391", "inform", entities={"order_number": "2391"})
    chat.press("投诉")
    assert chat.templates == ["utter_ask_what_happened"]


# --- complaints -------------------------------------------------------------------------------------------------


def complain(chat: Chat) -> Chat:
    chat.hear("我要投诉", "complaint")
    chat.hear("收到的电水壶漏水", "complaint", 0.8)
    chat.hear("订单2391", "inform", entities={"order_number": "2391"})
    chat.hear("上周五", "inform", entities={"date": "上周五"})
    chat.press("退款")
    return chat


def test_a_complaint_collects_everything_and_names_number_content_and_time() -> None:
    chat = complain(Chat())
    said = chat.hear("13812345678", "inform", entities={"phone": "13812345678"})
    opened = chat.effect(OpenCase)
    assert opened.number in said
    assert "今天 16:00前" in said  # four staffed hours after noon
    assert (opened.kind, opened.category, opened.subject, opened.severity) == ("complaint", "product", "2391", 1)
    assert opened.details == {
        "what_happened": "收到的电水壶漏水",
        "order_number": "2391",
        "since": "2024-11-15",
        "wish": "refund",
        "contact": "+8613812345678",
    }
    assert chat.effect(UpdateCustomer).phone == "+8613812345678"


def test_a_complaint_late_in_the_evening_promises_the_next_day() -> None:
    chat = Chat(
        language="en", now=datetime(2024, 11, 20, 11, 0, tzinfo=UTC)
    )  # 19:00 in Shanghai: two staffed hours left
    chat.hear("I want to complain: the lamp arrived broken", "complaint", entities={"product": "lamp"})
    chat.hear("yesterday", "inform")
    chat.hear("a replacement please", "exchange_request")
    said = chat.press("Reply here")
    assert "by tomorrow at 11:00" in said


def test_a_known_phone_is_not_asked_again() -> None:
    chat = complain(Chat(customer=a_customer(phone="+8613900001111")))
    assert chat.effect(OpenCase).details["contact"] == "+8613900001111"


def test_a_bad_phone_is_refused_with_the_reason() -> None:
    chat = complain(Chat())
    assert "11 位" in chat.hear("12345", "inform")
    assert not [effect for effect in chat.effects if isinstance(effect, OpenCase)]


def test_a_date_to_come_is_refused_with_the_reason() -> None:
    chat = Chat()
    chat.hear("我要投诉", "complaint")
    chat.hear("台灯坏了，不亮了", "complaint")
    chat.hear("台灯", "inform", entities={"product": "台灯"})
    assert "还没有到" in chat.hear("明天", "inform", entities={"date": "明天"})
    assert chat.templates[-1] == "utter_ask_since"


@pytest.mark.parametrize(
    ("language", "words", "ack"),
    [("zh", "不对，订单号是10482", "已更正"), ("en", "no, the order number is 10482", "Corrected")],
)
def test_a_correction_in_mid_flow_replaces_the_value_and_asks_the_open_question_again(
    language: str, words: str, ack: str
) -> None:
    chat = Chat(language="en" if language == "en" else "zh")
    chat.hear("我要投诉", "complaint")
    chat.hear("收到的电水壶漏水了", "complaint")
    chat.hear("2391", "inform", entities={"order_number": "2391"})
    said = chat.hear(words, "deny", entities={"order_number": "10482"})
    assert ack in said
    assert "10482" in said
    assert chat.templates[-1] == "utter_ask_since"
    chat.hear("今天", "inform", language=chat.language)
    chat.take_choice("slot:wish=repair")
    chat.take_choice("slot:contact=chat")
    opened = chat.effect(OpenCase)
    assert (opened.subject, opened.details["order_number"]) == ("10482", "10482")


def test_a_question_in_mid_flow_is_answered_and_the_open_question_put_again() -> None:
    chat = Chat(language="en")
    chat.hear("I want to complain", "complaint")
    said = chat.hear("when are you open?", "opening_hours")
    assert "10:00" in said
    assert chat.templates == ["utter_opening_hours", "utter_ask_what_happened"]


def test_an_article_answers_a_question_in_mid_flow() -> None:
    chat = Chat()
    chat.hear("我要投诉", "complaint")
    said = chat.hear("多少钱免运费？", "delivery_options", 0.5, articles=[an_article()])
    assert said.startswith("免运费门槛是 99 元。")
    assert chat.templates[-1] == "utter_ask_what_happened"


def test_a_status_question_in_mid_flow_runs_and_the_open_question_follows() -> None:
    chat = Chat(orders=[an_order("2391")])
    chat.hear("请给我回电话", "callback_request")
    said = chat.hear("对了，我的订单到哪了？", "order_status")
    assert "2391" in said
    assert chat.templates[-1] == "utter_ask_callback_phone"


def test_two_requests_in_one_message_are_both_served_and_the_order_is_not_asked_again() -> None:
    chat = Chat(orders=[an_order("2391")], language="en")
    words = "order 2391 hasn't arrived and I want to complain"
    parts = [
        an_understanding("order 2391 hasn't arrived", "order_status", entities={"order_number": "2391"}, language="en"),
        an_understanding("I want to complain", "complaint", language="en"),
    ]
    chat.hear(words, understanding=an_understanding(words, "order_status", language="en", parts=parts))
    assert chat.templates == ["utter_order_status_tracked", "utter_complaint_sorry", "utter_ask_since"]
    chat.hear("since Monday", "inform", entities={"date": "Monday"})
    chat.press("Refund")
    chat.press("Reply here")
    opened = chat.effect(OpenCase)
    assert opened.subject == "2391"
    assert opened.details["what_happened"] == words


def test_two_requests_that_both_need_answers_come_one_after_the_other() -> None:
    chat = Chat()
    words = "我要退货，还有请给我回电话"
    parts = [an_understanding("我要退货", "return_request"), an_understanding("请给我回电话", "callback_request")]
    chat.hear(words, understanding=an_understanding(words, "return_request", parts=parts))
    assert chat.templates == ["utter_ask_order_number"]
    chat.hear("取消", "cancel")
    assert chat.templates == ["utter_cancelled", "utter_ask_callback_phone"]


def test_the_same_complaint_again_is_added_to_the_open_case() -> None:
    chat = Chat(cases=[a_case("C-1024-7", subject="2391")])
    chat.hear("我要投诉订单2391", "complaint", entities={"order_number": "2391"})
    said = chat.hear("还是没有送到，没人管", "complaint")
    assert "C-1024-7" in said
    update = chat.effect(UpdateCase)
    assert (update.number, update.note) == ("C-1024-7", "还是没有送到，没人管")


def test_danger_goes_to_a_person_at_once_with_advice() -> None:
    chat = Chat(language="en")
    chat.hear("My kettle caught fire and my hand is burnt", "complaint", entities={"product": "kettle"})
    chat.hear("today", "inform")  # what they would like is not asked in danger
    said = chat.press("Reply here")
    assert "unplug" in said
    assert chat.effect(OpenCase).severity == 4
    assert chat.effect(RequestHandoff).urgency == 4


@pytest.mark.parametrize("number", ["C-1024", "C-1024-7", "c1024"])
def test_the_status_of_a_complaint_is_told_by_number_with_or_without_check_digit(number: str) -> None:
    chat = Chat(cases=[a_case()], language="en")
    said = chat.hear(f"what about {number}?", "complaint_status", entities={"order_number": "1024"})
    assert "C-1024-7" in said
    assert "first answer is due by today at 15:00" in said


def test_the_status_of_somebody_elses_complaint_reveals_nothing() -> None:
    assert "没有查到" in Chat().hear("C-1024 怎么样了", "complaint_status")


def test_several_complaints_are_offered_as_buttons() -> None:
    chat = Chat(cases=[a_case("C-1024-7"), a_case("C-1030-2", summary="台灯")])
    chat.hear("我的投诉怎么样了", "complaint_status")
    assert "C-1030-2" in chat.press("C-1030-2")


# --- leaving a flow -----------------------------------------------------------------------------------------------


def test_cancel_early_is_done_at_once() -> None:
    chat = Chat()
    chat.hear("我要投诉", "complaint")
    assert "已取消" in chat.hear("算了", "cancel")
    assert chat.state["stack"] == []


def test_cancel_after_many_answers_asks_first_and_no_goes_on() -> None:
    chat = complain(Chat())
    assert "确定要取消" in chat.hear("取消", "cancel")
    chat.hear("不", "deny")
    assert chat.templates == ["utter_continue", "utter_ask_contact"]
    chat.hear("取消", "cancel")
    assert "已取消" in chat.press("确定取消")
    assert not chat.effects


def test_a_stale_flow_is_offered_again_when_just_its_answer_comes() -> None:
    chat = complain(Chat())
    chat.wait(minutes=45)
    assert "还没有完成" in chat.hear("13812345678", "inform", entities={"phone": "13812345678"})
    chat.hear("好的", "affirm")
    assert chat.effect(OpenCase).details["contact"] == "+8613812345678"


def test_a_stale_flow_ends_when_something_else_comes() -> None:
    chat = complain(Chat())
    chat.wait(minutes=45)
    chat.hear("你们几点开门", "opening_hours")
    assert chat.templates == ["utter_flow_expired", "utter_opening_hours"]
    assert chat.state["stack"] == []


def test_a_flow_whose_version_is_unknown_ends_politely() -> None:
    chat = Chat()
    chat.hear("我要投诉", "complaint")
    stack = [{**chat.state["stack"][0], "version": "0" * 16}]
    chat.state = {**chat.state, "stack": stack}
    assert "已经更新" in chat.hear("水壶坏了不能用", "complaint")
    assert chat.state["stack"] == []


# --- not understood -----------------------------------------------------------------------------------------------


def test_two_failures_in_a_row_first_offer_the_likeliest_meanings_then_a_person() -> None:
    chat = Chat(language="en")
    guesses = {"order_status": 0.3, "refund_status": 0.2, "gift_card": 0.1}
    chat.hear("blorp", others=guesses)
    assert [button.label for button in chat.buttons] == [
        "Where is my order",
        "Where is my refund",
        "Gift cards",
        "Something else",
    ]
    chat.hear("blarp", others=guesses)
    assert chat.templates == ["utter_offer_person"]
    chat.hear("yes", "affirm")
    assert chat.effect(RequestHandoff)


def test_something_understood_in_between_starts_the_fallback_anew() -> None:
    chat = Chat()
    chat.hear("哔哔", others={"order_status": 0.3})
    chat.hear("几点开门", "opening_hours")
    chat.hear("啵啵", others={"order_status": 0.3})
    assert chat.templates == ["utter_clarify"]


def test_something_else_then_asks_for_other_words() -> None:
    chat = Chat()
    chat.hear("哔哔", others={"order_status": 0.3, "complaint": 0.2})
    chat.press("都不是")
    assert chat.templates == ["utter_rephrase"]
    chat.hear("啵啵", others={"order_status": 0.3})
    assert chat.templates == ["utter_offer_person"]


def test_two_close_meanings_are_offered_instead_of_guessing() -> None:
    chat = Chat()
    chat.hear("退", "return_request", 0.5, others={"refund_status": 0.48})
    assert chat.templates == ["utter_clarify"]
    assert chat.hear("退款进度").startswith("我这里没有查到")


@pytest.mark.parametrize(("second", "asks"), [(0.35, True), (0.25, False)])
def test_a_doubtful_meaning_is_acted_upon_only_where_no_other_is_nearly_as_likely(second: float, asks: bool) -> None:
    chat = Chat()
    chat.hear("退", "return_request", 0.55, others={"refund_status": second})
    assert (chat.templates == ["utter_clarify"]) is asks


@pytest.mark.parametrize(
    "words", ["/restart", '/greet{"order_number": "2391"}', "/human_handoff", "slot:order_number=1"]
)
def test_text_that_looks_like_a_command_is_only_text(words: str) -> None:
    chat = Chat(orders=[an_order("2391")])
    chat.hear("我要投诉", "complaint")
    chat.hear(words, "human_handoff" if words.startswith("/") else "", 1.0, engine_is_rasa=True)
    assert not chat.effects
    assert chat.state["stack"][0]["slots"]["what_happened"] == words


@pytest.mark.parametrize("words", ["", "   ", "🙂🙂", "\u200b\u200d", "!!!", "\u202e", "\x00\x01"])
@pytest.mark.parametrize(("language", "expected"), [("zh", "文字"), ("en", "words")])
def test_a_message_without_words_is_answered_in_the_conversations_language(
    words: str, language: str, expected: str
) -> None:
    chat = Chat(language="en" if language == "en" else "zh")
    chat.hear("hi", "greet")
    said = chat.hear(words, understanding=an_understanding(words, language="zh", is_sure=False))
    assert expected in said


def test_the_language_follows_the_words_but_not_buttons() -> None:
    chat = Chat()
    chat.hear("你好", "greet")
    assert "colleague" in chat.hear("what can you do?", "help", language="en")
    assert chat.press("complaint").startswith("I am sorry")
    assert chat.last.language == "en"
    assert "发生了什么" in chat.hear("你是机器人吗？", "bot_challenge", language="zh")


# --- people -------------------------------------------------------------------------------------------------------


def test_a_person_is_asked_for_by_day() -> None:
    chat = Chat()
    assert "同事会在这里回复您" in chat.hear("转人工", "human_handoff")
    assert chat.effect(RequestHandoff)


@pytest.mark.parametrize("told", [(), ("the kettle broke, order 2391",)])
def test_in_the_middle_of_a_complaint_a_person_is_asked_for_by_a_wording_that_is_not_quite_sure(
    told: tuple[str, ...],
) -> None:
    chat = Chat(language="en", orders=[an_order("2391")], assistant=shop().sure_from(0.87))
    chat.hear("I want to complain", "complaint")
    for words in told:
        chat.hear(words, "complaint", entities={"order_number": "2391"})
    asked = chat.templates[-1]
    assert asked == ("utter_ask_since" if told else "utter_ask_what_happened")
    chat.hear("talk to a real person", "human_handoff", 0.7, others={"bot_challenge": 0.25})
    assert chat.templates == ["utter_handoff"]
    assert chat.effect(RequestHandoff)


def test_words_that_may_just_as_well_mean_something_else_stay_the_answer_to_a_question_that_takes_any() -> None:
    chat = Chat(language="en", assistant=shop().sure_from(0.87))
    chat.hear("I want to complain", "complaint")
    chat.hear("a person was rude to me", "human_handoff", 0.5, others={"praise": 0.4})
    assert chat.templates == ["utter_ask_subject"]
    assert not [effect for effect in chat.effects if isinstance(effect, RequestHandoff)]


def test_outside_staffed_hours_a_number_can_be_left() -> None:
    chat = Chat(now=NIGHT)
    assert "09:00" in chat.hear("转人工", "human_handoff")
    assert not chat.effects
    said = chat.hear("13812345678", "inform", entities={"phone": "13812345678"})
    assert "明天 09:00" in said
    task = chat.effect(CreateTask)
    assert (task.kind, task.details["phone"]) == ("callback", "+8613812345678")
    assert task.details["begins"] == "2024-11-21T01:00:00+00:00"
    assert task.due_at == datetime(2024, 11, 21, 2, 0, tzinfo=UTC)
    assert [(clock.kind, clock.due_at) for clock in task.clocks] == [("callback", task.due_at)]
    assert chat.effect(RequestHandoff)


def test_while_waiting_only_knowledge_and_status_are_answered_and_the_reminder_is_rare() -> None:
    chat = Chat(orders=[an_order("2391")])
    chat.hear("转人工", "human_handoff")
    chat.owner = Owner.QUEUE
    assert "10:00" in chat.hear("几点开门", "opening_hours")
    assert "2391" in chat.hear("订单到哪了", "order_status")
    reminders = [bool(chat.hear("我要退货", "return_request")) for _ in range(5)]
    assert reminders == [True, False, False, False, True]
    assert not [effect for effect in chat.effects if isinstance(effect, OpenCase)]


def test_cancel_while_waiting_gives_the_conversation_back_and_the_open_question_returns() -> None:
    chat = Chat()
    chat.hear("我要投诉", "complaint")
    chat.hear("转人工", "human_handoff")
    assert chat.templates == ["utter_handoff"]
    chat.owner = Owner.QUEUE
    chat.hear("取消", "cancel")
    assert chat.effect(ReleaseHandoff)
    assert chat.templates == ["utter_queue_left", "utter_ask_what_happened"]


def test_a_flow_put_aside_for_a_person_returns_when_the_bot_owns_again() -> None:
    chat = Chat()
    chat.hear("我要投诉", "complaint")
    chat.hear("转人工", "human_handoff")
    chat.owner = Owner.QUEUE
    chat.hear("在吗", "greet")
    chat.owner = Owner.BOT
    chat.hear("水壶坏了不能用", "complaint")
    assert chat.templates == ["utter_ask_subject"]


def test_while_an_operator_owns_it_the_bot_is_silent_but_stop_words_and_facts_count() -> None:
    chat = Chat()
    chat.hear("我要投诉", "complaint")
    before = chat.state["stack"]
    chat.owner = Owner.OPERATOR
    assert chat.hear("退订", "") == "已停止向您发送订阅和推广消息。您与同事的对话不受影响。"
    assert chat.effect(RecordConsent).granted is False
    assert (chat.last.lane, chat.last.is_vital) == (Lane.SERVICE, True)
    assert chat.hear("我的电话是 13812345678", "inform") == ""
    assert chat.effect(UpdateCustomer).phone == "+8613812345678"
    assert chat.state["stack"] == before


def test_a_stop_word_is_confirmed_once_while_an_operator_owns_it_and_again_where_there_was_something_to_stop() -> None:
    chat = Chat(customer=a_customer(consents={"news": False}))
    chat.owner = Owner.OPERATOR
    assert chat.hear("退订", "") == ""
    chat = Chat(customer=a_customer(consents={"news": False}, subscriptions=(("price", "95"),)))
    chat.owner = Owner.OPERATOR
    assert "已停止" in chat.hear("TD", "")
    assert "已停止" not in chat.hear("好的谢谢", "thanks")


def test_a_call_back_is_booked_at_the_wished_time() -> None:
    chat = Chat()
    chat.hear("请给我回电话", "callback_request")
    chat.hear("13812345678", "inform", entities={"phone": "13812345678"})
    said = chat.hear("明天下午3点半", "inform")
    assert "明天 15:30" in said
    assert "16:30" in said
    assert chat.effect(CreateTask).due_at == datetime(2024, 11, 21, 8, 30, tzinfo=UTC)


# --- goods ----------------------------------------------------------------------------------------------------------


def test_a_return_needs_an_order_of_the_customer_and_lets_another_number_be_tried() -> None:
    chat = Chat(orders=[an_order("2391")])
    chat.hear("我要退货，订单9999", "return_request", entities={"order_number": "9999"})
    assert chat.templates == ["utter_order_not_found", "utter_ask_retry_number"]
    chat.hear("是的", "affirm")
    chat.hear("2391", "inform", entities={"order_number": "2391"})
    chat.hear("电水壶", "inform", entities={"product": "电水壶"})
    chat.hear("盖子关不上", "product_advice", 0.4)
    said = chat.press("退款")
    opened = chat.effect(OpenCase)
    assert (opened.kind, opened.subject) == ("return", "2391")
    assert opened.number in said


def test_an_exchange_is_a_return_whose_wish_is_known() -> None:
    chat = Chat(orders=[an_order("2391")])
    chat.hear("订单2391的床单想换大一号", "exchange_request", entities={"order_number": "2391", "product": "床单"})
    assert chat.templates == ["utter_ask_return_reason"]
    chat.hear("尺寸不合适", "inform", 0.5)
    assert chat.effect(OpenCase).kind == "exchange"


def test_a_repair_is_booked_at_a_store() -> None:
    chat = Chat(language="en", customer=a_customer(phone="+8613900001111"))
    chat.hear("my oven is broken, can you fix it", "repair_booking", entities={"product": "oven"})
    chat.hear("it does not get warm any more", "complaint", 0.5)
    said = chat.hear("Riverside", "inform", entities={"store": "Riverside"})
    opened = chat.effect(OpenCase)
    assert (opened.kind, opened.subject, opened.details["store"]) == ("repair", "oven", "Riverside")
    assert "Riverside" in said


# --- news -----------------------------------------------------------------------------------------------------------


def test_news_are_agreed_to_explicitly_and_stopped_by_one_word() -> None:
    chat = Chat()
    chat.hear("有优惠的话发给我", "subscribe_news")
    assert not chat.effects
    chat.hear("👍", "")
    assert chat.effect(RecordConsent).granted is True
    chat.effects.clear()
    chat.hear("退订", "")
    assert chat.effect(RecordConsent).granted is False


def test_a_button_of_a_finished_question_changes_nothing() -> None:
    chat = complain(Chat(customer=a_customer(phone="+8613900001111")))
    chat.effects.clear()
    said = chat.send(Button("slot:wish=repair", "维修"))
    assert "已经结束" in said
    assert not chat.effects


def test_every_flow_of_the_shop_is_tested_by_name() -> None:
    assert set(shop().flows) == {
        "order_status",
        "complaint",
        "complaint_status",
        "return_request",
        "exchange_request",
        "refund_status",
        "repair_booking",
        "callback_request",
        "human_handoff",
        "subscribe_news",
        "unsubscribe_news",
        "praise",
        "suggestion",
        "contact_wishes",
        "consent_confirm",
        "lookup_code",  # test_dialogue_codes.py
    }


def test_things_are_named_in_the_customers_language() -> None:
    chat = Chat(customer=a_customer(phone="+8613900001111"))
    chat.hear("烤箱坏了要维修", "repair_booking", entities={"product": "oven"})
    chat.hear("不加热了", "complaint", 0.5)
    said = chat.hear("滨江店", "inform", entities={"store": "Riverside"})
    assert "烤箱" in said
    assert "滨江店" in said


@pytest.mark.parametrize(("words", "expected"), [("hello", "Hello"), ("哈喽", "您好"), ("👋", "文字"), ("", "文字")])
def test_the_script_decides_for_a_first_message_whose_language_is_not_sure(words: str, expected: str) -> None:
    understanding = an_understanding(words, "greet" if words.isalpha() else "", language="zh", is_sure=False)
    assert expected in Chat().hear(words, understanding=understanding)


def test_a_compound_message_is_decided_within_the_rounds_the_engine_allows() -> None:
    chat = Chat()
    words = "订单2391到哪了，订单10482呢，几点开门"
    parts = [
        an_understanding("订单2391到哪了", "order_status", entities={"order_number": "2391"}),
        an_understanding("订单10482呢", "order_status", entities={"order_number": "10482"}),
        an_understanding("几点开门", "opening_hours"),
    ]
    said = chat.hear(words, understanding=an_understanding(words, "order_status", parts=parts))
    assert "2391" in said
    assert "10482" in said
    assert "10:00" in said


@pytest.mark.parametrize(
    ("intent", "confidence", "article", "expected"),
    [
        ("opening_hours", 0.95, an_article("答案", 0.9), ["utter_article"]),
        ("opening_hours", 0.95, an_article("答案", 0.5), ["utter_opening_hours"]),
        (
            "opening_hours",
            0.95,
            an_article("答案", 0.5, is_sure=False),
            ["utter_opening_hours"],
        ),
        ("opening_hours", 0.95, an_article("答案", 0.2, is_sure=False), ["utter_opening_hours"]),
        ("opening_hours", 0.95, an_article("answer", 0.9, language="en"), ["utter_opening_hours"]),
        ("opening_hours", 0.2, an_article("答案", 0.5), ["utter_article"]),
        ("out_of_scope", 0.95, an_article("答案", 0.5), ["utter_article"]),
        ("", 0.0, an_article("答案", 0.5), ["utter_article"]),
        ("greet", 0.95, an_article("答案", 0.9), ["utter_greet"]),
        ("return_request", 0.95, an_article("答案", 0.9), ["utter_ask_order_number"]),
        ("return_request", 0.5, an_article("答案", 0.9), ["utter_article"]),
    ],
)
def test_when_an_article_answers_instead_of_the_intent(
    intent: str, confidence: float, article: ArticleHit, expected: list[str]
) -> None:
    chat = Chat()
    chat.hear("请问怎么办理？", intent, confidence, articles=[article])
    assert chat.templates == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (Media("image", "f1"), "utter_media_received"),
        (Media("voice", "f1"), "utter_voice_received"),
        (Media("sticker", "f1"), "utter_no_words"),
        (Location(31.2, 121.5), "utter_location_received"),
        (Contact("13812345678", is_own=False), "utter_contact_other"),
        (Contact("13812345678", is_own=True), "utter_contact_saved"),
        (Contact("nobody"), "utter_contact_unreadable"),
        (Unsupported("poll"), "utter_unsupported"),
        (Command("start", "campaign-7"), "utter_greet"),
        (Command("help"), "utter_help"),
    ],
)
def test_messages_without_words_get_an_answer_of_their_own(content: Content, expected: str) -> None:
    chat = Chat()
    chat.send(content)
    assert chat.templates == [expected]


def test_the_payload_of_a_start_link_is_remembered() -> None:
    chat = Chat()
    chat.send(Command("start", "campaign-7"))
    assert chat.state["start"] == "campaign-7"


def test_a_photo_during_a_complaint_becomes_evidence_and_the_question_is_put_again() -> None:
    chat = complain(Chat())
    chat.send(Media("image", "photo-9"))
    assert chat.templates == ["utter_evidence_added", "utter_ask_contact"]
    chat.press("在这里回复")
    assert chat.effect(OpenCase).details["evidence"] == "image:photo-9"


def test_a_photo_shortly_before_the_complaint_belongs_to_it_too() -> None:
    chat = Chat()
    chat.send(Media("image", "photo-9"))
    complain(chat)
    chat.press("在这里回复")
    assert chat.effect(OpenCase).details["evidence"] == "image:photo-9"


def test_the_customers_own_contact_card_answers_the_question_for_a_phone_and_is_verified() -> None:
    chat = complain(Chat())
    chat.send(Contact("+8613812345678", is_own=True))
    assert chat.effect(OpenCase).details["contact"] == "+8613812345678"
    assert next(effect.phone_is_verified for effect in chat.effects if isinstance(effect, UpdateCustomer)) is True


def test_a_question_about_being_human_is_answered_honestly() -> None:
    assert "not a person" in Chat(language="en").hear("are you a real person?", "bot_challenge")


def test_placeholders_are_all_filled_whatever_the_customer_typed() -> None:
    chat = Chat()
    chat.hear("查订单", "order_status")
    said = chat.hear("{order_number} {0}", "", 0.0)
    assert "“{order_number} {0}”不像是订单号" in said


def test_the_same_turn_gives_the_same_decision() -> None:
    turn = a_turn("我要投诉", "complaint")
    assert decide(turn, shop()) == decide(turn, shop())


def test_failing_to_get_a_number_is_said_and_opens_nothing() -> None:
    chat = complain(Chat(elsewhere={Need("case_number", "complaint"): None}))
    said = chat.press("在这里回复")
    assert "没有办成" in said
    assert not [effect for effect in chat.effects if isinstance(effect, OpenCase)]


def test_words_for_a_special_value_are_understood_where_a_phone_is_asked() -> None:
    chat = complain(Chat())
    chat.hear("不用打电话了，在这里回复就行", "deny", 0.6)
    assert chat.effect(OpenCase).details["contact"] == "chat"


def test_a_flow_that_ends_without_a_word_is_closed_politely() -> None:
    chat = Chat()
    chat.hear("我要退货，订单9999", "return_request", entities={"order_number": "9999"})
    chat.hear("不用", "deny")
    assert chat.templates == ["utter_flow_over"]


def test_a_case_number_in_mid_flow_is_looked_up() -> None:
    chat = Chat(cases=[a_case(), a_case("C-1030-2")])
    chat.hear("请给我回电话", "callback_request")
    assert "C-1024-7" in chat.hear("C-1024 怎么样了？", "complaint_status")
    assert chat.templates[-1] == "utter_ask_callback_phone"


def test_after_a_long_talk_with_an_operator_an_old_flow_does_not_swallow_the_next_message() -> None:
    chat = Chat()
    chat.hear("我要投诉", "complaint")
    chat.owner = Owner.OPERATOR
    for _ in range(5):
        chat.wait(minutes=10)
        chat.hear("好的我知道了", "affirm")
    chat.owner = Owner.BOT
    chat.hear("水壶可以寄到上海吗？", "delivery_options")
    assert chat.templates == ["utter_delivery_options"]


def test_an_order_talked_about_long_ago_is_not_assumed() -> None:
    chat = Chat(orders=[an_order("2391"), an_order("10482")])
    chat.hear("订单2391到哪了", "order_status", entities={"order_number": "2391"})
    assert "2391" in chat.hear("现在到哪了", "order_status")
    chat.wait(hours=20)
    chat.hear("我的订单到哪了", "order_status")
    assert chat.templates == ["utter_ask_order_number"]


@pytest.mark.parametrize("kind", ["image", "video", "document", "voice"])
def test_a_file_sent_while_a_person_is_awaited_is_kept_and_said_to_be_passed_on(kind: str) -> None:
    chat = Chat(language="en")
    chat.hear("a person please", "human_handoff")
    chat.owner = Owner.QUEUE
    chat.hear("hello", "greet")
    said = chat.send(Media(kind, "photo-1"))
    assert "kept it" in said
    assert "colleague who takes over will have it" in said
    assert chat.templates == ["utter_file_in_queue"]
    assert chat.state["media"][-1]["file_id"] == "photo-1"
    assert chat.send(Media(kind, "photo-2")) == said


def test_a_question_below_a_picture_is_answered_while_a_person_is_awaited_and_a_sticker_is_no_file() -> None:
    chat = Chat()
    chat.hear("转人工", "human_handoff")
    chat.owner = Owner.QUEUE
    heard = a_turn("几点开门", "opening_hours").understanding
    chat.send(Media("image", "photo-1", caption="几点开门"), understanding=heard)
    assert chat.templates == ["utter_file_in_queue", "utter_opening_hours"]
    chat.send(Media("sticker", "sticker-1"))
    assert "utter_file_in_queue" not in chat.templates
