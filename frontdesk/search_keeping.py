"""The search index follows the store a second behind, for as long as the process lives."""

from __future__ import annotations

import asyncio

import structlog

from bot.errors import ServiceError
from crm_sync.search_indexing import SearchIndexer

log = structlog.get_logger()

EVERY_S = 1.0


async def keep_search(indexer: SearchIndexer) -> None:
    """For ever; survives a store that is away."""
    while True:
        try:
            await indexer.catch_up()
        except ServiceError as error:
            log.warning("search_index_behind", error=type(error).__name__)
        await asyncio.sleep(EVERY_S)
