"""Hints between roles: in process, and over Redis when roles are apart. Losing any of them loses nothing."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import defaultdict, deque
from collections.abc import Mapping
from typing import Any, Self

import orjson
import structlog

from bot.ports import Signal

log = structlog.get_logger()

BACKLOG = 10_000  # hints kept for a slow listener; older ones are dropped, the sweep finds what they meant
REDIS_CHANNEL = "frontdesk:signals"
RECONNECT_S = 1.0


class Subscription:
    """Signals of one topic from the moment of subscribing; iterate it, close it to stop."""

    def __init__(self, hub: LocalSignals, topic: str) -> None:
        self._hub, self._topic = hub, topic
        self._waiting: deque[Signal] = deque(maxlen=BACKLOG)
        self._arrived = asyncio.Event()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Signal:
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        return self._waiting.popleft()

    async def aclose(self) -> None:
        self._hub.forget(self._topic, self)

    def deliver(self, signal: Signal) -> None:
        self._waiting.append(signal)
        self._arrived.set()


class LocalSignals:
    """Implements `Signals` inside one process."""

    def __init__(self) -> None:
        self._subscriptions: defaultdict[str, list[Subscription]] = defaultdict(list)

    def publish(self, topic: str, payload: Mapping[str, Any] | None = None) -> None:
        signal = Signal(topic, payload or {})
        for subscription in self._subscriptions[topic]:
            subscription.deliver(signal)

    def subscribe(self, topic: str) -> Subscription:
        subscription = Subscription(self, topic)
        self._subscriptions[topic].append(subscription)
        return subscription

    def forget(self, topic: str, subscription: Subscription) -> None:
        with contextlib.suppress(ValueError):  # closing twice is fine
            self._subscriptions[topic].remove(subscription)


class RedisSignals(LocalSignals):
    """The same across processes. Only ids travel: what customers wrote never enters Redis."""

    def __init__(self, url: str) -> None:
        from redis.asyncio import Redis  # 5 MB that a process without Redis does not need
        from redis.exceptions import RedisError

        super().__init__()
        self._lost = (RedisError, OSError)
        self._redis = Redis.from_url(url, socket_connect_timeout=2, socket_timeout=None, health_check_interval=15)
        self._origin = secrets.token_hex(6)
        self._leaving: deque[bytes] = deque(maxlen=BACKLOG)
        self._something_leaves = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.is_connected = False

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._send()), asyncio.create_task(self._receive())]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._redis.aclose()

    def publish(self, topic: str, payload: Mapping[str, Any] | None = None) -> None:
        super().publish(topic, payload)
        ids_only = {key: value for key, value in (payload or {}).items() if key != "events"}
        self._leaving.append(orjson.dumps([self._origin, topic, ids_only]))
        self._something_leaves.set()

    async def _send(self) -> None:
        while True:
            await self._something_leaves.wait()
            self._something_leaves.clear()
            while self._leaving:
                batch = [self._leaving.popleft() for _ in range(min(len(self._leaving), 200))]
                try:
                    async with self._redis.pipeline(transaction=False) as pipeline:
                        for message in dict.fromkeys(batch):  # the same hint twice says nothing new
                            pipeline.publish(REDIS_CHANNEL, message)
                        await pipeline.execute()
                except self._lost as error:
                    log.warning("signals_not_sent", count=len(batch), error=type(error).__name__)
                    await asyncio.sleep(RECONNECT_S)

    async def _receive(self) -> None:
        while True:
            try:
                async with self._redis.pubsub(ignore_subscribe_messages=True) as pubsub:
                    await pubsub.subscribe(REDIS_CHANNEL)
                    self.is_connected = True
                    async for message in pubsub.listen():
                        self._take(message["data"])
            except self._lost as error:
                log.warning("signals_lost_redis", error=type(error).__name__)
            self.is_connected = False
            await asyncio.sleep(RECONNECT_S)

    def _take(self, wire: bytes) -> None:
        try:
            origin, topic, payload = orjson.loads(wire)
        except (ValueError, TypeError):
            log.warning("signal_unreadable", size=len(wire))
            return
        if origin != self._origin:
            super().publish(topic, payload)
