"""The console over a real store, for every test of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from crm_sync.store import SqlStore
from tests.console.console_under_test import ConsoleUnderTest
from tests.media_library import library_in
from tests.store_steps import AUDIT_KEYS, SetClock


@pytest.fixture
async def console(sqlite_url: str, tmp_path: Path) -> AsyncIterator[ConsoleUnderTest]:
    """On SQLite: what differs between databases is below the services, which are tested on both."""
    clock = SetClock()
    store = await SqlStore.open(sqlite_url, clock=clock, audit_keys=AUDIT_KEYS)
    under_test = ConsoleUnderTest(store, clock, library=library_in(store, tmp_path / "files", clock=clock))
    yield under_test
    await under_test.close()
    await store.close()
