"""Four sender processes on one PostgreSQL store, judged by the count of a stand-in vendor in a process of its own."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from bench.figures import busiest_window
from crm_sync.store import SqlStore
from tests.faults.harness import basic_settings
from tests.faults.judge import query, run_checker
from tests.faults.process import DeskProcess
from tests.faults.stand_in_process import telegram_stand_in
from tests.store_steps import replies_waiting

SENDERS = 4
CHATS, EACH = range(1000, 1120), 3
PER_S, PER_CHAT_PER_S = 30, 1  # the vendor's (Bot API FAQ); the senders run with their default settings
WITHIN_S = 180.0


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.redis
@pytest.mark.timeout(400)
@pytest.mark.parametrize("tokens", ["redis", "store"])
async def test_four_sender_processes_keep_the_vendors_limits_and_send_everything_once(
    postgres_desk_url: str, tmp_path: Path, request: pytest.FixtureRequest, tokens: str
) -> None:
    redis_url = request.getfixturevalue("redis_url") if tokens == "redis" else ""
    store = await SqlStore.open(postgres_desk_url)
    expected = await replies_waiting(store, CHATS, EACH)
    await store.close()
    everything = len(CHATS) * EACH

    async with AsyncExitStack() as opened:
        vendor = await opened.enter_async_context(telegram_stand_in(tmp_path))
        await vendor.know({chat: f"User {chat}" for chat in CHATS})
        settings = {**basic_settings(postgres_desk_url, redis_url), **vendor.settings}
        senders = await asyncio.gather(
            *(
                DeskProcess.start(settings, tmp_path, roles="sender", name=f"sender-{number}")
                for number in range(SENDERS)
            )
        )
        for sender in senders:
            opened.push_async_callback(sender.kill)
        async with asyncio.timeout(WITHIN_S):
            while await unfinished(postgres_desk_url):  # noqa: ASYNC110 - the store has no event to wait for
                await asyncio.sleep(0.2)
        for sender in senders:
            assert await sender.stop() == 0, sender.log()[-3000:]
        sends, ledger = vendor.sends(), vendor.ledger()

    assert [send for send in sends if send["outcome"] != "ok"] == []
    assert len(sends) == everything
    received: dict[str, list[str]] = defaultdict(list)
    moments: dict[str, list[float]] = defaultdict(list)
    for send in sends:
        received[str(send["chat_id"])].append(send["text"])
        moments[str(send["chat_id"])].append(moment(send))
    assert received == expected
    assert busiest_window(map(moment, sends), 1.0) <= PER_S
    assert {chat: count for chat, at in moments.items() if (count := busiest_window(at, 1.0)) > PER_CHAT_PER_S} == {}
    shares = [sender.log().count('"message_sent"') for sender in senders]
    assert sum(shares) == everything
    assert all(shares), f"one of them had nothing to do: {shares}"
    buckets = await query(postgres_desk_url, "SELECT count(*) FROM rate_buckets")
    assert (buckets == [(0,)]) == (tokens == "redis"), "tokens came from somewhere else than this test is about"
    assert await run_checker(settings, tmp_path, ledger, None) == (0, [])


def moment(send: dict[str, Any]) -> float:
    """When the vendor had it, by its own clock."""
    return datetime.fromisoformat(send["at"]).timestamp()


async def unfinished(url: str) -> int:
    ((count,),) = await query(url, "SELECT count(*) FROM outbox WHERE state IN ('pending', 'sending')")
    return int(count)
