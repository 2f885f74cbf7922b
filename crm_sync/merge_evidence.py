"""Who may be the same person: merged on strong evidence, proposed to staff on weak, left alone where staff said no."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, and_, exists, insert, or_, select, update

from bot.errors import NotFound
from crm_sync import merging, timers
from crm_sync.addressing import CRM
from crm_sync.columns import is_filled
from crm_sync.service_tables import customer_attributes, merge_proposals
from crm_sync.tables import customers, identities

CHECK: Final = "merge_check"  # kind of timer
PROPOSE: Final = 0.6  # from this score on
_WEIGHTS: Final = {"phone": 0.6, "email": 0.6, "name": 0.2, "birthday": 0.2}
MOST: Final = 20  # candidates looked at


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

    A number that one has proven and the business's own list names for the other counts as proven for both.
    """
    me = _known(conn, customer_id)
    if me is None:
        return
    likely = [and_(customers.c.phone == me["phone"], is_filled(customers.c.phone))] if me["phone"] else []
    likely += [and_(customers.c.email == me["email"])] if me["email"] else []
    if not likely:
        return
    others = select(customers.c.id).where(or_(*likely), customers.c.id != customer_id, customers.c.erased_at.is_(None))
    for other_id in conn.execute(others.order_by(customers.c.id).limit(MOST)).scalars().all():
        other = _known(conn, other_id)
        if other is None or merging.root_of(conn, customer_id) == merging.root_of(conn, other_id):
            continue
        before = _proposal(conn, customer_id, other_id)
        if before is not None and before.state == "refused":
            continue
        if _is_proven(me, other):
            merging.merge(conn, customer_id, other_id, evidence="verified_phone", author="system", now=now)
        elif before is None:
            _propose(conn, me, other, now)


def _known(conn: Connection, customer_id: int) -> dict[str, Any] | None:
    listed = exists().where(and_(identities.c.customer_id == customers.c.id, identities.c.channel == CRM[0]))
    row = conn.execute(
        select(customers, listed.label("listed"), customer_attributes.c.value.label("birthday"))
        .outerjoin_from(
            customers,
            customer_attributes,
            and_(customer_attributes.c.customer_id == customers.c.id, customer_attributes.c.name == "birthday"),
        )
        .where(customers.c.id == customer_id, customers.c.erased_at.is_(None))
    ).first()
    return None if row is None else dict(row._mapping)


def _is_proven(me: dict[str, Any], other: dict[str, Any]) -> bool:
    if not me["phone"] or me["phone"] != other["phone"]:
        return False
    if me["phone_is_verified"] and other["phone_is_verified"]:
        return True
    proven, told = (me, other) if me["phone_is_verified"] else (other, me)
    return bool(proven["phone_is_verified"] and told["listed"])


def _propose(conn: Connection, me: dict[str, Any], other: dict[str, Any], now: datetime) -> None:
    evidence = [name for name in _WEIGHTS if me[name] and me[name] == other[name]]
    score = min(0.95, sum(_WEIGHTS[name] for name in evidence))
    if score < PROPOSE:
        return
    low, high = sorted((me["id"], other["id"]))
    row = {"customer_id": low, "other_customer_id": high, "evidence": evidence, "score": score, "state": "open"}
    conn.execute(insert(merge_proposals), {**row, "at": now})


def _proposal(conn: Connection, one: int, other: int) -> Any:
    pair = and_(
        merge_proposals.c.customer_id == min(one, other), merge_proposals.c.other_customer_id == max(one, other)
    )
    return conn.execute(select(merge_proposals).where(pair)).first()


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
