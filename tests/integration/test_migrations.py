"""Migrations and tables agree, on both databases; two processes may migrate at once; a newer store is refused."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

import crm_sync.broadcast_tables
import crm_sync.console_tables
import crm_sync.migrations
import crm_sync.service_tables
from bot.errors import StoreIncompatible, StoreUnavailable
from crm_sync.database import Database
from crm_sync.migrations import HEAD, REVISIONS
from crm_sync.schema import SchemaState, check, upgrade
from crm_sync.search_tables import TABLES
from crm_sync.store import SqlStore
from crm_sync.tables import metadata
from tests.store_steps import said


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A store without a single table."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/empty.db"
    url: str = request.getfixturevalue("empty_pg_url")
    return url


async def _state(url: str) -> SchemaState:
    database = await Database.open(url)
    try:
        return await check(database)
    finally:
        await database.close()


async def _execute(url: str, *statements: str) -> None:
    database = await Database.open(url)

    def unit(conn: Connection) -> None:
        for statement in statements:
            conn.execute(text(statement))

    await database.run(unit)
    await database.close()


def _is_of_both(name: str | None, kind: str, parents: Any) -> bool:
    """Not of the search index, which each database makes in its own way."""
    return not (kind == "table" and name is not None and name.startswith(TABLES))


async def test_an_empty_store_becomes_current_and_stays_so(empty_url: str) -> None:
    assert await _state(empty_url) is SchemaState.EMPTY
    await upgrade(empty_url)
    assert await _state(empty_url) is SchemaState.CURRENT
    await upgrade(empty_url)
    assert await _state(empty_url) is SchemaState.CURRENT


def _is_compared(item: Any, name: str | None, kind: str, reflected: bool, other: Any) -> bool:
    """Not keys that only one database has: Alembic knows nothing of them, and the next test compares them."""
    return not (kind == "foreign_key_constraint" and item.table.name == "broadcast_recipients")


async def test_migrations_make_exactly_the_tables_of_this_code(empty_url: str) -> None:
    await upgrade(empty_url)
    database = await Database.open(empty_url)

    def unit(conn: Connection) -> list[object]:
        opts = {
            "compare_type": True,
            "compare_server_default": False,
            "include_name": _is_of_both,
            "include_object": _is_compared,
        }
        context = MigrationContext.configure(conn, opts=opts)
        return list(compare_metadata(context, metadata))

    differences = await database.run(unit, read=True)
    await database.close()
    assert differences == []


async def test_defaults_checks_and_partial_indexes_agree_too(empty_url: str) -> None:
    """What Alembic does not compare: the store made by migrations against one made from the tables."""
    await upgrade(empty_url)
    database = await Database.open(empty_url)
    made = await database.run(_details, read=True)

    def from_tables(conn: Connection) -> object:
        for table in reversed(metadata.sorted_tables):
            table.drop(conn)
        metadata.create_all(conn)
        return _details(conn)

    assert made == await database.run(from_tables)
    await database.close()


def _conditions(index: Mapping[str, Any]) -> list[str]:
    return sorted(str(value) for name, value in index.get("dialect_options", {}).items() if name.endswith("_where"))


def _details(conn: Connection) -> dict[str, object]:
    found: dict[str, object] = {}
    inspector = inspect(conn)
    inspector.clear_cache()
    for table in metadata.sorted_tables:
        columns = {
            column["name"]: (str(column["type"]), column["nullable"], column["default"])
            for column in inspector.get_columns(table.name)
        }
        indexes = sorted(
            (
                str(index["name"]),
                tuple(index["column_names"]),
                bool(index["unique"]),
                _conditions(index),
            )
            for index in inspector.get_indexes(table.name)
        )
        checks = sorted((str(item["name"]), item["sqltext"]) for item in inspector.get_check_constraints(table.name))
        keys = sorted(
            (tuple(item["constrained_columns"]), item["referred_table"])
            for item in inspector.get_foreign_keys(table.name)
        )
        unique = sorted(
            (str(item["name"]), tuple(item["column_names"])) for item in inspector.get_unique_constraints(table.name)
        )
        found[table.name] = (
            columns,
            indexes,
            checks,
            keys,
            unique,
            inspector.get_pk_constraint(table.name)["constrained_columns"],
        )
    return found


async def test_two_processes_migrating_at_once_both_end_well(empty_url: str) -> None:
    await asyncio.gather(*(upgrade(empty_url) for _ in range(3)))
    assert await _state(empty_url) is SchemaState.CURRENT


async def test_a_migration_waits_longer_for_another_one_than_everyday_work_does(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    patience_ms: list[Any] = []

    def asked(conn: Connection) -> None:
        patience_ms.append(conn.exec_driver_sql("PRAGMA busy_timeout").scalar_one())

    monkeypatch.setattr("crm_sync.schema._run_migrations", asked)
    await upgrade(sqlite_url)
    assert patience_ms == [600_000]


async def test_two_processes_opening_a_new_store_at_once_both_serve(empty_url: str) -> None:
    stores = await asyncio.gather(*(SqlStore.open(empty_url) for _ in range(2)))
    await asyncio.gather(*(store.accept([said("hi")]) for store in stores))
    for store in stores:
        await store.close()


async def test_a_store_newer_than_the_code_is_refused_with_what_to_do(store_url: str) -> None:
    await _execute(store_url, "UPDATE alembic_version SET version_num = '9999'")
    for attempt in (upgrade(store_url), SqlStore.open(store_url), SqlStore.open(store_url, migrate=False)):
        with pytest.raises(StoreIncompatible, match=f"newer than this version.*9999.*{HEAD}.*install"):
            await attempt


async def test_tables_that_are_not_ours_are_left_alone(empty_url: str) -> None:
    await _execute(empty_url, "CREATE TABLE customers (id INTEGER)")
    with pytest.raises(StoreIncompatible, match="not made by Frontdesk"):
        await upgrade(empty_url)


async def test_a_store_behind_is_reported_and_not_changed_without_asking(store_url: str) -> None:
    await _execute(store_url, "DELETE FROM alembic_version")
    store = await SqlStore.open(store_url, migrate=False)
    assert await store.is_current() is False
    await store.close()


async def test_looking_for_a_store_does_not_create_one(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="no store yet"):
        await SqlStore.open(f"sqlite:///{tmp_path}/none.db", migrate=False)
    assert os.listdir(tmp_path) == []


def test_the_list_of_revisions_is_the_folder() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(crm_sync.migrations.__file__).parent))
    script = ScriptDirectory.from_config(config)
    walked = [revision.revision for revision in script.walk_revisions()]
    assert tuple(reversed(walked)) == REVISIONS
    assert script.get_heads() == [HEAD]
