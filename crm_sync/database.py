"""One way to work with the store: `await db.run(unit)`, a plain function in one transaction, on either database."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from sqlalchemy import URL, Connection, make_url
from sqlalchemy.exc import ArgumentError

from bot.errors import Misconfigured, StoreUnavailable

T = TypeVar("T")
Unit = Callable[[Connection], T]

_HINT = "use sqlite:///file.db or postgresql://user@host/name"


class Database(ABC):
    """An open store. Units are synchronous, touch nothing but their connection and may run again after a conflict."""

    dialect: str  # sqlite | postgresql

    @abstractmethod
    async def run(self, unit: Unit[T], *, read: bool = False, durable: bool = True, checked: bool = True) -> T:
        """`unit` has run in one transaction, which is committed and on disk; its answer.

        `read` promises that the unit writes nothing. Without `durable` the commit survives the end of this process,
        but a power cut may take it back (never more than what was committed after it): enough for leases.
        Not `checked`: SQLite does not look foreign keys up again, for rows whose keys the unit itself has just read.
        What the unit raises is raised here, with nothing of it kept.
        Raises: StoreUnavailable when the transaction could not be committed.
        """

    @abstractmethod
    async def close(self) -> None:
        """Every unit handed in has ended and the connections are closed. Safe to call twice."""

    @staticmethod
    async def open(url: str, *, audit_keys: Sequence[bytes] = ()) -> Database:
        """The store at `url` is reachable. The first of `audit_keys` marks lines of the audit log.

        Raises: Misconfigured for an address we do not take, StoreUnavailable when nothing answers there.
        """
        parsed = parse_url(url)
        if parsed.get_backend_name() == "sqlite":
            from crm_sync.database_sqlite import SqliteDatabase

            return await SqliteDatabase.connect(parsed, {"audit_keys": tuple(audit_keys)})
        from crm_sync.database_postgres import PostgresDatabase

        return await PostgresDatabase.connect(parsed, {"audit_keys": tuple(audit_keys)})


def parse_url(url: str) -> URL:
    """The address with its driver filled in.

    Raises: Misconfigured for another database, or for an SQLite store that would live in memory (it could not keep
    any promise).
    """
    try:
        parsed = make_url(url)
    except ArgumentError as exc:
        raise Misconfigured("store", f"the database address cannot be read; {_HINT}") from exc
    if parsed.drivername in {"sqlite", "sqlite+pysqlite"}:
        if not parsed.database or parsed.database == ":memory:" or parsed.database.startswith("file:"):
            raise Misconfigured("store", f"an SQLite store needs a file; {_HINT}")
        return parsed.set(drivername="sqlite+pysqlite")
    if parsed.drivername in {"postgresql", "postgres", "postgresql+asyncpg"}:
        return parsed.set(drivername="postgresql+asyncpg")
    raise Misconfigured("store", f"unknown database {parsed.drivername!r}; {_HINT}")


@contextmanager
def store_errors(explain: Callable[[BaseException], StoreUnavailable | None]) -> Iterator[None]:
    """What fails within because the store could not do its work is raised as StoreUnavailable."""
    try:
        yield
    except Exception as exc:
        told = explain(exc)
        if told is None:
            raise
        raise told from exc


def sqlite_path(url: URL) -> Path:
    """The file of an SQLite address."""
    return Path(url.database or "")
