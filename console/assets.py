"""The console's own style and script, named by what they hold, so that browsers may keep them for good."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

_FOLDER: Final = Path(__file__).parent / "static"
_KINDS: Final = {"console.css": "text/css; charset=utf-8", "console.js": "text/javascript; charset=utf-8"}
_BYTES: Final = {name: (_FOLDER / name).read_bytes() for name in _KINDS}
TAGS: Final = {name: hashlib.sha256(content).hexdigest()[:16] for name, content in _BYTES.items()}


def asset(name: str) -> str:
    """The address of a file as it is now."""
    return f"/console/static/{name}?{TAGS[name]}"


def asset_routes() -> list[BaseRoute]:
    return [Route("/console/static/{name}", _serve, methods=["GET"])]


async def _serve(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in _BYTES:
        return Response(status_code=404)
    headers = {
        "Cache-Control": "public, max-age=31536000, immutable" if request.url.query == TAGS[name] else "no-cache",
        "X-Content-Type-Options": "nosniff",
        "ETag": f'"{TAGS[name]}"',
    }
    return Response(_BYTES[name], media_type=_KINDS[name], headers=headers)
