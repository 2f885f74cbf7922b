"""When the bot calls a person by itself: a keyword, anger, an article that did not help, an important customer."""

from __future__ import annotations

from bot.hearing import Request
from bot.talk import Talk
from bot.types import Owner, Text
from bot.values import plain
from bot.weighing import HANDOFF, is_vip

SHORT = 40  # characters; what is longer says what it is about
_OWN_PACE = frozenset({"complaint", HANDOFF})  # flows in which anger is no news


def pass_on(talk: Talk, reason: str) -> bool:
    """The way to a person begins, for this reason; False where there is none or it is under way."""
    flow = talk.trigger_of(HANDOFF, 1.0)
    if flow is None or talk.turn.conversation.owner is not Owner.BOT:
        return False
    if any(frame.flow == flow.id for frame in talk.memory.stack):
        return False
    talk.memory.fallbacks = 0
    frame = talk.push(flow)
    frame.slots["handoff_reason"] = reason
    talk.fill_from_entities(frame, talk.entities)
    talk.run()
    return True


def offer_person(talk: Talk, template: str, reason: str) -> None:
    """The customer is asked whether they want a person; `reason` is why, if they do."""
    talk.memory.question = f"person:{reason}"
    talk.say(template)


def heed_keyword(talk: Talk, request: Request) -> bool:
    """A person is called where the words hold one of the rules' keywords; False when they hold none."""
    keyword = talk.assistant.service.handoff.keyword_in(request.words) if request.words else None
    return keyword is not None and pass_on(talk, f"keyword:{keyword.name}")


def heed_unhelpful(talk: Talk, request: Request) -> bool:
    """Said right after an article, that it does not help: a person is offered. False for anything else."""
    if not talk.article or request.choice or len(plain(request.words)) > SHORT:
        return False
    rules = talk.assistant.service.handoff
    if not rules.unhelpful.search(request.words) or talk.trigger_of(request.intent.name, request.intent.confidence):
        return False
    offer_person(talk, "utter_offer_person_article", "article_unhelpful")
    return True


def heed_anger(talk: Talk, request: Request, *, least: int) -> bool:
    """An angry customer whom the bot cannot serve right now gets a person, with a word of regret; False otherwise."""
    top = talk.memory.top
    if (top and top.flow in _OWN_PACE) or talk.assistant.service.handoff.anger.strength(request.words) < least:
        return False
    said = len(talk.replies)
    if not pass_on(talk, "anger"):
        return False
    talk.say("utter_upset")
    talk.replies.insert(said, talk.replies.pop())  # before what follows
    return True


def heed_importance(talk: Talk) -> bool:
    """An important customer is not asked to put it in other words; False for others, and for what came as a file."""
    if not isinstance(talk.turn.message.content, Text):
        return False
    return is_vip(talk.turn, talk.assistant.service.handoff) and pass_on(talk, "vip")
