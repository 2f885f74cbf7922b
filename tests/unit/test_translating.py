"""A LibreTranslate server as the translator of the desk: what is asked of it, and what its failures become."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr

from bot.errors import ServiceUnavailable
from config.settings import TranslateSettings
from frontdesk.translating import LibreTranslate, translator_of


@asynccontextmanager
async def _a_server(answer: Any, status: int = 200) -> AsyncIterator[tuple[str, list[Any]]]:
    """Its address, and what it was asked."""
    asked: list[Any] = []

    async def translate(request: web.Request) -> web.Response:
        asked.append(await request.json())
        return web.json_response(answer, status=status)

    app = web.Application()
    app.router.add_post("/translate", translate)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/", asked
    finally:
        await runner.cleanup()


async def test_words_are_said_in_the_language_asked_for() -> None:
    async with _a_server({"translatedText": "您好"}) as (url, asked):
        translator = LibreTranslate(TranslateSettings(url=url, api_key=SecretStr("of ours")))
        assert await translator.translate("hello", to="zh") == "您好"
    assert asked == [{"q": "hello", "source": "auto", "target": "zh", "format": "text", "api_key": "of ours"}]


@pytest.mark.parametrize(
    ("answer", "status"), [({"error": "slow down"}, 429), ({}, 200), (["您好"], 200), ({"translatedText": 1}, 200)]
)
async def test_an_answer_without_words_is_a_translator_that_is_not_there(answer: Any, status: int) -> None:
    async with _a_server(answer, status) as (url, _):
        with pytest.raises(ServiceUnavailable):
            await LibreTranslate(TranslateSettings(url=url)).translate("hello", to="zh")


async def test_nobody_listening_is_a_translator_that_is_not_there_and_says_nothing_of_the_words() -> None:
    async with _a_server({}) as (url, _):
        pass
    with pytest.raises(ServiceUnavailable) as gone:
        await LibreTranslate(TranslateSettings(url=url)).translate("my secret", to="zh")
    assert "my secret" not in str(gone.value)


def test_without_an_address_nobody_translates() -> None:
    assert translator_of(TranslateSettings()) is None
