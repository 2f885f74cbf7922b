"""Steps of tests about recipients: people who agreed, a broadcast to them, recipients written down and handed out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import func, select, update

from bench.broadcast_people import PURPOSE, broadcast_row, settle
from crm_sync.broadcast_tables import broadcast_counts, broadcast_recipients, broadcasts
from crm_sync.database import Database
from crm_sync.eligibility import SendRules
from crm_sync.recipient_claims import Asked, Claim, claim
from crm_sync.recipients import Chunk, NotBefore, Occasion, write_chunk
from crm_sync.tables import customers

SENDER = "sender-1"
PLACE = ("telegram", "bench")


async def a_broadcast(
    database: Database,
    people: int,
    now: datetime,
    *,
    state: str = "preparing",
    not_before: NotBefore | None = None,
    **more: Any,
) -> Occasion:
    """A broadcast to so many new people on Telegram, with two variants."""
    await settle(database, people)
    broadcast = await broadcast_row(database, more.pop("broadcast", "spring"), state, more.pop("document", {}))
    given: dict[str, Any] = {
        "seed": 7,
        "people": select(customers.c.id),
        "rules": SendRules(PURPOSE, ("telegram",)),
        "holdout": 0.1,
        "variants": (("a", 1.0), ("b", 1.0)),
        "not_before": not_before or (lambda zone, quiet: now),
    }
    return Occasion(broadcast, **{**given, **more})


async def prepared(database: Database, occasion: Occasion, now: datetime, *, size: int = 100) -> list[Chunk]:
    """All its recipients are written down, and it runs."""
    chunks: list[Chunk] = []
    while not chunks or not chunks[-1].is_last:
        chunk = await database.run(partial(write_chunk, occasion=occasion, size=size, now=now))
        assert chunk is not None
        chunks.append(chunk)
    await set_state(database, occasion.broadcast_id, "running")
    return chunks


async def set_state(database: Database, broadcast_id: int, state: str) -> None:
    changed = update(broadcasts).where(broadcasts.c.id == broadcast_id).values(state=state)
    await database.run(lambda conn: conn.execute(changed))


def asked(occasion: Occasion) -> Asked:
    return Asked(occasion.broadcast_id, occasion.rules, lambda now, zone, quiet: occasion.not_before(zone, quiet))


async def claimed(database: Database, ask: Asked, now: datetime, limit: int = 100, *, sender: str = SENDER) -> Claim:
    return await database.run(partial(claim, ask=ask, sender=sender, place=PLACE, limit=limit, now=now))


async def in_states(database: Database, broadcast_id: int) -> Mapping[str, int]:
    """State -> recipients, by the rows; and the counts say the same."""
    row = broadcast_recipients.c
    by_rows = (
        select(row.arm, row.state, row.reason, func.count().label("n"))
        .where(row.broadcast_id == broadcast_id)
        .group_by(row.arm, row.state, row.reason)
    )
    count = broadcast_counts.c
    by_counts = select(count.arm, count.state, count.reason, count.count).where(
        count.broadcast_id == broadcast_id, count.count != 0
    )
    rows = {
        tuple(each[:3]): each[3] for each in await database.run(lambda conn: conn.execute(by_rows).all(), read=True)
    }
    kept = {
        tuple(each[:3]): each[3] for each in await database.run(lambda conn: conn.execute(by_counts).all(), read=True)
    }
    assert kept == rows
    states: Counter[str] = Counter()
    for (_, state, _), number in rows.items():
        states[state] += number
    return dict(states)
