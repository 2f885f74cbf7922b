"""The whole desk in this process with a stand-in for WeChat: one Official Account and its followers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from channels.simulators.wechat import WechatSimulator
from channels.simulators.wechat_world import Shown
from config.settings import Settings, WechatSettings
from crm_sync.customers import customer_record, find_customers
from crm_sync.invariants import check
from frontdesk.app import ALL_ROLES, App, Role
from frontdesk.http import build_http
from frontdesk.serving import HttpServer, listen
from tests.scenarios.app_under_test import WITHIN_S

ACCOUNT = "main"


@dataclass
class WechatDesk:
    """The running desk and the account it is connected to."""

    app: App
    simulator: WechatSimulator

    def received(self, openid: str) -> list[Shown]:
        return self.simulator.account.follower(openid).received

    async def ask(self, openid: str, text: str, expect: str) -> str:
        """The follower writes; what they read, once `expect` is in it. Raises: TimeoutError."""
        before = len(self.received(openid))
        self.simulator.account.write(openid, text)
        return await self.reads(openid, before, expect)

    async def reads(self, openid: str, before: int, expect: str) -> str:
        def words() -> str:
            return "\n".join(shown.text for shown in self.received(openid)[before:])

        await self.until(lambda: expect in words(), lambda: f"expected {expect!r}, got {words()!r}")
        return words()

    async def until(self, is_so: Callable[[], bool], otherwise: Callable[[], str] = lambda: "it never was") -> None:
        if not await self.simulator.account.pulse.until(is_so, WITHIN_S):
            raise TimeoutError(otherwise())

    async def record(self, openid: str) -> dict[str, Any]:
        """What `frontdesk customer show` shows, once no send of theirs is under way."""
        until = time.monotonic() + WITHIN_S
        while True:
            found = await find_customers(self.app.store.database, f"wechat/{ACCOUNT}/{openid}")
            record = await customer_record(self.app.store.database, found[0]) if found else {"messages": []}
            is_settled = found and not {"sending", "pending"} & {one["delivery"] for one in record["messages"]}
            if is_settled or time.monotonic() > until:
                return record
            await asyncio.sleep(0.02)

    async def violations(self) -> Sequence[Any]:
        return await check(self.app.store.database)


@asynccontextmanager
async def wechat_desk(
    shop: Settings, simulator: WechatSimulator, *, roles: Sequence[Role] = ALL_ROLES, **settings: Any
) -> AsyncIterator[WechatDesk]:
    """The sample shop, connected to `simulator`."""
    section = WechatSettings.model_validate({**simulator.settings(), **settings})
    channels = shop.channels.model_copy(update={"wechat": {ACCOUNT: section}})
    app = await App.open(shop.model_copy(update={"channels": channels}))
    listener = listen("127.0.0.1", 0)
    server = HttpServer(build_http(app), listener)
    await app.serve(roles, server)
    simulator.callbacks.url = f"http://127.0.0.1:{listener.getsockname()[1]}/channels/wechat/{ACCOUNT}"
    try:
        yield WechatDesk(app, simulator)
    finally:
        simulator.callbacks.url = ""
        await app.stop(server)
