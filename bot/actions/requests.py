"""Requests that are no complaint: a meter reading, more time to pay, money back. Each is a case of its own kind.

The kind is the name of the flow. What the flow asked for is kept with the case, and what happens next has a time.
"""

from __future__ import annotations

from bot.actions.base import ActionContext, ActionResult
from bot.actions.complaint import failed, recent_files
from bot.flows import SlotValue
from bot.service.routing import Matter
from bot.service_types import Asset
from bot.types import Effect, Need, OpenCase, Reply, ReplyButton, UpdateCase

_OWN_MATTER = ("request_asset", "case_number", "credit_class")  # slots that are not what was asked for
SUMMARY = 200


def begin(context: ActionContext) -> ActionResult:
    """What the record says is not asked: the asset where there is one only, and the class that decides what is due."""
    slots: dict[str, SlotValue] = {"credit_class": context.customer.credit_class or None}
    assets = _assets(context)
    if not context.text("request_asset") and len(assets) == 1:
        slots["request_asset"] = assets[0].key
    return ActionResult(slots=slots)


def ask_asset(context: ActionContext) -> ActionResult:
    """Asks which of the customer's assets it is about, with those on record to choose from."""
    buttons = tuple(
        ReplyButton(_named(asset)[:60], f"slot:request_asset={asset.key}") for asset in _assets(context)[:5]
    )
    return ActionResult(replies=(Reply("utter_ask_request_asset", buttons=buttons),))


def open_request(context: ActionContext) -> ActionResult:
    """The request is on record and its number told; an open one of this kind about the same asset takes it up."""
    kind = context.flow
    subject = context.text("request_asset")
    details = _details(context)
    summary = "; ".join(details.values())[:SUMMARY]
    for case in context.customer.cases:
        if case.is_open and case.kind == kind and case.subject.casefold() == subject.casefold():
            note = UpdateCase(case.number, note=summary, details=details)
            return ActionResult(replies=(Reply("utter_request_added", {"number": case.number}),), effects=(note,))
    need = Need("case_number", kind)
    number = context.turn.facts.get(need)
    if not isinstance(number, str) or not number:
        return ActionResult(needs=(need,)) if need not in context.turn.facts else failed()
    policy = context.assistant.service
    clocks = policy.clocks_for(1, context.turn.now)
    route = policy.routing.route(
        Matter(category=kind, language=context.language, credit_class=context.customer.credit_class)
    )
    asset = next((asset for asset in _assets(context) if asset.key == subject), None)
    opened = OpenCase(
        number=number,
        kind=kind,
        category=kind,
        subject=subject,
        severity=1,
        summary=summary,
        details=details,
        language=context.language,
        team=route.team,
        asset=asset.id if asset else None,
        clocks=clocks,
        policy_version=policy.version,
    )
    times = {clock.kind: context.time(clock.due_at) for clock in clocks}
    args = {
        "number": number,
        "asset": _named(asset) if asset else subject,
        "answer_by": times.get("first_response", ""),
        "done_by": times.get("solution", ""),
        **{name: context.word(name, value) for name, value in details.items()},
    }
    effects: tuple[Effect, ...] = (opened,)
    return ActionResult(replies=(Reply(f"utter_{kind}_opened", args),), effects=effects, slots={"case_number": number})


def _details(context: ActionContext) -> dict[str, str]:
    """What this flow was told, by slot, and the files that belong to it."""
    found = {
        name: str(value)[:2000]
        for name, value in context.slots.items()
        if name in context.own and name not in _OWN_MATTER and isinstance(value, str | float | int) and str(value)
    }
    if files := recent_files(context):
        found["evidence"] = ", ".join(files)
    return found


def _assets(context: ActionContext) -> tuple[Asset, ...]:
    return tuple(asset for asset in context.customer.assets if asset.until is None or asset.until > context.turn.now)


def _named(asset: Asset) -> str:
    """The asset as its owner knows it: its name, its number, and where it is."""
    address = str(asset.attributes.get("address", ""))
    return " ".join(part for part in (asset.name, asset.key, f"({address})" if address else "") if part)
