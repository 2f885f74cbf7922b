"""Senders killed again and again in the middle of a broadcast, judged by the stand-in vendor's own count."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import Connection, insert, literal, select, update

from bench.broadcast_people import FIRST_CHAT, PURPOSE, broadcast_row, settle
from crm_sync.broadcast_tables import audience_lists, audience_members, broadcasts
from crm_sync.store import SqlStore
from crm_sync.tables import customers
from tests.faults.harness import basic_settings
from tests.faults.judge import query, run_checker
from tests.faults.process import DeskProcess
from tests.faults.stand_in_process import telegram_stand_in
from tests.store_steps import AUDIT_KEYS

SENDERS, PER_S = 4, 500
LIST = "everybody"
TRIED = "state IN ('sent', 'uncertain', 'failed')"
MANY = 1_000_000  # more than there are people
STALLED_S = 90.0  # longer than a start, and a lease of a sender that was killed, take on a busy machine


def document() -> dict[str, Any]:
    return {
        "name": "spring",
        "purpose": PURPOSE,
        "audience": {"list": LIST},
        "channels": ["telegram"],
        "content": {
            "variants": [{"name": "a", "text": {"en": "Hello {name}"}}],
            "fallbacks": {"name": {"en": "you"}},
        },
        "plan": {"quiet": ["00:00", "00:00"]},
        "holdout": 0.1,
        "per_s": PER_S,
    }


async def begun(url: str, people: int) -> int:
    """The id of a broadcast to so many that is due."""
    store = await SqlStore.open(url, audit_keys=AUDIT_KEYS)
    try:
        await settle(store.database, people, account="main")
        broadcast = await broadcast_row(store.database, "spring", "scheduled", document())

        def unit(conn: Connection) -> None:
            now = datetime.now(UTC)
            conn.execute(insert(audience_lists).values(id=1, name=LIST, kind="upload", created_at=now))
            everybody = select(literal(1), customers.c.id)
            conn.execute(insert(audience_members).from_select(["list_id", "customer_id"], everybody))
            conn.execute(update(broadcasts).where(broadcasts.c.id == broadcast).values(next_at=now))

        await store.database.run(unit)
        return broadcast
    finally:
        await store.close()


async def number(url: str, statement: str) -> int:
    ((count,),) = await query(url, statement)
    return int(count)


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("people", "kills"), [(2_000, 3), (20_000, 10)])
async def test_four_senders_killed_again_and_again_send_nobody_twice(
    postgres_desk_url: str, tmp_path: Path, people: int, kills: int
) -> None:
    await begun(postgres_desk_url, people)
    chance = random.Random(people)
    async with AsyncExitStack() as opened:
        vendor = await opened.enter_async_context(telegram_stand_in(tmp_path))
        await vendor.know({FIRST_CHAT + n: f"Kim {n}" for n in range(1, people + 1)})
        settings = {**basic_settings(postgres_desk_url), **vendor.settings}
        token = next(name for name in vendor.settings if name.endswith("__TOKEN"))
        settings[token.replace("__TOKEN", "__ALLOW_PAID_BROADCAST")] = "true"

        async def sender(place: int) -> DeskProcess:
            desk = await DeskProcess.start(settings, tmp_path, roles="sender", name=f"sender-{place}")
            opened.push_async_callback(desk.kill)
            return desk

        scheduler = await DeskProcess.start(settings, tmp_path, roles="scheduler", name="scheduler")
        opened.push_async_callback(scheduler.kill)
        senders = list(await asyncio.gather(*(sender(place) for place in range(SENDERS))))
        in_flight = 0
        for kill in range(1, kills + 1):
            await until_tried(postgres_desk_url, int(people * 0.85) * kill // (kills + 1))
            place = chance.randrange(SENDERS)
            dead = senders[place]
            await dead.kill()
            mine = f"state = 'sending' AND lease_owner LIKE '%-{dead.pid}-%'"
            in_flight += await number(postgres_desk_url, f"SELECT count(*) FROM broadcast_recipients WHERE {mine}")
            # What the clock does in 30 seconds.
            await query(postgres_desk_url, f"UPDATE broadcast_recipients SET lease_until = now() WHERE {mine}")
            senders[place] = await sender(place)
        await until_finished(postgres_desk_url)
        for desk in (*senders, scheduler):
            await desk.stop()  # one that was started last may not have begun yet
        sends, ledger = vendor.sends(), vendor.ledger()

    states = dict(await query(postgres_desk_url, "SELECT state, count(*) FROM broadcast_recipients GROUP BY state"))
    assert sum(states.values()) == people
    assert set(states) <= {"sent", "failed", "skipped", "held_out", "uncertain"}
    assert states.get("uncertain", 0) <= in_flight
    times = Counter(str(send["chat_id"]) for send in sends if send["outcome"] == "ok")
    assert [chat for chat, count in times.items() if count > 1] == []
    assert states["sent"] <= len(times) <= states["sent"] + states.get("uncertain", 0)
    assert await run_checker(settings, tmp_path, ledger, None) == (0, [])


async def until_tried(url: str, count: int) -> None:
    """So many have been sent to."""
    await until(url, f"SELECT coalesce(sum(count), 0) FROM broadcast_counts WHERE {TRIED}", count)


async def until_finished(url: str) -> None:
    """The only broadcast is over; whoever is still tried meanwhile counts as progress."""
    tried = f"SELECT coalesce(sum(count), 0) FROM broadcast_counts WHERE {TRIED}"
    over = "SELECT count(*) FROM broadcasts WHERE state = 'finished'"
    await until(url, f"SELECT ({tried}) + ({over}) * {MANY}", MANY)


async def until(url: str, statement: str, wanted: int) -> None:
    """The statement's number is as large; it may take as long as it grows, however busy the machine is."""
    store = await asyncpg.connect(url)
    try:
        clock = asyncio.get_running_loop().time
        seen, since = -1, clock()
        while (count := int(await store.fetchval(statement))) < wanted:
            if count > seen:
                seen, since = count, clock()
            assert clock() - since < STALLED_S, f"{statement}: {count}, and no more for {STALLED_S:.0f} s"
            await asyncio.sleep(0.1)
    finally:
        await store.close()
