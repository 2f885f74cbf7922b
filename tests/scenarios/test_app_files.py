"""A customer's photo and voice on Telegram end up beside the conversation; a link shows the photo without its place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests import media_files
from tests.scenarios.app_under_test import WITHIN_S, DeskUnderTest, TelegramChat, desk_under_test, prepare


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[DeskUnderTest]:
    await prepare(tmp_path)
    async with desk_under_test(tmp_path) as running:
        yield running


async def _files_settled(desk: DeskUnderTest, chat: TelegramChat, count: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(WITHIN_S):
        while True:
            files = (await desk.record(chat))["files"]
            if len(files) == count and all(file["state"] != "wanted" for file in files):
                return files
            await asyncio.sleep(0.05)


async def test_files_come_home_from_telegram_and_are_shown_by_link(
    desk: DeskUnderTest, capsys: pytest.CaptureFixture[str]
) -> None:
    chat = await desk.chat("telegram", "7001", "en")
    assert isinstance(chat, TelegramChat)
    await chat.ask("hello", "ello")
    world = chat.customer.bot
    chat.customer.send_photo()
    chat.customer.send_voice()
    chat.customer.send_document("receipt.pdf")
    # Files of our own in place of the stand-in's, before anything had a chance to ask for them.
    world.files["photo-800"] = media_files.photo()
    world.files["voice-1"] = media_files.ogg()
    world.files["document-1"] = b"<html><script>alert(1)</script></html>"
    photo, voice, page = await _files_settled(desk, chat, 3)
    assert (photo["state"], photo["mime"], voice["state"], voice["mime"]) == (
        "stored",
        "image/jpeg",
        "stored",
        "audio/ogg",
    )
    assert (page["state"], page["reason"]) == ("refused", "files of this kind are not taken")
    link = desk.app.media.link(photo["media_id"])
    async with desk.http.get(f"{desk.url}{link}") as answer:
        shown = await answer.read()
        assert (answer.status, answer.content_type) == (200, "image/jpeg")
    assert b"Exif" not in shown
    async with desk.http.get(f"{desk.url}{link[:-2]}") as answer:
        assert answer.status == 403
    signature = link.partition("signature=")[2]
    captured = capsys.readouterr()
    assert signature not in captured.out + captured.err
