"""/_sim/: play the customer, plan faults and read the ledger over HTTP, from another process or a browser."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import web

from channels.simulators.faults import Fault, kinds_with
from channels.simulators.telegram_world import Customer, Fields

if TYPE_CHECKING:
    from channels.simulators.telegram import TelegramSimulator

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
PAGE = Path(__file__).parents[1] / "static" / "telegram_simulator.html"
KINDS = kinds_with("unparsable", "malformed_update", "broken_json", "duplicate_update", "reorder_updates")
MAX_WAIT_S = 60.0

# What a customer can do: path segment -> what to call with the request's JSON object.
ACTIONS: dict[str, Callable[[Customer, Fields], int | None]] = {
    "start": lambda customer, given: customer.start(str(given.get("payload", ""))),
    "text": lambda customer, given: customer.send_text(given["text"], given.get("entities")),
    "press": lambda customer, given: customer.press(given["button"]),
    "contact": lambda customer, given: customer.send_contact(given["phone"], own=bool(given.get("own", True))),
    "location": lambda customer, given: customer.send_location(given["latitude"], given["longitude"]),
    "photo": lambda customer, given: customer.send_photo(str(given.get("caption", ""))),
    "voice": lambda customer, given: customer.send_voice(int(given.get("duration_s", 3))),
    "document": lambda customer, given: customer.send_document(str(given.get("file_name", "receipt.pdf"))),
    "edit": lambda customer, given: customer.edit(given["message_id"], given["text"]),
    "album": lambda customer, given: customer.send_album(list(given.get("captions", ("", ""))))[-1],
    "sticker": lambda customer, given: customer.send_sticker(str(given.get("emoji", "👍"))),
    "dice": lambda customer, given: customer.send_dice(int(given.get("value", 4))),
    "venue": lambda customer, given: customer.send_venue(
        given["title"], given["address"], given["latitude"], given["longitude"]
    ),
    "forward": lambda customer, given: customer.forward(given["text"], str(given.get("origin", "Somebody"))),
    "reply": lambda customer, given: customer.reply(given["message_id"], given["text"], str(given.get("quote", ""))),
    "react": lambda customer, given: customer.react(given["message_id"], str(given.get("emoji", ""))),
    "touch": lambda customer, given: customer.touch(given["key"]),
    "raw": lambda customer, given: customer.send_raw(given["kind"], given["body"]),
    "block": lambda customer, given: customer.block(),
    "unblock": lambda customer, given: customer.unblock(),
}


def control_routes(simulator: TelegramSimulator) -> list[web.RouteDef]:
    """GET /_sim/ is a page to chat on; the rest speaks JSON."""

    async def page(request: web.Request) -> web.StreamResponse:
        return web.FileResponse(PAGE)

    async def ledger(request: web.Request) -> web.StreamResponse:
        return _json({"entries": simulator.ledger.entries(request.query.get("kind", ""))})

    async def state(request: web.Request) -> web.StreamResponse:
        bot = simulator.bot
        return _json(
            {
                "bot": bot.as_user(),
                "pending_update_ids": [pending.update_id for pending in bot.pending],
                "webhook": bot.webhook.url if bot.webhook else "",
                "users": sorted(bot.customers),
            }
        )

    async def act(request: web.Request) -> web.StreamResponse:
        action = ACTIONS.get(request.match_info["action"])
        if action is None:
            return _json({"error": f"no such action; there are {', '.join(ACTIONS)}"}, status=404)
        try:
            given = await _object(request)
            customer = _customer(request, given)
            update_id = action(customer, given)
        except (LookupError, TypeError, ValueError) as exc:
            return _json({"error": f"{type(exc).__name__}: {exc}"}, status=400)
        mine = [shown.message_id for shown in customer.chat if shown.by == "customer"]
        return _json({"update_id": update_id, "message_id": mine[-1] if mine else None})

    async def start_many(request: web.Request) -> web.StreamResponse:
        """All of `users` (id -> name) press Start."""
        try:
            users = (await _object(request))["users"]
            for user_id, name in users.items():
                simulator.user(int(user_id), str(name)).start()
        except (AttributeError, LookupError, TypeError, ValueError) as exc:
            return _json({"error": f"{type(exc).__name__}: {exc}"}, status=400)
        return _json({"started": len(users)})

    async def messages(request: web.Request) -> web.StreamResponse:
        """The chat after message `after`; with `wait_s`, once something new from the bot is there."""
        try:
            customer = _customer(request, {})
            after = int(request.query.get("after", "0"))
            wait_s = min(float(request.query.get("wait_s", "0")), MAX_WAIT_S)
        except ValueError as exc:
            return _json({"error": str(exc)}, status=400)
        await customer.bot.pulse.until(lambda: any(shown.message_id > after for shown in customer.received), wait_s)
        shown = [shown.as_json() for shown in customer.chat if shown.message_id > after]
        keys = [key if isinstance(key, str) else key["text"] for row in customer.keys for key in row]
        return _json({"messages": shown, "keys": keys, "pinned": customer.pinned})

    async def plan_fault(request: web.Request) -> web.StreamResponse:
        try:
            simulator.faults.plan(Fault.from_json(await _object(request), KINDS))
        except (TypeError, ValueError) as exc:
            return _json({"error": str(exc), "kinds": KINDS}, status=400)
        return _json({"planned": True})

    async def fault_kinds(request: web.Request) -> web.StreamResponse:
        return _json({"kinds": KINDS})

    async def clear_faults(request: web.Request) -> web.StreamResponse:
        simulator.faults.clear()
        return _json({"cleared": True})

    def _customer(request: web.Request, given: Fields) -> Customer:
        customer = simulator.user(int(request.match_info["user_id"]))
        customer.name = str(given.get("name") or customer.name)
        customer.language = str(given.get("language") or customer.language)
        return customer

    return [
        web.get("/_sim/", page),
        web.get("/_sim/ledger", ledger),
        web.get("/_sim/state", state),
        web.get("/_sim/users/{user_id}/messages", messages),
        web.post("/_sim/users", start_many),
        web.post("/_sim/users/{user_id}/{action}", act),
        web.get("/_sim/faults", fault_kinds),
        web.post("/_sim/faults", plan_fault),
        web.delete("/_sim/faults", clear_faults),
    ]


async def _object(request: web.Request) -> Fields:
    """Raises: ValueError when the body is no JSON object."""
    found: Any = orjson.loads(await request.read() or b"{}")
    if not isinstance(found, dict):
        raise TypeError("a JSON object is expected")
    return found


def _json(body: Any, status: int = 200) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(body), content_type="application/json")
