"""Who may be the same person: merged on strong evidence, proposed to staff on weak, left alone where staff said no."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations
from typing import Any, Final

from sqlalchemy import Connection, and_, exists, or_, select, true, update
from sqlalchemy.sql.elements import ColumnElement

from bot.errors import NotFound
from crm_sync import merging, timers
from crm_sync.addressing import CRM
from crm_sync.columns import is_filled
from crm_sync.service_tables import customer_attributes, merge_proposals
from crm_sync.statements import insert_rows
from crm_sync.tables import customers, identities

CHECK: Final = "merge_check"  # kind of timer
_WEIGHTS: Final = {"phone": 0.6, "email": 0.6, "name": 0.2, "birthday": 0.2}
_FINDS: Final = ("phone", "email")
MOST: Final = 20  # candidates looked at
TELLERS: Final = 5  # a number that more people than these have told, and not proven, says nothing of who they are
_IS_LISTED: Final = exists().where(identities.c.customer_id == customers.c.id, identities.c.channel == CRM[0])
_BIRTHDAY: Final = and_(customer_attributes.c.customer_id == customers.c.id, customer_attributes.c.name == "birthday")
_PEOPLE: Final = (
    select(customers, _IS_LISTED.label("is_listed"), customer_attributes.c.value.label("birthday"))
    .join_from(customers, customer_attributes, _BIRTHDAY, isouter=True)
    .where(customers.c.erased_at.is_(None))
)


@dataclass(frozen=True, slots=True)
class Proposal:
    """Two records that may be one person. `evidence` names what agrees, never its value."""

    id: int
    customer_id: int
    other_customer_id: int
    evidence: tuple[str, ...]
    score: float
    at: datetime


def ask_for_check(conn: Connection, customer_id: int, now: datetime) -> None:
    """The scheduler looks soon whether this person is known already; nothing is planned when no other has the number.

    Not inside a turn: merging needs the locks of all conversations of both.
    """
    me, other = customers.alias("me"), customers.alias("other")
    shared = and_(other.c.phone == me.c.phone, is_filled(other.c.phone), other.c.id != me.c.id)
    found = select(other.c.id).join_from(me, other, shared).where(me.c.id == customer_id).limit(1)
    if conn.execute(found).first() is not None:
        timers.plan(conn, CHECK, now, now, customer_id=customer_id)


def check(conn: Connection, customer_id: int, now: datetime) -> None:
    """Whoever has proven the same number is the same person; others who share it, or the address, are proposed.

    A number that one has proven and the business's own list names for the other counts as proven for both. One that
    many have only told (a hot line, a number made up to get on) proposes nobody. A handful of statements, however many
    share it: on SQLite all turns wait meanwhile.
    """
    me = conn.execute(_PEOPLE.where(customers.c.id == customer_id)).first()
    if me is None:
        return
    decided = merge_proposals.c.state != "open"
    for other in _others(conn, me, _has_proven(me), asked=decided):
        merging.merge(conn, customer_id, other.id, evidence="verified_phone", author="system", now=now)
    common = {me.phone} if me.phone and _is_common(conn, me.phone) else set()
    says = [name for name in _WEIGHTS if getattr(me, name) and not (name == "phone" and common)]
    alike = [_has(name, getattr(me, name)) for name in _FINDS if name in says]
    others = _others(conn, me, alike, asked=true())
    insert_rows(conn, merge_proposals, [_proposal(me, other, common, now) for other in others])


def alike(conn: Connection, groups: Sequence[Sequence[int]], now: datetime) -> list[dict[str, Any]]:
    """Rows of `merge_proposals` for every two of a group that were never proposed; nothing is written.

    Groups are of people who have something in common that few share; what else agrees is evidence too.
    """
    ids = sorted({one for group in groups for one in group})
    people = {row.id: row for row in conn.execute(_PEOPLE.where(customers.c.id.in_(ids)))}
    low, high = merge_proposals.c.customer_id, merge_proposals.c.other_customer_id
    asked = {(row[0], row[1]) for row in conn.execute(select(low, high).where(low.in_(ids), high.in_(ids)))}
    pairs = {pair for group in groups for pair in combinations(sorted(group), 2)} - asked
    found = [(people[one], people[other]) for one, other in sorted(pairs) if one in people and other in people]
    phones = {one.phone for one, other in found if one.phone and one.phone == other.phone}
    common = {phone for phone in phones if _is_common(conn, phone)}
    return [_proposal(one, other, common, now) for one, other in found]


def _proposal(one: Any, other: Any, common: Collection[str], now: datetime) -> dict[str, Any]:
    """`common`: numbers that say nothing of who somebody is."""
    low, high = sorted((one.id, other.id))
    evidence = [
        name
        for name in _WEIGHTS
        if (said := getattr(one, name)) and said == getattr(other, name) and not (name == "phone" and said in common)
    ]
    score = min(0.95, sum(_WEIGHTS[name] for name in evidence))
    return {
        "customer_id": low,
        "other_customer_id": high,
        "evidence": evidence,
        "score": score,
        "state": "open",
        "at": now,
    }


def _has(name: str, value: str) -> ColumnElement[bool]:
    return and_(customers.c[name] == value, is_filled(customers.c[name]))


def _has_proven(me: Any) -> list[ColumnElement[bool]]:
    """Who has this person's number beyond doubt; nobody when neither proof nor a list says it is this person's."""
    if not me.phone or not (me.phone_is_verified or me.is_listed):
        return []
    proof = or_(customers.c.phone_is_verified, _IS_LISTED) if me.phone_is_verified else customers.c.phone_is_verified
    return [and_(_has("phone", me.phone), proof)]


def _is_common(conn: Connection, phone: str) -> bool:
    told = (_has("phone", phone), ~customers.c.phone_is_verified, customers.c.erased_at.is_(None))
    tellers = select(customers.c.id).where(*told, ~merging.is_merged(customers.c.id)).limit(TELLERS + 1)
    return len(conn.execute(tellers).all()) > TELLERS


def _others(
    conn: Connection, me: Any, alike: Sequence[ColumnElement[bool]], *, asked: ColumnElement[bool]
) -> Sequence[Any]:
    """People of whom one of these is true and who are another record still, but for those proposed and `asked`."""
    if not alike:
        return ()
    one, other = merge_proposals.c.customer_id, merge_proposals.c.other_customer_id
    pair = or_(and_(one == me.id, other == customers.c.id), and_(one == customers.c.id, other == me.id))
    wanted = (or_(*alike), customers.c.id.not_in(merging.family_of(me.id)), ~exists().where(pair, asked))
    return conn.execute(_PEOPLE.where(*wanted).order_by(customers.c.id).limit(MOST)).all()


def proposals(conn: Connection, limit: int = 200) -> list[Proposal]:
    """Those nobody has decided on, the most likely first."""
    rows = conn.execute(
        select(merge_proposals)
        .where(merge_proposals.c.state == "open")
        .order_by(merge_proposals.c.score.desc(), merge_proposals.c.id)
        .limit(limit)
    )
    return [
        Proposal(row.id, row.customer_id, row.other_customer_id, tuple(row.evidence), row.score, row.at) for row in rows
    ]


def decide(conn: Connection, proposal_id: int, *, is_same: bool, author: str, now: datetime) -> int | None:
    """Merged (the id of the merge), or never proposed again. Raises: NotFound when there is none to decide on."""
    still = and_(merge_proposals.c.id == proposal_id, merge_proposals.c.state == "open")
    row = conn.execute(select(merge_proposals).where(still).with_for_update()).first()
    if row is None:
        raise NotFound(f"no proposal {proposal_id} to decide on; it may have been decided before")
    decided = {"state": "merged" if is_same else "refused", "decided_by": author, "decided_at": now}
    conn.execute(update(merge_proposals).where(merge_proposals.c.id == proposal_id).values(**decided))
    if not is_same:
        return None
    return merging.merge(conn, row.customer_id, row.other_customer_id, evidence="staff", author=author, now=now)
