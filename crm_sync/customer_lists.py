"""Customers as lists show them: found by anything known of a person, page by page; their timeline and consents."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Select, and_, exists, insert, or_, select, update
from sqlalchemy.sql.elements import ColumnElement

from crm_sync.columns import escape_words
from crm_sync.customers import ids_found_by
from crm_sync.merging import is_merged, root_of
from crm_sync.service_tables import customer_tags, customer_values
from crm_sync.tables import consents, customers, timeline

SHORTEST: Final = 2  # characters of a part of a name worth looking for
MOST_CONSENTS: Final = 500


@dataclass(frozen=True, slots=True)
class CustomerLine:
    """A customer as a list shows them."""

    id: int
    name: str
    phone: str
    phone_is_verified: bool
    email: str
    language: str
    timezone: str
    credit_class: str
    value_class: str
    lifecycle: str
    next_action: str
    tags: tuple[str, ...]
    created_at: datetime

    @property
    def version(self) -> int:
        """Another number as soon as any of it is different: the record has no counter, many write it."""
        said = repr(tuple(getattr(self, name) for name in self.__dataclass_fields__))
        return int.from_bytes(hashlib.blake2b(said.encode("utf-8", "surrogatepass"), digest_size=7).digest())


@dataclass(frozen=True, slots=True)
class TimelineLine:
    """Something that happened with a customer."""

    id: int
    kind: str
    summary: str
    reference: str
    author: str
    conversation_id: int | None
    at: datetime


@dataclass(frozen=True, slots=True)
class ConsentLine:
    """What a customer agreed to (or took back) for a purpose on a channel. `until` None: in force."""

    id: int
    purpose: str
    channel: str
    source: str
    granted: bool
    at: datetime
    until: datetime | None


_TIMELINE: Final = tuple(timeline.c[name] for name in TimelineLine.__dataclass_fields__)
_CONSENT: Final = tuple(consents.c[name] for name in ConsentLine.__dataclass_fields__)


def find(
    conn: Connection,
    q: str,
    *,
    tag: str = "",
    credit_class: str = "",
    value_class: str = "",
    lifecycle: str = "",
    before: int | None = None,
    limit: int,
) -> list[CustomerLine]:
    """Customers that fit everything, the newest first; those who were erased or are part of another are left out."""
    statement = _lines().where(~is_merged(customers.c.id))
    if q:
        known = ids_found_by(conn, q)
        # What fits exactly is meant; a part of a name is looked for where nothing does.
        if known:
            statement = statement.where(customers.c.id.in_(known))
        elif len(q) < SHORTEST:
            return []
        else:
            statement = statement.where(or_(_holds(customers.c.name, q), _holds(customers.c.email, q)))
    if tag:
        tagged = and_(customer_tags.c.customer_id == customers.c.id, customer_tags.c.tag == tag.lower())
        statement = statement.where(exists().where(tagged))
    if credit_class:
        statement = statement.where(customers.c.credit_class == credit_class.upper())
    if value_class:
        statement = statement.where(customer_values.c.value_class == value_class)
    if lifecycle:
        statement = statement.where(customer_values.c.lifecycle == lifecycle)
    if before is not None:
        statement = statement.where(customers.c.id < before)
    return _filled(conn, statement.order_by(customers.c.id.desc()).limit(limit))


def line_of(conn: Connection, customer_id: int) -> CustomerLine | None:
    """The customer, or the one this record is part of now; None when there is none, or they were erased."""
    found = _filled(conn, _lines().where(customers.c.id == root_of(conn, customer_id)))
    return found[0] if found else None


def _lines() -> Select[Any]:
    return (
        select(customers, customer_values.c.value_class, customer_values.c.lifecycle, customer_values.c.next_action)
        .outerjoin_from(customers, customer_values, customer_values.c.customer_id == customers.c.id)
        .where(customers.c.erased_at.is_(None))
    )


def _filled(conn: Connection, statement: Select[Any]) -> list[CustomerLine]:
    rows = conn.execute(statement).all()
    tags: dict[int, list[str]] = {row.id: [] for row in rows}
    given = select(customer_tags.c.customer_id, customer_tags.c.tag).where(customer_tags.c.customer_id.in_(list(tags)))
    for customer_id, tag in conn.execute(given.order_by(customer_tags.c.tag)):
        tags[customer_id].append(tag)
    plain = [name for name in CustomerLine.__dataclass_fields__ if name not in ("tags",)]
    return [
        CustomerLine(**{name: _or_empty(name, getattr(row, name)) for name in plain}, tags=tuple(tags[row.id]))
        for row in rows
    ]


def _or_empty(name: str, value: Any) -> Any:
    """What nothing was computed for yet is empty."""
    return "" if value is None and name in ("value_class", "lifecycle", "next_action") else value


def _holds(column: ColumnElement[str], part: str) -> ColumnElement[bool]:
    return column.icontains(escape_words(part), autoescape=True)


def timeline_of(
    conn: Connection, customer_id: int, kinds: Sequence[str], *, before: int | None, limit: int
) -> list[TimelineLine]:
    """What happened with the customer, the newest first; of these kinds, or of any."""
    statement = select(*_TIMELINE).where(timeline.c.customer_id == root_of(conn, customer_id))
    if kinds:
        statement = statement.where(timeline.c.kind.in_(list(kinds)))
    if before is not None:
        statement = statement.where(timeline.c.id < before)
    rows = conn.execute(statement.order_by(timeline.c.id.desc()).limit(limit))
    return [TimelineLine(**row._mapping) for row in rows]


def consents_of(conn: Connection, customer_id: int) -> tuple[ConsentLine, ...]:
    """Everything that was agreed to and taken back, the newest first."""
    mine = select(*_CONSENT).where(consents.c.customer_id == root_of(conn, customer_id))
    rows = conn.execute(mine.order_by(consents.c.id.desc()).limit(MOST_CONSENTS))
    return tuple(ConsentLine(**row._mapping) for row in rows)


def put_consent(
    conn: Connection,
    customer_id: int,
    *,
    purpose: str,
    channel: str,
    granted: bool,
    source: str,
    now: datetime,
) -> None:
    """It holds from now on, in place of what was said about this purpose on this channel before."""
    person = root_of(conn, customer_id)
    in_force = and_(
        consents.c.customer_id == person,
        consents.c.channel == channel,
        consents.c.purpose == purpose,
        consents.c.until.is_(None),
    )
    conn.execute(update(consents).where(in_force).values(until=now))
    row = {"customer_id": person, "purpose": purpose, "channel": channel, "source": source, "granted": granted}
    conn.execute(insert(consents), {**row, "at": now})
    kind = "consent_granted" if granted else "consent_withdrawn"
    line = {"kind": kind, "summary": source, "reference": purpose, "author": "operator"}
    conn.execute(insert(timeline), {**line, "customer_id": person, "at": now})
