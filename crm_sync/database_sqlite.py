"""SQLite: one thread owns the file and commits whatever has queued in one go, so that many units share one fsync."""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from sqlalchemy import URL, Connection, NullPool, create_engine
from sqlalchemy.exc import DBAPIError

from bot.errors import StoreUnavailable
from crm_sync.database import Database, T, Unit, sqlite_path, store_errors

log = structlog.get_logger(__name__)

BUSY_TIMEOUT_S: Final = 5.0  # how long we wait for another process's write, e.g. a command line import
MAX_BATCH: Final = 512
_AGAIN_AFTER_S: Final = 0.01
_WHY: Final = {
    sqlite3.SQLITE_BUSY: "another process keeps the store locked",
    sqlite3.SQLITE_LOCKED: "another process keeps the store locked",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_READONLY: "the store file is read-only",
    sqlite3.SQLITE_IOERR: "the disk reports an error",
    sqlite3.SQLITE_CANTOPEN: "the store file cannot be opened",
    sqlite3.SQLITE_CORRUPT: "the store file is damaged",
    sqlite3.SQLITE_NOTADB: "the file is not an SQLite store",
    sqlite3.SQLITE_NOMEM: "out of memory",
}


@dataclass(slots=True, eq=False)
class _Job:
    unit: Unit[Any]
    read: bool
    durable: bool
    checked: bool
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    value: Any = None
    error: BaseException | None = field(default=None)


def explain(error: BaseException) -> StoreUnavailable | None:
    """The error as StoreUnavailable when the store itself could not do its work, else None."""
    origin = error.orig if isinstance(error, DBAPIError) else error
    if not isinstance(origin, sqlite3.Error):
        return None
    code = getattr(origin, "sqlite_errorcode", None)
    reason = _WHY.get(code & 0xFF) if code is not None else None  # the low byte is the primary code
    return StoreUnavailable("store", reason) if reason else None


def connect(
    url: URL,
    *,
    check_thread: bool = True,
    options: Mapping[str, Any] | None = None,
    patience_s: float = BUSY_TIMEOUT_S,
) -> Connection:
    """A connection that begins no transaction by itself, durable on every commit. `options` are SQLAlchemy's own;
    `patience_s` is how long it waits for what another process is writing.

    Raises: StoreUnavailable.
    """
    arguments = {"timeout": patience_s, "check_same_thread": check_thread}
    engine = create_engine(
        url,
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
        connect_args=arguments,
        hide_parameters=True,
        execution_options=dict(options or {}),
    )
    try:
        connection = engine.connect()
        try:
            _keep_a_log(connection, patience_s)
            for pragma in ("synchronous=FULL", "foreign_keys=ON", "cache_size=-16000"):
                connection.exec_driver_sql(f"PRAGMA {pragma}").close()
        except BaseException:
            connection.close()
            raise
    except DBAPIError as exc:
        raise explain(exc) or StoreUnavailable("store", "the store file cannot be opened") from exc
    return connection


@contextmanager
def alone(url: URL, *, write: bool, patience_s: float = BUSY_TIMEOUT_S) -> Iterator[Connection]:
    """One transaction on a connection outside of the store's thread, for work on the store as a whole.

    Raises: StoreUnavailable, also for what fails within because the file could not do its work; nothing is kept then.
    """
    connection = connect(url, patience_s=patience_s)
    try:
        with store_errors(explain):
            connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN").close()
            try:
                yield connection
            except BaseException:
                connection.exec_driver_sql("ROLLBACK").close()
                raise
            connection.exec_driver_sql("COMMIT").close()
    finally:
        connection.close()
        connection.engine.dispose()


def _keep_a_log(connection: Connection, patience_s: float) -> None:
    """The file is in WAL mode. Of two that turn a new file at once SQLite refuses one without making it wait."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL").close()
        except DBAPIError as exc:
            code = getattr(exc.orig, "sqlite_errorcode", 0)
            if code & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_AGAIN_AFTER_S)
        else:
            return


class SqliteDatabase(Database):
    """The store in one file, written by one thread of this process."""

    dialect = "sqlite"

    def __init__(self, url: URL, options: Mapping[str, Any] | None = None) -> None:
        self._url, self._options = url, options
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="frontdesk-store", daemon=True)
        self._opened: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        self._is_closed = False

    @classmethod
    async def connect(cls, url: URL, options: Mapping[str, Any] | None = None) -> SqliteDatabase:
        """The file is open and the thread serves it.

        Raises: StoreUnavailable.
        """
        database = cls(url, options)
        database._thread.start()
        error = await asyncio.to_thread(database._opened.get)
        if error is not None:
            database._is_closed = True
            raise error
        return database

    async def run(self, unit: Unit[T], *, read: bool = False, durable: bool = True, checked: bool = True) -> T:
        if self._is_closed:
            raise StoreUnavailable("store", "the store is closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._jobs.put(_Job(unit, read, durable and not read, checked or read, loop, future))
        return await future

    async def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._jobs.put(None)
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join)

    # --- everything below runs in the thread ------------------------------------------------------------------------

    def _serve(self) -> None:
        try:
            connection = connect(self._url, options=self._options)
        except BaseException as exc:  # noqa: BLE001 - handed to whoever waits in connect()
            self._opened.put(exc)
            return
        self._opened.put(None)
        log.debug("store_opened", file=sqlite_path(self._url).name)
        is_open = True
        while is_open:
            batch: list[_Job] = []
            job = self._jobs.get()
            while job is not None:
                batch.append(job)
                if len(batch) == MAX_BATCH:
                    break
                try:
                    job = self._jobs.get_nowait()
                except queue.Empty:
                    break
            else:
                is_open = False
            if batch and not _serve_batch(connection, batch):
                connection = self._opened_anew(connection)
        connection.close()
        connection.engine.dispose()

    def _opened_anew(self, connection: Connection) -> Connection:
        """A connection in place of one that nobody knows the state of; the old one while there is none to be had."""
        try:
            fresh = connect(self._url, options=self._options)
        except Exception as exc:  # noqa: BLE001 - whoever asks next fails by the old one, and we come here again
            log.error("store_not_reopened", error=type(exc).__name__)
            return connection
        with suppress(Exception):  # it may be broken in any way; what matters is that it holds no lock
            connection.invalidate()
        return fresh


def _serve_batch(connection: Connection, batch: Sequence[_Job]) -> bool:
    """Everybody of the batch is answered, whatever happens; False when the connection can no longer be relied on."""
    try:
        _run_batch(connection, batch)
    except BaseException as exc:  # noqa: BLE001 - this thread must go on, or every caller would wait for ever
        log.error("store_batch_failed", error=type(exc).__name__)
        for job in batch:
            job.error = StoreUnavailable("store", type(exc).__name__)
        return False
    finally:
        _deliver(batch)
    return True


def _run_batch(connection: Connection, batch: Sequence[_Job]) -> None:
    raw: sqlite3.Connection = connection.connection.dbapi_connection  # type: ignore[assignment]  # always pysqlite
    waits_for_disk = any(job.durable for job in batch)
    try:
        # NORMAL leaves out the fsync; the next FULL commit writes to the same log and takes this one along.
        raw.execute(f"PRAGMA synchronous={'FULL' if waits_for_disk else 'NORMAL'}")
        _check_keys(connection, raw, any(job.checked for job in batch))
        raw.execute("BEGIN" if all(job.read for job in batch) else "BEGIN IMMEDIATE")
        for job in batch:
            # One unit alone, or one that writes nothing, needs no savepoint: its failure leaves nothing to take back.
            _run_one(connection, raw, job, savepoint=len(batch) > 1 and not job.read)
            if not raw.in_transaction:  # the engine itself gave up the whole transaction (disk full, I/O error)
                raise job.error or StoreUnavailable("store", "the transaction was lost")
        if len(batch) == 1 and batch[0].error is not None:
            raw.execute("ROLLBACK")
            return
        raw.execute("COMMIT")
    except BaseException as exc:  # noqa: BLE001 - every waiting caller must learn of it
        unavailable = explain(exc) or (exc if isinstance(exc, StoreUnavailable) else None)
        failure = unavailable or StoreUnavailable("store", type(exc).__name__)
        if unavailable is None:
            log.error("store_commit_failed", error=type(exc).__name__)
        if raw.in_transaction:
            raw.rollback()
        for job in batch:
            job.error = job.error if job.error is not None and explain(job.error) is None else failure


def _check_keys(connection: Connection, raw: sqlite3.Connection, checked: bool) -> None:
    """Foreign keys are looked up, or not, from the next transaction on. Said only when it changes: it makes the engine
    prepare all its statements anew.
    """
    if connection.info.get("checked", True) != checked:
        raw.execute(f"PRAGMA foreign_keys={'ON' if checked else 'OFF'}")
        connection.info["checked"] = checked


def _run_one(connection: Connection, raw: sqlite3.Connection, job: _Job, *, savepoint: bool) -> None:
    if savepoint:
        raw.execute("SAVEPOINT unit")
    try:
        job.value = job.unit(connection)
    except BaseException as exc:  # noqa: BLE001 - belongs to the caller of this unit only
        job.error = explain(exc) or exc
        if savepoint and raw.in_transaction:
            raw.execute("ROLLBACK TO unit")
    if savepoint and raw.in_transaction:
        raw.execute("RELEASE unit")


def _deliver(batch: Sequence[_Job]) -> None:
    """Every future is resolved with one call into each event loop."""
    loops: dict[asyncio.AbstractEventLoop, list[_Job]] = {}
    for job in batch:
        loops.setdefault(job.loop, []).append(job)
    for loop, jobs in loops.items():
        try:
            loop.call_soon_threadsafe(_resolve, jobs)
        except RuntimeError:  # the loop was closed while its work was being committed: nobody is waiting any more
            log.warning("store_answers_undelivered", units=len(jobs))


def _resolve(jobs: Sequence[_Job]) -> None:
    for job in jobs:
        if job.future.done():  # given up by its caller
            continue
        try:
            if job.error is not None:
                job.future.set_exception(job.error)
            else:
                job.future.set_result(job.value)
        except Exception as exc:  # noqa: BLE001 - an error that a future does not take; those behind it wait as well
            log.error("store_answer_failed", error=type(exc).__name__)
            job.future.set_exception(StoreUnavailable("store", type(exc).__name__))
