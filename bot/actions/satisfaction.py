"""How satisfied customers are: the score and its reason are kept, and a low one has consequences."""

from __future__ import annotations

from datetime import timedelta

from bot.actions.base import ActionContext, ActionResult
from bot.actions.cases import find_case, reopening
from bot.service.policy import ServicePolicy
from bot.service_types import OpenSurvey, RecordScore
from bot.types import Case, CreateTask, Effect, Need, Reply, UpdateCase

DETRACTOR_TO = 6  # Net Promoter Score: 0 to 6 detract, 9 and 10 promote


def rate(context: ActionContext) -> ActionResult:
    """The score of 1 to 5 is kept; by the rules it reopens the case, asks somebody to find out why, or settles it."""
    reference, score = _reference(context, "csat"), _score(context, "rating", 1, 5)
    if not reference or score is None:
        return ActionResult(replies=(Reply("utter_survey_over"),))
    reason = _reason(context)
    number = _case_of(context, reference)
    found = find_case(context, number) if number else None
    if isinstance(found, Need):
        return ActionResult(needs=(found,))
    effects: tuple[Effect, ...] = (RecordScore(reference, score, reason),)
    outcome = _rules(context, found).cases.satisfaction.outcome(score)
    if outcome == "reopen" and isinstance(found, Case) and found.status in ("solved", "confirmed"):
        more, by = reopening(context, found, reason)
        args = {"number": found.number, "answer_by": context.time(by)}
        return ActionResult(replies=(Reply("utter_rating_reopened", args),), effects=effects + more)
    if outcome:
        task = _follow_up(context, score, reason, found)
        args = {"due": context.time(task.due_at) if task.due_at else ""}
        return ActionResult(replies=(Reply("utter_rating_low", args),), effects=(*effects, task))
    if isinstance(found, Case) and found.status == "solved":
        effects += (UpdateCase(found.number, status="confirmed"),)
    return ActionResult(replies=(Reply("utter_rating_thanks"),), effects=effects)


def recommend(context: ActionContext) -> ActionResult:
    """The score of 0 to 10 is kept; who would warn others off is asked why by a person."""
    reference, score = _reference(context, "nps"), _score(context, "nps_score", 0, 10)
    if not reference or score is None:
        return ActionResult(replies=(Reply("utter_survey_over"),))
    reason = _reason(context)
    effects: tuple[Effect, ...] = (RecordScore(reference, score, reason),)
    if score > DETRACTOR_TO:
        return ActionResult(replies=(Reply("utter_rating_thanks"),), effects=effects)
    task = _follow_up(context, score, reason, None)
    args = {"due": context.time(task.due_at) if task.due_at else ""}
    return ActionResult(replies=(Reply("utter_rating_low", args),), effects=(*effects, task))


def _follow_up(context: ActionContext, score: int, reason: str, case: Case | Need | None) -> CreateTask:
    policy = _rules(context, case)
    clocks = policy.clocks_for(2, context.turn.now, kinds=("followup",))
    due = clocks[0].due_at if clocks else context.turn.now + timedelta(hours=policy.promises.followup_h)
    known = case if isinstance(case, Case) else None
    return CreateTask(
        "followup",
        f"score {score}: {reason}"[:200] if reason else f"score {score}",
        due,
        {"score": str(score), "reason": reason[:500]},
        assignee=(known.owner or known.team) if known else "",
        rule="low_score",
        suggestion=context.word("followup", "suggestion", ""),
        case_number=known.number if known else "",
        clocks=clocks,
    )


def _rules(context: ActionContext, case: Case | Need | None) -> ServicePolicy:
    """Those of the case that was asked about; without one, of whoever asks."""
    return context.assistant.rules_of(case) if isinstance(case, Case) else context.assistant.service


def _reference(context: ActionContext, kind: str) -> str:
    """Of the question that is answered: the one that began the flow, else the open one of this kind."""
    asked: tuple[OpenSurvey, ...] = context.customer.surveys
    return context.text("survey_reference") or next((one.reference for one in asked if one.kind == kind), "")


def _case_of(context: ActionContext, reference: str) -> str:
    known = next((one.case_number for one in context.customer.surveys if one.reference == reference), "")
    return known or context.text("case_number") or (reference.split(":")[1] if reference.startswith("case:") else "")


def _reason(context: ActionContext) -> str:
    """Why, in the customer's words; "" where they would rather not say."""
    return context.text("rating_reason").strip(" -")


def _score(context: ActionContext, slot: str, least: int, most: int) -> int | None:
    words = context.text(slot).strip().removesuffix(".0")
    return int(words) if words.isdigit() and least <= int(words) <= most else None
