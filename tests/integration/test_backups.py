"""A store is written into one file and comes back whole, on either database; what may have left is not sent again."""

from __future__ import annotations

import asyncio
import json
import secrets
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select
from typer.testing import CliRunner

from bot.errors import RestoreRefused, StoreIncompatible, StoreUnavailable
from bot.types import UpdateCustomer
from crm_sync import audit_chain, backups
from crm_sync.broadcast_tables import broadcasts
from crm_sync.search_indexing import SearchIndexer
from crm_sync.store import SqlStore
from crm_sync.tables import metadata
from desk.audit import AuditDesk
from desk.search import SearchDesk
from frontdesk.cli import app
from tests.staff_steps import AUDITOR, LEAD
from tests.store_steps import AUDIT_KEYS, START, SetClock, converse, send_all

HOSTILE = "半个 \ud83d, NUL \x00, DLE \x10, '; DROP TABLE customers; --"


@pytest.fixture
async def filled(store_url: str) -> AsyncIterator[SqlStore]:
    """A desk with people, a line of the audit log, one reply that was sent and one that waits."""
    store = await SqlStore.open(store_url, audit_keys=AUDIT_KEYS)
    await converse(store, HOSTILE, "one moment", channel="telegram", effects=(UpdateCustomer(name="李雷"),))
    await send_all(store)
    await converse(store, "水壶坏了", "kettle answer", user="bob", channel="telegram")

    def unit(conn: Connection) -> None:
        audit_chain.append(
            conn, actor="ann", action="test", subject="case:1", details={"n": 1.0, "水": "壶"}, now=START
        )

    await store.database.run(unit)
    yield store
    await store.close()


def _rows(conn: Connection) -> dict[str, list[tuple[Any, ...]]]:
    found = {table.name: list(map(tuple, conn.execute(select(table)))) for table in metadata.sorted_tables}
    del found["cursors"]  # how far the search index is; it is made anew
    return {name: sorted(rows, key=repr) for name, rows in found.items() if rows}


async def test_a_store_comes_back_row_for_row_and_goes_on(filled: SqlStore, store_url: str, tmp_path: Path) -> None:
    file = tmp_path / "desk.backup"
    made = await backups.save(store_url, file)
    before = await filled.database.run(_rows, read=True)
    assert made.rows["customers"] == 2
    assert made.size == file.stat().st_size > 0
    assert file.stat().st_mode & 0o777 == 0o600

    await converse(filled, "later", "later too", user="cleo", channel="telegram")  # what the backup does not know
    done = await backups.load(file, store_url, START, replace=True, nothing_ran_since=True)

    assert await filled.database.run(_rows, read=True) == before
    assert done.held_messages == done.held_broadcasts == 0
    assert done.rows == made.rows
    verdict = await AuditDesk(filled.database).verify(AUDITOR)
    assert (verdict.lines, verdict.broken_at) == (1, None)
    assert await send_all(filled) == ["kettle answer"]
    await converse(filled, "new", "hello again", user="dora", channel="telegram")  # numbers go on after the highest
    assert await send_all(filled) == ["hello again"]


async def test_a_backup_moves_a_store_to_the_other_database(
    filled: SqlStore, store_url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    file = tmp_path / "desk.backup"
    await backups.save(store_url, file)
    is_sqlite = store_url.startswith("sqlite")
    other = request.getfixturevalue("empty_pg_url") if is_sqlite else f"sqlite:///{tmp_path / 'other.db'}"
    await backups.load(file, other, START, nothing_ran_since=True)
    moved = await SqlStore.open(other, audit_keys=AUDIT_KEYS)
    try:
        assert await moved.database.run(_rows, read=True) == await filled.database.run(_rows, read=True)
        clock = SetClock()
        clock.advance(days=400)  # ids of PostgreSQL have settled by then
        await SearchIndexer(moved.database, clock).catch_up()
        found = await SearchDesk(moved.database).search(LEAD, "水壶")
        assert len(found.messages) == 1
    finally:
        await moved.close()


async def test_what_waited_to_leave_is_held_until_somebody_decides(
    filled: SqlStore, store_url: str, tmp_path: Path
) -> None:
    def plan(conn: Connection) -> None:
        for name, state in (("spring", "running"), ("summer", "scheduled"), ("autumn", "draft")):
            row = {"document": {}, "seed": 1, "created_at": START, "updated_at": START, "next_at": START}
            conn.execute(insert(broadcasts).values(name=name, state=state, **row))

    await filled.database.run(plan)
    file = tmp_path / "desk.backup"
    await backups.save(store_url, file)
    assert await send_all(filled) == ["kettle answer"]  # after the backup was made

    done = await backups.load(file, store_url, START, replace=True)

    assert (done.held_messages, done.held_broadcasts) == (1, 2)
    assert await send_all(filled) == []
    (waiting,) = await filled.outbox_desk.find(["uncertain"])
    assert "restored from a backup" in waiting.reason
    found = select(broadcasts.c.name, broadcasts.c.state, broadcasts.c.goes_on_as).order_by(broadcasts.c.id)
    states = await filled.database.run(lambda conn: list(map(tuple, conn.execute(found))), read=True)
    assert states == [("spring", "paused", "running"), ("summer", "approved", ""), ("autumn", "draft", "")]
    assert await filled.outbox_desk.retry([waiting.id]) == 1
    assert await send_all(filled) == ["kettle answer"]


async def test_a_store_in_use_is_not_written_over_unasked(filled: SqlStore, store_url: str, tmp_path: Path) -> None:
    file = tmp_path / "desk.backup"
    await backups.save(store_url, file)
    await converse(filled, "later", "later too", user="cleo", channel="telegram")
    before = await filled.database.run(_rows, read=True)
    with pytest.raises(RestoreRefused, match="--replace"):
        await backups.load(file, store_url, START)
    assert await filled.database.run(_rows, read=True) == before


def _noise(file: Path) -> None:
    file.write_bytes(secrets.token_bytes(9000))


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def _other_database(file: Path) -> None:
    file.unlink()
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE customers (id INTEGER)")


def _emptied(file: Path) -> None:
    file.write_bytes(b"")


def _newer(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")


@pytest.mark.parametrize(
    ("harm", "error"),
    [
        (_noise, RestoreRefused),
        (_cut, RestoreRefused),
        (_other_database, RestoreRefused),
        (_emptied, RestoreRefused),
        (_newer, StoreIncompatible),
        (Path.unlink, FileNotFoundError),
    ],
)
async def test_a_file_that_is_no_sound_backup_changes_nothing(
    harm: Any, error: type[Exception], sqlite_url: str, tmp_path: Path
) -> None:
    store = await SqlStore.open(sqlite_url)
    try:
        await converse(store, "hello", "hi")
        file = tmp_path / "desk.backup"
        await backups.save(sqlite_url, file)
        harm(file)
        before = await store.database.run(_rows, read=True)
        with pytest.raises(error):
            await backups.load(file, sqlite_url, START, replace=True)
        assert await store.database.run(_rows, read=True) == before
    finally:
        await store.close()


async def test_a_backup_is_never_written_over_and_a_failed_one_leaves_nothing(sqlite_url: str, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    kept = folder / "desk.backup"
    await backups.save(sqlite_url, kept)
    content = kept.read_bytes()
    with pytest.raises(FileExistsError):
        await backups.save(sqlite_url, kept)
    with pytest.raises(StoreUnavailable):
        await backups.save(f"sqlite:///{tmp_path / 'nowhere.db'}", folder / "second")
    (tmp_path / "noise.db").write_bytes(secrets.token_bytes(9000))
    with pytest.raises(StoreUnavailable):
        await backups.save(f"sqlite:///{tmp_path / 'noise.db'}", folder / "third")
    assert [file.name for file in folder.iterdir()] == ["desk.backup"]
    assert kept.read_bytes() == content


async def test_a_backup_made_while_people_write_holds_whole_turns_only(
    store: SqlStore, store_url: str, tmp_path: Path
) -> None:
    async def write() -> None:
        for number in range(30):
            await converse(store, f"question {number}", f"answer {number}", user=f"u{number}", channel="telegram")

    writing = asyncio.create_task(write())
    for number in range(3):
        await asyncio.sleep(0)
        await backups.save(store_url, tmp_path / f"{number}.backup")
    await writing
    for number in range(3):
        with closing(sqlite3.connect(tmp_path / f"{number}.backup")) as connection:
            assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
            halves = "SELECT count(*) FROM outbox WHERE message_id NOT IN (SELECT id FROM messages)"
            assert connection.execute(halves).fetchone() == (0,)
            answered = "SELECT (SELECT count(*) FROM turns) - (SELECT count(*) FROM outbox)"
            assert connection.execute(answered).fetchone() == (0,)


def test_both_commands_say_what_was_written_and_what_is_not_in_it(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRONTDESK_DATABASE_URL", sqlite_url)
    monkeypatch.setattr("frontdesk.commands.backups.configure_logging", lambda *_: None)
    file = tmp_path / "desk.backup"
    made = CliRunner().invoke(app, ["backup", str(file)])
    assert made.exit_code == 0
    assert "secret key" in made.stdout
    done = CliRunner().invoke(app, ["restore", str(file), "--json"])
    assert done.exit_code == 0
    assert json.loads(done.stdout)["held_messages"] == 0
    again = CliRunner().invoke(app, ["backup", str(file)])
    assert isinstance(again.exception, FileExistsError)
