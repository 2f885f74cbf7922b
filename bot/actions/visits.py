"""What the customer did with us lately: the last visits, told from the record."""

from __future__ import annotations

from bot.actions.base import ActionContext, ActionResult
from bot.service_types import Visit
from bot.types import Reply
from bot.values import say_money

SHOWN = 3


def show(context: ActionContext) -> ActionResult:
    """Tells the last visits, the newest first; says so when there are none we know of."""
    visits = context.customer.visits[:SHOWN]
    if not visits:
        return ActionResult(replies=(Reply("utter_no_visits"),))
    return ActionResult(replies=(Reply("utter_visits"), *(_told(context, visit) for visit in visits)))


def _told(context: ActionContext, visit: Visit) -> Reply:
    args = {
        "day": context.day(visit.at.astimezone(context.zone).date()),
        "place": place(context, visit),
        "items": visit.items or context.word("visit_kind", visit.kind),
        "amount": say_money(visit.amount_minor, visit.currency, context.language) if visit.amount_minor else "",
    }
    return Reply("utter_visit" if args["amount"] else "utter_visit_without_amount", args)


def place(context: ActionContext, visit: Visit) -> str:
    """The name of the site in the customer's language; "" when it was none of ours."""
    return visit.site_names.get(context.language) or next(iter(visit.site_names.values()), visit.site)
