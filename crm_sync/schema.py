"""The store's schema brought to what this code needs, and refused when it is newer or not ours."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import structlog
from sqlalchemy import URL, Connection, inspect, text

from bot.errors import StoreIncompatible
from crm_sync.database import Database, parse_url
from crm_sync.migrations import HEAD, REVISIONS

log = structlog.get_logger(__name__)

_LOCK_KEY: Final = 7_310_642_113  # any constant: names our advisory lock among those of other programs
# Waiting for the other process's migration may take longer than any lock of everyday work.
_MIGRATION_PATIENCE_S: Final = 600
_SCRIPTS: Final = Path(__file__).parent / "migrations"


class SchemaState(StrEnum):
    EMPTY = "empty"
    BEHIND = "behind"
    CURRENT = "current"


async def upgrade(url: str) -> None:
    """The store at `url` has the schema of this code. Two processes may try at once: one works, the other waits.

    Raises: StoreIncompatible, StoreUnavailable, Misconfigured.
    """
    parsed = parse_url(url)
    if parsed.get_backend_name() == "sqlite":
        await asyncio.to_thread(_upgrade_sqlite, parsed)
    else:
        await _upgrade_postgres(parsed)


async def check(database: Database) -> SchemaState:
    """How the store's schema compares with this code's.

    Raises: StoreIncompatible when it is newer or was not made by Frontdesk; StoreUnavailable.
    """
    return await database.run(state_of, read=True)


def state_of(conn: Connection) -> SchemaState:
    """As `check`, inside a unit."""
    tables = set(inspect(conn).get_table_names())
    if "alembic_version" not in tables:
        if "conversations" in tables or "customers" in tables:
            raise StoreIncompatible("store", "these tables were not made by Frontdesk; use another database")
        return SchemaState.EMPTY
    revisions = set(conn.execute(text("SELECT version_num FROM alembic_version")).scalars())
    unknown = revisions - set(REVISIONS)
    if unknown:
        raise StoreIncompatible(
            "store",
            f"the store is newer than this version of Frontdesk (schema {', '.join(sorted(unknown))}, "
            f"known up to {HEAD}); install the version that wrote it",
        )
    if not revisions:
        return SchemaState.EMPTY
    return SchemaState.CURRENT if revisions == {HEAD} else SchemaState.BEHIND


def _upgrade_sqlite(url: URL) -> None:
    from crm_sync.database_sqlite import alone

    with alone(url, write=True, patience_s=_MIGRATION_PATIENCE_S) as connection:
        _run_migrations(connection)


async def _upgrade_postgres(url: URL) -> None:
    from crm_sync.database_postgres import alone

    async with alone(url) as connection:
        await connection.execute(text(f"SET LOCAL lock_timeout = '{_MIGRATION_PATIENCE_S}s'"))
        await connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK_KEY})"))
        await connection.run_sync(_run_migrations)
        await connection.commit()


def _run_migrations(conn: Connection) -> None:
    if state_of(conn) is SchemaState.CURRENT:
        return
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    script = ScriptDirectory.from_config(config)

    def to_head(revision: Any, _: Any) -> Any:
        return script._upgrade_revs(HEAD, revision)

    with EnvironmentContext(config, script, fn=to_head) as environment:
        environment.configure(connection=conn, transaction_per_migration=False)
        environment.run_migrations()
    log.info("store_migrated", revision=HEAD)
