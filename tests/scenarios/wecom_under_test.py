"""The whole desk in this process with a stand-in for WeCom: its customers in 微信客服, its members, its colleagues."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from channels.simulators.wecom import OPEN_KFID, WecomSimulator
from channels.simulators.wecom_world import Session, Shown
from config.settings import WecomSettings
from crm_sync.customers import customer_record, find_customers
from crm_sync.invariants import check
from frontdesk.app import ALL_ROLES, App
from frontdesk.faults import no_fault
from frontdesk.http import build_http
from frontdesk.serving import HttpServer, listen
from tests.scenarios.app_under_test import WITHIN_S, shop_settings

ACCOUNT = "main"


@dataclass
class WecomDesk:
    """The running desk and the company it is connected to."""

    app: App
    simulator: WecomSimulator

    def session(self, customer: str) -> Session:
        return self.simulator.company.session(OPEN_KFID, customer)

    async def ask(self, customer: str, text: str, expect: str) -> str:
        """The customer writes to 微信客服; what they read, once `expect` is in it. Raises: TimeoutError."""
        before = len(self.session(customer).received)
        self.simulator.company.write(OPEN_KFID, customer, content=text)
        return await self.reads(self.session(customer), before, expect)

    async def press(self, customer: str, label: str, expect: str) -> str:
        before = len(self.session(customer).received)
        self.simulator.company.press(OPEN_KFID, customer, label)
        return await self.reads(self.session(customer), before, expect)

    async def member_asks(self, userid: str, text: str, expect: str) -> str:
        member = self.simulator.company.member(userid)
        before = len(member.received)
        self.simulator.company.say(userid, text)
        return await self.reads(member, before, expect)

    async def reads(self, chat: Any, before: int, expect: str) -> str:
        def words() -> str:
            return "\n".join(_words(shown) for shown in chat.received[before:])

        await self.until(lambda: expect in words(), lambda: f"expected {expect!r}, got {words()!r}")
        return words()

    async def until(self, is_so: Callable[[], bool], otherwise: Callable[[], str] = lambda: "it never was") -> None:
        if not await self.simulator.company.pulse.until(is_so, WITHIN_S):
            raise TimeoutError(otherwise())

    async def record(self, key: str) -> dict[str, Any]:
        """What `frontdesk customer show` shows, e.g. of kf/main/wm1, once no send of theirs is under way."""
        until = time.monotonic() + WITHIN_S
        while True:
            found = await find_customers(self.app.store.database, key)
            record = await customer_record(self.app.store.database, found[0]) if found else {"messages": []}
            is_settled = found and not {"sending", "pending"} & {one["delivery"] for one in record["messages"]}
            if is_settled or time.monotonic() > until:
                return record
            await asyncio.sleep(0.02)

    async def record_once(self, key: str, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The record as soon as `is_so` of it. Raises: TimeoutError."""
        async with asyncio.timeout(WITHIN_S):
            while not is_so(record := await self.record(key)):  # noqa: ASYNC110 - the store has no event to wait for
                await asyncio.sleep(0.02)
        return record

    async def violations(self) -> Sequence[Any]:
        """What the store and the vendor's own ledger do not agree on."""
        return await check(self.app.store.database, self.simulator.ledger.entries())


def _words(shown: Shown) -> str:
    return "\n".join([shown.text, *(button["content"] for button in shown.buttons)])


@asynccontextmanager
async def wecom_desk(
    folder: Path, simulator: WecomSimulator, *, fault: Callable[[str], None] = no_fault, **settings: Any
) -> AsyncIterator[WecomDesk]:
    """The sample shop on the store in this folder, connected to `simulator`."""
    section = WecomSettings.model_validate({**simulator.settings(), **settings})
    shop = shop_settings(folder)
    channels = shop.channels.model_copy(update={"wecom": {ACCOUNT: section}})
    media = shop.media.model_copy(update={"folder": folder / "media"})
    app = await App.open(shop.model_copy(update={"channels": channels, "media": media}), fault=fault)
    listener = listen("127.0.0.1", 0)
    server = HttpServer(build_http(app), listener)
    await app.serve(ALL_ROLES, server)
    simulator.callbacks.url = f"http://127.0.0.1:{listener.getsockname()[1]}/channels/wecom/{ACCOUNT}"
    try:
        yield WecomDesk(app, simulator)
    finally:
        simulator.callbacks.url = ""
        await app.stop(server)
