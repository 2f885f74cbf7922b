"""Telling a customer something unasked: a notice takes a turn of its own, and may begin a flow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime

from bot.assistant import Assistant
from bot.business_time import say_day, say_time, zone
from bot.memory import MAX_LATER, Memory
from bot.service_types import Notice
from bot.talk import Talk
from bot.types import Decision, Lane, Language, Owner
from bot.values import say_money

LANES = {"service": Lane.SERVICE, "reply": Lane.REPLY}


def announce(talk: Talk, notice: Notice) -> Decision:
    """The notice is said. Its flow begins when the bot owns the conversation and no other flow is under way.

    A question that was open stays open without being put again: the notice is no answer to anything. Buttons shown
    before keep their numbers unless the notice shows some of its own.
    """
    memory = talk.memory
    before, offered, asked_at = tuple(memory.stack), memory.offered, memory.at
    talk.say(notice.template, wording(notice.args, talk))
    if notice.frozen and talk.turn.conversation.owner is Owner.BOT:
        thaw(talk, notice, memory)
        before = ()  # whatever goes on now is asked for again
    if notice.flow in talk.assistant.flows:
        begin(talk, notice, memory)
    if tuple(memory.stack) == before:
        talk.asks = False
    decision = talk.finish()
    if decision.needs:
        return decision
    if not memory.offered:
        memory.offered = offered
    if tuple(memory.stack) == before:
        memory.at = asked_at  # what waits goes on growing old
    return replace(decision, state=memory.to_json(), lane=LANES[notice.lane], is_vital=notice.is_vital)


def thaw(talk: Talk, notice: Notice, memory: Memory) -> None:
    """What was under way before a colleague took over is over, or goes on where it was: its question is put again."""
    under_way = [*memory.frozen, *memory.stack]
    memory.frozen, memory.stack, memory.question, memory.queued = [], [], "", 0
    if notice.frozen == "solved":
        memory.later = []
    elif not notice.flow or any(frame.flow == notice.flow for frame in under_way):
        memory.stack = under_way
    else:
        memory.frozen = under_way  # below the flow that begins now


def begin(talk: Talk, notice: Notice, memory: Memory) -> None:
    """The flow is begun, or remembered for when the one under way has ended."""
    if notice.frozen and any(frame.flow == notice.flow for frame in memory.stack):
        return  # it goes on
    if talk.turn.conversation.owner is Owner.BOT and not memory.stack and not memory.question:
        talk.start(notice.flow, dict(notice.slots), is_patient=True)
    elif len(memory.later) < MAX_LATER:
        memory.later.append({"flow": notice.flow, "slots": dict(notice.slots)})


def wording(args: Mapping[str, str], talk: Talk) -> dict[str, str]:
    """The args in the customer's language; what `Notice` says about values that begin with @."""
    return {name: worded(value, talk.assistant, talk.language, talk.turn.now) for name, value in args.items()}


def worded(value: str, assistant: Assistant, language: Language, now: datetime) -> str:
    """One value as a person would say it; the value itself where it is plain text or cannot be read."""
    if value.startswith("@@"):
        return value[1:]
    kind, _, rest = value.partition(":")
    try:
        match kind:
            case "@time":
                return say_time(datetime.fromisoformat(rest), now, assistant.hours.timezone, language)
            case "@day":
                today = now.astimezone(zone(assistant.hours.timezone)).date()
                return say_day(date.fromisoformat(rest), today, language)
            case "@word":
                group, _, key = rest.partition(":")
                return assistant.word(group, key, language)
            case "@service":
                found = assistant.service.appointments.services.get(rest)
                return found.title(language) if found else rest
            case "@money":
                amount, _, currency = rest.partition(":")
                return say_money(int(amount), currency, language)
            case "@zh":
                chinese, _, english = rest.partition("|@en:")
                return chinese if language == "zh" or not english else english
    except ValueError:
        return value
    return value
