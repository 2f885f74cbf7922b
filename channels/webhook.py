"""The webhook of a channel whose vendor posts JSON: prove, decode, store, acknowledge. It never thinks.

What is the vendor's own (where its proof is, what follows a stored message) is handed in; who is believed, what is
acknowledged and what comes back is the same for all.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar
from urllib.parse import parse_qsl

import structlog
from pydantic import SecretStr
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from bot.errors import InputError, SignatureInvalid, StoreUnavailable
from bot.ports import Inbox
from bot.types import Accepted, Received
from channels.base import ChannelAdapter

log = structlog.get_logger()

RETRY_AFTER_S = 2
HAS_HUNG_UP = "has_hung_up"  # in a request's state where the server can tell: () -> bool

Adapter = TypeVar("Adapter", bound=ChannelAdapter)
Headers = Mapping[str, str]
OK: Final = Response()  # holds nothing of a request


def nothing(*_: object) -> None:
    return None


def webhook_routes(
    channel: str,
    adapters: Mapping[str, Adapter],
    inbox: Inbox,
    max_body_bytes: int,
    *,
    admit: Callable[[Adapter, Headers], None] = nothing,
    verify: Callable[[Adapter, Headers, bytes], None] = nothing,
    stored: Callable[[Adapter, Received], None] = nothing,
) -> list[Route]:
    """POST /channels/{channel}/{account} over these accounts.

    `admit` sees the headers before the body is read, `verify` the raw body before it is parsed; each raises
    SignatureInvalid. `stored` is told each new row once it is committed.

    Vendors deliver again whatever is not answered 2xx, so: 200 means committed (or parked: proven bytes that we cannot
    read must not come back for ever), 503 means the store could not take it. 401, 404, 405, 413 and 415 are for those
    who are not the vendor.

    Raises: ValueError when nothing proves a request, so that no channel is open by oversight.
    """
    if admit is nothing and verify is nothing:
        raise ValueError(f"nothing proves that a request comes from {channel}")

    async def receive(request: Request) -> Response:
        adapter = adapters.get(request.path_params["account"])
        if adapter is None:
            return Response(status_code=404)
        try:
            admit(adapter, request.headers)
            if media_type_of(request) != "application/json":
                return Response(status_code=415)
            body = await read_body(request, max_body_bytes)
            if body is None:
                return Response(status_code=413)
            verify(adapter, request.headers, body)
        except SignatureInvalid:
            log.warning("webhook_refused", channel=channel, account=adapter.account)
            return Response(status_code=401)
        except ClientDisconnect:
            return Response(status_code=400)
        received = decoded(adapter, body)
        return await store(adapter, inbox, received, lambda item: stored(adapter, item))

    return [Route(f"/channels/{channel}/{{account}}", receive, methods=["POST"])]


def media_type_of(request: Request) -> str:
    """The Content-Type without its parameters, "" where none is said."""
    return header_of(request, b"content-type").partition(";")[0].strip().lower()


def header_of(request: Request, name: bytes) -> str:
    """The first header of this name (in lower case), "" without one. Starlette's own look costs more than the loop."""
    for each, value in request.scope["headers"]:
        if each == name:
            return str(value, "latin-1")
    return ""


async def read_body(request: Request, limit: int) -> bytes | None:
    """The body; None when it is longer than `limit` bytes, without having kept more than that.

    Raises: ClientDisconnect.
    """
    declared = header_of(request, b"content-length") or "0"
    if not declared.isdecimal() or int(declared) > limit:
        return None
    chunks: list[bytes] = []
    size = 0
    while True:  # as Request.stream does, whose generators cost more than what they read
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > limit:
            return None
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def query_of(request: Request) -> Mapping[str, str]:
    """The address's parameters; of several with one name the last. Starlette's own reading costs as much as the XML."""
    text = request.scope["query_string"].decode("latin-1")
    if "%" in text or "+" in text:
        return dict(parse_qsl(text, keep_blank_values=True))
    return {name: given for name, _, given in (pair.partition("=") for pair in text.split("&") if pair)}


def check_signature(given: str, expected: bytes) -> None:
    """`given`, from a header or the address, is `expected`; compared in constant time. Raises: SignatureInvalid."""
    # As bytes, because compare_digest refuses strings that are not ASCII.
    if not hmac.compare_digest(given.encode("utf-8", "surrogateescape"), expected):
        raise SignatureInvalid("the signature is missing or wrong")


def check_hmac(given: str, secret: SecretStr, body: bytes) -> None:
    """`given` is the HMAC-SHA256 of the raw body in base64. Raises: SignatureInvalid."""
    digest = hmac.new(secret.get_secret_value().encode(), body, hashlib.sha256).digest()
    check_signature(given, base64.b64encode(digest))


def decoded(adapter: ChannelAdapter, body: bytes) -> Sequence[Received]:
    """What is in the proven `body`; where nothing can be read, the whole of it as one parked payload."""
    try:
        return adapter.decode(body)
    except InputError as exc:
        return (parked(adapter.channel, adapter.account, body, str(exc)),)


def parked(channel: str, account: str, raw: bytes, reason: str, key: str = "") -> Received:
    """Proven, but unreadable: kept under the vendor's `key`, or under its own hash where it has none."""
    return Received(channel, account, key or "sha256:" + hashlib.sha256(raw).hexdigest(), raw, None, reason)


async def store(
    adapter: ChannelAdapter, inbox: Inbox, received: Sequence[Received], stored: Callable[[Received], None] = nothing
) -> Response:
    """200 once all of it is committed; 503 when the store cannot."""
    accepted = await take_in(adapter, inbox, received)
    if accepted is None:
        return not_stored()
    for item, row in zip(received, accepted, strict=True):
        if row.is_new:
            stored(item)
    return OK


async def take_in(adapter: ChannelAdapter, inbox: Inbox, received: Sequence[Received]) -> Sequence[Accepted] | None:
    """What became of each, all of it committed; None when the store cannot."""
    for item in received:
        if item.message is None:
            log.warning("update_parked", channel=item.channel, account=item.account, reason=item.reason)
    try:
        return await inbox.accept(received)
    except StoreUnavailable:
        log.error("webhook_not_stored", channel=adapter.channel, account=adapter.account)
        return None


def not_stored() -> Response:
    """The vendor delivers again."""
    return Response(status_code=503, headers={"Retry-After": str(RETRY_AFTER_S)})
