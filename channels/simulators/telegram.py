"""A strict stand-in for api.telegram.org on a loopback port, for tests and for newcomers without a bot account.

`async with TelegramSimulator() as sim:` gives `sim.url` (the api_base_url), `sim.token`, `sim.user(42)` to play a
customer, `sim.faults` to break things and `sim.ledger` with every call. `serve_simulator()` runs it as a process of its
own, with the same controls over HTTP below /_sim/.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any, Final, Self

import orjson
import structlog
from aiohttp import web

from channels.simulators.faults import Fault, FaultPlan
from channels.simulators.ledger import Ledger
from channels.simulators.serving import serve_until_cancelled
from channels.simulators.telegram_control import control_routes
from channels.simulators.telegram_flood import Flood, Limits
from channels.simulators.telegram_messages import Messages, Upload
from channels.simulators.telegram_methods import Methods
from channels.simulators.telegram_params import Refused
from channels.simulators.telegram_webhook import WebhookDelivery
from channels.simulators.telegram_world import Customer, Fields, Group, SimulatedBot

log = structlog.get_logger()

DEFAULT_TOKEN = "1000001:stand-in-token-for-tests-and-newcomers"  # noqa: S105 - opens nothing but this stand-in
NOTED: Final[frozenset[str]] = frozenset(
    {"chat_id", "text", "caption", "reply_markup", "photo", "callback_query_id", "action", "message_id"}
    | {"offset", "timeout", "limit", "url", "parse_mode", "allow_paid_broadcast", "link_preview_options", "media"}
    | {"message_thread_id", "disable_notification"}
)
MAX_BODY_BYTES = 50_000_000  # Bot API: files up to 50 MB


class TelegramSimulator:
    """One stand-in server with any number of bots."""

    def __init__(
        self,
        token: str = DEFAULT_TOKEN,
        *,
        username: str = "frontdesk_bot",
        limits: Limits | None = None,
        ledger_file: Path | None = None,
        allow_local_webhooks: bool = True,
        is_local: bool = False,
        webhook_delay_s: float = 1.0,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`is_local`: as a Bot API server started with --local. `now` gives Unix seconds.

        `webhook_delay_s` is the first pause between two deliveries of an update.
        """
        self.token = token
        self.ledger = Ledger(ledger_file)
        self.faults = FaultPlan()
        self.limits = limits or Limits()
        self.bots: dict[str, SimulatedBot] = {}
        self.url = ""
        self._now, self._monotonic, self._sleep = now, monotonic, sleep
        self._is_local = is_local
        self._allow_local_webhooks, self._webhook_delay_s = allow_local_webhooks, webhook_delay_s
        self._methods: dict[str, Methods] = {}
        self._deliveries: dict[str, WebhookDelivery] = {}
        self._runner: web.AppRunner | None = None
        self.bot = self.add_bot(token, username)

    def add_bot(self, token: str, username: str) -> SimulatedBot:
        bot = SimulatedBot(token, username, self.ledger, self._now)
        self.bots[token] = bot
        messages = Messages(bot, self.limits, Flood(self._monotonic), is_local=self._is_local)
        self._methods[token] = Methods(
            bot,
            messages,
            allow_local_webhooks=self._allow_local_webhooks,
            on_webhook=lambda: self._deliver_from_now_on(bot),
        )
        return bot

    def user(self, user_id: int, name: str = "", language: str = "en", *, bot: SimulatedBot | None = None) -> Customer:
        """The customer with this id, known to Telegram from now on."""
        customers = (bot or self.bot).customers
        if user_id not in customers:
            customers[user_id] = Customer(bot or self.bot, user_id, name or f"User {user_id}", language)
        return customers[user_id]

    def group(self, chat_id: int, title: str = "", *, bot: SimulatedBot | None = None) -> Group:
        """The group with this (negative) id; the bot is in it."""
        customers = (bot or self.bot).customers
        if chat_id not in customers:
            customers[chat_id] = Group(bot or self.bot, chat_id, title or f"Group {chat_id}")
        found = customers[chat_id]
        if not isinstance(found, Group):
            raise TypeError(f"{chat_id} is a person")
        return found

    # --- serving ----------------------------------------------------------------------------------------------------

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listening; `url` says where. Port 0 takes a free one. Raises: OSError when the port is taken."""
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.on_response_prepare.append(self._date)
        app.router.add_route("*", "/bot{token:[^/]+}/{method}", self._answer)
        app.router.add_get("/file/bot{token:[^/]+}/documents/{file_id}", self._give_file)
        app.add_routes(control_routes(self))
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        bound_port = self._runner.addresses[0][1]
        self.url = f"http://{host}:{bound_port}"

    async def close(self) -> None:
        for delivery in self._deliveries.values():
            await delivery.close()
        self._deliveries.clear()
        for bot in self.bots.values():
            bot.poll_number += 1  # waiting getUpdates calls end
            bot.pulse.beat()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        self.ledger.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    def _deliver_from_now_on(self, bot: SimulatedBot) -> None:
        if bot.token not in self._deliveries:
            self._deliveries[bot.token] = WebhookDelivery(bot, self.faults, self._sleep, self._webhook_delay_s)

    # --- answering --------------------------------------------------------------------------------------------------

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        method, token = request.match_info["method"], request.match_info["token"]
        bot = self.bots.get(token)
        if bot is None:
            return _refusal(Refused(401, "Unauthorized"))
        if request.method not in {"GET", "POST"}:
            return _refusal(Refused(405, "Method Not Allowed"))
        try:
            params = await _params(request)
        except Refused as refused:
            return _refusal(refused)
        fault = self.faults.for_call(method)
        kind = fault.kind if fault else ""
        if fault and kind in {"drop_request", "error_500", "error_503", "rate_limited", "unparsable"}:
            self._note(bot, method, params, fault=kind, outcome="not carried out")
            return _broken(request, fault)
        try:
            outcome = await self._methods[token].call(method, params)
        except Refused as refused:
            self._note(bot, method, params, outcome="refused", status=refused.status, description=refused.description)
            return _refusal(refused)
        self._note(bot, method, params, fault=kind, outcome="ok", **_worth_noting(outcome))
        if fault:
            if kind == "late_answer":
                await asyncio.sleep(fault.seconds)
            else:
                return _broken(request, fault)
        return self._success(method, outcome)

    async def _date(self, request: web.Request, response: web.StreamResponse) -> None:
        response.headers["Date"] = format_datetime(datetime.fromtimestamp(self._now(), UTC), usegmt=True)

    async def _give_file(self, request: web.Request) -> web.StreamResponse:
        bot = self.bots.get(request.match_info["token"])
        content = bot.files.get(request.match_info["file_id"]) if bot else None
        if content is None:
            return _refusal(Refused(404, "Not Found"))
        fault = self.faults.for_call("download")
        if fault:
            return _broken(request, fault)
        return web.Response(body=content, content_type="application/octet-stream")

    def _success(self, method: str, outcome: Any) -> web.Response:
        body = orjson.dumps({"ok": True, "result": outcome})
        if method.lower() == "getupdates" and outcome:
            body = self._spoil(outcome)
        return web.Response(body=body, content_type="application/json")

    def _spoil(self, updates: list[Fields]) -> bytes:
        """A batch with the planned faults worked in."""
        if len(updates) > 1 and self.faults.for_updates("reorder_updates"):
            updates = updates[::-1]
        if self.faults.for_updates("duplicate_update"):
            updates = [updates[0], *updates]
        middle = (len(updates) + 1) // 2
        pieces = [orjson.dumps(update) for update in updates]
        if self.faults.for_updates("malformed_update"):
            pieces.insert(middle, b'{"update_id":"x","message":{"chat":7,"text":["no"]}}')
        if self.faults.for_updates("broken_json"):
            pieces.insert(middle, b'{"update_id":1,"message":{"text":"\\ud83d","from":nul}}')
        return b'{"ok":true,"result":[' + b",".join(pieces) + b"]}"

    def _note(self, bot: SimulatedBot, method: str, params: Fields, **fields: Any) -> None:
        told = {name: params[name] for name in NOTED if isinstance(params.get(name), str | int | dict | list)}
        self.ledger.add("call", self._now(), bot=bot.id, method=method, **{**told, **fields})
        bot.pulse.beat()


def _worth_noting(outcome: Any) -> Fields:
    if isinstance(outcome, dict) and "message_id" in outcome:
        return {"message_id": outcome["message_id"]}
    if isinstance(outcome, list):
        return {"update_ids": [item["update_id"] for item in outcome if "update_id" in item]}
    return {}


async def _params(request: web.Request) -> Fields:
    """Parameters from the query string, a form or a JSON object, as the Bot API takes them. Raises: Refused."""
    params: Fields = dict(request.query)
    if request.content_type == "application/json":
        body = await request.read()
        try:
            found = orjson.loads(body or b"{}")
        except orjson.JSONDecodeError:
            raise Refused(400, "Bad Request: can't parse JSON object") from None
        if not isinstance(found, dict):
            raise Refused(400, "Bad Request: can't parse JSON object")
        return params | found
    form = await request.post()
    for name, given in form.items():
        params[name] = (
            Upload(given.filename, given.file.read()) if isinstance(given, web.FileField) else _as_text(given)
        )
    return params


def _as_text(given: Any) -> str:
    return given if isinstance(given, str) else bytes(given).decode("utf-8", "replace")


def _refusal(refused: Refused) -> web.Response:
    answer: Fields = {"ok": False, "error_code": refused.status, "description": refused.description}
    if refused.parameters:
        answer["parameters"] = refused.parameters
    return web.Response(status=refused.status, body=orjson.dumps(answer), content_type="application/json")


def _broken(request: web.Request, fault: Fault) -> web.Response:
    if fault.kind == "rate_limited":
        wait_s = int(fault.seconds)
        return _refusal(Refused(429, f"Too Many Requests: retry after {wait_s}", retry_after=wait_s))
    if fault.kind == "unparsable":
        return _refusal(Refused(400, 'Bad Request: can\'t parse entities: Unsupported start tag "b" at byte offset 0'))
    if fault.kind == "error_500":
        return _refusal(Refused(500, "Internal Server Error"))
    if fault.kind == "error_503":
        return _refusal(Refused(503, "Service Unavailable"))
    if fault.kind == "error_502":
        return web.Response(status=502, text="<html><title>502 Bad Gateway</title></html>", content_type="text/html")
    if fault.kind == "odd_answer":
        return web.Response(body=b'{"ok":true,"result":{"message_id":1}}', content_type="application/json")
    if fault.kind == "unreadable_answer":
        return web.Response(body=b'{"ok":tru', content_type="application/json")
    if request.transport is not None:
        request.transport.close()
    return web.Response()


async def serve_simulator(
    host: str,
    port: int,
    ledger_file: Path | None = None,
    *,
    token: str = DEFAULT_TOKEN,
    started: Callable[[str, str], None] = lambda url, token: None,
) -> None:
    """The stand-in as a process of its own, until cancelled; `started` is told its URL and the bot's token.

    Raises: Misconfigured when the port cannot be had.
    """
    simulator = TelegramSimulator(token, ledger_file=ledger_file)
    await serve_until_cancelled(simulator, host, port, lambda: started(simulator.url, token))
