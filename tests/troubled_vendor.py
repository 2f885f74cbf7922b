"""A vendor that answers every call alike: with what a test says, by hanging up, or not at all."""

from __future__ import annotations

import asyncio
from typing import Self

from aiohttp import web

CUT = (0, b"cut")  # the connection ends after the request was read
SILENCE = (0, b"silence")  # nothing ever comes back


class TroubledVendor:
    def __init__(self) -> None:
        self.says: tuple[int, bytes] = (200, b"{}")
        self.calls: list[tuple[str, bytes]] = []  # path, body
        self.url = ""
        self._over = asyncio.Event()

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._over.set()
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        self.calls.append((request.path, await request.read()))
        if self.says == SILENCE:
            await self._over.wait()
        if self.says in (CUT, SILENCE):
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        status, body = self.says
        return web.Response(status=status, body=body, content_type="application/json")
