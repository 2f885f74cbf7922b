"""A booked time moved or cancelled by the customer. What the first words say of it is not asked again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from bot.actions.appointments import appointment_id
from bot.actions.base import ActionContext, ActionResult
from bot.actions.first_words import first_words, named_in, new_time_in, service_in, time_in
from bot.actions.sites import say_slot
from bot.business_time import zone
from bot.service.day_words import day_ahead
from bot.service.sites import name_of
from bot.service_types import Appointment, CancelAppointment
from bot.types import Reply, ReplyButton


def begin(context: ActionContext) -> ActionResult:
    """`appointment_id` is the one meant, where that is clear; `appointment_step` is "none" where there is none.

    A new time in the first words is the wish to move it there: `appointment_slot` holds the words.
    """
    booked = context.customer.appointments
    if not booked:
        return ActionResult(slots={"appointment_step": "none"}, replies=(Reply("utter_appointment_no_booked"),))
    words = first_words(context)
    wish = context.text("appointment_wish")
    named = wish or _wish_in(context, words)
    new_time, before = (None, words) if named == "cancel" else new_time_in(context, words)
    meant = [item for item in booked if _is_named(context, item, before)]
    if named == "move" and new_time is None and not any(_is_on_day(context, item, words) for item in booked):
        new_time = time_in(context, words)
    return ActionResult(
        slots={
            "appointment_step": None,
            "appointment_id": context.text("appointment_id") if _chosen(context) else _only(meant or booked),
            "appointment_slot": new_time,
            "appointment_wish": "move" if new_time else wish or None,
        }
    )


def _only(items: Sequence[Appointment]) -> str | None:
    return str(items[0].id) if len(items) == 1 else None


def _is_named(context: ActionContext, item: Appointment, words: str) -> bool:
    """Whether these words name its day or what it is for."""
    return _is_on_day(context, item, words) or service_in(context, words) == item.service


def _is_on_day(context: ActionContext, item: Appointment, words: str) -> bool:
    return day_ahead(words, context.today) == _day_of(context, item)


def _day_of(context: ActionContext, item: Appointment) -> date:
    return item.starts_at.astimezone(zone(context.assistant.hours.timezone)).date()


def _wish_in(context: ActionContext, words: str) -> str | None:
    wishes = context.assistant.words.get("appointment_wish_words", {})
    return named_in({wish: "|".join(said.values()).split("|") for wish, said in wishes.items()}, words)


def ask_which(context: ActionContext) -> ActionResult:
    """Asks which appointment is meant."""
    buttons = tuple(
        ReplyButton(_title(context, item)[:40], f"slot:appointment_id={item.id}")
        for item in context.customer.appointments
    )
    return ActionResult(replies=(Reply("utter_ask_appointment_id", buttons=buttons),))


def ask_wish(context: ActionContext) -> ActionResult:
    """Asks what is to be done with it, naming it."""
    chosen = _chosen(context)
    buttons = tuple(
        ReplyButton(context.word("appointment_wish", wish), f"slot:appointment_wish={wish}")
        for wish in ("move", "cancel", "keep")
    )
    args = {"appointment": _title(context, chosen) if chosen else ""}
    return ActionResult(replies=(Reply("utter_ask_appointment_wish", args, buttons=buttons),))


def settle(context: ActionContext) -> ActionResult:
    """Cancelled where that was the wish; where it is to be moved, the booking knows what and where."""
    chosen = _chosen(context)
    if chosen is None:
        return ActionResult(slots={"appointment_wish": "keep"}, replies=(Reply("utter_appointment_no_booked"),))
    args = {"appointment": _title(context, chosen)}
    match context.text("appointment_wish"):
        case "cancel":
            effect = CancelAppointment(chosen.id, reason="customer")
            return ActionResult(replies=(Reply("utter_appointment_cancelled", args),), effects=(effect,))
        case "move":
            return ActionResult(
                slots={
                    "appointment_slot": _on_its_day(context, chosen) or None,
                    "appointment_moves": str(chosen.id),
                    "appointment_service": chosen.service,
                    "appointment_site": chosen.site,
                    "appointment_case": chosen.case_number or None,
                }
            )
    return ActionResult(replies=(Reply("utter_appointment_kept", args),))


def _on_its_day(context: ActionContext, chosen: Appointment) -> str:
    """The words about the new time; without a day they are meant for the day of the appointment."""
    words = context.text("appointment_slot")
    if not words or day_ahead(words, context.today) is not None:
        return words
    return f"{_day_of(context, chosen).isoformat()} {words}"


def _chosen(context: ActionContext) -> Appointment | None:
    wanted = appointment_id(context.text("appointment_id"))
    return next((item for item in context.customer.appointments if item.id == wanted), None)


def _title(context: ActionContext, item: Appointment) -> str:
    service = context.assistant.service.appointments.services.get(item.service)
    title = service.title(context.language) if service else item.service
    when = say_slot(item.starts_at, context.assistant.hours.timezone, context.language)
    return f"{when} · {title} · {name_of(item.site_names, context.language, item.site)}"
