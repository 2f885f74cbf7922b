"""/_sim/: play a customer, a member or a colleague, plan faults and read the ledger, from a browser or a program."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import web

from channels.simulators.faults import Fault, kinds_with
from channels.simulators.wecom_world import PER_H, PER_MIN, WINDOW_QUOTA, WINDOW_S, Company, Fields, Shown

if TYPE_CHECKING:
    from channels.simulators.wecom import WecomSimulator

PAGE = Path(__file__).parents[1] / "static" / "wecom_simulator.html"
MAX_WAIT_S = 60.0
KINDS = kinds_with("errcode", "duplicate_update", "reorder_updates", "lost_callback", "empty_page")
STATES = ("new", "bot", "queued", "colleague", "closed")

# What people can do: path segment -> what to call with the request's JSON object.
ACTIONS: dict[str, Callable[[Company, Fields], Any]] = {
    "enter": lambda company, given: company.enter(given["kf"], given["user"], given.get("scene", "")),
    "write": lambda company, given: company.write(given["kf"], given["user"], content=str(given["text"])),
    "press": lambda company, given: company.press(given["kf"], given["user"], given["label"]),
    "item": lambda company, given: company.write(given["kf"], given["user"], given["kind"], **given["body"]),
    "refuse": lambda company, given: company.refuse(given["user"]),
    "take": lambda company, given: company.take(given["kf"], given["user"], given.get("servicer", "zhangsan")),
    "answer": lambda company, given: company.answer(given["kf"], given["user"], str(given["text"])),
    "finish": lambda company, given: company.finish(given["kf"], given["user"]),
    "say": lambda company, given: company.say(given["user"], str(given["text"])),
    "event": lambda company, given: company.event(given["user"], given["event"], given.get("key", "")),
    "press-card": lambda company, given: company.press_card(given["user"], given["label"]),
    "contact": lambda company, given: company.contact(given["change"], given["member"], given["user"]),
}


def control_routes(simulator: WecomSimulator) -> list[web.RouteDef]:
    """GET /_sim/ is a page to chat on; the rest speaks JSON."""
    company = simulator.company

    async def page(request: web.Request) -> web.StreamResponse:
        return web.FileResponse(PAGE)

    async def ledger(request: web.Request) -> web.StreamResponse:
        return _json({"entries": simulator.ledger.entries(request.query.get("kind", ""))})

    async def state(request: web.Request) -> web.StreamResponse:
        sessions = [
            {
                "kf": open_kfid,
                "user": customer,
                "state": STATES[session.state],
                "servicer": session.servicer,
                "left": max(0, WINDOW_QUOTA - session.sent) if company.now() - session.wrote_at < WINDOW_S else 0,
                "closes_in_s": max(0, int(session.wrote_at + WINDOW_S - company.now())),
            }
            for (open_kfid, customer), session in company.sessions.items()
        ]
        accounts = [{"kf": key, "name": name} for key, name in company.kf_accounts.items()]
        return _json(
            {
                "callback_url": simulator.callbacks.url,
                "accounts": accounts,
                "sessions": sessions,
                "members": sorted(company.members),
                "left": {name: _left(member.sent_at, company.now()) for name, member in company.members.items()},
            }
        )

    async def change(request: web.Request) -> web.StreamResponse:
        """Settings of the application, as in WeCom's console."""
        try:
            simulator.callbacks.url = str((await _object(request)).get("callback_url", simulator.callbacks.url))
        except (TypeError, ValueError) as exc:
            return _json({"error": str(exc)}, status=400)
        return _json({"changed": True})

    async def act(request: web.Request) -> web.StreamResponse:
        action = ACTIONS.get(request.match_info["action"])
        if action is None:
            return _json({"error": f"no such action; there are {', '.join(ACTIONS)}"}, status=404)
        try:
            outcome = action(company, await _object(request))
        except (LookupError, TypeError, ValueError, StopIteration) as exc:
            return _json({"error": f"{type(exc).__name__}: {exc}"}, status=400)
        return _json({"id": outcome})

    async def messages(request: web.Request) -> web.StreamResponse:
        """The chat from its `after`-th message on; with `wait_s`, once there is something new from us."""
        query = request.query
        try:
            after, wait_s = int(query.get("after", "0")), min(float(query.get("wait_s", "0")), MAX_WAIT_S)
            chat = _chat(company, query.get("kf", ""), query["user"])
        except (LookupError, ValueError) as exc:
            return _json({"error": str(exc)}, status=400)
        await company.pulse.until(lambda: len(chat) > after, wait_s)
        return _json({"messages": [shown.as_json() for shown in chat[after:]]})

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

    async def end_tokens(request: web.Request) -> web.StreamResponse:
        simulator.methods.end_tokens()
        return _json({"ended": True})

    async def verify(request: web.Request) -> web.StreamResponse:
        return _json({"verified": await simulator.callbacks.verify()})

    return [
        web.get("/_sim/", page),
        web.get("/_sim/ledger", ledger),
        web.get("/_sim/state", state),
        web.post("/_sim/state", change),
        web.get("/_sim/messages", messages),
        web.post("/_sim/do/{action}", act),
        web.get("/_sim/faults", fault_kinds),
        web.post("/_sim/faults", plan_fault),
        web.delete("/_sim/faults", clear_faults),
        web.post("/_sim/end-tokens", end_tokens),
        web.post("/_sim/verify", verify),
    ]


def _left(sent_at: Iterable[float], now: float) -> dict[str, int]:
    """How many messages of the application this member would still see; above that they are dropped silently."""
    ages = [now - at for at in sent_at]
    return {"minute": PER_MIN - sum(age < 60 for age in ages), "hour": PER_H - sum(age < 3600 for age in ages)}


def _chat(company: Company, open_kfid: str, user: str) -> list[Shown]:
    return company.session(open_kfid, user).chat if open_kfid else company.member(user).chat


async def _object(request: web.Request) -> Fields:
    """Raises: ValueError when the body is no JSON object."""
    found: Any = orjson.loads(await request.read() or b"{}")
    if not isinstance(found, dict):
        raise TypeError("a JSON object is expected")
    return found


def _json(body: Any, status: int = 200) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(body), content_type="application/json")
