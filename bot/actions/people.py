"""Reaching people: handing over, calling back, praise and ideas passed on, news wanted or not."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from bot.actions.base import ActionContext, ActionResult
from bot.actions.case_plan import answer_by
from bot.actions.complaint_reading import severity
from bot.business_time import find_date, zone
from bot.service.promises import start
from bot.service.routing import Matter
from bot.service_types import EndConsents
from bot.types import (
    AddTimeline,
    CreateTask,
    Effect,
    Need,
    OpenCase,
    QueueView,
    RecordConsent,
    Reply,
    RequestHandoff,
    UpdateCustomer,
)
from bot.weighing import queue_need, queue_view, say_wait, weigh

FIRST_LOOK = 0.05  # share of the time until a call after which the desk looks at it first, however soon it is
_TIME = re.compile(r"(?<!\d)(\d{1,2})\s*(?:[:：点时]|\s?(?=[ap]m))\s*(\d{2}|半)?\s*(am|pm)?", re.IGNORECASE)
_AFTERNOON = re.compile(r"下午|晚上|傍晚|中午|afternoon|evening|tonight", re.IGNORECASE)
_MORNING = re.compile(r"上午|早上|morning", re.IGNORECASE)


def check_staff(context: ActionContext) -> ActionResult:
    """Finds out whether people are there now (`is_staffed`) and whether we could call back (`contact`)."""
    now_there = context.assistant.calendar.is_open(context.turn.now)
    urgent = severity(context.words) == 4
    contact = context.customer.phone or context.text("contact") or None
    return ActionResult(slots={"is_staffed": now_there or urgent, "contact": contact})


def handoff(context: ActionContext) -> ActionResult:
    """Hands the conversation to the queue and tells their place there, or when a person will be there."""
    calendar, now, rules = context.assistant.calendar, context.turn.now, context.assistant.service.handoff
    urgency = max(2, severity(context.words, anger=rules.anger))
    contact = context.text("contact")
    reason = context.text("handoff_reason") or "customer_asked"
    if reason == "customer_asked" and rules.anger.is_strong(context.words):
        reason = "anger"
    asked = RequestHandoff(reason=reason, urgency=urgency)
    effects: tuple[Effect, ...] = (asked,)
    if contact.startswith("+") and contact != context.customer.phone:
        effects += (UpdateCustomer(phone=contact),)
    if calendar.is_open(now):
        need = queue_need(context.turn, rules, weigh(context.turn, context.assistant, context.language, asked))
        if need not in context.turn.facts:
            return ActionResult(needs=(need,))
        return ActionResult(replies=told_place(context, queue_view(context.turn, need)), effects=effects)
    opening = calendar.next_open(now)
    args = {"opens": context.time(opening), "contact": contact}
    if not contact.startswith("+"):
        return ActionResult(replies=(Reply("utter_handoff_closed", args),), effects=effects)
    task = call_task(context, opening, contact, "asked for a person outside staffed hours")
    return ActionResult(replies=(Reply("utter_handoff_closed_call", args),), effects=(*effects, task))


def told_place(context: ActionContext, view: QueueView) -> tuple[Reply, ...]:
    """That they are passed on, with place and expected wait as far as they are known; a call-back for a long one."""
    if view.wait is None:
        place = {"place": str(view.ahead + 1)}
        return (Reply("utter_handoff_place", place) if view.ahead else Reply("utter_handoff"),)
    args = {"place": str(view.ahead + 1), "wait": say_wait(view.wait, context.language)}
    is_long = view.wait >= context.assistant.service.handoff.long_wait
    return (Reply("utter_handoff_wait", args), *((Reply("utter_callback_offer"),) if is_long else ()))


def begin_callback(context: ActionContext) -> ActionResult:
    """Offers the number in the record, so that it need not be typed."""
    if not context.text("callback_phone") and context.customer.phone:
        return ActionResult(slots={"callback_phone": context.customer.phone})
    return ActionResult()


def callback(context: ActionContext) -> ActionResult:
    """Creates the call as a task with a clock, and tells the window in which it will come."""
    wished = context.text("preferred_time")[:200]
    begins = wished_time(context, wished)
    number = context.text("callback_phone")
    task = call_task(context, begins, number, wished or "as soon as possible")
    effects: tuple[Effect, ...] = (task,)
    if number.startswith("+") and number != context.customer.phone:
        effects += (UpdateCustomer(phone=number),)
    args = {"callback_phone": number, "begins": context.time(begins), "due": context.time(task.due_at or begins)}
    return ActionResult(replies=(Reply("utter_callback_booked", args),), effects=effects)


def call_task(context: ActionContext, begins: datetime, phone: str, summary: str) -> CreateTask:
    """A call promised from `begins` on, within the working time the rules give; the clock warns when it begins."""
    rules, calendar, now = context.assistant.service.promises, context.assistant.calendar, context.turn.now
    ends = calendar.add(begins, rules.budget("callback", 2))
    until_end, until_start = calendar.between(now, ends), calendar.between(now, begins)
    clock = start("callback", until_end, calendar, now, warn_share=max(until_start / until_end, FIRST_LOOK))
    details = {"phone": phone, "preferred_time": summary, "begins": begins.isoformat()}
    return CreateTask("callback", summary, ends, details, clocks=(clock,) if clock else ())


def wished_time(context: ActionContext, words: str) -> datetime:
    """The wished time, or the next working moment after it; now (or the next opening) where none is named."""
    calendar, now = context.assistant.calendar, context.turn.now
    local_now = now.astimezone(zone(context.assistant.hours.timezone))
    day = find_date(words, local_now.date()) or local_now.date()
    match = _TIME.search(words)
    hour, minute = None, 0
    if match:
        hour, minute = int(match[1]), 30 if match[2] == "半" else int(match[2] or 0)
        is_late = bool(_AFTERNOON.search(words)) or (match[3] or "").lower() == "pm"
        hour = hour + 12 if is_late and hour < 12 else hour
    elif _AFTERNOON.search(words):
        hour = 15
    elif _MORNING.search(words):
        hour = 10
    elif day > local_now.date():
        hour = 0
    earliest = calendar.next_open(now)
    if hour is None or hour > 23 or minute > 59:
        return earliest
    wished = datetime(day.year, day.month, day.day, hour, minute, tzinfo=local_now.tzinfo)
    if wished > local_now + timedelta(days=60):
        return earliest
    return max(earliest, calendar.next_open(wished))


def subscribe(context: ActionContext) -> ActionResult:
    """News are wanted from now on, on this channel."""
    return _consent(context, granted=True)


def unsubscribe(context: ActionContext) -> ActionResult:
    """No news from now on, on this channel."""
    return _consent(context, granted=False)


def _consent(context: ActionContext, *, granted: bool) -> ActionResult:
    intent = "subscribe_news" if granted else "unsubscribe_news"
    said = RecordConsent("news", granted=granted, source=f"chat:{intent}")
    # Whoever wants no news wants no offers either, whatever we call them.
    effects: tuple[Effect, ...] = (said,) if granted else (said, EndConsents(said.source))
    return ActionResult(replies=(Reply(f"utter_{intent}_done"),), effects=effects)


def praise(context: ActionContext) -> ActionResult:
    """The kind words are in the customer's timeline."""
    return _noted(context, "praise")


def suggestion(context: ActionContext) -> ActionResult:
    """The idea is in the customer's timeline."""
    return _noted(context, "suggestion")


def open_suggestion(context: ActionContext) -> ActionResult:
    """The idea is a case of its own, which somebody reads and answers by when we say."""
    words = context.text("suggestion_text") or context.words
    need = Need("case_number", "suggestion")
    if need not in context.turn.facts:
        return ActionResult(needs=(need,))
    number = context.turn.facts[need]
    if not isinstance(number, str) or not number:
        return ActionResult(replies=(Reply("utter_failure"),))
    policy = context.assistant.service
    finding = policy.cases.find(words)
    route = policy.routing.route(Matter(finding.category, finding.quality_type, context.language))
    clocks = policy.clocks_for(1, context.turn.now, kinds=("solution",))
    effect = OpenCase(
        number,
        "suggestion",
        finding.category,
        number.casefold(),  # each idea by itself
        1,
        words[:200],
        {"what_happened": words[:2000]},
        quality_type=finding.quality_type,
        language=context.language,
        team=route.team or finding.team,
        clocks=clocks,
        policy_version=policy.version,
    )
    args = {"number": number, "answer_by": context.time(answer_by(context, clocks))}
    return ActionResult(replies=(Reply("utter_suggestion_opened", args),), effects=(effect,))


def _noted(context: ActionContext, kind: str) -> ActionResult:
    words = (context.text("suggestion_text") or context.words or kind)[:500]
    return ActionResult(replies=(Reply(f"utter_{kind}_noted"),), effects=(AddTimeline(kind, words),))


def begin_suggestion(context: ActionContext) -> ActionResult:
    """An idea already told is not asked for again."""
    words = context.words.strip()
    return ActionResult(slots={"suggestion_text": words[:2000]}) if len(words) >= 12 else ActionResult()
