"""The public checker: the store held against the channels' own ledgers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from config.settings import Settings
from crm_sync.invariants import Violation, check
from crm_sync.store import SqlStore


async def check_store(
    settings: Settings, ledger: Sequence[Mapping[str, Any]], acknowledged: Sequence[Mapping[str, Any]] | None
) -> list[Violation]:
    """What the store and the ledgers disagree on; empty when every promise holds."""
    store = await SqlStore.open(settings.database_url.get_secret_value(), migrate=False, release_leases=False)
    try:
        return await check(store.database, ledger, acknowledged)
    finally:
        await store.close()
