"""Returns, exchanges and repairs: what has to reach the people who handle goods."""

from __future__ import annotations

from datetime import timedelta

from bot.actions.base import ActionContext, ActionResult
from bot.actions.complaint import contact_in_words, failed, normal_subject, recent_files, subject_of
from bot.flows import SlotValue
from bot.types import Effect, Need, OpenCase, Reply, UpdateCase, UpdateCustomer

_DETAILS = ("order_number", "item", "return_reason", "return_wish", "product", "fault", "store", "contact")


def begin(context: ActionContext) -> ActionResult:
    """Takes over what is known: the item named in the message, the phone in the record."""
    slots: dict[str, SlotValue] = {}
    if not context.text("item") and context.text("product"):
        slots["item"] = context.text("product")
    if not context.text("contact") and context.customer.phone:
        slots["contact"] = context.customer.phone
    return ActionResult(slots=slots)


def open_return(context: ActionContext) -> ActionResult:
    """Opens a return (or exchange) for an order, and says what happens next and when."""
    kind = "exchange" if context.text("return_wish") == "exchange" else "return"
    return _open(
        context, kind, subject=normal_subject(context.text("order_number")), summary=context.text("return_reason")
    )


def open_repair(context: ActionContext) -> ActionResult:
    """Opens a repair for a product, and says by when the appointment will be confirmed."""
    subject = normal_subject(context.text("item") or subject_of(context) or "appliance")
    return _open(context, "repair", subject=subject, summary=context.text("fault"))


def _open(context: ActionContext, kind: str, *, subject: str, summary: str) -> ActionResult:
    details = {name: context.text(name)[:2000] for name in _DETAILS if context.text(name)}
    if files := recent_files(context):
        details["evidence"] = ", ".join(files)
    for case in context.customer.cases:
        if case.is_open and case.kind == kind and case.subject == subject:
            note = UpdateCase(case.number, note=summary, details=details)
            return ActionResult(replies=(Reply("utter_case_added", {"number": case.number}),), effects=(note,))
    need = Need("case_number", kind)
    number = context.turn.facts.get(need)
    if not isinstance(number, str) or not number:
        return ActionResult(needs=(need,)) if need not in context.turn.facts else failed()
    opened = OpenCase(number, kind, category=kind, subject=subject, severity=1, summary=summary[:200], details=details)
    effects: tuple[Effect, ...] = (opened,)
    contact = context.text("contact")
    if contact.startswith("+") and contact != context.customer.phone:
        effects += (UpdateCustomer(phone=contact),)
    answered_within = timedelta(hours=context.assistant.hours.first_answer_h)
    args = {
        "number": number,
        "order_number": context.text("order_number"),
        "item": context.thing("item"),
        "answer_by": context.time(context.assistant.calendar.add(context.turn.now, answered_within)),
        "store": context.thing("store"),
        "contact": contact_in_words(context),
    }
    return ActionResult(replies=(Reply(f"utter_{kind}_opened", args),), effects=effects, slots={"case_number": number})
