"""GET /media/{key}: only with a link of ours, in parts where asked, and never as something that runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from bot.ports import StoredFile
from crm_sync.media.library import SqlMediaLibrary
from crm_sync.store import SqlStore
from frontdesk.media_routes import asked_part, media_routes
from tests import media_files
from tests.media_library import library_in
from tests.store_steps import SetClock

DESK = "https://desk.example"


@pytest.fixture
async def store(sqlite_url: str) -> AsyncIterator[SqlStore]:
    """One database is enough here: what is tested is the route."""
    opened = await SqlStore.open(sqlite_url)
    yield opened
    await opened.close()


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def library(store: SqlStore, tmp_path: Path, clock: SetClock) -> SqlMediaLibrary:
    return library_in(store, tmp_path / "media", clock=clock, base_url=DESK, retention_days=1, link_hours=48)


@pytest.fixture
async def client(library: SqlMediaLibrary) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=Starlette(routes=media_routes(library)))
    async with httpx.AsyncClient(transport=transport, base_url=DESK) as opened:
        yield opened


@pytest.fixture
async def song(library: SqlMediaLibrary) -> StoredFile:
    return await library.add(media_files.mp3(), file_name="歌.mp3")


async def test_a_link_brings_the_file_with_the_type_we_found(
    client: httpx.AsyncClient, library: SqlMediaLibrary, song: StoredFile
) -> None:
    answer = await client.get(library.link(song.media_id))
    assert (answer.status_code, answer.content) == (200, media_files.mp3())
    assert answer.headers["content-type"] == "audio/mpeg"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert answer.headers["cache-control"].startswith("private")
    assert answer.headers["content-disposition"] == "inline; filename*=UTF-8''%E6%AD%8C.mp3"


@pytest.mark.parametrize(("content", "how"), [(media_files.PDF, "attachment"), (b"plain words", "attachment")])
async def test_documents_are_saved_not_shown(
    client: httpx.AsyncClient, library: SqlMediaLibrary, content: bytes, how: str
) -> None:
    answer = await client.get(library.link((await library.add(content)).media_id))
    assert answer.headers["content-disposition"].startswith(how)


async def test_without_a_signature_of_ours_nothing_is_looked_up(
    client: httpx.AsyncClient, store: SqlStore, library: SqlMediaLibrary, song: StoredFile
) -> None:
    link = library.link(song.media_id)
    await store.close()  # whoever asked the store now would fail
    for forged in (
        f"{DESK}/media/{song.media_id}",
        link[:-1] + ("A" if link[-1] != "A" else "B"),
        link.replace("expires=1", "expires=2"),
        f"{DESK}/media/{'a' * 32}?{link.split('?')[1]}",
        f"{DESK}/media/..%2F..%2Fetc%2Fpasswd?{link.split('?')[1]}",
        link + "&signature=x",
        f"{DESK}/media/{song.media_id}?expires=99999999999999999999&signature=é",
    ):
        answer = await client.get(forged)
        assert answer.status_code in (403, 404), forged
        assert b"\xff\xfb" not in answer.content


async def test_a_link_of_another_deployment_is_refused(
    client: httpx.AsyncClient, store: SqlStore, tmp_path: Path, song: StoredFile
) -> None:
    other = library_in(store, tmp_path / "media", keys=(b"the secret key of somebody else",), base_url=DESK)
    assert (await client.get(other.link(song.media_id))).status_code == 403


async def test_a_link_that_is_over_says_so(
    client: httpx.AsyncClient, library: SqlMediaLibrary, song: StoredFile, clock: SetClock
) -> None:
    link = library.link(song.media_id)
    clock.advance(hours=48 + 13)
    answer = await client.get(link)
    assert answer.status_code == 410
    assert answer.headers["content-type"].startswith("text/plain")


async def test_a_file_that_is_no_longer_kept_says_so(
    client: httpx.AsyncClient, library: SqlMediaLibrary, song: StoredFile, clock: SetClock
) -> None:
    link = library.link(song.media_id)
    clock.advance(days=1)
    await library.purge()
    assert (await client.get(link)).status_code == 410


async def test_a_file_that_never_was_is_not_found(client: httpx.AsyncClient, library: SqlMediaLibrary) -> None:
    assert (await client.get(library.link("a" * 32))).status_code == 404


async def test_players_get_the_parts_they_ask_for(
    client: httpx.AsyncClient, library: SqlMediaLibrary, song: StoredFile
) -> None:
    link, content = library.link(song.media_id), media_files.mp3()
    part = await client.get(link, headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, content[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{len(content)}"
    assert (await client.get(link, headers={"Range": "bytes=-5"})).content == content[-5:]
    assert (await client.get(link, headers={"Range": "bytes=1600-"})).content == content[1600:]
    beyond = await client.get(link, headers={"Range": f"bytes={len(content)}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{len(content)}")


async def test_a_part_of_another_version_is_not_mixed_in(
    client: httpx.AsyncClient, library: SqlMediaLibrary, song: StoredFile
) -> None:
    answer = await client.get(library.link(song.media_id), headers={"Range": "bytes=0-1", "If-Range": '"other"'})
    assert answer.status_code == 200


async def test_what_a_browser_has_is_not_sent_again(
    client: httpx.AsyncClient, library: SqlMediaLibrary, song: StoredFile
) -> None:
    link = library.link(song.media_id)
    tag = (await client.head(link)).headers["etag"]
    answer = await client.get(link, headers={"If-None-Match": tag})
    assert (answer.status_code, answer.content) == (304, b"")


@pytest.mark.parametrize(
    "header",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=5-2",
        "bytes=0-0,0-0",
        "bytes=" + "0-0," * 2000 + "0-0",
        "items=0-5",
        "bytes=a-b",
        "bytes=٣-٤",
        "bytes=0-5 ",
        "bytes=" + "9" * 400 + "-",
    ],
)
def test_odd_ranges_bring_everything(header: str) -> None:
    assert asked_part(header, 1000) is None


@pytest.mark.parametrize("header", ["bytes=1000-", "bytes=1000-2000", "bytes=-0"])
def test_ranges_outside_the_file_are_refused(header: str) -> None:
    with pytest.raises(ValueError):
        asked_part(header, 1000)


def test_ranges_are_cut_at_the_end() -> None:
    assert asked_part("bytes=990-5000", 1000) == (990, 10)
    assert asked_part("bytes=-5000", 1000) == (0, 1000)
    assert asked_part("bytes=0-", 1000) == (0, 1000)
