"""What customers do with their own cases: ask how one stands, add to it, withdraw it, confirm or contest a solution."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from bot.actions.base import ActionContext, ActionResult
from bot.actions.case_plan import answer_by
from bot.actions.complaint import handoff, recent_files
from bot.actions.complaint_reading import is_description, severity
from bot.actions.lookups import NOT_ASKED, asked_for, lookup_need, offers_code, view_of
from bot.service_types import CLOSED_STATUSES, CaseNews, may_become
from bot.types import Case, Effect, Need, Reply, ReplyButton, UpdateCase
from bot.values import case_number, same_case

SUMMARY = 60  # characters of a case repeated to the customer
NEWS = 300  # characters of what they were told last
MOST_SEVERE = 4
_NEXT = {  # status -> the flows that go on from there
    "waiting_customer": ("complaint_more", "complaint_withdraw"),
    "solved": ("complaint_confirm", "complaint_disagree"),
    "confirmed": ("complaint_disagree",),
    "withdrawn": (),
}


def complaint_status(context: ActionContext) -> ActionResult:
    """Says how the customer's complaint stands: by number, or the only one, or a choice of several."""
    number = context.text("case_number")
    if number:
        found, need = find_case(context, number), lookup_need(context, "case", number)
        if isinstance(found, Need):
            return ActionResult(needs=(found, need))
        if found is None:
            return (
                ActionResult(needs=(need,))
                if need not in context.turn.facts
                else _of_nobody_here(context, number, need)
            )
        return _how_it_stands(context, found, slots={"case_number": None})
    cases = [case for case in context.customer.cases if case.is_open] or list(context.customer.cases[:1])
    if not cases:
        return ActionResult(replies=(Reply("utter_no_cases"),))
    if len(cases) == 1:
        return _how_it_stands(context, cases[0])
    buttons = tuple(ReplyButton(_label(case), _value(context, case)) for case in cases[:5])
    return ActionResult(replies=(Reply("utter_which_case", buttons=buttons),))


def _of_nobody_here(context: ActionContext, number: str, need: Need) -> ActionResult:
    """A case opened here by a code is shown; else, alike for any number, they may prove who they are, or check it."""
    view = view_of(context, need)
    slots: dict[str, Any] = {"case_number": None, **NOT_ASKED}
    if view.case is not None:
        return ActionResult(slots=slots, replies=shown_case(context, view.case, view.news))
    if offers_code(context, view):
        return ActionResult(slots={**slots, **asked_for("case", number)})
    return ActionResult(slots=slots, replies=(Reply("utter_case_not_found", {"number": number}),))


def shown_case(context: ActionContext, case: Case, news: Sequence[CaseNews]) -> tuple[Reply, ...]:
    """How a case stands that somebody may see, and no more: nothing is offered to be done with it."""
    reply = replace(case_reply(context, case), buttons=())
    if not news or "utter_case_news" not in context.assistant.responses:
        return (reply,)
    return (reply, _told(context, news[0]))


def _told(context: ActionContext, news: CaseNews, buttons: tuple[ReplyButton, ...] = ()) -> Reply:
    return Reply("utter_case_news", {"at": context.time(news.at), "words": _short(news.words, NEWS)}, buttons)


def _how_it_stands(context: ActionContext, case: Case, slots: Mapping[str, Any] = MappingProxyType({})) -> ActionResult:
    """Status and promise of the case, and the last thing its customer was told about it."""
    reply = case_reply(context, case)
    if "utter_case_news" not in context.assistant.responses:
        return ActionResult(replies=(reply,), slots=slots)
    need = Need("case_events", case.number)
    if need not in context.turn.facts:
        return ActionResult(needs=(need,))
    news: CaseNews | None = next(iter(context.turn.facts[need] or ()), None)
    if news is None:
        return ActionResult(replies=(reply,), slots=slots)
    replies = (replace(reply, buttons=()), _told(context, news, reply.buttons))
    return ActionResult(replies=replies, slots=slots)


def _short(words: str, most: int) -> str:
    return words if len(words) <= most else words[: most - 1] + "…"


def _label(case: Case) -> str:
    return f"{case.number} {case.summary}"[:30]


def _value(context: ActionContext, case: Case) -> str:
    kind = "intent" if "complaint_status" in context.assistant.intents else "flow"
    return f"{kind}:complaint_status?case_number={case.number}"[:64]


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
        "summary": _short(case.summary, SUMMARY),
    }
    buttons = _next_buttons(context, case)
    if not case.is_open:
        return Reply("utter_case_closed", args, buttons)
    args["answer_by"] = context.time(case.next_update_at) if case.next_update_at else first_answer(context, case)
    if case.status == "solved" and "utter_case_solved" in context.assistant.responses:
        return Reply("utter_case_solved", args, buttons)
    if case.status == "waiting_customer" and "utter_case_asked" in context.assistant.responses:
        return Reply("utter_case_asked", args, buttons)
    is_late = case.next_update_at is not None and case.next_update_at < context.turn.now
    if is_late and "utter_case_late" in context.assistant.responses:
        return Reply("utter_case_late", args, buttons)
    return Reply("utter_case_waiting" if case.status in ("received", "reopened") else "utter_case_open", args, buttons)


def _next_buttons(context: ActionContext, case: Case) -> tuple[ReplyButton, ...]:
    flows = _NEXT.get(case.status, ("complaint_more", "complaint_withdraw"))
    return tuple(
        ReplyButton(context.word("case_button", flow), f"flow:{flow}?case_number={case.number}"[:64])
        for flow in flows
        if flow in context.assistant.flows and context.word("case_button", flow, "")
    )


def first_answer(context: ActionContext, case: Case) -> str:
    within = timedelta(hours=context.assistant.hours.first_answer_h)
    rules = context.assistant.rules_of(case)
    return context.time(rules.calendar_for(case.severity, case.site_calendar).add(case.opened_at, within))


# --- which case is meant ------------------------------------------------------------------------------------------


def pick_to_add(context: ActionContext) -> ActionResult:
    """`case_number` is the open case meant; empty where the customer has to choose."""
    return _pick(context, [case for case in context.customer.cases if case.is_open])


def pick_to_withdraw(context: ActionContext) -> ActionResult:
    """As `pick_to_add`, among those that can still be withdrawn."""
    return _pick(context, _that_may_become(context, "withdrawn"))


def pick_to_confirm(context: ActionContext) -> ActionResult:
    """As `pick_to_add`, among those that were solved."""
    return _pick(context, _that_may_become(context, "confirmed"))


def pick_to_contest(context: ActionContext) -> ActionResult:
    """As `pick_to_add`, among those whose solution can be contested: those just solved, else the latest one."""
    found = _that_may_become(context, "reopened")
    return _pick(context, [case for case in found if case.status == "solved"] or found[:1])


def _that_may_become(context: ActionContext, status: str) -> list[Case]:
    return [case for case in context.customer.cases if may_become(case.status, status, "customer")]


def _pick(context: ActionContext, fitting: Collection[Case]) -> ActionResult:
    number = context.text("case_number") or case_number(context.words) or ""
    if number:
        found = find_case(context, number)
        if isinstance(found, Need):
            return ActionResult(needs=(found,))
        if found is None:
            replies = (Reply("utter_case_not_found", {"number": number}),)
            return ActionResult(slots={"case_number": None, "has_cases": False}, replies=replies)
        return ActionResult(slots={"case_number": found.number, "has_cases": True})
    if not fitting:
        return ActionResult(slots={"has_cases": False}, replies=(Reply("utter_no_such_case"),))
    only = next(iter(fitting)).number if len(fitting) == 1 else None
    return ActionResult(slots={"case_number": only, "has_cases": True})


def ask_case_number(context: ActionContext) -> ActionResult:
    """Asks which case is meant, with the customer's latest ones to choose from."""
    buttons = tuple(
        ReplyButton(_label(case), f"slot:case_number={case.number}"[:60]) for case in context.customer.cases[:5]
    )
    return ActionResult(replies=(Reply("utter_which_case", buttons=buttons),))


# --- what is done with it -----------------------------------------------------------------------------------------


def begin_more(context: ActionContext) -> ActionResult:
    """What is already said is not asked for again."""
    words = context.words.strip()
    if context.text("more_words") or not is_description(words):
        return ActionResult()
    return ActionResult(slots={"more_words": words[:2000]})


def add_more(context: ActionContext) -> ActionResult:
    """The words and files are in the case; who had been waiting for them can go on."""
    case = _chosen(context)
    if not isinstance(case, Case):
        return _not_theirs(context, case)
    words = context.text("more_words")
    rules = context.assistant.rules_of(case)
    level = severity(words, anger=rules.handoff.anger)
    details = {"evidence_more": ", ".join(files)} if (files := recent_files(context)) else {}
    rises = level > case.severity
    effects: tuple[Effect, ...] = (
        UpdateCase(
            case.number,
            note=words,
            details=details,
            severity=level,
            status="in_progress" if case.status == "waiting_customer" else "",
            clocks=rules.clocks_for(level, context.turn.now, site_calendar=case.site_calendar) if rises else (),
        ),
        *(handoff(level) if rises else ()),
    )
    return ActionResult(replies=(Reply("utter_case_more_added", {"number": case.number}),), effects=effects)


def withdraw(context: ActionContext) -> ActionResult:
    """The case is withdrawn, when the customer is sure."""
    case = _chosen(context)
    if not isinstance(case, Case):
        return _not_theirs(context, case)
    if context.slots.get("is_sure") is not True:
        return ActionResult(replies=(Reply("utter_withdraw_kept", {"number": case.number}),))
    if not may_become(case.status, "withdrawn", "customer"):
        return ActionResult(replies=(case_reply(context, case),))
    effect = UpdateCase(case.number, status="withdrawn")
    return ActionResult(replies=(Reply("utter_withdrawn", {"number": case.number}),), effects=(effect,))


def contest(context: ActionContext) -> ActionResult:
    """The case is open again and weighs more than before, with promises of its own."""
    case = _chosen(context)
    if not isinstance(case, Case):
        return _not_theirs(context, case)
    words = context.text("disagree_reason")
    if not may_become(case.status, "reopened", "customer"):
        effect = UpdateCase(case.number, note=words)
        return ActionResult(replies=(Reply("utter_case_more_added", {"number": case.number}),), effects=(effect,))
    effects, by = reopening(context, case, words)
    args = {"number": case.number, "answer_by": context.time(by)}
    return ActionResult(replies=(Reply("utter_reopened", args),), effects=effects)


def reopening(context: ActionContext, case: Case, words: str) -> tuple[tuple[Effect, ...], datetime]:
    """What reopens a case one severity higher, and by when the customer hears from us then."""
    policy = context.assistant.rules_of(case)
    level = min(MOST_SEVERE, max(case.severity + 1, severity(words, anger=policy.handoff.anger)))
    clocks = policy.clocks_for(level, context.turn.now, site_calendar=case.site_calendar)
    back = policy.routing.reopened_to_site
    effect = UpdateCase(case.number, note=words, severity=level, status="reopened", clocks=clocks, back_to_site=back)
    return (effect, *handoff(level)), answer_by(context, clocks)


def confirm(context: ActionContext) -> ActionResult:
    """The customer says it is solved; the question how satisfied they are follows from it."""
    case = _chosen(context)
    if not isinstance(case, Case):
        return _not_theirs(context, case)
    if case.status in CLOSED_STATUSES:
        return ActionResult(replies=(case_reply(context, case),), slots={"survey_reference": None})
    if not may_become(case.status, "confirmed", "customer"):
        return ActionResult(replies=(case_reply(context, case),), slots={"survey_reference": None})
    effect = UpdateCase(case.number, status="confirmed")
    slots = {"survey_reference": survey_reference(case), "case_number": case.number}
    return ActionResult(replies=(Reply("utter_confirmed", {"number": case.number}),), effects=(effect,), slots=slots)


def survey_reference(case: Case) -> str:
    """One question about satisfaction per solution."""
    return f"case:{case.number}:{case.reopened}"


def _chosen(context: ActionContext) -> Case | Need | None:
    return find_case(context, context.text("case_number"))


def _not_theirs(context: ActionContext, found: Need | None) -> ActionResult:
    if found is not None:
        return ActionResult(needs=(found,))
    return ActionResult(replies=(Reply("utter_case_not_found", {"number": context.text("case_number")}),))
