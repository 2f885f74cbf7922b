"""Brings customers' files home from the vendors: fetched, checked and stored, while conversations go on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

import structlog

from bot.errors import FileRefused, InputError, NotFound, RateLimited, SendRefused, ServiceError
from bot.ports import TOPIC_FILES, Signals
from bot.wakeup import Wakeup
from channels.base import ChannelAdapter, FetchesMedia
from crm_sync.media.library import SqlMediaLibrary
from crm_sync.media.wanted import WantedFile, WantedFiles

log = structlog.get_logger()

SWEEP_S: Final = 5.0  # also how soon a retry that is due is noticed
FETCH_TIMEOUT_S: Final = 120.0  # with scanning and storing still within the claim of five minutes
AT_ONCE: Final = 4  # files in memory at the same time
FAILURE_PAUSE_S: Final = 1.0


class MediaFetcher:
    """A role's background work; any number of processes may run it on one store."""

    def __init__(
        self,
        files: WantedFiles,
        library: SqlMediaLibrary,
        adapters: Mapping[tuple[str, str], ChannelAdapter],
        signals: Signals,
        *,
        fault: Callable[[str], None] = lambda point: None,
    ) -> None:
        self._files, self._library, self._signals, self._fault = files, library, signals, fault
        self._sources = {place: adapter for place, adapter in adapters.items() if isinstance(adapter, FetchesMedia)}

    async def run(self) -> None:
        """Work until cancelled; survives a store that is away."""
        if not self._sources:
            return
        with Wakeup(self._signals, TOPIC_FILES) as wakeup:
            while True:
                try:
                    count = await self.run_once()
                except ServiceError as error:
                    log.warning("files_not_fetched", service=error.service, error=type(error).__name__)
                    count = 0
                    await asyncio.sleep(FAILURE_PAUSE_S)
                if not count:
                    await wakeup.wait(SWEEP_S)

    async def run_once(self) -> int:
        """Fetch what is due, a few files at once; how many were claimed. Raises: StoreUnavailable."""
        claimed = await self._files.claim(self._sources.keys(), AT_ONCE)
        fetching = [asyncio.create_task(self._fetch(wanted)) for wanted in claimed]
        try:
            await asyncio.gather(*fetching)
        finally:
            await asyncio.gather(*fetching, return_exceptions=True)  # when cancelled, each still gives its file back
        return len(claimed)

    async def _fetch(self, wanted: WantedFile) -> None:
        source = self._sources[wanted.channel, wanted.account]
        facts = {"channel": wanted.channel, "account": wanted.account, "media_row": wanted.row_id}
        try:
            if wanted.size is not None and wanted.size > self._library.max_bytes:
                raise FileRefused("too_large", f"the file is larger than {self._library.max_bytes} bytes")
            self._fault("media.before_fetch")
            async with asyncio.timeout(FETCH_TIMEOUT_S):
                fetched = await source.fetch_media(wanted.file_id, max_bytes=self._library.max_bytes)
            self._fault("media.fetched")
            is_stored = await self._files.store(wanted, fetched.content, fetched.file_name)
            log.info("file_fetched", is_stored=is_stored, attempt=wanted.attempt, **facts)
        except asyncio.CancelledError:
            await self._files.release(wanted)  # the process is told to stop: the next one need not wait for the claim
            raise
        except NotFound:
            await self._refuse(wanted, "the vendor no longer has it")
        except FileRefused as error:
            await self._refuse(wanted, error.reason)
        except InputError:
            await self._refuse(wanted, "the vendor's answer could not be read, or the file is too large")
        except SendRefused:
            await self._refuse(wanted, "the vendor does not hand it out")
        except RateLimited as error:
            await self._files.retry(wanted, "the vendor asks us to wait", after_s=error.retry_after_s)
        except ServiceError as error:
            await self._retry(wanted, f"{error.service} was not available", error)
        except TimeoutError as error:
            await self._retry(wanted, "the vendor did not answer in time", error)
        except Exception as error:  # noqa: BLE001 - one odd file must not stop the others
            await self._retry(wanted, "something went wrong on our side", error)

    async def _refuse(self, wanted: WantedFile, reason: str) -> None:
        await self._files.refuse(wanted, reason)
        log.warning("file_not_taken", reason=reason, channel=wanted.channel, media_row=wanted.row_id)

    async def _retry(self, wanted: WantedFile, reason: str, error: Exception) -> None:
        again = await self._files.retry(wanted, reason)
        log.warning(
            "file_not_fetched",
            error=type(error).__name__,
            again=again,
            attempt=wanted.attempt,
            channel=wanted.channel,
            media_row=wanted.row_id,
        )
