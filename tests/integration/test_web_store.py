"""The web chat on the real store: what the routes promise holds when SQL keeps it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest

from crm_sync.store import SqlStore
from tests.web_server import WebServer, web_server

MESSAGES, EVENTS = "/channels/web/default/messages", "/channels/web/default/events"
ODD_TEXTS = ["", "  \n", "😀", "\x00\x01\x1b", "\u202eשלום", "a\u200bb", "\ud83d", "漢" * 20_000, "/restart"]


@pytest.fixture
async def server(store: SqlStore) -> AsyncIterator[WebServer]:
    async with web_server(store=store, hub_options={"sweep_s": 600.0}) as running:
        yield running


@pytest.fixture
async def client(server: WebServer) -> AsyncIterator[aiohttp.ClientSession]:
    async with (
        aiohttp.ClientSession(server.url) as anonymous,
        anonymous.post("/channels/web/default/sessions") as response,
    ):
        token = (await response.json())["token"]
    async with aiohttp.ClientSession(server.url, headers={"Authorization": f"Bearer {token}"}) as session:
        yield session


async def _post(client: aiohttp.ClientSession, message_id: str, text: str) -> tuple[int, dict[str, object]]:
    async with client.post(MESSAGES, json={"id": message_id, "text": text}) as response:
        return response.status, await response.json()


async def _texts(client: aiohttp.ClientSession, count: int, after: int = 0) -> list[str]:
    texts: list[str] = []
    async with client.get(f"{EVENTS}?after={after}", max_line_size=1_000_000) as response:
        while len(texts) < count:
            line = await response.content.readuntil(b"\n")
            if line.startswith(b"data: "):
                texts.append(json.loads(line[6:])["text"])
    return texts


async def test_every_odd_text_is_acknowledged_and_comes_back_as_it_was_sent(client: aiohttp.ClientSession) -> None:
    for number, text in enumerate(ODD_TEXTS, start=1):
        assert await _post(client, f"m{number}", text) == (202, {"id": f"m{number}", "seq": number})

    assert await _texts(client, len(ODD_TEXTS)) == ODD_TEXTS


async def test_a_repeat_is_acknowledged_and_other_words_under_its_id_are_refused(client: aiohttp.ClientSession) -> None:
    assert await _post(client, "a", "one") == (202, {"id": "a", "seq": 1})
    assert await _post(client, "a", "one") == (202, {"id": "a", "seq": 1})
    assert (await _post(client, "a", "two"))[0] == 409
    assert await _post(client, "b", "three") == (202, {"id": "b", "seq": 2})


async def test_many_at_once_get_numbers_without_gap_or_repeat(client: aiohttp.ClientSession) -> None:
    answers = await asyncio.gather(*[_post(client, str(number), str(number)) for number in range(64)])

    assert sorted(int(str(body["seq"])) for _, body in answers) == list(range(1, 65))
    in_order = [text for _, text in sorted((body["seq"], str(body["id"])) for _, body in answers)]
    assert await _texts(client, 64) == in_order


async def test_a_stream_sees_what_is_accepted_while_it_is_open_and_resumes(client: aiohttp.ClientSession) -> None:
    await _post(client, "0", "0")
    reading = asyncio.create_task(_texts(client, 10))
    for number in range(1, 10):
        await _post(client, str(number), str(number))

    assert await reading == [str(number) for number in range(10)]
    assert await _texts(client, 3, after=7) == ["7", "8", "9"]


async def test_reading_is_stored(client: aiohttp.ClientSession) -> None:
    await _post(client, "a", "one")
    async with client.post("/channels/web/default/read", json={"seq": 1}) as response:
        assert response.status == 204
