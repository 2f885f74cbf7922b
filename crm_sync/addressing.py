"""Who wrote, and in which conversation: found, or created, for many messages at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, select

from bot.frozen import value
from bot.types import WEB_SIGNED_IN
from crm_sync.columns import digest_key, key_in
from crm_sync.rows import new_ids
from crm_sync.statements import Statement, insert_rows
from crm_sync.tables import conversations, customers, identities

CRM: Final = ("crm", "import")  # channel and account of the identity made from a key of the business's own list
WEB_DEFAULT: Final = "default"


@value
class Address:
    """Where a message came from and where its answer goes."""

    channel: str
    account: str
    external_id: str
    chat_id: str
    topic: str = ""

    def identity_key(self) -> str:
        """Unique key of the identity."""
        return identity_key(self.channel, self.account, self.external_id)

    def conversation_key(self) -> str:
        """Unique key of the conversation."""
        return digest_key(self.channel, self.account, self.external_id, self.chat_id, self.topic)


def identity_key(channel: str, account: str, external_id: str) -> str:
    """Unique key of the identity."""
    return digest_key(channel, account, external_id)


@dataclass(slots=True)
class Place:
    """A conversation, locked by this transaction, and whose it is."""

    conversation_id: int
    identity_id: int
    customer_id: int
    web_seq: int
    dirty_since: datetime | None
    display_name: str
    language_hint: str
    is_unreachable: bool = False
    is_open: bool = True  # neither set aside for a while nor closed


@value
class Person:
    """An identity and the customer it belongs to."""

    identity_id: int
    customer_id: int
    display_name: str
    language_hint: str


_PLACES = Statement(
    select(
        conversations.c.key,
        conversations.c.id,
        conversations.c.identity_id,
        conversations.c.customer_id,
        conversations.c.web_seq,
        conversations.c.dirty_since,
        conversations.c.status,
        identities.c.display_name,
        identities.c.language_hint,
        identities.c.unreachable_at,
    )
    .join_from(conversations, identities, identities.c.id == conversations.c.identity_id)
    .where(key_in(conversations.c.key, "keys"))
    .order_by(conversations.c.id)
    .with_for_update(of=conversations)
)
_IDENTITIES = Statement(
    select(
        identities.c.key,
        identities.c.id,
        identities.c.customer_id,
        identities.c.display_name,
        identities.c.language_hint,
    ).where(key_in(identities.c.key, "keys"))
)


def find_or_create(conn: Connection, addresses: Iterable[Address], now: datetime) -> dict[Address, Place]:
    """A locked conversation for every address; customers, identities and conversations are created where missing.

    Two processes may create the same one at once: the second's unique key fails and its unit is run again.
    """
    keys = {address.conversation_key(): address for address in set(addresses)}
    if not keys:
        return {}
    places = {
        keys[row.key]: Place(
            row.id,
            row.identity_id,
            row.customer_id,
            row.web_seq,
            row.dirty_since,
            row.display_name,
            row.language_hint,
            row.unreachable_at is not None,
            row.status == "open",
        )
        for row in _PLACES.rows(conn, {"keys": list(keys)})
    }
    missing = {key: address for key, address in keys.items() if address not in places}
    if missing:
        places.update(_create(conn, missing, now))
    return places


def _create(conn: Connection, missing: dict[str, Address], now: datetime) -> dict[Address, Place]:
    people = find_or_create_people(conn, list(missing.values()), now)
    rows: list[dict[str, Any]] = []
    places: dict[Address, Place] = {}
    for conversation_id, (key, address) in zip(
        new_ids(conn, conversations, len(missing)), missing.items(), strict=True
    ):
        person = people[address.identity_key()]
        rows.append(
            {
                "id": conversation_id,
                "key": key,
                "identity_id": person.identity_id,
                "customer_id": person.customer_id,
                "channel": address.channel,
                "account": address.account,
                "chat_id": address.chat_id,
                "topic": address.topic,
                "created_at": now,
            }
        )
        places[address] = Place(
            conversation_id,
            person.identity_id,
            person.customer_id,
            0,
            None,
            person.display_name,
            person.language_hint,
        )
    insert_rows(conn, conversations, rows)
    return places


def find_or_create_people(conn: Connection, addresses: list[Address], now: datetime) -> dict[str, Person]:
    """Identity key -> person, for every address; customers and identities are created where missing."""
    wanted = {address.identity_key(): address for address in addresses}
    people = {
        row.key: Person(row.id, row.customer_id, row.display_name, row.language_hint)
        for row in _IDENTITIES.rows(conn, {"keys": list(wanted)})
    }
    unknown = {key: address for key, address in wanted.items() if key not in people}
    if not unknown:
        return people
    known = _same_people(conn, unknown)
    strangers = [key for key in unknown if key not in known]
    customer_ids = new_ids(conn, customers, len(strangers))
    insert_rows(conn, customers, [{"id": customer_id, "created_at": now} for customer_id in customer_ids])
    owners = {**known, **dict(zip(strangers, customer_ids, strict=True))}
    rows: list[dict[str, Any]] = []
    for (key, address), identity_id in zip(unknown.items(), new_ids(conn, identities, len(unknown)), strict=True):
        customer_id = owners[key]
        rows.append(
            {
                "id": identity_id,
                "key": key,
                "customer_id": customer_id,
                "channel": address.channel,
                "account": address.account,
                "external_id": address.external_id,
                "created_at": now,
            }
        )
        people[key] = Person(identity_id, customer_id, "", "")
    insert_rows(conn, identities, rows)
    return people


def _same_people(conn: Connection, unknown: dict[str, Address]) -> dict[str, int]:
    """Identity key -> customer, for those whom the business's own key names elsewhere already.

    The website signs its customers in by the same key under which the business lists them, so both are one person.
    """
    wanted: dict[str, str] = {}
    for key, address in unknown.items():
        if address.channel == "web" and address.external_id.startswith(WEB_SIGNED_IN):
            wanted[identity_key(*CRM, address.external_id.removeprefix(WEB_SIGNED_IN))] = key
        elif (address.channel, address.account) == CRM:
            wanted[identity_key("web", WEB_DEFAULT, WEB_SIGNED_IN + address.external_id)] = key
    if not wanted:
        return {}
    return {wanted[row.key]: row.customer_id for row in _IDENTITIES.rows(conn, {"keys": list(wanted)})}
