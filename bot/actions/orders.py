"""Looking up the customer's own orders. A number that is not theirs reveals nothing, not even whether it exists."""

from __future__ import annotations

from bot.actions.base import ActionContext, ActionResult
from bot.actions.lookups import NOT_ASKED, asked_for, lookup_need, offers_code, view_of
from bot.types import Need, Order, Reply, ReplyButton
from bot.values import order_number, order_spellings, same_order

OVER = frozenset({"delivered", "cancelled", "returned", "refunded", "closed", "completed"})
MAX_BUTTONS = 4
_STATUS_REPLIES = {  # by what is known of the day of delivery and of who brings it
    ("", ""): "utter_order_status_plain",
    ("", "carrier"): "utter_order_status_plain_carrier",
    ("", "tracked"): "utter_order_status_plain_tracked",
    ("expected", ""): "utter_order_status_expected",
    ("expected", "carrier"): "utter_order_status_expected_carrier",
    ("expected", "tracked"): "utter_order_status_tracked",
    ("late", ""): "utter_order_late",
    ("late", "carrier"): "utter_order_late_carrier",
    ("late", "tracked"): "utter_order_late_tracked",
}


def is_open(order: Order) -> bool:
    return order.status.strip().lower() not in OVER


def find_order(context: ActionContext, number: str) -> Order | tuple[Need, ...] | None:
    """The customer's order with this number in any spelling, what must be fetched to know, or None: not theirs."""
    for order in context.customer.orders:
        if same_order(order.number, number):
            return order
    needs = tuple(Need("order", spelling) for spelling in order_spellings(number))
    missing = tuple(need for need in needs if need not in context.turn.facts)
    if missing:
        return missing
    found = (context.turn.facts[need] for need in needs)
    return next((order for order in found if isinstance(order, Order)), None)


def order_buttons(context: ActionContext, slot: str, *, open_first: bool = True) -> tuple[ReplyButton, ...]:
    """The customer's latest orders as choices for a slot; the one talked about before comes first."""
    remembered = context.text("order_number")
    orders = sorted(
        context.customer.orders,
        key=lambda order: (not same_order(order.number, remembered), open_first and not is_open(order)),
    )
    return tuple(
        ReplyButton(f"{order.number} {order.items}".strip()[:30], f"slot:{slot}={order.number}"[:60])
        for order in orders[:MAX_BUTTONS]
    )


def status_of(context: ActionContext, order: Order) -> str:
    """The status in the customer's language; the stored word when the assistant has none for it."""
    return context.word("order_status", order.status.strip().lower(), order.status)


def order_status(context: ActionContext) -> ActionResult:
    """Says where the order is; without a number and with exactly one open order, where that one is."""
    number = context.text("order_number")
    if not number:
        running = [order for order in context.customer.orders if is_open(order)]
        if len(running) != 1:
            return ActionResult(slots={"order_found": None})
        number = running[0].number
    found, need = find_order(context, number), lookup_need(context, "order", number)
    if isinstance(found, tuple):
        return ActionResult(needs=(*found, need))
    if found is None:
        return ActionResult(needs=(need,)) if need not in context.turn.facts else _not_theirs(context, number, need)
    replies = [Reply(*_status_reply(context, found))]
    if _is_late(context, found):
        replies.append(Reply("utter_late_offer"))
    return ActionResult(slots={"order_found": True, "order_number": found.number}, replies=tuple(replies))


def _not_theirs(context: ActionContext, number: str, need: Need) -> ActionResult:
    """An order opened here by a code is shown; else, alike for any number, they may prove who they are, or check it."""
    view = view_of(context, need)
    slots = {"order_found": False, "order_number": None, **NOT_ASKED}
    if view.order is not None:
        return ActionResult(slots=slots, replies=shown_order(context, view.order))
    if offers_code(context, view):
        return ActionResult(slots={**slots, **asked_for("order", number)})
    replies = (Reply("utter_order_not_found", {"order_number": number}),)
    return ActionResult(slots=slots, replies=replies)


def shown_order(context: ActionContext, order: Order) -> tuple[Reply, ...]:
    """Where an order is that somebody may see, and no more: nothing is offered to be done with it."""
    return (Reply(*_status_reply(context, order)),)


def _is_late(context: ActionContext, order: Order) -> bool:
    return order.expected_at is not None and is_open(order) and order.expected_at < context.turn.now


def _status_reply(context: ActionContext, order: Order) -> tuple[str, dict[str, str]]:
    args = {"order_number": order.number, "items": order.items[:80], "status": status_of(context, order)}
    if order.expected_at and is_open(order):
        args["expected"] = context.day(order.expected_at.astimezone(context.zone).date())
    carried = ""
    if order.tracking_number:
        args["carrier"] = order.carrier or context.word("order_status", "carrier", "")
        args["tracking_number"] = order.tracking_number
        carried = "tracked"
    elif order.carrier:
        args["carrier"] = order.carrier
        carried = "carrier"
    due = "late" if _is_late(context, order) else "expected" if "expected" in args else ""
    return _STATUS_REPLIES[due, carried], args


def refund_status(context: ActionContext) -> ActionResult:
    """Says how far the return or refund of an order is, from the customer's open cases and orders."""
    for case in context.customer.cases:
        if case.kind in ("return", "exchange") and case.is_open:
            return ActionResult(replies=(Reply("utter_refund_case", {"number": case.number, "status": context.word(
                "case_status", case.status)}),))  # fmt: skip
    return ActionResult(replies=(Reply("utter_refund_time"),))


def ask_order_number(context: ActionContext) -> ActionResult:
    """Asks for the order number, with the customer's own orders to choose from."""
    buttons = order_buttons(context, "order_number")
    return ActionResult(replies=(Reply("utter_ask_order_number", buttons=buttons),))


def check_order(context: ActionContext) -> ActionResult:
    """Looks whether the order is the customer's: `order_found` true or false, with a word when it is not."""
    number = order_number(context.text("order_number")) or context.text("order_number")
    found = find_order(context, number)
    if isinstance(found, tuple):
        return ActionResult(needs=found)
    if found is None:
        return ActionResult(slots={"order_found": False})
    return ActionResult(slots={"order_found": True, "order_number": found.number, "order_items": found.items[:200]})
