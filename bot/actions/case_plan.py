"""What the business's rules make of a case before it is opened: category, severity, team, site, promises. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.actions.base import ActionContext
from bot.actions.complaint_reading import is_dangerous
from bot.actions.complaint_reading import severity as urgency
from bot.actions.subjects import Candidate
from bot.service.categories import Finding
from bot.service.routing import Matter, Route
from bot.service.sites import RankedSite, SiteWish, known_sites, name_of, origin_of, rank_sites
from bot.service_types import ClockStart
from bot.types import Need

SITES = Need("sites", "")


@dataclass(frozen=True, slots=True)
class CasePlan:
    """`needs` non-empty: fetch them first, the rest does not count yet."""

    finding: Finding
    severity: int
    route: Route
    team: str
    clocks: tuple[ClockStart, ...]
    site: RankedSite | None = None
    needs: tuple[Need, ...] = ()


def plan_case(
    context: ActionContext,
    words: str,
    about: Candidate | None = None,
    *,
    subject: str = "",
    kind: str = "complaint",
) -> CasePlan:
    """How a complaint in these words is taken up. `about`: the thing in the record it is about.

    A case of another kind weighs no more by the service rule of the credit class, which is one for complaints.
    """
    policy, customer, now = context.assistant.service, context.customer, context.turn.now
    finding = policy.cases.find(words, is_danger=is_dangerous(words))
    level = policy.cases.severity(
        urgency(words, customer.cases, now, anger=policy.handoff.anger),
        finding,
        value_minor=about.value_minor if about else None,
        is_repeat=is_repeat(context, finding.category, subject),
        classes=(customer.value_class, customer.credit_class),
        more=policy.record.credit_rule(customer.credit_class).severity if kind == "complaint" else 0,
    )
    route = policy.routing.route(
        Matter(
            finding.category,
            finding.quality_type,
            context.language,
            customer.value_class,
            customer.credit_class,
            level,
        )
    )
    needs = (SITES,) if route.at_site and SITES not in context.turn.facts else ()
    site = nearest(context, route, about) if route.at_site else None
    clocks = policy.clocks_for(level, now, site_calendar=site.site.hours if site else "")
    return CasePlan(finding, level, route, route.team or finding.team, clocks, site, needs)


def is_repeat(context: ActionContext, category: str, subject: str) -> bool:
    """Whether the customer complained about the same thing before, not so long ago."""
    oldest = context.turn.now - timedelta(days=context.assistant.service.cases.severity_rules.repeat_days)
    return any(
        case.kind == "complaint" and case.opened_at >= oldest and (case.category == category or case.subject == subject)
        for case in context.customer.cases
    )


def nearest(context: ActionContext, route: Route, about: Candidate | None) -> RankedSite | None:
    """The site that is best placed to solve it; None when none can."""
    policy = context.assistant.service
    wish = SiteWish(
        origin=origin_of(context.customer, context.text("place")),
        skills=route.skills,
        language=context.language,
        known=known_sites(context.customer, about.site if about else ""),
    )
    found = rank_sites(context.turn.facts.get(SITES) or (), wish, policy.routing, policy.calendars, context.turn.now)
    return found[0] if found else None


def answer_by(context: ActionContext, clocks: tuple[ClockStart, ...]) -> datetime:
    """By when the customer hears from us, as promised; by the staffed hours where no promise has a clock."""
    dues = {clock.kind: clock.due_at for clock in clocks}
    for kind in ("first_response", "update", "solution"):
        if kind in dues:
            return dues[kind]
    within = timedelta(hours=context.assistant.hours.first_answer_h)
    return context.assistant.calendar.add(context.turn.now, within)


def solution_by(clocks: tuple[ClockStart, ...]) -> datetime | None:
    """By when it is to be solved; None where that is not promised."""
    return next((clock.due_at for clock in clocks if clock.kind == "solution"), None)


def who_takes(context: ActionContext, plan: CasePlan) -> str:
    """Who goes on with it, as the customer is told: the site, else the team, else a colleague."""
    if plan.site:
        return name_of(plan.site.site.names, context.language, plan.site.site.key)
    team = context.assistant.service.routing.teams.get(plan.team)
    return (team.titles.get(context.language, "") if team else "") or context.word("who", "colleague")
