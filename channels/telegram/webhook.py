"""POST /channels/telegram/{account}: verify, decode, store, acknowledge. It never thinks."""

from __future__ import annotations

from collections.abc import Mapping

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from bot.errors import SignatureInvalid, StoreUnavailable
from bot.ports import Inbox
from channels.telegram.adapter import TelegramAdapter

log = structlog.get_logger()

RETRY_AFTER_S = 2


def telegram_routes(adapters: Mapping[str, TelegramAdapter], inbox: Inbox, max_body_bytes: int) -> list[Route]:
    """The webhook route over these accounts. Telegram delivers again whatever is not answered 2xx, so:

    200 means committed (or parked: a signed update we cannot read must not come back for ever), 503 means the store
    could not take it. 401, 404, 405, 413 and 415 are for those who are not Telegram.
    """

    async def receive(request: Request) -> Response:
        adapter = adapters.get(request.path_params["account"])
        if adapter is None or adapter.settings.mode != "webhook":
            return Response(status_code=404)
        try:
            adapter.verify_webhook(request.headers)
        except SignatureInvalid:
            log.warning("webhook_refused", channel=adapter.channel, account=adapter.account)
            return Response(status_code=401)
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return Response(status_code=415)
        try:
            body = await _read(request, max_body_bytes)
        except ClientDisconnect:
            return Response(status_code=400)
        if body is None:
            return Response(status_code=413)
        return await _store(adapter, inbox, body)

    return [Route("/channels/telegram/{account}", receive, methods=["POST"])]


async def _store(adapter: TelegramAdapter, inbox: Inbox, body: bytes) -> Response:
    received = adapter.decode(body)
    for item in received:
        if item.message is None:
            log.warning("update_parked", channel=item.channel, account=item.account, reason=item.reason)
    try:
        accepted = await inbox.accept(received)
    except StoreUnavailable:
        log.error("webhook_not_stored", channel=adapter.channel, account=adapter.account)
        return Response(status_code=503, headers={"Retry-After": str(RETRY_AFTER_S)})
    for item, row in zip(received, accepted, strict=True):
        if row.is_new:
            adapter.acknowledge_press(item)
    return Response()


async def _read(request: Request, limit: int) -> bytes | None:
    """The body; None when it is longer than `limit` bytes, without having kept more than that."""
    declared = request.headers.get("content-length", "0")
    if not declared.isdecimal() or int(declared) > limit:
        return None
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            return None
    return bytes(body)
