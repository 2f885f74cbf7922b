"""Who asks: an order or case of somebody else is shown for a one-time code, sent to a contact on its record.

Every word here is the same for a number there is and for one there is not: what is sent, and whether anything is, is
decided after the turn (crm_sync/lookup_codes.py), and what was never sent can only be mistyped.
"""

from __future__ import annotations

from typing import Final

from bot.actions.base import ActionContext, ActionResult
from bot.actions.cases import shown_case
from bot.actions.lookups import lookup_need, view_of
from bot.actions.orders import shown_order
from bot.service_types import LookupKind, SendCode, TryCode
from bot.types import CodeTried, Need, Reply
from bot.values import ONE_TIME_CODE, one_time_code

NEW: Final = "new"  # value of the slot for the wish to have another code
_KINDS: Final[dict[str, LookupKind]] = {"order": "order", "case": "case"}


def send_code(context: ActionContext) -> ActionResult:
    """A code is on its way, if there is anything to send it for; `code_state` says "sent" or "refused"."""
    kind, number = _KINDS.get(context.text("lookup_kind")), context.text("lookup_number")
    if kind is None:  # begun by itself, about nothing
        return ActionResult(slots={"code_state": "refused"}, replies=(Reply("utter_code_refused"),))
    need = lookup_need(context, kind, number)
    if need not in context.turn.facts:
        return ActionResult(needs=(need,))
    view = view_of(context, need)
    if not view.can_send or view.codes_left < 1:
        return ActionResult(slots={"code_state": "refused"}, replies=(Reply("utter_code_refused"),))
    return ActionResult(
        slots={"code_state": "sent", ONE_TIME_CODE: None},
        replies=(Reply("utter_code_sent", {"number": number}),),
        effects=(SendCode(kind, number, context.language),),
    )


def check_code(context: ActionContext) -> ActionResult:
    """What was typed counts; `code_state`: right, wrong (again), over (another code?), new, unread (no code at all)."""
    said = context.text(ONE_TIME_CODE)
    if said == NEW:
        return ActionResult(slots={"code_state": "new", ONE_TIME_CODE: None})
    kind, number = _KINDS.get(context.text("lookup_kind")), context.text("lookup_number")
    typed = one_time_code(said)
    if typed is None or kind is None:
        return ActionResult(slots={"code_state": "unread", ONE_TIME_CODE: None}, replies=(Reply("utter_code_unread"),))
    need = Need("code", f"{context.turn.conversation.id}|{kind}|{number}|{typed}")
    if need not in context.turn.facts:
        return ActionResult(needs=(need,))
    found = context.turn.facts[need]
    tried = found if isinstance(found, CodeTried) else CodeTried("over")
    effects = (TryCode(kind, number, is_right=tried.outcome == "right"),)
    slots = {"code_state": tried.outcome, ONE_TIME_CODE: None}
    match tried.outcome:
        case "right":
            replies = (Reply("utter_code_right"), *_shown(context, tried))
        case "wrong":
            replies = (Reply("utter_code_wrong", {"left": str(tried.left)}),)
        case _:
            replies = (Reply("utter_code_over"),)
    return ActionResult(slots=slots, replies=replies, effects=effects)


def _shown(context: ActionContext, tried: CodeTried) -> tuple[Reply, ...]:
    if tried.order is not None:
        return shown_order(context, tried.order)
    return shown_case(context, tried.case, tried.news) if tried.case is not None else ()
