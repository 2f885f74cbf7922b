"""The service that sends text messages: what is asked of it, and what its answers become."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr, ValidationError

from bot.errors import RecipientUnreachable, SendRefused, ServiceUnavailable
from bot.types import Capabilities
from config.settings import CodesSettings, MailSettings, Settings
from frontdesk.code_sending import SmsHook, ways_of
from frontdesk.hook_sending import signature
from tests.store_steps import START, SetClock

SECRET = "a secret of the text service"


@asynccontextmanager
async def a_service(status: int) -> AsyncIterator[tuple[str, list[Any]]]:
    """Its address, and what it was asked."""
    asked: list[Any] = []

    async def take(request: web.Request) -> web.Response:
        asked.append((await request.read(), request.headers["Frontdesk-Signature"]))
        return web.Response(status=status)

    app = web.Application()
    app.router.add_post("/texts", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/texts", asked
    finally:
        await runner.cleanup()


def a_hook(url: str) -> SmsHook:
    return SmsHook(CodesSettings(sms_url=url, sms_secret=SecretStr(SECRET)), SetClock())


async def test_a_text_message_is_asked_for_with_our_signature() -> None:
    async with a_service(204) as (url, asked):
        await a_hook(url).send("+8613800000001", "您的验证码", "zh")

    ((body, signed),) = asked
    assert body.decode() == '{"to": "+8613800000001", "text": "您的验证码", "language": "zh"}'
    assert signed == signature(SECRET, int(START.timestamp()), body)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (422, RecipientUnreachable),
        (400, SendRefused),
        (302, SendRefused),
        (429, ServiceUnavailable),
        (503, ServiceUnavailable),
    ],
)
async def test_an_answer_says_whether_another_try_may_help(status: int, error: type[Exception]) -> None:
    async with a_service(status) as (url, _):
        with pytest.raises(error):
            await a_hook(url).send("+8613800000001", "x", "en")


async def test_a_service_that_is_away_is_unavailable() -> None:
    async with a_service(204) as (url, _):
        hook = a_hook(url)
    with pytest.raises(ServiceUnavailable):
        await hook.send("+8613800000001", "x", "en")


def test_an_address_without_a_secret_is_refused() -> None:
    with pytest.raises(ValidationError, match="sms_secret"):
        CodesSettings(sms_url="https://texts.example")


class Channel:
    def __init__(self, *, direct: bool = False, is_windowed: bool = False) -> None:
        self.capabilities = Capabilities(
            "any", 100, "codepoint", 0, can_edit=False, can_type=False, idempotency_key=False, direct=direct,
            is_windowed=is_windowed,
        )  # fmt: skip


def test_only_chats_that_are_open_at_any_time_and_not_on_a_website_are_a_way() -> None:
    adapters: Any = {
        ("web", "default"): Channel(direct=True),
        ("wechat", "main"): Channel(is_windowed=True),
        ("telegram", "main"): Channel(),
    }
    assert ways_of(Settings(), adapters).chats == {("telegram", "main")}
    assert not ways_of(Settings(), {})
    assert ways_of(Settings(mail=MailSettings(host="mail.example", sender="a@b.example")), {}).email
