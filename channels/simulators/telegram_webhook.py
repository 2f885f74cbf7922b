"""Telegram's delivery to a webhook: in order within a chat, chats side by side, again until answered 2xx.

How the real server does it: tdlib/telegram-bot-api, WebhookActor.cpp (first repetition at once, then doubling;
Retry-After is obeyed; an update older than 24 h is dropped).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp
import orjson

from channels.simulators.faults import FaultPlan
from channels.simulators.telegram_world import Pending, SimulatedBot, Webhook

LONGEST_DELAY_S = 60.0
ANSWER_TIMEOUT_S = 60.0


class WebhookDelivery:
    """Delivers one bot's pending updates while it has a webhook."""

    def __init__(
        self, bot: SimulatedBot, faults: FaultPlan, sleep: Callable[[float], Awaitable[None]], first_delay_s: float
    ) -> None:
        self._bot, self._faults, self._sleep, self._first_delay_s = bot, faults, sleep, first_delay_s
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_TIMEOUT_S))
        self._chats: dict[int, asyncio.Task[None]] = {}
        self._loop = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        tasks = [self._loop, *self._chats.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._session.close()

    async def _run(self) -> None:
        bot = self._bot
        while True:
            await bot.pulse.until(self._has_idle_chat, timeout_s=3600)
            webhook = bot.webhook
            if webhook is None:
                continue
            for chat_id in {pending.chat_id for pending in bot.pending} - set(self._chats):
                if len(self._chats) < webhook.max_connections:
                    self._chats[chat_id] = asyncio.get_running_loop().create_task(self._deliver_chat(chat_id))

    def _has_idle_chat(self) -> bool:
        webhook = self._bot.webhook
        if webhook is None or len(self._chats) >= webhook.max_connections:
            return False
        return any(pending.chat_id not in self._chats for pending in self._bot.pending)

    async def _deliver_chat(self, chat_id: int) -> None:
        try:
            while (webhook := self._bot.webhook) is not None:
                self._bot.drop_expired()
                mine = [pending for pending in self._bot.pending if pending.chat_id == chat_id]
                if not mine:
                    return
                if len(mine) > 1 and self._faults.for_updates("reorder_updates"):
                    mine.reverse()
                await self._deliver(mine[0], webhook)
        finally:
            del self._chats[chat_id]
            self._bot.pulse.beat()

    async def _deliver(self, pending: Pending, webhook: Webhook) -> None:
        body = orjson.dumps(pending.update)
        if self._faults.for_updates("malformed_update"):
            await self._post(webhook, orjson.dumps({"update_id": pending.update_id + 500_000, "message": [1]}), 0)
        if self._faults.for_updates("broken_json"):
            await self._post(webhook, b'{"update_id":', 0)
        delay_s, attempt = self._first_delay_s, 1
        while True:
            status, retry_after_s = await self._post(webhook, body, pending.update_id, attempt)
            if 200 <= status < 300:
                if self._faults.for_updates("duplicate_update"):
                    await self._post(webhook, body, pending.update_id, attempt + 1)
                self._bot.confirm(pending.update_id)
                return
            webhook.last_error_at = self._bot.now()
            webhook.last_error = f"Wrong response from the webhook: {status}" if status else "Connection failed"
            self._bot.pulse.beat()
            if retry_after_s or attempt > 1:
                await self._sleep(retry_after_s or delay_s)
                delay_s = min(LONGEST_DELAY_S, delay_s * 2)
            attempt += 1
            if self._bot.webhook is not webhook or pending not in self._bot.pending:
                return

    async def _post(self, webhook: Webhook, body: bytes, update_id: int, attempt: int = 1) -> tuple[int, float]:
        """HTTP status (0: no answer) and the Retry-After it asked for."""
        headers = {"Content-Type": "application/json"}
        if webhook.secret_token:
            headers["X-Telegram-Bot-Api-Secret-Token"] = webhook.secret_token
        status, retry_after_s = 0, 0.0
        try:
            async with self._session.post(webhook.url, data=body, headers=headers) as response:
                await response.read()
                status = response.status
                asked = response.headers.get("Retry-After", "")
                retry_after_s = min(float(asked), 3600.0) if asked.isdecimal() else 0.0
        except (aiohttp.ClientError, TimeoutError, OSError):
            retry_after_s = self._first_delay_s
        self._bot.ledger.add(
            "delivery", self._bot.now(), bot=self._bot.id, update_id=update_id, attempt=attempt, status=status
        )
        return status, retry_after_s
