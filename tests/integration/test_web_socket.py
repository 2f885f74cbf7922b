"""The web chat over WebSocket: the same promises as over HTTP, one connection."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from bot.types import Text
from config.settings import WebSettings
from tests.web_server import WebServer, web_server

SOCKET = "/channels/web/default/socket"


@pytest.fixture
async def server() -> AsyncIterator[WebServer]:
    accounts = {"default": WebSettings(origins=("https://shop.example",))}
    async with web_server(accounts=accounts, responder=lambda received: [{"text": "answer"}]) as running:
        yield running


@pytest.fixture
async def client(server: WebServer) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(server.url) as session:
        yield session


async def _token(client: aiohttp.ClientSession) -> str:
    async with client.post("/channels/web/default/sessions") as response:
        return str((await response.json())["token"])


async def _frames(socket: aiohttp.ClientWebSocketResponse, count: int) -> list[dict[str, Any]]:
    return [await socket.receive_json(timeout=5) for _ in range(count)]


async def test_messages_are_acknowledged_and_come_back_as_events(client: aiohttp.ClientSession) -> None:
    async with client.ws_connect(SOCKET) as socket:
        await socket.send_json({"token": await _token(client), "after": 0})
        await socket.send_json({"type": "message", "id": "a", "text": "你好"})
        frames = await _frames(socket, 3)

    events = [frame for frame in frames if "type" not in frame]
    assert [frame for frame in frames if "type" in frame] == [{"type": "ack", "id": "a", "seq": 1}]
    assert [(event["seq"], event["direction"], event["text"]) for event in events] == [
        (1, "in", "你好"),
        (2, "out", "answer"),
    ]


async def test_a_socket_resumes_and_a_repeated_message_is_acknowledged_again(
    client: aiohttp.ClientSession, server: WebServer
) -> None:
    token = await _token(client)
    async with client.ws_connect(SOCKET) as socket:
        await socket.send_json({"token": token})
        await socket.send_json({"type": "message", "id": "a", "text": "one"})
        await _frames(socket, 3)
    async with client.ws_connect(SOCKET) as socket:
        await socket.send_json({"token": token, "after": 1})
        assert [frame["seq"] for frame in await _frames(socket, 1)] == [2]
        await socket.send_json({"type": "message", "id": "a", "text": "one"})
        assert await _frames(socket, 1) == [{"type": "ack", "id": "a", "seq": 1}]
    assert len(server.store.received) == 1


async def test_pipelined_messages_are_accepted_in_order(client: aiohttp.ClientSession, server: WebServer) -> None:
    async with client.ws_connect(SOCKET) as socket:
        await socket.send_json({"token": await _token(client)})
        for number in range(20):
            await socket.send_json({"type": "message", "id": str(number), "text": str(number)})
        acks = [frame for frame in await _frames(socket, 60) if frame.get("type") == "ack"]

    assert [ack["id"] for ack in acks] == [str(number) for number in range(20)]
    assert [item.message and item.message.content for item in server.store.received] == [
        Text(str(number)) for number in range(20)
    ]


async def test_a_frame_that_is_wrong_is_answered_and_the_socket_stays(client: aiohttp.ClientSession) -> None:
    async with client.ws_connect(SOCKET) as socket:
        await socket.send_json({"token": await _token(client)})
        wrong: list[Any] = [
            {"type": "message", "id": "a"},
            {"type": "message", "id": "b", "text": 5},
            {"type": "message", "id": "c", "text": "x" * 20_001},
            {"type": "dance"},
            {"type": ["message"]},
            {"type": "read", "seq": "1"},
            {},
        ]
        for frame in wrong:
            await socket.send_json(frame)
            (answer,) = await _frames(socket, 1)
            assert (answer["type"], answer["id"]) == ("error", frame.get("id"))
            assert answer["error"]["status"] == 422
        await socket.send_json({"type": "typing"})
        await socket.send_json({"type": "message", "id": "ok", "text": "still here"})
        assert "ack" in [frame.get("type") for frame in await _frames(socket, 3)]


async def test_the_same_id_with_other_words_is_refused(client: aiohttp.ClientSession) -> None:
    async with client.ws_connect(SOCKET) as socket:
        await socket.send_json({"token": await _token(client)})
        await socket.send_json({"type": "message", "id": "a", "text": "one"})
        await _frames(socket, 3)
        await socket.send_json({"type": "message", "id": "a", "text": "two"})
        (answer,) = await _frames(socket, 1)
    assert (answer["error"]["code"], answer["error"]["status"]) == ("id_reused", 409)


async def test_a_store_that_is_down_is_said_and_the_message_can_be_sent_again(
    client: aiohttp.ClientSession, server: WebServer
) -> None:
    async with client.ws_connect(SOCKET) as socket:
        await socket.send_json({"token": await _token(client)})
        await socket.send_json({"type": "typing"})  # answered by nothing; the stream is open before it is taken
        await socket.send_json({"type": "message", "id": "a", "text": "one"})
        await _frames(socket, 3)
        server.store.is_down = True
        await socket.send_json({"type": "message", "id": "b", "text": "two"})
        (answer,) = await _frames(socket, 1)
        assert answer["error"]["status"] == 503
        server.store.is_down = False
        await socket.send_json({"type": "message", "id": "b", "text": "two"})
        assert {"type": "ack", "id": "b", "seq": 3} in await _frames(socket, 3)


@pytest.mark.parametrize(
    ("first", "code"),
    [
        ('{"token":"fd1.a.b"}', 4401),
        ('{"token":5}', 4401),
        ("{}", 4401),
        ("[]", 4422),
        ("not json", 4400),
        ("[" * 5000, 4400),
        (json.dumps({"token": "x" * 100_000}), 4401),
    ],
)
async def test_a_socket_without_a_genuine_token_is_closed_with_a_reason(
    client: aiohttp.ClientSession, first: str, code: int
) -> None:
    async with client.ws_connect(SOCKET) as socket:
        await socket.send_str(first)
        (answer,) = await _frames(socket, 1)
        assert answer["type"] == "error"
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == code


@pytest.mark.parametrize("after", [-1, "1", 1.5, True, 2**60])
async def test_a_place_that_is_no_number_closes_the_socket(client: aiohttp.ClientSession, after: Any) -> None:
    async with client.ws_connect(SOCKET) as socket:
        await socket.send_json({"token": await _token(client), "after": after})
        (answer,) = await _frames(socket, 1)
        assert answer["error"]["code"] == "invalid"
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == 4422


async def test_a_frame_of_bytes_is_read_like_text(client: aiohttp.ClientSession) -> None:
    async with client.ws_connect(SOCKET) as socket:
        await socket.send_bytes(json.dumps({"token": await _token(client)}).encode())
        await socket.send_bytes(b'{"type":"message","id":"a","text":"hi"}')
        assert {"type": "ack", "id": "a", "seq": 1} in await _frames(socket, 3)


@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
async def test_other_origins_are_refused_at_the_handshake(client: aiohttp.ClientSession, origin: str) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await client.ws_connect(SOCKET, origin=origin)
    assert refused.value.status == 403


async def test_configured_origins_and_the_own_page_may_connect(
    client: aiohttp.ClientSession, server: WebServer
) -> None:
    for origin in ("https://shop.example", server.url):
        async with client.ws_connect(SOCKET, origin=origin) as socket:
            assert not socket.closed


async def test_an_unknown_account_is_refused_at_the_handshake(client: aiohttp.ClientSession) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await client.ws_connect("/channels/web/nobody/socket")
    assert refused.value.status == 403


async def test_stopping_the_server_closes_sockets_as_going_away(
    client: aiohttp.ClientSession, server: WebServer
) -> None:
    async with client.ws_connect(SOCKET) as socket:
        await socket.send_json({"token": await _token(client)})
        await socket.send_json({"type": "message", "id": "a", "text": "hi"})
        await _frames(socket, 3)
        await server.hub.close()
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == aiohttp.WSCloseCode.GOING_AWAY
