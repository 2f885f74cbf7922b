"""Run as a program by test_kill_media: one process that adds or fetches a file, and dies where FRONTDESK_FAULT says."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from channels.base import FetchedFile
from crm_sync.media.wanted import WantedFiles
from crm_sync.store import SqlStore
from frontdesk.clock import SystemClock
from frontdesk.faults import fault_from_environment
from frontdesk.media_fetching import MediaFetcher
from frontdesk.signals import LocalSignals
from tests import media_files
from tests.media_library import library_in

PLACE = ("telegram", "main")


class Vendor:
    """Hands out one recording under every id."""

    async def fetch_media(self, file_id: str, *, max_bytes: int) -> FetchedFile:
        return FetchedFile(media_files.ogg())


async def main(what: str, url: str, folder: str) -> None:
    fault, clock = fault_from_environment(), SystemClock()
    store = await SqlStore.open(url, migrate=False)
    library: Any = library_in(store, Path(folder), clock=clock, fault=fault)  # type: ignore[arg-type]
    if what == "add":
        await library.add(media_files.PDF)
    else:
        files, sources = WantedFiles(store.database, library, clock), {PLACE: Vendor()}
        await MediaFetcher(files, library, sources, LocalSignals(), fault=fault).run_once()  # type: ignore[arg-type]
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
