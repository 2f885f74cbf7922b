"""Answering a request on its own: an article, the fixed answer of an intent, the start of a flow, or a way out."""

from __future__ import annotations

import re
from collections.abc import Mapping

from bot.actions.complaint_reading import is_description
from bot.broadcast_talk import heed_broadcast
from bot.flows import SlotValue
from bot.hearing import Request
from bot.passing_on import heed_anger, heed_importance, heed_unhelpful, offer_person
from bot.rendering import shown_buttons
from bot.talk import Talk
from bot.types import ArticleHit, Need, Reply, ReplyButton, UpdateCustomer
from bot.values import case_number, has_words, order_number, phone, plain, yes_or_no

SOCIAL = frozenset({"greet", "goodbye", "thanks", "affirm", "deny", "cancel", "help", "bot_challenge", "out_of_scope"})
ANSWERS = frozenset({"affirm", "deny", "inform", "cancel"})  # meanings that only make sense after a question
UNSUBSCRIBE, ORDER_STATUS, COMPLAINT_STATUS = (
    "unsubscribe_news",
    "order_status",
    "complaint_status",
)
_QUESTION = re.compile(
    r"[?？]\s*$|[吗么呢]\s*$|怎么|怎样|什么时候|多少|多久|几点|哪[里儿个些家]|能不能|可不可以|是不是|有没有|为什么|请问"
    r"|^\s*(?:what|when|where|which|who|why|how|do|does|did|can|could|is|are|will|would|may|should)\b",
    re.IGNORECASE,
)
STOP_FLOW = "unsubscribe_topic"
NEAR = 0.3  # from this score on an article that is not good enough to answer with is worth offering
MAX_NEAR = 3
SHORT = 30  # characters; a wish to do something else is short, a description is not
_BARE_EXTRA = 8  # characters around a number that still leave it a bare value ("order 2391", "单号是2391")


def looks_like_question(words: str) -> bool:
    return bool(_QUESTION.search(words[:400]))


def article_need(request: Request) -> Need:
    return Need("articles", request.words[:300])


def articles_for(talk: Talk, request: Request) -> list[ArticleHit]:
    """The articles found for these words, best first; empty also when they have to be looked up first: `needs`."""
    hits = request.articles
    if hits is None:
        need = article_need(request)
        if need not in talk.turn.facts:
            talk.needs.append(need)
            return []
        hits = talk.turn.facts[need] or ()
    return [hit for hit in hits if hit.answer.strip() and hit.language in ("", talk.language)]


def article_for(talk: Talk, request: Request) -> ArticleHit | None:
    """The article good enough to answer with; None when there is none (or it has to be looked up first: `needs`)."""
    return next((hit for hit in articles_for(talk, request) if hit.is_sure), None)


def near_articles(talk: Talk, request: Request) -> list[ReplyButton]:
    """Buttons for the articles that may be what was meant."""
    near = [hit for hit in articles_for(talk, request) if hit.score >= NEAR and hit.title.strip()]
    return [ReplyButton(hit.title, f"article:{hit.article_id}"[:60]) for hit in near[:MAX_NEAR]]


def answer(talk: Talk, request: Request, *, least: float) -> bool:
    """Answer from an article or the intent's response; False when neither is good enough.

    The article wins when the intent is weaker than `least` or has no response, and over a believed question intent
    from `article_over_intent` on: it is the more specific of the two.
    """
    intent = request.intent
    is_believed = intent.confidence >= least and talk.has_response(f"utter_{intent.name}")
    article = None
    if not is_believed or intent.name not in SOCIAL:
        article = article_for(talk, request)
        if talk.needs:
            return True
    if article and (not is_believed or article.score >= talk.assistant.tuning.article_over_intent):
        said = {"title": article.title, "image": article.media}
        talk.say("utter_article", said, buttons=(*article.buttons, *helpful_buttons(talk)), literal=article.answer)
        talk.memory.article = article.article_id[:60]
        return True
    if is_believed:
        talk.say(f"utter_{intent.name}")
        if intent.name in talk.assistant.general_answers:
            offer_articles(talk, request)
    return is_believed


def helpful_buttons(talk: Talk) -> tuple[ReplyButton, ...]:
    """ "Was this helpful?" as two buttons, where the assistant has words for them (`words: {button: …}`)."""
    words = [talk.assistant.word("button", name, talk.language, "") for name in ("helpful", "unhelpful")]
    return (ReplyButton(words[0], "helpful:yes"), ReplyButton(words[1], "helpful:no")) if all(words) else ()


def offer_articles(talk: Talk, request: Request) -> None:
    """After a general answer: the articles that may say it more exactly, before the answer's own buttons."""
    near = near_articles(talk, request)
    if near:
        channel = talk.turn.conversation.identity.channel
        own = shown_buttons(Reply(f"utter_{request.intent.name}"), talk.language, channel, talk.assistant)
        talk.say("utter_articles_offer", buttons=(*near, *own))


def start_intent(talk: Talk, name: str, confidence: float = 1.0, slots: Mapping[str, SlotValue] | None = None) -> bool:
    """Start the flow of an intent; False when none can start.

    A flow that already runs is left to ask again; while a flow begun by this same message waits for an answer, the next
    one waits behind it instead of interrupting it.
    """
    flow = talk.trigger_of(name, confidence)
    if flow is None:
        return False
    if any(frame.flow == flow.id for frame in talk.memory.stack):
        return True
    if talk.has_new_question():
        talk.later(name)
        return True
    number = case_number(talk.request.words) if name == COMPLAINT_STATUS else None
    talk.start(flow.id, slots or ({"case_number": number} if number else None))
    return True


def respond(talk: Talk, request: Request) -> None:
    """Answer a request while no flow waits for anything."""
    words = request.words
    if not has_words(words):
        agrees = yes_or_no(words)
        talk.say("utter_no_words" if agrees is None else "utter_affirm" if agrees else "utter_deny")
        return
    for heed in (respond_to_signs, heed_unhelpful, heed_broadcast):
        if heed(talk, request):
            return
    respond_to_meaning(talk, request)


def respond_to_signs(talk: Talk, request: Request) -> bool:
    """Handle what needs no understanding: a case number. False when there is none."""
    number = case_number(request.words)
    return bool(number) and start_intent(talk, COMPLAINT_STATUS, 1.0, {"case_number": number})


def respond_to_meaning(talk: Talk, request: Request) -> None:
    tuning, intent = talk.assistant.tuning, request.intent
    if intent.confidence < tuning.accept:
        if not answer(talk, request, least=2.0) and not bare_value(talk, request):
            fall_back(talk, request)
        return
    if intent.name == "inform":
        if not bare_value(talk, request) and not answer(talk, request, least=2.0):
            talk.memory.unclear = talk.heard()
            talk.say("utter_caption_unclear" if talk.is_caption else "utter_inform")
        return
    if intent.name == "out_of_scope":
        if not answer(talk, request, least=2.0):
            talk.say("utter_out_of_scope")
        return
    if is_ambiguous(talk, request):
        if not answer(talk, request, least=2.0):
            fall_back(talk, request)
        return
    strong = talk.assistant.service.handoff.anger.strong_from
    if not talk.trigger_of(intent.name, intent.confidence) and heed_anger(talk, request, least=strong):
        return
    talk.memory.fallbacks = 0
    if len(plain(request.words)) <= SHORT and talk.trigger_of(intent.name, intent.confidence):
        talk.hear_unclear()
    is_weak_request = intent.confidence < tuning.sure and looks_like_question(request.words)
    if is_weak_request and talk.trigger_of(intent.name, intent.confidence) and article_for(talk, request):
        answer(talk, request, least=2.0)
        return
    if (
        not talk.needs
        and not start_intent(talk, intent.name, intent.confidence)
        and not answer(talk, request, least=tuning.accept)
    ):
        fall_back(talk, request)


def is_ambiguous(talk: Talk, request: Request) -> bool:
    """Two meanings we could act on are about as likely, and neither is sure."""
    if len(request.intents) < 2 or request.intent.confidence >= talk.assistant.tuning.sure:
        return False
    first, second = request.intents[:2]
    is_close = request.lead < talk.assistant.tuning.ambiguity_margin
    return is_close and bool(talk.title(first.name)) and bool(talk.title(second.name))


def bare_value(talk: Talk, request: Request) -> bool:
    """A number that came by itself means the obvious thing: an order's status, a phone we may call.

    A story with a number in it ("the kettle leaks, order SO-20391") may be about anything.
    """
    words = request.words
    is_inform = request.intent.name == "inform" and request.intent.confidence >= talk.assistant.tuning.accept
    is_informing = is_inform and not is_description(words)
    number = phone(words)
    if number and (is_informing or len(plain(words)) <= 20 + _BARE_EXTRA):
        talk.effects.append(UpdateCustomer(phone=number))
        talk.say("utter_phone_noted", {"phone": number})
        return True
    order = order_number(words)
    if order and (is_informing or len(plain(words)) <= len(order) + _BARE_EXTRA):
        return start_intent(talk, ORDER_STATUS, 1.0, {"order_number": order})
    return False


def fall_back(talk: Talk, request: Request) -> None:
    """Not understood: first the two or three likeliest meanings, the second time in a row a person."""
    if heed_anger(talk, request, least=1) or heed_importance(talk):
        return
    talk.memory.fallbacks += 1
    if talk.memory.fallbacks > 1:
        offer_person(talk, "utter_offer_person", "unclear_twice")
        return
    talk.memory.unclear = talk.heard()
    likely = [intent.name for intent in request.intents if talk.title(intent.name) and intent.confidence > 0.02]
    near = near_articles(talk, request)
    likely = likely[: 2 if near else 3]
    if not likely and not near:
        talk.say("utter_caption_unclear" if talk.is_caption else "utter_rephrase")
        return
    if len(likely) == 1 and not near:
        talk.memory.question = f"meant:{likely[0]}"
    buttons = [*near, *(ReplyButton(talk.title(name), f"intent:{name}") for name in likely)]
    other = talk.assistant.word("button", "something_else", talk.language)
    template = "utter_caption_unclear" if talk.is_caption else "utter_clarify"
    talk.say(template, buttons=(*buttons, ReplyButton(other, "say:something_else")))
