"""One JSON call to WeChat or WeCom over aiohttp, its failures told by class.

The access token (and, while fetching one, the secret) travels in the URL: no URL and no aiohttp error leaves here.
"""

from __future__ import annotations

import math
import urllib.parse
import urllib.request
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

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
    WindowClosed,
)
from channels.tencent.tokens import TokenService, utc_now

T = TypeVar("T")

MAX_ANSWER_BYTES = 8_000_000  # of JSON; 10,000 openids of a page are below 400 kB
TOKEN_REFUSED = frozenset({40001, 40014, 42001})  # fetch another one and repeat: nothing was done
_BEIJING = timezone(timedelta(hours=8))  # quotas start anew at its midnight; it has no summer time
_MINUTE_S = 60.0


class _Quota:
    """Used up until Beijing's midnight."""


class _Minute:
    """Too many in this minute."""


class _Busy:
    """The vendor says it was not carried out and may be tried again."""


QUOTA, MINUTE, BUSY = _Quota(), _Minute(), _Busy()

# What an errcode means: an error class; or one of the three above; or, for Misconfigured, what to do about it.
Meaning = type[WindowClosed] | type[RecipientUnreachable] | type[SendRefused] | type[NotFound] | str
Meanings = Mapping[int, "Meaning | _Quota | _Minute | _Busy"]

# Valid for both vendors. Source: developers.weixin.qq.com and developer.work.weixin.qq.com, "全局错误码"
# (checked 2026-11). A code in no table is SendRefused: read, and not accepted.
COMMON: Meanings = {
    -1: BUSY,
    40001: "the secret or the access token is wrong",
    40013: "the app id or corp id is wrong",
    40014: "the access token is wrong",
    40125: "the secret is wrong; copy it again from the vendor's console",
    40164: "this server's address is not on the vendor's IP allow-list: add it there",
    42001: "the access token is over",
    45009: QUOTA,
    45011: MINUTE,
    48001: "this account may not use this interface: it is not verified, or the permission was not granted",
    50002: "the account is frozen",
    61024: "use of the secret was switched off in the vendor's console",
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
        parts = urllib.parse.urlsplit(base_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise Misconfigured(service, "api_base_url must be an http or https address")
        self.service, self._base, self._timeout_s, self._now = service, base_url.rstrip("/"), timeout_s, now
        self._meanings: Meanings = {**COMMON, **meanings}
        # Read once: aiohttp's trust_env looks through the environment and ~/.netrc on every request.
        proxies = {} if urllib.request.proxy_bypass(parts.hostname) else urllib.request.getproxies()
        self._proxy = proxies.get(parts.scheme)
        self._session: aiohttp.ClientSession | None = None

    async def call(
        self,
        path: str,
        payload: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        tokens: TokenService | None = None,
    ) -> Answer:
        """A POST of `payload`, or a GET where there is none. With `tokens` the call carries the access token, and is
        repeated once with another when the vendor refuses it.

        Raises: RateLimited, ServiceUnavailable, RecipientUnreachable, WindowClosed, SendRefused, NotFound,
        Misconfigured.
        """
        written = None if payload is None else self._json(payload)
        headers = {"Content-Type": "application/json"}

        async def once(access: Mapping[str, str]) -> Answer:
            status, body, received = await self._exchange(path, {**(query or {}), **access}, written, headers)
            return self._answer(status, body, received)

        return await self._with_token(once, tokens)

    async def upload(self, path: str, file: File, *, query: Mapping[str, str], tokens: TokenService) -> Answer:
        """`file` was posted as the form field `media`. Raises what `call` raises."""

        async def once(access: Mapping[str, str]) -> Answer:
            form = aiohttp.FormData(quote_fields=False)
            mime = file.mime or "application/octet-stream"
            form.add_field("media", file.content, filename=_file_name(file.name), content_type=mime)
            status, body, received = await self._exchange(path, {**query, **access}, form, {})
            return self._answer(status, body, received)

        return await self._with_token(once, tokens)

    async def download(self, path: str, *, query: Mapping[str, str], tokens: TokenService, max_bytes: int) -> File:
        """The file the vendor gives for this query.

        Raises: PayloadInvalid when it is longer than `max_bytes`, and what `call` raises.
        """

        async def once(access: Mapping[str, str]) -> File:
            status, body, received = await self._exchange(path, {**query, **access}, None, {}, max_bytes=max_bytes)
            mime = received.get("Content-Type", "").partition(";")[0].strip().lower()
            if status != 200 or mime in {"application/json", "text/plain"}:
                url = self._answer(status, body, received).fields.get("video_url")  # a video's answer is its address
                if isinstance(url, str) and url.startswith(("http://", "https://")):
                    return await self._plain_file(url, max_bytes)
                raise ServiceUnavailable(self.service, "the answer holds no file", happened="no")
            return File(body, mime, _disposition_name(received.get("Content-Disposition", "")))

        return await self._with_token(once, tokens)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

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
        body: bytes | aiohttp.FormData | None,
        headers: Mapping[str, str],
        *,
        max_bytes: int = MAX_ANSWER_BYTES,
    ) -> tuple[int, bytes, Mapping[str, str]]:
        """Status, body and headers as they came.

        Raises: PayloadInvalid for an answer longer than `max_bytes`; ServiceUnavailable, which says whether the call
        may have been carried out.
        """
        return await self._request(f"{self._base}{path}", query, body, headers, max_bytes)

    async def _plain_file(self, url: str, max_bytes: int) -> File:
        status, body, received = await self._request(url, {}, None, {}, max_bytes)
        if status != 200:
            raise ServiceUnavailable(self.service, f"HTTP {status} for a file", happened="no")
        return File(body, received.get("Content-Type", "").partition(";")[0].strip().lower())

    async def _request(
        self,
        url: str,
        query: Mapping[str, str],
        body: bytes | aiohttp.FormData | None,
        headers: Mapping[str, str],
        max_bytes: int,
    ) -> tuple[int, bytes, Mapping[str, str]]:
        failure: ServiceUnavailable
        try:
            async with self._open().request(
                "GET" if body is None else "POST",
                url,
                params=query,
                data=body,
                headers=headers,
                proxy=self._proxy,
                allow_redirects=False,  # a redirect would carry the token to another address
            ) as response:
                return response.status, await _whole_body(response, max_bytes), response.headers
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as exc:
            failure = ServiceUnavailable(self.service, f"no connection ({type(exc).__name__})", happened="no")
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as exc:
            failure = ServiceUnavailable(self.service, f"no answer ({type(exc).__name__})", happened="unknown")
        # Raised out here so that no aiohttp exception, which may hold the URL, hangs on it as its context.
        raise failure

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=100, ttl_dns_cache=60),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=self._timeout_s, sock_connect=min(self._timeout_s, 5.0)),
            )
        return self._session

    # --- what an answer means ---------------------------------------------------------------------------------------

    def _json(self, payload: Mapping[str, Any]) -> bytes:
        """In UTF-8 with nothing escaped: WeChat shows \\u escapes as they are."""
        try:
            return orjson.dumps(payload)
        except TypeError:  # half a surrogate pair, a number beyond 64 bits
            raise SendRefused(self.service, "the call cannot be written as JSON") from None

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> Answer:
        if status != 200:
            if 300 <= status < 500 and status not in {408, 425, 429}:
                raise Misconfigured(self.service, f"unexpected HTTP status {status}; check api_base_url")
            if status == 429:
                raise RateLimited(self.service, retry_after_s=_MINUTE_S)
            happened = "no" if status in {501, 503} else "unknown"
            raise ServiceUnavailable(self.service, f"HTTP {status}", happened=happened)  # type: ignore[arg-type]  # a Literal
        try:
            fields = orjson.loads(body)
        except orjson.JSONDecodeError:
            fields = None
        code = fields.get("errcode", 0) if isinstance(fields, dict) else None
        if not isinstance(code, int) or isinstance(code, bool):
            raise ServiceUnavailable(self.service, "the answer was not readable", happened="unknown")
        if code:
            raise self.error_of(code, fields.get("errmsg"))
        return Answer(fields, _served_at(headers))

    def error_of(self, code: int, message: Any) -> ServiceError | NotFound:
        """What the vendor's errcode stands for. `message` is the vendor's; it describes the call, never its words."""
        said = f"{code} {message[:160]}" if isinstance(message, str) and message else str(code)
        meaning = self._meanings.get(code, SendRefused)
        if code in TOKEN_REFUSED:
            return _TokenRefused(self.service, said)
        if isinstance(meaning, str):
            return Misconfigured(self.service, f"{meaning} ({said})")
        if isinstance(meaning, _Quota):
            return RateLimited(self.service, retry_after_s=_until_midnight_s(self._now()))
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


async def _whole_body(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    """All of it: `content.read(n)` would stop at what has arrived. Raises: PayloadInvalid beyond the limit."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > max_bytes:
            raise PayloadInvalid("the vendor's answer is too long")
    return bytes(body)


def _file_name(name: str) -> str:
    """Something that cannot break out of the header it stands in; the vendor looks at the ending."""
    return "".join(char for char in name if char.isprintable() and char not in '"\\/')[-100:] or "file"


def _disposition_name(header: str) -> str:
    _, found, name = header.partition("filename=")
    return name.strip().strip('"')[:200] if found else ""
