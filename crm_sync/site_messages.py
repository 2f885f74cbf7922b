"""What a site is told about its task: the link when it is offered, and reminders. Planned with the task, sent later.

Sending talks to the outside, so it happens after the transaction; a message may come twice when a process dies in
between, and one whose link was replaced or whose task is over is not sent any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import Connection, select

from bot.service_types import Notice
from crm_sync import notices, timers
from crm_sync.addressing import identity_key
from crm_sync.service_tables import clocks, site_tasks, sites
from crm_sync.tables import cases, conversations, customers, identities

KIND: Final = "site_message"
Way = Literal["email", "chat"]
Step = Literal["offer", "remind"]
OPEN_STATES: Final = ("offered", "accepted")


@dataclass(frozen=True, slots=True)
class SiteMessage:
    """What is to be sent now. `deadline`: of the promise to the customer, or the end of the link if that is earlier."""

    task_id: int
    serial: int
    case_id: int
    customer_id: int
    conversation_id: int
    number: str
    team: str
    way: Way
    address: str
    site_key: str
    site_names: Mapping[str, str]
    languages: tuple[str, ...]
    timezone: str
    deadline: datetime
    expires_at: datetime


def plan(conn: Connection, task_id: int, serial: int, now: datetime) -> None:
    """The site will be told of its task, in every way it can be; nothing is planned for one that has neither."""
    site = conn.execute(
        select(sites.c.email, sites.c.contact, site_tasks.c.case_id, site_tasks.c.customer_id)
        .join_from(site_tasks, sites, sites.c.id == site_tasks.c.site_id)
        .where(site_tasks.c.id == task_id)
    ).one()
    plan_offer(conn, site, (site.customer_id, site.case_id), task_id=task_id, serial=serial, now=now)


def plan_offer(
    conn: Connection, site: Any, about: tuple[int, int], *, task_id: int, serial: int, now: datetime
) -> None:
    """As `plan`, where the site's row is known; `about`: the customer and the case."""
    for way, address in (("email", site.email), ("chat", site.contact)):
        if address:
            _plan(conn, about, {"task_id": task_id, "serial": serial, "way": way, "step": "offer"}, now, now)


def plan_reminder(conn: Connection, message: SiteMessage, hours: float, at: datetime, now: datetime) -> None:
    """The site will be reminded at `at`, if the task is still open then."""
    details = {"task_id": message.task_id, "serial": message.serial, "way": message.way, "step": "remind"}
    _plan(conn, (message.customer_id, message.case_id), {**details, "hours": hours}, at, now)


def _plan(conn: Connection, about: tuple[int, int], details: dict[str, Any], at: datetime, now: datetime) -> None:
    customer_id, case_id = about
    key = "site:{task_id}:{serial}:{way}:{step}".format(**details) + f":{details.get('hours', '')}"
    timers.plan(conn, KIND, at, now, key=key, customer_id=customer_id, case_id=case_id, details=details)


def message_of(conn: Connection, details: Mapping[str, Any]) -> SiteMessage | None:
    """What the planned message is about; None when there is nothing to say any more."""
    row = conn.execute(
        select(
            site_tasks,
            cases.c.number,
            cases.c.team,
            cases.c.conversation_id,
            sites.c.key,
            sites.c.names,
            sites.c.email,
            sites.c.contact,
            sites.c.languages,
            sites.c.timezone,
        )
        .join_from(site_tasks, sites, sites.c.id == site_tasks.c.site_id)
        .join(cases, cases.c.id == site_tasks.c.case_id)
        .join(customers, customers.c.id == site_tasks.c.customer_id)
        .where(site_tasks.c.id == details["task_id"], customers.c.erased_at.is_(None))
    ).first()
    if row is None or row.state not in OPEN_STATES or row.link_serial != details["serial"]:
        return None
    address = row.email if details["way"] == "email" else row.contact
    if not address:
        return None
    promised = conn.execute(
        select(clocks.c.due_at).where(
            clocks.c.case_id == row.case_id, clocks.c.kind == "solution", clocks.c.state == "running"
        )
    ).scalar()
    return SiteMessage(
        task_id=row.id,
        serial=row.link_serial,
        case_id=row.case_id,
        customer_id=row.customer_id,
        conversation_id=row.conversation_id,
        number=row.number,
        team=row.team,
        way=details["way"],
        address=address,
        site_key=row.key,
        site_names=row.names,
        languages=tuple(row.languages),
        timezone=row.timezone,
        deadline=min(promised, row.expires_at) if promised is not None else row.expires_at,
        expires_at=row.expires_at,
    )


def tell_chat(conn: Connection, message: SiteMessage, notice: Notice, key: str, now: datetime) -> bool:
    """The site's contact is told in their chat; False when they have never written to us there or have blocked us."""
    channel, account, chat = message.address.split(":", 2)
    place = conn.execute(
        select(conversations.c.id, conversations.c.customer_id)
        .join_from(conversations, identities, identities.c.id == conversations.c.identity_id)
        .where(identities.c.key == identity_key(channel, account, chat))
        .order_by(conversations.c.last_message_at.desc())
        .limit(1)
    ).first()
    if place is None or not notices.reachable(conn, [place.customer_id]):
        return False
    notices.tell(conn, place.customer_id, notice, now=now, key=key, conversation_id=place.id)
    return True
