"""One JSON call to WeChat or WeCom, its failures told by class.

The access token (and, while fetching one, the secret) travels in the URL: no URL leaves here.
"""

from __future__ import annotations

import math
import re
import secrets
import urllib.parse
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

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
    WindowClosed,
)
from channels.fields import read_json
from channels.tencent.tokens import TokenService, utc_now
from channels.vendor_http import JSON, VendorHttp
from channels.vendor_http import Answer as HttpAnswer

T = TypeVar("T")

MAX_ANSWER_BYTES = 8_000_000  # of JSON; 10,000 openids of a page are below 400 kB
TOKEN_REFUSED = frozenset({40001, 40014, 42001})  # fetch another one and repeat: nothing was done
_BEIJING = timezone(timedelta(hours=8))  # quotas start anew at its midnight; it has no summer time
_MINUTE_S = 60.0
_MAX_REFUSAL = 10_000  # bytes
_MIME = re.compile(r"[a-z]+/[a-zA-Z0-9.+-]+")


class _Quota:
    """Used up until Beijing's midnight."""


class _Minute:
    """Too many in this minute."""


class _Busy:
    """The vendor says that it is busy and to try again. That nothing was done is our reading of it."""


QUOTA, MINUTE, BUSY = _Quota(), _Minute(), _Busy()

# What an errcode means: an error class; or one of the three above; or, for Misconfigured, what to do about it.
Meaning = type[WindowClosed] | type[RecipientUnreachable] | type[SendRefused] | type[NotFound] | str
Meanings = Mapping[int, "Meaning | _Quota | _Minute | _Busy"]

# What both vendors mean alike. Others differ (40125 is a wrong secret at WeChat, a wrong open_userid at WeCom) and
# belong into a vendor's own table. Sources: developers.weixin.qq.com, "通用错误码"; developer.work.weixin.qq.com,
# documents 90313 and 90455 "全局错误码" (checked 2026-11 against public copies of both lists).
# A code in no table is SendRefused: read, and not accepted.
COMMON: Meanings = {
    -1: BUSY,
    40001: "the secret or the access token is wrong",
    40013: "the app id or corp id is wrong",
    40014: "the access token is wrong",
    42001: "the access token is over",
    48001: "this account may not use this interface: it is not verified, or the permission was not granted",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer. `served_at` is the vendor's clock, from its Date header."""

    fields: Mapping[str, Any]
    served_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class File:
    content: bytes
    mime: str = ""
    name: str = ""


class JsonApi:
    """Calls to one base address. Connections are opened on first use and kept."""

    def __init__(
        self,
        service: str,
        base_url: str,
        *,
        timeout_s: float,
        meanings: Meanings,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        """Raises: Misconfigured when the address is no http(s) URL."""
        self.service, self._timeout_s, self._now = service, timeout_s, now
        self._meanings: Meanings = {**COMMON, **meanings}
        self._http = VendorHttp(service, base_url, timeout_s=timeout_s)

    async def call(
        self,
        path: str,
        payload: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        tokens: TokenService | None = None,
        accept: Collection[int] = (),
    ) -> Answer:
        """A POST of `payload`, or a GET where there is none. With `tokens` the call carries the access token, and is
        repeated once with another when the vendor refuses it. `accept`: errcodes that are an answer like any other.

        Raises: RateLimited, ServiceUnavailable, RecipientUnreachable, WindowClosed, SendRefused, NotFound,
        Misconfigured.
        """
        written = None if payload is None else self._json(payload)

        async def once(access: Mapping[str, str]) -> Answer:
            return self._answer(await self._exchange(path, {**(query or {}), **access}, written), accept)

        return await self._with_token(once, tokens)

    async def upload(self, path: str, file: File, *, query: Mapping[str, str], tokens: TokenService) -> Answer:
        """`file` was posted as the form field `media`. Raises what `call` raises."""

        boundary = secrets.token_hex(16)
        mime = file.mime if _MIME.fullmatch(file.mime) else "application/octet-stream"
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="media"; filename="{_file_name(file.name)}"\r\n'
            f"Content-Type: {mime}\r\n\r\n"
        )
        form = head.encode() + file.content + f"\r\n--{boundary}--\r\n".encode()
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}

        async def once(access: Mapping[str, str]) -> Answer:
            return self._answer(await self._exchange(path, {**query, **access}, form, headers))

        return await self._with_token(once, tokens)

    async def download(self, path: str, *, query: Mapping[str, str], tokens: TokenService, max_bytes: int) -> File:
        """The file the vendor gives for this query.

        Raises: PayloadInvalid when it is longer than `max_bytes`, and what `call` raises.
        """

        async def once(access: Mapping[str, str]) -> File:
            # A refusal is longer than a very short limit.
            answer = await self._exchange(path, {**query, **access}, None, max_bytes=max(max_bytes, _MAX_REFUSAL))
            mime = _mime(answer)
            if answer.status != 200 or mime in {"application/json", "text/plain"}:
                url = self._answer(answer).fields.get("video_url")  # a video's answer is its address
                if isinstance(url, str) and url.startswith(("http://", "https://")):
                    return await self._plain_file(url, max_bytes)
                raise ServiceUnavailable(self.service, "the answer holds no file", happened="no")
            if len(answer.body) > max_bytes:
                raise PayloadInvalid(f"the file is longer than {max_bytes} bytes")
            return File(answer.body, mime, _disposition_name(answer.headers.get("Content-Disposition", "")))

        return await self._with_token(once, tokens)

    async def close(self) -> None:
        await self._http.close()

    # --- one exchange -----------------------------------------------------------------------------------------------

    async def _with_token(self, once: Callable[[Mapping[str, str]], Awaitable[T]], tokens: TokenService | None) -> T:
        if tokens is None:
            return await once({})
        token = await tokens.get()
        try:
            return await once({"access_token": token})
        except _TokenRefused:
            token = await tokens.replace(token)
        try:
            return await once({"access_token": token})
        except _TokenRefused as again:
            raise Misconfigured(self.service, again.reason) from None

    async def _exchange(
        self,
        path: str,
        query: Mapping[str, str],
        body: bytes | None,
        headers: Mapping[str, str] = JSON,
        *,
        max_bytes: int = MAX_ANSWER_BYTES,
    ) -> HttpAnswer:
        method = "GET" if body is None else "POST"
        where = f"{path}?{urllib.parse.urlencode(query)}" if query else path
        return await self._http.call(method, where, body=body, headers=headers, max_bytes=max_bytes)

    async def _plain_file(self, url: str, max_bytes: int) -> File:
        elsewhere = VendorHttp(self.service, url, timeout_s=self._timeout_s)
        try:
            answer = await elsewhere.call("GET", "", headers={}, max_bytes=max_bytes)
        finally:
            await elsewhere.close()
        if answer.status != 200:
            raise ServiceUnavailable(self.service, f"HTTP {answer.status} for a file", happened="no")
        return File(answer.body, _mime(answer))

    # --- what an answer means ---------------------------------------------------------------------------------------

    def _json(self, payload: Mapping[str, Any]) -> bytes:
        """In UTF-8 with nothing escaped: WeChat shows \\u escapes as they are."""
        try:
            return orjson.dumps(payload)
        except TypeError:  # half a surrogate pair, a number beyond 64 bits
            raise SendRefused(self.service, "the call cannot be written as JSON") from None

    def _answer(self, answer: HttpAnswer, accept: Collection[int] = ()) -> Answer:
        status = answer.status
        if status == 429:
            raise RateLimited(self.service, retry_after_s=_MINUTE_S)
        if 300 <= status < 500:
            raise Misconfigured(self.service, f"unexpected HTTP status {status}; check api_base_url")
        if status != 200:
            # 502 and 504 are proxies' words for calls already handed on.
            raise ServiceUnavailable(
                self.service, f"HTTP {status}", happened="no" if status in {501, 503} else "unknown"
            )
        try:
            fields = read_json(answer.body)  # one customer's half emoji must not hide everybody's messages
        except PayloadInvalid:
            fields = None
        code = fields.get("errcode", 0) if isinstance(fields, dict) else None
        if not isinstance(code, int) or isinstance(code, bool):
            raise ServiceUnavailable(self.service, "the answer was not readable", happened="unknown")
        if code and code not in accept:
            raise self.error_of(code, fields.get("errmsg"))
        return Answer(fields, _served_at(answer.headers))

    def error_of(self, code: int, message: Any) -> ServiceError | NotFound:
        """What the vendor's errcode stands for. `message` is the vendor's; it describes the call, never its words."""
        said = f"{code} {message[:160]}" if isinstance(message, str) and message else str(code)
        meaning = self._meanings.get(code, SendRefused)
        if code in TOKEN_REFUSED:
            return _TokenRefused(self.service, said)
        if isinstance(meaning, str):
            return Misconfigured(self.service, f"{meaning} ({said})")
        if isinstance(meaning, _Quota):
            return RateLimited(self.service, retry_after_s=_until_midnight_s(self._now()), is_quota=True)
        if isinstance(meaning, _Minute):
            return RateLimited(self.service, retry_after_s=_MINUTE_S)
        if isinstance(meaning, _Busy):
            return ServiceUnavailable(self.service, said, happened="no")
        if meaning is NotFound:
            return NotFound(f"{self.service}: {said}")
        return meaning(self.service, said)


class _TokenRefused(Misconfigured):
    """The access token is not (or no longer) good; nothing was done."""


def _until_midnight_s(now: datetime) -> float:
    there = now.astimezone(_BEIJING)
    midnight = (there + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return math.ceil((midnight - there).total_seconds()) + 1.0


def _served_at(headers: Mapping[str, str]) -> datetime | None:
    try:
        return parsedate_to_datetime(headers.get("Date", ""))
    except (TypeError, ValueError):
        return None


def _mime(answer: HttpAnswer) -> str:
    return answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def _file_name(name: str) -> str:
    """Something that cannot break out of the header it stands in; the vendor looks at the ending."""
    return "".join(char for char in name if char.isprintable() and char not in '"\\/')[-100:] or "file"


def _disposition_name(header: str) -> str:
    _, found, name = header.partition("filename=")
    return name.strip().strip('"')[:200] if found else ""
