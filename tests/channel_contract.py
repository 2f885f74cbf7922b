"""The channels under contract: tests/contract/test_channel_*.py run on each. A new channel adds one to CHANNELS."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.routing import BaseRoute

from bot.errors import Misconfigured, RateLimited, RecipientUnreachable, SendRefused, ServiceError, ServiceUnavailable
from bot.ports import Inbox
from channels.base import ChannelAdapter
from channels.line.adapter import LineAdapter
from channels.telegram import TelegramAdapter, telegram_routes
from channels.web import WebAdapter
from channels.webhook import webhook_routes
from config.settings import LineSettings, TelegramSettings

OWN_PAYLOADS = Path(__file__).parent / "payloads"
GIVEN_PAYLOADS = Path(os.environ.get("FRONTDESK_TEST_DATA", "/nowhere")) / "payloads"
BODY_LIMIT = 10_000  # bytes, of the routes under test
NOWHERE = "http://127.0.0.1:9"  # the discard port: nobody listens

Answer = tuple[int, bytes]  # HTTP status and body of a vendor


@dataclass(frozen=True)
class Vendor:
    """What only the channel itself can say about its other side."""

    routes: Callable[[Mapping[str, Any], Inbox, int], Sequence[BaseRoute]]  # adapters, inbox, limit of a body
    sign: Callable[[bytes], Mapping[str, str]]  # headers that prove a body
    secrets: tuple[str, ...]  # must be in no error and no log line
    chat_id: str
    accepts: Answer  # how it says yes to a send
    # How it says no, and the class that must come of it; None: it counts as sent.
    refuses: Mapping[str, tuple[Answer, type[ServiceError] | None]]
    unreadable: tuple[bytes, ...] = (b"", b"{", b"7", b"[]", b"\xff\xfe{}", b"[" * 5000, b'{"a":1}')
    media_type: str = "application/json"


@dataclass(frozen=True)
class ChannelUnderTest:
    build: Callable[[str], Any]  # an adapter for account `main`, given the vendor's base address
    vendor: Vendor | None = None  # None: a direct channel, nothing is sent
    payloads: tuple[bytes, ...] = field(default=())

    @property
    def adapter(self) -> ChannelAdapter:
        adapter: ChannelAdapter = self.build(NOWHERE)
        return adapter


def payloads(channel: str) -> tuple[bytes, ...]:
    """Ours and the given ones."""
    return tuple(
        path.read_bytes()
        for folder in (OWN_PAYLOADS, GIVEN_PAYLOADS)
        for path in sorted((folder / channel).glob("*"))
        if not path.name.endswith(".key.json")
    )


# --- telegram -------------------------------------------------------------------------------------------------------

TELEGRAM_TOKEN, TELEGRAM_SECRET = "1000001:token-of-the-contract", "webhook-secret-of-the-contract"


def telegram(base_url: str) -> TelegramAdapter:
    settings = TelegramSettings(
        token=TELEGRAM_TOKEN, secret=TELEGRAM_SECRET, mode="webhook", api_base_url=base_url, timeout_s=0.5
    )
    return TelegramAdapter("main", settings)


def _telegram_says(status: int, description: str, **parameters: Any) -> Answer:
    answer = {"ok": False, "error_code": status, "description": description, "parameters": parameters}
    return status, json.dumps(answer).encode()


TELEGRAM = Vendor(
    routes=telegram_routes,
    sign=lambda body: {"X-Telegram-Bot-Api-Secret-Token": TELEGRAM_SECRET},
    secrets=(TELEGRAM_TOKEN, TELEGRAM_SECRET),
    chat_id="42",
    accepts=(200, b'{"ok":true,"result":{"message_id":7,"date":1,"chat":{"id":42,"type":"private"}}}'),
    refuses={
        "400": (_telegram_says(400, "Bad Request: message text is empty"), SendRefused),
        "401": (_telegram_says(401, "Unauthorized"), Misconfigured),
        "403": (_telegram_says(403, "Forbidden: bot was blocked by the user"), RecipientUnreachable),
        "409": (_telegram_says(409, "Conflict: terminated by other getUpdates request"), ServiceUnavailable),
        "429": (_telegram_says(429, "Too Many Requests: retry after 7", retry_after=7), RateLimited),
    },
)

# --- line -----------------------------------------------------------------------------------------------------------

LINE_SECRET, LINE_TOKEN = "channel-secret-of-the-contract", "access-token-of-the-contract"


def line(base_url: str) -> LineAdapter:
    settings = LineSettings(
        secret=LINE_SECRET, token=LINE_TOKEN, api_base_url=base_url, data_base_url=base_url, timeout_s=0.5
    )
    return LineAdapter("main", settings)


def sign_line(body: bytes) -> dict[str, str]:
    digest = hmac.new(LINE_SECRET.encode(), body, hashlib.sha256).digest()
    return {"X-Line-Signature": base64.b64encode(digest).decode()}


def line_routes(adapters: Mapping[str, Any], inbox: Inbox, limit: int) -> Sequence[BaseRoute]:
    return webhook_routes("line", adapters, inbox, limit, verify=LineAdapter.verify, stored=LineAdapter.remember)


def _line_says(status: int, message: str) -> Answer:
    return status, json.dumps({"message": message}).encode()


LINE = Vendor(
    routes=line_routes,
    sign=sign_line,
    secrets=(LINE_TOKEN, LINE_SECRET),
    chat_id="U" + "4" * 32,
    accepts=(200, b'{"sentMessages":[{"id":"461230966842064897","quoteToken":"q"}]}'),
    refuses={
        "400": (_line_says(400, "The request body has 1 error(s)"), SendRefused),
        "400 nobody": (_line_says(400, "Failed to send messages"), RecipientUnreachable),
        "401": (_line_says(401, "Authentication failed"), Misconfigured),
        "403": (_line_says(403, "Access to this API is not available for your account"), Misconfigured),
        "409": (_line_says(409, "The retry key is already accepted"), None),
        "429": (_line_says(429, "The API rate limit has been exceeded. Try again later."), RateLimited),
        "429 month": (_line_says(429, "You have reached your monthly limit."), Misconfigured),
    },
)

CHANNELS: dict[str, ChannelUnderTest] = {
    "telegram": ChannelUnderTest(telegram, TELEGRAM, payloads("telegram")),
    "web": ChannelUnderTest(lambda base_url: WebAdapter("main")),
    "line": ChannelUnderTest(line, LINE, payloads("line")),
}
WITH_VENDOR = {name: (each, each.vendor) for name, each in CHANNELS.items() if each.vendor is not None}
