"""`GET /r/{token}`: a link of a broadcast leads where its author said, and the click is known to be that person's.

Only addresses stored with the broadcast are led to, so that a forged token opens nothing. Messengers look at links to
draw a preview: what says that it is a robot, and every HEAD, is led on without counting.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from bot.ports import Clock
from bot.reach.short_links import PATH, verified
from crm_sync import clicks
from crm_sync.database import Database

_ROBOT: Final = re.compile(
    r"bot\b|crawl|spider|preview|facebookexternalhit|whatsapp/|slurp|headless|python-requests|curl/", re.IGNORECASE
)
_HEADERS: Final = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex"}


@dataclass(frozen=True, slots=True)
class LinkDesk:
    """`keys` are the deployment's secret keys, the present one first."""

    database: Database
    keys: Sequence[bytes]
    clock: Clock


def link_routes(desk: LinkDesk) -> list[BaseRoute]:
    return [Route(PATH + "{token}", _follow(desk), methods=["GET"])]


def _follow(desk: LinkDesk) -> Callable[[Request], Awaitable[Response]]:
    async def follow(request: Request) -> Response:
        link = verified(request.path_params["token"], desk.keys)
        if link is None:
            return _nothing()
        if request.method == "HEAD" or _ROBOT.search(request.headers.get("user-agent", "")):
            url = await desk.database.run(lambda conn: clicks.target(conn, *link), read=True)
        else:
            now = desk.clock.now()
            url = await desk.database.run(lambda conn: clicks.follow(conn, *link, now))
        return _nothing() if url is None else RedirectResponse(url, status_code=302, headers=_HEADERS)

    return follow


def _nothing() -> Response:
    return PlainTextResponse("This link leads nowhere.\n这个链接没有内容。\n", status_code=404, headers=_HEADERS)
