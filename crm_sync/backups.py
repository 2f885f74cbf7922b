"""The whole store in one file, and back, on either database: a backup is an SQLite store of its own.

Rows are copied as they are stored, byte for byte, from one snapshot, while others go on writing. What was about to
leave when the backup was made may have left since: `load` holds it until a person decides, so nothing is said twice.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import tempfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlalchemy import URL, case, update

from bot.errors import RestoreRefused, StoreUnavailable
from crm_sync import schema
from crm_sync.backup_rows import copy_in, copy_out, refuse_if_used
from crm_sync.broadcast_tables import broadcasts
from crm_sync.columns import is_state
from crm_sync.database import parse_url, sqlite_path
from crm_sync.tables import metadata, outbox

_WHY: Final = "restored from a backup; it may have left since that was made"


@dataclass(frozen=True, slots=True)
class Backup:
    """What is in a backup: rows by table (those that have any), and its size in bytes."""

    rows: Mapping[str, int]
    size: int


@dataclass(frozen=True, slots=True)
class Restored:
    """What a store was filled with, and what is held until a person decides."""

    rows: Mapping[str, int]
    held_messages: int
    held_broadcasts: int


async def save(url: str, file: Path) -> Backup:
    """`file` is a new backup of the store at `url` (mode 0600), complete and on disk, or was not made at all.

    Raises: FileExistsError (a backup is never written over), OSError, StoreUnavailable, StoreIncompatible (newer than
    this code, or older), Misconfigured.
    """
    parsed = parse_url(url)
    with tempfile.TemporaryDirectory(prefix=f".{file.name}-", dir=file.parent) as folder:  # mode 0700
        growing = Path(folder) / "store.db"
        if parsed.get_backend_name() == "sqlite":
            await asyncio.to_thread(_copy_file, sqlite_path(parsed), growing)
        else:
            await copy_out(parsed, growing)
        return await asyncio.to_thread(_finish, growing, file)


async def load(
    file: Path, url: str, now: datetime, *, replace: bool = False, nothing_ran_since: bool = False
) -> Restored:
    """The store at `url` holds exactly what the backup does, in this code's schema; on failure it is as it was.

    `replace`: what the store held is given up. `nothing_ran_since`: the desk was stopped before the backup was made,
    so that what waits to leave has certainly not left; else it is held.
    Raises: RestoreRefused (not a backup, damaged, or the store is in use), StoreUnavailable, StoreIncompatible,
    OSError.
    """
    parsed = parse_url(url)
    with tempfile.TemporaryDirectory(prefix="frontdesk-restore-") as folder:
        copy = Path(folder) / "store.db"
        await asyncio.to_thread(_check_and_copy, file, copy)
        await schema.upgrade(f"sqlite:///{copy}")
        source = parse_url(f"sqlite:///{copy}")
        held = await asyncio.to_thread(_settle, source, now, hold=not nothing_ran_since)
        if parsed.get_backend_name() == "sqlite":
            target = sqlite_path(parsed)
            if await asyncio.to_thread(target.exists):
                await schema.upgrade(url)  # refuses what is no store of ours, or a newer one
                await asyncio.to_thread(_refuse_in_use, parsed, replace)
            await asyncio.to_thread(_copy_file, copy, target)
        else:
            await schema.upgrade(url)
            await copy_in(source, parsed, replace)
        rows = await asyncio.to_thread(_count, copy)
    return Restored(rows, *held)


# --- one file to another ------------------------------------------------------------------------------------------


def _copy_file(source: Path, target: Path) -> None:
    """SQLite copies page by page and starts over by itself when somebody writes; the target changes in one step."""
    if not source.exists():
        raise StoreUnavailable("store", "there is no store yet; frontdesk db upgrade creates it")
    from crm_sync.database_sqlite import explain

    try:
        with (
            closing(sqlite3.connect(source, timeout=30)) as read,
            closing(sqlite3.connect(target, timeout=30)) as write,
        ):
            read.backup(write)
            write.execute("PRAGMA journal_mode=WAL")
    except sqlite3.Error as error:
        raise explain(error) or StoreUnavailable("store", "the store could not be copied") from error


def _finish(growing: Path, file: Path) -> Backup:
    """`file` is the grown one: sound, with nothing beside it, on disk."""
    try:
        with closing(sqlite3.connect(growing)) as connection:
            connection.execute("PRAGMA journal_mode=DELETE")
            _check(connection, growing)
    except RestoreRefused as error:
        raise StoreUnavailable("store", "is damaged, and so would be its backup; restore an older one") from error
    growing.chmod(0o600)
    rows = _count(growing)
    with growing.open("rb") as handle:
        os.fsync(handle.fileno())
    os.link(growing, file)  # unlike a rename, never over what is there
    _sync_folder(file.parent)
    return Backup(rows, file.stat().st_size)


def _check_and_copy(file: Path, copy: Path) -> None:
    if not file.is_file():
        raise FileNotFoundError(2, "there is no such backup", str(file))
    with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        _check(connection, file)
        with closing(sqlite3.connect(copy)) as write:
            connection.backup(write)


def _check(connection: sqlite3.Connection, file: Path) -> None:
    try:
        found = [row[0] for row in connection.execute("PRAGMA quick_check(1)")]
        revisions = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
    except sqlite3.DatabaseError as error:
        raise RestoreRefused(f"{file}: is damaged, or no backup at all") from error
    if found != ["ok"]:
        raise RestoreRefused(f"{file}: is damaged")
    if not revisions[0]:
        raise RestoreRefused(f"{file}: is not a backup of Frontdesk")


def _count(file: Path) -> Mapping[str, int]:
    with closing(sqlite3.connect(file)) as connection:
        names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        counted = {
            table.name: connection.execute(f'SELECT count(*) FROM "{table.name}"').fetchone()[0]  # noqa: S608 - our own names
            for table in metadata.sorted_tables
            if table.name in names
        }
    return {name: rows for name, rows in counted.items() if rows}


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# --- what a store was doing ---------------------------------------------------------------------------------------


def _refuse_in_use(url: URL, replace: bool) -> None:
    from crm_sync.database_sqlite import alone

    with alone(url, write=False) as connection:
        refuse_if_used(connection, replace)


def _settle(url: URL, now: datetime, *, hold: bool) -> tuple[int, int]:
    """What was under way when the backup was made is held; how many messages and broadcasts."""
    if not hold:
        return 0, 0
    from crm_sync.database_sqlite import alone

    with alone(url, write=True) as connection:
        messages = connection.execute(
            update(outbox)
            .where(is_state(outbox.c.state, "pending", "sending"))
            .values(state="uncertain", reason=_WHY, set_aside_at=now, lease_owner=None, lease_until=None)
        )
        held = connection.execute(
            update(broadcasts)
            .where(is_state(broadcasts.c.state, "scheduled", "preparing", "running"))
            .values(
                state=case((broadcasts.c.state == "scheduled", "approved"), else_="paused"),
                goes_on_as=case((broadcasts.c.state == "scheduled", ""), else_=broadcasts.c.state),
                reason=_WHY,
                version=broadcasts.c.version + 1,
                next_at=case((broadcasts.c.state == "scheduled", None), else_=broadcasts.c.next_at),
                updated_at=now,
            )
        )
        return messages.rowcount, held.rowcount
