"""Rate tokens shared by all processes: from Redis while it answers, from a store row when it does not."""

from __future__ import annotations

import asyncio
from typing import Protocol

import structlog

from bot.ports import RateTokens

log = structlog.get_logger()

# A bucket refills by the server's own clock, so the processes' clocks do not matter.
# KEYS[1] bucket; ARGV: tokens per second, burst, tokens owed. Returns milliseconds to wait, 0 when a token was taken.
TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local per_ms = tonumber(ARGV[1]) / 1000
local burst = tonumber(ARGV[2])
local bucket = redis.call('HMGET', KEYS[1], 't', 'at')
local tokens = tonumber(bucket[1])
if tokens == nil then tokens = burst else tokens = math.min(burst, tokens + (now - tonumber(bucket[2])) * per_ms) end
tokens = tokens - tonumber(ARGV[3])
local wait = 0
if tokens >= 1 then tokens = tokens - 1 else wait = math.ceil((1 - tokens) / per_ms) end
redis.call('HSET', KEYS[1], 't', tostring(tokens), 'at', tostring(now))
redis.call('PEXPIRE', KEYS[1], math.ceil((burst - tokens) / per_ms) + 1000)
return wait
"""
ANSWER_WITHIN_S = 1.0


class SqlTokens(Protocol):
    async def take_token(self, key: str, *, per_s: float, burst: int, owed: int) -> float: ...


class RedisRateTokens:
    """Implements `bot.ports.RateTokens`; when Redis does not answer, `fallback` is asked instead."""

    def __init__(self, url: str, fallback: RateTokens) -> None:
        from redis.asyncio import Redis  # 5 MB that a process without Redis does not need
        from redis.exceptions import RedisError

        self._lost = (RedisError, OSError, TimeoutError)
        self._redis = Redis.from_url(url, socket_connect_timeout=ANSWER_WITHIN_S, socket_timeout=ANSWER_WITHIN_S)
        self._take = self._redis.register_script(TAKE)
        self._fallback = fallback
        self._redis_is_away = False

    async def take(self, key: str, *, per_s: float, burst: int = 1, owed: int = 0) -> float:
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                wait_ms = await self._take(keys=[f"frontdesk:rate:{key}"], args=[per_s, burst, owed])
        except self._lost as error:
            if not self._redis_is_away:
                log.warning("rate_tokens_lost_redis", error=type(error).__name__)
            self._redis_is_away = True
            return await self._fallback.take(key, per_s=per_s, burst=burst, owed=owed)
        if self._redis_is_away:
            log.info("rate_tokens_found_redis")
            self._redis_is_away = False
        return float(wait_ms) / 1000

    async def close(self) -> None:
        await self._redis.aclose()


class StoreRateTokens:
    """Implements `bot.ports.RateTokens` on a row of the store; slower, and enough when Redis is gone."""

    def __init__(self, store: SqlTokens) -> None:
        self._store = store

    async def take(self, key: str, *, per_s: float, burst: int = 1, owed: int = 0) -> float:
        return await self._store.take_token(key, per_s=per_s, burst=burst, owed=owed)
