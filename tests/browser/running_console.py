"""The console on a real port and store, for the browser suite."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import uvicorn

from crm_sync.store import SqlStore
from frontdesk.clock import SystemClock
from tests.console.console_under_test import ConsoleUnderTest
from tests.staff import PASSWORD, an_account
from tests.store_steps import AUDIT_KEYS

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page


@dataclass
class RunningConsole:
    """`enter` signs somebody in on a page; `stop` and `start` restart it on the same port and store."""

    store: SqlStore
    console: ConsoleUnderTest = field(init=False)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self.console = ConsoleUnderTest(self.store, SystemClock())  # type: ignore[arg-type]  # a clock that goes
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        config = uvicorn.Config(
            self.console.app, loop="none", lifespan="off", log_config=None, access_log=False,
            timeout_graceful_shutdown=3,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]))
        self._hub = asyncio.create_task(self.console.hub.run())
        while not self._server.started:  # noqa: ASYNC110 - uvicorn offers no event for it
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        self.console.hub.close()
        self._server.should_exit = True
        await self._serving
        self._hub.cancel()

    async def enter(self, page: Page, name: str = "li", role: str = "operator", **settings: Any) -> None:
        """Somebody new is signed in and sees their first screen."""
        await an_account(self.store, name, role, settings={"language": "en", **settings})
        await page.goto(f"{self.url}/console")
        await page.fill("[name=name]", name)
        await page.fill("[name=password]", PASSWORD)
        await page.click("button.primary")
        await page.wait_for_selector(".rail")

    def tell(self, conversation_id: int) -> None:
        """A hint, as the worker gives one after a commit."""
        self.console.hub.hear({"conversation_id": conversation_id})


@contextlib.asynccontextmanager
async def a_console(url: str) -> AsyncIterator[RunningConsole]:
    """On the store at `url`, which has its tables."""
    store = await SqlStore.open(url, audit_keys=AUDIT_KEYS)
    running = RunningConsole(store)
    await running.start()
    try:
        yield running
    finally:
        await running.stop()
        await running.console.close()
        await store.close()


@contextlib.asynccontextmanager
async def a_watched_page(browser: Browser) -> AsyncIterator[Page]:
    """A page of a desktop in English; whatever its scripts or its security policy complained of fails at the end."""
    context = await browser.new_context(viewport={"width": 1440, "height": 900}, locale="en-US")
    opened = await context.new_page()
    opened.set_default_timeout(15_000)
    wrong: list[str] = []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("console", lambda line: wrong.append(line.text) if "Content Security Policy" in line.text else None)
    yield opened
    await context.close()
    assert wrong == []
