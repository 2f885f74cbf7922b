"""The console, loaded when somebody of the staff first opens it: its pages and what they stand on take 20 MB."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.responses import RedirectResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp

from frontdesk.lazily import Lazily
from frontdesk.serving import supervise

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from frontdesk.app import App
    from frontdesk.console_mount import ConsoleRole


class LazyConsole:
    """Stands for the console until it is there; `close` ends its streams."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._role: ConsoleRole | None = None
        self._hub: asyncio.Task[None] | None = None

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/console", _home, methods=["GET"]),
            Mount("/console", Lazily(self._build, built=self._start, whole_path=True)),
        ]

    async def close(self) -> None:
        if self._role is not None:
            await self._role.close()
        if self._hub is not None:
            self._hub.cancel()

    def _build(self) -> ASGIApp:
        from starlette.applications import Starlette

        from frontdesk.console_mount import ConsoleRole

        self._role = ConsoleRole(self._app)
        return Starlette(routes=self._role.routes())

    def _start(self) -> None:
        """In the loop, once it is built: open consoles hear of what changes."""
        if self._role is not None and self._hub is None:
            self._hub = asyncio.create_task(supervise("console", self._role.hub.run), name="console")


async def _home(request: Request) -> Response:
    return RedirectResponse("/console/", 303)
