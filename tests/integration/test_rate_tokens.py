"""Rate tokens shared by processes: never more than the rate, whoever asks how often, with Redis and without."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence

import pytest

from bot.errors import ServiceError
from bot.ports import RateTokens
from channels.pacing import LocalRateTokens
from crm_sync.store import SqlStore
from frontdesk.pacing import RedisRateTokens, StoreRateTokens
from tests.store_steps import SetClock

TAKERS = 4
PER_S = 40.0
FOR_S = 0.7  # long enough for 28 tokens, short enough for every day
NOBODY = "redis://127.0.0.1:1/0"


async def taken_by(sources: Sequence[RateTokens], key: str, *, burst: int = 1) -> tuple[int, float]:
    """How many tokens `TAKERS` impatient takers got from these sources (one per process), and in how many seconds."""
    began = time.monotonic()

    async def taker(source: RateTokens) -> int:
        count = 0
        while time.monotonic() - began < FOR_S:
            wait_s = await source.take(key, per_s=PER_S, burst=burst)
            if wait_s == 0.0:
                count += 1
            else:
                # Impatient: asks again before its time, as a process that was just started would.
                await asyncio.sleep(wait_s / 3)
        return count

    counts = await asyncio.gather(*(taker(sources[index % len(sources)]) for index in range(TAKERS)))
    return sum(counts), time.monotonic() - began


def assert_paced(count: int, elapsed_s: float, burst: int = 1) -> None:
    """Never above the rate; and not so far below it that the takers starve (a busy machine gets some slack)."""
    assert count <= burst + PER_S * elapsed_s
    assert count >= 0.1 * PER_S * FOR_S


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
async def stores(request: pytest.FixtureRequest) -> AsyncIterator[list[SqlStore]]:
    """One store for SQLite, where one process has it to itself; two on PostgreSQL."""
    is_postgres = request.param == "postgresql"
    url = request.getfixturevalue("pg_url" if is_postgres else "sqlite_url")
    opened = [await SqlStore.open(url) for _ in range(2 if is_postgres else 1)]
    yield opened
    for store in opened:
        await store.close()


async def test_concurrent_takers_of_a_store_never_exceed_the_rate(stores: list[SqlStore]) -> None:
    assert_paced(*await taken_by([StoreRateTokens(store) for store in stores], "account:telegram:main"))


async def test_a_store_bucket_gives_its_burst_at_once_and_then_the_rate(stores: list[SqlStore]) -> None:
    tokens = StoreRateTokens(stores[0])
    waits = [await tokens.take("burst", per_s=1, burst=3) for _ in range(4)]
    assert waits[:3] == [0.0, 0.0, 0.0]
    assert 0 < waits[3] <= 1


async def test_tokens_owed_are_paid_before_the_next_is_given(stores: list[SqlStore], redis_url: str) -> None:
    redis = RedisRateTokens(redis_url, Never())
    try:
        for tokens in (StoreRateTokens(stores[0]), redis, LocalRateTokens()):
            assert await tokens.take("owed", per_s=0.1) == 0.0
            assert await tokens.take("owed", per_s=0.1, owed=2) == pytest.approx(30.0, abs=2)
            assert await tokens.take("owed", per_s=0.1) == pytest.approx(30.0, abs=2)
    finally:
        await redis.close()


async def test_keys_do_not_share_a_bucket(stores: list[SqlStore]) -> None:
    tokens = StoreRateTokens(stores[0])
    assert [await tokens.take(key, per_s=1) for key in ("chat:1", "chat:2")] == [0.0, 0.0]
    assert await tokens.take("chat:1", per_s=1) > 0


async def test_the_first_token_of_a_key_is_given_to_one_of_all_who_ask_at_once(stores: list[SqlStore]) -> None:
    sources = [StoreRateTokens(store) for store in stores]
    for key in range(20):
        waits = await asyncio.gather(
            *(sources[asking % len(sources)].take(f"chat:{key}", per_s=1) for asking in range(4))
        )
        assert sorted(waits)[0] == 0.0
        assert sorted(waits)[1] > 0.0


async def test_who_comes_with_an_earlier_time_wins_nothing_for_the_next(store_url: str) -> None:
    clock = SetClock()
    store = await SqlStore.open(store_url, clock=clock)
    tokens = StoreRateTokens(store)
    try:
        waits = [await tokens.take("account", per_s=1)]
        for seconds in (
            -0.2,
            0.2,
            -3600,
            1,
        ):  # waited for the row while another took; now; a clock set back; a second on
            clock.advance(seconds=seconds)
            waits.append(await tokens.take("account", per_s=1))
    finally:
        await store.close()

    assert waits == [0.0, pytest.approx(1.0), pytest.approx(1.0), pytest.approx(1.0), 0.0]


@pytest.mark.redis
async def test_concurrent_takers_of_two_processes_on_redis_never_exceed_the_rate(redis_url: str) -> None:
    sources = [RedisRateTokens(redis_url, Never()) for _ in range(2)]
    try:
        assert_paced(*await taken_by(sources, f"test:{time.time_ns()}"))
    finally:
        for source in sources:
            await source.close()


@pytest.mark.redis
async def test_a_redis_bucket_gives_its_burst_at_once_and_names_the_wait(redis_url: str) -> None:
    tokens, key = RedisRateTokens(redis_url, Never()), f"test:{time.time_ns()}"
    try:
        waits = [await tokens.take(key, per_s=0.5, burst=2) for _ in range(3)]
    finally:
        await tokens.close()
    assert waits[:2] == [0.0, 0.0]
    assert 1.5 <= waits[2] <= 2.0


async def test_without_redis_the_store_keeps_the_rate(stores: list[SqlStore]) -> None:
    sources = [RedisRateTokens(NOBODY, StoreRateTokens(store)) for store in stores]
    try:
        assert_paced(*await taken_by(sources, "account:telegram:main"))
    finally:
        for source in sources:
            await source.close()


async def test_when_neither_answers_no_token_is_given(sqlite_url: str) -> None:
    store = await SqlStore.open(sqlite_url)
    await store.close()
    tokens = RedisRateTokens(NOBODY, StoreRateTokens(store))
    try:
        with pytest.raises(ServiceError):
            await tokens.take("account:telegram:main", per_s=30)
    finally:
        await tokens.close()


class Never:
    """A source nobody may come to."""

    async def take(self, key: str, *, per_s: float, burst: int = 1, owed: int = 0) -> float:
        raise AssertionError("Redis answers, so nobody should ask here")
