"""What every request passes: who asks, how often, how much is sent; and what every answer carries.

Nothing of a request is read before its token is known. Answers are small, so they are put together before they leave:
that is what lets one be kept for a repeat, compared with what the client has, or replaced when something crashed.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from starlette._utils import get_route_path
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.desk import ApiDesk, Caller
from api.problems import Problem, problem
from api.uploads import MOST_BODY, PLACES
from bot.errors import ServiceError
from desk.api_answers import ApiAnswers, InProgress, Kept, KeyReused

log = structlog.get_logger()

WRITES: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
SPECIFICATION: Final = "/openapi.json"  # public: it says nothing about this deployment
PASSED_ON: Final = (
    "content-type",
    "etag",
    "link",
    "location",
    "retry-after",
    "content-disposition",
)  # of a kept answer
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")
_JSON: Final = re.compile(r"application/(?:[a-z.-]+\+)?json")


class Gone(Exception):
    """The client hung up before it had sent its request."""


@dataclass(slots=True)
class Answer:
    """A response that has not left yet."""

    status: int = 500
    headers: MutableHeaders = field(default_factory=MutableHeaders)
    body: bytes = b""

    @classmethod
    def of(cls, response: Response) -> Answer:
        return cls(response.status_code, MutableHeaders(raw=list(response.raw_headers)), bytes(response.body))


class Guard:
    """The ASGI application of the API: `inner` sees only requests that may be answered."""

    def __init__(self, inner: ASGIApp, desk: ApiDesk, answers: ApiAnswers, specification: Callable[[], bytes]) -> None:
        """`specification` makes the OpenAPI document, which takes too long for the loop to wait for."""
        self._inner, self._desk, self._answers = inner, desk, answers
        self._specification, self._document = specification, b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)
        asked = headers.get("x-request-id", "")
        request_id = asked if _REQUEST_ID.fullmatch(asked) else secrets.token_hex(8)
        extra: dict[str, str] = {}
        try:
            answer = await self._admitted(scope, receive, headers, request_id, extra)
        except Gone:
            return
        except Problem as refused:
            answer = Answer.of(problem(refused.code, str(refused), request_id, headers=refused.headers))
        except ServiceError as error:
            log.error("api_request_not_served", request_id=request_id, error=type(error).__name__)
            answer = Answer.of(problem("unavailable", "", request_id, headers={"Retry-After": "2"}))
        except Exception:
            log.exception("api_request_crashed", request_id=request_id, method=scope["method"])
            answer = Answer.of(problem("internal", "", request_id))
        answer.headers.update({"X-Request-Id": request_id, **extra})
        await _send(answer, scope, headers, send)

    async def _admitted(
        self, scope: Scope, receive: Receive, headers: Headers, request_id: str, extra: dict[str, str]
    ) -> Answer:
        scope = {**scope, "state": {**scope.get("state", {}), "request_id": request_id}}
        if get_route_path(scope) == SPECIFICATION and scope["method"] == "GET":
            self._document = self._document or await asyncio.to_thread(self._specification)
            return Answer(200, MutableHeaders({"content-type": "application/json"}), self._document)
        caller = await self._caller(headers)
        extra["RateLimit-Policy"] = f'"token";q={caller.per_minute};w=60'
        await self._pace(caller)
        scope["state"]["actor"] = caller.actor
        body = b""
        if scope["method"] in WRITES:
            holds_file = PLACES.fullmatch(get_route_path(scope)) is not None
            most = max(self._desk.max_body_bytes, MOST_BODY) if holds_file else self._desk.max_body_bytes
            body = await _read(receive, headers, most)
            if body and not _JSON.fullmatch(headers.get("content-type", "").partition(";")[0].strip().lower()):
                raise Problem("not-json-type")
            if "idempotency-key" in headers:
                return await self._once(scope, headers, body, caller)
        return await self._inner_answer(scope, body)

    async def _caller(self, headers: Headers) -> Caller:
        kind, _, token = headers.get("authorization", "").partition(" ")
        caller = await self._desk.resolve(token.strip()) if kind.lower() == "bearer" and token.strip() else None
        if caller is None:
            raise Problem("not-authenticated", "", {"WWW-Authenticate": 'Bearer realm="frontdesk"'})
        return caller

    async def _pace(self, caller: Caller) -> None:
        """No minute sees more requests than the token allows; a quarter of them may come at once."""
        burst = max(1, caller.per_minute // 4)
        per_s = max(caller.per_minute - burst, caller.per_minute / 4) / 60
        wait_s = await self._desk.rate_tokens.take(f"api:{caller.actor.name}", per_s=per_s, burst=burst)
        if wait_s:
            seconds = str(int(wait_s) + 1)
            raise Problem("too-many-requests", "", {"Retry-After": seconds, "RateLimit": f'"token";r=0;t={seconds}'})

    async def _once(self, scope: Scope, headers: Headers, body: bytes, caller: Caller) -> Answer:
        """The write is done once under its key; whoever asks again is given the same answer."""
        key = headers["idempotency-key"]
        if not _KEY.fullmatch(key):
            raise Problem("invalid", "Idempotency-Key holds 1 to 255 visible ASCII characters")
        name = (caller.actor.name, scope["method"], get_route_path(scope), key)
        parts = (scope["query_string"], headers.get("if-match", "").encode(), body)
        digest = hashlib.sha256(b"\0".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()
        try:
            before = await self._answers.begin(name, digest)
        except KeyReused as reused:
            raise Problem("key-reused") from reused
        except InProgress as busy:
            raise Problem("in-progress", "", {"Retry-After": "1"}) from busy
        if before is not None:
            return Answer(
                before.status, MutableHeaders({**before.headers, "Idempotency-Replayed": "true"}), before.body
            )
        is_kept = False
        try:
            scope["state"]["idempotency_key"] = key
            answer = await self._inner_answer(scope, body)
            if answer.status < 500:
                kept = {name: answer.headers[name] for name in PASSED_ON if name in answer.headers}
                await self._answers.keep(name, Kept(answer.status, kept, answer.body))
                is_kept = True
            return answer
        finally:
            if not is_kept:  # nothing was done, so it may be tried again under the same key
                await self._answers.forget(name)

    async def _inner_answer(self, scope: Scope, body: bytes) -> Answer:
        answer, sent = Answer(), False

        async def receive() -> Message:
            nonlocal sent
            if sent:
                return {"type": "http.disconnect"}
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                answer.headers = MutableHeaders(raw=list(message["headers"]))
            else:
                answer.body += message.get("body", b"")

        await self._inner(scope, receive, send)
        return answer


async def _read(receive: Receive, headers: Headers, limit: int) -> bytes:
    """The body, which is not longer than `limit`. Raises: Problem, Gone."""
    said = headers.get("content-length", "")
    if said.isascii() and said.isdecimal() and int(said[:20]) > limit:
        raise Problem("too-large", f"a body may hold at most {limit} bytes")
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise Problem("too-large", f"a body may hold at most {limit} bytes")
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


async def _send(answer: Answer, scope: Scope, asked: Headers, send: Send) -> None:
    headers = answer.headers
    headers["Cache-Control"] = "no-store"
    headers["X-Content-Type-Options"] = "nosniff"
    body = answer.body
    if scope["method"] == "GET" and answer.status == 200:
        headers.setdefault("ETag", f'W/"{hashlib.sha256(body).hexdigest()[:24]}"')
        if _has_same(asked.get("if-none-match", ""), headers["ETag"]):
            answer.status, body = 304, b""
            for name in ("content-length", "content-type"):
                if name in headers:
                    del headers[name]
    if answer.status not in (204, 304):
        headers["Content-Length"] = str(len(body))
    raw: Iterable[tuple[Any, Any]] = headers.raw
    await send({"type": "http.response.start", "status": answer.status, "headers": list(raw)})
    await send({"type": "http.response.body", "body": body})


def _has_same(given: str, etag: str) -> bool:
    """Whether the client has this already, compared weakly (RFC 9110, 13.1.2)."""
    plain = etag.removeprefix("W/")
    tags = {part.strip().removeprefix("W/") for part in given.split(",")}
    return given.strip() == "*" or plain in tags
