"""One Chromium for the suite; each test gets a chat server and a browser context of its own."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from pydantic import SecretStr

from bot.types import Button, Received, Text
from config.settings import WebSettings
from tests.browser.chromium import ARGUMENTS, find_chromium, what_is_missing
from tests.browser.running_console import RunningConsole, a_console
from tests.web_server import WebServer, web_server

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

IDENTITY_SECRET = "shop secret"
NewPage = Callable[..., Awaitable["Page"]]


def answer(received: Received) -> list[dict[str, Any]]:
    """The scripted bot of the suite: answers in the language it was written to, offers buttons for orders."""
    content = received.message and received.message.content
    if isinstance(content, Button):
        return [{"text": f"pressed {content.value}", "author": "operator", "name": "李强"}]
    assert isinstance(content, Text)
    if "订单" in content.text:
        buttons = [{"label": "转人工", "value": "/person"}, {"label": "修改地址", "value": "/address"}]
        return [{"text": "您的订单已发货，预计周二 18:00 前送达。", "buttons": buttons}]
    if "order" in content.text:
        return [{"text": "Your order is on its way: https://shop.example/track/2391."}]
    return [{"text": f"echo: {content.text}"}]


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def browser() -> AsyncIterator[Browser]:
    if missing := what_is_missing():
        pytest.skip(missing)
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=find_chromium(), args=list(ARGUMENTS))
        yield launched
        await launched.close()


@dataclass
class Shop:
    """Another site, on another origin, that embeds the widget; `page` is what it serves."""

    origin: str = ""
    page: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = self.page.encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
        writer.write(head.encode() + b"Connection: close\r\n\r\n" + body)
        await writer.drain()
        writer.close()


@pytest_asyncio.fixture(loop_scope="package")
async def shop() -> AsyncIterator[Shop]:
    site = Shop()
    async with await asyncio.start_server(site.serve, "127.0.0.1", 0) as listener:
        site.origin = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        yield site


@pytest_asyncio.fixture(loop_scope="package")
async def server(shop: Shop) -> AsyncIterator[WebServer]:
    accounts = {"default": WebSettings(origins=(shop.origin,), identity_secret=SecretStr(IDENTITY_SECRET))}
    async with web_server(accounts=accounts, responder=answer, hub_options={"sweep_s": 600.0}) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="package")
async def new_page(browser: Browser) -> AsyncIterator[NewPage]:
    """Opens a page in a context of its own (options as Playwright's `new_context`); errors on it fail the test."""
    errors: list[str] = []
    async with AsyncExitStack() as contexts:

        async def opened(**options: Any) -> Page:
            options = {
                "locale": "en-GB",
                "viewport": {"width": 1280, "height": 800},
                "reduced_motion": "reduce",
                **options,
            }
            context = await browser.new_context(**options)
            contexts.push_async_callback(context.close)
            context.set_default_timeout(10_000)
            context.on("weberror", lambda error: errors.append(str(error.error)))
            return await context.new_page()

        yield opened
    assert errors == []


@pytest_asyncio.fixture(loop_scope="package")
async def desk(sqlite_url: str) -> AsyncIterator[RunningConsole]:
    """The console on a new store."""
    async with a_console(sqlite_url) as running:
        yield running


async def keep_picture(page: Page, name: str) -> None:
    """Writes a screenshot where FRONTDESK_SCREENSHOTS points, for people to look at; does nothing when it is unset."""
    if folder := os.environ.get("FRONTDESK_SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - nothing else runs in this loop
        await page.screenshot(path=Path(folder) / f"{name}.png")
