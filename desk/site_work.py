"""What a site does about a case, with a link that needs no account: it takes it, reports, closes it or passes it on.

Each action is one transaction: the task, the case with its clocks and history, and what the customer is told. The same
form sent twice changes nothing the second time.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import Connection

from bot.errors import NotFound, RuleError
from bot.service.places import map_link, position, position_in
from bot.service.policy import ServicePolicy
from bot.service.routing import Matter
from bot.service.sites import RankedSite, SiteWish, name_of, rank_sites
from bot.service_types import CLOSED_STATUSES, Notice, as_is
from crm_sync import cases, clocks, notices, site_tasks
from crm_sync.cases import By, CaseChange
from crm_sync.database import Database
from crm_sync.site_tasks import Offered, SiteForm, TaskView, one_line
from crm_sync.sites import active_sites, find_site, site_of
from desk.cases import change_and_tell, clockwork
from desk.rules import clocks_of, rules_of


async def look(database: Database, task_id: int, serial: int) -> TaskView:
    """The task with what the site has to know. Raises: LinkSuperseded."""
    return await database.run(lambda conn: site_tasks.look(conn, task_id, serial), read=True)


async def offer_site(database: Database, number: str, site_key: str, policy: ServicePolicy, by: By) -> Offered:
    """The site has the case, and a link of its own: those given out before stop working.

    Raises: CaseNotFound; NotFound when there is no such site; RuleError when the case is over.
    """

    def unit(conn: Connection) -> Offered:
        case = cases.locked_case(conn, number)
        return offer(conn, case, site_key, rules_of(conn, case, policy), by)

    return await database.run(unit)


async def act(database: Database, form: SiteForm, policy: ServicePolicy, now: datetime) -> bool:
    """What the site did is done, and moves the case on; False when this very form had been sent before.

    Raises: LinkSuperseded; StaleState when somebody else was faster; RuleError when the case is over.
    """
    return await database.run(partial(_act, form, policy, now))


def offer(conn: Connection, case: Any, site_key: str, policy: ServicePolicy, by: By) -> Offered:
    """As `offer_site`, in this transaction; `case`: its row, locked, `policy`: the rules that hold for it."""
    if case.status in ("solved", *CLOSED_STATUSES):
        raise RuleError(f"case {case.number} is {case.status}; no site has to do anything for it")
    lasts = timedelta(hours=policy.routing.link_hours)
    ways = {item.site.key: item.site.distance_m for item in ranked(conn, case, policy, by.at)}
    if site_tasks.offer_task(conn, case.id, site_key, ways.get(site_key), by.at, lasts=lasts) is None:
        raise NotFound(f"there is no site {site_key!r}; frontdesk import sites brings them in")
    _note_offer(conn, case, site_key, policy, by)
    return site_tasks.renew_link(conn, case.id, by.at, lasts=lasts)


def _note_offer(conn: Connection, case: Any, site_key: str, policy: ServicePolicy, by: By) -> None:
    """The case is at the site, also for its promises: what is left of them counts in the hours of the site."""
    site = site_of(find_site(conn, site_key))
    change = CaseChange(note=f"offered to site {site_key}", is_internal=True, site_id=site.id)
    cases.change_case(conn, case, change, by)
    hours, works = policy.calendar_for(case.severity, site.hours), clockwork(policy)
    clocks.move_all(conn, case.id, hours.name, by.at, spent=works.spent, again=works.again)


def _act(form: SiteForm, desk: ServicePolicy, now: datetime, conn: Connection) -> bool:
    # The case first, as everybody else does who needs both.
    case = cases.locked_case(conn, site_tasks.case_number_of(conn, form.task_id, form.serial))
    policy = rules_of(conn, case, desk)
    before = site_tasks.act(conn, form, now)
    if before is None:
        return False
    view = site_tasks.look(conn, form.task_id, form.serial)
    by, words = By("site", now, view.task.worker), one_line(form.words)
    name = name_of(view.site.names, "zh", view.site.key)
    # What the site does is news for the customer, so the promise of the next news begins anew.
    news = clocks_of(conn, case, policy, case.severity, now, kinds=("update",))
    match form.action:
        case "accept":
            change = CaseChange(note=f"{name}: {words}", status="in_progress", site_id=view.site.id, clocks=news)
            change_and_tell(conn, case, change, by, policy, tells=False)
            _tell(conn, view, _accepted(view, policy), now)
        case "report":
            change_and_tell(conn, case, CaseChange(note=words, clocks=news), by, policy, tells=False)
            _tell(conn, view, _reported(view, words), now)
        case "close":  # a code that the rules do not know (any more) is left out, the words are kept
            codes = policy.cases
            change = CaseChange(
                note=words,
                status="solved",
                cause=form.cause if form.cause in codes.causes else "",
                remedy=form.remedy if form.remedy in codes.remedies else "",
            )
            change_and_tell(conn, case, change, by, policy)
        case "decline":
            cases.case_event(conn, case.id, "site_declined", by, words=f"{name}: {words}", is_internal=True)
            _pass_on(conn, case, policy, now)
    return True


# --- who is asked next ----------------------------------------------------------------------------------------------


def _pass_on(conn: Connection, case: Any, policy: ServicePolicy, now: datetime) -> None:
    """The next best site has it; where none is left, staff are asked to find somebody."""
    following = next(iter(ranked(conn, case, policy, now)), None)
    if following is not None:
        site = following.site
        lasts = timedelta(hours=policy.routing.link_hours)
        site_tasks.offer_task(conn, case.id, site.key, site.distance_m, now, lasts=lasts)
        _note_offer(conn, case, site.key, policy, By("system", now))
        return
    site_tasks.ask_for_site(conn, case, now)


def ranked(conn: Connection, case: Any, policy: ServicePolicy, now: datetime) -> tuple[RankedSite, ...]:
    """The sites that can solve it, the best first, without those that declined."""
    told = position_in(str(case.details.get("place", "")))
    home = (position(*pair) for pair in site_tasks.places_of(conn, case))
    route = policy.routing.route(Matter(case.category, case.quality_type, case.language, severity=case.severity))
    wish = SiteWish(
        origin=told or next((found for found in home if found), None),
        skills=route.skills,
        language=case.language,
        known=site_tasks.visited_by(conn, case.customer_id),
        excluding=site_tasks.declined_by(conn, case.id),
    )
    return rank_sites(active_sites(conn), wish, policy.routing, policy.calendars, now)


# --- what the customer is told --------------------------------------------------------------------------------------


def _tell(conn: Connection, view: TaskView, notice: Notice, now: datetime) -> None:
    notices.tell(
        conn,
        view.case.customer_id,
        notice,
        now=now,
        case_id=view.case.id,
        conversation_id=view.case.conversation_id,
    )


def _site_name(view: TaskView) -> str:
    names, key = view.site.names, view.site.key
    return f"@zh:{name_of(names, 'zh', key)}|@en:{name_of(names, 'en', key)}"


def _accepted(view: TaskView, policy: ServicePolicy) -> Notice:
    site = view.site
    place = position(site.latitude, site.longitude)
    link = map_link(place, name_of(site.names, "zh", site.key), template=policy.routing.map_link) if place else ""
    args = {
        "number": view.case.number,
        "site": _site_name(view),
        "worker": as_is(view.task.worker),
        "address": as_is(" · ".join(part for part in (site.address, site.phone) if part)),
        "map": link,
    }
    return Notice("utter_site_accepted", args, is_vital=True)


def _reported(view: TaskView, words: str) -> Notice:
    args = {"number": view.case.number, "site": _site_name(view), "note": as_is(words)}
    return Notice("utter_site_report", args, is_vital=True)
