"""One round of housekeeping on real stores: what is over is gone, what may still be asked for stays."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import insert, select

from bot.types import Identity, Media
from crm_sync.media.arriving import FileSources
from crm_sync.media.local import LocalMediaStore
from crm_sync.store import SqlStore
from crm_sync.tables import web_uploads
from crm_sync.web_uploads import BATCH
from frontdesk.housekeeping import tidy
from tests.media_files import PDF
from tests.media_library import FailingStore, library_in
from tests.store_steps import START, SetClock, said

ANN = Identity("web", "default", "ann")
RETENTION_DAYS = 30


class Desk:
    """A store and its media library on one clock."""

    def __init__(self, store: SqlStore, folder: Path) -> None:
        self.clock = SetClock()
        self.bytes = FailingStore(LocalMediaStore(folder))
        self.bytes.is_down = False
        self.store = SqlStore(store.database, clock=self.clock)
        self.library = library_in(
            store, folder, clock=self.clock, bytes_store=self.bytes, retention_days=RETENTION_DAYS
        )
        self.store.inbox.file_sources = FileSources(retention=self.library.retention)

    async def upload(self, client_id: str) -> str:
        """The media id of what Ann uploaded under this id."""
        own = await self.store.web_conversation(ANN)
        file = await self.library.add(PDF, conversation_id=own, is_upload=True)
        return await self.store.note_web_upload(ANN, client_id, "aa", media_id=file.media_id, conversation_id=own)

    async def tidy_after(self, **length: float) -> None:
        self.clock.advance(**length)
        await tidy(self.store, self.library, raw_retention_days=RETENTION_DAYS)

    async def remembers(self, client_id: str) -> bool:
        return await self.store.find_web_upload(ANN, client_id, "aa") is not None


@pytest.fixture
def desk(store: SqlStore, tmp_path: Path) -> Desk:
    return Desk(store, tmp_path / "media")


async def test_an_upload_that_no_message_named_is_forgotten_with_its_file_after_a_day(desk: Desk) -> None:
    await desk.upload("c1")
    await desk.tidy_after(hours=23)
    assert await desk.remembers("c1")
    await desk.tidy_after(hours=1)
    assert not await desk.remembers("c1")

    again = await desk.upload("c1")  # a browser that was offline for long
    assert (await desk.library.find(again)).media_id == again


async def test_a_message_can_be_repeated_as_long_as_its_file_is_kept(desk: Desk) -> None:
    media_id = await desk.upload("c1")
    assert await desk.store.use_web_upload(ANN, media_id, "m1")
    await desk.store.accept([said(Media("document", media_id), key="m1")])

    await desk.tidy_after(days=RETENTION_DAYS - 1)
    assert await desk.store.use_web_upload(ANN, media_id, "m1")
    assert not await desk.store.use_web_upload(ANN, media_id, "m2")
    await desk.tidy_after(days=1)
    assert not await desk.remembers("c1")


async def test_an_upload_whose_message_never_arrived_is_forgotten_after_a_day(desk: Desk) -> None:
    assert await desk.store.use_web_upload(ANN, await desk.upload("c1"), "m1")

    await desk.tidy_after(days=1)
    assert not await desk.remembers("c1")


async def test_a_media_store_that_is_down_holds_up_nothing_else(desk: Desk) -> None:
    await desk.upload("c1")
    desk.bytes.is_down = True
    await desk.tidy_after(days=1)
    assert not await desk.remembers("c1")

    desk.bytes.is_down = False
    assert await desk.library.purge() == 1


async def test_however_many_there_are_none_is_left(desk: Desk) -> None:
    kept = await desk.upload("c1")
    own = await desk.store.web_conversation(ANN)
    rows = [
        {"key": f"k{number}", "media_key": f"gone{number}", "conversation_id": own, "sha256": "aa", "at": START}
        for number in range(BATCH + 1)
    ]
    await desk.store.database.run(lambda conn: conn.execute(insert(web_uploads), rows) and None)

    assert await desk.store.prune_web_uploads() == BATCH + 1
    assert await desk.store.database.run(
        lambda conn: list(conn.execute(select(web_uploads.c.media_key)).scalars()), read=True
    ) == [kept]
