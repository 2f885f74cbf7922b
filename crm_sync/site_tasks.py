"""What a site is asked to do for a case: offered, taken by one person there, reported on, closed or passed on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from sqlalchemy import Connection, and_, func, insert, select, update

from bot.errors import NotFound, RuleError, StaleState
from bot.types import CreateTask
from crm_sync import site_messages
from crm_sync.accounts import NONE, Account, account_of
from crm_sync.columns import is_filled
from crm_sync.service_tables import assets, customer_attributes, site_tasks, sites, visits
from crm_sync.sites import OPEN_STATES, find_site
from crm_sync.tables import case_events, cases, customers, media
from crm_sync.tasks import put_task

LINK_LASTS: Final = timedelta(hours=72)
NO_SITE: Final = "site_needed"  # kind of the task staff get when nobody is left to ask
SHOWN: Final = 5  # earlier visits and cases
SHOWN_FILES: Final = 8
SiteAction = Literal["accept", "report", "decline", "close"]
_LEADS_TO: Final[dict[SiteAction, str]] = {"accept": "accepted", "decline": "declined", "close": "closed"}
_FROM: Final[dict[SiteAction, tuple[str, ...]]] = {
    "accept": ("offered",),
    "report": ("accepted",),
    "decline": OPEN_STATES,
    "close": ("accepted",),
}


class LinkSuperseded(NotFound):
    """The link was ours, and another one has taken its place, or the task was taken back."""


@dataclass(frozen=True, slots=True)
class Offered:
    """A task as its link needs it."""

    task_id: int
    serial: int
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class SiteForm:
    """What was sent from the page. `version`: of the task as it showed it; `cause`, `remedy`: codes, on closing."""

    task_id: int
    serial: int
    version: int
    action: SiteAction
    words: str  # who takes it, what is reported, why it is passed on, what was done
    cause: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class TaskView:
    """A task with what the site has to know: rows of the case, the site, the customer, the thing it is about.

    `earlier_visits` and `earlier_cases`: the newest first, those about the same thing before others.
    """

    task: Any
    case: Any
    site: Any
    customer: Any
    asset: Any
    earlier_visits: Sequence[Any] = ()
    earlier_cases: Sequence[Any] = ()
    files: Sequence[Any] = ()
    earlier_tasks: Sequence[Any] = ()  # what sites did about this very case before, the first one first
    reopened: Sequence[Any] = ()  # why it was opened again: lines of its history
    account: Account = NONE  # where the case came from


# --- offering -----------------------------------------------------------------------------------------------------


def offer_task(
    conn: Connection,
    case_id: int,
    site_key: str,
    distance_m: int | None,
    now: datetime,
    *,
    lasts: timedelta = LINK_LASTS,
) -> Offered | None:
    """The site has the task for this case, another site has it no longer; None when there is no such site.

    A site that has it already keeps it as it is. Its links given out before stay good.
    """
    site = find_site(conn, site_key)
    case = conn.execute(select(cases.c.customer_id).where(cases.c.id == case_id)).first()
    if site is None or case is None:
        return None
    open_one = _open_task(conn, case_id)
    if open_one is not None and open_one.site_id == site.id:
        return Offered(open_one.id, open_one.link_serial, open_one.expires_at)
    withdraw(conn, case_id, now)
    return offer_first(conn, case_id, case.customer_id, site=site, now=now, distance_m=distance_m, lasts=lasts)


def offer_first(
    conn: Connection,
    case_id: int,
    customer_id: int,
    *,
    site: Any,
    now: datetime,
    distance_m: int | None,
    lasts: timedelta = LINK_LASTS,
) -> Offered:
    """As `offer_task`, for a case no site has a task for. `site`: its row."""
    expires_at = (now + lasts).replace(microsecond=0)
    row = {
        "case_id": case_id,
        "site_id": site.id,
        "customer_id": customer_id,
        "state": "offered",
        "expires_at": expires_at,
        "distance_m": distance_m,
        "created_at": now,
    }
    task_id = conn.execute(insert(site_tasks), row).inserted_primary_key[0]  # type: ignore[index]  # one row has a key
    site_messages.plan_offer(conn, site, (customer_id, case_id), task_id=task_id, serial=0, now=now)
    return Offered(task_id, 0, expires_at)


def offer_again(conn: Connection, case: Any, now: datetime) -> str | None:
    """The site that had the reopened case is asked again; its key. None when it cannot, and staff have a task instead.

    It cannot when it was closed for good, has passed this case on, or has no room for another task.
    """
    had = (
        select(sites, site_tasks.c.distance_m, site_tasks.c.state)
        .join_from(
            sites, site_tasks, and_(site_tasks.c.site_id == sites.c.id, site_tasks.c.case_id == case.id), isouter=True
        )
        .where(sites.c.id == case.site_id)
        .order_by(site_tasks.c.id.desc())
        .limit(1)
    )
    site = conn.execute(had).one()
    busy = select(func.count()).where(site_tasks.c.site_id == site.id, site_tasks.c.state.in_(OPEN_STATES))
    has_room = not site.capacity or conn.execute(busy).scalar_one() < site.capacity
    if site.is_active and site.state != "declined" and has_room:
        offer_task(conn, case.id, site.key, site.distance_m, now)
        return str(site.key)
    ask_for_site(conn, case, now)
    return None


def ask_for_site(conn: Connection, case: Any, now: datetime) -> None:
    """Staff are asked to find somebody who can solve the case."""
    summary = f"no site is left for case {case.number}: find somebody who can solve it"
    task = CreateTask(NO_SITE, summary, assignee=case.team, case_number=case.number)
    put_task(conn, task, case.customer_id, now, conversation_id=case.conversation_id, case_id=case.id)


def renew_link(conn: Connection, case_id: int, now: datetime, *, lasts: timedelta = LINK_LASTS) -> Offered:
    """A new link for the open task of the case; those given out before stop working. Raises: NotFound."""
    row = _open_task(conn, case_id)
    if row is None:
        raise NotFound("no site has a task for this case")
    expires_at = (now + lasts).replace(microsecond=0)
    serial = row.link_serial + 1
    conn.execute(update(site_tasks).where(site_tasks.c.id == row.id).values(link_serial=serial, expires_at=expires_at))
    site_messages.plan(conn, row.id, serial, now)
    return Offered(row.id, serial, expires_at)


def withdraw(conn: Connection, case_id: int, now: datetime) -> bool:
    """No site has a task for the case any more, and the link says so; False when none had."""
    open_ones = and_(site_tasks.c.case_id == case_id, site_tasks.c.state.in_(OPEN_STATES))
    taken_back = {"state": "withdrawn", "ended_at": now, "version": site_tasks.c.version + 1}
    return conn.execute(update(site_tasks).where(open_ones).values(**taken_back)).rowcount > 0


def declined_by(conn: Connection, case_id: int) -> frozenset[str]:
    """Keys of the sites that would not do it."""
    rows = conn.execute(
        select(sites.c.key)
        .join_from(site_tasks, sites, sites.c.id == site_tasks.c.site_id)
        .where(site_tasks.c.case_id == case_id, site_tasks.c.state == "declined")
    )
    return frozenset(rows.scalars())


def _open_task(conn: Connection, case_id: int) -> Any:
    open_ones = and_(site_tasks.c.case_id == case_id, site_tasks.c.state.in_(OPEN_STATES))
    return conn.execute(select(site_tasks).where(open_ones).with_for_update()).first()


# --- what the site does -------------------------------------------------------------------------------------------


def case_number_of(conn: Connection, task_id: int, serial: int) -> str:
    """The case a link is about. Raises: LinkSuperseded."""
    row = conn.execute(
        select(site_tasks.c.link_serial, site_tasks.c.state, cases.c.number)
        .join_from(site_tasks, cases, cases.c.id == site_tasks.c.case_id)
        .where(site_tasks.c.id == task_id)
    ).first()
    if row is None or row.link_serial != serial or row.state == "withdrawn":
        raise LinkSuperseded("the link was replaced or taken back")
    return str(row.number)


def act(conn: Connection, form: SiteForm, now: datetime) -> Any | None:
    """The task has moved on; its row as it was before. None when this very form was sent before: nothing changes.

    The case is to be locked before. Raises: StaleState when somebody else was faster; RuleError when it is over.
    """
    row = conn.execute(select(site_tasks).where(site_tasks.c.id == form.task_id).with_for_update()).one()
    action, words = form.action, one_line(form.words)
    said = row.worker if action == "accept" else row.report.rsplit("\n", 1)[-1]
    if row.version == form.version + 1 and said == words and row.state == _LEADS_TO.get(action, row.state):
        return None
    if row.version != form.version:
        raise StaleState("the task was changed by somebody else")
    if row.state not in _FROM[action]:
        raise RuleError(f"a task that is {row.state} cannot be changed by {action}")
    values: dict[str, Any] = {"version": form.version + 1}
    if action == "accept":
        values |= {"worker": words, "accepted_at": now}
    else:
        values["report"] = f"{row.report}\n{words}".strip()
    if action in _LEADS_TO:
        values["state"] = _LEADS_TO[action]
    if action in ("decline", "close"):
        values["ended_at"] = now
    conn.execute(update(site_tasks).where(site_tasks.c.id == form.task_id).values(**values))
    return row


def one_line(words: str) -> str:
    """One report is one line, so that the last one can be told from those before."""
    return " ".join(words.split())


# --- looking ------------------------------------------------------------------------------------------------------


def look(conn: Connection, task_id: int, serial: int) -> TaskView:
    """Everything the page shows. Raises: LinkSuperseded."""
    case_number_of(conn, task_id, serial)
    task = conn.execute(select(site_tasks).where(site_tasks.c.id == task_id)).one()
    case = conn.execute(select(cases).where(cases.c.id == task.case_id)).one()
    asset = conn.execute(select(assets).where(assets.c.id == case.asset_id)).first() if case.asset_id else None
    same_asset = visits.c.asset_id == case.asset_id if case.asset_id else visits.c.asset_id.is_(None)
    seen = conn.execute(
        select(visits, sites.c.names.label("site_names"))
        .outerjoin_from(visits, sites, sites.c.id == visits.c.site_id)
        .where(visits.c.customer_id == case.customer_id)
        .order_by(same_asset.desc(), visits.c.at.desc())
        .limit(SHOWN)
    )
    before = conn.execute(
        select(cases)
        .where(cases.c.customer_id == case.customer_id, cases.c.id != case.id)
        .order_by((cases.c.category == case.category).desc(), cases.c.opened_at.desc())
        .limit(SHOWN)
    )
    return TaskView(
        task,
        case,
        conn.execute(select(sites).where(sites.c.id == task.site_id)).one(),
        conn.execute(select(customers).where(customers.c.id == case.customer_id)).one(),
        asset,
        seen.all(),
        before.all(),
        _files(conn, case),
        *_before(conn, task, case),
        account=account_of(conn, case),
    )


def _before(conn: Connection, task: Any, case: Any) -> tuple[Sequence[Any], Sequence[Any]]:
    """What sites did about this case before, and why it was opened again."""
    done = conn.execute(
        select(site_tasks, sites.c.names.label("site_names"), sites.c.key.label("site_key"))
        .join_from(site_tasks, sites, sites.c.id == site_tasks.c.site_id)
        .where(site_tasks.c.case_id == case.id, site_tasks.c.id < task.id, site_tasks.c.state == "closed")
        .order_by(site_tasks.c.id.desc())
        .limit(SHOWN)
    ).all()
    if not case.reopened:
        return done[::-1], ()
    changes = conn.execute(
        select(case_events.c.note, case_events.c.changes, case_events.c.at)
        .where(case_events.c.case_id == case.id, case_events.c.kind == "status", ~case_events.c.is_internal)
        .order_by(case_events.c.id.desc())
        .limit(50)
    ).all()
    return done[::-1], [row for row in reversed(changes) if row.changes.get("status") == "reopened"]


def _files(conn: Connection, case: Any) -> Sequence[Any]:
    """Pictures and recordings the customer sent for it: in its conversation, from shortly before it was opened on."""
    if case.conversation_id is None:
        return ()
    return conn.execute(
        select(media.c.key, media.c.kind, media.c.stored_at)
        .where(
            media.c.conversation_id == case.conversation_id,
            media.c.state == "stored",
            is_filled(media.c.kind),
            media.c.created_at >= case.opened_at - timedelta(hours=2),
        )
        .order_by(media.c.id.desc())
        .limit(SHOWN_FILES)
    ).all()


def places_of(conn: Connection, case: Any) -> list[tuple[Any, Any]]:
    """Where the customer may be, as latitude and longitude: at home, else where what they own is."""
    coordinates = conn.execute(
        select(customer_attributes.c.name, customer_attributes.c.value).where(
            customer_attributes.c.customer_id == case.customer_id,
            customer_attributes.c.name.in_(("latitude", "longitude")),
        )
    )
    home = {row.name: row.value for row in coordinates}
    owned = conn.execute(
        select(assets.c.attributes)
        .where(assets.c.customer_id == case.customer_id)
        .order_by((assets.c.id == (case.asset_id or 0)).desc(), assets.c.id.desc())
        .limit(SHOWN)
    ).scalars()
    return [(facts.get("latitude"), facts.get("longitude")) for facts in (home, *owned)]


def visited_by(conn: Connection, customer_id: int) -> tuple[str, ...]:
    """Keys of the sites the customer was at, the latest first, each once."""
    rows = conn.execute(
        select(sites.c.key)
        .join_from(visits, sites, sites.c.id == visits.c.site_id)
        .where(visits.c.customer_id == customer_id)
        .order_by(visits.c.at.desc())
        .limit(10)
    )
    return tuple(dict.fromkeys(rows.scalars()))
