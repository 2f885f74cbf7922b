"""A strict stand-in for api.line.me and api-data.line.me on a loopback port, for tests and for newcomers.

`async with LineSimulator() as sim:` gives `sim.url` (both base addresses), `sim.secret`, `sim.token`, `sim.user("U…")`
to play a customer, `sim.faults` to break things and `sim.ledger` with every call and delivery. What a request must look
like is judged by the official SDK's own models and by the limits of the reference they leave out.
Source: https://developers.line.biz/en/reference/messaging-api/ (checked 2026-11, except: that a label has 20 characters
at most, and that the loading animation lasts a multiple of 5 s, are from memory and not confirmed).
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final, Self

import aiohttp
import orjson
from aiohttp import web
from linebot.v3.messaging import models

from channels.simulators.faults import FaultPlan
from channels.simulators.ledger import Ledger
from channels.simulators.line_control import control_routes
from channels.simulators.line_customer import LineCustomer
from channels.simulators.line_rules import Refused, check_messages, is_uuid
from channels.simulators.serving import serve_until_cancelled

DEFAULT_SECRET = "stand-in-channel-secret"  # noqa: S105 - opens nothing but this stand-in
DEFAULT_TOKEN = "stand-in-channel-access-token"  # noqa: S105
USER = re.compile(r"U[0-9a-f]{32}")
PREFIX: Final = "/v2/bot"
RETRY_KEY_S: Final = 86400.0  # a retry key is known for 24 h
Fields = dict[str, Any]


class LineSimulator:
    """One stand-in server with one account."""

    def __init__(
        self,
        *,
        secret: str = DEFAULT_SECRET,
        token: str = DEFAULT_TOKEN,
        redelivers: bool = True,
        monthly_limit: int | None = None,
        ledger_file: Path | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.secret, self.token, self.redelivers = secret, token, redelivers
        self.monthly_limit, self.now = monthly_limit, now
        self.ledger, self.faults = Ledger(ledger_file), FaultPlan()
        self.customers: dict[str, LineCustomer] = {}
        self.reply_tokens: dict[str, tuple[str, float]] = {}  # token -> user, Unix seconds until it works
        self.contents: dict[str, tuple[bytes, str]] = {}  # message id -> bytes, content type
        self.endpoint, self.is_active, self.used, self.url = "", True, 0, ""
        self.arrived = asyncio.Event()
        self._accepted: dict[str, tuple[str, list[Fields], float]] = {}  # retry key -> request id, sent messages, when
        self._ids = 100_000_000_000_000_000
        self._runner: web.AppRunner | None = None
        self._http: aiohttp.ClientSession | None = None

    def user(self, user_id: str) -> LineCustomer:
        if not USER.fullmatch(user_id):
            raise ValueError("a LINE user id is U and 32 hexadecimal digits")
        return self.customers.setdefault(user_id, LineCustomer(self, user_id))

    def settings(self) -> Fields:
        """What an account of a desk needs to talk to this stand-in."""
        return {"secret": self.secret, "token": self.token, "api_base_url": self.url, "data_base_url": self.url}

    def next_id(self) -> str:
        self._ids += 1
        return str(self._ids)

    # --- serving ----------------------------------------------------------------------------------------------------

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listening; `url` says where. Raises: OSError when the port is taken."""
        app = web.Application(client_max_size=2_000_000)
        for method, path, answer in (
            ("POST", "/message/push", self._push),
            ("POST", "/message/reply", self._reply),
            ("GET", "/info", self._info),
            ("GET", "/channel/webhook/endpoint", self._endpoint),
            ("PUT", "/channel/webhook/endpoint", self._set_endpoint),
            ("POST", "/channel/webhook/test", self._test),
            ("GET", "/message/quota", self._quota),
            ("GET", "/message/quota/consumption", self._consumption),
            ("POST", "/chat/loading/start", self._loading),
            ("GET", "/message/{message_id}/content", self._content),
        ):
            app.router.add_route(method, PREFIX + path, self._guarded(path, answer))
        app.add_routes(control_routes(self))
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30))
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        self.url = f"http://{host}:{self._runner.addresses[0][1]}"

    async def close(self) -> None:
        if self._http is not None:
            await self._http.close()
        if self._runner is not None:
            await self._runner.cleanup()
        self.ledger.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    # --- webhooks ---------------------------------------------------------------------------------------------------

    async def deliver(self, events: list[Fields]) -> int:
        """One webhook body; again, marked as a redelivery, while it is not answered 2xx (five times at most)."""
        status = 0
        for attempt in range(1, 6 if self.redelivers else 2):
            for event in events:
                event["deliveryContext"] = {"isRedelivery": attempt > 1}
            body = orjson.dumps({"destination": "U" + "0" * 32, "events": events})
            status = await self.post(body, self.sign(body), attempt=attempt)
            if 200 <= status < 300:
                if events and self.faults.for_updates("duplicate_update"):
                    await self.post(body, self.sign(body), attempt=attempt + 1)
                break
        return status

    def sign(self, body: bytes) -> str:
        return base64.b64encode(hmac.new(self.secret.encode(), body, hashlib.sha256).digest()).decode()

    async def post(self, body: bytes, signature: str, *, attempt: int = 1) -> int:
        """HTTP status; 0 when there was no answer."""
        if self._http is None or not self.endpoint:
            raise RuntimeError("no webhook endpoint is set")
        headers = {"Content-Type": "application/json; charset=utf-8", "X-Line-Signature": signature}
        try:
            async with self._http.post(self.endpoint, data=body, headers=headers) as response:
                await response.read()
                status = response.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            status = 0
        self.ledger.add("delivery", self.now(), attempt=attempt, status=status)
        return status

    # --- the API ----------------------------------------------------------------------------------------------------

    def _guarded(
        self, path: str, answer: Callable[[web.Request, Fields], Any]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            fault = self.faults.for_call(path)
            kind = fault.kind if fault else ""
            try:
                if request.headers.get("Authorization") != f"Bearer {self.token}":
                    raise Refused(401, "Authentication failed. Confirm that the access token is valid.")
                if kind in {"drop_request", "error_500", "error_503"}:
                    raise Refused(503 if kind == "error_503" else 500, "Internal server error")
                if kind == "rate_limited":
                    raise Refused(429, "The API rate limit has been exceeded. Try again later.")
                given = await _document(request) if request.method in {"POST", "PUT"} else {}
                found = answer(request, given)
                found = await found if asyncio.iscoroutine(found) else found
            except Refused as refused:
                self.ledger.add("call", self.now(), path=path, status=refused.status, fault=kind)
                if kind == "drop_request":
                    return _cut(request)
                return web.Response(
                    status=refused.status,
                    body=orjson.dumps(refused.body),
                    content_type="application/json",
                    headers=refused.headers,
                )
            self.ledger.add("call", self.now(), path=path, status=200, fault=kind)
            if fault and kind == "late_answer":
                await asyncio.sleep(fault.seconds)
            if kind == "drop_answer":
                return _cut(request)
            if kind == "error_502":
                return web.Response(status=502, text="<html>502 Bad Gateway</html>", content_type="text/html")
            if kind in {"odd_answer", "unreadable_answer"}:
                return web.Response(body=b'{"sentMessages":[7]}' if kind == "odd_answer" else b'{"sen', status=200)
            if isinstance(found, web.StreamResponse):
                return found
            return web.Response(body=orjson.dumps(found), content_type="application/json")

        return handle

    def _push(self, request: web.Request, given: Fields) -> Fields:
        key = request.headers.get("X-Line-Retry-Key")
        if key is not None and not is_uuid(key):
            raise Refused(400, "The retry key is invalid")
        if key in self._accepted and self.now() - self._accepted[key][2] < RETRY_KEY_S:
            request_id, sent, _ = self._accepted[key]
            names_first = {"X-Line-Accepted-Request-Id": request_id}
            raise Refused(409, "The retry key is already accepted", headers=names_first, sentMessages=sent)
        to, messages = given.get("to"), check_messages(given, models.PushMessageRequest)
        if not isinstance(to, str) or not re.fullmatch(r"[UCR][0-9a-f]{32}", to):
            raise Refused(400, "The property, 'to', in the request body is invalid (line: -, column: -)")
        if to.startswith("U") and to not in self.customers:
            raise Refused(400, "Failed to send messages")
        if self.monthly_limit is not None and self.used >= self.monthly_limit:
            raise Refused(429, "You have reached your monthly limit.")
        self.used += 1
        sent = self._show(to, messages, "push")
        if key is not None:
            self._accepted[key] = (str(uuid.uuid4()), sent, self.now())
        return {"sentMessages": sent}

    def _reply(self, request: web.Request, given: Fields) -> Fields:
        if "X-Line-Retry-Key" in request.headers:
            raise Refused(400, "The retry key is not supported by this endpoint")
        messages = check_messages(given, models.ReplyMessageRequest)
        user_id, until = self.reply_tokens.pop(str(given.get("replyToken")), ("", 0.0))
        if until < self.now():
            raise Refused(400, "Invalid reply token")
        return {"sentMessages": self._show(user_id, messages, "reply")}

    def _show(self, to: str, messages: list[Fields], how: str) -> list[Fields]:
        sent = [{"id": self.next_id(), "quoteToken": "q"} for _ in messages]
        customer = self.customers.get(to)
        if customer is not None and not customer.has_blocked:
            customer.chat.extend({**message, "by": "account"} for message in messages)
        self.ledger.add("message", self.now(), how=how, to=to, count=len(messages))
        self.arrived.set()
        return sent

    def _info(self, request: web.Request, given: Fields) -> Fields:
        return {"userId": "U" + "0" * 32, "basicId": "@frontdesk", "displayName": "Frontdesk", "chatMode": "bot"}

    def _endpoint(self, request: web.Request, given: Fields) -> Fields:
        if not self.endpoint:
            raise Refused(404, "Not found")
        return {"endpoint": self.endpoint, "active": self.is_active}

    def _set_endpoint(self, request: web.Request, given: Fields) -> Fields:
        endpoint = given.get("endpoint")
        if not isinstance(endpoint, str) or not endpoint.startswith("https://") or len(endpoint) > 500:
            raise Refused(400, "Invalid webhook endpoint URL")
        self.endpoint = endpoint
        return {}

    def _test(self, request: web.Request, given: Fields) -> Fields:
        """Reached means: it is where the customers' messages go; nothing of a test leaves this machine."""
        reached = given.get("endpoint") == self.endpoint
        return {"success": reached, "statusCode": 200 if reached else 0, "reason": "OK" if reached else "UNREACHABLE"}

    def _quota(self, request: web.Request, given: Fields) -> Fields:
        return {"type": "none"} if self.monthly_limit is None else {"type": "limited", "value": self.monthly_limit}

    def _consumption(self, request: web.Request, given: Fields) -> Fields:
        return {"totalUsage": self.used}

    def _loading(self, request: web.Request, given: Fields) -> Fields:
        seconds = given.get("loadingSeconds", 20)
        if not USER.fullmatch(str(given.get("chatId"))) or seconds not in range(5, 61, 5):
            raise Refused(400, "The request body has 1 error(s)")
        return {}

    def _content(self, request: web.Request, given: Fields) -> web.StreamResponse:
        found = self.contents.get(request.match_info["message_id"])
        if found is None:
            raise Refused(404, "Not found")
        return web.Response(body=found[0], content_type=found[1])


async def _document(request: web.Request) -> Fields:
    if request.content_type != "application/json":
        raise Refused(415, "Unsupported media type")
    try:
        found = orjson.loads(await request.read())
    except orjson.JSONDecodeError:
        raise Refused(400, "The request body could not be parsed as JSON (line: 1, column: 1)") from None
    if not isinstance(found, dict):
        raise Refused(400, "The request body has 1 error(s)")
    return found


def _cut(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.close()
    return web.Response()


async def serve_simulator(
    host: str,
    port: int,
    ledger_file: Path | None = None,
    *,
    callback_url: str = "http://127.0.0.1:8080/channels/line/main",
    started: Callable[[str, Mapping[str, Any]], None] = lambda url, settings: None,
) -> None:
    """The stand-in as a process of its own, until cancelled; `started` is told its URL and the account's settings.

    Raises: Misconfigured when the port cannot be had.
    """
    simulator = LineSimulator(ledger_file=ledger_file)
    simulator.endpoint = callback_url
    await serve_until_cancelled(simulator, host, port, lambda: started(simulator.url, simulator.settings()))
