"""Parts of the HTTP face that are put together when somebody first asks for them, so that no start pays for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send


class Lazily:
    """An ASGI application that is built in a thread at its first request; the loop goes on meanwhile.

    `whole_path`: it is asked with the path as it came, not with what is left behind its mount.
    """

    def __init__(
        self, build: Callable[[], ASGIApp], *, built: Callable[[], None] = lambda: None, whole_path: bool = False
    ) -> None:
        self._build, self._when_built, self._whole_path = build, built, whole_path
        self._app: asyncio.Future[ASGIApp] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = await self.ready()
        await app({**scope, "root_path": ""} if self._whole_path else scope, receive, send)

    def prepare(self) -> asyncio.Future[ASGIApp]:
        """It is being built from now on, if it is not there; somebody will ask for it soon."""
        if self._app is None or (self._app.done() and self._app.exception() is not None):
            self._app = asyncio.ensure_future(self._make())
        return self._app

    async def ready(self) -> ASGIApp:
        """The application, once it is built."""
        return await asyncio.shield(self.prepare())  # who hangs up meanwhile ends only their own request

    async def _make(self) -> ASGIApp:
        app = await asyncio.to_thread(self._build)
        self._when_built()
        return app
