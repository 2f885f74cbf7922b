"""decide(turn) -> Decision: the whole conversation logic as one pure function.

Order of questions: who owns the conversation, what kind of thing came, which requests it holds, whether the dialogue
itself had asked something, whether a flow waits, and only then what a request means on its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from bot.actions import ACTIONS
from bot.assistant import Assistant
from bot.at_rest import answer, article_need, looks_like_question, respond, start_intent
from bot.content import keep_file, take_content
from bot.correcting import rewind
from bot.events import effects_of
from bot.hearing import Choice, Request, hear, language_of
from bot.in_flow import category, continue_flow, drop_flow, understood_value
from bot.linking import ask_to_link, is_link_question, link_token, settle_link
from bot.memory import recall
from bot.noticing import announce
from bot.own_words import goes_with_the_last, own_words_only
from bot.ownership import while_operator_owns, while_queued
from bot.passing_on import heed_keyword, offer_person, pass_on
from bot.service_types import Notice
from bot.stopping import heed_word
from bot.talk import Talk
from bot.types import Decision, Event, Need, Owner, ScoredIntent, Turn
from bot.values import has_words, order_number, order_spellings, same_order, yes_or_no
from bot.weighing import HANDOFF, weighed

PATIENCE = timedelta(days=7)  # a question we put unasked may be answered this late


def decide(turn: Turn, assistant: Assistant) -> Decision:
    """What to reply, what to do and what to remember. Pure; the same turn always gives the same decision.

    With `needs` in the decision, fetch them into `turn.facts` and call again.
    """
    return weighed(turn, assistant, _decide(turn, assistant))


def _decide(turn: Turn, assistant: Assistant) -> Decision:
    memory = recall(turn.conversation.state)
    language = language_of(turn, assistant)
    content = turn.message.content
    token = link_token(content) if turn.message.wants_turn else ""
    if (isinstance(content, Event) and not token) or not turn.message.wants_turn:
        effects = effects_of(content) if isinstance(content, Event) and turn.message.wants_turn else ()
        return Decision(effects=effects, state=memory.to_json(), language=language)
    talk = Talk(turn, assistant, ACTIONS, memory, language)
    if isinstance(content, Notice):
        return announce(talk, content)
    if turn.conversation.owner is Owner.OPERATOR:
        return own_words_only(turn, while_operator_owns(talk))
    if goes_with_the_last(turn, memory):
        keep_file(talk)
        return Decision(state=memory.to_json(), language=language)
    wake_up(talk)
    requests = hear(turn, memory, assistant)
    talk.message_words = requests[0].words if len(requests) == 1 else turn.understanding.text
    return own_words_only(turn, decide_on(talk, requests, token))


def decide_on(talk: Talk, requests: list[Request], token: str) -> Decision:
    """What the requests lead to, in the light of who owns the conversation. `token`: of a chat to be continued here."""
    turn = talk.turn
    if token:
        ask_to_link(talk, token)
        return finish(talk)
    if turn.conversation.owner is Owner.QUEUE:
        decision = while_queued(talk, requests, handle)
        needs = (*decision.needs, *foreseen(talk, requests)) if decision.needs else ()
        return replace(decision, needs=tuple(dict.fromkeys(needs)))
    if take_content(talk):
        return finish(talk)
    for request in requests:
        if talk.needs:
            break
        talk.request = request
        talk.entities = (*talk.entities, *request.entities)
        handle(talk, request)
    return finish(talk, requests)


def foreseen(talk: Talk, requests: Sequence[Request]) -> list[Need]:
    """What the other requests of the message will need: asked for together, so that rounds do not add up."""
    needs: list[Need] = []
    for request in requests if len(requests) > 1 else ():
        if request.articles is None and has_words(request.words):
            needs.append(article_need(request))
        if number := order_number(request.words):
            known = talk.turn.conversation.customer.orders
            if not any(same_order(order.number, number) for order in known):
                needs += [Need("order", spelling) for spelling in order_spellings(number)]
    return [need for need in needs if need not in talk.turn.facts]


def finish(talk: Talk, requests: Sequence[Request] = ()) -> Decision:
    """The decision, never without a word for a customer the bot is answering."""
    if talk.needs:
        talk.needs += foreseen(talk, requests)
    decision = talk.finish()
    if decision.needs or decision.replies:
        return decision
    talk.say("utter_flow_over" if talk.older else "utter_rephrase")
    return talk.finish()


def wake_up(talk: Talk) -> None:
    """What the conversation remembers fits the present: put-aside flows return, old ones are marked for `handle`."""
    memory = talk.memory
    if talk.turn.conversation.owner is Owner.BOT and memory.frozen and memory.question != "resume":
        memory.stack = [*memory.frozen, *memory.stack]
        memory.frozen = []
    talk.unclear, memory.unclear = memory.unclear, {}
    talk.article, memory.article = memory.article, ""
    talk.mark_stack()


def is_stale(talk: Talk) -> bool:
    at, top = talk.memory.at, talk.memory.top
    lasts = PATIENCE if top and top.is_patient else timedelta(seconds=talk.assistant.tuning.stale_after_s)
    return at is not None and talk.turn.now - at > lasts


def handle(talk: Talk, request: Request) -> None:
    """One request, in the light of what was asked before."""
    if is_stale(talk):
        talk.memory.at = None
        talk.memory.question = "" if talk.memory.question == "cancel" else talk.memory.question
        talk.memory.shared = {}
        if talk.memory.stack and set_aside(talk, request):
            return
    if heed_word(talk, request) or heed_keyword(talk, request):
        return
    question, talk.memory.question = talk.memory.question, ""
    if question and settle(talk, question, request):
        return
    if request.choice:
        choose(talk, request, request.choice)
    elif talk.memory.top:
        continue_flow(talk, request)
    else:
        respond(talk, request)


# --- a flow nobody answered for a long time ---------------------------------------------------------------------


def set_aside(talk: Talk, request: Request) -> bool:
    """A stale flow is dropped; True when the message looks like its answer, so we ask whether to go on with it."""
    memory = talk.memory
    frame = memory.stack[-1]
    value = late_answer(talk, request)
    title = talk.flow_title(frame.flow)
    if value is None:
        memory.stack, memory.later = [], []
        if frame.given:
            talk.say("utter_flow_expired", {"flow": title})
        return False
    memory.frozen, memory.stack, memory.held, memory.question = memory.stack, [], value, "resume"
    talk.say("utter_resume", {"flow": title, "value": talk.shown(frame.asked, value)})
    return True


def late_answer(talk: Talk, request: Request) -> str | bool | float | None:
    """The value for the stale question, when the message is just that."""
    frame = talk.memory.stack[-1]
    if request.choice:
        is_for_it = request.choice.kind == "slot" and request.choice.name == frame.asked
        return request.choice.value if is_for_it else None
    if looks_like_question(request.words):
        return None
    value = understood_value(talk, talk.assistant.slots.get(frame.asked), request)
    is_value = request.intent.name in ("", "inform", "affirm", "deny")
    is_weak = request.intent.confidence < talk.assistant.tuning.sure
    return value if is_value or is_weak else None


# --- questions of the dialogue's own ----------------------------------------------------------------------------


def agreed(talk: Talk, request: Request) -> bool | None:
    """True for yes, False for no, None when the message is neither."""
    if request.choice:
        return {"affirm": True, "deny": False}.get(request.choice.name) if request.choice.kind == "intent" else None
    agrees = yes_or_no(request.words)
    if agrees is None and request.intent.confidence >= talk.assistant.tuning.accept:
        return {"affirm": True, "deny": False}.get(request.intent.name)
    return agrees


def is_for_a_person(talk: Talk, request: Request) -> bool:
    """Whether they asked for a person in so many words, or by the button."""
    if request.choice:
        return request.choice.kind in ("intent", "flow") and request.choice.name == HANDOFF
    return request.intent.name == HANDOFF and request.intent.confidence >= talk.assistant.tuning.sure


def settle(talk: Talk, question: str, request: Request) -> bool:
    """Take the answer to our own question; False when the message is about something else, which drops the question."""
    agrees = agreed(talk, request)
    if question.startswith("person") and agrees is None and is_for_a_person(talk, request):
        agrees = True
    memory = talk.memory
    if question == "resume":
        stack, held, memory.frozen, memory.held = memory.frozen, memory.held, [], None
        if agrees:
            memory.stack = stack
            talk.set_slot(stack[-1], stack[-1].asked, held) if stack else None
            talk.say("utter_resumed")
            talk.run()
        elif agrees is False:
            talk.say("utter_dropped")
        return agrees is not None
    if agrees is None:
        return False
    if question == "cancel" and memory.stack:
        drop_flow(talk) if agrees else talk.say("utter_continue")
    elif question.startswith("person"):
        if not agrees:
            memory.fallbacks = 0
            talk.say("utter_continue" if memory.stack else "utter_rephrase")
        elif not pass_on(talk, question.removeprefix("person").removeprefix(":")) and not start_intent(talk, HANDOFF):
            talk.say("utter_failure")
    elif is_link_question(question):
        settle_link(talk, question, agrees=agrees)
    elif question.startswith("meant:") and agrees:
        act_on(talk, question.removeprefix("meant:"))
    elif question.startswith("meant:"):
        talk.say("utter_rephrase")
    else:
        return False
    return True


# --- buttons ----------------------------------------------------------------------------------------------------


def choose(talk: Talk, request: Request, choice: Choice) -> None:
    """Do what a button says."""
    if choice.kind == "slot":
        choose_value(talk, choice)
    elif choice.kind == "article":
        if not answer(talk, request, least=2.0):
            talk.say("utter_rephrase")
    elif choice.kind == "helpful":
        say_whether_helpful(talk, is_helpful=choice.name == "yes")
    elif choice.kind == "flow" and choice.name in talk.assistant.flows:
        if all(frame.flow != choice.name for frame in talk.memory.stack):
            talk.start(choice.name, dict(choice.slots))
    elif choice.kind == "intent" and choice.name in talk.assistant.intents:
        act_on(talk, choice.name, dict(choice.slots))
    else:
        talk.say("utter_rephrase")


def say_whether_helpful(talk: Talk, *, is_helpful: bool) -> None:
    """Kept with the turn, which tells how the article did (crm_sync/outcomes.py); others may have a person."""
    if is_helpful:
        talk.say("utter_thanks")
    else:
        offer_person(talk, "utter_offer_person_article", "article_unhelpful")


def choose_value(talk: Talk, choice: Choice) -> None:
    frame, slot = talk.memory.top, talk.assistant.slots.get(choice.name)
    if frame is None or slot is None or (frame.asked != choice.name and choice.name not in frame.given):
        talk.say("utter_choice_over")
        return
    value: str | bool | None = choice.value
    if slot.type == "bool":
        value = {"true": True, "false": False}.get(choice.value.lower())
    elif slot.type == "categorical":
        value = category(talk, slot, choice.value)
    if value is None:
        talk.say("utter_choice_over")
        return
    flow = talk.assistant.versions.get(frame.version)
    if frame.asked != choice.name and flow:
        rewind(frame, flow, {choice.name})
    talk.set_slot(frame, choice.name, value)
    talk.run()


def act_on(talk: Talk, intent: str, slots: dict[str, str] | None = None) -> None:
    """The customer chose this meaning."""
    request = Request(intents=(ScoredIntent(intent, 1.0),), choice=Choice("intent", intent), articles=())
    if intent in ("affirm", "deny", "cancel") and talk.memory.top:
        continue_flow(talk, request)
        return
    talk.memory.fallbacks = 0
    talk.hear_unclear()
    if not start_intent(talk, intent, 1.0, slots) and not answer(talk, request, least=0.0):
        talk.say("utter_rephrase")
