"""The media library on real stores: what is taken, what is refused, and what is left after failures and erasure."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import pytest
from sqlalchemy import select

from bot.errors import FileRefused, NotFound, ServiceUnavailable
from bot.types import ConversationId, CustomerId
from crm_sync.erasure import erase_customer
from crm_sync.media.local import LocalMediaStore
from crm_sync.media.rows import MAX_WAITING_UPLOADS
from crm_sync.store import SqlStore
from crm_sync.tables import conversations, media
from tests import media_files
from tests.media_library import FailingStore, files_in, library_in
from tests.store_steps import SetClock, said


class Killed(BaseException):
    """Stands for SIGKILL inside the test's own process: nothing after it runs."""


def killed_at(wanted: str) -> object:
    def fault(point: str) -> None:
        if point == wanted:
            raise Killed

    return fault


async def _states(store: SqlStore) -> list[str]:
    return await store.database.run(lambda conn: list(conn.execute(select(media.c.state)).scalars()), read=True)


async def _conversation(store: SqlStore, user: str = "ann") -> ConversationId:
    (accepted,) = await store.accept([said("hello", user=user)])
    assert accepted.conversation_id is not None
    return accepted.conversation_id


async def _customer_of(store: SqlStore, conversation_id: ConversationId) -> CustomerId:
    query = select(conversations.c.customer_id).where(conversations.c.id == conversation_id)
    return CustomerId(await store.database.run(lambda conn: conn.execute(query).scalar_one(), read=True))


async def test_an_added_file_is_read_back_with_what_it_is(store: SqlStore, tmp_path: Path) -> None:
    library = library_in(store, tmp_path / "media")
    added = await library.add(media_files.PDF, file_name="../bills/Rechnung\u202e.pdf")
    file, content = await library.read(added.media_id)
    assert content == media_files.PDF
    assert file == added
    assert (file.mime, file.kind, file.size, file.file_name) == (
        "application/pdf",
        "document",
        len(media_files.PDF),
        "Rechnung.pdf",
    )
    assert file.sha256 == hashlib.sha256(content).hexdigest()


async def test_pictures_are_stored_without_the_place_they_were_taken_at(store: SqlStore, tmp_path: Path) -> None:
    library = library_in(store, tmp_path / "media")
    file, content = await library.read((await library.add(media_files.photo(), file_name="IMG_1.exe")).media_id)
    assert b"Exif" not in content
    assert file.file_name == "IMG_1.jpg"
    assert file.size == len(content)


async def test_the_limit_itself_is_taken_and_one_byte_more_is_not(store: SqlStore, tmp_path: Path) -> None:
    library = library_in(store, tmp_path / "media", max_bytes=1000)
    assert (await library.add(b"a" * 1000)).size == 1000
    with pytest.raises(FileRefused) as caught:
        await library.add(b"a" * 1001)
    assert caught.value.code == "too_large"


@pytest.mark.parametrize("content", [b"", b"<script>", media_files.png_bomb(), media_files.picture()[:40]])
async def test_a_refused_file_leaves_no_trace(store: SqlStore, tmp_path: Path, content: bytes) -> None:
    library = library_in(store, tmp_path / "media")
    with pytest.raises(FileRefused):
        await library.add(content)
    assert await _states(store) == []
    assert files_in(tmp_path / "media") == []


async def test_many_files_at_once_are_all_kept_apart(store: SqlStore, tmp_path: Path) -> None:
    library = library_in(store, tmp_path / "media")
    bodies = [f"file {number}".encode() for number in range(15)]
    added = await asyncio.gather(*(library.add(body) for body in bodies))
    assert len({file.media_id for file in added}) == 15
    assert [(await library.read(file.media_id))[1] for file in added] == bodies


# --- the scanner ----------------------------------------------------------------------------------------------------


def _scanner(folder: Path, script: str) -> str:
    path = folder / "scan"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return f"{path} --quiet"


async def test_the_scanner_sees_the_file_as_it_came(store: SqlStore, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    command = _scanner(tmp_path, f'[ "$1" = --quiet ] && cp "$2" {seen}')
    library = library_in(store, tmp_path / "media", scan_command=command)
    await library.add(media_files.photo())
    assert seen.read_bytes() == media_files.photo()


async def test_an_infected_file_is_refused(store: SqlStore, tmp_path: Path) -> None:
    library = library_in(store, tmp_path / "media", scan_command=_scanner(tmp_path, "exit 1"))
    with pytest.raises(FileRefused) as caught:
        await library.add(media_files.PDF)
    assert caught.value.code == "infected"
    assert files_in(tmp_path / "media") == []


@pytest.mark.parametrize("script", ["exit 2", "kill -9 $$"])
async def test_a_scanner_that_cannot_look_lets_nothing_pass(store: SqlStore, tmp_path: Path, script: str) -> None:
    library = library_in(store, tmp_path / "media", scan_command=_scanner(tmp_path, script))
    with pytest.raises(ServiceUnavailable):
        await library.add(media_files.PDF)
    assert await _states(store) == []


async def test_a_scanner_that_is_not_there_lets_nothing_pass(store: SqlStore, tmp_path: Path) -> None:
    library = library_in(store, tmp_path / "media", scan_command="/nowhere/scanner")
    with pytest.raises(ServiceUnavailable):
        await library.add(media_files.PDF)


# --- failures in the middle -----------------------------------------------------------------------------------------


async def test_a_media_store_that_is_down_refuses_and_forgets(store: SqlStore, tmp_path: Path) -> None:
    down = FailingStore(LocalMediaStore(tmp_path / "media"))
    library = library_in(store, tmp_path / "media", bytes_store=down)
    with pytest.raises(ServiceUnavailable):
        await library.add(media_files.PDF)
    assert await _states(store) == ["gone"]
    with pytest.raises(ServiceUnavailable):
        await library.purge()
    down.is_down = False
    await library.purge()
    assert await _states(store) == []
    await library.add(media_files.PDF)


@pytest.mark.parametrize(("point", "left"), [("media.before_bytes", 0), ("media.after_bytes", 1)])
async def test_a_death_in_the_middle_leaves_nothing_after_an_hour(
    store: SqlStore, tmp_path: Path, point: str, left: int
) -> None:
    clock, folder = SetClock(), tmp_path / "media"
    with pytest.raises(Killed):
        await library_in(store, folder, clock=clock, fault=killed_at(point)).add(media_files.PDF)
    library = library_in(store, folder, clock=clock)
    assert await library.purge() == 0  # it may still be on its way
    assert len(files_in(folder)) == left
    clock.advance(hours=1)
    assert await library.purge() == 1
    assert files_in(folder) == []
    assert await _states(store) == []


async def test_a_death_while_deleting_is_made_good(store: SqlStore, tmp_path: Path) -> None:
    clock, folder = SetClock(), tmp_path / "media"
    library = library_in(store, folder, clock=clock, retention_days=2)
    added = await library.add(media_files.PDF)
    clock.advance(days=2)
    with pytest.raises(Killed):
        await library_in(store, folder, clock=clock, fault=killed_at("media.bytes_deleted")).purge()
    assert await library.purge() == 1
    assert await library.purge() == 0
    with pytest.raises(NotFound):
        await library.read(added.media_id)


async def test_a_file_erased_while_it_was_written_is_not_kept(store: SqlStore, tmp_path: Path) -> None:
    conversation = await _conversation(store)
    customer = await _customer_of(store, conversation)
    folder = tmp_path / "media"

    class ErasingStore(LocalMediaStore):
        async def put(self, key: str, content: bytes, *, mime: str) -> None:
            await super().put(key, content, mime=mime)
            await erase_customer(store.database, customer)

    library = library_in(store, folder, bytes_store=ErasingStore(folder))
    with pytest.raises(ServiceUnavailable):
        await library.add(media_files.PDF, conversation_id=conversation)
    assert files_in(folder) == []
    assert await _states(store) == []


# --- retention and erasure ------------------------------------------------------------------------------------------


async def test_files_go_when_their_time_is_over_and_no_earlier(store: SqlStore, tmp_path: Path) -> None:
    clock, folder = SetClock(), tmp_path / "media"
    library = library_in(store, folder, clock=clock, retention_days=30)
    added = await library.add(media_files.PDF)
    clock.advance(days=29, hours=23)
    assert await library.purge() == 0
    clock.advance(hours=1)
    assert await library.purge() == 1
    assert files_in(folder) == []
    assert await _states(store) == ["gone"]  # staff still see that there was a file
    with pytest.raises(NotFound):
        await library.find(added.media_id)


async def test_the_files_of_an_erased_person_are_deleted_and_those_of_others_stay(
    store: SqlStore, tmp_path: Path
) -> None:
    ann, bob = await _conversation(store, "ann"), await _conversation(store, "bob")
    folder = tmp_path / "media"
    library = library_in(store, folder)
    hers = await library.add(b"ann's", file_name="ann.txt", conversation_id=ann)
    his = await library.add(b"bob's", file_name="bob.txt", conversation_id=bob)
    receipt = await erase_customer(store.database, await _customer_of(store, ann))
    assert receipt["tables"]["media"] == 1
    with pytest.raises(NotFound):
        await library.read(hers.media_id)
    assert await library.purge() == 1
    assert [path.name for path in files_in(folder)] == [his.media_id]
    assert (await library.read(his.media_id))[1] == b"bob's"


# --- uploads --------------------------------------------------------------------------------------------------------


async def test_an_upload_that_no_message_names_goes_after_a_day(store: SqlStore, tmp_path: Path) -> None:
    clock = SetClock()
    library = library_in(store, tmp_path / "media", clock=clock)
    await library.add(media_files.PDF, conversation_id=await _conversation(store), is_upload=True)
    clock.advance(hours=24)
    assert await library.purge() == 1


async def test_nobody_fills_the_disk_with_files_that_no_message_names(store: SqlStore, tmp_path: Path) -> None:
    ann, bob = await _conversation(store, "ann"), await _conversation(store, "bob")
    library = library_in(store, tmp_path / "media")
    for _ in range(MAX_WAITING_UPLOADS):
        await library.add(b"x", conversation_id=ann, is_upload=True)
    with pytest.raises(FileRefused) as caught:
        await library.add(b"x", conversation_id=ann, is_upload=True)
    assert caught.value.code == "too_many"
    await library.add(b"x", conversation_id=bob, is_upload=True)
