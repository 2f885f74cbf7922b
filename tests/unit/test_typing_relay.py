"""A hint that an answer is being thought of reaches the right chat, once, and stops nothing."""

from __future__ import annotations

import asyncio
from typing import Any

from bot.errors import ServiceUnavailable
from bot.ports import TOPIC_TYPING
from channels.pacing import LocalRateTokens
from frontdesk.signals import LocalSignals
from frontdesk.typing_relay import relay_typing
from tests.channel_doubles import ScriptedAdapter, SteppedClock


class Showing(ScriptedAdapter):
    def __init__(self, account: str = "main") -> None:
        super().__init__(account)
        self.shown: list[tuple[str, str]] = []

    async def send_typing(self, chat_id: str, topic: str = "") -> None:
        self.shown.append((chat_id, topic))


class NoTokens:
    async def take(self, key: str, *, per_s: float, burst: int = 1, owed: int = 0) -> float:
        raise ServiceUnavailable("tokens", "away")


def hint(chat: str, *, channel: str = "telegram", account: str = "main", topic: str = "") -> dict[str, Any]:
    return {"channel": channel, "account": account, "chat_id": chat, "topic": topic}


async def shown_for(hints: list[dict[str, Any]], *, relays: int = 1, tokens: Any = None) -> dict[str, Any]:
    signals, clock = LocalSignals(), SteppedClock()
    adapters = {"main": Showing(), "other": Showing("other"), "silent": ScriptedAdapter("silent")}
    accounts = {("telegram", name): adapter for name, adapter in adapters.items()}
    tokens = tokens or LocalRateTokens(clock.monotonic)
    tasks = [asyncio.create_task(relay_typing(accounts, signals, tokens)) for _ in range(relays)]
    await asyncio.sleep(0)
    for each in hints:
        signals.publish(TOPIC_TYPING, each)
        for _ in range(20):
            await asyncio.sleep(0)
    assert not any(task.done() for task in tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return adapters


async def test_the_chat_being_answered_is_told_on_its_own_account() -> None:
    adapters = await shown_for(
        [hint("42"), hint("43", topic="55"), hint("44", account="other"), hint("45", channel="wechat")]
    )

    assert adapters["main"].shown == [("42", ""), ("43", "55")]
    assert adapters["other"].shown == [("44", "")]


async def test_several_processes_tell_it_once_and_not_again_while_it_shows() -> None:
    adapters = await shown_for([hint("42"), hint("42"), hint("42")], relays=3)

    assert adapters["main"].shown == [("42", "")]


async def test_an_account_that_cannot_or_does_not_exist_is_passed_over() -> None:
    adapters = await shown_for([hint("42", account="silent"), hint("42", account="nobody"), {}, hint("43")])

    assert adapters["main"].shown == [("43", "")]


async def test_without_tokens_nothing_is_shown_and_the_relay_goes_on() -> None:
    adapters = await shown_for([hint("42"), hint("43")], tokens=NoTokens())

    assert adapters["main"].shown == []
