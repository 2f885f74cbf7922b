"""Files in a folder of this machine: every process of the deployment must see the same one."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import secrets
import shutil
from pathlib import Path
from typing import Final

from bot.errors import Misconfigured, NotFound, ServiceError, ServiceUnavailable
from crm_sync.media.links import KEY

_DENIED: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR})


class LocalMediaStore:
    """Implements `bot.ports.MediaStore`: one file per key, in 4096 folders by the key's first two characters."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put(self, key: str, content: bytes, *, mime: str) -> None:
        """On disk, whole, readable by this user alone. Raises: ServiceUnavailable, Misconfigured."""
        path = self._path(key)
        try:
            await asyncio.to_thread(_write, path, content)
        except OSError as exc:
            raise self._explained(exc) from exc

    async def get(self, key: str, *, start: int = 0, length: int | None = None) -> bytes:
        """Raises: NotFound, ServiceUnavailable, Misconfigured."""
        path = self._path(key)
        try:
            return await asyncio.to_thread(_read, path, start, length)
        except FileNotFoundError as exc:
            raise NotFound("no such file") from exc
        except OSError as exc:
            raise self._explained(exc) from exc

    async def delete(self, key: str) -> None:
        """Raises: ServiceUnavailable, Misconfigured."""
        path = self._path(key)
        try:
            await asyncio.to_thread(path.unlink, missing_ok=True)
        except OSError as exc:
            raise self._explained(exc) from exc

    async def check(self) -> str:
        """A file can be written and taken away again. Raises: ServiceUnavailable, Misconfigured."""
        key = secrets.token_urlsafe(24)
        await self.put(key, b"frontdesk doctor", mime="text/plain")
        await self.delete(key)
        free = await asyncio.to_thread(shutil.disk_usage, self._folder)
        return f"{self._folder}, {free.free / 1e9:.1f} GB free"

    async def close(self) -> None:
        """Nothing is open."""

    def _path(self, key: str) -> Path:
        """Only our own keys become paths; nothing from outside ever does."""
        if not KEY.fullmatch(key):
            raise NotFound("no such file")
        return self._folder / key[:2] / key

    def _explained(self, error: OSError) -> ServiceError:
        if error.errno in _DENIED:
            return Misconfigured("FRONTDESK_MEDIA__FOLDER", f"cannot be used ({os.strerror(error.errno or 0)})")
        return ServiceUnavailable("media folder", os.strerror(error.errno) if error.errno else type(error).__name__)


def _write(path: Path, content: bytes) -> None:
    """Written beside, flushed, then renamed: whoever looks sees all of it or nothing, also after a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise
    for folder in (path.parent, path.parent.parent):  # the names, too: the shard may be new
        _flush_folder(folder)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path, start: int, length: int | None) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read(-1 if length is None else length)
