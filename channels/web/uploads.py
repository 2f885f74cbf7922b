"""Files of visitors: uploaded ahead under a client id, then named by one message of the same visitor."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, cast
from urllib.parse import unquote
from weakref import WeakValueDictionary

import orjson

from bot.errors import NotFound
from bot.ports import MediaLibrary, RateTokens, StoredFile
from bot.types import Identity, InboundMessage, Media, Received
from channels.web.extras import ExtrasStore
from channels.web.http import Call
from channels.web.tokens import Session
from channels.web.wire import CHANNEL, MAX_ID, Refused

if TYPE_CHECKING:
    from channels.web.routes import WebChat

MediaKind = Literal["image", "audio", "video", "document"]  # what the library tells apart
PER_S, BURST = 1 / 6, 20  # files of one visitor: twenty at once, ten a minute
MAX_AT_ONCE = 8  # bodies held in memory by this process, each of at most the largest file's size
BODY_TIMEOUT_S = 300.0  # 20 MB take that long at half a megabit per second
MAX_FILE_NAME = 1024  # bytes of the header


class Uploads:
    """Takes a file's bytes once, whatever becomes of the connection, and gives them to one message."""

    def __init__(self, chat: WebChat, store: ExtrasStore, library: MediaLibrary, tokens: RateTokens) -> None:
        self._chat, self._store, self._library, self._tokens = chat, store, library, tokens
        self._bodies = asyncio.Semaphore(MAX_AT_ONCE)
        self._visitors: WeakValueDictionary[Identity, asyncio.Lock] = WeakValueDictionary()

    async def post_upload(self, call: Call) -> None:
        """The body is the file; `X-Upload-Id` is the client's id of it, `X-File-Name` its name, percent-encoded."""
        session = self._chat.session(call.bearer, call.account)
        if not call.settings.attachments:
            raise Refused(403, "attachments_off", "this chat takes no files")
        client_id = _header(call, b"x-upload-id", MAX_ID)
        if not client_id:
            raise Refused(422, "invalid", f"X-Upload-Id must hold 1 to {MAX_ID} printable characters")
        file_name = _header(call, b"x-file-name", MAX_FILE_NAME)
        wait_s = await self._tokens.take(f"web-upload:{call.account}:{session.user}", per_s=PER_S, burst=BURST)
        if wait_s:
            raise _later(429, "too_many_uploads", "too many files at once", wait_s)
        if self._bodies.locked():
            raise _later(503, "busy", "too many files are being uploaded, please try again shortly", 2)
        async with self._bodies:
            content = await _whole(call)
            file = await self._take(session, client_id, content, file_name)
        answer = {
            "id": client_id,
            "media_id": file.media_id,
            "kind": file.kind,
            "mime": file.mime,
            "size": file.size,
            "file_name": file.file_name,
            "url": self._library.link(file.media_id),
        }
        await call.answer(201, orjson.dumps(answer))

    async def named(self, received: Received, message: InboundMessage, media: Media) -> Received:
        """The message with what is known of its file.

        Raises: Refused 422 when the file is not this visitor's own, belongs to another message, or is gone.
        """
        if await self._store.use_web_upload(message.sender, media.file_id, message.vendor_message_id):
            try:
                file = await self._library.find(media.file_id)
            except NotFound as exc:
                raise _unknown() from exc
            kind = cast("MediaKind", file.kind)
            content = replace(media, kind=kind, file_name=file.file_name, mime=file.mime, size=file.size)
            return replace(received, message=replace(message, content=content))
        raise _unknown()

    async def _take(self, session: Session, client_id: str, content: bytes, file_name: str) -> StoredFile:
        identity = Identity(CHANNEL, session.account, session.user)
        sha256 = (await asyncio.to_thread(hashlib.sha256, content)).hexdigest()
        # One after the other: the same file sent twice at once is stored once.
        async with self._visitors.setdefault(identity, asyncio.Lock()):
            media_id = await self._store.find_web_upload(identity, client_id, sha256)
            if media_id is None:
                conversation_id = await self._chat.conversation(session)
                file = await self._library.add(
                    content, file_name=file_name, conversation_id=conversation_id, is_upload=True
                )
                media_id = await self._store.note_web_upload(
                    identity, client_id, sha256, media_id=file.media_id, conversation_id=conversation_id
                )
        try:
            return await self._library.find(media_id)
        except NotFound as exc:
            raise _unknown() from exc


async def _whole(call: Call) -> bytes:
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            return await call.body()
    except TimeoutError as exc:
        raise Refused(408, "too_slow", "the file did not arrive in time", [(b"connection", b"close")]) from exc


def _header(call: Call, name: bytes, limit: int) -> str:
    """A percent-encoded header as text; raises Refused 422."""
    value = call.headers.get(name, b"")
    text = unquote(value.decode("latin-1"), errors="replace")
    if len(value) > limit * (3 if name == b"x-upload-id" else 1) or len(text) > limit or not text.isprintable():
        raise Refused(422, "invalid", f"{name.decode().title()} must hold at most {limit} printable characters")
    return text


def _later(status: int, code: str, message: str, wait_s: float) -> Refused:
    return Refused(status, code, message, [(b"retry-after", b"%d" % max(1, round(wait_s)))])


def _unknown() -> Refused:
    return Refused(422, "unknown_file", "there is no such file of yours that waits for a message")
