"""HTTP around the web routes: origin, method, size and type are checked before a body is looked at; refusals are JSON.

Plain ASGI rather than Starlette's request and response objects: posting a message is the hot path of the channel.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import structlog
from starlette.types import Receive, Scope, Send

from bot.errors import BotError, DedupeMismatch, FileRefused, RateLimited, ServiceError
from channels.web.wire import Refused
from config.settings import WebSettings

log = structlog.get_logger()

Headers = list[tuple[bytes, bytes]]

JSON_HEADERS: Headers = [
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
]
_PREFLIGHT: Headers = [
    (b"access-control-allow-headers", b"authorization, content-type, last-event-id, x-upload-id, x-file-name"),
    (b"access-control-max-age", b"7200"),  # Chromium keeps a preflight for two hours at most
]
_RETRY_AFTER_S = 2
_FILE_STATUS = {"too_large": 413, "kind": 415, "too_many": 429}
# A body that is too large is still read up to here, thrown away: a client that is cut off while it writes may never
# read the refusal.
MAX_DISCARDED = 8_000_000


class Origins:
    """Which pages may talk to an account: our own, and the ones its settings name (`*` for any)."""

    def __init__(self, allowed: Sequence[str], public_url: str = "") -> None:
        self._any = "*" in allowed
        self._allowed = {_normal_origin(origin) for origin in (*allowed, *([public_url] if public_url else []))}

    def allows(self, origin: bytes, host: bytes) -> bool:
        """True for a request without Origin (no browser), from our own page, or from an allowed one.

        Our own is told by the host alone: behind a proxy that ends TLS we do not know the scheme.
        """
        if not origin or self._any:
            return True
        text = origin.decode("latin-1").lower()
        scheme, _, netloc = text.partition("://")
        return (scheme in ("http", "https") and netloc.encode("latin-1") == host.lower()) or text in self._allowed


def _normal_origin(url: str) -> str:
    parts = urlsplit(url.strip().lower())
    return f"{parts.scheme}://{parts.netloc}"


@dataclass(slots=True)
class Call:
    """One request: its account, its headers (lower-case names, last one wins) and the way to answer."""

    account: str
    settings: WebSettings
    headers: dict[bytes, bytes]
    scope: Scope
    receive: Receive
    send: Send
    cors: Headers
    max_body_bytes: int

    @property
    def bearer(self) -> str:
        """The token of the Authorization header, "" without one."""
        scheme, _, token = self.headers.get(b"authorization", b"").partition(b" ")
        return token.strip().decode("latin-1") if scheme.lower() == b"bearer" else ""

    async def body(self) -> bytes:
        """The whole body; raises Refused 413 when it is larger than allowed."""
        announced = self.headers.get(b"content-length", b"0")
        discarded = max(MAX_DISCARDED, self.max_body_bytes)
        if not announced.isdigit() or int(announced) > discarded:
            raise self._too_large()
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise Refused(400, "incomplete", "the body ended early")
            chunk: bytes = message.get("body", b"")
            size += len(chunk)
            if size <= self.max_body_bytes:
                chunks.append(chunk)
            elif size > discarded:
                raise self._too_large()
            if not message.get("more_body"):
                break
        if size > self.max_body_bytes:
            raise self._too_large()
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def json_body(self) -> bytes:
        """The body of a request that says it is JSON; raises Refused 415, 413."""
        media_type, _, parameters = self.headers.get(b"content-type", b"").lower().partition(b";")
        if media_type.strip() != b"application/json" or (b"charset" in parameters and b"utf-8" not in parameters):
            raise Refused(415, "unsupported_media_type", "send application/json in UTF-8")
        return await self.body()

    async def answer(self, status: int, body: bytes = b"", headers: Headers | None = None) -> None:
        length = [] if status == 204 else [(b"content-length", b"%d" % len(body))]
        every = [*(JSON_HEADERS if headers is None else headers), *length, *self.cors]
        await self.send({"type": "http.response.start", "status": status, "headers": every})
        await self.send({"type": "http.response.body", "body": body})

    async def refuse(self, refusal: Refused) -> None:
        await self.answer(refusal.status, refusal.body(), [*JSON_HEADERS, *refusal.headers])

    def _too_large(self) -> Refused:
        message = f"the body may hold at most {self.max_body_bytes} bytes"
        return Refused(413, "too_large", message, [(b"connection", b"close")])


Handler = Callable[[Call], Awaitable[None]]


class Endpoint:
    """An ASGI app for one path: finds the account, lets the right pages in, and maps every error to JSON."""

    def __init__(
        self,
        accounts: Mapping[str, WebSettings],
        origins: Mapping[str, Origins],
        max_body_bytes: int,
        **handlers: Handler,
    ) -> None:
        self._accounts, self._origins, self._max_body_bytes = accounts, origins, max_body_bytes
        self._handlers = handlers
        methods = ", ".join([*handlers, "OPTIONS"]).encode()
        self._allow: Headers = [(b"allow", methods)]
        self._preflight: Headers = [(b"access-control-allow-methods", methods), *_PREFLIGHT]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = scope["path_params"]["account"]
        headers = dict(scope["headers"])
        settings = self._accounts.get(name)
        call = Call(name, settings or WebSettings(), headers, scope, receive, send, [], self._max_body_bytes)
        if settings is None:
            await call.refuse(Refused(404, "unknown_account", "there is no web chat of this name"))
            return
        origin = headers.get(b"origin", b"")
        if not self._origins[name].allows(origin, headers.get(b"host", b"")):
            await call.refuse(Refused(403, "origin_refused", "pages of this origin may not use this chat"))
            return
        if origin:
            call.cors = [
                (b"access-control-allow-origin", origin),
                (b"access-control-expose-headers", b"retry-after"),
                (b"vary", b"Origin"),
            ]
        await self._dispatch(call, scope["method"])

    async def _dispatch(self, call: Call, method: str) -> None:
        handler = self._handlers.get(method)
        if handler is None:
            if method == "OPTIONS":
                await call.answer(204, headers=[*self._allow, *self._preflight])
            else:
                await call.refuse(Refused(405, "method_not_allowed", "this method is not used here", self._allow))
            return
        try:
            await handler(call)
        except BotError as error:
            refusal = refusal_for(error)
            if refusal is None:
                raise
            await call.refuse(refusal)


def refusal_for(error: BotError) -> Refused | None:
    """How an error looks to a visitor, None when it is a bug of ours."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, DedupeMismatch):
        return Refused(409, "id_reused", "another message was already sent under this id")
    if isinstance(error, FileRefused):
        return Refused(_FILE_STATUS.get(error.code, 422), f"file_{error.code}", "this file is not taken")
    if isinstance(error, ServiceError):
        wait_s = max(1, round(error.retry_after_s)) if isinstance(error, RateLimited) else _RETRY_AFTER_S
        log.error("web_request_not_served", service=error.service, error=type(error).__name__)
        return Refused(503, "unavailable", "please try again shortly", [(b"retry-after", b"%d" % wait_s)])
    return None
