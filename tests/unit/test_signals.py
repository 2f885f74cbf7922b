"""Signals are hints: what matters is that nobody who listens misses one in process, and that words never leave it."""

from __future__ import annotations

import asyncio

import orjson

from bot.wakeup import Wakeup
from frontdesk.signals import BACKLOG, LocalSignals, RedisSignals


async def test_a_signal_sent_right_after_subscribing_arrives() -> None:
    signals = LocalSignals()
    subscription = signals.subscribe("inbox")
    signals.publish("inbox", {"n": 1})
    assert (await anext(subscription)).payload == {"n": 1}


async def test_topics_are_kept_apart() -> None:
    signals = LocalSignals()
    inbox, outbox = signals.subscribe("inbox"), signals.subscribe("outbox")
    signals.publish("outbox", {"n": 2})
    signals.publish("inbox", {"n": 1})
    assert (await anext(inbox)).payload == {"n": 1}
    assert (await anext(outbox)).payload == {"n": 2}


async def test_a_slow_listener_loses_the_oldest_and_never_grows_without_bound() -> None:
    signals = LocalSignals()
    subscription = signals.subscribe("web")
    for number in range(BACKLOG + 5):
        signals.publish("web", {"n": number})
    assert (await anext(subscription)).payload == {"n": 5}


async def test_a_closed_subscription_gets_nothing_more_and_may_be_closed_twice() -> None:
    signals = LocalSignals()
    subscription = signals.subscribe("web")
    await subscription.aclose()
    await subscription.aclose()
    signals.publish("web")
    waiting = asyncio.ensure_future(anext(subscription))
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()


async def test_a_bell_rung_while_working_is_heard_afterwards() -> None:
    signals = LocalSignals()
    with Wakeup(signals, "inbox") as wakeup:
        signals.publish("inbox")
        assert await wakeup.wait(5)
        assert not await wakeup.wait(0.01)


async def test_what_customers_wrote_never_goes_to_redis() -> None:
    signals = RedisSignals("redis://127.0.0.1:1/0")
    signals.publish("web", {"conversation_id": 7, "events": [{"text": "my secret"}]})
    (wire,) = signals._leaving
    assert b"secret" not in wire
    assert orjson.loads(wire)[1:] == ["web", {"conversation_id": 7}]
    await signals.close()


async def test_a_signal_of_our_own_that_comes_back_is_not_delivered_twice() -> None:
    signals = RedisSignals("redis://127.0.0.1:1/0")
    subscription = signals.subscribe("web")
    signals._take(orjson.dumps([signals._origin, "web", {"n": 1}]))
    signals._take(orjson.dumps(["somebody else", "web", {"n": 2}]))
    signals._take(b"not json")
    assert (await anext(subscription)).payload == {"n": 2}
    await signals.close()
