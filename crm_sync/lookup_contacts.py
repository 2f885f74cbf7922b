"""The record that an order or case number belongs to, and the ways to reach whoever it is about."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, and_, select

from bot.types import Case, Order
from crm_sync.audit_chain import keys_of
from crm_sync.columns import dump_json
from crm_sync.numbers import read
from crm_sync.snapshot_parts import CASE_COLUMNS, ORDER_COLUMNS, case_of, order_of
from crm_sync.tables import cases, conversations, customers, identities, orders

_LONGEST: Final = 64  # characters of a number; a longer one is nobody's


@dataclass(frozen=True, slots=True)
class Ways:
    """By what means this deployment can send a code. `chats`: channel and account of those open to us at any time."""

    sms: bool = False
    email: bool = False
    chats: frozenset[tuple[str, str]] = frozenset()

    def __bool__(self) -> bool:
        return self.sms or self.email or bool(self.chats)


@dataclass(frozen=True, slots=True)
class Contact:
    """Where a code can go. `address`: E.164, e-mail address, or a chat on this channel and account."""

    way: str  # sms | email | chat
    address: str = field(repr=False)
    channel: str = ""
    account: str = ""
    conversation_id: int = 0

    def is_open(self, ways: Ways) -> bool:
        if self.way == "chat":
            return (self.channel, self.account) in ways.chats
        return ways.sms if self.way == "sms" else ways.email

    def marks(self, conn: Connection) -> tuple[str, ...]:
        """What stands for this contact in the store, under every key."""
        return marks(conn, "contact", self.way, self.channel, self.account, self.address)


@dataclass(frozen=True, slots=True)
class Record:
    """The order or case behind a number, and the person it is about."""

    customer_id: int | None
    contacts: tuple[Contact, ...]  # the best proof of who somebody is first
    order: Order | None = None
    case: Case | None = None

    def has(self, conn: Connection, target: str) -> bool:
        """Whether this is still one of its contacts."""
        return any(target in contact.marks(conn) for contact in self.contacts) if target else False


def marks(conn: Connection, *parts: str) -> tuple[str, ...]:
    """Keyed digests (HMAC-SHA-256) of these parts, the signing key's first.

    Raises: Misconfigured when the store was opened without keys.
    """
    keys = keys_of(conn, "one-time codes")
    said = dump_json(["lookup code", *parts]).encode()
    return tuple(hmac.new(key, said, hashlib.sha256).hexdigest() for key in keys)


def one_spelling(kind: str, number: str) -> str:
    """The number in the form it is counted and looked for in, however it was written."""
    plain = number.strip().upper()[:_LONGEST]
    return read(plain) or plain if kind == "case" else plain.removeprefix("SO-")


def record_of(conn: Connection, kind: str, number: str) -> Record | None:
    """The record behind a number (`one_spelling`); None when there is none, or the person was erased."""
    row = _row(conn, kind, number)
    if row is None:
        return None
    phone = row.phone if kind == "order" else ""
    person = _person(conn, row.customer_id, phone)
    if person is not None and person.erased_at is not None:
        return None
    contacts = [Contact("sms", phone)] if phone else []
    if person is not None:
        contacts += [Contact("sms", person.phone)] if person.phone and person.phone != phone else []
        contacts += [Contact("email", person.email)] if person.email else []
        contacts += _chats(conn, person.id)
    found = order_of(row) if kind == "order" else None
    case = case_of(row) if kind == "case" else None
    return Record(person.id if person is not None else None, tuple(contacts), found, case)


def _row(conn: Connection, kind: str, number: str) -> Any:
    if kind == "case":
        one = select(*CASE_COLUMNS, cases.c.customer_id).where(cases.c.number == number)
        return conn.execute(one).first()
    spelled = orders.c.number.in_((number, f"SO-{number}"))
    found = select(*ORDER_COLUMNS, orders.c.customer_id, orders.c.phone).where(spelled)
    return conn.execute(found.order_by(orders.c.number).limit(1)).first()


def _person(conn: Connection, customer_id: int | None, phone: str) -> Any:
    """Whose record it is: the customer named there, else whoever has proven the number named there."""
    if customer_id is None and not phone:
        return None
    proven = and_(customers.c.phone == phone, customers.c.phone_is_verified, customers.c.erased_at.is_(None))
    which = customers.c.id == customer_id if customer_id is not None else proven
    return conn.execute(select(customers).where(which).order_by(customers.c.id).limit(1)).first()


def _chats(conn: Connection, customer_id: int) -> list[Contact]:
    """Their chats with us alone, the one used last first; none where they have blocked us."""
    rows = conn.execute(
        select(identities.c.channel, identities.c.account, conversations.c.chat_id, conversations.c.id)
        .join_from(identities, conversations, conversations.c.identity_id == identities.c.id)
        .where(
            identities.c.customer_id == customer_id,
            identities.c.unreachable_at.is_(None),
            conversations.c.chat_id == identities.c.external_id,
            conversations.c.topic == "",
        )
        .order_by(conversations.c.last_message_at.desc(), conversations.c.id.desc())
    )
    return [Contact("chat", row.chat_id, row.channel, row.account, row.id) for row in rows]
