"""The routes of the web chat: who is it, what did they say, what is there to see."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from time import time
from typing import Any
from urllib.parse import parse_qs

import orjson
import structlog
from starlette.routing import BaseRoute, Route, WebSocketRoute

from bot.errors import ServiceError, SignatureInvalid
from bot.ports import TOPIC_WEB, Clock, Inbox, Signals
from bot.types import WEB_SIGNED_IN, Accepted, ConversationId, Identity, Media, Received
from channels.web.asides import Asides
from channels.web.extras import WebExtras
from channels.web.http import Call, Endpoint, Headers, Origins
from channels.web.hub import HubClosed, Stream, TooManyStreams, WebHub, WebStore
from channels.web.pages import page_routes
from channels.web.socket import Socket
from channels.web.tokens import Session, SessionTokens, new_visitor, verify_identity
from channels.web.uploads import Uploads
from channels.web.wire import (
    CHANNEL,
    MAX_NAME,
    MAX_USER,
    Refused,
    read_after,
    read_content,
    read_language,
    read_object,
    read_seq,
    read_text_field,
    read_welcome,
)
from config.settings import WebSettings

log = structlog.get_logger()

WRITE_TIMEOUT_S = 30.0  # a reader that takes nothing for this long is gone
_UNAUTHORIZED: Headers = [(b"www-authenticate", b"Bearer")]
_SSE_HEADERS: Headers = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store, no-transform"),
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
]
_EVENTS_BEGIN = b"retry: 2000\n: hello\n\n"  # a first byte, so that the client knows that it is connected
_HEARTBEAT = b": still here\n\n"


def web_routes(
    accounts: Mapping[str, WebSettings],
    *,
    store: WebStore,
    inbox: Inbox,
    hub: WebHub,
    signals: Signals,
    secrets: Sequence[bytes],
    clock: Clock | None = None,
    public_url: str = "",
    max_body_bytes: int = 1_000_000,
    extras: WebExtras | None = None,
) -> list[BaseRoute]:
    """Everything under /channels/web/, the widget and the customer page; `hub.run` must be running beside."""
    extras = extras or WebExtras()
    origins = {name: Origins(settings.origins, public_url) for name, settings in accounts.items()}
    tokens = SessionTokens(secrets)
    chat = WebChat(store=store, inbox=inbox, hub=hub, signals=signals, tokens=tokens, clock=clock or _UtcClock())

    asides = Asides(chat, extras)

    def endpoint(most: int = max_body_bytes, /, **handlers: Callable[[Call], Awaitable[None]]) -> Endpoint:
        return Endpoint(accounts, origins, most, **handlers)

    base = "/channels/web/{account}"
    uploads: list[BaseRoute] = []
    if extras.library is not None and extras.store is not None:
        chat.uploads = Uploads(chat, extras.store, extras.library, extras.tokens)
        uploads.append(Route(f"{base}/uploads", endpoint(extras.max_upload_bytes, POST=chat.uploads.post_upload)))
    return [
        Route(f"{base}/messages", endpoint(POST=chat.post_message)),
        Route(f"{base}/events", endpoint(GET=chat.get_events)),
        Route(f"{base}/sessions", endpoint(POST=chat.post_session)),
        Route(f"{base}/read", endpoint(POST=chat.post_read)),
        Route(f"{base}/typing", endpoint(POST=chat.post_typing)),
        Route(f"{base}/config", endpoint(GET=asides.get_config)),
        Route(f"{base}/profile", endpoint(POST=asides.post_profile)),
        Route(f"{base}/continue", endpoint(POST=asides.post_continue)),
        Route(f"{base}/transcript", endpoint(GET=asides.get_transcript, POST=asides.post_transcript)),
        *uploads,
        WebSocketRoute(f"{base}/socket", Socket(chat, origins, max_body_bytes)),
        *page_routes(accounts),
    ]


class _UtcClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


class WebChat:
    """What a visitor may do, whatever the transport."""

    def __init__(
        self,
        *,
        store: WebStore,
        inbox: Inbox,
        hub: WebHub,
        signals: Signals,
        tokens: SessionTokens,
        clock: Clock,
    ) -> None:
        self._store, self._inbox, self._hub = store, inbox, hub
        self._signals, self._tokens, self.clock = signals, tokens, clock
        self.uploads: Uploads | None = None  # set where files are taken

    # --- for both transports ------------------------------------------------------------------------------------

    def session(self, token: str, account: str) -> Session:
        """The session of a token that is genuine, of this account and not over; raises Refused 401."""
        if not token:
            raise Refused(401, "token_missing", "send the session token as Authorization: Bearer …", _UNAUTHORIZED)
        try:
            session = self._tokens.verify(token)
        except SignatureInvalid as exc:
            raise Refused(401, "token_invalid", "this session token is not valid", _UNAUTHORIZED) from exc
        if session.account != account:
            raise Refused(401, "token_invalid", "this session token is not valid", _UNAUTHORIZED)
        if session.expires_at <= time():
            raise Refused(401, "token_expired", "this session is over; start a new one", _UNAUTHORIZED)
        return session

    async def accept(self, received: Received, before: Received | None = None) -> Accepted:
        """Committed, and everyone who watches the conversation told. Raises: Refused 422 for a file not theirs."""
        message = received.message
        if message is not None and isinstance(message.content, Media):
            if self.uploads is None:
                raise Refused(403, "attachments_off", "this chat takes no files")
            received = await self.uploads.named(received, message, message.content)
        rows = await self._inbox.accept([received] if before is None else [before, received])
        accepted = rows[-1]
        if accepted.is_new:
            hint: dict[str, object] = {"conversation_id": accepted.conversation_id}
            if accepted.visible is not None and before is None:  # of two, the store tells
                hint["events"] = (accepted.visible,)
            self._signals.publish(TOPIC_WEB, hint)
        return accepted

    async def open_stream(self, session: Session, after: int) -> Stream:
        """A stream of the visitor's conversation; raises Refused 429, 503 and what the store raises."""
        conversation_id = await self.conversation(session)
        try:
            return await self._hub.open(conversation_id, (session.account, session.user), after, session.expires_at)
        except TooManyStreams as exc:
            refusal = Refused(
                429, "too_many_streams", "this session has too many streams open", [(b"retry-after", b"5")]
            )
            raise refusal from exc
        except HubClosed as exc:
            raise Refused(503, "restarting", "connect again shortly", [(b"retry-after", b"1")]) from exc

    async def conversation(self, session: Session) -> ConversationId:
        return await self._store.web_conversation(Identity(CHANNEL, session.account, session.user))

    async def events_after(self, conversation_id: ConversationId, after: int, limit: int) -> list[dict[str, Any]]:
        return await self._store.events_after(conversation_id, after, limit)

    async def mark_read(self, session: Session, seq: int) -> None:
        conversation_id = await self.conversation(session)
        await self._store.mark_read(conversation_id, seq)
        hint = {"conversation_id": conversation_id, "type": "read", "author": "customer", "seq": seq}
        self._signals.publish(TOPIC_WEB, hint)

    async def show_typing(self, session: Session) -> None:
        conversation_id = await self.conversation(session)
        hint = {"conversation_id": conversation_id, "type": "typing", "author": "customer"}
        self._signals.publish(TOPIC_WEB, hint)

    # --- HTTP ---------------------------------------------------------------------------------------------------

    async def post_session(self, call: Call) -> None:
        """A token for a signed-in customer, for whoever holds a valid token already, or for a new visitor."""
        document = read_object(await call.json_body() if has_body(call) else b"{}")
        language = read_language(document)
        expires_at = int(time() + call.settings.session_hours * 3600)
        if "user" in document:
            user, name = self._signed_in(call, document)
            session = Session(call.account, user, expires_at, name, language)
        elif b"authorization" in call.headers:
            old = self.session(call.bearer, call.account)
            session = Session(call.account, old.user, expires_at, old.name, language or old.language)
        else:
            session = Session(call.account, new_visitor(), expires_at, "", language)
        answer = {"token": self._tokens.issue(session), "user": session.user, "expires_at": iso(expires_at)}
        await call.answer(200, orjson.dumps(answer))

    async def post_message(self, call: Call) -> None:
        session = self.session(call.bearer, call.account)
        body, now = await call.json_body(), self.clock.now()
        document = read_object(body)
        received = read_content(document, body, session, now)
        accepted = await self.accept(received, read_welcome(document, session, now))
        message = received.message
        await call.answer(202, orjson.dumps({"id": message and message.vendor_message_id, "seq": accepted.seq}))

    async def post_read(self, call: Call) -> None:
        session = self.session(call.bearer, call.account)
        await self.mark_read(session, read_seq(read_object(await call.json_body()).get("seq")))
        await call.answer(204)

    async def post_typing(self, call: Call) -> None:
        await self.show_typing(self.session(call.bearer, call.account))
        await call.answer(204)

    async def get_events(self, call: Call) -> None:
        """Server-sent events from `after` (or Last-Event-ID) on, until the client goes, the token ends or we stop."""
        session = self.session(call.bearer, call.account)
        query = parse_qs(call.scope["query_string"].decode("latin-1"), keep_blank_values=True)
        after = read_after(query.get("after", [call.headers.get(b"last-event-id", b"").decode("latin-1")])[-1])
        stream = await self.open_stream(session, after)
        watch = asyncio.get_running_loop().create_task(_end_when_gone(call, stream))
        try:
            await self._write_events(call, stream)
        finally:
            watch.cancel()
            stream.close()

    async def _write_events(self, call: Call, stream: Stream) -> None:
        await call.send({"type": "http.response.start", "status": 200, "headers": [*_SSE_HEADERS, *call.cors]})
        await call.send({"type": "http.response.body", "body": _EVENTS_BEGIN, "more_body": True})
        now = asyncio.get_running_loop().time
        try:
            async with asyncio.timeout(None) as patience:  # one for all writes: each would cost as much as the write
                while (frames := await stream.next()) is not None:
                    body = b"".join([frame.sse for frame in frames]) or _HEARTBEAT
                    patience.reschedule(now() + WRITE_TIMEOUT_S)
                    await call.send({"type": "http.response.body", "body": body, "more_body": True})
                    if not patience.expired():
                        patience.reschedule(None)
        except (ServiceError, TimeoutError) as error:
            # The headers are out, so the only way to say it is to end; the client resumes where it was.
            log.warning("web_stream_ended", error=type(error).__name__)
            if isinstance(error, TimeoutError):
                return
        if stream.end_reason != "gone":
            await call.send({"type": "http.response.body", "body": b""})

    def _signed_in(self, call: Call, document: Mapping[str, object]) -> tuple[str, str]:
        """User id and name the shop vouches for; raises Refused 403, 422."""
        secret = call.settings.identity_secret
        if secret is None:
            raise Refused(403, "sign_in_not_set_up", "this account has no identity secret; see docs/web.md")
        user = read_text_field(document, "user", MAX_USER, required=True)
        name = read_text_field(document, "name", MAX_NAME, required=False)
        signature = read_text_field(document, "signature", 64, required=True)
        issued_at = read_seq(document.get("issued_at"), "issued_at")
        try:
            verify_identity(
                secret.get_secret_value(),
                account=call.account,
                user=user,
                issued_at=issued_at,
                name=name,
                signature=signature,
                now=time(),
            )
        except SignatureInvalid as exc:
            raise Refused(403, "identity_refused", str(exc)) from exc
        return f"{WEB_SIGNED_IN}{user}", name


def has_body(call: Call) -> bool:
    return call.headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in call.headers


def iso(unix_s: int) -> str:
    return datetime.fromtimestamp(unix_s, UTC).isoformat()


async def _end_when_gone(call: Call, stream: Stream) -> None:
    while (await call.receive())["type"] != "http.disconnect":
        continue
    stream.end("gone")
