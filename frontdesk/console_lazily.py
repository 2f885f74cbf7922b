"""The console, loaded when somebody of the staff first opens it: its pages and what they stand on take 20 MB.

It comes in three steps, so that nobody waits for what they do not look at yet: the door, where people sign in; the
inbox, loaded while they do so; and the other screens, loaded once the inbox was shown.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from starlette.responses import RedirectResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from frontdesk.lazily import Lazily
from frontdesk.serving import supervise

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from frontdesk.app import App
    from frontdesk.console_door import ConsoleDoor
    from frontdesk.console_mount import ConsoleInbox

SIGN_IN: Final = "/console/sign-in"
AT_DOOR: Final = (
    "/console/",
    SIGN_IN,
    f"{SIGN_IN}/return",
    "/console/oidc/start",
    "/console/sign-out",
    "/console/lock",
)
FILES: Final = "/console/static/"
IN_INBOX: Final = ("inbox", "live", "me", "presence", "views", "notices", "find")


class LazyConsole:
    """Stands for the console until it is there; `close` ends its streams."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._door: ConsoleDoor | None = None
        self._inbox: ConsoleInbox | None = None
        self._hub: asyncio.Task[None] | None = None
        self._at_door = Lazily(self._build_door, whole_path=True)
        self._in_inbox = Lazily(self._build_inbox, built=self._start, whole_path=True)
        self._on_screens = Lazily(self._build_screens, whole_path=True)

    def routes(self) -> list[BaseRoute]:
        return [Route("/console", _home, methods=["GET"]), Mount("/console", self._serve)]

    async def close(self) -> None:
        if self._inbox is not None:
            self._inbox.close()
        if self._door is not None:
            await self._door.close()
        if self._hub is not None:
            self._hub.cancel()

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        if path in AT_DOOR or path.startswith(FILES):
            await self._at_door(scope, receive, send)
            if path == SIGN_IN:  # somebody is about to come in
                self._in_inbox.prepare()
            return
        await self._at_door.ready()
        if path.split("/")[2] in IN_INBOX:
            try:
                await self._in_inbox(scope, receive, send)
            finally:
                self._on_screens.prepare()
        else:
            await self._in_inbox.ready()
            await self._on_screens(scope, receive, send)

    def _build_door(self) -> ASGIApp:
        from starlette.applications import Starlette

        from frontdesk.console_door import ConsoleDoor

        self._door = ConsoleDoor(self._app)
        return Starlette(routes=self._door.routes())

    def _build_inbox(self) -> ASGIApp:
        from starlette.applications import Starlette

        from frontdesk.console_mount import ConsoleInbox

        assert self._door is not None  # noqa: S101 - nobody is let further before it is there
        self._inbox = ConsoleInbox(self._app, self._door)
        return Starlette(routes=self._inbox.routes())

    def _build_screens(self) -> ASGIApp:
        from starlette.applications import Starlette

        from frontdesk.console_screens import screen_routes

        assert self._inbox is not None  # noqa: S101 - likewise
        return Starlette(routes=screen_routes(self._app, self._inbox))

    def _start(self) -> None:
        """In the loop, once it is built: open consoles hear of what changes."""
        if self._inbox is not None and self._hub is None:
            self._hub = asyncio.create_task(supervise("console", self._inbox.hub.run), name="console")


async def _home(request: Request) -> Response:
    return RedirectResponse("/console/", 303)
