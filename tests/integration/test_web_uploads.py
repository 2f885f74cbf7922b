"""Files of web visitors on the real store and library: taken once, theirs alone, part of one message."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from sqlalchemy import select

from channels.web import WebExtras
from channels.web.uploads import BURST, MAX_AT_ONCE
from config.settings import WebSettings
from crm_sync.media.library import SqlMediaLibrary
from crm_sync.store import SqlStore
from crm_sync.tables import conversations, media
from tests.media_files import PDF, office, photo, picture, png_bomb
from tests.media_library import files_in, library_in
from tests.web_server import WebServer, web_server

UPLOADS, MESSAGES = "uploads", "messages"
MAX_BYTES = 400_000


@dataclass
class Site:
    server: WebServer
    library: SqlMediaLibrary
    folder: Path


@pytest.fixture
async def site(store: SqlStore, tmp_path: Path) -> AsyncIterator[Site]:
    folder = tmp_path / "media"
    library = library_in(store, folder, base_url="", max_bytes=MAX_BYTES)
    accounts = {"default": WebSettings(), "other": WebSettings(), "plain": WebSettings(attachments=False)}
    extras = WebExtras(store=store, library=library, max_upload_bytes=MAX_BYTES)
    options: dict[str, Any] = {"sweep_s": 600.0, "link": library.link}
    async with web_server(accounts=accounts, store=store, extras=extras, hub_options=options) as server:
        yield Site(server, library, folder)


class Visitor:
    """One session on one account."""

    def __init__(self, site: Site, http: aiohttp.ClientSession, token: str, account: str) -> None:
        self.site, self.http, self.token, self.account = site, http, token, account

    @classmethod
    async def arrive(cls, site: Site, http: aiohttp.ClientSession, account: str = "default") -> Visitor:
        async with http.post(f"{site.server.url}/channels/web/{account}/sessions") as response:
            return cls(site, http, (await response.json())["token"], account)

    async def post(self, path: str, **options: Any) -> tuple[int, dict[str, Any]]:
        headers = {"Authorization": f"Bearer {self.token}", **options.pop("headers", {})}
        url = f"{self.site.server.url}/channels/web/{self.account}/{path}"
        async with self.http.post(url, headers=headers, **options) as response:
            return response.status, await response.json()

    async def upload(self, content: Any, client_id: str = "u1", name: str = "photo.png") -> tuple[int, dict[str, Any]]:
        headers = {"X-Upload-Id": quote(client_id), "X-File-Name": quote(name)}
        return await self.post(UPLOADS, data=content, headers=headers)

    async def say(self, message_id: str, **fields: Any) -> tuple[int, dict[str, Any]]:
        return await self.post(MESSAGES, json={"id": message_id, **fields})

    async def send(self, media_id: str, message_id: str = "m1", **fields: Any) -> tuple[int, dict[str, Any]]:
        return await self.say(message_id, attachment={"media_id": media_id}, **fields)

    async def event(self, seq: int) -> dict[str, Any]:
        url = f"{self.site.server.url}/channels/web/{self.account}/events?after={seq - 1}"
        async with self.http.get(url, headers={"Authorization": f"Bearer {self.token}"}) as response:
            while True:
                line = await response.content.readuntil(b"\n")
                if line.startswith(b"data: "):
                    found: dict[str, Any] = json.loads(line[6:])
                    return found


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def ann(site: Site, http: aiohttp.ClientSession) -> Visitor:
    return await Visitor.arrive(site, http)


async def test_a_picture_is_cleaned_sent_and_seen_with_a_fresh_link(ann: Visitor, site: Site) -> None:
    status, file = await ann.upload(photo(), name="假期 照片.jpg")
    assert status == 201
    assert (file["kind"], file["mime"], file["file_name"]) == ("image", "image/jpeg", "假期 照片.jpg")
    (kept,) = files_in(site.folder)
    assert b"SecretPhone" not in kept.read_bytes()

    assert await ann.send(file["media_id"], text="it leaks here") == (202, {"id": "m1", "seq": 1})
    event = await ann.event(1)
    assert (event["kind"], event["text"]) == ("media", "it leaks here")
    (shown,) = event["media"]
    assert (shown["kind"], shown["file_name"], shown["size"]) == ("image", "假期 照片.jpg", file["size"])
    assert shown["url"].startswith(f"/media/{file['media_id']}?expires=")
    assert "media_id" not in shown


async def test_the_same_upload_again_and_at_once_is_one_file(ann: Visitor, site: Site) -> None:
    content = picture()
    answers = await asyncio.gather(*[ann.upload(content) for _ in range(4)])

    assert {status for status, _ in answers} == {201}
    assert len({file["media_id"] for _, file in answers}) == 1
    assert len(files_in(site.folder)) == 1


async def test_another_file_under_the_same_id_is_refused(ann: Visitor) -> None:
    await ann.upload(picture())
    status, refusal = await ann.upload(PDF)

    assert (status, refusal["error"]["code"]) == (409, "id_reused")


async def test_a_file_is_part_of_one_message_and_a_repeat_is_acknowledged(ann: Visitor) -> None:
    _, file = await ann.upload(picture())
    first = await ann.send(file["media_id"])

    assert await ann.send(file["media_id"]) == first == (202, {"id": "m1", "seq": 1})
    status, refusal = await ann.send(file["media_id"], "m2")
    assert (status, refusal["error"]["code"]) == (422, "unknown_file")
    assert (await ann.say("m1", text="other words"))[0] == 409


@pytest.mark.parametrize("account", ["default", "other"])
async def test_somebody_elses_file_cannot_be_sent(
    ann: Visitor, site: Site, http: aiohttp.ClientSession, account: str
) -> None:
    _, file = await ann.upload(picture())
    thief = await Visitor.arrive(site, http, account)

    status, refusal = await thief.send(file["media_id"])
    assert (status, refusal["error"]["code"]) == (422, "unknown_file")
    assert (await ann.send(file["media_id"]))[0] == 202


@pytest.mark.parametrize("media_id", ["x", "../../etc/passwd", "a" * 32, "漢" * 32])
async def test_an_invented_file_cannot_be_sent(ann: Visitor, media_id: str) -> None:
    status, refusal = await ann.send(media_id)

    assert (status, refusal["error"]["code"]) == (422, "unknown_file")


@pytest.mark.parametrize("is_upload", [False, True])
async def test_a_file_the_visitor_did_not_upload_cannot_be_sent(
    ann: Visitor, site: Site, store: SqlStore, is_upload: bool
) -> None:
    await ann.say("m0", text="hello")
    own = await store.database.run(lambda conn: conn.execute(select(conversations.c.id)).scalar_one(), read=True)
    ours = await site.library.add(PDF, file_name="offer.pdf", conversation_id=own, is_upload=is_upload)

    status, refusal = await ann.send(ours.media_id)
    assert (status, refusal["error"]["code"]) == (422, "unknown_file")


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 422, "file_empty"),
        (b"<html><script>alert(1)</script></html>", 415, "file_kind"),
        (b"MZ\x90\x00" + bytes(200), 415, "file_kind"),
        (office("a.txt"), 415, "file_kind"),
        (png_bomb(), 413, "file_too_large"),
        (picture()[:60], 422, "file_damaged"),
        (b"\xff\xd8\xff" + bytes(MAX_BYTES), 413, "too_large"),
    ],
)
async def test_a_bad_file_is_refused_and_nothing_is_kept(
    ann: Visitor, site: Site, content: bytes, status: int, code: str
) -> None:
    answer, refusal = await ann.upload(content)

    assert (answer, refusal["error"]["code"]) == (status, code)
    assert files_in(site.folder) == []


@pytest.mark.parametrize(
    "headers", [{}, {"X-Upload-Id": ""}, {"X-Upload-Id": "x" * 65}, {"X-Upload-Id": "a%00b"}, {"X-Upload-Id": "%0a"}]
)
async def test_an_upload_without_a_usable_id_is_refused(ann: Visitor, headers: dict[str, str]) -> None:
    assert (await ann.post(UPLOADS, data=picture(), headers=headers))[0] == 422


async def test_a_name_that_is_no_utf8_is_read_as_well_as_it_can_be(ann: Visitor) -> None:
    headers = {"X-Upload-Id": "u1", "X-File-Name": "caf%E9.png"}
    status, file = await ann.post(UPLOADS, data=picture(), headers=headers)

    assert status == 201
    assert file["file_name"].endswith(".png")


async def test_without_a_valid_token_not_a_byte_is_looked_at(ann: Visitor, site: Site) -> None:
    ann.token = "fd1.a.b"
    status, refusal = await ann.upload(picture())

    assert (status, refusal["error"]["code"]) == (401, "token_invalid")
    assert files_in(site.folder) == []


async def test_an_account_may_take_no_files(site: Site, http: aiohttp.ClientSession) -> None:
    visitor = await Visitor.arrive(site, http, "plain")

    assert (await visitor.upload(picture()))[1]["error"]["code"] == "attachments_off"


async def test_a_visitor_who_uploads_without_end_is_slowed_down(ann: Visitor) -> None:
    answers = [await ann.upload(picture(), f"u{number}") for number in range(BURST + 1)]

    assert answers[-1][0] == 429
    assert answers[0][0] == 201


async def test_a_connection_cut_in_the_middle_leaves_nothing_and_the_next_try_works(ann: Visitor, site: Site) -> None:
    content = picture(size=(300, 300))
    reader, writer = await asyncio.open_connection("127.0.0.1", site.server.port)
    head = (
        f"POST /channels/web/default/uploads HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ann.token}\r\n"
        f"X-Upload-Id: u1\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    writer.write(head.encode() + content[:100])
    await writer.drain()
    writer.close()
    await reader.read()

    assert (await ann.upload(content))[0] == 201
    assert len(files_in(site.folder)) == 1


async def test_slow_uploads_of_some_do_not_fill_the_memory(ann: Visitor, site: Site) -> None:
    head = (
        f"POST /channels/web/default/uploads HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ann.token}\r\n"
        "X-Upload-Id: s{}\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n"
    )
    slow = []
    for number in range(MAX_AT_ONCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", site.server.port)
        writer.write(head.format(number).encode())
        await reader.readuntil(b"100 Continue\r\n\r\n")  # its body is being waited for
        slow.append(writer)
    status, refusal = await ann.upload(picture())
    for writer in slow:
        writer.close()

    assert (status, refusal["error"]["code"]) == (503, "busy")


async def test_the_stored_file_points_at_its_message(ann: Visitor, store: SqlStore) -> None:
    _, file = await ann.upload(PDF)
    await ann.send(file["media_id"])
    row = await store.database.run(lambda conn: conn.execute(select(media)).one())

    assert (row.key, row.state) == (file["media_id"], "stored")
    assert row.message_id is not None


async def test_the_message_waits_for_a_turn_with_its_file(ann: Visitor, store: SqlStore) -> None:
    _, file = await ann.upload(PDF, name="invoice.pdf")
    await ann.send(file["media_id"], text="here")
    (claimed,) = await store.claim("worker", 1)

    content: Any = claimed.messages[0].message.content
    assert (content.kind, content.file_id, content.caption) == ("document", file["media_id"], "here")
    assert (content.mime, content.size) == ("application/pdf", len(PDF))
