"""The whole desk in this process: real app, real HTTP on the loopback, a stand-in for Telegram, and its customers."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

import aiohttp
from pydantic import SecretStr

from channels.simulators.line import LineSimulator
from channels.simulators.line_customer import LineCustomer
from channels.simulators.telegram import TelegramSimulator
from channels.simulators.telegram_methods import Limits
from channels.simulators.telegram_world import Customer
from channels.web.tokens import sign_identity
from config.settings import (
    ChannelsSettings,
    LineSettings,
    MediaSettings,
    NluSettings,
    Settings,
    TelegramSettings,
    WebSettings,
)
from crm_sync.customers import customer_record, find_customers
from crm_sync.imported_orders import ORDERS
from crm_sync.imports import import_file
from frontdesk.app import ALL_ROLES, App
from frontdesk.http import build_http
from frontdesk.serving import HttpServer, listen
from tests.faults.customers import Visitor

ROOT = Path(__file__).parents[2]
IDENTITY_SECRET = "shared with the shop's own site"
TELEGRAM_ACCOUNT = LINE_ACCOUNT = "main"
WITHIN_S = 15.0
STORE = "desk.db"


class Chat(Protocol):
    """A customer's side of a conversation, whatever the channel."""

    key: str  # channel/account/external id, as `frontdesk customer show` takes it

    async def ask(self, text: str, expect: str) -> str:
        """What the desk answers, once `expect` is in it. Raises: TimeoutError."""
        ...

    async def press(self, label: str, expect: str) -> str: ...


@dataclass
class WebChat:
    visitor: Visitor

    @property
    def key(self) -> str:
        return f"web/default/{self.visitor.user}"

    async def ask(self, text: str, expect: str) -> str:
        before = len(self.visitor.replies)
        await self.visitor.say(text)
        return await self._answer(before, expect)

    async def press(self, label: str, expect: str) -> str:
        before = len(self.visitor.replies)
        await self.visitor.press(label)
        return await self._answer(before, expect)

    async def _answer(self, before: int, expect: str) -> str:
        await self.visitor.until(lambda: expect in "\n".join(self.visitor.replies[before:]), WITHIN_S)
        return "\n".join(self.visitor.replies[before:])


@dataclass
class TelegramChat:
    customer: Customer

    @property
    def key(self) -> str:
        return f"telegram/{TELEGRAM_ACCOUNT}/{self.customer.user_id}"

    async def ask(self, text: str, expect: str) -> str:
        before = len(self.customer.received)
        self.customer.send_text(text)
        return await self._answer(before, expect)

    async def follow(self, address: str, expect: str) -> str:
        """What the desk answers to who opened this t.me address and pressed Start. Raises: TimeoutError."""
        (payload,) = parse_qs(urlsplit(address).query)["start"]
        before = len(self.customer.received)
        self.customer.start(payload)
        return await self._answer(before, expect)

    async def press(self, label: str, expect: str) -> str:
        before = len(self.customer.received)
        self.customer.press(label)
        return await self._answer(before, expect)

    async def _answer(self, before: int, expect: str) -> str:
        def answer() -> str:
            return "\n".join(shown.text for shown in self.customer.received[before:])

        if not await self.customer.bot.pulse.until(lambda: expect in answer(), WITHIN_S):
            raise TimeoutError(f"expected {expect!r}, got {answer()!r}")
        return answer()


@dataclass
class LineChat:
    customer: LineCustomer

    @property
    def key(self) -> str:
        return f"line/{LINE_ACCOUNT}/{self.customer.user_id}"

    async def ask(self, text: str, expect: str) -> str:
        before = len(self.customer.texts)
        assert await self.customer.say(text) == 200
        return await self._answer(before, expect)

    async def press(self, label: str, expect: str) -> str:
        """A quick reply; where the label was too long for one, its number in the list is typed."""
        before = len(self.customer.texts)
        numbered = re.search(rf"^(\d+)\. {re.escape(label)}$", self.customer.texts[-1], re.MULTILINE)
        sent = await (self.customer.say(numbered[1]) if numbered else self.customer.press(label))
        assert sent == 200
        return await self._answer(before, expect)

    async def _answer(self, before: int, expect: str) -> str:
        def answer() -> str:
            return "\n".join(self.customer.texts[before:])

        if not await self.customer.until(lambda: expect in answer(), WITHIN_S):
            raise TimeoutError(f"expected {expect!r}, got {answer()!r}")
        return answer()


@dataclass
class DeskUnderTest:
    """The running desk; `chat` opens a conversation."""

    app: App
    url: str
    simulator: TelegramSimulator
    line: LineSimulator
    http: aiohttp.ClientSession
    visitors: list[Visitor]

    async def chat(self, channel: str, who: str, language: str = "en") -> Chat:
        """A signed-in web visitor, a Telegram or a LINE user; `who` is digits and means the same person each time."""
        if channel == "line":
            return LineChat(self.line.user(line_user(who)))
        if channel == "telegram":
            return self.texter(who, language)
        issued_at = int(time.time())
        signature = sign_identity(IDENTITY_SECRET, account="default", user=who, issued_at=issued_at)
        identity = {"user": who, "issued_at": issued_at, "signature": signature, "language": language}
        return await self._visit(identity)

    async def stranger(self, language: str = "en") -> WebChat:
        """An anonymous visitor."""
        return await self._visit({"language": language})

    def texter(self, who: str, language: str = "en") -> TelegramChat:
        """A Telegram user; `who` is digits."""
        return TelegramChat(self.simulator.user(int(who), language="zh-hans" if language == "zh" else "en"))

    async def record(self, chat: Chat) -> dict[str, Any]:
        """What `frontdesk customer show` shows of this customer, once no send of theirs is under way."""
        (customer,) = await find_customers(self.app.store.database, chat.key)
        until = time.monotonic() + WITHIN_S
        while True:
            record = await customer_record(self.app.store.database, customer)
            states = {message["delivery"] for message in record["messages"]}
            if "sending" not in states or time.monotonic() > until:
                return record
            await asyncio.sleep(0.05)

    async def import_orders(self, file: Path) -> None:
        report = await import_file(self.app.store.database, ORDERS, file)
        assert not report.errors

    async def address(self) -> str:
        return self.url

    async def _visit(self, identity: dict[str, Any]) -> WebChat:
        visitor = Visitor(self.address, self.http, identity=identity)
        self.visitors.append(visitor)
        await visitor.open()
        return WebChat(visitor)


def line_user(who: str) -> str:
    return f"U{who:>032}"


def shop_settings(folder: Path) -> Settings:
    """The sample shop on an SQLite store in this folder."""
    web = WebSettings(identity_secret=SecretStr(IDENTITY_SECRET), continue_on=(f"telegram/{TELEGRAM_ACCOUNT}",))
    return Settings(
        database_url=SecretStr(f"sqlite:///{folder}/{STORE}"),
        secret_key=(SecretStr("a key for whole-conversation tests"),),
        media=MediaSettings(folder=folder / "media"),
        nlu=NluSettings(model_dir=ROOT / ".frontdesk" / "model"),
        channels=ChannelsSettings(web={"default": web}),
    )


async def prepare(folder: Path) -> None:
    """The store is there, with tables, administrator and trained model."""
    app = await App.open(shop_settings(folder))
    await app.close()


@asynccontextmanager
async def desk_under_test(folder: Path) -> AsyncIterator[DeskUnderTest]:
    """The sample shop on the store in this folder, with all channels open."""
    limits = Limits(chat_per_s=1000, chat_burst=1000)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=5)
    async with (
        TelegramSimulator(limits=limits) as simulator,
        LineSimulator() as line,
        aiohttp.ClientSession(timeout=timeout) as http,
    ):
        telegram = TelegramSettings(token=SecretStr(simulator.token), api_base_url=simulator.url, per_chat_per_s=50)
        settings = shop_settings(folder)
        its = LineSettings(
            secret=SecretStr(line.secret), token=SecretStr(line.token), api_base_url=line.url, data_base_url=line.url
        )
        accounts = {"telegram": {TELEGRAM_ACCOUNT: telegram}, "line": {LINE_ACCOUNT: its}}
        channels = settings.channels.model_copy(update=accounts)
        app = await App.open(settings.model_copy(update={"channels": channels}))
        listener = listen("127.0.0.1", 0)
        server = HttpServer(build_http(app), listener)
        await app.serve(ALL_ROLES, server)
        visitors: list[Visitor] = []
        try:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            line.endpoint = f"{url}/channels/line/{LINE_ACCOUNT}"
            yield DeskUnderTest(app, url, simulator, line, http, visitors)
        finally:
            for visitor in visitors:
                await visitor.close()
            await app.stop(server)
