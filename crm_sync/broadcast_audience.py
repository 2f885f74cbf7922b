"""Whom a broadcast means, as a select of customer ids, and what is asked of each of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import BigInteger, Connection, Select, bindparam, func, select

from bot.errors import NotFound
from bot.reach.preflight import Account, Counted
from bot.reach.rendering import piece_for
from bot.reach.types import Audience, Broadcast
from crm_sync.broadcast_tables import audience_lists, audience_members, contact_wishes, segments
from crm_sync.eligibility import SendRules, between, judged, moments
from crm_sync.tables import customers

# A definition, and the moment it is asked at -> the ids of those it means. Raises: InputError.
Members = Callable[[Mapping[str, Any], datetime], Select[tuple[int]]]
# Zone of a person ("": unknown), their own quiet hours -> "waits" until these are over, "over": not before the plan is.
QuietFor = Callable[[str, tuple[str, str] | None], str]
HIGHEST: Final = 2**63 - 1  # that an id can be
RANGE: Final = 10_000  # customer ids looked at in one transaction


def people_of(conn: Connection, audience: Audience, members: Members, now: datetime) -> Select[tuple[int]]:
    """The ids of all it means, whatever stands in the way; more conditions on `customers` may be added.

    Raises: NotFound (no such segment or list), InputError (a condition that cannot be evaluated).
    """
    if audience.segment:
        return members(_definition(conn, audience.segment), now)
    if audience.where:
        return members(audience.where, now)
    listed = list_ids(conn, (audience.list,))
    member = audience_members.alias()
    return select(customers.c.id).where(
        select(member.c.customer_id)
        .where(member.c.list_id == listed[0], member.c.customer_id == customers.c.id)
        .correlate(customers)
        .exists()
    )


def _definition(conn: Connection, name: str) -> Mapping[str, Any]:
    kept = segments.c.archived_at.is_(None)
    definition = conn.execute(select(segments.c.definition).where(segments.c.name == name, kept)).scalar()
    if definition is None:
        raise NotFound(f"there is no segment called {name!r}")
    found: Mapping[str, Any] = definition
    return found


def list_ids(conn: Connection, names: tuple[str, ...]) -> tuple[int, ...]:
    """Raises: NotFound, naming the first that is not there."""
    known: Mapping[str, int] = {
        row.name: row.id
        for row in conn.execute(
            select(audience_lists.c.name, audience_lists.c.id).where(
                audience_lists.c.name.in_(names),
                audience_lists.c.archived_at.is_(None),
                audience_lists.c.filling_since.is_(None),
            )
        )
    }
    for name in names:
        if name not in known:
            raise NotFound(f"there is no list called {name!r}")
    return tuple(known[name] for name in names)


def rules_of(
    conn: Connection,
    broadcast: Broadcast,
    *,
    cap: tuple[int, int] | None = None,
    notices: Collection[str] = (),
    counting: Collection[str] = (),
    monthly: Mapping[Account, int] = MappingProxyType({}),
) -> SendRules:
    """What the broadcast asks of everybody.

    `cap` and `notices` (purposes that are no promotion) are the business's; `counting` names channels where a free
    message needs an open window, `monthly` accounts of which a person gets only so many mass sends a month.
    """
    kinds = {channel: kinds_of(broadcast, channel) for channel in broadcast.channels}
    return SendRules(
        purpose=broadcast.purpose,
        channels=broadcast.channels,
        topic=broadcast.topic,
        is_promotion=broadcast.purpose not in notices,
        exclude=list_ids(conn, broadcast.audience.exclude) if broadcast.audience.exclude else (),
        cap=broadcast.per_person or cap,
        windowed=frozenset(channel for channel in counting if "" in kinds.get(channel, ())),
        monthly=tuple(
            (channel, account, most)
            for (channel, account), most in sorted(monthly.items())
            if "mass" in kinds.get(channel, ())
        ),
    )


def kinds_of(broadcast: Broadcast, channel: str) -> frozenset[str]:
    """Kinds of what the channel shows of it: "" is a free message, which may need an open window."""
    return frozenset(piece_for(variant, channel).kind for variant in broadcast.content.variants)


def count_range(
    conn: Connection,
    people: Select[tuple[int]],
    rules: SendRules,
    after: int,
    now: datetime,
    *,
    quiet_for: QuietFor = lambda zone, quiet: "",
) -> tuple[Counted, int | None]:
    """Of the audience among the next customer ids behind `after`: who would be sent to, who not and why; and the last
    id looked at, None when there is nobody behind.
    """
    ids = select(customers.c.id).where(customers.c.id > after).order_by(customers.c.id)
    through = conn.execute(ids.offset(RANGE - 1).limit(1)).scalar()
    within = between(bindparam("after", type_=BigInteger), bindparam("through", type_=BigInteger))
    found = judged(people.where(*within(customers.c.id)), rules, within).order_by(None).subquery()
    own_hours = (contact_wishes.c.quiet_from, contact_wishes.c.quiet_until)
    groups = (found.c.reason, found.c.channel, found.c.account, customers.c.timezone, *own_hours)
    rows = conn.execute(
        select(*groups, func.count().label("people"))
        .join_from(found, customers, customers.c.id == found.c.customer_id)
        .outerjoin(contact_wishes, contact_wishes.c.customer_id == found.c.customer_id)
        .group_by(*groups),
        {**moments(rules, now), "after": after, "through": HIGHEST if through is None else through},
    )
    reached: dict[Account, int] = {}
    skipped: dict[str, int] = {}
    asleep = 0
    for row in rows:
        quiet = (
            "" if row.reason else quiet_for(row.timezone, (row.quiet_from, row.quiet_until) if row.quiet_from else None)
        )
        reason = row.reason or ("quiet_hours" if quiet == "over" else "")
        if reason:
            skipped[reason] = skipped.get(reason, 0) + row.people
        else:
            place = (row.channel, row.account)
            reached[place] = reached.get(place, 0) + row.people
            asleep += row.people if quiet == "waits" else 0
    return Counted(reached, skipped, asleep), through


def together(counts: list[Counted]) -> Counted:
    """The sum."""
    reached: dict[Account, int] = {}
    skipped: dict[str, int] = {}
    for each in counts:
        for place, people in each.reached.items():
            reached[place] = reached.get(place, 0) + people
        for reason, people in each.skipped.items():
            skipped[reason] = skipped.get(reason, 0) + people
    return Counted(reached, skipped, sum(each.asleep for each in counts))
