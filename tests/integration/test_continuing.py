"""A link made on the website leads to the bot, and what comes back from there is what was offered."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from bot.types import Command
from channels.simulators.telegram import TelegramSimulator
from channels.telegram import TelegramAdapter
from channels.web import WebAdapter
from config.settings import TelegramSettings
from frontdesk.continuing import continue_links

KEYS = (b"a secret key of the desk",)
SOON = datetime.now(UTC) + timedelta(minutes=15)


def _start(payload: str) -> bytes:
    text = f"/start {payload}"
    chat = {"id": 77, "type": "private", "first_name": "Ann"}
    entity = {"type": "bot_command", "offset": 0, "length": 6}
    message = {"message_id": 1, "date": 1_700_000_000, "chat": chat, "from": {**chat, "is_bot": False}, "text": text}
    return json.dumps({"update_id": 1, "message": {**message, "entities": [entity]}}).encode()


async def test_whoever_opens_the_link_arrives_with_the_token() -> None:
    async with TelegramSimulator() as telegram:
        adapter = TelegramAdapter("main", TelegramSettings(token=telegram.token, api_base_url=telegram.url))
        adapter.trusts_links_of(KEYS)
        makers = continue_links({("telegram", "main"): adapter, ("web", "default"): WebAdapter("default")}, KEYS)
        assert set(makers) == {"telegram/main"}
        address = urlsplit(await makers["telegram/main"]("tok-en_22", SOON))
        await adapter.close()
    (payload,) = parse_qs(address.query)["start"]
    assert (address.scheme, address.netloc) == ("https", "t.me")
    assert len(payload) <= 64

    (received,) = adapter.decode(_start(payload))
    assert received.message is not None
    content = received.message.content
    assert isinstance(content, Command)
    assert (content.link_kind, content.link_id) == ("continue", "tok-en_22")


@pytest.mark.parametrize("payload", ["continue:tok-en_22", "tok-en_22", "x" * 64])
async def test_a_payload_nobody_signed_is_no_link(payload: str) -> None:
    adapter = TelegramAdapter("main", TelegramSettings(token="1:x"))
    adapter.trusts_links_of(KEYS)
    (received,) = adapter.decode(_start(payload))
    await adapter.close()

    assert received.message is not None
    assert isinstance(received.message.content, Command)
    assert received.message.content.link_kind == ""
