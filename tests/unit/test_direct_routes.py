"""Routes that go past the application's layers behave as they do behind them."""

from __future__ import annotations

from collections.abc import Mapping

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from bot.errors import InputError
from frontdesk.direct_routes import DirectRoutes, ErrorHandler

POSTED = "/channels/some/main"


async def greet(request: Request) -> Response:
    return PlainTextResponse(f"hello {request.path_params['account']}")


async def refuse(request: Request) -> Response:
    raise InputError


async def break_down(request: Request) -> Response:
    raise LookupError


async def _bad_input(request: Request, error: Exception) -> Response:
    return JSONResponse({"code": "bad_input"}, status_code=400)


async def _internal(request: Request, error: Exception) -> Response:
    return JSONResponse({"code": "internal"}, status_code=500)


def client(endpoint: object) -> httpx.AsyncClient:
    route = Route("/channels/some/{account}", endpoint, methods=["POST"])  # type: ignore[arg-type]
    handlers: Mapping[type[Exception], ErrorHandler] = {InputError: _bad_input}
    behind = Starlette(routes=[route], exception_handlers={**handlers, Exception: _internal})
    app = DirectRoutes(behind, [(route, ["main"])], handlers, _internal)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://desk")


@pytest.mark.parametrize(("path", "words"), [(POSTED, "hello main"), ("/channels/some/other", "hello other")])
async def test_an_account_known_beforehand_is_served_like_any_other(path: str, words: str) -> None:
    async with client(greet) as asked:
        assert (await asked.post(path)).text == words


async def test_another_method_is_refused_by_the_application_behind() -> None:
    async with client(greet) as asked:
        answer = await asked.get(POSTED)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(("endpoint", "status", "code"), [(refuse, 400, "bad_input"), (break_down, 500, "internal")])
async def test_errors_are_answered_as_they_are_behind_the_layers(endpoint: object, status: int, code: str) -> None:
    async with client(endpoint) as asked:
        answers = [await asked.post(path) for path in (POSTED, "/channels/some/other")]
    assert [(answer.status_code, answer.json()) for answer in answers] == [(status, {"code": code})] * 2


async def test_a_bug_is_raised_again_for_the_log() -> None:
    route = Route("/channels/some/{account}", break_down, methods=["POST"])
    app = DirectRoutes(Starlette(routes=[route]), [(route, ["main"])], {}, _internal)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://desk") as asked:
        with pytest.raises(LookupError):
            await asked.post(POSTED)
