"""Complaints: taking one up, and adding to an open one. What is known is never asked, what was heard is said back."""

from __future__ import annotations

from datetime import timedelta

from bot.actions import subjects
from bot.actions.base import ActionContext, ActionResult
from bot.actions.case_plan import CasePlan, answer_by, plan_case, solution_by, who_takes
from bot.actions.complaint_reading import is_dangerous, is_description, severity
from bot.actions.subjects import Candidate
from bot.flows import SlotValue
from bot.service.categories import DANGER
from bot.service.policy import ServicePolicy
from bot.service.sites import name_of
from bot.types import (
    Case,
    Effect,
    Need,
    OpenCase,
    Reply,
    ReplyButton,
    RequestHandoff,
    UpdateCase,
    UpdateCustomer,
)
from bot.values import order_number

MEDIA_MINUTES = 30  # pictures sent this shortly before or during the complaint belong to it
STORY = 80  # characters of the story said back
URGENT = 3  # from this severity on a person takes over
_DETAILS = ("what_happened", "order_number", "product", "store", "since", "wish", "contact", "place")


def begin(context: ActionContext) -> ActionResult:
    """Says sorry and takes from the opening words what they already say, so that nothing known is asked."""
    replies: tuple[Reply, ...] = ()
    slots: dict[str, SlotValue] = {}
    words = context.message_words if is_description(context.message_words) else context.words
    if not context.text("what_happened") and is_description(words):
        slots["what_happened"] = words.strip()[:2000]
        replies = (Reply("utter_complaint_sorry"),)  # without a story yet, the question for it says so itself
    if not context.text("subject"):
        slots["subject"] = subject_of(context) or None
    if not context.text("contact") and context.customer.phone:
        slots["contact"] = context.customer.phone
    return ActionResult(slots={name: value for name, value in slots.items() if value}, replies=replies)


def subject_of(context: ActionContext) -> str:
    """The order, product or store named in this message; "" when none is."""
    for kind in ("order_number", "product", "store"):
        for entity in reversed(context.entities):
            if entity.name == kind:
                return normal_subject(entity.value or entity.text)
    return order_number(context.words) or ""


def normal_subject(words: str) -> str:
    """One spelling per subject, so that the same complaint is recognised: numbers bare, words in lower case."""
    number = order_number(words)
    return number.removeprefix("SO-") if number else " ".join(words.casefold().split())[:120]


def about(context: ActionContext) -> ActionResult:
    """Looks in the record what it is about: `subject` when it is named or going on now, else `subject_guess`."""
    story = context.text("what_happened")
    if (known := subjects.named(context, story)) is not None:
        return ActionResult(slots={"subject": known.key})  # the visit itself says more than the place named with it
    if context.text("subject"):
        return ActionResult()
    if (running := subjects.current(context)) is not None:
        return ActionResult(slots={"subject": running.key})
    likely = subjects.guess(context, category_of(context, story))
    return ActionResult(slots={"subject_guess": likely.key if likely else None})


def ask_subject(context: ActionContext) -> ActionResult:
    """Asks what it is about: whether it is the likeliest thing in the record, or which one; all can be chosen."""
    offered = subjects.offered(context, category_of(context, context.text("what_happened")))
    likely = subjects.find(context, context.text("subject_guess")) if context.text("subject_guess") else None
    buttons = tuple(
        ReplyButton(
            context.word("button", "yes_that", one.label) if one == likely else one.label[:30],
            f"slot:subject={one.key}"[:60],
        )
        for one in sorted(offered, key=lambda one: one != likely)
    )
    if buttons:
        buttons = (*buttons, ReplyButton(context.word("button", "other_subject"), "slot:subject=other"))
    if likely:
        reply = Reply("utter_ask_subject_guess", {"guess": likely.label}, buttons)
    else:
        reply = Reply("utter_ask_subject", buttons=buttons)
    return ActionResult(replies=(reply,))


def match(context: ActionContext) -> ActionResult:
    """Looks whether the customer has an open complaint about the same thing: `matched_case` is its number or empty."""
    subject = settled_subject(context)
    story = context.text("what_happened")
    finding = context.assistant.service.cases.find(story, is_danger=is_dangerous(story))
    found = open_complaint(context, story, subject)
    slots: dict[str, SlotValue] = {"matched_case": found.number if found else None, "subject": subject}
    if finding.severity == DANGER and not context.text("wish"):
        slots["wish"] = "other"  # in danger nobody is asked what they would like
    return ActionResult(slots=slots)


def settled_subject(context: ActionContext) -> str:
    """What it is about after the question: a yes means what was guessed, words that name something mean that."""
    said = context.text("subject")
    if said == subjects.YES:
        return context.text("subject_guess") or subjects.OTHER
    if said == subjects.NO:
        return subjects.OTHER
    known = subjects.find(context, said) or subjects.named(context, said)
    return known.key if known else normal_subject(said)


def category_of(context: ActionContext, words: str) -> str:
    """What the words are about, by the categories of the business."""
    return _category(context.assistant.service, words)


def open_complaint(context: ActionContext, story: str, subject: str) -> Case | None:
    """The open one that this story is about, by its category in the rules that hold for each, and its subject."""
    for case in context.customer.cases:
        if case.kind != "complaint" or not case.is_open:
            continue
        if case.subject.casefold() == subject and subject != "other":
            return case
        if subject == case.subject and case.category == _category(context.assistant.rules_of(case), story):
            return case
    return None


def _category(rules: ServicePolicy, words: str) -> str:
    return rules.cases.find(words, is_danger=is_dangerous(words)).category


def add_to_case(context: ActionContext) -> ActionResult:
    """Adds what was said to the open complaint, and says so with its number."""
    number, words = context.text("matched_case"), context.text("what_happened")
    found = next((case for case in context.customer.cases if case.number == number), None)
    policy = context.assistant.rules_of(found) if found else context.assistant.service
    level = severity(words, context.customer.cases, context.turn.now, anger=policy.handoff.anger)
    clocks = policy.clocks_for(level, context.turn.now, site_calendar=found.site_calendar if found else "")
    effects: tuple[Effect, ...] = (
        UpdateCase(number, note=words, details=details_of(context), severity=level, clocks=clocks),
    )
    effects += handoff(level)
    template = "utter_complaint_added_urgent" if level >= URGENT else "utter_complaint_added"
    return ActionResult(replies=(Reply(template, {"number": number}),), effects=effects)


def open_case(context: ActionContext) -> ActionResult:
    """Opens the complaint and tells its number, what was understood, who goes on with it, and by when they answer."""
    words, subject = context.text("what_happened"), context.text("subject")
    thing = subjects.find(context, subject)
    plan = plan_case(context, words, thing, subject=subject)
    need = Need("case_number", "complaint")
    if missing := (*plan.needs, *((need,) if need not in context.turn.facts else ())):
        return ActionResult(needs=missing)
    number = context.turn.facts.get(need)
    if not isinstance(number, str) or not number:
        return failed()
    opened = OpenCase(
        number=number,
        kind="complaint",
        category=plan.finding.category,
        subject=subject,
        severity=plan.severity,
        summary=words[:200],
        details=details_of(context),
        quality_type=plan.finding.quality_type,
        wish=context.text("wish"),
        language=context.language,
        team=plan.team,
        site=plan.site.site.key if plan.site else "",
        distance_m=plan.site.site.distance_m if plan.site else None,
        asset=thing.asset_id if thing else None,
        value_minor=thing.value_minor if thing else None,
        currency=thing.currency if thing else "",
        clocks=plan.clocks,
        policy_version=context.assistant.service.version,
    )
    effects: tuple[Effect, ...] = (opened,)
    contact = context.text("contact")
    if contact.startswith("+") and contact != context.customer.phone:
        effects += (UpdateCustomer(phone=contact),)
    reply = Reply(opened_template(plan), opened_args(context, plan, number, thing), case_buttons(context, number))
    return ActionResult(replies=(reply,), effects=effects + handoff(plan.severity), slots={"case_number": number})


def opened_template(plan: CasePlan) -> str:
    """How the number is told: danger before everything, then urgency, then who goes on with it."""
    if plan.severity == 4:
        return "utter_complaint_opened_danger"
    if plan.severity >= URGENT:
        return "utter_complaint_opened_urgent"
    return "utter_complaint_opened_site" if plan.site else "utter_complaint_opened"


def opened_args(context: ActionContext, plan: CasePlan, number: str, thing: Candidate | None) -> dict[str, str]:
    """What was understood, and what happens next and by when."""
    tree = context.assistant.service.cases.categories
    finding = plan.finding
    named = tree.name(finding.category, finding.quality_type, context.language)
    story = context.text("what_happened")
    solved_by = solution_by(plan.clocks)
    return {
        "number": number,
        "category": context.word("complaint_category", finding.category, named),
        "story": story if len(story) <= STORY else story[: STORY - 1] + "…",
        "subject": thing.label if thing else subject_in_words(context),
        "wish": context.word("wish", context.text("wish")),
        "answer_by": context.time(answer_by(context, plan.clocks)),
        "solved_by": context.time(solved_by) if solved_by else "",
        "who": who_takes(context, plan),
        "site": name_of(plan.site.site.names, context.language) if plan.site else "",
        "contact": contact_in_words(context),
    }


def case_buttons(context: ActionContext, number: str) -> tuple[ReplyButton, ...]:
    """What can be done with the case from here, where the assistant has the flows for it."""
    return tuple(
        ReplyButton(context.word("case_button", flow), f"flow:{flow}?case_number={number}"[:64])
        for flow in ("complaint_more", "complaint_status")
        if flow in context.assistant.flows and context.word("case_button", flow, "")
    )


def handoff(level: int) -> tuple[Effect, ...]:
    return (RequestHandoff(reason="complaint", urgency=level),) if level >= URGENT else ()


def failed() -> ActionResult:
    return ActionResult(replies=(Reply("utter_failure"),))


def details_of(context: ActionContext) -> dict[str, str]:
    """What the case keeps: the answers given, and the files that belong to it."""
    found = {name: context.text(name)[:2000] for name in _DETAILS if name in context.own and context.text(name)}
    if context.text("subject").isdigit():
        found["order_number"] = context.text("subject")
    files = recent_files(context)
    if files:
        found["evidence"] = ", ".join(files)
    return found


def recent_files(context: ActionContext) -> list[str]:
    oldest = (context.turn.now - timedelta(minutes=MEDIA_MINUTES)).isoformat()
    return [
        f"{item.get('kind', '')}:{item.get('file_id', '')}" + (f" ({item['caption']})" if item.get("caption") else "")
        for item in context.media
        if item.get("at", "") >= oldest
    ]


def subject_in_words(context: ActionContext) -> str:
    subject = context.text("subject")
    if subject == subjects.OTHER:
        return context.word("button", "other_subject")
    return context.word("subject", "order").replace("{}", subject) if subject.isdigit() else context.thing("subject")


def contact_in_words(context: ActionContext) -> str:
    contact = context.text("contact")
    return context.word("contact", "chat") if contact in ("", "chat") else contact
