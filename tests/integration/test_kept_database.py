"""The suite's own PostgreSQL database: between two tests it is as it was copied, or another one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest
from sqlalchemy import Connection, func, select, text

from crm_sync.store import SqlStore
from crm_sync.tables import metadata
from tests.kept_database import KeptDatabase, kept_database
from tests.store_steps import converse

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def kept(pg_server_url: str, pg_template: str) -> Iterator[KeptDatabase]:
    with kept_database(pg_server_url, pg_template) as kept:
        yield kept


@pytest.fixture
async def store(kept: KeptDatabase) -> AsyncIterator[SqlStore]:
    opened = await SqlStore.open(kept.url())
    yield opened
    await opened.close()
    kept.give_back()


def _rows(conn: Connection) -> int:
    return sum(conn.execute(select(func.count()).select_from(table)).scalar_one() for table in metadata.tables.values())


def _as_new(conn: Connection) -> tuple[list[object], ...]:
    """What the planner and the next number depend on."""
    ours = "FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    estimates = f"SELECT relname, relpages, reltuples {ours}"
    pages = f"SELECT relname, pg_relation_size(oid) {ours} AND relkind = 'r'"
    numbers = "SELECT sequencename, last_value FROM pg_sequences"
    return tuple(sorted(map(tuple, conn.execute(text(query)))) for query in (estimates, pages, numbers))


async def test_what_a_test_wrote_is_gone_and_numbers_begin_anew(kept: KeptDatabase, store: SqlStore) -> None:
    before = await store.database.run(_as_new)
    await converse(store, "hello", "hi")
    assert await store.database.run(_rows) > 5
    await store.close()
    url = kept.url()
    kept.give_back()
    assert kept.url() == url
    again = await SqlStore.open(url)
    assert await again.database.run(_rows) == 0
    assert await again.database.run(_as_new) == before
    await again.close()


async def test_whoever_was_left_connected_is_thrown_out_with_what_he_held(kept: KeptDatabase, store: SqlStore) -> None:
    left = await asyncpg.connect(kept.url())
    await left.execute("BEGIN; LOCK TABLE customers IN ACCESS EXCLUSIVE MODE")
    await store.close()
    url = kept.url()
    kept.give_back()
    assert kept.url() == url
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
        await left.execute("SELECT 1")


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE another (id INTEGER)",
        "ALTER TABLE customers ALTER name DROP NOT NULL",
        "DROP TABLE counters",
        "ANALYZE customers",
        "UPDATE alembic_version SET version_num = '9999'",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()",
    ],
)
async def test_a_database_that_is_no_longer_what_it_was_is_given_to_nobody(kept: KeptDatabase, statement: str) -> None:
    url = kept.url()
    connection = await asyncpg.connect(url)
    await connection.execute("INSERT INTO customers (created_at) VALUES (now())")  # or there is nothing to count
    await connection.execute(statement)
    await connection.close()
    kept.give_back()
    assert kept.url() != url
