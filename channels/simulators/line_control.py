"""/_sim/ of the LINE stand-in: play the customer, plan faults and read the ledger over HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import web

from channels.simulators.faults import Fault, kinds_with

if TYPE_CHECKING:
    from channels.simulators.line import LineSimulator
    from channels.simulators.line_customer import LineCustomer

PAGE = Path(__file__).parents[1] / "static" / "line_simulator.html"
DUPLICATE = "duplicate_update"
KINDS = {**kinds_with(), DUPLICATE: "the next event is delivered twice"}
Given = Mapping[str, Any]

# What a customer can do: path segment -> what to call with the request's JSON object; gives our webhook's status.
ACTIONS: dict[str, Callable[[LineCustomer, Given], Awaitable[int]]] = {
    "text": lambda customer, given: customer.say(str(given["text"])),
    "press": lambda customer, given: customer.press(str(given["label"])),
    "follow": lambda customer, given: customer.follow(),
    "block": lambda customer, given: customer.block(),
    "image": lambda customer, given: customer.send_image(),
    "location": lambda customer, given: customer.send_location(float(given["latitude"]), float(given["longitude"])),
    "unsend": lambda customer, given: customer.unsend(),
}


def control_routes(simulator: LineSimulator) -> list[web.RouteDef]:
    """GET /_sim/ is a page to chat on; the rest speaks JSON. Customers are named by digits, from 1 on."""

    async def page(request: web.Request) -> web.StreamResponse:
        return web.FileResponse(PAGE)

    async def act(request: web.Request) -> web.StreamResponse:
        action = ACTIONS.get(request.match_info["action"])
        if action is None:
            return _json({"error": f"no such action; there are {', '.join(ACTIONS)}"}, status=404)
        try:
            given = orjson.loads(await request.read() or b"{}")
            status = await action(_customer(request), given)
        except (LookupError, TypeError, ValueError) as exc:
            return _json({"error": f"{type(exc).__name__}: {exc}"}, status=400)
        return _json({"webhook_status": status})

    async def chat(request: web.Request) -> web.StreamResponse:
        return _json({"messages": _customer(request).chat, "used": simulator.used, "endpoint": simulator.endpoint})

    async def ledger(request: web.Request) -> web.StreamResponse:
        return _json({"entries": simulator.ledger.entries(request.query.get("kind", ""))})

    async def kinds(request: web.Request) -> web.StreamResponse:
        return _json({"kinds": KINDS})

    async def plan(request: web.Request) -> web.StreamResponse:
        try:
            simulator.faults.plan(Fault.from_json(orjson.loads(await request.read()), KINDS))
        except (TypeError, ValueError) as exc:
            return _json({"error": str(exc), "kinds": KINDS}, status=400)
        return _json({"planned": True})

    def _customer(request: web.Request) -> LineCustomer:
        return simulator.user(f"U{int(request.match_info['number']):032x}")

    return [
        web.get("/_sim/", page),
        web.get("/_sim/ledger", ledger),
        web.get("/_sim/users/{number}/messages", chat),
        web.post("/_sim/users/{number}/{action}", act),
        web.get("/_sim/faults", kinds),
        web.post("/_sim/faults", plan),
    ]


def _json(body: Any, status: int = 200) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(body), content_type="application/json")
