"""The webhook route: who is believed, what is acknowledged, what comes back."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from bot.errors import StoreUnavailable
from bot.types import Button, Text
from channels.simulators.telegram import TelegramSimulator
from channels.telegram import TelegramAdapter, telegram_routes
from config.settings import TelegramSettings
from tests.channel_doubles import MemoryInbox

PAYLOADS = Path(__file__).parents[1] / "payloads" / "telegram"
LIMIT = 10_000
GOOD = {"X-Telegram-Bot-Api-Secret-Token": "s3cret", "Content-Type": "application/json"}


class Desk:
    """The route over one webhook account and one polling account, called in process."""

    def __init__(self, api_base_url: str) -> None:
        self.inbox = MemoryInbox()
        common: dict[str, Any] = {"token": "1:a", "api_base_url": api_base_url}
        self.adapters = {
            "main": TelegramAdapter("main", TelegramSettings(secret="s3cret", mode="webhook", **common)),
            "polled": TelegramAdapter("polled", TelegramSettings(secret="s3cret", **common)),
        }
        self.app = Starlette(routes=telegram_routes(self.adapters, self.inbox, LIMIT))
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://desk")

    async def post(self, body: Any, account: str = "main", headers: Any = GOOD) -> httpx.Response:
        return await self.client.post(f"/channels/telegram/{account}", content=body, headers=headers)

    async def close(self) -> None:
        await self.client.aclose()
        for adapter in self.adapters.values():
            await adapter.close()


@pytest.fixture
async def telegram() -> AsyncIterator[TelegramSimulator]:
    async with TelegramSimulator("1:a") as simulator:
        yield simulator


@pytest.fixture
async def desk(telegram: TelegramSimulator) -> AsyncIterator[Desk]:
    desk = Desk(telegram.url)
    yield desk
    await desk.close()


def payload(name: str) -> bytes:
    return (PAYLOADS / f"{name}.json").read_bytes()


async def test_a_genuine_update_is_stored_as_it_came_and_acknowledged(desk: Desk) -> None:
    response = await desk.post(payload("text"))

    assert response.status_code == 200
    assert [(row.raw, row.message and row.message.content) for row in desk.inbox.rows] == [
        (payload("text"), Text("我的订单2391还没有到"))
    ]


async def test_a_redelivery_is_acknowledged_and_changes_nothing(desk: Desk) -> None:
    statuses = [(await desk.post(payload("text"))).status_code for _ in range(3)]

    assert statuses == [200, 200, 200]
    assert len(desk.inbox.rows) == 1


@pytest.mark.parametrize("name", sorted(path.stem for path in PAYLOADS.glob("*.json")))
async def test_every_kind_of_update_is_stored_and_acknowledged(desk: Desk, name: str) -> None:
    assert (await desk.post(payload(name))).status_code == 200
    assert len(desk.inbox.rows) == 1


@pytest.mark.parametrize("given", [None, b"guess", b"", "s3crét".encode()])
async def test_without_the_secret_the_body_is_not_even_read(desk: Desk, given: bytes | None) -> None:
    statuses: list[int] = []
    secret = [] if given is None else [(b"x-telegram-bot-api-secret-token", given)]
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/channels/telegram/main",
        "headers": [(b"content-type", b"application/json"), *secret],
        "query_string": b"",
    }

    async def receive() -> Any:
        raise AssertionError("the body of an unproven request was read")

    async def send(event: Any) -> None:
        if event["type"] == "http.response.start":
            statuses.append(event["status"])

    await desk.app(scope, receive, send)

    assert statuses == [401]
    assert desk.inbox.rows == []


@pytest.mark.parametrize("account", ["nobody", "polled", "MAIN"])
async def test_an_account_without_a_webhook_is_not_there(desk: Desk, account: str) -> None:
    assert (await desk.post(payload("text"), account)).status_code == 404


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
async def test_another_method_is_refused(desk: Desk, method: str) -> None:
    response = await desk.client.request(method, "/channels/telegram/main", headers=GOOD)

    assert response.status_code == 405


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_another_content_type_is_refused(desk: Desk, content_type: str) -> None:
    headers = {**GOOD, "Content-Type": content_type}

    assert (await desk.post(payload("text"), headers=headers)).status_code == 415


async def test_a_content_type_with_a_charset_is_fine(desk: Desk) -> None:
    headers = {**GOOD, "Content-Type": "Application/JSON; charset=utf-8"}

    assert (await desk.post(payload("text"), headers=headers)).status_code == 200


async def test_a_body_over_the_limit_is_refused_whether_announced_or_not(desk: Desk) -> None:
    async def chunks() -> Any:
        for _ in range(11):
            yield b"x" * 1000

    assert (await desk.post(b"x" * (LIMIT + 1))).status_code == 413
    assert (await desk.post(chunks())).status_code == 413
    assert desk.inbox.rows == []


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe{}", b"[" * 5000, b'{"update_id":1,"message":7}'])
async def test_signed_bytes_we_cannot_read_are_parked_so_that_they_do_not_come_back(desk: Desk, body: bytes) -> None:
    response = await desk.post(body)

    assert response.status_code == 200
    assert [(row.raw, row.message) for row in desk.inbox.rows] == [(body, None)]


async def test_a_store_that_cannot_commit_gives_503_and_the_update_comes_again(desk: Desk) -> None:
    desk.inbox.failures = [StoreUnavailable("store", "disk full")]

    first = await desk.post(payload("text"))
    second = await desk.post(payload("text"))

    assert (first.status_code, first.headers["Retry-After"], second.status_code) == (503, "2", 200)
    assert len(desk.inbox.rows) == 1


async def test_a_press_is_answered_so_that_the_button_stops_spinning(desk: Desk, telegram: TelegramSimulator) -> None:
    query_id = telegram.bot.new_callback_id()
    update = json.loads(payload("callback_query"))
    update["callback_query"]["id"] = query_id

    await desk.post(json.dumps(update))

    assert await telegram.bot.pulse.until(lambda: telegram.bot.open_queries[query_id], 5)
    assert [type(row.message.content) for row in desk.inbox.rows if row.message] == [Button]
