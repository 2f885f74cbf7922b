"""Customers who behave as the real clients do: a widget that sends again under the same id, people on Telegram."""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson

from channels.simulators.telegram import TelegramSimulator
from channels.simulators.telegram_world import Customer

AGAIN_AFTER_S = 0.05  # a client's pause before it tries again
_NUMBER = re.compile(r"\d{5}")

Address = Callable[[], Awaitable[str]]  # where the desk answers now, once it does


def numbers_in(texts: Sequence[str]) -> list[str]:
    """The ticket numbers these texts speak of, in order."""
    return [number for text in texts for number in _NUMBER.findall(text)]


def words_for(number: str, index: int) -> str:
    return f"ticket {number}" if index % 2 else f"请记下编号 {number}"


@dataclass
class Visitor:
    """One browser with the widget: posts in order, keeps an event stream open, resumes it where it was."""

    address: Address
    http: aiohttp.ClientSession
    account: str = "default"
    identity: dict[str, Any] = field(default_factory=dict)  # the shop's signed word for a logged-in customer
    token: str = ""
    user: str = ""
    sent: list[tuple[str, str]] = field(default_factory=list)  # client id, text
    acknowledged: list[str] = field(default_factory=list)  # client ids
    refused: list[int] = field(default_factory=list)  # statuses other than 202 that were tried again
    events: list[dict[str, Any]] = field(default_factory=list)  # with seq, as they came
    gaps: list[tuple[int, int]] = field(default_factory=list)  # (seq before, seq after) that do not follow
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    _reader: asyncio.Task[None] | None = None
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)  # one message after the other

    @property
    def replies(self) -> list[str]:
        return [event["text"] for event in self.events if event["direction"] == "out"]

    @property
    def own(self) -> list[str]:
        return [event["text"] for event in self.events if event["direction"] == "in"]

    async def open(self) -> None:
        """A session, and the event stream that stays open from now on."""
        async with self._turn:
            if not self.token:
                session = await self._post("sessions", self.identity)
                self.token, self.user = session["token"], session["user"]
                self._reader = asyncio.create_task(self._read_for_ever())

    async def say(self, text: str, *, client_id: str = "") -> None:
        """Acknowledged when this returns; sent again under the same id until it is."""
        client_id = client_id or secrets.token_hex(8)
        await self._send(client_id, text, {"text": text})

    async def press(self, label: str) -> None:
        """The newest button that is called so is pressed, and acknowledged. Raises: LookupError."""
        for event in reversed(self.events):
            for button in event["buttons"]:
                if button["label"] == label:
                    await self._send(secrets.token_hex(8), label, {"button": button})
                    return
        raise LookupError(f"no button {label!r} is shown")

    async def continue_on(self, place: str) -> str:
        """The address that carries the conversation to this "channel/account"."""
        return str((await self._post("continue", {"on": place}))["url"])

    async def _send(self, client_id: str, shown: str, content: dict[str, Any]) -> None:
        async with self._turn:
            self.sent.append((client_id, shown))
            answer = await self._post("messages", {"id": client_id, **content})
            assert answer["id"] == client_id
            self.acknowledged.append(client_id)

    async def try_to_say(self, text: str, *, client_id: str = "") -> int:
        """One try; the status. Kept as sent only when it was accepted."""
        client_id = client_id or secrets.token_hex(8)
        url = f"{await self.address()}/channels/web/{self.account}/messages"
        async with self.http.post(url, json={"id": client_id, "text": text}, headers=self._headers()) as response:
            await response.read()
            if response.status == 202:
                self.sent.append((client_id, text))
                self.acknowledged.append(client_id)
            return response.status

    async def until(self, is_so: Callable[[], bool], within_s: float) -> None:
        """Raises: TimeoutError saying what was seen so far."""
        try:
            async with asyncio.timeout(within_s), self._changed:
                await self._changed.wait_for(is_so)
        except TimeoutError:
            raise TimeoutError(f"{self.user}: said {self.own}, was answered {self.replies}") from None

    async def until_answered(self, within_s: float) -> None:
        """As many replies as messages have been seen, and all the messages themselves."""
        wanted = len(self.sent)
        await self.until(lambda: len(self.replies) >= wanted and len(self.own) >= wanted, within_s)

    async def close(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
            self._reader = None

    def ledger(self) -> list[dict[str, str]]:
        """What was acknowledged, as `frontdesk check-invariants --acknowledged` takes it."""
        return [
            {"channel": "web", "account": self.account, "dedupe_key": f"{self.user}:{client_id}"}
            for client_id in self.acknowledged
        ]

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    async def _post(self, what: str, body: dict[str, Any]) -> dict[str, Any]:
        while True:
            url = f"{await self.address()}/channels/web/{self.account}/{what}"
            with contextlib.suppress(aiohttp.ClientError, ConnectionError, TimeoutError):
                async with self.http.post(url, json=body, headers=self._headers()) as response:
                    found = await response.read()
                    if response.ok:
                        answer: dict[str, Any] = orjson.loads(found)
                        return answer
                    assert response.status >= 500, f"{response.status}: {found!r}"
                    self.refused.append(response.status)
            await asyncio.sleep(AGAIN_AFTER_S)

    async def _read_for_ever(self) -> None:
        while True:
            with contextlib.suppress(aiohttp.ClientError, ConnectionError, TimeoutError):
                await self._read()
            await asyncio.sleep(AGAIN_AFTER_S)

    async def _read(self) -> None:
        after = self.events[-1]["seq"] if self.events else 0
        url = f"{await self.address()}/channels/web/{self.account}/events?after={after}"
        async with self.http.get(url, headers=self._headers()) as response:
            if response.status != 200:
                return
            async for line in response.content:
                if line.startswith(b"data: "):
                    await self._take(orjson.loads(line[6:]))

    async def _take(self, event: dict[str, Any]) -> None:
        if "seq" not in event or "direction" not in event:
            return
        before = self.events[-1]["seq"] if self.events else 0
        if event["seq"] != before + 1:
            self.gaps.append((before, event["seq"]))
        async with self._changed:
            self.events.append(event)
            self._changed.notify_all()


@dataclass
class Texter:
    """One person on Telegram, played through the stand-in server."""

    customer: Customer
    sent: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        self.customer.send_text(text)
        self.sent.append(text)

    @property
    def replies(self) -> list[str]:
        return [shown.text for shown in self.customer.received]

    async def until_answered(self, within_s: float) -> None:
        """Every number sent has come back at least once. Raises: TimeoutError."""

        def is_answered() -> bool:
            return set(numbers_in(self.sent)) <= set(numbers_in(self.replies))

        if not await self.customer.bot.pulse.until(is_answered, within_s):
            raise TimeoutError(f"Telegram user {self.customer.user_id}: sent {self.sent}, got {self.replies}")


def texter(simulator: TelegramSimulator, user_id: int) -> Texter:
    return Texter(simulator.user(user_id, language="en" if user_id % 2 else "zh-hans"))
