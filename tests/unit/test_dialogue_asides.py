"""What comes along with something else: a complaint's order number, a picture's caption, a second question, an article
that may be meant."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.types import ArticleHit, Button, Language, Media, Need, OpenCase, Owner, ReplyButton
from tests.builders import NOON, Chat, a_turn, an_article, an_entity, an_order, an_understanding, shop

# --- a complaint about an order that is not the customer's -------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "language", "product", "day"),
    [
        ("I want to complain: the kettle I bought last Friday leaks, order SO-20391", "en", "kettle", "last Friday"),
        ("我要投诉：上周五买的水壶漏水，订单 SO-20391", "zh", "水壶", "上周五"),
    ],
)
def test_a_complaint_about_somebody_elses_order_is_taken_with_everything_already_said(
    words: str, language: Language, product: str, day: str
) -> None:
    chat = Chat(language=language)
    said = [
        an_entity("product", "kettle", product, words.index(product)),
        an_entity("date", "2024-11-15", day, words.index(day)),
        an_entity("order_number", "SO-20391", start=words.index("SO-")),
    ]
    chat.hear(words, "complaint", entities=said)
    assert chat.templates == ["utter_complaint_sorry", "utter_ask_wish"]
    chat.take_choice("slot:wish=refund")
    chat.take_choice("slot:contact=chat")
    opened = chat.effect(OpenCase)
    assert opened.subject == "20391"
    assert opened.details["what_happened"] == words
    assert (opened.details["product"], opened.details["since"]) == ("kettle", "2024-11-15")
    assert opened.details["order_number"] == "20391"


# --- pictures with words ------------------------------------------------------------------------------------------


def complaining() -> Chat:
    """A complaint that waits for the day since when."""
    chat = Chat(language="en")
    chat.hear("I want to complain, the kettle leaks", "complaint", entities={"product": "kettle"})
    assert chat.templates == ["utter_complaint_sorry", "utter_ask_since"]
    return chat


def a_photo(chat: Chat, caption: str, intent: str = "", confidence: float = 0.95, **more: object) -> list[str]:
    heard = an_understanding(caption, intent, confidence, language=chat.language, **more)  # type: ignore[arg-type]
    chat.send(Media("image", "photo-9", caption=caption), understanding=heard)
    return chat.templates


@pytest.mark.parametrize(("intent", "confidence"), [("inform", 0.6), ("return_request", 0.9), ("", 0.0)])
def test_a_caption_in_a_complaint_is_evidence_and_the_open_question_is_put_again(
    intent: str, confidence: float
) -> None:
    chat = complaining()
    assert a_photo(chat, "this is the broken part", intent, confidence) == ["utter_evidence_added", "utter_ask_since"]
    chat.take_choice("slot:since=yesterday")
    chat.take_choice("slot:wish=refund")
    chat.take_choice("slot:contact=chat")
    details = chat.effect(OpenCase).details
    assert details["since"] == "yesterday"
    assert details["evidence"] == "image:photo-9 (this is the broken part)"


def test_a_caption_that_holds_the_asked_value_answers_the_question() -> None:
    chat = complaining()
    caption = "broken since yesterday"
    assert a_photo(chat, caption, "inform", entities=[an_entity("date", "2024-11-19", "yesterday", 13)]) == [
        "utter_evidence_added",
        "utter_ask_wish",
    ]


def test_a_caption_tells_what_happened_when_that_is_asked() -> None:
    chat = Chat(language="en")
    chat.hear("I want to complain", "complaint")
    assert chat.templates == ["utter_ask_what_happened"]
    assert a_photo(chat, "the lid broke off", "inform") == ["utter_evidence_added", "utter_ask_subject"]


def test_a_question_under_a_photo_is_answered_and_the_open_question_put_again() -> None:
    chat = complaining()
    said = a_photo(chat, "when do you open?", "opening_hours")
    assert said == ["utter_evidence_added", "utter_opening_hours", "utter_ask_since"]


def test_a_caption_is_no_order_number() -> None:
    chat = Chat(language="en")
    chat.hear("where is my parcel", "order_status")
    assert a_photo(chat, "this one", "inform") == ["utter_media_kept", "utter_ask_order_number"]
    assert a_photo(chat, "number 2391", "inform") == ["utter_media_kept", "utter_order_not_found"]


@pytest.mark.parametrize(("intent", "confidence"), [("", 0.0), ("complaint", 0.3), ("inform", 0.9)])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_photo_with_an_unclear_caption_is_said_to_be_kept_and_its_matter_asked_for(
    intent: str, confidence: float, language: Language
) -> None:
    chat = Chat(language=language)
    assert a_photo(chat, "look 看", intent, confidence) == ["utter_caption_unclear"]
    assert ("收到" in chat.said) == (language == "zh")


def test_a_photo_with_a_clear_caption_is_taken_by_its_words() -> None:
    chat = Chat(language="en")
    assert a_photo(chat, "I want to complain about this kettle", "complaint") == ["utter_ask_what_happened"]
    assert chat.state["media"][-1]["caption"] == "I want to complain about this kettle"


# --- who brings an order ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("expected", [None, "tomorrow", "late"])
@pytest.mark.parametrize("tracking", ["", "SF1029384756"])
def test_the_carrier_is_named_whatever_else_is_known_of_an_order(
    language: Language, expected: str | None, tracking: str
) -> None:
    day = {None: None, "tomorrow": NOON.replace(day=21), "late": NOON.replace(day=18)}[expected]
    chat = Chat(orders=[an_order("2391", expected_at=day, tracking_number=tracking)], language=language)
    said = chat.hear("order 2391", "order_status", entities={"order_number": "2391"})
    assert "SF Express" in said
    assert tracking in said
    assert "{" not in said


def test_an_order_nobody_carries_yet_names_no_carrier() -> None:
    chat = Chat(orders=[an_order("2391", "paid", expected_at=None, carrier="", tracking_number="")], language="en")
    said = chat.hear("order 2391", "order_status", entities={"order_number": "2391"})
    assert "Carrier" not in said


# --- articles that may be meant -----------------------------------------------------------------------------------

HUMIDIFIER = an_article("每周清洗水箱。", 0.51, article_id="humidifier-filter", title="加湿器怎么清洁？", is_sure=False)
KETTLE = an_article("用白醋。", 0.31, article_id="kettle-descale", title="电水壶怎么清洗？", is_sure=False)
PAN = an_article("用软布。", 0.12, article_id="pan-care", title="不粘锅怎么清洗？", is_sure=False)


def known(*articles: ArticleHit) -> dict[Need, tuple[ArticleHit, ...]]:
    """What the index says to the titles of these articles."""
    return {Need("articles", hit.title): (an_article(hit.answer, 0.99, title=hit.title),) for hit in articles}


def test_near_articles_are_offered_beside_a_general_answer_and_read_when_chosen() -> None:
    chat = Chat(elsewhere=known(HUMIDIFIER, KETTLE))
    chat.hear("加湿器怎么清洗", "product_advice", 0.99, articles=[HUMIDIFIER, KETTLE, PAN])
    assert chat.templates == ["utter_product_advice", "utter_articles_offer"]
    assert [button.label for button in chat.buttons] == [HUMIDIFIER.title, KETTLE.title, "转人工"]
    assert chat.hear("2") == KETTLE.answer
    chat.hear("加湿器怎么清洗", "product_advice", 0.99, articles=[HUMIDIFIER, KETTLE, PAN])
    assert chat.press(HUMIDIFIER.title) == HUMIDIFIER.answer


def test_an_offered_article_is_found_by_what_the_button_said_when_newer_ones_were_shown_since() -> None:
    chat = Chat(elsewhere=known(HUMIDIFIER))
    chat.hear("你好", "greet")
    assert chat.send(Button("article:humidifier-filter", HUMIDIFIER.title)) == HUMIDIFIER.answer


@pytest.mark.parametrize("button", [Button("article:gone", "没有了"), Button("article:gone"), Button("article:", "x")])
def test_an_article_that_is_gone_is_not_made_up(button: Button) -> None:
    chat = Chat()
    chat.hear("你好", "greet")
    chat.send(button)
    assert chat.templates
    assert "utter_article" not in chat.templates


def test_an_article_button_in_mid_flow_is_read_and_fills_nothing() -> None:
    chat = Chat(elsewhere=known(HUMIDIFIER))
    chat.hear("我要退货", "return_request")
    chat.send(Button("article:humidifier-filter", HUMIDIFIER.title))
    assert chat.templates == ["utter_article", "utter_ask_order_number"]


def test_an_article_button_is_read_while_waiting_for_a_person() -> None:
    chat = Chat(elsewhere=known(HUMIDIFIER))
    chat.owner = Owner.QUEUE
    assert chat.send(Button("article:humidifier-filter", HUMIDIFIER.title)) == HUMIDIFIER.answer


def test_near_articles_are_offered_when_nothing_was_understood() -> None:
    chat = Chat(elsewhere=known(HUMIDIFIER))
    chat.hear("加湿器怎么清洗", "product_advice", 0.2, articles=[HUMIDIFIER])
    assert chat.templates == ["utter_clarify"]
    assert chat.press(HUMIDIFIER.title) == HUMIDIFIER.answer


# --- a second request that is a question --------------------------------------------------------------------------


def returning(second: str, intent: str, confidence: float, *articles: ArticleHit) -> Chat:
    """A wish to return something and a question, in one message."""
    words = f"我要退货，另外{second}"
    parts = [an_understanding("我要退货", "return_request"), an_understanding(second, intent, confidence)]
    chat = Chat(elsewhere={Need("articles", second): articles})
    chat.take(a_turn(words, understanding=an_understanding(words, "out_of_scope", 0.3, parts=parts)))
    return chat


def test_a_second_question_is_answered_by_its_intent_though_only_moderately_sure() -> None:
    chat = returning("包邮门槛是多少", "delivery_options", 0.5)
    assert chat.templates == ["utter_delivery_options", "utter_ask_order_number"]


def test_a_second_question_is_answered_by_an_article() -> None:
    chat = returning("包邮门槛是多少", "delivery_options", 0.35, an_article())
    assert chat.templates == ["utter_article", "utter_ask_order_number"]


def test_a_second_question_without_an_answer_is_named_and_never_taken_for_the_order_number() -> None:
    chat = returning("包邮门槛是多少", "delivery_options", 0.35)
    assert chat.templates == ["utter_part_unanswered", "utter_ask_order_number"]
    assert "包邮门槛是多少" in chat.said


# --- a story whose matter has to be asked for ----------------------------------------------------------------------

STORY = "the kettle I bought last Friday leaks, order SO-20391"


def telling() -> Chat:
    """A story that NLU takes for mere information."""
    chat = Chat(language="en")
    said = [
        an_entity("product", "kettle", start=4),
        an_entity("date", "2024-11-15", "last Friday", 20),
        an_entity("order_number", "SO-20391", start=45),
    ]
    chat.hear(STORY, "inform", 0.95, entities=said)
    assert chat.templates == ["utter_inform"]
    return chat


def test_a_story_with_an_order_number_is_asked_what_it_is_about_and_not_told_again_by_button() -> None:
    chat = telling()
    chat.press("Make a complaint")
    assert chat.templates == ["utter_complaint_sorry", "utter_ask_wish"]
    chat.take_choice("slot:wish=refund")
    chat.take_choice("slot:contact=chat")
    details = chat.effect(OpenCase).details
    assert (details["what_happened"], details["since"], details["order_number"]) == (STORY, "2024-11-15", "20391")


def test_a_story_with_an_order_number_is_not_told_again_when_its_matter_is_typed() -> None:
    chat = telling()
    chat.hear("I want to complain", "complaint")
    assert chat.templates == ["utter_complaint_sorry", "utter_ask_wish"]


def test_a_story_is_forgotten_when_something_else_is_said() -> None:
    chat = telling()
    chat.hear("when do you open?", "opening_hours")
    chat.hear("I want to complain", "complaint")
    assert chat.templates == ["utter_ask_what_happened"]


def test_a_message_not_understood_keeps_its_words_for_the_meaning_chosen() -> None:
    chat = Chat()
    chat.hear("上周五买的水壶漏水", "", others={"complaint": 0.3, "return_request": 0.2}, entities={"product": "水壶"})
    assert chat.templates == ["utter_clarify"]
    chat.press("我要投诉")
    assert chat.templates == ["utter_complaint_sorry", "utter_ask_since"]


def test_a_number_announced_as_such_is_looked_up_at_once() -> None:
    chat = Chat(orders=[an_order("2391")], language="en")
    chat.hear("hello, my order number is 2391 please", "inform", entities={"order_number": "2391"})
    assert chat.templates == ["utter_order_status_tracked"]


def test_a_voice_message_in_a_complaint_is_an_answer_like_typed_words() -> None:
    chat = complaining()
    heard = an_understanding("a week ago or so", "inform", language="en")
    chat.send(Media("voice", "voice-1", transcript="a week ago or so"), understanding=heard)
    assert chat.templates == ["utter_ask_wish"]


# --- whether an article helped -------------------------------------------------------------------------------------

ASKING = {"helpful": {"zh": "有帮助", "en": "It helped"}, "unhelpful": {"zh": "没帮助", "en": "It did not help"}}
DESCALING = an_article("用白醋。", 0.95, article_id="kettle-descale", title="电水壶怎么清洗？")


def test_an_article_is_asked_about_where_the_assistant_has_the_words() -> None:
    words = {**shop().words, "button": {**shop().words["button"], **ASKING}}
    chat = Chat(assistant=replace(shop(), words=words))
    follow_up = ReplyButton("转人工", "intent:human_handoff")
    chat.hear("电水壶怎么清洗", articles=[replace(DESCALING, buttons=(follow_up,), media="https://example.org/k.png")])
    assert [button.label for button in chat.buttons] == ["转人工", "有帮助", "没帮助"]
    assert chat.last.replies[0].args["image"] == "https://example.org/k.png"
    chat.press("有帮助")
    assert chat.templates == ["utter_thanks"]
    chat.hear("电水壶怎么清洗", articles=[DESCALING])
    chat.press("没帮助")
    assert chat.templates == ["utter_offer_person_article"]


def test_an_article_is_not_asked_about_where_it_has_none() -> None:
    chat = Chat()
    chat.hear("电水壶怎么清洗", articles=[DESCALING])
    assert not chat.buttons
