"""When the bot calls a person, what it says about it, and how it goes on when a colleague hands the customer back."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from bot.assistant import Assistant
from bot.service.handoff import HandoffRules, Keyword, TeamRule
from bot.service_types import Notice
from bot.stems import stems
from bot.types import Button, Media, Need, Owner, QueueView, RequestHandoff
from tests.builders import NIGHT, Chat, a_customer, an_article, an_order, shop


class QueueChat(Chat):
    """A chat that knows how full the queue is."""

    queue = QueueView(0)

    def fetch(self, need: Need) -> object:
        return self.queue if need.kind == "queue" else super().fetch(need)


def with_rules(rules: HandoffRules) -> Assistant:
    return replace(shop(), service=replace(shop().service, handoff=rules))


def asked(chat: Chat) -> RequestHandoff:
    found = chat.effect(RequestHandoff)
    assert isinstance(found, RequestHandoff)
    return found


# --- why --------------------------------------------------------------------------------------------------------------


def test_not_understood_twice_and_then_wanting_a_person_is_why() -> None:
    chat = Chat()
    chat.hear("嗯嗯啊", "", 0.0)
    chat.hear("啦啦啦", "", 0.0)
    assert chat.templates == ["utter_offer_person"]
    chat.hear("好的", "affirm")
    assert (asked(chat).reason, asked(chat).priority) == ("unclear_twice", 10)


def test_asking_for_a_person_in_words_after_the_offer_keeps_the_reason() -> None:
    chat = Chat()
    chat.hear("嗯嗯啊", "", 0.0)
    chat.hear("啦啦啦", "", 0.0)
    chat.hear("转人工", "human_handoff")
    assert asked(chat).reason == "unclear_twice"


def test_an_angry_customer_whom_the_bot_does_not_understand_gets_a_person_at_once() -> None:
    chat = Chat()
    chat.hear("你们这是什么态度", "", 0.0)
    assert chat.templates == ["utter_upset", "utter_handoff"]
    assert asked(chat).reason == "anger"


def test_anger_about_what_the_bot_can_do_is_served_by_doing_it() -> None:
    chat = Chat(orders=[an_order()])
    chat.hear("太差了，受够了，我的订单 2391 呢", "order_status", entities={"order_number": "2391"})
    assert not any(isinstance(effect, RequestHandoff) for effect in chat.effects)


def test_an_angry_wish_for_a_person_weighs_as_anger() -> None:
    chat = Chat(orders=[an_order()])
    chat.hear("太过分了，气死我了，叫人来", "human_handoff")
    assert (asked(chat).reason, asked(chat).priority) == ("anger", 25)


def test_anger_at_a_question_of_a_flow_puts_the_flow_aside() -> None:
    chat = Chat()
    chat.hear("查订单", "order_status")
    chat.hear("浪费时间", "", 0.0)
    assert asked(chat).reason == "anger"
    assert asked(chat).topic == "order_status"


def test_an_article_that_did_not_help_leads_to_a_person_if_they_want_one() -> None:
    chat = Chat()
    chat.hear("运费怎么算", "", 0.2, articles=[an_article()])
    chat.hear("答非所问", "", 0.1)
    assert chat.templates == ["utter_offer_person_article"]
    chat.press("转人工")
    assert asked(chat).reason == "article_unhelpful"


def test_the_same_words_without_an_article_before_are_only_unclear() -> None:
    chat = Chat()
    chat.hear("没用", "", 0.1)
    assert "utter_offer_person_article" not in chat.templates


def test_an_article_is_only_the_last_answer_until_something_else_is_said() -> None:
    chat = Chat()
    chat.hear("运费怎么算", "", 0.2, articles=[an_article()])
    chat.hear("谢谢", "thanks")
    chat.hear("没用", "", 0.1)
    assert "utter_offer_person_article" not in chat.templates


def test_an_important_customer_is_not_asked_to_put_it_in_other_words() -> None:
    chat = Chat(customer=a_customer(tags=frozenset({"vip"})))
    chat.hear("嗯嗯啊", "", 0.0)
    assert (asked(chat).reason, asked(chat).priority) == ("vip", 30)


def test_a_keyword_of_the_rules_calls_its_team_whatever_is_under_way() -> None:
    words = Keyword("leave", stems("销户", "close my account"), team="care", points=40)
    chat = Chat(assistant=with_rules(HandoffRules(keywords=(words,))))
    chat.hear("查订单", "order_status")
    chat.hear("我要销户", "account_delete")
    found = asked(chat)
    assert (found.reason, found.team, found.priority, found.topic) == ("keyword:leave", "care", 55, "order_status")


def test_the_team_follows_from_what_was_under_way_and_the_language() -> None:
    rules = HandoffRules(
        teams=(
            TeamRule("abroad", {"language": frozenset({"en"}), "topic": frozenset({"order_status"})}),
            TeamRule("care"),
        )
    )
    chat = Chat(assistant=with_rules(rules), language="en")
    chat.hear("where is my order", "order_status")
    chat.hear("a person please", "human_handoff")
    assert (asked(chat).team, asked(chat).topic) == ("abroad", "order_status")


# --- what they are told -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("view", "templates", "words"),
    [
        (QueueView(0), ["utter_handoff"], "转给人工同事"),
        (QueueView(2), ["utter_handoff_place"], "排在第 3 位"),
        (QueueView(2, timedelta(minutes=7, seconds=10)), ["utter_handoff_wait"], "大约要等 8 分钟"),
        (QueueView(9, timedelta(minutes=41)), ["utter_handoff_wait", "utter_callback_offer"], "45 分钟"),
        (QueueView(30, timedelta(minutes=100)), ["utter_handoff_wait", "utter_callback_offer"], "2 小时"),
    ],
)
def test_place_and_wait_are_told_as_far_as_they_are_known(view: QueueView, templates: list[str], words: str) -> None:
    chat = QueueChat()
    chat.queue = view
    assert words in chat.hear("转人工", "human_handoff")
    assert chat.templates == templates


def test_in_english_the_place_and_the_wait_are_told_too() -> None:
    chat = QueueChat(language="en")
    chat.queue = QueueView(0, timedelta(seconds=30))
    said = chat.hear("a person please", "human_handoff")
    assert "you are number 1 in the queue, and lately it took about 1 minute." in said


def test_who_waits_long_takes_the_call_instead_and_stays_in_the_queue_meanwhile() -> None:
    chat = QueueChat()
    chat.queue = QueueView(9, timedelta(minutes=41))
    chat.hear("转人工", "human_handoff")
    chat.owner = Owner.QUEUE
    chat.press("请给我回电")
    assert chat.templates == ["utter_ask_callback_phone"]
    chat.hear("13800000000", "inform", entities={"phone": "+8613800000000"})
    assert chat.templates == ["utter_ask_preferred_time"]


def test_what_cannot_be_answered_in_the_queue_is_met_with_the_place() -> None:
    chat = QueueChat()
    chat.hear("转人工", "human_handoff")
    chat.owner = Owner.QUEUE
    chat.queue = QueueView(4, timedelta(minutes=3))
    assert "第 5 位" in chat.hear("在吗", "", 0.1)
    assert chat.templates == ["utter_in_queue_wait"]


def test_at_night_who_waits_hears_when_people_are_there() -> None:
    chat = QueueChat(now=NIGHT)
    chat.owner = Owner.QUEUE
    assert "明天 09:00" in chat.hear("在吗", "", 0.1)
    assert chat.templates == ["utter_in_queue_closed"]


# --- handed back ------------------------------------------------------------------------------------------------------


def handed_over() -> Chat:
    """Somebody asked for their order, then for a person, who now hands them back."""
    chat = Chat()
    chat.hear("查订单", "order_status")
    chat.hear("转人工", "human_handoff")
    assert chat.state["frozen"]
    return chat


def test_handed_back_solved_nothing_that_was_put_aside_comes_up_again() -> None:
    chat = handed_over()
    chat.send(Notice("utter_handed_back_solved", frozen="solved"))
    assert chat.templates == ["utter_handed_back_solved"]
    assert (chat.state["frozen"], chat.state["stack"]) == ([], [])
    chat.hear("谢谢", "thanks")
    assert "utter_ask_order_number" not in chat.templates


def test_handed_back_to_go_on_the_open_question_is_put_again() -> None:
    chat = handed_over()
    chat.send(Notice("utter_handed_back_continue", frozen="continue"))
    assert chat.templates == ["utter_handed_back_continue", "utter_ask_order_number"]


def test_handed_back_with_the_flow_that_was_under_way_it_goes_on_where_it_was() -> None:
    chat = handed_over()
    chat.send(Notice("utter_handed_back_continue", flow="order_status", frozen="continue"))
    assert chat.templates == ["utter_handed_back_continue", "utter_ask_order_number"]
    assert len(chat.state["stack"]) == 1


def test_handed_back_with_another_flow_that_one_begins_and_the_other_waits_below() -> None:
    chat = handed_over()
    chat.send(Notice("utter_handed_back_continue", flow="callback_request", frozen="continue"))
    assert chat.templates == ["utter_handed_back_continue", "utter_ask_callback_phone"]
    chat.send(Button("intent:cancel"))
    assert "utter_ask_order_number" in chat.templates


def test_a_hand_back_that_meets_the_next_operator_says_nothing_of_flows() -> None:
    chat = handed_over()
    chat.owner = Owner.OPERATOR
    frozen = chat.state["frozen"]
    chat.send(Notice("utter_handed_back_continue", frozen="continue"))
    assert chat.state["frozen"] == frozen


def test_an_important_customer_s_picture_is_asked_about_like_anybody_s() -> None:
    chat = Chat(customer=a_customer(tags=frozenset({"vip"})))
    chat.send(Media("image", "photo-1"))
    assert not any(isinstance(effect, RequestHandoff) for effect in chat.effects)
