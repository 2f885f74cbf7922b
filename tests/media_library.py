"""A media library for tests: the real one, on a real store and a real folder, with a clock that is set by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bot.errors import ServiceUnavailable
from bot.ports import MediaStore
from config.settings import MediaSettings
from crm_sync.media.library import SqlMediaLibrary
from crm_sync.media.links import MediaLinks
from crm_sync.media.stores import open_media_store
from crm_sync.store import SqlStore
from tests.store_steps import SetClock

KEYS = (b"a secret key of the test suite",)


def library_in(
    store: SqlStore,
    folder: Path,
    *,
    clock: SetClock | None = None,
    bytes_store: MediaStore | None = None,
    fault: Any = lambda point: None,
    keys: tuple[bytes, ...] = KEYS,
    base_url: str = "https://desk.example",
    **settings: Any,
) -> SqlMediaLibrary:
    section = MediaSettings(folder=folder, **settings)
    links = MediaLinks(keys, base_url=base_url, lasts_s=section.link_hours * 3600)
    kept_in = bytes_store or open_media_store(section)
    return SqlMediaLibrary(store.database, kept_in, links, section, clock or SetClock(), fault=fault)


def files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


class FailingStore:
    """A media store that is down while `is_down`; otherwise the one inside."""

    def __init__(self, inside: MediaStore) -> None:
        self.inside, self.is_down = inside, True

    def _fail(self) -> None:
        if self.is_down:
            raise ServiceUnavailable("media store", "down")

    async def put(self, key: str, content: bytes, *, mime: str) -> None:
        self._fail()
        await self.inside.put(key, content, mime=mime)

    async def get(self, key: str, *, start: int = 0, length: int | None = None) -> bytes:
        self._fail()
        return await self.inside.get(key, start=start, length=length)

    async def delete(self, key: str) -> None:
        self._fail()
        await self.inside.delete(key)

    async def check(self) -> str:
        self._fail()
        return await self.inside.check()

    async def close(self) -> None:
        await self.inside.close()
