"""What people agreed to be sent: by purpose and channel, since when and until when, where it comes from, what shows it.

Rows are never changed but for their end. What was said last counts; a withdrawal of everything is a row whose purpose
and channel are "*". `crm_sync/eligibility.py` reads all of this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, and_, func, insert, or_, select, update

from bot.service_types import AnswerConsent, EndConsents, WishContact
from bot.types import RecordConsent
from crm_sync.broadcast_tables import consent_requests, contact_wishes
from crm_sync.eligibility import EVERYTHING
from crm_sync.rows import upsert
from crm_sync.subjects import Subject, note
from crm_sync.tables import consents

NO_PROOF: Final[Mapping[str, Any]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class RegisterLine:
    """One thing somebody said, and what shows that they did. `until` None: in force."""

    id: int
    customer_id: int
    purpose: str
    channel: str
    source: str
    granted: bool
    at: datetime
    until: datetime | None
    proof: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class OpenRequest:
    """Somebody was asked to confirm, and has not answered."""

    id: int
    purpose: str
    channel: str
    source: str
    asked_at: datetime
    expires_at: datetime


_LINE: Final = tuple(consents.c[name] for name in RegisterLine.__dataclass_fields__)
_REQUEST: Final = tuple(consent_requests.c[name] for name in OpenRequest.__dataclass_fields__)


# --- writing ----------------------------------------------------------------------------------------------------------


def put(
    conn: Connection,
    customer_id: int,
    *,
    purpose: str,
    channel: str,
    granted: bool,
    source: str,
    at: datetime,
    until: datetime | None = None,
    identity_id: int | None = None,
    proof: Mapping[str, Any] = NO_PROOF,
) -> None:
    """It holds from then on, in place of what was said about this purpose on this channel before."""
    before = and_(
        consents.c.customer_id == customer_id,
        consents.c.channel == channel,
        consents.c.purpose == purpose,
        _in_force(at),
    )
    conn.execute(update(consents).where(before).values(until=at))
    said = {"purpose": purpose, "channel": channel, "granted": granted, "source": source, "at": at, "until": until}
    conn.execute(
        insert(consents), {**said, "customer_id": customer_id, "identity_id": identity_id, "proof": dict(proof)}
    )


def withdraw_all(
    conn: Connection,
    customer_id: int,
    *,
    source: str,
    at: datetime,
    identity_id: int | None = None,
    proof: Mapping[str, Any] = NO_PROOF,
) -> None:
    """Nothing they agreed to holds any more, on any channel; what they were asked to confirm is refused."""
    mine = (consents.c.customer_id == customer_id, consents.c.granted, _in_force(at))
    conn.execute(update(consents).where(*mine).values(until=at))
    everything: dict[str, Any] = {"purpose": EVERYTHING, "channel": EVERYTHING, "granted": False, "source": source}
    put(conn, customer_id, **everything, at=at, identity_id=identity_id, proof=proof)
    conn.execute(
        update(consent_requests)
        .where(consent_requests.c.customer_id == customer_id, consent_requests.c.answered_at.is_(None))
        .values(answered_at=at, granted=False)
    )


def _in_force(at: datetime) -> ColumnElement[bool]:
    return or_(consents.c.until.is_(None), consents.c.until > at)


# --- asked and confirmed (double opt-in) ------------------------------------------------------------------------------


def ask(
    conn: Connection,
    *,
    customer_id: int,
    identity_id: int,
    purpose: str,
    channel: str,
    source: str,
    now: datetime,
    expires_at: datetime,
) -> bool:
    """The customer is to confirm it there; False when they were asked before and can still answer."""
    open_one = (
        consent_requests.c.identity_id == identity_id,
        consent_requests.c.purpose == purpose,
        consent_requests.c.answered_at.is_(None),
    )
    over = (*open_one, consent_requests.c.expires_at <= now)
    conn.execute(update(consent_requests).where(*over).values(answered_at=now))  # never answered: neither yes nor no
    if conn.execute(select(consent_requests.c.id).where(*open_one)).first() is not None:
        return False
    row = {"purpose": purpose, "channel": channel, "source": source, "asked_at": now, "expires_at": expires_at}
    conn.execute(insert(consent_requests), {**row, "customer_id": customer_id, "identity_id": identity_id})
    return True


def open_requests(conn: Connection, customer_id: int, now: datetime) -> tuple[OpenRequest, ...]:
    """What they were asked to confirm and still can, the oldest first."""
    mine = (
        consent_requests.c.customer_id == customer_id,
        consent_requests.c.answered_at.is_(None),
        consent_requests.c.expires_at > now,
    )
    rows = conn.execute(select(*_REQUEST).where(*mine).order_by(consent_requests.c.id))
    return tuple(OpenRequest(**row._mapping) for row in rows)


# --- by the customer, in a turn ---------------------------------------------------------------------------------------


def record_said(conn: Connection, effect: RecordConsent, subject: Subject) -> None:
    """What the customer said here holds on this channel from now on."""
    put(
        conn,
        subject.customer_id,
        purpose=effect.purpose,
        channel=subject.channel,
        granted=effect.granted,
        source=effect.source,
        at=subject.now,
        identity_id=subject.identity_id,
        proof=_proof(subject),
    )
    note(conn, subject, "consent_granted" if effect.granted else "consent_withdrawn", effect.source, effect.purpose)


def end_all(conn: Connection, effect: EndConsents, subject: Subject) -> None:
    """What they asked for with one word: nothing more, anywhere."""
    who: dict[str, Any] = {"identity_id": subject.identity_id, "proof": _proof(subject)}
    withdraw_all(conn, subject.customer_id, source=effect.source, at=subject.now, **who)
    note(conn, subject, "consent_withdrawn", effect.source, EVERYTHING)


def answer(conn: Connection, effect: AnswerConsent, subject: Subject) -> None:
    """What they were asked to confirm is in force on the channel it was asked for, or refused."""
    for request in open_requests(conn, subject.customer_id, subject.now):
        this = consent_requests.c.id == request.id
        conn.execute(update(consent_requests).where(this).values(answered_at=subject.now, granted=effect.granted))
        said: dict[str, Any] = {"purpose": request.purpose, "channel": request.channel, "granted": effect.granted}
        proof = {**_proof(subject), "request_id": request.id}
        who: dict[str, Any] = {"identity_id": subject.identity_id, "source": request.source, "proof": proof}
        put(conn, subject.customer_id, at=subject.now, **said, **who)
        kind = "consent_granted" if effect.granted else "consent_withdrawn"
        note(conn, subject, kind, request.source, request.purpose)


def wish(conn: Connection, effect: WishContact, subject: Subject) -> None:
    """How often, when and about what they want to be written to from now on."""
    row = {
        "customer_id": subject.customer_id,
        "topics_off": list(effect.topics_off),
        "per_week": effect.per_week,
        "quiet_from": effect.quiet[0],
        "quiet_until": effect.quiet[1],
        "source": effect.source,
        "updated_at": subject.now,
    }
    upsert(conn, contact_wishes, row, key=("customer_id",))
    note(conn, subject, "contact_wishes", effect.source)


def wishes_of(conn: Connection, customer_id: int) -> WishContact:
    """What they said of it last; nothing in particular when they never did."""
    row = conn.execute(select(contact_wishes).where(contact_wishes.c.customer_id == customer_id)).first()
    if row is None:
        return WishContact()
    quiet = (row.quiet_from, row.quiet_until)
    return WishContact(tuple(row.topics_off), row.per_week, quiet, row.source)


def _proof(subject: Subject) -> Mapping[str, Any]:
    return NO_PROOF if subject.inbox_id is None else {"inbox_id": subject.inbox_id}


# --- reading ----------------------------------------------------------------------------------------------------------


def page(
    conn: Connection,
    *,
    purpose: str = "",
    channel: str = "",
    granted: bool | None = None,
    customer_id: int | None = None,
    before: int | None,
    limit: int,
) -> list[RegisterLine]:
    """Lines of the register that fit, the newest first."""
    found = select(*_LINE).order_by(consents.c.id.desc()).limit(limit)
    equal = {"purpose": purpose or None, "channel": channel or None, "customer_id": customer_id, "granted": granted}
    for name, value in equal.items():
        if value is not None:
            found = found.where(consents.c[name] == value)
    if before is not None:
        found = found.where(consents.c.id < before)
    return [RegisterLine(**row._mapping) for row in conn.execute(found)]


def summary(conn: Connection, now: datetime) -> Sequence[tuple[str, str, int, int]]:
    """Purpose, channel, how many people's last word there is yes, and how many no."""
    yes, no = consents.c.granted, ~consents.c.granted
    people = func.count(consents.c.customer_id.distinct())
    rows = conn.execute(
        select(consents.c.purpose, consents.c.channel, people.filter(yes), people.filter(no))
        .where(_in_force(now), consents.c.at <= now)
        .group_by(consents.c.purpose, consents.c.channel)
        .order_by(consents.c.purpose, consents.c.channel)
    )
    return [(row[0], row[1], row[2], row[3]) for row in rows]
