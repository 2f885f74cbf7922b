"""A message while a flow waits for an answer: the answer, a correction, a digression, or the wish to stop."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from bot.assistant import Slot
from bot.at_rest import (
    ANSWERS,
    SHORT,
    SOCIAL,
    STOP_FLOW,
    UNSUBSCRIBE,
    answer,
    looks_like_question,
    start_intent,
)
from bot.correcting import correct, is_open
from bot.flows import SlotValue
from bot.hearing import Request
from bot.memory import MAX_TEXT, Frame
from bot.passing_on import heed_anger, offer_person
from bot.talk import SHOWN, Talk
from bot.values import has_words, in_words, is_cancel_word, normal, one_time_code, plain, yes_or_no
from bot.weighing import HANDOFF

_COMMANDS = frozenset({HANDOFF, UNSUBSCRIBE, STOP_FLOW, "help", "callback_request"})
_BARE: Mapping[bool | None, str] = {True: "yes", False: "no", None: ""}


def continue_flow(talk: Talk, request: Request) -> None:
    """Take the message as the running flow needs it."""
    frame = talk.memory.stack[-1]
    slot = talk.assistant.slots.get(frame.asked)
    if wants_to_stop(talk, slot, request):
        cancel(talk)
        return
    is_secret = slot is not None and slot.is_secret
    if not is_secret and correct(talk, frame, slot, request):
        talk.run()
        return
    value = understood_value(talk, slot, request)
    if value is None and comes_along(talk, slot) and (serve_beside(talk, request) or not is_open(slot)):
        return
    least = talk.assistant.tuning.accept if is_order(talk, request) else talk.assistant.tuning.sure
    if is_elsewhere(talk, frame, slot, request, value, least=least) and digress(talk, request, least=least):
        return
    if value is None and not is_open(slot) and heed_anger(talk, request, least=1):
        return
    if value is None and slot is not None:
        value = own_words(slot, request)
    if value is None:
        not_an_answer(talk, frame, slot, request)
        return
    tries = frame.tries
    talk.set_slot(frame, frame.asked, value)
    if not is_secret:  # a code also has the shape of other numbers
        talk.fill_from_entities(frame, request.entities)
    talk.run()
    if frame.tries > tries:
        after_refusal(talk, frame)
    else:
        talk.memory.fallbacks = 0


def wants_to_stop(talk: Talk, slot: Slot | None, request: Request) -> bool:
    if is_cancel_word(request.words):
        return True
    intent = request.intent
    is_short = not is_open(slot) or len(plain(request.words)) <= SHORT
    return intent.name == "cancel" and intent.confidence >= talk.assistant.tuning.sure and is_short


def cancel(talk: Talk) -> None:
    """Drop the flow; when much was entered already, ask first."""
    frame = talk.memory.stack[-1]
    if len(frame.given) >= talk.assistant.tuning.confirm_cancel_from:
        talk.memory.question = "cancel"
        talk.say("utter_confirm_cancel", {"flow": talk.flow_title(frame.flow)})
        return
    drop_flow(talk)


def drop_flow(talk: Talk) -> None:
    """The flow on top is gone, with those that called it; an interrupted one goes on."""
    frame = talk.memory.stack.pop()
    while frame.is_called and talk.memory.stack:
        frame = talk.memory.stack.pop()
    talk.say("utter_cancelled", {"flow": talk.flow_title(frame.flow)})
    if talk.memory.stack:
        talk.go_back(frame)


def understood_value(talk: Talk, slot: Slot | None, request: Request) -> SlotValue:
    """The asked value where the words clearly hold one of its kind; None otherwise."""
    if slot is None:
        return None
    if slot.type == "bool":
        agrees = yes_or_no(request.words)
        if agrees is None and request.intent.confidence >= talk.assistant.tuning.accept:
            agrees = {"affirm": True, "deny": False}.get(request.intent.name)
        return agrees
    if slot.type == "categorical":
        return category(talk, slot, request.words)
    if slot.is_secret:
        return one_time_code(request.words) or special_value(talk, slot, request.words)
    for entity in reversed(request.entities):
        if entity.name in slot.entities:
            return normal(entity.name, entity.value or entity.text, talk.today)
    shapes = (in_words(kind, request.words, talk.today) for kind in slot.entities)
    return next((shape for shape in shapes if shape), None) or special_value(talk, slot, request.words)


def special_value(talk: Talk, slot: Slot, words: str) -> str | None:
    """A value with words of its own beside those of the slot's kind, e.g. `chat` as contact instead of a phone.

    A slot whose words name `yes` or `no` takes a bare one: its question was "is it …?".
    """
    said = plain(words)
    bare = _BARE[yes_or_no(words)]
    if bare in talk.assistant.words.get(f"{slot.name}_words", {}):
        return bare
    found = [value for value, named in synonyms_of(talk, slot) if any(_holds_word(said, name) for name in named)]
    return found[0] if len(found) == 1 else None


def synonyms_of(talk: Talk, slot: Slot) -> Iterator[tuple[str, list[str]]]:
    """Values of a slot with the words the assistant lists for them (`words: <slot>_words:`), in every language."""
    for value, wording in talk.assistant.words.get(f"{slot.name}_words", {}).items():
        yield value, [plain(word) for words in wording.values() for word in words.split("|")]


def category(talk: Talk, slot: Slot, words: str) -> str | None:
    """The one value of a categorical slot that these words name, by value, label or a word for it."""
    said = plain(words)
    if (bare := _BARE[yes_or_no(words)]) in slot.values:
        return bare
    synonyms = dict(synonyms_of(talk, slot))
    found = []
    for value in slot.values:
        label = plain(talk.assistant.word(slot.name, value, talk.language))
        if said in (label, plain(value)):
            return value
        if any(_holds_word(said, name) for name in (label, *synonyms.get(value, []))):
            found.append(value)
    return found[0] if len(found) == 1 else None


def _holds_word(said: str, name: str) -> bool:
    if not name:
        return False
    if name.isascii():
        return re.search(rf"(?<![a-z0-9]){re.escape(name)}(?![a-z0-9])", said) is not None
    return name in said


def own_words(slot: Slot, request: Request) -> SlotValue:
    """The words as they are, for a slot that takes words; None for a slot that has to be chosen or is not answered."""
    if slot.type not in ("text", "any") or not has_words(request.words):
        return None
    if is_open(slot) and (request.intent.name in ("affirm", "deny") or yes_or_no(request.words) is not None):
        return None
    return request.words.strip()[:MAX_TEXT]


def not_an_answer(talk: Talk, frame: Frame, slot: Slot | None, request: Request) -> None:
    """Say why it is none; the question follows again."""
    if request.choice is None and not has_words(request.words):
        talk.say("utter_no_words_in_flow")
    elif slot is not None and slot.type == "bool":
        talk.say("utter_need_yes_or_no")
    elif slot is not None and slot.type == "categorical":
        talk.say("utter_need_choice")
    else:
        talk.say("utter_need_words")
    frame.tries += 1
    after_refusal(talk, frame)


def after_refusal(talk: Talk, frame: Frame) -> None:
    if frame.tries >= talk.assistant.tuning.tries and not talk.needs:
        frame.tries = 0
        offer_person(talk, "utter_offer_person_in_flow", "flow_failed")


# --- digressions ------------------------------------------------------------------------------------------------


def is_order(talk: Talk, request: Request) -> bool:
    """Whether a few words tell us to do something that no question may stand in the way of, for a person above all."""
    tuning, intent = talk.assistant.tuning, request.intent
    is_meant = intent.name in _COMMANDS and intent.confidence >= tuning.accept
    is_clear = len(request.intents) < 2 or request.lead >= tuning.ambiguity_margin
    return is_meant and is_clear and len(plain(request.words)) <= SHORT


def is_elsewhere(
    talk: Talk, frame: Frame, slot: Slot | None, request: Request, value: SlotValue, *, least: float
) -> bool:
    """Whether the message is about something else than the open question; its meaning is believed from `least` on."""
    intent, words = request.intent, request.words
    if intent.confidence < least:
        return value is None and looks_like_question(words)
    if intent.name in ANSWERS:
        return False
    flow = talk.trigger_of(intent.name, intent.confidence)
    if flow is not None and flow.id == frame.flow:
        return False
    is_question, is_short = looks_like_question(words), len(plain(words)) <= SHORT
    if is_open(slot):
        return (is_question and len(words) <= 4 * SHORT) or (is_short and intent.name in SOCIAL | _COMMANDS)
    if value is None:
        return True
    is_bare = len(plain(words)) <= len(str(value)) + 10
    return is_question or (not is_bare and slot is not None and slot.type == "text")


def comes_along(talk: Talk, slot: Slot | None) -> bool:
    """Whether the words were not said to answer the open question: a later part of the message that began the flow, or
    the caption of a file. A caption may still describe what happened."""
    return talk.has_new_question() or (talk.is_caption and not is_open(slot))


def serve_beside(talk: Talk, request: Request) -> bool:
    """Answer what came along, if it asks for anything; a question we have no answer to is named, not passed over."""
    is_question = looks_like_question(request.words)
    if talk.is_caption and not is_question:
        return True
    if digress(talk, request, least=talk.assistant.tuning.accept):
        return True
    if is_question:
        words = request.words.strip()
        talk.say("utter_part_unanswered", {"words": words if len(words) <= SHOWN else words[: SHOWN - 1] + "…"})
    return is_question


def digress(talk: Talk, request: Request, *, least: float) -> bool:
    """Answer it; the open question follows again. False when there is no answer after all.

    `least`: from which confidence its meaning is believed.
    """
    intent = request.intent
    is_sure = intent.confidence >= least
    if is_sure and start_intent(talk, intent.name, intent.confidence):
        return True
    if not answer(talk, request, least=least):
        return False
    if is_sure and intent.name == "goodbye":
        talk.asks = False
    return True
