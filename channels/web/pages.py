"""The widget, and the customer page it stands on when a business has no site of its own."""

from __future__ import annotations

import gzip
import hashlib
import html
from collections.abc import Mapping
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from config.settings import WebSettings

STATIC = Path(__file__).parent.parent / "static"
DEFAULT_TITLE = {"zh": "在线客服", "en": "Customer service"}
_PAGE_HEADERS = {
    # The widget brings its own style through a constructed sheet, which needs no 'unsafe-inline'.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' data: blob: https:; media-src 'self' https:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), geolocation=(self), microphone=()",
    "Cache-Control": "no-cache",
    "Vary": "Accept-Language, Accept-Encoding",
}
_ASSET_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "public, max-age=300, stale-while-revalidate=86400",
    "Vary": "Accept-Encoding",
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
}


def compact(source: str) -> str:
    """The same script or style sheet without indentation, empty lines and lines that only hold a // comment.

    What stands in a line is left alone, so no text of ours may depend on how a line begins.
    """
    lines = (line.strip() for line in source.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("//")) + "\n"


class Asset:
    """A script or style sheet served from memory, made smaller once."""

    def __init__(self, path: Path, media_type: str) -> None:
        self._plain = compact(path.read_text(encoding="utf-8")).encode()
        self._gzipped = gzip.compress(self._plain, mtime=0)
        self._etag = f'W/"{hashlib.sha256(self._plain).hexdigest()[:20]}"'
        self._media_type = media_type

    async def __call__(self, request: Request) -> Response:
        headers = {**_ASSET_HEADERS, "ETag": self._etag}
        if self._etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return _compressed(request, self._plain, self._gzipped, self._media_type, headers)


class CustomerPage:
    """The page of account `default`, in the language the browser asks for (`?lang=zh|en` overrides)."""

    def __init__(self, settings: WebSettings) -> None:
        self._preferred = settings.language or "zh"
        self._pages = {language: self._render(language, settings.title) for language in ("zh", "en")}

    async def __call__(self, request: Request) -> Response:
        wanted = request.query_params.get("lang", "")
        language = wanted if wanted in self._pages else self._accepted(request.headers.get("accept-language", ""))
        plain = self._pages[language]
        headers = {**_PAGE_HEADERS, "Content-Language": language}
        return _compressed(request, plain, None, "text/html; charset=utf-8", headers)

    def _accepted(self, header: str) -> str:
        for entry in header.lower().split(","):
            language = entry.split(";")[0].strip()[:2]
            if language in self._pages:
                return language
        return self._preferred

    @staticmethod
    def _render(language: str, title: str) -> bytes:
        page = (STATIC / f"page.{language}.html").read_text(encoding="utf-8")
        return page.replace("{{title}}", html.escape(title or DEFAULT_TITLE[language])).encode()


def page_routes(accounts: Mapping[str, WebSettings]) -> list[BaseRoute]:
    """GET /widget.js with the file it loads when needed, and GET / with its style sheet."""
    scripts = ("widget.js", "widget-more.js")
    return [
        *(
            Route(f"/{name}", Asset(STATIC / name, "text/javascript; charset=utf-8").__call__, methods=["GET"])
            for name in scripts
        ),
        Route("/page.css", Asset(STATIC / "page.css", "text/css; charset=utf-8").__call__, methods=["GET"]),
        Route("/", CustomerPage(accounts["default"]).__call__, methods=["GET"]),
    ]


def _compressed(
    request: Request, plain: bytes, gzipped: bytes | None, media_type: str, headers: Mapping[str, str]
) -> Response:
    if gzipped is not None and "gzip" in request.headers.get("accept-encoding", ""):
        return Response(gzipped, headers={**headers, "Content-Encoding": "gzip"}, media_type=media_type)
    return Response(plain, headers=dict(headers), media_type=media_type)
