"""A small HTTP/1.1 client on raw asyncio protocols: the load must not cost more than what it measures.

Speaks to our own servers only: keep-alive, a Content-Length on every plain answer, chunked event streams.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import cast

Answered = Callable[[int, bytes], None]  # status, body


def post(path: str, body: bytes, headers: Mapping[str, str] | None = None) -> bytes:
    """The bytes of one POST; of JSON, unless `headers` say otherwise."""
    more = "".join(
        f"{name}: {value}\r\n" for name, value in {"Content-Type": "application/json", **(headers or {})}.items()
    )
    head = f"POST {path} HTTP/1.1\r\nHost: bench\r\n{more}Content-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


class Exchange(asyncio.Protocol):
    """One keep-alive connection, one request at a time."""

    def __init__(self) -> None:
        self._buffer = b""
        self._answered: Answered | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # what create_connection makes

    def send(self, request: bytes, answered: Answered) -> None:
        """`answered` is called with the answer, or with status 0 when the connection ends first."""
        if self._transport is None or self._transport.is_closing():
            answered(0, b"")
            return
        self._answered = answered
        self._transport.write(request)

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        future: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()
        self.send(request, lambda status, body: future.set_result((status, body)))
        return await future

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end].lower()
        at = head.find(b"\r\ncontent-length:")
        length = int(head[at + 17 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self._buffer) < end + 4 + length:
            return
        body, self._buffer = self._buffer[end + 4 : end + 4 + length], self._buffer[end + 4 + length :]
        answered, self._answered = self._answered, None
        if answered is not None:
            answered(int(head[9:12]), body)

    def connection_lost(self, exc: Exception | None) -> None:
        answered, self._answered = self._answered, None
        if answered is not None:
            answered(0, b"")

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class EventStream(asyncio.Protocol):
    """One open event stream; `on_event` gets each message event as it arrives."""

    def __init__(self, path: str, token: str, on_event: Callable[[dict[str, object]], None]) -> None:
        self._request = f"GET {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        self._on_event = on_event
        self._wire, self._text = b"", b""
        self._in_body = False
        self._transport: asyncio.Transport | None = None
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # what create_connection makes
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._wire += data
        if not self._in_body:
            head, found, rest = self._wire.partition(b"\r\n\r\n")
            if not found:
                return
            if b" 200 " not in head.split(b"\r\n", 1)[0]:
                self.opened.set_exception(ConnectionError(head.split(b"\r\n", 1)[0].decode()))
                return
            self._in_body, self._wire = True, rest
        self._take_chunks()

    def _take_chunks(self) -> None:
        while (end := self._wire.find(b"\r\n")) >= 0:
            size = int(self._wire[:end], 16)
            if len(self._wire) < end + 2 + size + 2:
                break
            self._text += self._wire[end + 2 : end + 2 + size]
            self._wire = self._wire[end + 4 + size :]
        if self._text and not self.opened.done():
            self.opened.set_result(None)
        *events, self._text = self._text.split(b"\n\n")
        for event in events:
            if event.startswith(b"id: "):
                self._on_event(json.loads(event[event.index(b"data: ") + 6 :]))

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.opened.done():
            self.opened.set_exception(exc or ConnectionError("the stream ended"))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


async def connect(port: int) -> Exchange:
    _, exchange = await asyncio.get_running_loop().create_connection(Exchange, "127.0.0.1", port)
    return exchange


async def open_stream(port: int, token: str, on_event: Callable[[dict[str, object]], None]) -> EventStream:
    """The stream's first bytes have arrived: nothing posted from now on is missed."""
    path = "/channels/web/default/events?after=0"
    _, stream = await asyncio.get_running_loop().create_connection(
        lambda: EventStream(path, token, on_event), "127.0.0.1", port
    )
    await asyncio.wait_for(stream.opened, 10)
    return stream
