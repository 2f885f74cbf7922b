"""The API in the running app: built at its first request, behind the routes that have tokens of their own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount
from starlette.types import ASGIApp

from frontdesk.lazily import Lazily


class Building:
    """Counts how often, and in which thread, the API was put together; the first time may fail."""

    def __init__(self, *, fails: int = 0) -> None:
        self.threads: list[str] = []
        self._fails = fails

    def __call__(self) -> ASGIApp:
        self.threads.append(threading.current_thread().name)
        if len(self.threads) <= self._fails:
            raise MemoryError
        return PlainTextResponse("there")


@pytest.fixture
async def client() -> AsyncIterator[Any]:
    opened: list[httpx.AsyncClient] = []

    def of(build: Building) -> httpx.AsyncClient:
        app = Starlette(routes=[Mount("/api/v1", Lazily(build))])
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        opened.append(httpx.AsyncClient(transport=transport, base_url="https://desk.example"))
        return opened[-1]

    yield of
    for each in opened:
        await each.aclose()


async def test_is_built_once_in_a_thread_for_all_who_ask_at_once(client: Any) -> None:
    build = Building()
    answers = await asyncio.gather(*(client(build).get("/api/v1/cases") for _ in range(3)))
    assert [answer.text for answer in answers] == ["there"] * 3
    assert len(build.threads) == 3  # three apps, each its own
    one = client(build)
    await asyncio.gather(one.get("/api/v1/cases"), one.get("/api/v1/customers"))
    assert len(build.threads) == 4
    assert threading.main_thread().name not in build.threads


async def test_a_build_that_failed_is_tried_again(client: Any) -> None:
    build = Building(fails=1)
    one = client(build)
    assert (await one.get("/api/v1/cases")).status_code == 500
    assert (await one.get("/api/v1/cases")).text == "there"
