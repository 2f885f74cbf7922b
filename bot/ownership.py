"""What the bot still does while the conversation belongs to the queue or to an operator."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bot.actions.topics import withdrawals
from bot.at_rest import SOCIAL, STOP_FLOW, UNSUBSCRIBE, answer
from bot.business_time import say_time
from bot.content import keep_file
from bot.hearing import Request
from bot.service_types import SubscribeTopic
from bot.stopping import heed_stop_word, quietly
from bot.talk import SHOWING, Talk
from bot.types import (
    Contact,
    Decision,
    Lane,
    Media,
    ReleaseHandoff,
    Reply,
    Text,
    UpdateCustomer,
)
from bot.values import case_number, has_words, is_cancel_word, is_stop_word, order_number, phone
from bot.weighing import queue_need, queue_view, say_wait

CALL_BACK = "callback_request"  # instead of waiting here
Handle = Callable[[Talk, Request], None]


def while_operator_owns(talk: Talk) -> Decision:
    """Silence but for one line after a stop word; only those and facts about the customer count, and no flow moves."""
    replies: tuple[Reply, ...] = ()
    content, words = talk.turn.message.content, talk.turn.understanding
    if isinstance(content, Contact) and content.is_own and (number := phone(content.phone)):
        talk.effects.append(UpdateCustomer(phone=number, phone_is_verified=True))
    if isinstance(content, Text):
        wants_no_news = words.intent.name == UNSUBSCRIBE and words.intent.confidence >= talk.assistant.tuning.sure
        if is_stop_word(content.text) or wants_no_news:
            replies = quietly(talk)
            talk.effects += withdrawals(talk.turn.conversation.customer, f"chat:{UNSUBSCRIBE}")
            if talk.turn.conversation.customer.subscriptions:
                talk.effects.append(SubscribeTopic("*", wanted=False, source=f"chat:{UNSUBSCRIBE}"))
        if number := phone(content.text):
            talk.effects.append(UpdateCustomer(phone=number))
        if order := order_number(content.text):
            talk.memory.shared["order_number"] = order
    talk.memory.offered = []  # what the operator says now was said last: a number no longer means our list
    # `at` stays: a flow that waits behind a long talk with an operator grows old meanwhile.
    # In the lane that an operator's ownership does not stop, and with the last reply of a window if need be.
    effects, state = tuple(talk.effects), talk.memory.to_json()
    return Decision(replies, effects, state, talk.language, lane=Lane.SERVICE, is_vital=True)


def while_queued(talk: Talk, requests: Sequence[Request], handle: Handle) -> Decision:
    """Knowledge and status questions are answered; otherwise a rare reminder that a person will come."""
    content = talk.turn.message.content
    if isinstance(content, Contact) and content.is_own and (number := phone(content.phone)):
        talk.effects.append(UpdateCustomer(phone=number, phone_is_verified=True))
        talk.say("utter_contact_saved", {"phone": number})
        return talk.finish()
    is_answered = keep_for_person(talk)
    for request in requests:
        talk.request, talk.entities = request, (*talk.entities, *request.entities)
        if heed_stop_word(talk, request):
            is_answered = True
            continue
        if wants_to_leave(talk, request):
            leave_queue(talk)
            return talk.finish()
        is_answered = answer_waiting(talk, request, handle) or is_answered
        if talk.needs:
            return talk.finish()
    if not is_answered:
        if talk.memory.queued % max(1, int(talk.assistant.tuning.remind_queue_every)) == 0 and not remind(talk):
            return talk.finish()
        talk.memory.queued += 1
        talk.asks = False
    return talk.finish()


def remind(talk: Talk) -> bool:
    """They are told that a person will come: their place and the wait, or when people are there. False: `needs`."""
    calendar, turn = talk.assistant.calendar, talk.turn
    if not calendar.is_open(turn.now):
        opens = say_time(calendar.next_open(turn.now), turn.now, talk.assistant.hours.timezone, talk.language)
        talk.say("utter_in_queue_closed", {"opens": opens})
        return True
    need = queue_need(turn, talk.assistant.service.handoff)
    if need not in turn.facts:
        talk.needs.append(need)
        return False
    view = queue_view(turn, need)
    place = {"place": str(view.ahead + 1)}
    if view.wait is not None:
        talk.say("utter_in_queue_wait", {**place, "wait": say_wait(view.wait, talk.language)})
    elif view.ahead:
        talk.say("utter_in_queue_place", place)
    else:
        talk.say("utter_in_queue")
    return True


def keep_for_person(talk: Talk) -> bool:
    """A file that came meanwhile is kept, and the customer is told that the person will have it; False for none."""
    content, memory = talk.turn.message.content, talk.memory
    if not isinstance(content, Media) or content.kind in ("sticker", "animation"):
        return False
    has_only_words = content.kind not in SHOWING and has_words(talk.turn.understanding.text)
    if has_only_words:  # a voice message that was understood is what it says
        return False
    keep_file(talk)
    memory.queued += 1
    talk.say("utter_file_in_queue")
    return True


def wants_to_leave(talk: Talk, request: Request) -> bool:
    if request.choice:
        return request.choice.kind == "intent" and request.choice.name == "cancel"
    is_cancel = request.intent.name == "cancel" and request.intent.confidence >= talk.assistant.tuning.sure
    return is_cancel or (is_cancel_word(request.words) and not talk.memory.stack)


def leave_queue(talk: Talk) -> None:
    """The bot takes over again, with the flow that was put aside."""
    talk.effects.append(ReleaseHandoff())
    talk.say("utter_queue_left")
    talk.memory.stack, talk.memory.frozen, talk.memory.queued = talk.memory.frozen, [], 0


def answer_waiting(talk: Talk, request: Request, handle: Handle) -> bool:
    """Answer what may be answered now; False when it has to wait for the person."""
    tuning, allowed = talk.assistant.tuning, talk.assistant.queue_flows
    name, confidence = request.intent.name, request.intent.confidence
    if request.choice and request.choice.kind in ("intent", "flow"):
        name, confidence = request.choice.name, 1.0
    allowed = allowed | {UNSUBSCRIBE, STOP_FLOW, CALL_BACK}
    if case_number(request.words) or (talk.memory.top and talk.memory.top.flow in allowed):
        handle(talk, request)
        return True
    flow = talk.trigger_of(name, confidence) or talk.assistant.flows.get(name)
    if flow:
        if flow.id in allowed:
            handle(talk, request)
            return True
        return False
    if request.choice and request.choice.kind != "article":
        question = Request(intents=request.intents, articles=())
        return name not in SOCIAL and answer(talk, question, least=0.0)
    if name in SOCIAL and confidence >= tuning.accept:
        return False
    return answer(talk, request, least=tuning.sure)
