"""Files both ways: what a customer sent is fetched; what we send goes by its address or as the library's bytes."""

from __future__ import annotations

import asyncio
import os
import re
import urllib.parse
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from telegram import (
    Bot,
    InputFile,
    InputMediaAudio,
    InputMediaDocument,
    InputMediaPhoto,
    InputMediaVideo,
    Message,
)

from bot.errors import Misconfigured, NotFound, PayloadInvalid, SendRefused
from bot.ports import StoredFile
from bot.types import OutMedia
from channels.base import FetchedFile
from channels.telegram.api import SERVICE, BotApi
from channels.telegram.keyboards import encodable

MediaReader = Callable[[str], Awaitable[tuple[StoredFile, bytes]]]  # `MediaLibrary.read`

# https://core.telegram.org/bots/api#sending-files and #using-a-local-bot-api-server
MAX_DOWNLOAD: Final = 20_000_000
MAX_PHOTO: Final = 10_000_000
MAX_UPLOAD: Final = 50_000_000
MAX_LOCAL: Final = 2_000_000_000

_UNSAFE: Final = re.compile(r'[\x00-\x1f\x7f"\\/]')  # would end the header that carries a file's name, or the name

_METHODS: Final = {"image": "photo", "voice": "voice", "audio": "audio", "video": "video", "document": "document"}
_IN_ALBUM: Final = {
    "image": InputMediaPhoto,
    "video": InputMediaVideo,
    "audio": InputMediaAudio,
    "document": InputMediaDocument,
}


# --- in -----------------------------------------------------------------------------------------------------------


async def fetch(api: BotApi, file_id: str, *, max_bytes: int, is_local: bool) -> FetchedFile:
    """The file behind a `file_id`, at most 20 MB (a local Bot API server: 2,000 MB) and `max_bytes`.

    Raises: what FetchesMedia says.
    """
    limit = min(max_bytes, MAX_LOCAL if is_local else MAX_DOWNLOAD)
    try:
        found = await api.call("getFile", {"file_id": file_id})
    except SendRefused as refused:
        # "file is too big", or "wrong file_id or the file is temporarily unavailable" and the like
        if "too big" in refused.reason.lower():
            raise PayloadInvalid("the file is larger than the Bot API gives out") from None
        raise NotFound("Telegram does not have this file any more") from None
    path = found.get("file_path") if isinstance(found, dict) else None
    if not isinstance(path, str) or not path:
        raise NotFound("Telegram names no place for this file")
    size = found.get("file_size")
    if isinstance(size, int) and size > limit:
        raise PayloadInvalid(f"the file is longer than {limit} bytes")
    name = PurePosixPath(path).name
    if is_local and os.path.isabs(path):
        return FetchedFile(await asyncio.to_thread(_read, Path(path), limit), file_name=name)
    content, mime = await api.download(urllib.parse.quote(path), max_bytes=limit)
    return FetchedFile(content, "" if mime == "application/octet-stream" else mime, name)


def _read(path: Path, limit: int) -> bytes:
    """A local Bot API server names the place on its own disk, which we must share."""
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except FileNotFoundError:
        raise NotFound("the local Bot API server's file is not on this machine") from None
    except OSError as exc:
        raise Misconfigured(
            SERVICE, f"the local Bot API server's files cannot be read ({type(exc).__name__})"
        ) from None
    if len(content) > limit:
        raise PayloadInvalid(f"the file is longer than {limit} bytes")
    return content


# --- out ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReadyFile:
    """A file as the library takes it: its address, or its bytes with a name."""

    kind: str
    source: str | InputFile
    caption: str

    def call(self, bot: Bot, chat: int, words: tuple[str, str | None], **common: Any) -> Awaitable[Message]:
        """The call that sends it alone; `words` are its caption and how that is written."""
        method = _METHODS[self.kind]
        send: Callable[..., Awaitable[Message]] = getattr(bot, f"send_{method}")
        if words[0]:
            common |= {"caption": words[0], "parse_mode": words[1]}
        return send(chat_id=chat, **{method: self.source}, **common)

    def in_album(self, caption: str, mode: str | None) -> Any:
        """Its place in an album; its own caption where the album's words are not on it."""
        media = _IN_ALBUM[self.kind]
        if caption:
            return media(self.source, caption=caption, parse_mode=mode)
        return media(self.source, caption=self.caption or None)


class OutgoingFiles:
    """Makes files ready to be sent."""

    def __init__(self, read: MediaReader | None, *, is_local: bool) -> None:
        self._read, self._max_upload = read, MAX_LOCAL if is_local else MAX_UPLOAD

    async def ready(self, file: OutMedia) -> ReadyFile:
        """Raises: SendRefused for a file that is gone or that Telegram takes from nobody; ServiceUnavailable."""
        caption = encodable(file.caption)
        if not file.media_id:
            # Anything else the library might take for a path on this machine, and send what it finds there.
            if not file.url.startswith(("http://", "https://")):
                raise SendRefused(SERVICE, "the file's address is no http or https address")
            return ReadyFile(file.kind, encodable(file.url), caption)
        if self._read is None:
            raise SendRefused(SERVICE, "there is no media library to read the file from")
        try:
            stored, content = await self._read(file.media_id)
        except NotFound:
            raise SendRefused(SERVICE, "the file is not kept any more") from None
        if len(content) > self._max_upload:
            raise SendRefused(SERVICE, f"the file has {len(content)} bytes, Telegram takes {self._max_upload}")
        # A picture too large for a photo still arrives whole as a file.
        kind = "document" if file.kind == "image" and len(content) > MAX_PHOTO else file.kind
        name = _UNSAFE.sub("_", encodable(file.file_name or stored.file_name)) or "file"
        return ReadyFile(kind, InputFile(content, filename=name, attach=True), caption)
