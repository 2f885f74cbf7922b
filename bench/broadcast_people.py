"""A store full of people who agreed, written in a few statements: what a broadcast has to be measured with."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from sqlalchemy import BigInteger, Boolean, Connection, Table, Text, bindparam, cast, func, insert, literal, select

from crm_sync.broadcast_tables import broadcasts
from crm_sync.columns import UtcDateTime, is_postgres
from crm_sync.database import Database
from crm_sync.service_tables import customer_values
from crm_sync.tables import consents, conversations, customers, identities

STEP: Final = 20_000
PURPOSE: Final = "promotion"
FIRST_CHAT: Final = 10_000_000
LONG_AGO: Final = datetime(2026, 1, 1, tzinfo=UTC)  # when everybody came and agreed


async def settle(
    database: Database, count: int, *, channel: str = "telegram", account: str = "bench", checked: bool = True
) -> None:
    """Customers 1 to `count` have an identity, a conversation and a consent each; a third of them a value class.

    Without `checked` foreign keys are taken for granted (a superuser's right), which takes half the time.
    """
    for start in range(1, count + 1, STEP):
        end = min(count, start + STEP - 1)
        unit = partial(_settle, some=(start, end), place=(channel, account), checked=checked)
        await database.run(unit, durable=False, checked=checked)


def _settle(conn: Connection, some: tuple[int, int], place: tuple[str, str], *, checked: bool) -> None:
    (start, end), (channel, account) = some, place
    if not checked and is_postgres(conn):
        conn.exec_driver_sql("SET LOCAL session_replication_role = replica")
    now = LONG_AGO
    first = select(literal(start, BigInteger).label("n")).cte("numbers", recursive=True)
    numbers = first.union_all(select(first.c.n + 1).where(first.c.n < end))
    n = numbers.c.n
    at = bindparam("at", now, type_=UtcDateTime())
    chat = cast(n + FIRST_CHAT, Text)
    where = {"channel": literal(channel, Text), "account": literal(account, Text)}
    rows: list[tuple[Table, dict[str, Any], Any]] = [
        (customers, {"id": n, "name": literal("Kim ", Text) + cast(n, Text), "created_at": at}, None),
        (
            identities,
            {
                "id": n,
                "key": literal("i", Text) + chat,
                "customer_id": n,
                **where,
                "external_id": chat,
                "created_at": at,
            },
            None,
        ),
        (
            conversations,
            {
                "id": n,
                "key": literal("c", Text) + chat,
                "identity_id": n,
                "customer_id": n,
                **where,
                "chat_id": chat,
                "last_inbound_at": at,
                "created_at": at,
            },
            None,
        ),
        (
            consents,
            {
                "customer_id": n,
                "identity_id": n,
                "purpose": literal(PURPOSE, Text),
                "channel": literal(channel, Text),
                "source": literal("bench", Text),
                "granted": literal(True, Boolean),
                "at": at,
            },
            None,
        ),
        (customer_values, {"customer_id": n, "value_class": literal("A", Text), "computed_at": at}, n % 3 == 0),
    ]
    for table, values, only in rows:
        made = select(*(value.label(name) for name, value in values.items())).select_from(numbers)
        conn.execute(insert(table).from_select(list(values), made if only is None else made.where(only)))


async def broadcast_row(database: Database, name: str, state: str, document: dict[str, Any]) -> int:
    """The id of a broadcast that is there from now on."""
    now = datetime.now(UTC)
    values = {"name": name, "state": state, "document": document, "seed": 7, "created_at": now, "updated_at": now}

    def unit(conn: Connection) -> int:
        key = conn.execute(insert(broadcasts).values(**values)).inserted_primary_key
        return int(key[0]) if key else 0

    return await database.run(unit)


async def analyzed(database: Database) -> None:
    """The database knows how its tables are filled, as it does in a store that was not filled a moment ago."""

    def unit(conn: Connection) -> None:
        for table in (customers, identities, conversations, consents, customer_values):
            conn.execute(func.count().select().select_from(table))
            conn.exec_driver_sql(f"ANALYZE {table.name}")

    await database.run(unit)
