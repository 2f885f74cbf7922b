"""The API over a real store, for every test of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from crm_sync.store import SqlStore
from tests.api.api_under_test import ApiUnderTest
from tests.store_steps import AUDIT_KEYS, SetClock


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everyday on SQLite alone: the API has no SQL of its own, and what it calls is tested on both databases."""
    for item in items:
        if Path(__file__).parent in item.path.parents and item.get_closest_marker("postgres"):
            item.add_marker(pytest.mark.slow)


@pytest.fixture
async def api(store_url: str) -> AsyncIterator[ApiUnderTest]:
    """On SQLite and on PostgreSQL."""
    clock = SetClock()
    store = await SqlStore.open(store_url, clock=clock, audit_keys=AUDIT_KEYS)
    under_test = ApiUnderTest(store, clock)
    yield under_test
    await under_test.close()
    await store.close()
