"""Four senders on one PostgreSQL store with tokens in Redis, judged by the stand-in vendor's own count."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import AsyncExitStack
from datetime import datetime

import pytest

from bench.figures import busiest_window
from channels.delivery import Sender
from channels.delivery_policy import DeliveryPolicy
from channels.simulators.telegram import TelegramSimulator
from channels.simulators.telegram_flood import Limits
from channels.telegram import TelegramAdapter
from config.settings import TelegramSettings
from crm_sync.invariants import check
from crm_sync.store import SqlStore
from frontdesk.clock import SystemClock
from frontdesk.pacing import RedisRateTokens, StoreRateTokens
from tests.channel_doubles import NoSignals
from tests.store_steps import replies_waiting

CHATS, EACH = 40, 3
POLICY = DeliveryPolicy(concurrency=8, sweep_s=0.05)  # none of them can claim all that waits
# Below the vendor's 30/s by more than a busy machine delays a message; the exact bound is in tests/unit/test_pacing.py.
PER_S, VENDORS = 25, 30
WITHIN_S = 60.0


@pytest.mark.postgres
async def test_four_senders_keep_the_limit_and_the_order_and_double_nothing(pg_url: str, redis_url: str) -> None:
    async with AsyncExitStack() as opened:
        limits = Limits(chat_per_s=1000, chat_burst=1000, bot_per_s=VENDORS, bot_burst=VENDORS)
        telegram = await opened.enter_async_context(TelegramSimulator("1000001:test", limits=limits))
        for chat in range(CHATS):
            telegram.user(1000 + chat).has_started = True
        settings = TelegramSettings(
            token=telegram.token, api_base_url=telegram.url, per_account_per_s=PER_S, per_chat_per_s=1000
        )
        senders = []
        for number in range(4):
            store = await SqlStore.open(pg_url)
            opened.push_async_callback(store.close)
            tokens = RedisRateTokens(redis_url, StoreRateTokens(store))
            opened.push_async_callback(tokens.close)
            adapter = TelegramAdapter("main", settings)
            opened.push_async_callback(adapter.close)
            store.know({"telegram": adapter.capabilities})
            accounts = {("telegram", "main"): adapter}
            name = f"sender-{number}"
            senders.append(Sender(store.outbox, accounts, NoSignals(), tokens, SystemClock(), name=name, policy=POLICY))
        expected = await replies_waiting(store, range(1000, 1000 + CHATS), EACH)
        everything = CHATS * EACH

        running = [asyncio.create_task(sender.run()) for sender in senders]
        async with asyncio.timeout(WITHIN_S):
            await telegram.bot.pulse.until(
                lambda: len(telegram.ledger.entries("call", method="sendMessage")) >= everything, WITHIN_S
            )
        for sender in senders:
            sender.stop()
        await asyncio.gather(*running)
        left = await store.outbox.claim("after", 10)
        violations = await check(store.database)

    calls = telegram.ledger.entries("call", method="sendMessage")
    got: dict[str, list[str]] = defaultdict(list)
    for chat in range(CHATS):
        got[str(1000 + chat)] = [shown.text for shown in telegram.user(1000 + chat).received]
    assert got == expected
    assert {call["outcome"] for call in calls} == {"ok"}
    assert len(calls) == everything
    assert busiest_window([datetime.fromisoformat(call["at"]).timestamp() for call in calls], 1.0) <= VENDORS
    assert left == []
    assert violations == []
