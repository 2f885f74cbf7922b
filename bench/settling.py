"""A store somebody else works on, looked at from outside: when it has settled, and what it holds then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic

from sqlalchemy import ColumnElement, func, select

from crm_sync.columns import is_state
from crm_sync.invariants import check
from crm_sync.store import SqlStore
from crm_sync.tables import inbox, outbox

WITHIN_S = 600.0
LOOK_EVERY_S = 0.1

PENDING = is_state(inbox.c.state, "pending")
LEAVING = is_state(outbox.c.state, "pending", "sending")


@dataclass(frozen=True, slots=True)
class Settled:
    accepted: int  # messages of customers
    accepted_within_s: float  # from the first to the last
    unsent: int  # replies that came to another end than leaving
    broken: int  # promises


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[SqlStore]:
    store = await SqlStore.open(url, migrate=False)
    try:
        yield store
    finally:
        await store.close()


async def until_none(url: str, condition: ColumnElement[bool]) -> None:
    """No row is like that. Raises: RuntimeError when that takes too long."""
    async with opened(url) as store:
        await _until(store, condition, 0)


async def until_accepted(url: str, count: int) -> None:
    """So many messages are there. Raises: RuntimeError when that takes too long."""
    async with opened(url) as store:
        await _until(store, inbox.c.wants_turn, count)


async def _until(store: SqlStore, condition: ColumnElement[bool], count: int) -> None:
    wanted = select(func.count()).where(condition)
    until = monotonic() + WITHIN_S
    while await store.database.run(lambda conn: conn.execute(wanted).scalar_one(), read=True) != count:
        if monotonic() > until:
            raise RuntimeError("the burst was not taken in, answered or sent in time")
        await asyncio.sleep(LOOK_EVERY_S)


async def look(url: str) -> Settled:
    arrived = select(func.count(), func.min(inbox.c.received_at), func.max(inbox.c.received_at)).where(
        inbox.c.wants_turn
    )
    unsent = select(func.count()).where(~is_state(outbox.c.state, "sent"), ~LEAVING)
    async with opened(url) as store:
        accepted, first, last = await store.database.run(lambda conn: conn.execute(arrived).one(), read=True)
        ended = await store.database.run(lambda conn: conn.execute(unsent).scalar_one(), read=True)
        broken = await check(store.database)
    return Settled(accepted, (last - first) / timedelta(seconds=1), ended, len(broken))
