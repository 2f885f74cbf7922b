"""Customers' files at a vendor: wanted when the message is accepted, fetched once, and never lost silently."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from bot.errors import (
    Misconfigured,
    NotFound,
    PayloadInvalid,
    RateLimited,
    SendRefused,
    ServiceUnavailable,
)
from bot.types import ConversationId, Media
from channels.base import FetchedFile
from crm_sync.customers import customer_record, find_customers
from crm_sync.erasure import erase_customer
from crm_sync.media.arriving import FileSources
from crm_sync.media.local import LocalMediaStore
from crm_sync.media.wanted import GIVE_UP_AFTER, MOST_DEATHS, WantedFiles
from crm_sync.store import SqlStore
from crm_sync.tables import media
from frontdesk.media_fetching import MediaFetcher
from frontdesk.signals import LocalSignals
from tests import media_files
from tests.media_library import FailingStore, files_in, library_in
from tests.store_steps import SetClock, said

PLACE = ("telegram", "main")


@dataclass
class VendorWithFiles:
    """A vendor's side: what it holds, what it answers, and a ledger of what it was asked for."""

    files: dict[str, bytes]
    errors: list[Exception] = field(default_factory=list)  # answered first, one a call
    asked: list[str] = field(default_factory=list)
    channel: str = PLACE[0]
    account: str = PLACE[1]

    async def fetch_media(self, file_id: str, *, max_bytes: int) -> FetchedFile:
        self.asked.append(file_id)
        await asyncio.sleep(0)
        if self.errors:
            raise self.errors.pop(0)
        if file_id not in self.files:
            raise NotFound("gone")
        if len(self.files[file_id]) > max_bytes:
            raise PayloadInvalid("too long")
        return FetchedFile(self.files[file_id], mime="application/x-whatever-the-vendor-says", file_name="")


@dataclass
class Desk:
    """The store, a vendor, and any number of fetchers between them."""

    store: SqlStore
    vendor: VendorWithFiles
    folder: Path
    clock: SetClock = field(default_factory=lambda: SetClock(datetime.now(UTC)))  # the store stamps by the real one

    def __post_init__(self) -> None:
        self.store.inbox.file_sources = FileSources(frozenset({PLACE}))

    def fetcher(self, fault: Any = lambda point: None, **library_options: Any) -> MediaFetcher:
        library = library_in(self.store, self.folder, clock=self.clock, fault=fault, **library_options)
        files = WantedFiles(self.store.database, library, self.clock)
        adapters: Any = {PLACE: self.vendor}
        return MediaFetcher(files, library, adapters, LocalSignals(), fault=fault)

    async def receive(self, *contents: Media, user: str = "ann", keys: Sequence[str] = ()) -> ConversationId:
        messages = [
            said(content, channel="telegram", account="main", user=user, key=keys[at] if keys else "")
            for at, content in enumerate(contents)
        ]
        accepted = await self.store.accept(messages)
        assert accepted[0].conversation_id is not None
        return accepted[0].conversation_id

    async def rows(self) -> list[Any]:
        query = select(media).order_by(media.c.id)
        return await self.store.database.run(lambda conn: list(conn.execute(query)), read=True)

    async def states(self) -> list[tuple[str, str]]:
        return [(row.state, row.reason) for row in await self.rows()]


@pytest.fixture
def desk(store: SqlStore, tmp_path: Path) -> Desk:
    files = {"voice": media_files.ogg(), "photo": media_files.photo(), "page": b"<html><script>"}
    return Desk(store, VendorWithFiles(files), tmp_path / "media")


async def test_a_file_is_fetched_checked_and_stored_with_its_message(desk: Desk) -> None:
    await desk.receive(Media("voice", "voice", mime="audio/x", file_name="../v.ogg"), Media("image", "photo"))
    assert await desk.states() == [("wanted", ""), ("wanted", "")]
    assert await desk.fetcher().run_once() == 2
    voice, photo = await desk.rows()
    assert (voice.state, voice.kind, voice.mime, voice.file_name) == ("stored", "voice", "audio/ogg", "v.ogg")
    assert (photo.state, photo.kind, photo.mime) == ("stored", "image", "image/jpeg")
    assert voice.message_id != photo.message_id
    library = library_in(desk.store, desk.folder, clock=desk.clock)
    assert (await library.read(voice.key))[1] == media_files.ogg()
    assert b"Exif" not in (await library.read(photo.key))[1]
    assert desk.vendor.asked == ["voice", "photo"]
    assert await desk.fetcher().run_once() == 0


async def test_a_redelivered_message_wants_its_file_once(desk: Desk) -> None:
    await desk.receive(Media("voice", "voice"), keys=["k"])
    await desk.receive(Media("voice", "voice"), keys=["k"])
    assert len(await desk.rows()) == 1


@pytest.mark.parametrize("content", [Media("sticker", "s"), "only words"])
async def test_nothing_is_wanted_of_messages_without_a_file(desk: Desk, content: Any) -> None:
    await desk.store.accept([said(content, channel="telegram", account="main")])
    assert await desk.rows() == []


async def test_the_name_of_a_file_is_harmless_before_anybody_fetched_it(desk: Desk) -> None:
    await desk.receive(Media("document", "missing", file_name="../a\x1b[31m\u202efdp.exe\x00" + "x" * 900))
    (row,) = await desk.rows()
    assert row.file_name.startswith("a[31mfdp.exex")
    assert len(row.file_name) <= 200


async def test_nothing_is_wanted_where_no_adapter_fetches(desk: Desk) -> None:
    await desk.store.accept([said(Media("image", "photo"), channel="telegram", account="other")])
    assert await desk.rows() == []


@pytest.mark.parametrize(
    ("file_id", "error", "reason"),
    [
        ("page", None, "files of this kind are not taken"),
        ("missing", None, "the vendor no longer has it"),
        ("voice", SendRefused("telegram", "Bad Request: file is too big"), "the vendor does not hand it out"),
        ("voice", PayloadInvalid("?"), "the vendor's answer could not be read, or the file is too large"),
    ],
)
async def test_what_will_never_come_is_refused_with_the_reason_for_staff(
    desk: Desk, file_id: str, error: Exception | None, reason: str
) -> None:
    desk.vendor.errors = [error] if error else []
    await desk.receive(Media("document", file_id))
    await desk.fetcher().run_once()
    assert await desk.states() == [("refused", reason)]
    (customer,) = await find_customers(desk.store.database, "telegram/main/ann")
    record = await customer_record(desk.store.database, customer)
    assert [(file["state"], file["reason"]) for file in record["files"]] == [("refused", reason)]


async def test_a_file_announced_as_too_large_is_not_even_asked_for(desk: Desk) -> None:
    await desk.receive(Media("video", "voice", size=30_000_000), Media("video", "voice", size=-5))
    await desk.fetcher().run_once()
    (large, small) = await desk.states()
    assert large == ("refused", "the file is larger than 20000000 bytes")
    assert small[0] == "stored"
    assert desk.vendor.asked == ["voice"]


@pytest.mark.parametrize(
    "error",
    [
        ServiceUnavailable("telegram"),
        Misconfigured("telegram"),
        TimeoutError(),
        ConnectionResetError(),
        KeyError("bug"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_what_may_come_later_is_tried_again_after_a_pause(desk: Desk, error: Exception) -> None:
    desk.vendor.errors = [error]
    await desk.receive(Media("voice", "voice"))
    fetcher = desk.fetcher()
    await fetcher.run_once()
    assert await fetcher.run_once() == 0  # not at once
    desk.clock.advance(seconds=10)
    assert await fetcher.run_once() == 1
    assert [state for state, _ in await desk.states()] == ["stored"]


async def test_the_pause_a_vendor_asks_for_is_kept(desk: Desk) -> None:
    desk.vendor.errors = [RateLimited("telegram", retry_after_s=90)]
    await desk.receive(Media("voice", "voice"))
    fetcher = desk.fetcher()
    await fetcher.run_once()
    desk.clock.advance(seconds=89)
    assert await fetcher.run_once() == 0
    desk.clock.advance(seconds=1)
    assert await fetcher.run_once() == 1


async def test_after_three_days_of_failures_it_is_given_up(desk: Desk) -> None:
    desk.vendor.errors = [ServiceUnavailable("telegram")] * 200
    await desk.receive(Media("voice", "voice"))
    fetcher, started = desk.fetcher(), desk.clock.now()
    while (await desk.states())[0][0] == "wanted":
        await fetcher.run_once()
        desk.clock.advance(minutes=10)
    assert await desk.states() == [("refused", "given up: telegram was not available")]
    assert desk.clock.now() - started < GIVE_UP_AFTER + timedelta(hours=2)
    assert 60 < len(desk.vendor.asked) < 120


async def test_a_media_store_that_is_down_loses_nothing(desk: Desk) -> None:
    down = FailingStore(LocalMediaStore(desk.folder))
    await desk.receive(Media("voice", "voice"))
    fetcher = desk.fetcher(bytes_store=down)
    await fetcher.run_once()
    assert ("wanted", "media store was not available") in await desk.states()
    down.is_down = False
    desk.clock.advance(seconds=10)
    await fetcher.run_once()
    await library_in(desk.store, desk.folder, clock=desk.clock).purge()
    assert [state for state, _ in await desk.states()] == ["stored"]
    assert len(files_in(desk.folder)) == 1


async def test_a_scanner_that_cannot_look_is_asked_again_later(desk: Desk, tmp_path: Path) -> None:
    scanner = tmp_path / "scan"
    scanner.write_text("#!/bin/sh\nexit 2\n")
    scanner.chmod(0o755)
    await desk.receive(Media("voice", "voice"))
    fetcher = desk.fetcher(scan_command=str(scanner))
    await fetcher.run_once()
    assert await desk.states() == [("wanted", "virus scanner was not available")]
    scanner.write_text("#!/bin/sh\nexit 0\n")
    desk.clock.advance(seconds=10)
    await fetcher.run_once()
    assert [state for state, _ in await desk.states()] == ["stored"]


class Killed(BaseException):
    """Stands for SIGKILL inside the test's own process: nothing after it runs."""


@pytest.mark.parametrize("point", ["media.before_fetch", "media.fetched", "media.before_bytes", "media.after_bytes"])
async def test_a_death_at_any_moment_ends_with_one_stored_file(desk: Desk, point: str) -> None:
    def fault(passed: str) -> None:
        if passed == point:
            raise Killed

    await desk.receive(Media("voice", "voice"))
    with pytest.raises(Killed):
        await desk.fetcher(fault).run_once()
    assert await desk.fetcher().run_once() == 0  # the claim of the dead still holds
    desk.clock.advance(minutes=5)
    assert await desk.fetcher().run_once() == 1
    desk.clock.advance(hours=1)
    await library_in(desk.store, desk.folder, clock=desk.clock).purge()
    assert [state for state, _ in await desk.states()] == ["stored"]
    assert len(files_in(desk.folder)) == 1


async def test_a_file_that_kills_whoever_handles_it_is_left_alone(desk: Desk) -> None:
    def fault(point: str) -> None:
        if point == "media.fetched":
            raise Killed

    await desk.receive(Media("voice", "voice"))
    for _ in range(MOST_DEATHS):
        with pytest.raises(Killed):
            await desk.fetcher(fault).run_once()
        desk.clock.advance(minutes=5)
    assert await desk.fetcher(fault).run_once() == 0
    assert [state for state, _ in await desk.states()] == ["refused"]


async def test_a_process_that_is_stopped_gives_its_files_back_at_once(desk: Desk) -> None:
    asked = asyncio.Event()

    class SlowVendor(VendorWithFiles):
        async def fetch_media(self, file_id: str, *, max_bytes: int) -> FetchedFile:
            asked.set()
            await asyncio.Event().wait()
            raise AssertionError("never answers")

    patient, desk.vendor = desk.vendor, SlowVendor({})
    await desk.receive(Media("voice", "voice"))
    running = asyncio.create_task(desk.fetcher().run())
    await asked.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    desk.vendor = patient
    assert await desk.fetcher().run_once() == 1
    assert [state for state, _ in await desk.states()] == ["stored"]


async def test_of_two_fetchers_on_one_file_only_one_stores_it(desk: Desk) -> None:
    """The slow one is overtaken: its claim ends while it fetches, and another stores the file meanwhile."""
    await desk.receive(Media("voice", "voice"))
    slow = library_in(desk.store, desk.folder, clock=desk.clock)
    slow_files = WantedFiles(desk.store.database, slow, desk.clock)
    (claim,) = await slow_files.claim({PLACE}, 5)
    desk.clock.advance(minutes=5)
    assert await desk.fetcher().run_once() == 1
    assert await slow_files.store(claim, media_files.ogg(), "") is False
    assert [state for state, _ in await desk.states()] == ["stored"]
    assert len(files_in(desk.folder)) == 1


async def test_whoever_was_overtaken_changes_nothing_any_more(desk: Desk) -> None:
    """Its claim over, another has the file in hand: neither its bytes nor its verdict count."""
    await desk.receive(Media("voice", "voice"))
    library = library_in(desk.store, desk.folder, clock=desk.clock)
    files = WantedFiles(desk.store.database, library, desk.clock)
    (slow,) = await files.claim({PLACE}, 5)
    desk.clock.advance(minutes=5)
    (fast,) = await files.claim({PLACE}, 5)
    await files.refuse(slow, "gone")
    await files.retry(slow, "not yet")
    assert await files.store(slow, media_files.ogg(), "") is False
    assert files_in(desk.folder) == []
    assert await files.store(fast, media_files.ogg(), "") is True
    assert [state for state, _ in await desk.states()] == ["stored"]
    assert len(files_in(desk.folder)) == 1


async def test_fetchers_at_once_share_the_work(desk: Desk) -> None:
    await desk.receive(*(Media("voice", "voice") for _ in range(12)))
    fetchers = [desk.fetcher() for _ in range(3)]
    while sum(await asyncio.gather(*(fetcher.run_once() for fetcher in fetchers))):
        continue
    assert [state for state, _ in await desk.states()] == ["stored"] * 12
    assert len(desk.vendor.asked) == len(files_in(desk.folder)) == 12


async def test_a_file_of_a_person_erased_meanwhile_is_not_kept(desk: Desk) -> None:
    await desk.receive(Media("voice", "voice"))
    library = library_in(desk.store, desk.folder, clock=desk.clock)
    files = WantedFiles(desk.store.database, library, desk.clock)
    (claim,) = await files.claim({PLACE}, 5)
    (customer,) = await find_customers(desk.store.database, "telegram/main/ann")
    await erase_customer(desk.store.database, customer)
    assert await files.store(claim, media_files.ogg(), "") is False
    assert files_in(desk.folder) == []
    assert await desk.fetcher().run_once() == 0


# --- uploads on the web ---------------------------------------------------------------------------------------------


async def test_an_upload_becomes_part_of_the_message_that_names_it(desk: Desk) -> None:
    (hello,) = await desk.store.accept([said("hello")])
    assert hello.conversation_id is not None
    library = library_in(desk.store, desk.folder, clock=desk.clock)
    added = await library.add(media_files.PDF, conversation_id=hello.conversation_id, is_upload=True)
    message = said(Media("document", added.media_id), key="m")
    (accepted,) = await desk.store.accept([message])
    (row,) = await desk.rows()
    assert row.message_id == accepted.message_id
    desk.clock.advance(days=2)
    assert await library.purge() == 0
    assert await library.find(added.media_id) == added


async def test_naming_somebody_elses_file_does_not_take_it(desk: Desk) -> None:
    (hello,) = await desk.store.accept([said("hello", user="ann")])
    library = library_in(desk.store, desk.folder, clock=desk.clock)
    added = await library.add(media_files.PDF, conversation_id=hello.conversation_id, is_upload=True)
    await desk.store.accept([said(Media("document", added.media_id), user="mallory")])
    (row,) = await desk.rows()
    assert row.message_id is None
