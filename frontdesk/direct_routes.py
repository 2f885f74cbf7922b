"""What channels are sent most goes straight to its route, past the layers in which everything else is looked up.

Starlette tries routes one after the other inside three layers of error handling, which cost as much as reading a
message. A request whose method and path are known beforehand needs the layers only when it fails.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from inspect import iscoroutinefunction
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Message, Receive, Scope, Send

ErrorHandler = Callable[[Request, Exception], Awaitable[Response]]


class DirectRoutes:
    """An ASGI application: `app`, and in front of it these routes of these accounts, which `app` has as well.

    `handlers` answer errors by their class; `unexpected` answers any other, which is then raised again for the log.
    """

    def __init__(
        self,
        app: Starlette,
        routes: Iterable[tuple[BaseRoute, Iterable[str]]],
        handlers: Mapping[type[Exception], ErrorHandler],
        unexpected: ErrorHandler,
    ) -> None:
        self._app, self._unexpected = app, unexpected
        self._handlers: tuple[dict[Any, ErrorHandler], dict[int, ErrorHandler]] = (dict(handlers), {})
        self._places: dict[tuple[str, str], tuple[Route, str, bool]] = {}
        for route, accounts in routes:
            if isinstance(route, Route) and set(route.param_convertors) == {"account"}:
                for account in accounts:
                    place = route, account, iscoroutinefunction(route.endpoint)
                    for method in route.methods or ("GET", "POST"):
                        self._places.setdefault((method, route.path.format(account=account)), place)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._places.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if found is None:
            await self._app(scope, receive, send)
            return
        route, account, is_function = found
        scope["app"], scope["endpoint"], scope["path_params"] = self._app, route.endpoint, {"account": account}
        if is_function:
            await self._answer(route.endpoint, scope, receive, send)
        else:
            await self._pass_on(route, scope, receive, send)

    async def _answer(
        self, endpoint: Callable[[Request], Awaitable[Response]], scope: Scope, receive: Receive, send: Send
    ) -> None:
        """What a function of the request answers; of an error raised before there is an answer, its handler's."""
        request = Request(scope, receive, send)
        try:
            response = await endpoint(request)
        except Exception as error:
            handler = next((found for kind in type(error).__mro__ if (found := self._handlers[0].get(kind))), None)
            await (await (handler or self._unexpected)(request, error))(scope, receive, send)
            if handler is None:
                raise
            return
        await response(scope, receive, send)

    async def _pass_on(self, route: Route, scope: Scope, receive: Receive, send: Send) -> None:
        scope["starlette.exception_handlers"] = self._handlers
        has_begun = False

        async def note_and_send(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await route.app(scope, receive, note_and_send)
        except Exception as error:
            if not has_begun:
                answer: Any = await self._unexpected(Request(scope), error)
                await answer(scope, receive, send)
            raise
