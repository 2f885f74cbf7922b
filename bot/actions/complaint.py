"""Complaints: taking one up, adding to an open one, telling how one stands."""

from __future__ import annotations

from datetime import timedelta

from bot.actions.base import ActionContext, ActionResult
from bot.actions.complaint_reading import is_dangerous, is_description, severity
from bot.actions.orders import order_buttons
from bot.business_time import after_staffed
from bot.flows import SlotValue
from bot.types import (
    Case,
    Effect,
    Need,
    OpenCase,
    Reply,
    ReplyButton,
    RequestHandoff,
    UpdateCase,
    UpdateCustomer,
)
from bot.values import case_number, order_number, same_case

MEDIA_MINUTES = 30  # pictures sent this shortly before or during the complaint belong to it
SUMMARY = 60  # characters of a case repeated to the customer
URGENT = 3  # from this severity on a person takes over
_DETAILS = ("what_happened", "order_number", "product", "store", "since", "wish", "contact")


def begin(context: ActionContext) -> ActionResult:
    """Says sorry and takes from the opening words what they already say, so that nothing known is asked."""
    replies: tuple[Reply, ...] = ()
    slots: dict[str, SlotValue] = {}
    words = context.message_words if is_description(context.message_words) else context.words
    if not context.text("what_happened") and is_description(words):
        slots["what_happened"] = words.strip()[:2000]
        replies = (Reply("utter_complaint_sorry"),)  # without a story yet, the question for it says so itself
    if not context.text("subject"):
        slots["subject"] = subject_of(context) or None
    if not context.text("contact") and context.customer.phone:
        slots["contact"] = context.customer.phone
    return ActionResult(slots={name: value for name, value in slots.items() if value}, replies=replies)


def subject_of(context: ActionContext) -> str:
    """The order, product or store named in this message; "" when none is."""
    for kind in ("order_number", "product", "store"):
        for entity in reversed(context.entities):
            if entity.name == kind:
                return normal_subject(entity.value or entity.text)
    return order_number(context.words) or ""


def normal_subject(words: str) -> str:
    """One spelling per subject, so that the same complaint is recognised: numbers bare, words in lower case."""
    number = order_number(words)
    return number.removeprefix("SO-") if number else " ".join(words.casefold().split())[:120]


def ask_subject(context: ActionContext) -> ActionResult:
    """Asks what it is about, with the customer's orders to choose from."""
    buttons = (*order_buttons(context, "subject", open_first=False),)
    if buttons:
        buttons = (*buttons, ReplyButton(context.word("button", "other_subject"), "slot:subject=other"))
    return ActionResult(replies=(Reply("utter_ask_subject", buttons=buttons),))


def match(context: ActionContext) -> ActionResult:
    """Looks whether the customer has an open complaint about the same thing: `matched_case` is its number or empty."""
    subject = normal_subject(context.text("subject"))
    category = category_of(context, context.text("what_happened"))
    found = open_complaint(context, category, subject)
    return ActionResult(slots={"matched_case": found.number if found else None, "subject": subject})


def category_of(context: ActionContext, words: str) -> str:
    """What the words are about, by the categories of the business."""
    return context.assistant.service.cases.find(words, is_danger=is_dangerous(words)).category


def open_complaint(context: ActionContext, category: str, subject: str) -> Case | None:
    for case in context.customer.cases:
        if case.kind == "complaint" and case.is_open and case.subject.casefold() == subject and subject != "other":
            return case
        if case.kind == "complaint" and case.is_open and case.category == category and subject == case.subject:
            return case
    return None


def add_to_case(context: ActionContext) -> ActionResult:
    """Adds what was said to the open complaint, and says so with its number."""
    number, words = context.text("matched_case"), context.text("what_happened")
    level = severity(words, context.customer.cases, context.turn.now)
    effects: tuple[Effect, ...] = (UpdateCase(number, note=words, details=details_of(context), severity=level),)
    effects += handoff(level)
    template = "utter_complaint_added_urgent" if level >= URGENT else "utter_complaint_added"
    return ActionResult(replies=(Reply(template, {"number": number}),), effects=effects)


def open_case(context: ActionContext) -> ActionResult:
    """Opens the complaint and tells its number, what was understood, and by when the first answer comes."""
    need = Need("case_number", "complaint")
    number = context.turn.facts.get(need)
    if not isinstance(number, str) or not number:
        return ActionResult(needs=(need,)) if need not in context.turn.facts else failed()
    words = context.text("what_happened")
    level = severity(words, context.customer.cases, context.turn.now)
    details = details_of(context)
    category = category_of(context, words)
    opened = OpenCase(
        number=number,
        kind="complaint",
        category=category,
        subject=context.text("subject"),
        severity=level,
        summary=words[:200],
        details=details,
    )
    effects: tuple[Effect, ...] = (opened,)
    contact = context.text("contact")
    if contact.startswith("+") and contact != context.customer.phone:
        effects += (UpdateCustomer(phone=contact),)
    hours = context.assistant.hours
    answer_by = after_staffed(context.turn.now, hours, timedelta(hours=1 if level >= URGENT else hours.first_answer_h))
    args = {
        "number": number,
        "category": context.word("complaint_category", category),
        "subject": subject_in_words(context),
        "wish": context.word("wish", context.text("wish")),
        "answer_by": context.time(answer_by),
        "contact": contact_in_words(context),
    }
    template = {4: "utter_complaint_opened_danger", 3: "utter_complaint_opened_urgent"}.get(
        level, "utter_complaint_opened"
    )
    return ActionResult(
        replies=(Reply(template, args),), effects=effects + handoff(level), slots={"case_number": number}
    )


def handoff(level: int) -> tuple[Effect, ...]:
    return (RequestHandoff(reason="complaint", urgency=level),) if level >= URGENT else ()


def failed() -> ActionResult:
    return ActionResult(replies=(Reply("utter_failure"),))


def details_of(context: ActionContext) -> dict[str, str]:
    """What the case keeps: the answers given, and the files that belong to it."""
    found = {name: context.text(name)[:2000] for name in _DETAILS if name in context.own and context.text(name)}
    if context.text("subject").isdigit():
        found["order_number"] = context.text("subject")
    files = recent_files(context)
    if files:
        found["evidence"] = ", ".join(files)
    return found


def recent_files(context: ActionContext) -> list[str]:
    oldest = (context.turn.now - timedelta(minutes=MEDIA_MINUTES)).isoformat()
    return [
        f"{item.get('kind', '')}:{item.get('file_id', '')}" + (f" ({item['caption']})" if item.get("caption") else "")
        for item in context.media
        if item.get("at", "") >= oldest
    ]


def subject_in_words(context: ActionContext) -> str:
    subject = context.text("subject")
    if subject == "other":
        return context.word("button", "other_subject")
    return context.word("subject", "order").replace("{}", subject) if subject.isdigit() else context.thing("subject")


def contact_in_words(context: ActionContext) -> str:
    contact = context.text("contact")
    return context.word("contact", "chat") if contact in ("", "chat") else contact


# --- how a complaint stands ---------------------------------------------------------------------------------------


def complaint_status(context: ActionContext) -> ActionResult:
    """Says how the customer's complaint stands: by number, or the only one, or a choice of several."""
    number = context.text("case_number")
    if number:
        found = find_case(context, number)
        if isinstance(found, Need):
            return ActionResult(needs=(found,))
        if found is None:
            return ActionResult(
                replies=(Reply("utter_case_not_found", {"number": number}),), slots={"case_number": None}
            )
        return ActionResult(replies=(case_reply(context, found),), slots={"case_number": None})
    cases = [case for case in context.customer.cases if case.is_open] or list(context.customer.cases[:1])
    if not cases:
        return ActionResult(replies=(Reply("utter_no_cases"),))
    if len(cases) == 1:
        return ActionResult(replies=(case_reply(context, cases[0]),))
    buttons = tuple(
        ReplyButton(f"{case.number} {case.summary}"[:30], f"intent:complaint_status?case_number={case.number}"[:64])
        for case in cases[:5]
    )
    return ActionResult(replies=(Reply("utter_which_case", buttons=buttons),))


def find_case(context: ActionContext, number: str) -> Case | Need | None:
    """The customer's case with this number, with or without its check digit; what must be fetched; None: not theirs."""
    number = case_number(number) or number
    for case in context.customer.cases:
        if same_case(number, case.number):
            return case
    need = Need("case", number)
    if need not in context.turn.facts:
        return need
    found = context.turn.facts[need]
    return found if isinstance(found, Case) else None


def case_reply(context: ActionContext, case: Case) -> Reply:
    args = {
        "number": case.number,
        "kind": context.word("case_kind", case.kind),
        "status": context.word("case_status", case.status),
        "opened": context.time(case.opened_at),
        "updated": context.time(case.updated_at),
        "summary": case.summary if len(case.summary) <= SUMMARY else case.summary[: SUMMARY - 1] + "…",
    }
    if not case.is_open:
        return Reply("utter_case_closed", args)
    answered = case.status != "received"
    return Reply(
        "utter_case_open" if answered else "utter_case_waiting", {**args, "answer_by": first_answer(context, case)}
    )


def first_answer(context: ActionContext, case: Case) -> str:
    hours = context.assistant.hours
    return context.time(after_staffed(case.opened_at, hours, timedelta(hours=hours.first_answer_h)))
