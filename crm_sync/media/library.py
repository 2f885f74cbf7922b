"""The media library: a file is looked at, cleaned, stored and remembered, in this order, whatever dies in between.

The row comes first (state `storing`), then the bytes, then the row says `stored`. So no stored row is without its
bytes, and bytes that a crash left behind have a row by which they are found and deleted.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog

from bot.errors import FileRefused, NotFound, ServiceError, ServiceUnavailable
from bot.ports import Clock, MediaStore, StoredFile
from bot.types import ConversationId
from config.settings import MediaSettings
from crm_sync.database import Database
from crm_sync.media import rows
from crm_sync.media.content import FileType, type_of
from crm_sync.media.file_names import clean_file_name
from crm_sync.media.links import KEY, MediaLinks
from crm_sync.media.scanning import Scanner

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A file that may be stored: cleaned bytes and what they are."""

    content: bytes
    file_type: FileType
    file_name: str
    sha256: str

    def facts(self) -> dict[str, Any]:
        return {
            "kind": self.file_type.kind,
            "mime": self.file_type.mime,
            "size": len(self.content),
            "sha256": self.sha256,
            "file_name": self.file_name,
        }


class SqlMediaLibrary:
    """Implements `bot.ports.MediaLibrary`."""

    def __init__(
        self,
        database: Database,
        store: MediaStore,
        links: MediaLinks,
        settings: MediaSettings,
        clock: Clock,
        *,
        fault: Callable[[str], None] = lambda point: None,
    ) -> None:
        self._database, self.store, self._links, self._settings = database, store, links, settings
        self._clock, self._fault = clock, fault
        self._scanner = Scanner(settings.scan_command)
        self._unpacking = asyncio.Semaphore(1)  # one picture at a time: each may take 200 MB

    @property
    def max_bytes(self) -> int:
        """The largest file that is taken."""
        return self._settings.max_bytes

    @property
    def retention(self) -> timedelta:
        return timedelta(days=self._settings.retention_days)

    async def add(
        self,
        content: bytes,
        *,
        file_name: str = "",
        conversation_id: ConversationId | None = None,
        is_upload: bool = False,
    ) -> StoredFile:
        """See `bot.ports.MediaLibrary`."""
        if is_upload and conversation_id is None:
            raise ValueError("an upload belongs to a conversation")
        prepared = await self.prepare(content, file_name)
        key = await self.keep(prepared, conversation_id=conversation_id, is_upload=is_upload)
        facts, now = prepared.facts(), self._clock.now()
        expires_at = now + (rows.UPLOAD_LASTS if is_upload else self.retention)
        if not await self._database.run(lambda conn: rows.finish(conn, key, facts, now, expires_at=expires_at)):
            await self.take_back(key)
            raise ServiceUnavailable("media library", "the file was swept or erased while it was written")
        log.info("file_stored", mime=prepared.file_type.mime, size=len(prepared.content))
        return StoredFile(key, facts["mime"], facts["size"], facts["file_name"], facts["kind"], facts["sha256"])

    async def prepare(self, content: bytes, file_name: str) -> Prepared:
        """Looked at, scanned, and (pictures) written anew. Raises: FileRefused, ServiceUnavailable."""
        if len(content) > self._settings.max_bytes:
            raise FileRefused("too_large", f"the file is larger than {self._settings.max_bytes} bytes")
        file_type = await asyncio.to_thread(type_of, content, file_name)
        await self._scanner.look(content)
        if file_type.kind == "image":
            from crm_sync.media.images import written_anew  # Pillow costs memory that a desk without pictures keeps

            async with self._unpacking:
                content = await asyncio.to_thread(written_anew, content, file_type)
        digest = await asyncio.to_thread(hashlib.sha256, content)
        return Prepared(content, file_type, clean_file_name(file_name, file_type), digest.hexdigest())

    async def keep(self, prepared: Prepared, *, conversation_id: ConversationId | None, is_upload: bool = False) -> str:
        """The bytes are stored under a new key whose row is `storing`; the caller says what becomes of it.

        Raises: FileRefused (too many uploads wait), ServiceUnavailable, StoreUnavailable.
        """
        key, now = secrets.token_urlsafe(24), self._clock.now()
        await self._database.run(
            lambda conn: rows.reserve(conn, key, now, conversation_id=conversation_id, is_upload=is_upload)
        )
        self._fault("media.before_bytes")
        try:
            await self.store.put(key, prepared.content, mime=prepared.file_type.mime)
        except ServiceError:
            await self._database.run(lambda conn: rows.abandon(conn, key))
            raise
        self._fault("media.after_bytes")
        return key

    async def find(self, media_id: str) -> StoredFile:
        """See `bot.ports.MediaLibrary`."""
        return rows.found(await self.row(media_id)).file

    async def row(self, media_id: str) -> rows.MediaRow | None:
        """What is known about a file in any state; None when there never was one, or nothing is left of it."""
        if not KEY.fullmatch(media_id):
            return None
        return await self._database.run(lambda conn: rows.find(conn, media_id), read=True)

    async def read(self, media_id: str) -> tuple[StoredFile, bytes]:
        """See `bot.ports.MediaLibrary`."""
        file = await self.find(media_id)
        return file, await self.bytes_of(file)

    async def bytes_of(self, file: StoredFile, *, start: int = 0, length: int | None = None) -> bytes:
        """The stored bytes, or a part of them. Raises: NotFound, ServiceUnavailable."""
        try:
            return await self.store.get(file.media_id, start=start, length=length)
        except NotFound:
            log.error("stored_file_missing", mime=file.mime)  # somebody else emptied the folder or the bucket
            raise

    def link(self, media_id: str) -> str:
        """See `bot.ports.MediaLibrary`."""
        return self._links.link(media_id, now=self._clock.now().timestamp())

    def verify_link(self, media_id: str, expires: str, signature: str) -> None:
        """Raises: SignatureInvalid, LinkExpired."""
        self._links.verify(media_id, expires, signature, now=self._clock.now().timestamp())

    async def purge(self) -> int:
        """Bytes of files that expired, were erased or never finished are deleted; how many.

        What the media store cannot delete now stays listed and is tried again next time.
        Raises: ServiceUnavailable when it cannot be reached, StoreUnavailable.
        """
        now = self._clock.now()
        await self._database.run(lambda conn: rows.let_go(conn, now))
        count = 0
        while batch := await self._database.run(rows.to_delete, read=True):
            for key in batch:
                await self._delete(key)
            count += len(batch)
        return count

    async def close(self) -> None:
        await self.store.close()

    async def take_back(self, key: str) -> None:
        """Nothing lies under `key` any more, unless its row says that it is stored after all."""
        await self._database.run(lambda conn: rows.abandon(conn, key))
        await self._delete(key)

    async def _delete(self, key: str) -> None:
        await self.store.delete(key)
        self._fault("media.bytes_deleted")
        await self._database.run(lambda conn: rows.deleted(conn, key))
