"""Stop words: one word ends everything the customer is sent, whatever the conversation is about."""

from __future__ import annotations

from bot.at_rest import STOP_FLOW, UNSUBSCRIBE
from bot.hearing import Request
from bot.service_types import SubscribeTopic
from bot.talk import Talk
from bot.types import Owner, Reply
from bot.values import asked_for, is_cancel_word, is_stop_word

WISHES_FLOW = "contact_wishes"
_ABOUT_NEWS = frozenset({"subscribe_news", UNSUBSCRIBE, "subscribe_topic", STOP_FLOW, WISHES_FLOW})


def heed_word(talk: Talk, request: Request) -> bool:
    """A stop word, or the word for how one is written to, is heeded whatever is under way; False when it is neither."""
    asked = asked_for(request.words)
    if asked == "wishes" and WISHES_FLOW in talk.assistant.flows:
        top = talk.memory.top
        if top is None or top.flow != WISHES_FLOW:
            talk.start(WISHES_FLOW)
            return True
    return asked == "stop" and heed_stop_word(talk, request)


def heed_stop_word(talk: Talk, request: Request) -> bool:
    """One word stops everything the customer is sent, whatever is under way; False when it is none, or means the flow.

    "stop" also drops what is being done: it means that where there is nothing else to stop.
    """
    if not is_stop_word(request.words):
        return False
    customer, memory = talk.turn.conversation.customer, talk.memory
    is_sent = bool(customer.subscriptions) or any(customer.consents.values())
    is_busy = bool(memory.stack) or talk.turn.conversation.owner is Owner.QUEUE
    is_about_news = memory.top is not None and memory.top.flow in _ABOUT_NEWS
    if is_cancel_word(request.words) and is_busy and not is_sent and not is_about_news:
        return False
    return stop_all(talk)


def quietly(talk: Talk) -> tuple[Reply, ...]:
    """The one line that says that a stop word worked while an operator is there; nothing the next time."""
    customer = talk.turn.conversation.customer
    was_over = customer.consents.get("news") is False and not any(customer.consents.values())
    return () if was_over and not customer.subscriptions else (Reply("utter_stopped_meanwhile"),)


def stop_all(talk: Talk) -> bool:
    """All subscriptions and news end, confirmed once; what asked about them is over. False without a flow for it."""
    name = next((name for name in (STOP_FLOW, UNSUBSCRIBE) if name in talk.assistant.flows), "")
    if not name:
        return False
    memory = talk.memory
    memory.question = "" if memory.question != "resume" else memory.question
    memory.stack = [frame for frame in memory.stack if frame.flow not in _ABOUT_NEWS]
    memory.frozen = [frame for frame in memory.frozen if frame.flow not in _ABOUT_NEWS]
    if name == UNSUBSCRIBE and talk.turn.conversation.customer.subscriptions:
        talk.effects.append(SubscribeTopic("*", wanted=False, source=f"chat:{UNSUBSCRIBE}"))
    talk.start(name, {"topic": "*"})
    return True
