"""People for broadcasts, as rows: who they are, where they are reached, what they agreed to, what holds them back."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import count
from typing import Any

from sqlalchemy import Connection, Table, insert

from crm_sync.addressing import identity_key
from crm_sync.broadcast_tables import broadcast_recipients, broadcasts
from crm_sync.tables import cases, consents, conversations, customers, identities
from tests.store_steps import START

_numbers = count(1)


def add(conn: Connection, table: Table, **values: Any) -> int:
    """The row is there; its key, 0 where that is not one number."""
    key = conn.execute(insert(table).values(**values)).inserted_primary_key
    return int(key[0]) if key is not None and isinstance(key[0], int) else 0


def a_person(conn: Connection, *channels: str, agreed: str = "news", **facts: Any) -> int:
    """A customer with a conversation on each channel who agreed there to this purpose ("": to nothing); the id."""
    customer_id = add(conn, customers, **{"created_at": START, **facts})
    for channel in channels:
        a_talk(conn, customer_id, channel)
        if agreed:
            a_consent(conn, customer_id, channel, purpose=agreed)
    return customer_id


def a_talk(conn: Connection, customer_id: int, channel: str, *, account: str = "main", **more: Any) -> int:
    """A conversation of the customer; its id. `unreachable_at` is said of the identity."""
    number = next(_numbers)
    who = {"customer_id": customer_id, "channel": channel, "account": account, "created_at": START}
    key = identity_key(channel, account, f"u{number}")
    them = {"key": key, "external_id": f"u{number}", "unreachable_at": more.pop("unreachable_at", None)}
    identity_id = add(conn, identities, **who, **them)
    talk = {"key": f"c{number}", "chat_id": f"u{number}", "identity_id": identity_id, **more}
    return add(conn, conversations, **who, **talk)


def a_consent(
    conn: Connection,
    customer_id: int,
    channel: str,
    *,
    purpose: str = "news",
    granted: bool = True,
    at: datetime = START - timedelta(days=30),
    until: datetime | None = None,
) -> int:
    what = {"purpose": purpose, "channel": channel, "source": "test", "granted": granted}
    return add(conn, consents, customer_id=customer_id, at=at, until=until, **what)


def a_complaint(conn: Connection, customer_id: int, *, is_open: bool = True, kind: str = "complaint") -> int:
    number = f"C-{next(_numbers)}"
    what = {"kind": kind, "category": "delivery", "subject": number, "severity": 2, "status": "open", "summary": "late"}
    row = {**what, "number": number, "details": {}, "is_open": is_open, "opened_at": START, "updated_at": START}
    return add(conn, cases, customer_id=customer_id, **row)


def a_broadcast(conn: Connection) -> int:
    what = {"name": f"b{next(_numbers)}", "state": "running", "document": {}, "seed": 1}
    return add(conn, broadcasts, created_at=START, updated_at=START, **what)


def a_recipient(
    conn: Connection, broadcast_id: int, customer_id: int, conversation_id: int | None, state: str, **more: Any
) -> int:
    where = {"conversation_id": conversation_id, "state": state}
    return add(conn, broadcast_recipients, broadcast_id=broadcast_id, customer_id=customer_id, **where, **more)
