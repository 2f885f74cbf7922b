"""A strict stand-in for WeChat on a loopback port, for tests and for newcomers without an Official Account.

It is both: api.weixin.qq.com for us to call, and WeChat's servers calling our webhook. `async with WechatSimulator() as
sim:` gives `sim.url` (the api_base_url), `sim.account` to play followers, `sim.callbacks.url` to be told where we are,
`sim.faults` to break things and `sim.ledger` with every call. `serve_simulator()` runs it as a process of its own, with
the same controls over HTTP below /_sim/.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final, Self

import orjson
from aiohttp import web

from channels.simulators.faults import FaultPlan
from channels.simulators.ledger import Ledger
from channels.simulators.serving import serve_until_cancelled
from channels.simulators.tencent_answers import broken, json_answer
from channels.simulators.wechat_callback import ANSWER_WITHIN_S, Callbacks
from channels.simulators.wechat_control import control_routes
from channels.simulators.wechat_methods import Methods, Refused
from channels.simulators.wechat_world import Fields, OfficialAccount

# They open nothing but this stand-in.
APP_ID: Final = "wx0000000000stand1"
APP_SECRET: Final = "stand-in-secret-for-tests-and-newcomers"  # noqa: S105 - see above
TOKEN: Final = "standInToken"  # noqa: S105 - see above
AES_KEY: Final = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
ORIGINAL_ID: Final = "gh_standin00001"
MAX_BODY_BYTES: Final = 30_000_000
_ESCAPE: Final = re.compile(rb"(?<!\\)((?:\\\\)*)\\u")  # of JSON; a backslash that is itself escaped begins none
_NOT_CARRIED_OUT: Final = frozenset({"drop_request", "error_500", "error_503", "rate_limited", "errcode"})
RATE_LIMITED: Final = {"errcode": 45011, "errmsg": "api minute-quota reach limit, must slower"}


class WechatSimulator:
    """One Official Account."""

    def __init__(
        self,
        *,
        encryption: str = "plain",
        is_verified: bool = True,
        is_service_account: bool = False,
        ledger_file: Path | None = None,
        answer_within_s: float = ANSWER_WITHIN_S,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`now` gives Unix seconds."""
        self.ledger, self.faults = Ledger(ledger_file), FaultPlan()
        self.account = OfficialAccount(ORIGINAL_ID, APP_ID, self.ledger, now)
        self.account.is_verified, self.account.is_service_account = is_verified, is_service_account
        self.is_on_allow_list = True
        self.methods = Methods(self.account, APP_SECRET, allowed=lambda: self.is_on_allow_list)
        self.callbacks = Callbacks(
            self.account,
            self.faults,
            token=TOKEN,
            aes_key=AES_KEY,
            encryption=encryption,
            answer_within_s=answer_within_s,
            sleep=sleep,
        )
        self.url = ""
        self._now, self._sleep = now, sleep
        self._runner: web.AppRunner | None = None

    def settings(self) -> dict[str, Any]:
        """What an account needs to be connected to this stand-in."""
        return {
            "app_id": APP_ID,
            "app_secret": APP_SECRET,
            "token": TOKEN,
            "aes_key": AES_KEY,
            "encryption": self.callbacks.encryption,
            "kind": "service" if self.account.is_service_account else "subscription",
            "verified": self.account.is_verified,
            "api_base_url": self.url,
        }

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listening; `url` says where. Port 0 takes a free one. Raises: OSError when the port is taken."""
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_get("/cgi-bin/media/get", self._file)
        app.router.add_post("/cgi-bin/media/upload", self._upload)
        app.router.add_route("*", "/cgi-bin/{path:.+}", self._answer)
        app.add_routes(control_routes(self))
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        self.url = f"http://{host}:{self._runner.addresses[0][1]}"

    async def close(self) -> None:
        await self.callbacks.close()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        self.ledger.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    # --- answering --------------------------------------------------------------------------------------------------

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path, query = request.match_info["path"], dict(request.query)
        try:
            # WeChat shows escapes as they are: so they are no characters here either.
            body = orjson.loads(_ESCAPE.sub(rb"\1\\\\u", await request.read()) or b"{}")
        except orjson.JSONDecodeError:
            body = None

        def carry_out() -> Fields:
            if not isinstance(body, dict):
                raise Refused(47001, "data format error")
            if path == "stable_token":
                return self.methods.stable_token(body)
            self.methods.admit(query)
            method = self.methods.by_path.get(path)
            if method is None:
                raise Refused(404, "no such interface here")
            return method(body)

        touser = body.get("touser") if isinstance(body, dict) else None
        return await self._with_faults(request, path, carry_out, touser if isinstance(touser, str) else "")

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        given = (await request.post()).get("media")

        def carry_out() -> Fields:
            self.methods.admit(dict(request.query))
            if not isinstance(given, web.FileField):
                raise Refused(41005, "media data missing")
            kind = request.query.get("type", "")
            return self.methods.upload(kind, given.file.read(), given.content_type, given.filename)

        return await self._with_faults(request, "media/upload", carry_out)

    async def _file(self, request: web.Request) -> web.StreamResponse:
        try:
            self.methods.admit(dict(request.query))
            content, mime, name = self.methods.file(request.query.get("media_id", ""))
        except Refused as refused:
            self._note("media/get", "refused", refused.errcode)
            return json_answer({"errcode": refused.errcode, "errmsg": refused.errmsg})
        self._note("media/get", "ok")
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return web.Response(body=content, content_type=mime or "application/octet-stream", headers=headers)

    async def _with_faults(
        self, request: web.Request, path: str, carry_out: Callable[[], Fields], openid: str = ""
    ) -> web.StreamResponse:
        fault = self.faults.for_call(path)
        if fault and fault.kind in _NOT_CARRIED_OUT:
            self._note(path, f"fault {fault.kind}", openid=openid)
            return broken(request, fault, RATE_LIMITED)
        try:
            answer: Mapping[str, Any] = {"errcode": 0, "errmsg": "ok", **carry_out()}
            self._note(path, "ok", openid=openid)
        except Refused as refused:
            self._note(path, "refused", refused.errcode, openid=openid)
            answer = {"errcode": refused.errcode, "errmsg": f"{refused.errmsg} rid: stand-in", **refused.fields}
        if fault and fault.kind == "late_answer":
            await self._sleep(fault.seconds)
        elif fault:
            return broken(request, fault, RATE_LIMITED)
        return json_answer(answer)

    def _note(self, path: str, outcome: str, errcode: int = 0, *, openid: str = "") -> None:
        more = {"chat_id": openid} if openid else {}
        self.ledger.add("call", self._now(), method=path, outcome=outcome, errcode=errcode, **more)
        self.account.pulse.beat()


async def serve_simulator(
    host: str,
    port: int,
    ledger_file: Path | None = None,
    *,
    callback_url: str = "http://127.0.0.1:8080/channels/wechat/main",
    started: Callable[[str, Mapping[str, Any]], None] = lambda url, settings: None,
) -> None:
    """The stand-in as a process of its own, until cancelled; `started` is told its URL and the account's settings.

    Raises: Misconfigured when the port cannot be had.
    """
    simulator = WechatSimulator(ledger_file=ledger_file)
    simulator.callbacks.url = callback_url
    await serve_until_cancelled(simulator, host, port, lambda: started(simulator.url, simulator.settings()))
