"""A plan for paying later that the rules let us agree to at once: told with its days, and written down."""

from __future__ import annotations

from bot.actions.base import ActionContext, ActionResult
from bot.service_types import AgreePayPlan, Instalment
from bot.types import Reply
from bot.values import say_money


def agree(context: ActionContext) -> ActionResult:
    """What the customer owes for it is due in instalments from now on; `plan_agreed` says whether there was a plan.

    Not where the rules leave it to a colleague, nor where nothing unpaid is on record.
    """
    rules = context.assistant.service.topics.plans
    plan, subject = rules.plans.get(context.text("payment_plan")), context.text("request_asset")
    if plan is None or context.customer.credit_class not in rules.grant:
        return ActionResult(slots={"plan_agreed": False})
    owed = [due for due in context.customer.dues if due.kind != "instalment" and due.asset_key in ("", subject)]
    parts = {due.key: plan.instalments(due.amount_minor, due.due_on, context.today) for due in owed}
    parts = {key: found for key, found in parts.items() if found}
    if not parts:
        return ActionResult(slots={"plan_agreed": False})
    lines = [_line(context, part, due.currency) for due in owed if due.key in parts for part in parts[due.key]]
    effect = AgreePayPlan(parts, context.text("payment_plan"), context.text("case_number"))
    reply = Reply("utter_plan_agreed", {"lines": "\n".join(lines)})
    return ActionResult(slots={"plan_agreed": True}, replies=(reply,), effects=(effect,))


def _line(context: ActionContext, part: Instalment, currency: str) -> str:
    day = context.day(type(context.today).fromisoformat(part.due_on))
    due = context.word("bill", "due").replace("{}", day)
    return f"· {say_money(part.amount_minor, currency, context.language)} · {due}"
