"""SIGKILL while a file is stored, fetched or deleted: nothing half there, nothing left over, nothing lost."""

from __future__ import annotations

import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from bot.types import Media
from crm_sync.media.arriving import FileSources
from crm_sync.media.wanted import WantedFiles
from crm_sync.store import SqlStore
from crm_sync.tables import media
from frontdesk.media_fetching import MediaFetcher
from frontdesk.signals import LocalSignals
from tests.faults.media_process import PLACE, Vendor
from tests.faults.process import begun
from tests.media_library import files_in, library_in
from tests.store_steps import SetClock, said


async def _run(what: str, url: str, folder: Path, point: str = "") -> int:
    program = (str(Path(__file__).with_name("media_process.py")),)
    log = folder.with_name("process.log")
    process = await begun(program, (what, url, str(folder)), {"FRONTDESK_FAULT": point}, folder.parent, log)
    return await process.wait()


async def _states(store: SqlStore) -> list[str]:
    return await store.database.run(lambda conn: list(conn.execute(select(media.c.state)).scalars()), read=True)


@pytest.mark.parametrize(("point", "left"), [("media.before_bytes", 0), ("media.after_bytes", 1)])
async def test_killed_while_a_file_is_stored_leaves_no_row_without_bytes_and_no_bytes_for_long(
    sqlite_url: str, tmp_path: Path, point: str, left: int
) -> None:
    folder = tmp_path / "media"
    assert await _run("add", sqlite_url, folder, point) == -signal.SIGKILL
    assert len(files_in(folder)) == left
    store = await SqlStore.open(sqlite_url)
    assert await _states(store) == ["storing"]
    later = SetClock(datetime.now(UTC) + timedelta(hours=1, minutes=1))
    await library_in(store, folder, clock=later).purge()
    assert (await _states(store), files_in(folder)) == ([], [])
    await store.close()


@pytest.mark.parametrize("point", ["media.before_fetch", "media.fetched", "media.before_bytes", "media.after_bytes"])
async def test_killed_while_a_file_is_fetched_it_is_fetched_again_and_stored_once(
    sqlite_url: str, tmp_path: Path, point: str
) -> None:
    folder = tmp_path / "media"
    store = await SqlStore.open(sqlite_url)
    store.inbox.file_sources = FileSources(frozenset({PLACE}))
    await store.accept([said(Media("voice", "v"), channel=PLACE[0], account=PLACE[1])])
    assert await _run("fetch", sqlite_url, folder, point) == -signal.SIGKILL
    assert await _states(store) in (["wanted"], ["wanted", "storing"])
    later = SetClock(datetime.now(UTC) + timedelta(hours=1, minutes=1))
    library = library_in(store, folder, clock=later)
    sources = {PLACE: Vendor()}
    files = WantedFiles(store.database, library, later)
    assert await MediaFetcher(files, library, sources, LocalSignals()).run_once() == 1  # type: ignore[arg-type]
    await library.purge()
    assert await _states(store) == ["stored"]
    assert len(files_in(folder)) == 1
    await store.close()


async def test_without_a_fault_the_process_ends_well(sqlite_url: str, tmp_path: Path) -> None:
    assert await _run("add", sqlite_url, tmp_path / "media") == 0
