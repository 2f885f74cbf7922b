"""Signals through a real Redis: they cross processes, survive a restart of Redis, and losing them blocks nobody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bot.ports import Signal
from frontdesk.signals import RedisSignals, Subscription
from tests.faults.redis_server import OwnRedis

pytestmark = pytest.mark.redis
WITHIN_S = 15.0


@asynccontextmanager
async def two_processes(url: str) -> AsyncIterator[tuple[RedisSignals, RedisSignals]]:
    """Two hubs, as two processes would have them, both listening."""
    one, other = RedisSignals(url), RedisSignals(url)
    one.start()
    other.start()
    try:
        for sender, listener in ((one, other), (other, one)):
            await heard_at_last(sender, listener.subscribe("warming up"), "warming up", {})
        yield one, other
    finally:
        await one.close()
        await other.close()


async def heard(subscription: Subscription) -> Signal:
    async with asyncio.timeout(WITHIN_S):
        return await anext(subscription)


async def heard_at_last(sender: RedisSignals, listener: Subscription, topic: str, payload: Mapping[str, Any]) -> None:
    """Hints may be lost while Redis comes back; one that is given again and again arrives in the end."""
    async with asyncio.timeout(WITHIN_S):
        hearing = asyncio.create_task(hear(listener, payload))
        while not hearing.done():
            sender.publish(topic, payload)
            await asyncio.wait({hearing}, timeout=0.1)


async def hear(subscription: Subscription, payload: Mapping[str, Any]) -> None:
    async for signal in subscription:
        if signal.payload == payload:
            return


async def test_a_signal_crosses_to_the_other_process_and_comes_back_to_neither_twice(redis_url: str) -> None:
    async with two_processes(redis_url) as (one, other):
        here, there = one.subscribe("inbox"), other.subscribe("inbox")
        one.publish("inbox", {"conversation_id": 7})
        assert (await heard(here)).payload == {"conversation_id": 7}
        assert (await heard(there)).payload == {"conversation_id": 7}
        # A second one behind it: whatever came twice would have come before.
        other.publish("inbox", {"conversation_id": 8})
        assert (await heard(there)).payload == {"conversation_id": 8}
        assert (await heard(here)).payload == {"conversation_id": 8}


async def test_what_was_said_stays_in_the_process_and_only_ids_cross(redis_url: str) -> None:
    async with two_processes(redis_url) as (one, other):
        here, there = one.subscribe("web"), other.subscribe("web")
        one.publish("web", {"conversation_id": 7, "events": [{"seq": 1, "text": "a secret"}]})
        assert (await heard(here)).payload["events"]
        assert (await heard(there)).payload == {"conversation_id": 7}


async def test_signals_cross_again_after_redis_was_restarted(redis_binary: str, tmp_path: Path) -> None:
    redis = OwnRedis(redis_binary, tmp_path)
    await redis.start()
    try:
        async with two_processes(redis.url) as (one, other):
            here, there = one.subscribe("outbox"), other.subscribe("outbox")
            await redis.stop()
            one.publish("outbox", {"n": 1})  # lost outside, but never in process, and nobody is held up
            assert (await heard(here)).payload == {"n": 1}
            await redis.start()
            await heard_at_last(one, there, "outbox", {"n": 2})
            await heard_at_last(other, here, "outbox", {"n": 2})
    finally:
        await redis.stop()


async def test_redis_away_at_the_start_is_found_when_it_comes(redis_binary: str, tmp_path: Path) -> None:
    redis = OwnRedis(redis_binary, tmp_path)
    one, other = RedisSignals(redis.url), RedisSignals(redis.url)
    there = other.subscribe("inbox")
    one.start()
    other.start()
    try:
        one.publish("inbox", {"n": 1})
        await redis.start()
        await heard_at_last(one, there, "inbox", {"n": 2})
    finally:
        await one.close()
        await other.close()
        await redis.stop()
