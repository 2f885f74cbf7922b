"""The HTTP face of one process: channel routes, health, numbers, the API, the console."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from bot.errors import InputError, NotFound, RateLimited, ServiceError, SignatureInvalid
from crm_sync.site_links import SiteLinks
from frontdesk.api_mount import api_routes
from frontdesk.app import App
from frontdesk.clock import SystemClock
from frontdesk.direct_routes import DirectRoutes, ErrorHandler
from frontdesk.feed_routes import FeedDesk, feed_routes
from frontdesk.link_routes import LinkDesk, link_routes
from frontdesk.media_routes import media_routes
from frontdesk.site_routes import SiteDesk, site_routes

log = structlog.get_logger()


def build_http(app: App) -> DirectRoutes:
    """The ASGI application of the roles `web` and `console`."""
    posted = [(kit, kit.routes(app)) for kit in app.kits]
    routes: list[BaseRoute] = [
        *(route for _, its_routes in posted for route in its_routes),
        Route("/healthz", _healthz, methods=["GET"]),
        Route("/readyz", _readyz(app), methods=["GET"]),
        Route("/metrics", _metrics, methods=["GET"]),
        *(app.console.routes() if app.console is not None else ()),
        *media_routes(app.media),
        *site_routes(_site_desk(app)),
        *feed_routes(_feed_desk(app)),
        *link_routes(LinkDesk(app.store.database, app.secret_keys, SystemClock())),
        *api_routes(app),
    ]
    handlers: dict[type[Exception], ErrorHandler] = {
        HTTPException: _http_error,
        InputError: _input_error,
        NotFound: _not_found,
        ServiceError: _service_error,
    }
    return DirectRoutes(
        Starlette(routes=routes, exception_handlers={**handlers, Exception: _unexpected}),
        [(route, kit.adapters) for kit, its_routes in posted for route in its_routes],
        handlers,
        _unexpected,
    )


def _site_desk(app: App) -> SiteDesk:
    links = SiteLinks(app.secret_keys, base_url=app.settings.public_url)
    runtimes = app.runtimes
    return SiteDesk(app.store.database, links, SystemClock(), runtimes.policy, runtimes.assistant_of, app.media.link)


def _feed_desk(app: App) -> FeedDesk:
    return FeedDesk(app.store.database, app.settings.feeds, SystemClock(), app.signals, app.runtimes.default_assistant)


async def _healthz(request: Request) -> Response:
    return JSONResponse({"status": "ok"})


def _readyz(app: App) -> Callable[[Request], Awaitable[Response]]:
    async def readyz(request: Request) -> Response:
        """Ready means: the store answers, its migrations are current, an assistant is loaded."""
        checks = {"nlu": app.runtimes.is_ready()}
        try:
            checks["migrations"] = await app.store.is_current()
            checks["store"] = True
        except ServiceError:
            checks["store"] = checks["migrations"] = False
        ready = all(checks.values())
        return JSONResponse({"ready": ready, **checks}, status_code=200 if ready else 503)

    return readyz


async def _metrics(request: Request) -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


def _refusal(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": {"code": code, "message": message}}, status_code=status, headers=headers)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - Starlette's handler signature is wider than its calls
    return _refusal(error.status_code, "http_error", str(error.detail), dict(error.headers or {}))


async def _input_error(request: Request, error: Exception) -> Response:
    if isinstance(error, SignatureInvalid):
        return _refusal(401, "not_verified", "The sender could not be verified.")
    return _refusal(400, "bad_input", "The request could not be read.")


async def _not_found(request: Request, error: Exception) -> Response:
    return _refusal(404, "not_found", "There is nothing here.")


async def _service_error(request: Request, error: Exception) -> Response:
    retry_after_s = error.retry_after_s if isinstance(error, RateLimited) else 2
    log.error("request_not_served", path=request.url.path, error=type(error).__name__)
    return _refusal(503, "unavailable", "Please try again shortly.", {"Retry-After": str(int(retry_after_s) or 1)})


async def _unexpected(request: Request, error: Exception) -> Response:
    # Starlette raises it again and uvicorn logs it.
    return _refusal(500, "internal", "Something went wrong on our side.")
