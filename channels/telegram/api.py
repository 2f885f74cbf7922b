"""One Bot API call over aiohttp, its failures told by class. The token lives in the URL, so no URL ever leaves here.

Replies and set-up go through `telegram.Bot` on top of this (request.py); polling and bulk sending call it directly,
at a third of the CPU (docs/decisions/0007).
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import orjson

from bot.errors import (
    Misconfigured,
    NotFound,
    PayloadInvalid,
    RateLimited,
    RecipientUnreachable,
    SendRefused,
    ServiceError,
    ServiceUnavailable,
)
from channels.vendor_http import VendorHttp

SERVICE = "telegram"
DEFAULT_RETRY_AFTER_S = 5.0  # for a 429 that does not say
UPLOAD_EXTRA_S = 12.0  # with the time limit and the wait for rate tokens still below the lease of a claimed row

# A 400 that says the recipient is gone, not that our message is wrong. Wording: tdlib/telegram-bot-api, Client.cpp.
_GONE = ("chat not found", "user not found", "peer_id_invalid", "user_is_blocked", "user is deactivated", "kicked")

_TOKEN = re.compile(r"[0-9]+:[A-Za-z0-9_-]+")


class Conflict(ServiceUnavailable):
    """Another getUpdates runs for this bot, or a webhook is set (HTTP 409)."""

    def __init__(self, description: str) -> None:
        self.is_webhook = "webhook" in description.lower()
        super().__init__(SERVICE, "a webhook is set" if self.is_webhook else "another process polls this bot")


class ChatMigrated(SendRefused):
    """The group became a supergroup: the same chat now has `chat_id`."""

    def __init__(self, chat_id: int) -> None:
        super().__init__(SERVICE, "the group has a new id")
        self.chat_id = chat_id


class BotApi:
    """Calls of one bot. Connections are opened on first use and kept."""

    def __init__(self, base_url: str, token: str, *, timeout_s: float) -> None:
        """Raises: Misconfigured when the address is no http(s) URL or the token cannot be one."""
        self._http = VendorHttp(SERVICE, base_url, timeout_s=timeout_s)
        if not _TOKEN.fullmatch(token):
            raise Misconfigured(SERVICE, "the bot token is empty or malformed; copy it from @BotFather")
        self._prefix = f"/bot{token}/"
        self.timeout_s = timeout_s

    async def call(self, method: str, params: Mapping[str, Any], *, extra_wait_s: float = 0.0) -> Any:
        """The `result` of the answer. `extra_wait_s` is added to the time limit, for long polls.

        Raises: RateLimited, ServiceUnavailable (Conflict), RecipientUnreachable, SendRefused (ChatMigrated),
        Misconfigured.
        """
        status, body = await self.call_raw(method, params, extra_wait_s=extra_wait_s)
        return result_of(status, body)

    async def call_raw(self, method: str, params: Mapping[str, Any], *, extra_wait_s: float = 0.0) -> tuple[int, bytes]:
        """HTTP status and body as they came.

        Raises: SendRefused for what JSON cannot carry; ServiceUnavailable, which says whether it may have happened.
        """
        try:
            written = orjson.dumps(params)
        except TypeError:  # a number beyond 64 bits, half a surrogate pair
            written = b""
        if not written:
            raise SendRefused(SERVICE, "the call cannot be written as JSON")
        try:
            answer = await self._http.call("POST", self._prefix + method, body=written, extra_wait_s=extra_wait_s)
        except PayloadInvalid:
            raise ServiceUnavailable(SERVICE, "the answer is too long", happened="unknown") from None
        return answer.status, answer.body

    async def upload(
        self, method: str, fields: Mapping[str, str], files: Mapping[str, tuple[str, bytes, str]]
    ) -> tuple[int, bytes]:
        """As `call_raw`, with files (name of the part -> file name, content, MIME type) beside the written fields.

        Raises: ServiceUnavailable, which says whether it may have happened.
        """
        form = aiohttp.FormData(quote_fields=False)  # a name in Chinese is shown as it is
        for name, value in fields.items():
            form.add_field(name, value)
        for name, (file_name, content, mime) in files.items():
            # As a stream: bytes of this size would be written in one go, and everything else would wait.
            form.add_field(name, io.BytesIO(content), filename=file_name, content_type=mime)
        try:
            answer = await self._http.call(
                "POST", self._prefix + method, body=form, headers={}, extra_wait_s=UPLOAD_EXTRA_S
            )
        except PayloadInvalid:
            raise ServiceUnavailable(SERVICE, "the answer is too long", happened="unknown") from None
        return answer.status, answer.body

    async def download(self, path: str, *, max_bytes: int) -> tuple[bytes, str]:
        """A file's content, and its MIME type as the server says; `path` is ready for a URL.

        Raises: NotFound when it is gone, PayloadInvalid when it is longer than `max_bytes`, ServiceUnavailable.
        """
        answer = await self._http.call(
            "GET", f"/file{self._prefix}{path}", headers={}, max_bytes=max_bytes, extra_wait_s=UPLOAD_EXTRA_S
        )
        if answer.status == 200:
            return answer.body, answer.headers.get("Content-Type", "").partition(";")[0].strip()
        if answer.status in {400, 404, 410}:
            raise NotFound("Telegram does not have this file any more")
        raise error_of(answer.status, parsed(answer.body))

    async def clock_skew_s(self) -> float | None:
        """How far our clock is ahead of Telegram's, to about a second; None when its answer carries no date.

        Raises: ServiceUnavailable.
        """
        answer = await self._http.call("POST", f"{self._prefix}getMe", body=b"{}")
        try:
            theirs = parsedate_to_datetime(answer.headers.get("Date", ""))
        except ValueError:
            return None
        return (datetime.now(UTC) - theirs.astimezone(UTC)).total_seconds() if theirs.tzinfo else None

    async def close(self) -> None:
        await self._http.close()


def result_of(status: int, body: bytes) -> Any:
    """The `result` of a Bot API answer, or the error it stands for.

    A 5xx is `unknown`, save 501 and 503: proxies answer 502 and 504, and the server "500 … restart", for requests
    already handed on, and bots were seen to send twice by repeating them.
    """
    answer = parsed(body)
    if status == 200 and answer.get("ok") is True:
        return answer.get("result")
    raise error_of(status, answer)


def parsed(body: bytes) -> Mapping[str, Any]:
    """The JSON object of an answer; empty when it is none."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return answer if isinstance(answer, dict) else {}


def error_of(status: int, answer: Mapping[str, Any]) -> ServiceError:
    """What a parsed answer that is no success means; an empty one came from a proxy, not from the Bot API."""
    code, description, parameters = code_of(status, answer), _words(answer.get("description")), answer.get("parameters")
    parameters = parameters if isinstance(parameters, dict) else {}
    if code == 429:
        return RateLimited(SERVICE, retry_after_s=_retry_after(parameters.get("retry_after")))
    if code == 409:
        return Conflict(description)
    if code == 403:
        return unreachable(description)
    if code in {401, 404}:
        return unknown_token()
    if code == 400:
        moved_to = parameters.get("migrate_to_chat_id")
        return ChatMigrated(moved_to) if isinstance(moved_to, int) else refused(description)
    if 300 <= code < 500:
        return Misconfigured(SERVICE, f"unexpected HTTP status {code}; check api_base_url")
    if status == 200:
        return ServiceUnavailable(SERVICE, "answer was not readable", happened="unknown")
    return ServiceUnavailable(SERVICE, f"HTTP {code}", happened="no" if code in {501, 503} else "unknown")


def code_of(status: int, answer: Mapping[str, Any]) -> int:
    """The Bot API's own code where it gave one; a proxy's 429 counts whatever is written in it."""
    code = answer.get("error_code")
    return code if isinstance(code, int) and status != 429 else status


def refused(description: str) -> ServiceError:
    """A 400: the message is wrong, or whom it is for is gone."""
    gone = any(sign in description.lower() for sign in _GONE)
    return unreachable(description) if gone else SendRefused(SERVICE, _reason(description))


def unreachable(description: str) -> RecipientUnreachable:
    return RecipientUnreachable(SERVICE, _reason(description))


def unknown_token() -> Misconfigured:
    return Misconfigured(SERVICE, "the Bot API does not know this token or address")


def _retry_after(found: Any) -> float:
    if isinstance(found, int | float) and not isinstance(found, bool) and math.isfinite(found) and found >= 0:
        return float(found)
    return DEFAULT_RETRY_AFTER_S


def _words(found: Any) -> str:
    return found if isinstance(found, str) else ""


def _reason(description: str) -> str:
    """The vendor's words, shortened; they describe the request, never the customer's text."""
    return description[:200] or "refused without a reason"
