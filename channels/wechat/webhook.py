"""GET and POST /channels/wechat/{account}: prove, decode, store, and carry back the reply that a turn decides in time.

It never thinks: it waits for what is decided elsewhere. Slower replies leave as customer-service messages.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Final

import structlog
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bot.errors import PayloadInvalid, SignatureInvalid, StoreUnavailable
from bot.ports import ChannelHealth, ComposedReply, Inbox, Outbox, SendOutcome
from bot.types import Accepted, Received
from channels.webhook import HAS_HUNG_UP, media_type_of, not_stored, query_of, read_body, take_in
from channels.wechat.adapter import WechatAdapter
from channels.wechat.replies import NOTHING
from channels.wechat.waiting import Waiting

log = structlog.get_logger()

XML_TYPES = frozenset({"text/xml", "application/xml", ""})  # WeChat says text/xml; some proxies drop it
MAX_ECHO = 1000  # characters; real ones have about 20
ACKNOWLEDGED: Final = Response(NOTHING, media_type="text/plain")  # holds nothing of a request
PLAIN_HEADERS = {"X-Content-Type-Options": "nosniff"}


def wechat_routes(
    adapters: Mapping[str, WechatAdapter],
    inbox: Inbox,
    outbox: Outbox,
    waiting: Waiting,
    max_body_bytes: int,
    *,
    health: ChannelHealth | None = None,
) -> list[Route]:
    """The callback of these accounts. 200: stored (or parked: signed bytes we cannot read must not come back), with the
    reply if there was one in time. 503: not stored, WeChat delivers twice more. 401, 404, 405, 413 and 415 are for
    those who are not WeChat. `health` is told of replies that left.
    """

    async def flushed(adapter: WechatAdapter, reply: ComposedReply) -> None:
        """The reply left with the response."""
        if health is not None:
            health.carried(adapter.channel, adapter.account)
        try:
            await outbox.finish([SendOutcome(row, "sent") for row in reply.carries])
        except StoreUnavailable:
            # The rows stay `sending`; when their lease is over they follow the outbox's policy for lost answers.
            log.error("passive_reply_not_recorded", channel=adapter.channel, account=adapter.account)
            return
        log.info("message_sent", channel=adapter.channel, account=adapter.account, outbox_ids=list(reply.carries))

    async def missed(adapter: WechatAdapter, asked: Accepted) -> None:
        """Nobody would read the reply: the next delivery brings it, or the sender."""
        log.warning("passive_reply_too_late", channel=adapter.channel, account=adapter.account)
        try:
            await waiting.put_back(asked.inbox_id)
        except StoreUnavailable:
            log.error("passive_reply_not_recorded", channel=adapter.channel, account=adapter.account)  # as in flushed

    async def echo(request: Request) -> Response:
        adapter = adapters.get(request.path_params["account"])
        if adapter is None:
            return Response(status_code=404)
        try:
            said = adapter.check_echo(request.query_params)
        except SignatureInvalid as exc:
            return _refused(adapter, exc)
        return PlainTextResponse(said[:MAX_ECHO], headers=PLAIN_HEADERS)

    async def receive(request: Request) -> Response:
        adapter = adapters.get(request.path_params["account"])
        if adapter is None:
            return Response(status_code=404)
        began = time.monotonic()  # storing takes its part of the time there is
        query = query_of(request)
        try:
            adapter.admit(query)
            if media_type_of(request) not in XML_TYPES:
                return Response(status_code=415)
            body = await read_body(request, max_body_bytes)
            if body is None:
                return Response(status_code=413)
            encrypted = adapter.verify(query, body)
        except SignatureInvalid as exc:
            return _refused(adapter, exc)
        except ClientDisconnect:
            return Response(status_code=400)
        xml = body
        received: Sequence[Received]
        try:
            xml = adapter.open(body, encrypted)
            received = adapter.decode_opened(xml)
        except PayloadInvalid as exc:
            received = (adapter.parked(body, str(exc)),)
        accepted = await take_in(adapter, inbox, received)
        if accepted is None:
            return not_stored()
        asked = _asks_for_reply(received, accepted)
        if asked is None or not adapter.passive_s:
            return ACKNOWLEDGED
        reply = await waiting.reply(
            asked.inbox_id,
            adapter.composer(),
            adapter.passive_s - (time.monotonic() - began),
            is_new=asked.is_new,
            is_last_way=not adapter.can_send,
            is_gone=lambda: _is_gone(request),
        )
        if not reply.body:
            return ACKNOWLEDGED
        answer = adapter.passive_body(reply.body, xml)
        if reply.carries and await _is_gone(request):
            await missed(adapter, asked)
            return ACKNOWLEDGED
        after = BackgroundTask(flushed, adapter, reply) if reply.carries else None
        return Response(answer, media_type="text/xml", background=after)

    path = "/channels/wechat/{account}"
    # In this order: the first is looked at first, and nearly all that comes is a message.
    return [Route(path, receive, methods=["POST"]), Route(path, echo, methods=["GET"])]


async def _is_gone(request: Request) -> bool:
    """WeChat gave this delivery up: it hangs up after 5 s. Does not wait where the server can tell."""
    has_hung_up = request.scope.get("state", {}).get(HAS_HUNG_UP)
    return has_hung_up() if has_hung_up is not None else await request.is_disconnected()


def _refused(adapter: WechatAdapter, error: SignatureInvalid) -> Response:
    log.warning("webhook_refused", channel=adapter.channel, account=adapter.account, reason=str(error))
    return Response(status_code=401)


def _asks_for_reply(received: Sequence[Received], accepted: Sequence[Accepted]) -> Accepted | None:
    """The message of this callback that gets a turn."""
    for item, row in zip(received, accepted, strict=True):
        if item.message is not None and item.message.wants_turn:
            return row
    return None
