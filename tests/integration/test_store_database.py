"""Units of work: one transaction each, many to a commit, and a clear answer when the store cannot."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, func, insert, make_url, select, text
from sqlalchemy.exc import IntegrityError, OperationalError
from structlog.testing import capture_logs

from bot.errors import Misconfigured, StoreUnavailable
from crm_sync import database_sqlite
from crm_sync.database import Database, Unit
from crm_sync.invariants import check
from crm_sync.service_tables import customer_tags
from crm_sync.store import SqlStore
from crm_sync.tables import cursors, inbox, rate_buckets
from tests.store_steps import START, said, take_turn

HANGS_AFTER_S = 20.0  # never reached when everybody is answered


@pytest.fixture
async def database(store_url: str) -> AsyncIterator[Database]:
    opened = await Database.open(store_url)
    yield opened
    await opened.close()


def _put(name: str) -> object:
    def unit(conn: Connection) -> str:
        conn.execute(insert(cursors), {"name": name, "value": "1", "updated_at": START})
        return name

    return unit


def _names(conn: Connection) -> list[str]:
    return sorted(conn.execute(select(cursors.c.name)).scalars())


async def test_a_unit_that_fails_keeps_nothing_and_fails_alone(database: Database) -> None:
    def bad(conn: Connection) -> None:
        _put("half")(conn)  # type: ignore[operator]
        raise LookupError("mine")

    answers = await asyncio.gather(
        database.run(_put("a")),
        database.run(bad),
        database.run(_put("b")),
        return_exceptions=True,  # type: ignore[arg-type]
    )
    assert answers[0] == "a"
    assert isinstance(answers[1], LookupError)
    assert answers[2] == "b"
    assert await database.run(_names, read=True) == ["a", "b"]


async def test_a_failing_unit_alone_leaves_no_transaction_open(database: Database) -> None:
    def bad(conn: Connection) -> None:
        _put("half")(conn)  # type: ignore[operator]
        raise LookupError("mine")

    with pytest.raises(LookupError):
        await database.run(bad)
    assert await database.run(_names, read=True) == []


async def test_many_callers_are_all_answered(database: Database) -> None:
    names = [f"n{number:03}" for number in range(200)]
    assert await asyncio.gather(*(database.run(_put(name)) for name in names)) == names  # type: ignore[arg-type]
    assert await database.run(_names, read=True) == names


async def test_a_caller_who_gives_up_does_not_disturb_the_others(database: Database) -> None:
    tasks = [asyncio.ensure_future(database.run(_put(f"n{number}"))) for number in range(6)]  # type: ignore[arg-type, var-annotated]
    await asyncio.sleep(0)
    tasks[2].cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(answers[2], asyncio.CancelledError)
    assert [answer for answer in answers if isinstance(answer, str)] == ["n0", "n1", "n3", "n4", "n5"]


async def test_closing_waits_for_what_was_handed_in_and_then_refuses(store_url: str) -> None:
    database = await Database.open(store_url)
    pending = asyncio.ensure_future(database.run(_put("last")))  # type: ignore[arg-type, var-annotated]
    await asyncio.sleep(0)
    if database.dialect == "postgresql":
        await pending
    await database.close()
    assert await pending == "last"
    await database.close()


async def test_a_closed_sqlite_store_says_so(sqlite_url: str) -> None:
    database = await Database.open(sqlite_url)
    await database.close()
    with pytest.raises(StoreUnavailable):
        await database.run(_names, read=True)


# --- SQLite ---------------------------------------------------------------------------------------------------------


def _pragma(statement: str) -> object:
    def unit(conn: Connection) -> object:
        asked = conn.exec_driver_sql(f"PRAGMA {statement}")
        return asked.scalar() if asked.returns_rows else None

    return unit


@pytest.fixture
async def desk(sqlite_url: str) -> AsyncIterator[SqlStore]:
    opened = await SqlStore.open(sqlite_url)
    yield opened
    await opened.close()


async def test_a_locked_store_refuses_and_recovers(desk: SqlStore, sqlite_url: str) -> None:
    await desk.database.run(_pragma("busy_timeout=20"), read=True)  # type: ignore[arg-type]
    await desk.accept([said("before")])
    other = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked"):
        await desk.accept([said("during")])
    assert len(await desk.events_after(1, 0, 10)) == 1, "reading goes on"  # type: ignore[arg-type]
    other.execute("ROLLBACK")
    other.close()
    await desk.accept([said("after")])
    assert [event["text"] for event in await desk.events_after(1, 0, 10)] == ["before", "after"]  # type: ignore[arg-type]


async def test_a_full_disk_refuses_and_loses_nothing_that_was_accepted(desk: SqlStore) -> None:
    pages = await desk.database.run(_pragma("page_count"), read=True)  # type: ignore[arg-type]
    await desk.database.run(_pragma(f"max_page_count={int(str(pages)) + 8}"), read=True)  # type: ignore[arg-type]
    accepted = 0
    refusals: list[BaseException] = []
    for number in range(60):
        answers = await asyncio.gather(
            *(desk.accept([said("x" * 3000, user=f"u{number}-{k}")]) for k in range(3)), return_exceptions=True
        )
        accepted += sum(not isinstance(answer, BaseException) for answer in answers)
        refusals += [answer for answer in answers if isinstance(answer, BaseException)]
    assert refusals
    assert all(isinstance(error, StoreUnavailable) and "full" in str(error) for error in refusals)
    stored = await desk.database.run(lambda conn: conn.execute(select(func.count()).select_from(inbox)).scalar_one())
    assert stored == accepted > 0
    await desk.database.run(_pragma("max_page_count=100000"), read=True)  # type: ignore[arg-type]
    await desk.accept([said("there is room again")])
    assert await check(desk.database) == []


async def test_a_read_only_store_refuses(desk: SqlStore) -> None:
    await desk.database.run(_pragma("query_only=ON"), read=True)  # type: ignore[arg-type]
    with pytest.raises(StoreUnavailable, match="read-only"):
        await desk.accept([said("x")])


def _lose(conn: Connection) -> None:
    conn.connection.dbapi_connection.close()  # type: ignore[union-attr]  # nothing can be done on it any more


async def _in_one_batch(database: Database, *units: Unit[Any]) -> list[Any]:
    """The answers to units that have queued while the store was at work on something else."""
    at_work, gate = threading.Event(), threading.Event()

    def busy(conn: Connection) -> bool:
        at_work.set()
        return gate.wait(HANGS_AFTER_S)

    before = asyncio.ensure_future(database.run(busy))
    assert await asyncio.to_thread(at_work.wait, HANGS_AFTER_S)
    asked: list[asyncio.Future[Any]] = []
    for unit in units:
        asked.append(asyncio.ensure_future(database.run(unit)))
        await asyncio.sleep(0)
    gate.set()
    async with asyncio.timeout(HANGS_AFTER_S):
        await before
        return await asyncio.gather(*asked, return_exceptions=True)


async def test_a_connection_that_is_lost_is_told_to_all_who_wait_and_opened_anew(desk: SqlStore) -> None:
    with capture_logs() as logs:
        answers = await _in_one_batch(desk.database, _names, _lose, _names)
    assert [type(answer) for answer in answers] == [StoreUnavailable] * 3
    assert logs[-1] == {"event": "store_batch_failed", "error": "ProgrammingError", "log_level": "error"}
    async with asyncio.timeout(HANGS_AFTER_S):
        await desk.accept([said("after")])
        assert await desk.database.run(_pragma("foreign_keys"), read=True) == 1  # type: ignore[arg-type]
    assert await check(desk.database) == []


async def test_while_a_lost_connection_cannot_be_opened_again_everybody_is_told(
    desk: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(url: object) -> None:
        raise StoreUnavailable("store", "the store file cannot be opened")

    async with asyncio.timeout(HANGS_AFTER_S):
        with monkeypatch.context() as patched:
            patched.setattr(database_sqlite, "connect", refuse)
            for unit in (_lose, _names, _names):
                with pytest.raises(StoreUnavailable):
                    await desk.database.run(unit)  # type: ignore[arg-type]
        await asyncio.gather(desk.accept([said("the file is there again")]), return_exceptions=True)
        await desk.accept([said("and so is the store")])


async def test_an_answer_that_cannot_be_given_keeps_nobody_behind_it_waiting(sqlite_url: str) -> None:
    def ends(conn: Connection) -> None:
        raise StopIteration  # which no future takes

    database = await Database.open(sqlite_url)
    answers = await _in_one_batch(database, ends, _put("beside"))  # type: ignore[arg-type]
    assert [type(answer) for answer in answers] == [StoreUnavailable, str]
    await database.close()


async def test_a_new_file_that_another_process_turns_to_its_log_at_this_moment_is_opened_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite does not wait there: of two it refuses one at once, seldom enough that a test cannot make it so."""
    refused = sqlite3.OperationalError("database is locked")
    refused.sqlite_errorcode = sqlite3.SQLITE_BUSY
    refusals = [refused, refused]
    honest = Connection.exec_driver_sql

    def exec_driver_sql(self: Connection, statement: str, *args: Any) -> Any:
        if "journal_mode" in statement and refusals:
            raise OperationalError(statement, None, refusals.pop())
        return honest(self, statement, *args)

    monkeypatch.setattr(Connection, "exec_driver_sql", exec_driver_sql)
    with closing(database_sqlite.connect(make_url(f"sqlite:///{tmp_path}/new.db"))) as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
    assert refusals == []


async def test_a_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_bytes(b"just some notes, long enough to look like a header " * 20)
    with pytest.raises(StoreUnavailable, match="not an SQLite store"):
        await Database.open(f"sqlite:///{tmp_path}/notes.db")


async def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="cannot be opened"):
        await Database.open(f"sqlite:///{tmp_path}/none/store.db")


async def test_a_commit_that_must_last_is_fsynced_and_many_callers_share_it(desk: SqlStore, sqlite_url: str) -> None:
    """Counted in the write-ahead log: a commit ends with a frame that carries the size of the database."""
    await desk.accept([said("warm up", user=f"u{n}") for n in range(64)])
    await desk.database.run(_pragma("wal_autocheckpoint=0"), read=True)  # type: ignore[arg-type]
    before = _commits(sqlite_url)
    await asyncio.gather(*(desk.accept([said("x", user=f"u{n % 64}")]) for n in range(1000)))
    assert _commits(sqlite_url) - before <= 60
    assert await desk.database.run(_pragma("synchronous"), read=True) in {1, 2}  # type: ignore[arg-type]


def _commits(sqlite_url: str) -> int:
    body = Path(sqlite_url.removeprefix("sqlite:///") + "-wal").read_bytes()
    page = int.from_bytes(body[8:12], "big")
    frames = range(32, len(body) - 24, page + 24)  # https://sqlite.org/fileformat2.html, section 4.1
    return sum(int.from_bytes(body[at + 4 : at + 8], "big") != 0 for at in frames)


async def test_cli_commands_may_write_beside_a_running_process(desk: SqlStore, sqlite_url: str) -> None:
    beside = await SqlStore.open(sqlite_url)
    await asyncio.gather(
        *(store.accept([said("x", user=f"u{n}")]) for n in range(20) for store in (desk, beside)),
    )
    await beside.close()
    stored = await desk.database.run(lambda conn: conn.execute(select(func.count()).select_from(inbox)).scalar_one())
    assert stored == 40


# --- PostgreSQL -----------------------------------------------------------------------------------------------------


@pytest.mark.postgres
async def test_connections_that_died_in_the_pool_are_replaced(pg_url: str) -> None:
    store = await SqlStore.open(pg_url)
    await store.accept([said("before")])
    killer = await SqlStore.open(pg_url)
    await killer.database.run(
        lambda conn: (
            conn.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            )
            and None
        )
    )
    await killer.close()
    await store.accept([said("after")])
    await take_turn(store, "hi")
    await store.close()


@pytest.mark.postgres
async def test_a_server_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(StoreUnavailable):
        await Database.open("postgresql://nobody@127.0.0.1:1/none")


@pytest.mark.postgres
async def test_deadlocked_units_are_run_again(pg_url: str) -> None:
    database = await Database.open(pg_url)
    for key in ("a", "b"):
        await database.run(
            lambda conn, key=key: conn.execute(insert(rate_buckets), {"key": key, "tokens": 0.0, "at": START}) and None
        )

    def both(first: str, second: str) -> object:
        def unit(conn: Connection) -> None:
            for key in (first, second):
                conn.execute(text("UPDATE rate_buckets SET tokens = tokens + 1 WHERE key = :key"), {"key": key})
                conn.execute(text("SELECT pg_sleep(0.05)"))

        return unit

    await asyncio.gather(database.run(both("a", "b")), database.run(both("b", "a")))  # type: ignore[arg-type]
    tokens = await database.run(lambda conn: list(conn.execute(select(rate_buckets.c.tokens)).scalars()))
    assert tokens == [2.0, 2.0]
    await database.close()


@pytest.mark.parametrize(
    "url",
    ["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:///file:x?mode=memory", "mysql://x/y", "nonsense", ""],
)
async def test_addresses_that_promise_nothing_are_refused(url: str) -> None:
    with pytest.raises(Misconfigured, match=r"sqlite:///file\.db or postgresql"):
        await Database.open(url)


async def test_keys_are_looked_up_again_after_a_unit_that_needs_none(sqlite_url: str) -> None:
    database = await Database.open(sqlite_url)

    def of_nobody(conn: Connection) -> None:
        conn.execute(insert(customer_tags), {"customer_id": 404, "tag": "x", "at": START})

    def nothing(conn: Connection) -> None:
        conn.execute(customer_tags.delete())

    await database.run(of_nobody, checked=False)
    await database.run(nothing)
    with pytest.raises(IntegrityError):
        await database.run(of_nobody)
    await database.close()
