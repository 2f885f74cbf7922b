"""The API over a real store, for every test of it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from crm_sync.store import SqlStore
from tests.api.api_under_test import ApiUnderTest
from tests.store_steps import AUDIT_KEYS, SetClock


@pytest.fixture
async def api(store_url: str) -> AsyncIterator[ApiUnderTest]:
    """On SQLite and on PostgreSQL."""
    clock = SetClock()
    store = await SqlStore.open(store_url, clock=clock, audit_keys=AUDIT_KEYS)
    under_test = ApiUnderTest(store, clock)
    yield under_test
    await under_test.close()
    await store.close()
