"""A value given before is put right in mid-flow: "no, the order number is 10482"."""

from __future__ import annotations

import re
from collections.abc import Mapping

from bot.assistant import Slot
from bot.at_rest import SHORT, looks_like_question
from bot.flows import Flow, SlotValue
from bot.hearing import Request
from bot.memory import Frame
from bot.talk import Talk
from bot.types import Entity
from bot.values import in_words, normal, plain

_CORRECTION = re.compile(
    r"不对|不是|错了|搞错|写错|打错|说错|弄错|应该是|改成|改为|更正|纠正|其实是"
    r"|\b(?:no|not|wrong|actually|correction|i mean|i meant|should be|instead|make that|typo|mistake)\b",
    re.IGNORECASE,
)
# At a question that any sentence answers, the correction has to be all the sentence is about.
_CORRECTS = re.compile(
    r"\s*(?:不对|错了|[我刚才]*(?:搞错|写错|打错|说错|弄错)了?|更正(?:一下)?|其实"
    r"|(?:no|wrong|sorry|actually|correction|(?:that )?was wrong)\b)[,，.。:：;；!！、\s]*(?:(?:the|my)\b)?\s*",
    re.IGNORECASE,
)
_IS = re.compile(
    r"\s*(?:应该)?(?:是|为|改成|改为|(?:it|that|this)(?:'s| is| was| should be)|i mean(?:t)?|make (?:it|that))\s*",
    re.IGNORECASE,
)


def is_open(slot: Slot | None) -> bool:
    """Whether any words answer the question (a description), rather than a value of some kind."""
    return slot is not None and slot.type in ("text", "any") and not slot.entities


def correct(talk: Talk, frame: Frame, asked: Slot | None, request: Request) -> bool:
    """Change values given before ("no, the order number is 10482"); False when nothing is corrected.

    The flow goes back to the corrected question, so that everything that followed from it is decided anew.
    """
    is_marked = bool(_CORRECTION.search(request.words))
    flow = talk.assistant.versions.get(frame.version)
    if flow is None or (not is_marked and (len(request.words) > SHORT or looks_like_question(request.words))):
        return False
    changes = changed_values(talk, frame, request)
    if is_open(asked) and not is_all_correction(talk, request, changes):
        return False
    if not is_marked and asked is not None:
        values = values_in(talk, request)
        is_bare = any(len(plain(request.words)) <= len(value.text) + 1 for value in values)
        changes = {} if is_bare or {value.name for value in values} & set(asked.entities) else changes
    if not changes:
        return False
    for name, value in changes.items():
        talk.set_slot(frame, name, value)
    for entity in values_in(talk, request):  # what the slot was derived from is corrected with it
        if entity.name in talk.assistant.slots and entity.name not in changes:
            talk.set_slot(frame, entity.name, normal(entity.name, entity.value or entity.text, talk.today))
    rewind(frame, flow, set(changes))
    name, value = next(iter(changes.items()))
    wording = {"slot": talk.assistant.word("slot", name, talk.language), "value": talk.shown(name, value)}
    talk.say("utter_corrected", wording)
    return True


def is_all_correction(talk: Talk, request: Request, changes: Mapping[str, SlotValue]) -> bool:
    """Whether the words take something back and go on with what is right: "不对，是前天", "no, the date is …"."""
    begins = _CORRECTS.match(request.words)
    if begins is None:
        return False
    rest = request.words[begins.end() :].casefold()
    labels = [talk.assistant.word("slot", name, talk.language).casefold() for name in changes]
    if rest.startswith(tuple(label for label in labels if label)):
        return True
    texts = tuple(entity.text.casefold() for entity in values_in(talk, request) if entity.text)
    if says := _IS.match(rest):
        return rest[says.end() :].startswith(texts)
    return plain(rest) in map(plain, texts)


def values_in(talk: Talk, request: Request) -> tuple[Entity, ...]:
    """Entities NLU found, and numbers it missed but whose shape tells what they are."""
    found = list(request.entities)
    for kind in ("order_number", "phone"):
        shape = in_words(kind, request.words, talk.today)
        if shape and all(entity.name != kind for entity in found):
            found.append(Entity(kind, shape, shape, 0, 0))
    return tuple(found)


def changed_values(talk: Talk, frame: Frame, request: Request) -> dict[str, SlotValue]:
    changes: dict[str, SlotValue] = {}
    for entity in values_in(talk, request):
        value = normal(entity.name, entity.value or entity.text, talk.today)
        for name, old in talk.slots_of(frame).items():
            slot = talk.assistant.slots.get(name)
            is_own = name in frame.slots and frame.slots[name] is not None
            if slot and is_own and entity.name in slot.entities and str(old).casefold() != value.casefold():
                changes[name] = value
    return changes


def rewind(frame: Frame, flow: Flow, names: set[str]) -> None:
    for step in flow.steps.values():
        if step.id == frame.step:
            return
        if step.kind == "collect" and step.target in names:
            frame.step = step.id
            return
