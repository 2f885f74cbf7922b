"""A strict stand-in for qyapi.weixin.qq.com on a loopback port, for tests and for newcomers without a company there.

`async with WecomSimulator() as sim:` gives `sim.url` (the api_base_url), `sim.company` to play members, customers and
colleagues, `sim.faults` to break things and `sim.ledger` with every call. `serve_simulator()` runs it as a process of
its own, with the same controls over HTTP below /_sim/.
"""

from __future__ import annotations

import asyncio
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
from channels.simulators.wecom_callback import Callbacks
from channels.simulators.wecom_control import control_routes
from channels.simulators.wecom_methods import Credentials, Methods, Refused
from channels.simulators.wecom_world import Company, Fields

# They open nothing but this stand-in.
CORP_ID: Final = "ww0000000000stand1"
SECRET: Final = "stand-in-secret-for-tests-and-newcomers"  # noqa: S105 - see above
TOKEN: Final = "standInToken"  # noqa: S105 - see above
AES_KEY: Final = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
AGENT_ID: Final = 1000002
OPEN_KFID: Final = "wkStandIn0001"
MAX_BODY_BYTES: Final = 30_000_000
_NOT_CARRIED_OUT: Final = frozenset({"drop_request", "error_500", "error_503", "rate_limited", "errcode"})
RATE_LIMITED: Final = {"errcode": 45009, "errmsg": "api freq out of limit"}


class WecomSimulator:
    """One company with one application, which also answers for its 微信客服."""

    def __init__(
        self,
        *,
        ledger_file: Path | None = None,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        callback_delay_s: float = 1.0,
    ) -> None:
        """`now` gives Unix seconds; `callback_delay_s` is the pause between two tries of a callback."""
        self.ledger, self.faults = Ledger(ledger_file), FaultPlan()
        self.company = Company(CORP_ID, AGENT_ID, self.ledger, now)
        self.company.add_kf(OPEN_KFID)
        self.credentials = Credentials(CORP_ID, SECRET)
        self.methods = Methods(self.company, self.credentials, self.faults)
        self.callbacks = Callbacks(
            self.company, self.faults, token=TOKEN, aes_key=AES_KEY, sleep=sleep, delay_s=callback_delay_s
        )
        self.url = ""
        self._now, self._sleep = now, sleep
        self._runner: web.AppRunner | None = None

    def settings(self) -> dict[str, Any]:
        """What an account needs to be connected to this company."""
        return {
            "corp_id": CORP_ID,
            "secret": SECRET,
            "token": TOKEN,
            "aes_key": AES_KEY,
            "agent_id": AGENT_ID,
            "kf": True,
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
            body = orjson.loads(await request.read() or b"{}")
        except orjson.JSONDecodeError:
            return json_answer({"errcode": 47001, "errmsg": "data format error"})
        body = body if isinstance(body, dict) else {}

        def carry_out() -> Fields:
            if path == "gettoken":
                return self.methods.gettoken(query)
            self.methods.admit(query)
            method = self.methods.by_path.get(path)
            if method is None:
                raise Refused(404, "no such interface here")
            return method(query, body)

        return await self._with_faults(request, path, carry_out)

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        form = await request.post()
        given = form.get("media")

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
        self, request: web.Request, path: str, carry_out: Callable[[], Fields]
    ) -> web.StreamResponse:
        fault = self.faults.for_call(path)
        if fault and fault.kind in _NOT_CARRIED_OUT:
            self._note(path, f"fault {fault.kind}")
            return broken(request, fault, RATE_LIMITED)
        try:
            answer: Mapping[str, Any] = {"errcode": 0, "errmsg": "ok", **carry_out()}
            self._note(path, "ok")
        except Refused as refused:
            self._note(path, "refused", refused.errcode)
            answer = {"errcode": refused.errcode, "errmsg": f"{refused.errmsg}, hint: [stand-in]"}
        if fault and fault.kind == "late_answer":
            await self._sleep(fault.seconds)
        elif fault:
            return broken(request, fault, RATE_LIMITED)
        return json_answer(answer)

    def _note(self, path: str, outcome: str, errcode: int = 0) -> None:
        self.ledger.add("call", self._now(), method=path, outcome=outcome, errcode=errcode)
        self.company.pulse.beat()


async def serve_simulator(
    host: str,
    port: int,
    ledger_file: Path | None = None,
    *,
    callback_url: str = "http://127.0.0.1:8080/channels/wecom/main",
    started: Callable[[str, Mapping[str, Any]], None] = lambda url, settings: None,
) -> None:
    """The stand-in as a process of its own, until cancelled; `started` is told its URL and the account's settings.

    Raises: Misconfigured when the port cannot be had.
    """
    simulator = WecomSimulator(ledger_file=ledger_file)
    simulator.callbacks.url = callback_url
    await serve_until_cancelled(simulator, host, port, lambda: started(simulator.url, simulator.settings()))
