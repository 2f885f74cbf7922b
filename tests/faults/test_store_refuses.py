"""A store that cannot commit: 503, nothing acknowledged that is not there, and on it goes by itself afterwards."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from tests.faults.broken import QUOTA
from tests.faults.harness import stage
from tests.faults.judge import query
from tests.faults.process import BROKEN

WITHIN_S = 30.0


@pytest.mark.slow  # Frontdesk waits five seconds for a lock, more than once here
async def test_a_locked_store_answers_503_and_loses_nothing(sqlite_desk_url: str, tmp_path: Path) -> None:
    async with stage(sqlite_desk_url, tmp_path, visitors=1, texters=1) as scene:
        (visitor,), (user,) = scene.visitors, scene.texters
        await scene.desk.start()
        await visitor.open()
        await visitor.say("ticket 30001")
        await visitor.until_answered(WITHIN_S)
        # What a backup tool or a careless `sqlite3` session does. Frontdesk waits 5 s before it gives up.
        locker = sqlite3.connect(tmp_path / "desk.db", isolation_level=None)
        locker.execute("BEGIN IMMEDIATE")
        user.say("ticket 30002")
        assert await visitor.try_to_say("ticket 30003", client_id="again") == 503
        locker.execute("COMMIT")
        locker.close()
        assert (await query(sqlite_desk_url, "SELECT count(*) FROM inbox WHERE channel = 'web'")) == [(1,)]
        await visitor.say("ticket 30003", client_id="again")
        await scene.until_everybody_is_answered()
        await scene.desk.stop()
        await scene.judge()


@pytest.mark.slow
async def test_a_full_disk_answers_503_and_goes_on_when_there_is_room(sqlite_desk_url: str, tmp_path: Path) -> None:
    extra = {"FRONTDESK_BROKEN": "fills_the_disk"}
    async with stage(sqlite_desk_url, tmp_path, visitors=1, texters=1, launch=BROKEN, extra=extra) as scene:
        (visitor,), (user,) = scene.visitors, scene.texters
        await scene.desk.start()
        await visitor.open()
        await visitor.say("ticket 40001")
        await visitor.until_answered(WITHIN_S)
        ((pages,),) = await query(sqlite_desk_url, "PRAGMA page_count")
        _allow(tmp_path, pages)
        numbers = iter(range(40100, 40400))
        while (status := await visitor.try_to_say(f"ticket {(number := next(numbers))}", client_id=str(number))) == 202:
            pass  # there is still room on the pages it has
        assert status == 503
        user.say("ticket 40002")
        refused = await query(sqlite_desk_url, f"SELECT id FROM messages WHERE text LIKE '%{number}%'")
        assert not refused
        _allow(tmp_path, 1_000_000)
        async with asyncio.timeout(WITHIN_S):
            await visitor.say(f"ticket {number}", client_id=str(number))
        await scene.until_everybody_is_answered()
        await scene.desk.stop()
        await scene.judge()


def _allow(folder: Path, pages: int) -> None:
    """SQLite may use so many pages from now on; a reader finds the old number or the new one, never half of it."""
    (folder / "quota.new").write_text(str(pages))
    (folder / "quota.new").replace(folder / QUOTA)
