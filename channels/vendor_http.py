"""One HTTP call to a vendor over aiohttp: what is lost on the way is told by class, and no address leaves here."""

from __future__ import annotations

import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson
import structlog

from bot.errors import (
    Misconfigured,
    NotFound,
    PayloadInvalid,
    RateLimited,
    SendRefused,
    ServiceError,
    ServiceUnavailable,
)
from channels.base import FetchedFile
from channels.fields import Fields, write_json

log = structlog.get_logger()

MAX_ANSWER_BYTES = 20_000_000  # 100 updates of a Telegram long poll stay far below
JSON = {"Content-Type": "application/json"}
DEFAULT_RETRY_AFTER_S = 5.0  # for a 429 that does not say
LONGEST_RETRY_AFTER_S = 3600.0


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    headers: Mapping[str, str]

    def fields(self) -> Fields:
        """The JSON object of the body; empty when it is none."""
        try:
            found = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return {}
        return found if isinstance(found, dict) else {}


def error_of(service: str, answer: Answer, told: str = "") -> ServiceError:
    """What a status that is no success means where the vendor has no rule of its own; `told` are its words about the
    request, never a customer's.

    A 5xx may come from a proxy for a request already handed on, so what became of it is unknown.
    """
    status, told = answer.status, told[:200] or f"HTTP {answer.status}"
    if status == 429:
        asked = answer.headers.get("Retry-After", "")
        wait_s = min(float(asked), LONGEST_RETRY_AFTER_S) if asked.isdecimal() else DEFAULT_RETRY_AFTER_S
        return RateLimited(service, retry_after_s=wait_s)
    if status == 401:
        return Misconfigured(service, "the token is not valid")
    if status in {400, 409, 410, 413, 415, 422}:
        return SendRefused(service, told)
    if 300 <= status < 500:
        return Misconfigured(service, f"{told}; check api_base_url and permissions")
    return ServiceUnavailable(service, f"HTTP {status}", happened="unknown")


class VendorHttp:
    """Calls below one base address. Connections are opened on first use and kept."""

    def __init__(
        self, service: str, base_url: str, *, timeout_s: float, headers: Mapping[str, str] | None = None
    ) -> None:
        """`headers` go with every call. Raises: Misconfigured when the address is no http(s) URL or a header none."""
        parts = urllib.parse.urlsplit(base_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise Misconfigured(service, "api_base_url must be an http or https address")
        self._headers = dict(headers or {})
        if not all(value.isascii() and value.isprintable() for value in self._headers.values()):
            raise Misconfigured(service, "the token holds characters that no token has")
        self._service, self._prefix, self.timeout_s = service, base_url.rstrip("/"), timeout_s
        # Read once: aiohttp's trust_env looks through the environment and ~/.netrc on every request.
        proxies = {} if urllib.request.proxy_bypass(parts.hostname) else urllib.request.getproxies()
        self._proxy = proxies.get(parts.scheme)
        self._session: aiohttp.ClientSession | None = None

    async def ask(
        self, method: str, path: str, document: Any = None, *, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """`call` with `document` as JSON. Raises: ServiceUnavailable."""
        body = None if document is None else write_json(document)
        try:
            return await self.call(method, path, body=body, headers={**JSON, **(headers or {})})
        except PayloadInvalid:
            raise ServiceUnavailable(self._service, "the answer is too long", happened="unknown") from None

    async def courtesy(self, path: str, document: Any) -> None:
        """A POST whose failure nobody need know of. Never raises a ServiceError."""
        try:
            await self.ask("POST", path, document)
        except ServiceError as exc:
            log.info("courtesy_failed", service=self._service, error=type(exc).__name__)

    async def fetch(self, path: str, *, max_bytes: int) -> FetchedFile:
        """A customer's file, as `channels.base.FetchesMedia` promises it."""
        answer = await self.call("GET", path, headers={}, max_bytes=max_bytes)
        if answer.status == 200:
            return FetchedFile(answer.body, answer.headers.get("Content-Type", ""))
        if answer.status in {400, 404, 410}:
            raise NotFound(f"{self._service} has no such file any more")
        raise error_of(self._service, answer)

    async def call(
        self,
        method: str,
        path: str,
        *,
        body: bytes | aiohttp.FormData | None = None,
        headers: Mapping[str, str] = JSON,
        extra_wait_s: float = 0.0,
        max_bytes: int = MAX_ANSWER_BYTES,
    ) -> Answer:
        """Whatever the vendor answered. `extra_wait_s` is added to the time limit, for long polls and uploads.

        A form names its own content type: give it no `headers`.

        Raises: ServiceUnavailable, which says whether the call may have been carried out; PayloadInvalid for an answer
        longer than `max_bytes`.
        """
        timeout = aiohttp.ClientTimeout(
            total=self.timeout_s + extra_wait_s, sock_connect=min(self.timeout_s, 5.0), connect=self.timeout_s
        )
        failure: ServiceUnavailable
        try:
            async with self._open().request(
                method,
                self._prefix + path,
                data=body,
                headers={**self._headers, **headers},
                timeout=timeout,
                proxy=self._proxy,
                allow_redirects=False,  # a redirect would carry the token to another address
            ) as response:
                return Answer(response.status, await _whole_body(response, max_bytes), response.headers)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as exc:
            failure = ServiceUnavailable(self._service, f"no connection ({type(exc).__name__})", happened="no")
        except (TimeoutError, aiohttp.ClientError, OSError) as exc:
            failure = ServiceUnavailable(self._service, f"no answer ({type(exc).__name__})", happened="unknown")
        # Raised out here so that no aiohttp exception, which may hold the URL, hangs on it as its context.
        raise failure

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=100, ttl_dns_cache=60),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=True,
            )
        return self._session


async def _whole_body(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    """All of it: `content.read(n)` would stop at what has arrived. Raises: PayloadInvalid beyond `max_bytes`."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > max_bytes:
            raise PayloadInvalid(f"the answer is longer than {max_bytes} bytes")
    return bytes(body)
