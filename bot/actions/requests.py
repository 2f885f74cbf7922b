"""Requests that are no complaint: a meter reading, more time to pay, money back, a danger somebody saw.

Each is a case of its own kind, which is the name of the flow. What the flow asked for is kept with it, the rules of the
business say who takes it and by when, and the customer is told both.
"""

from __future__ import annotations

from bot.actions import subjects
from bot.actions.base import ActionContext, ActionResult
from bot.actions.case_plan import CasePlan, answer_by, plan_case, solution_by, who_takes
from bot.actions.complaint import failed, handoff, recent_files
from bot.actions.complaint_reading import is_description
from bot.flows import SlotValue
from bot.service_types import Asset
from bot.types import Effect, Need, OpenCase, Reply, ReplyButton, UpdateCase

_ABOUT_IT = ("request_asset", "case_number", "credit_class")  # slots that are not what was asked for
TOLD = "request_text"  # the slot that holds what the customer tells in their own words
SUMMARY = 200


def begin(context: ActionContext) -> ActionResult:
    """What the record or the opening words say is not asked: the asset, what happened, the class that decides."""
    slots: dict[str, SlotValue] = {"credit_class": context.customer.credit_class or None}
    assets = _assets(context)
    if not context.text("request_asset") and len(assets) == 1:
        slots["request_asset"] = assets[0].key
    flow = context.assistant.flows.get(context.flow)
    words = context.words.strip()
    if flow and TOLD in flow.slots and not context.text(TOLD) and is_description(words):
        slots[TOLD] = words[:2000]
    return ActionResult(slots=slots)


def ask_asset(context: ActionContext) -> ActionResult:
    """Asks which of the customer's assets it is about, with those on record to choose from."""
    buttons = tuple(
        ReplyButton(_named(context, asset)[:60], f"slot:request_asset={asset.key}") for asset in _assets(context)[:5]
    )
    return ActionResult(replies=(Reply("utter_ask_request_asset", buttons=buttons),))


def open_request(context: ActionContext) -> ActionResult:
    """The request is on record and its number told; an open one of this kind about the same asset takes it up."""
    kind, subject, details = context.flow, context.text("request_asset"), _details(context)
    summary = context.text(TOLD) or "; ".join(details.values())
    for case in context.customer.cases:
        if case.is_open and case.kind == kind and case.subject.casefold() == subject.casefold():
            note = UpdateCase(case.number, note=summary, details=details)
            return ActionResult(replies=(Reply("utter_request_added", {"number": case.number}),), effects=(note,))
    words = " ".join((context.word("case_kind", kind), summary))
    plan = plan_case(context, words, subjects.find(context, subject), subject=subject, kind=kind)
    need = Need("case_number", kind)
    if missing := (*plan.needs, *((need,) if need not in context.turn.facts else ())):
        return ActionResult(needs=missing)
    number = context.turn.facts.get(need)
    if not isinstance(number, str) or not number:
        return failed()
    asset = next((asset for asset in _assets(context) if asset.key == subject), None)
    opened = OpenCase(
        number=number,
        kind=kind,
        category=plan.finding.category,
        subject=subject,
        severity=plan.severity,
        summary=summary[:SUMMARY],
        details=details,
        quality_type=plan.finding.quality_type,
        language=context.language,
        team=plan.team,
        site=plan.site.site.key if plan.site else "",
        distance_m=plan.site.site.distance_m if plan.site else None,
        asset=asset.id if asset else None,
        clocks=plan.clocks,
        policy_version=context.assistant.service.version,
    )
    effects: tuple[Effect, ...] = (opened, *handoff(plan.severity))
    named = _named(context, asset) if asset else subject
    reply = Reply(f"utter_{kind}_opened", _told(context, plan, number, named, details))
    return ActionResult(replies=(reply,), effects=effects, slots={"case_number": number})


def _told(context: ActionContext, plan: CasePlan, number: str, asset: str, details: dict[str, str]) -> dict[str, str]:
    """What the answer may name: the number, who takes it, by when, and what was asked for."""
    done_by = solution_by(plan.clocks)
    return {
        "number": number,
        "asset": asset,
        "who": who_takes(context, plan),
        "answer_by": context.time(answer_by(context, plan.clocks)),
        "done_by": context.time(done_by) if done_by else "",
        **{
            name: context.word(name, value, context.assistant.thing(value, context.language))
            for name, value in details.items()
        },
    }


def _details(context: ActionContext) -> dict[str, str]:
    """What this flow was told, by slot, and the files that belong to it."""
    found = {
        name: str(value)[:2000]
        for name, value in context.slots.items()
        if name in context.own and name not in _ABOUT_IT and isinstance(value, str | float | int) and str(value)
    }
    if files := recent_files(context):
        found["evidence"] = ", ".join(files)
    return found


def _assets(context: ActionContext) -> tuple[Asset, ...]:
    return tuple(asset for asset in context.customer.assets if asset.until is None or asset.until > context.turn.now)


def _named(context: ActionContext, asset: Asset) -> str:
    """The asset as its owner knows it: its name, its number, and where it is."""
    address = str(asset.attributes.get("address", ""))
    label = subjects.asset_label(context, asset)
    return f"{label} ({address})" if address else label
