"""GET, POST /channels/wecom/{account}: prove, open, decode, store, acknowledge. It never thinks.

Sources: developer.work.weixin.qq.com, documents 90238 "回调配置" (checked 2026-11 by 96238, the same for service
providers) and 90930 "加解密方案说明" (not read again; three tries of 5 s each stand in copies of older pages).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bot.errors import PayloadInvalid, SignatureInvalid
from bot.ports import Inbox
from channels.base import ChannelAdapter
from channels.tencent.crypto import check_signature, check_time, proven_part
from channels.tencent.xml import read_xml
from channels.webhook import query_of, read_body, store
from channels.wecom.app_decode import KfNotice, decode_fields, kf_notice, parked
from channels.wecom.connection import WecomConnection

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class CallbackTarget:
    """One account as callbacks see it. `notice` is told of 微信客服 news; None where that is off."""

    connection: WecomConnection
    adapter: ChannelAdapter
    notice: Callable[[KfNotice], None] | None = None


def callback_routes(targets: Mapping[str, CallbackTarget], inbox: Inbox, max_body_bytes: int) -> list[Route]:
    """WeCom delivers again, three times within 15 s, what is not answered 200: so 200 means committed (or parked, or
    noticed), 503 that the store could not take it, and 401, 404, 413 are for those who are not WeCom.
    """

    async def receive(request: Request) -> Response:
        target = targets.get(request.path_params["account"])
        if target is None:
            return Response(status_code=404)
        try:
            if request.method == "GET":
                return _echo(target, request)
            body = await read_body(request, max_body_bytes)
            if body is None:
                return Response(status_code=413)
            encrypted = _proven(target, request, body)
        except SignatureInvalid:
            log.warning("webhook_refused", channel="wecom", account=target.connection.account)
            return Response(status_code=401)
        except ClientDisconnect:
            return Response(status_code=400)
        return await _take(target, inbox, body, encrypted)

    return [Route("/channels/wecom/{account}", receive, methods=["GET", "POST"])]


def _echo(target: CallbackTarget, request: Request) -> Response:
    """The answer to the check made when the address is typed into the console. Raises: SignatureInvalid."""
    query = query_of(request)
    echo = query.get("echostr", "")
    if not echo:
        raise SignatureInvalid("nothing that could be signed")
    check_signature(query.get("msg_signature", ""), *_signed_with(target, query), echo)
    check_time(query.get("timestamp", ""), target.connection.now())
    try:
        return PlainTextResponse(target.connection.envelope.open(echo))
    except PayloadInvalid as exc:
        log.warning("echo_check_unreadable", account=target.connection.account, reason=str(exc))
        return Response(status_code=400)


def _proven(target: CallbackTarget, request: Request, body: bytes) -> str:
    """The encrypted part, which WeCom signed not long ago; nothing was parsed. Raises: SignatureInvalid."""
    query = query_of(request)
    encrypted = proven_part(body, query.get("msg_signature", ""), *_signed_with(target, query))
    check_time(query.get("timestamp", ""), target.connection.now())
    return encrypted


def _signed_with(target: CallbackTarget, query: Mapping[str, str]) -> tuple[str, str, str]:
    token = target.connection.settings.token.get_secret_value()
    return token, query.get("timestamp", ""), query.get("nonce", "")


async def _take(target: CallbackTarget, inbox: Inbox, body: bytes, encrypted: str) -> Response:
    connection = target.connection
    raw = body
    try:
        raw = connection.envelope.open(encrypted)
        fields = read_xml(raw)
    except PayloadInvalid as exc:
        return await store(target.adapter, inbox, (parked(raw, connection.account, str(exc)),))
    notice = kf_notice(fields)
    if notice is not None and target.notice is not None:
        # Nothing to store: it holds no message, and the sweep finds what a crash right now would leave behind.
        target.notice(notice)
        return Response()
    return await store(target.adapter, inbox, (decode_fields(fields, raw, connection.account, connection.now),))
