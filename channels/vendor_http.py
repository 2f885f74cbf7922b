"""One HTTP call to a vendor over aiohttp: what is lost on the way is told by class, and no address leaves here."""

from __future__ import annotations

import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
import orjson

from bot.errors import Misconfigured, PayloadInvalid, ServiceUnavailable

MAX_ANSWER_BYTES = 20_000_000  # 100 updates of a Telegram long poll stay far below
JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    headers: Mapping[str, str]

    def fields(self) -> Mapping[str, object]:
        """The JSON object of the body; empty when it is none."""
        try:
            found = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return {}
        return found if isinstance(found, dict) else {}


class VendorHttp:
    """Calls below one base address. Connections are opened on first use and kept."""

    def __init__(self, service: str, base_url: str, *, timeout_s: float) -> None:
        """Raises: Misconfigured when the address is no http(s) URL."""
        parts = urllib.parse.urlsplit(base_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise Misconfigured(service, "api_base_url must be an http or https address")
        self._service, self._prefix, self.timeout_s = service, base_url.rstrip("/"), timeout_s
        # Read once: aiohttp's trust_env looks through the environment and ~/.netrc on every request.
        proxies = {} if urllib.request.proxy_bypass(parts.hostname) else urllib.request.getproxies()
        self._proxy = proxies.get(parts.scheme)
        self._session: aiohttp.ClientSession | None = None

    async def call(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] = JSON,
        extra_wait_s: float = 0.0,
        max_bytes: int = MAX_ANSWER_BYTES,
    ) -> Answer:
        """Whatever the vendor answered. `extra_wait_s` is added to the time limit, for long polls.

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
                headers=headers,
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
