"""Conversations made into tests of the assistant, and what they are made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from crm_sync.console_tables import conversation_tests
from crm_sync.personal import personal_values
from crm_sync.tables import conversations, customers, identities, messages, turns


@dataclass(frozen=True, slots=True)
class StoredTest:
    """A transcript, as `frontdesk replay` takes it."""

    id: int
    name: str
    document: Mapping[str, Any]
    conversation_id: int | None
    by: str
    at: datetime


def spoken(conn: Connection, conversation_id: int, first: int | None, last: int | None, limit: int) -> Sequence[Any]:
    """The messages of a conversation in order, from one id to another; edits and what was taken back are left out."""
    table = messages.c
    statement = (
        select(
            table.id, table.direction, table.author, table.kind, table.text, table.content, table.template,
            table.inbox_id, table.language, table.at,
        )
        .where(table.conversation_id == conversation_id, table.replaces.is_(None), table.deleted_at.is_(None))
        .order_by(table.id)
        .limit(limit)
    )  # fmt: skip
    if first is not None:
        statement = statement.where(table.id >= first)
    if last is not None:
        statement = statement.where(table.id <= last)
    return conn.execute(statement).all()


def names_of(conn: Connection, conversation_id: int) -> list[str]:
    """What the customer is called, on all their channels."""
    customer = select(conversations.c.customer_id).where(conversations.c.id == conversation_id).scalar_subquery()
    found = [conn.execute(select(customers.c.name).where(customers.c.id == customer)).scalar() or ""]
    found += conn.execute(select(identities.c.display_name).where(identities.c.customer_id == customer)).scalars()
    return [name for name in found if name.strip()]


def personal_in(conn: Connection, conversation_id: int) -> list[str]:
    """What the engine found in the customer's words that names a person or is theirs, each once."""
    kept = conn.execute(select(turns.c.understanding).where(turns.c.conversation_id == conversation_id)).scalars()
    return list(dict.fromkeys(value for understanding in kept for value in personal_values(understanding)))


def put_test(conn: Connection, assistant: str, test: StoredTest) -> int:
    """The test is kept; one of the same name is replaced. Its id."""
    same = (conversation_tests.c.assistant == assistant) & (conversation_tests.c.name == test.name)
    conn.execute(delete(conversation_tests).where(same))
    row = {
        "assistant": assistant,
        "name": test.name,
        "document": test.document,
        "conversation_id": test.conversation_id,
        "by": test.by,
        "at": test.at,
    }
    inserted = conn.execute(insert(conversation_tests).values(row)).inserted_primary_key
    return int(inserted[0]) if inserted else 0


def stored_tests(conn: Connection, assistant: str) -> list[StoredTest]:
    """By name."""
    rows = conn.execute(
        select(conversation_tests)
        .where(conversation_tests.c.assistant == assistant)
        .order_by(conversation_tests.c.name, conversation_tests.c.id)
    )
    return [StoredTest(row.id, row.name, row.document, row.conversation_id, row.by, row.at) for row in rows]


def drop_test(conn: Connection, assistant: str, test_id: int) -> bool:
    """False when there was none."""
    which = (conversation_tests.c.assistant == assistant) & (conversation_tests.c.id == test_id)
    return conn.execute(delete(conversation_tests).where(which)).rowcount > 0
