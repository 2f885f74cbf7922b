"""The routes of the inbox."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from console.frame import Frame, Visit, screen
from console.inbox import InboxScreen
from console.inbox_acts import ACTS, ActingScreen
from console.inbox_beside import BesideScreen
from console.inbox_desk import InboxServices


def inbox_routes(frame: Frame, services: InboxServices) -> list[BaseRoute]:
    looking, acting = InboxScreen(frame, services), ActingScreen(frame, services)
    beside = BesideScreen(frame, services)
    see, act = "conversations.read", "conversations.reply"

    def route(
        path: str, work: Callable[[Visit], Awaitable[Response]], permission: str, *, post: bool = False, **more: Any
    ) -> Route:
        methods = ["POST"] if post or permission != see else ["GET"]
        return Route(f"/console{path}", screen(frame, work, permission, **more), methods=methods)

    one = "/inbox/{id:int}"
    return [
        route("/inbox", looking.page, see),
        Route("/console/inbox/search", screen(frame, looking.search, see), methods=["GET", "POST"]),
        route("/inbox/rows", looking.rows, see),
        route("/inbox/next", acting.take_next, act),
        route(one, looking.open, see),
        route(f"{one}/older", looking.older, see),
        route(f"{one}/canned", looking.canned, see),
        route(f"{one}/people", looking.people, see),
        route(f"{one}/nearest", looking.nearest, see),
        route(f"{one}/articles", looking.articles, see, post=True),
        route(f"{one}/translate", looking.translate, see, post=True),
        route(f"{one}/say", acting.say, act, files=True),
        route(f"{one}/note", acting.note, act),
        route(f"{one}/test", acting.test, "knowledge.write"),
        route(f"{one}/seen", acting.seen, see, post=True),
        route(f"{one}/typing", acting.typing, act),
        *(route(f"{one}/{name}", acting.act(name), act) for name in ACTS),
        route("/presence", acting.presence, act),
        route("/views", beside.save_view, see, post=True),
        route("/views/remove", beside.remove_view, see, post=True),
        route("/notices", beside.notices, see),
        route("/notices/read", beside.read_notices, see, post=True),
        route("/find", beside.find, see, post=True),
    ]
