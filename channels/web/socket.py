"""The same chat over one WebSocket: token in the first frame, then events out and messages in."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from bot.errors import BotError
from channels.web.http import Origins, refusal_for
from channels.web.hub import Stream
from channels.web.tokens import Session
from channels.web.wire import Refused, dump_event, read_content, read_object, read_seq, read_text_field

if TYPE_CHECKING:
    from channels.web.routes import WebChat

FIRST_FRAME_S = 10.0
# Close codes of our own mirror the HTTP status they stand for; 1001 and 1009 are RFC 6455's "going away", "too big".
GOING_AWAY, TOO_BIG = 1001, 1009
_ENDED = {"expired": 4401, "shutdown": GOING_AWAY}


class Socket:
    """An ASGI app: origin first, then the handshake, then a reader and a writer until one of them ends."""

    def __init__(self, chat: WebChat, origins: Mapping[str, Origins], max_frame_bytes: int) -> None:
        self._chat, self._origins, self._max_frame_bytes = chat, origins, max_frame_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        socket = WebSocket(scope, receive, send)
        account = scope["path_params"]["account"]
        headers = dict(scope["headers"])
        allowed = self._origins.get(account)
        if allowed is None or not allowed.allows(headers.get(b"origin", b""), headers.get(b"host", b"")):
            await socket.close()  # before accepting: the handshake is answered with 403
            return
        await socket.accept()
        try:
            session, stream = await self._begin(socket, account)
        except WebSocketDisconnect:
            return
        except BotError as error:
            await self._refuse(socket, error)
            return
        try:
            await self._serve(socket, session, stream)
        finally:
            stream.close()

    async def _begin(self, socket: WebSocket, account: str) -> tuple[Session, Stream]:
        try:
            async with asyncio.timeout(FIRST_FRAME_S):
                hello = await self._read(socket)
        except TimeoutError as exc:
            raise Refused(408, "first_frame_missing", "send the token in the first frame") from exc
        token = hello.get("token")
        session = self._chat.session(token if isinstance(token, str) else "", account)
        return session, await self._chat.open_stream(session, read_seq(hello.get("after", 0), "after"))

    async def _serve(self, socket: WebSocket, session: Session, stream: Stream) -> None:
        reader = asyncio.get_running_loop().create_task(self._take_frames(socket, session))
        reader.add_done_callback(lambda _: stream.end("gone"))
        try:
            while (frames := await stream.next()) is not None:
                for frame in frames:
                    await socket.send_text(frame.text)
                # An empty batch is a heartbeat; the server's own pings keep a WebSocket alive.
        except WebSocketDisconnect:
            stream.end("gone")
        finally:
            reader.cancel()
            (ended,) = await asyncio.gather(reader, return_exceptions=True)
        if isinstance(ended, BotError):
            await self._refuse(socket, ended)
        elif isinstance(ended, Exception) and not isinstance(ended, WebSocketDisconnect):
            raise ended
        elif stream.end_reason in _ENDED:
            await socket.close(_ENDED[stream.end_reason])

    async def _take_frames(self, socket: WebSocket, session: Session) -> None:
        """Frames one after the other, so that messages are accepted in the order they were sent."""
        while True:
            frame = await self._read(socket)
            try:
                answer = await self._take(frame, session)
            except BotError as error:
                refusal = refusal_for(error)
                if refusal is None:
                    raise
                problem = {"code": refusal.code, "message": refusal.message, "status": refusal.status}
                answer = {"type": "error", "id": frame.get("id"), "error": problem}
            if answer is not None:
                await socket.send_text(dump_event(answer).decode())

    async def _take(self, frame: Mapping[str, Any], session: Session) -> dict[str, Any] | None:
        # The token may have ended while the socket stayed open; the hub closes it at its next tick.
        kind = read_text_field(frame, "type", 20, required=True)
        if kind == "message":
            raw = dump_event(frame)
            accepted = await self._chat.accept(read_content(frame, raw, session, self._chat.clock.now()))
            return {"type": "ack", "id": frame["id"], "seq": accepted.seq}
        if kind == "read":
            await self._chat.mark_read(session, read_seq(frame.get("seq")))
        elif kind == "typing":
            await self._chat.show_typing(session)
        else:
            raise Refused(422, "unknown_type", "type must be message, typing or read")
        return None

    async def _read(self, socket: WebSocket) -> dict[str, Any]:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005))
        frame = message.get("text")
        body: bytes = frame.encode() if frame is not None else message.get("bytes") or b""
        if len(body) > self._max_frame_bytes:
            raise Refused(413, "too_large", f"a frame may hold at most {self._max_frame_bytes} bytes")
        return read_object(body)

    async def _refuse(self, socket: WebSocket, error: BotError) -> None:
        """Says why in a last frame, then closes with 4000 + the HTTP status."""
        refusal = refusal_for(error)
        if refusal is None:
            raise error
        try:
            await socket.send_text(orjson.dumps({"type": "error", **orjson.loads(refusal.body())}).decode())
            await socket.close(TOO_BIG if refusal.status == 413 else 4000 + refusal.status)
        except (WebSocketDisconnect, RuntimeError):
            return  # the other side went first
