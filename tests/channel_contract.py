"""The channels under contract: tests/contract/test_channel_*.py run on each. A new channel adds one to CHANNELS."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, cast

from starlette.routing import BaseRoute

from bot.errors import (
    Misconfigured,
    RateLimited,
    RecipientUnreachable,
    SendRefused,
    ServiceError,
    ServiceUnavailable,
    WindowClosed,
)
from bot.ports import ComposedReply, Inbox, Outbox, VendorToken
from bot.types import InboxId
from channels.base import ChannelAdapter
from channels.line.adapter import LineAdapter
from channels.telegram import TelegramAdapter, telegram_routes
from channels.tencent.crypto import Envelope, signature
from channels.tencent.xml import write_xml
from channels.web import WebAdapter
from channels.webhook import webhook_routes
from channels.wechat import WechatAdapter, wechat_routes
from channels.wechat.waiting import Waiting
from channels.wecom import KfAdapter, WecomAdapter, WecomConnection
from channels.wecom.callback import CallbackTarget, callback_routes
from config.settings import LineSettings, TelegramSettings, WechatSettings, WecomSettings

OWN_PAYLOADS = Path(__file__).parent / "payloads"
GIVEN_PAYLOADS = Path(os.environ.get("FRONTDESK_TEST_DATA", "/nowhere")) / "payloads"
BODY_LIMIT = 10_000  # bytes, of the routes under test
NOWHERE = "http://127.0.0.1:9"  # the discard port: nobody listens

Answer = tuple[int, bytes]  # HTTP status and body of a vendor


@dataclass(frozen=True)
class Delivery:
    """A payload as the vendor posts it: in its envelope, with what proves it."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Vendor:
    """What only the channel itself can say about its other side."""

    # Adapters, inbox, limit of a body. None: nothing is posted to us.
    routes: Callable[[Mapping[str, Any], Inbox, int], Sequence[BaseRoute]] | None
    deliver: Callable[[bytes], Delivery]  # the same for the same payload
    secrets: tuple[str, ...]  # must be in no error and no log line
    chat_id: str
    accepts: Answer  # how it says yes to a send
    # How it says no, and the class that must come of it; None: it counts as sent.
    refuses: Mapping[str, tuple[Answer, type[ServiceError] | None]]
    unreadable: tuple[bytes, ...] = (b"", b"{", b"7", b"[]", b"\xff\xfe{}", b"[" * 5000, b'{"a":1}')
    media_type: str = "application/json"
    gives_id: bool = True  # whether its yes names the message


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
        if path.is_file() and not path.name.endswith(".key.json")
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
    deliver=lambda body: Delivery(body, {"X-Telegram-Bot-Api-Secret-Token": TELEGRAM_SECRET}),
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


def deliver_line(body: bytes) -> Delivery:
    digest = hmac.new(LINE_SECRET.encode(), body, hashlib.sha256).digest()
    return Delivery(body, {"X-Line-Signature": base64.b64encode(digest).decode()})


def line_routes(adapters: Mapping[str, Any], inbox: Inbox, limit: int) -> Sequence[BaseRoute]:
    return webhook_routes("line", adapters, inbox, limit, verify=LineAdapter.verify, stored=LineAdapter.remember)


def _line_says(status: int, message: str) -> Answer:
    return status, json.dumps({"message": message}).encode()


LINE = Vendor(
    routes=line_routes,
    deliver=deliver_line,
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

# --- wecom and kf ---------------------------------------------------------------------------------------------------

WECOM_SECRET, WECOM_ACCESS = "corp-secret-of-the-contract", "access-token-of-the-contract"
WECOM_TOKEN, WECOM_KEY = "callbackTokenOfTheContract", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
BAD_XML = (b"", b"<xml>", b"{}", b"\xff\xfe<xml/>", b"<xml>" * 1000, b"<xml><MsgType/></xml>")


class OneToken:
    """Implements VendorTokens: a token that is good, so that a send is one call."""

    async def get_token(self, name: str) -> VendorToken:
        now = datetime.now(UTC)
        return VendorToken(WECOM_ACCESS, now - timedelta(seconds=60), now + timedelta(seconds=7000))

    async def lease_token(self, name: str, owner: str, lasts: timedelta) -> bool:
        return True

    async def put_token(self, name: str, owner: str, token: VendorToken) -> None:
        return None

    async def release_token(self, name: str, owner: str) -> None:
        return None


def _wecom_connection(base_url: str, **section: Any) -> WecomConnection:
    settings = WecomSettings.model_validate(
        {
            "corp_id": "ww1",
            "secret": WECOM_SECRET,
            "token": WECOM_TOKEN,
            "aes_key": WECOM_KEY,
            "api_base_url": base_url,
            "timeout_s": 0.5,
            **section,
        }
    )
    return WecomConnection("main", settings, tokens=OneToken())


def _wecom_says(code: int, message: str, **more: Any) -> Answer:
    return 200, json.dumps({"errcode": code, "errmsg": message, **more}).encode()


_WECOM_REFUSES: dict[str, tuple[Answer, type[ServiceError] | None]] = {
    "-1": (_wecom_says(-1, "system error"), ServiceUnavailable),
    "40058": (_wecom_says(40058, "invalid Request Parameter"), SendRefused),
    "45009": (_wecom_says(45009, "api freq out of limit"), RateLimited),
    "50002": (_wecom_says(50002, "the member is out of sight"), Misconfigured),
    "60020": (_wecom_says(60020, "not allow to access from your ip"), Misconfigured),
    "99999": (_wecom_says(99999, "an error of next year"), SendRefused),
}


@cache
def deliver_wecom(body: bytes) -> Delivery:
    sealed = Envelope("wecom", WECOM_KEY, "ww1").seal(body)
    return Delivery(write_xml({"ToUserName": "ww1", "Encrypt": sealed}), query=signed(WECOM_TOKEN, sealed))


def signed(token: str, sealed: str = "") -> dict[str, str]:
    """How Tencent's vendors prove a request: `signature` and, over something encrypted, `msg_signature`."""
    stamp, nonce = str(int(time.time())), secrets.token_hex(8)
    proof = {"timestamp": stamp, "nonce": nonce}
    if sealed:
        return {**proof, "msg_signature": signature(token, stamp, nonce, sealed)}
    return {**proof, "signature": signature(token, stamp, nonce)}


def wecom_routes(adapters: Mapping[str, Any], inbox: Inbox, limit: int) -> Sequence[BaseRoute]:
    targets = {account: CallbackTarget(adapter.connection, adapter) for account, adapter in adapters.items()}
    return callback_routes(targets, inbox, limit)


WECOM = Vendor(
    routes=wecom_routes,
    deliver=deliver_wecom,
    unreadable=BAD_XML,
    media_type="text/xml",
    secrets=(WECOM_SECRET, WECOM_ACCESS),
    chat_id="lisi",
    accepts=_wecom_says(0, "ok", msgid="m1"),
    refuses={
        **_WECOM_REFUSES,
        "81013": (_wecom_says(81013, "user & party & tag all invalid"), RecipientUnreachable),
        "invaliduser": (_wecom_says(0, "ok", invaliduser="lisi"), RecipientUnreachable),
        "unlicenseduser": (_wecom_says(0, "ok", unlicenseduser="lisi"), RecipientUnreachable),
    },
)
KF = Vendor(
    routes=None,
    deliver=Delivery,
    secrets=(WECOM_SECRET, WECOM_ACCESS),
    chat_id="wm1",
    accepts=_wecom_says(0, "ok", msgid="m1"),
    refuses={
        **_WECOM_REFUSES,
        "95001": (_wecom_says(95001, "send msg count limit"), WindowClosed),
        "95002": (_wecom_says(95002, "send msg out of time"), WindowClosed),
        "95013": (_wecom_says(95013, "conversation end"), WindowClosed),
        "95017": (_wecom_says(95017, "the API is switched off"), Misconfigured),
        "used msgid": (_wecom_says(40058, "msgid duplicated"), None),
    },
)

# --- wechat ---------------------------------------------------------------------------------------------------------

WECHAT_SECRET, WECHAT_TOKEN = "app-secret-of-the-contract", "tokenOfTheContract"


def wechat(base_url: str) -> WechatAdapter:
    settings = WechatSettings(
        app_id="wx1",
        app_secret=WECHAT_SECRET,
        token=WECHAT_TOKEN,
        aes_key="abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG",
        api_base_url=base_url,
        timeout_s=0.5,
    )
    return WechatAdapter("main", settings, tokens=OneToken())


class NobodyReplies:
    """In place of channels.wechat.waiting.Waiting: no turn ends in time."""

    async def reply(self, inbox_id: InboxId, compose: Any, within_s: float, **_: Any) -> ComposedReply:
        return ComposedReply(b"")


def wechat_webhook(adapters: Mapping[str, Any], inbox: Inbox, limit: int) -> Sequence[BaseRoute]:
    no_outbox, nobody = cast("Outbox", None), cast("Waiting", NobodyReplies())
    return wechat_routes(adapters, inbox, no_outbox, nobody, limit)


@cache
def deliver_wechat(body: bytes) -> Delivery:
    return Delivery(body, query=signed(WECHAT_TOKEN))


WECHAT = Vendor(
    routes=wechat_webhook,
    deliver=deliver_wechat,
    unreadable=BAD_XML,
    media_type="text/xml",
    secrets=(WECHAT_SECRET, WECHAT_TOKEN, WECOM_ACCESS),
    chat_id="o1",
    accepts=_wecom_says(0, "ok"),
    gives_id=False,
    refuses={
        "-1": (_wecom_says(-1, "system error"), ServiceUnavailable),
        "40125": (_wecom_says(40125, "invalid appsecret"), Misconfigured),
        "40164": (_wecom_says(40164, "invalid ip, not in whitelist"), Misconfigured),
        "61004": (_wecom_says(61004, "access clientip is not registered"), Misconfigured),
        "42010": (_wecom_says(42010, "masssend fast, retry again"), RateLimited),
        "43004": (_wecom_says(43004, "require subscribe"), RecipientUnreachable),
        "45009": (_wecom_says(45009, "reach max api daily quota limit"), RateLimited),
        "45011": (_wecom_says(45011, "api minute-quota reach limit"), RateLimited),
        "45015": (_wecom_says(45015, "response out of time limit"), WindowClosed),
        "45047": (_wecom_says(45047, "out of response count limit"), WindowClosed),
        "48001": (_wecom_says(48001, "api unauthorized"), Misconfigured),
        "99999": (_wecom_says(99999, "an error of next year"), SendRefused),
    },
)

CHANNELS: dict[str, ChannelUnderTest] = {
    "telegram": ChannelUnderTest(telegram, TELEGRAM, payloads("telegram")),
    "web": ChannelUnderTest(lambda base_url: WebAdapter("main")),
    "line": ChannelUnderTest(line, LINE, payloads("line")),
    "wechat": ChannelUnderTest(wechat, WECHAT, payloads("wechat")),
    "wecom": ChannelUnderTest(
        lambda base_url: WecomAdapter(_wecom_connection(base_url, agent_id=1)), WECOM, payloads("wecom")
    ),
    "kf": ChannelUnderTest(
        lambda base_url: KfAdapter(_wecom_connection(base_url, kf=True)),
        KF,
        (*payloads("kf"), *payloads("wecom/kf_api")),
    ),
}
WITH_VENDOR = {name: (each, each.vendor) for name, each in CHANNELS.items() if each.vendor is not None}
WITH_WEBHOOK = [name for name, (_, vendor) in WITH_VENDOR.items() if vendor.routes is not None]
