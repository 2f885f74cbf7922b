"""What happened to customers that a triggered broadcast waits for, in pages behind the place that was reached.

An event is looked at again a while after it was first seen, since rows may be committed out of order; who is a
recipient for it already stays one.
"""

from __future__ import annotations

from calendar import isleap
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Any, Final

from sqlalchemy import Connection, Text, and_, func, or_, select, type_coerce, update

from crm_sync.broadcast_tables import broadcast_recipients, contact_wishes
from crm_sync.recipient_counts import Place as Placed
from crm_sync.recipient_counts import add_counts, moved
from crm_sync.service_tables import customer_attributes, dues, visits
from crm_sync.tables import customers, orders, tasks

PAGE: Final = 500
AGAIN: Final = 200  # ids below the place reached that are looked at again
RANGE: Final = 20_000  # customers whose birthday is looked at in one page
OPENS: Final = time(9)  # of a day: when what has no hour of its own happens


@dataclass(frozen=True, slots=True)
class Place:
    """How far was looked: an id of the event's table; for events of a day, the day and a customer of it."""

    id: int = 0
    day: str = ""


@dataclass(frozen=True, slots=True)
class Happened:
    """To whom, when; `occasion` tells it from the next one: two of a kind on a day are one."""

    customer_id: int
    at: datetime
    occasion: str


@dataclass(frozen=True, slots=True)
class Page:
    events: tuple[Happened, ...]
    place: Place
    is_last: bool


@dataclass(frozen=True, slots=True)
class Watched:
    """What is waited for, from `since` on. `name`: of a care rule, a kind of visit or due; "": any."""

    event: str
    name: str
    since: datetime
    zone: tzinfo


def begin_at(conn: Connection, event: str, today: date) -> Place:
    """Where somebody who starts to watch begins: behind everything there is; events of a day with today's."""
    if event in _DAYS:
        return Place(0, today.isoformat())
    table = _TABLES[event]
    return Place(conn.execute(select(func.coalesce(func.max(table.c.id), 0))).scalar_one())


def happened(conn: Connection, watched: Watched, place: Place, now: datetime) -> Page:
    """The next events behind `place`."""
    if watched.event in _DAYS:
        return _of_day(conn, watched, place, now)
    return _of_rows(conn, watched, place)


# --- things that are rows ---------------------------------------------------------------------------------------------

_TABLES: Final[Mapping[str, Any]] = {"visit": visits, "order": orders, "care": tasks, "joined": customers}
_WHEN: Final[Mapping[str, Any]] = {
    "visit": visits.c.at,
    "order": orders.c.placed_at,
    "care": tasks.c.created_at,
    "joined": customers.c.created_at,
}


def _of_rows(conn: Connection, watched: Watched, place: Place) -> Page:
    table, when = _TABLES[watched.event], _WHEN[watched.event]
    who = customers.c.id if table is customers else table.c.customer_id
    behind = max(0, place.id - AGAIN)
    conditions = [table.c.id > behind, who.is_not(None), when >= watched.since]
    if watched.event == "care":
        conditions.append(table.c.rule != "")
    if watched.name and watched.event in ("care", "visit"):
        conditions.append((tasks.c.rule if table is tasks else visits.c.kind) == watched.name)
    found = select(table.c.id, who.label("who"), when.label("at")).where(*conditions).order_by(table.c.id)
    rows = conn.execute(found.limit(PAGE + AGAIN)).all()
    events = tuple(Happened(row.who, row.at, f"{watched.event}:{_day(row.at, watched.zone)}") for row in rows)
    highest = conn.execute(select(func.coalesce(func.max(table.c.id), 0))).scalar_one()
    is_last = len(rows) < PAGE + AGAIN
    return Page(events, replace(place, id=max(place.id, highest if is_last else rows[-1].id)), is_last)


# --- things that are days ---------------------------------------------------------------------------------------------


def _of_day(conn: Connection, watched: Watched, place: Place, now: datetime) -> Page:
    """The people whose day `place.day` is; when all were looked at, the next day, once it has come."""
    day, today = date.fromisoformat(place.day), now.astimezone(watched.zone).date()
    if day > today:
        return Page((), place, is_last=True)
    found, through = _DAYS[watched.event](conn, watched, day, place.id)
    at = datetime.combine(day, OPENS, tzinfo=watched.zone)
    events = tuple(Happened(who, at, f"{watched.event}:{day.isoformat()}") for who in found)
    if through is not None:
        return Page(events, Place(through, place.day), is_last=False)
    return Page(events, Place(0, (day + timedelta(days=1)).isoformat()), is_last=day == today)


def _birthdays(conn: Connection, watched: Watched, day: date, after: int) -> tuple[list[int], int | None]:
    who = customer_attributes.c.customer_id
    ids = select(customers.c.id).where(customers.c.id > after).order_by(customers.c.id)
    through = conn.execute(ids.offset(RANGE - 1).limit(1)).scalar()
    days = [f"{day:%m-%d}"]
    if (day.month, day.day) == (2, 28) and not isleap(day.year):
        days.append("02-29")
    value = type_coerce(customer_attributes.c.value, Text)
    is_day = or_(*(value.like(f'%-{each}"') for each in days))
    conditions = [customer_attributes.c.name == "birthday", who > after, is_day]
    if through is not None:
        conditions.append(who <= through)
    found = select(who).where(and_(*conditions)).order_by(who)
    return list(conn.execute(found).scalars()), through


def _dues(conn: Connection, watched: Watched, day: date, after: int) -> tuple[list[int], int | None]:
    conditions = [dues.c.due_on == day.isoformat(), dues.c.paid_on == "", dues.c.replaced_at.is_(None)]
    if watched.name:
        conditions.append(dues.c.kind == watched.name)
    found = select(dues.c.customer_id).where(*conditions, dues.c.customer_id > after).distinct()
    ids = list(conn.execute(found.order_by(dues.c.customer_id).limit(PAGE)).scalars())
    return ids, ids[-1] if len(ids) == PAGE else None


_OfDay = Callable[[Connection, Watched, date, int], tuple[list[int], int | None]]
_DAYS: Final[Mapping[str, _OfDay]] = {"birthday": _birthdays, "due": _dues}


def _day(at: datetime, zone: tzinfo) -> str:
    return at.astimezone(zone).date().isoformat()


# --- when each leaves -------------------------------------------------------------------------------------------------

# (customer, zone of theirs, quiet hours of their own) -> when it may leave; None: not before the plan is over.
Leaves = Callable[[int, str, tuple[str, str] | None], datetime | None]


def set_times(conn: Connection, broadcast_id: int, occasion: str, leaves: Leaves, written_at: datetime) -> None:
    """The recipients written down just now (their time says `written_at`) leave each at a time of their own."""
    row = broadcast_recipients.c
    found = conn.execute(
        select(
            row.id,
            row.customer_id,
            row.arm,
            row.state,
            customers.c.timezone,
            contact_wishes.c.quiet_from,
            contact_wishes.c.quiet_until,
        )
        .join_from(broadcast_recipients, customers, customers.c.id == row.customer_id)
        .outerjoin(contact_wishes, contact_wishes.c.customer_id == customers.c.id)
        .where(
            row.broadcast_id == broadcast_id,
            row.occasion == occasion,
            row.not_before == written_at,
            row.state.in_(["pending", "held_out"]),
        )
    ).all()
    changes: Counter[Placed] = Counter()
    for each in found:
        quiet = (each.quiet_from, each.quiet_until) if each.quiet_from else None
        at = leaves(each.customer_id, each.timezone, quiet)
        values: dict[str, Any] = {"not_before": at}
        if at is None:
            values |= {"state": "skipped", "reason": "quiet_hours"}
            moved(changes, broadcast_id, each.arm, (each.state, ""), ("skipped", "quiet_hours"))
        conn.execute(update(broadcast_recipients).where(row.id == each.id).values(**values))
    add_counts(conn, changes)
