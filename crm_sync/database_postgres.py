"""PostgreSQL through asyncpg; the same synchronous units, run inside SQLAlchemy's greenlet bridge."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import structlog
from sqlalchemy import URL, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from bot.errors import StoreUnavailable
from crm_sync.columns import dump_json, load_json
from crm_sync.database import Database, T, Unit, store_errors

log = structlog.get_logger(__name__)

POOL_SIZE: Final = 4
POOL_OVERFLOW: Final = 4
ATTEMPTS: Final = 4
# Serialization failure, deadlock, and a unique key taken by a transaction that ran at the same time: running the unit
# again sees the other's row.
_CONFLICTS: Final = frozenset({"40001", "40P01", "23505"})
# Classes of PostgreSQL, appendix A: 08 connection, 53 resources (53100 disk full), 57 operator intervention, 58 I/O.
_UNAVAILABLE: Final = ("08", "53", "57", "58")
_UNAVAILABLE_CODES: Final = frozenset({"25006", "55P03"})  # read-only (a standby), lock timeout
_NOT_DURABLE: Final = text("SET LOCAL synchronous_commit = off")
_SERVER_SETTINGS: Final = {
    "application_name": "frontdesk",
    "jit": "off",  # our statements are short; compiling them costs more than running them
    # Every list has an index of its own; the default for spinning disks makes a plan made once for all parameters
    # read another one from end to end, and look at each row.
    "random_page_cost": "1.1",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "60s",
    "TimeZone": "UTC",
}


def create_engine(
    url: URL,
    *,
    pool_size: int = POOL_SIZE,
    overflow: int = POOL_OVERFLOW,
    options: Mapping[str, Any] | None = None,
) -> AsyncEngine:
    """An engine that has not connected yet. `options` are SQLAlchemy's execution options."""
    return create_async_engine(
        url,
        execution_options=dict(options or {}),
        hide_parameters=True,  # an error's text must not quote what a customer wrote
        pool_size=pool_size,
        max_overflow=overflow,
        pool_timeout=10,
        json_serializer=dump_json,
        json_deserializer=load_json,
        connect_args={"server_settings": _SERVER_SETTINGS, "timeout": 10},
    )


def sqlstate(error: BaseException) -> str:
    """The five-character PostgreSQL code behind `error`; empty when there is none."""
    return str(getattr(getattr(error, "orig", error), "sqlstate", None) or "")


def explain(error: BaseException) -> StoreUnavailable | None:
    """The error as StoreUnavailable when the server could not do its work, else None."""
    if isinstance(error, PoolTimeout):
        return StoreUnavailable("store", "every database connection is busy")
    if isinstance(error, OSError | TimeoutError):
        return StoreUnavailable("store", "the database server does not answer")
    code = sqlstate(error)
    if code[:2] in _UNAVAILABLE or code in _UNAVAILABLE_CODES:
        reason = "the disk is full" if code == "53100" else f"the database server refused (SQLSTATE {code})"
        return StoreUnavailable("store", reason)
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return StoreUnavailable("store", "the connection to the database server was lost")
    return None


@asynccontextmanager
async def alone(url: URL) -> AsyncIterator[AsyncConnection]:
    """A connection outside of any pool, for work on the store as a whole; the caller commits.

    Raises: StoreUnavailable, also for what fails within because the server could not do its work.
    """
    engine = create_engine(url, pool_size=1, overflow=0)
    try:
        with store_errors(explain):
            async with engine.connect() as connection:
                yield connection
    finally:
        await engine.dispose()


class PostgresDatabase(Database):
    """The store on a PostgreSQL server (14 or newer), shared by any number of processes."""

    dialect = "postgresql"

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @classmethod
    async def connect(cls, url: URL, options: Mapping[str, Any] | None = None) -> PostgresDatabase:
        """The server answers.

        Raises: StoreUnavailable.
        """
        engine = create_engine(url, options=options)
        try:
            async with engine.connect():
                return cls(engine)
        except Exception as exc:
            await engine.dispose()
            raise explain(exc) or StoreUnavailable("store", f"cannot connect ({sqlstate(exc) or exc!r})") from exc

    async def run(self, unit: Unit[T], *, read: bool = False, durable: bool = True, checked: bool = True) -> T:
        for attempt in range(1, ATTEMPTS + 1):
            is_committing = False
            try:
                async with self._engine.connect() as connection:
                    if not durable:
                        await connection.execute(_NOT_DURABLE)
                    value = await connection.run_sync(unit)
                    is_committing = True
                    await (connection.rollback() if read else connection.commit())
                    return value
            except (DBAPIError, OSError, TimeoutError, PoolTimeout) as exc:
                if attempt < ATTEMPTS and _may_run_again(exc, is_committing=is_committing):
                    await asyncio.sleep(0.005 * attempt)
                    continue
                told = explain(exc)
                if told is None:
                    raise
                raise told from exc
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def close(self) -> None:
        await self._engine.dispose()


def _may_run_again(error: Any, *, is_committing: bool) -> bool:
    """True when nothing of the unit can have been kept and another try may succeed."""
    if sqlstate(error) in _CONFLICTS:
        return True
    # A pooled connection that died in its sleep shows on first use; the commit's own answer lost is another matter.
    return not is_committing and isinstance(error, DBAPIError) and error.connection_invalidated
