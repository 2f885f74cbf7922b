"""/_sim/: play a follower, plan faults and read the ledger, from a browser or a program."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import web

from channels.simulators.faults import Fault, kinds_with
from channels.simulators.wechat_callback import ENCRYPTIONS
from channels.simulators.wechat_world import Fields, OfficialAccount

if TYPE_CHECKING:
    from channels.simulators.wechat import WechatSimulator

PAGE = Path(__file__).parents[1] / "static" / "wechat_simulator.html"
MAX_WAIT_S = 60.0
KINDS = kinds_with(
    "errcode",
    "malformed_update",
    "broken_json",
    "duplicate_update",
    "reorder_updates",
    "lost_callback",
    "lost_reply",
)

# What a follower can do: path segment -> what to call with the request's JSON object.
ACTIONS: dict[str, Callable[[OfficialAccount, str, Fields], Any]] = {
    "follow": lambda account, openid, given: account.follow(openid, str(given.get("scene", ""))),
    "unfollow": lambda account, openid, given: account.unfollow(openid),
    "scan": lambda account, openid, given: account.scan(openid, str(given["scene"])),
    "text": lambda account, openid, given: account.write(openid, str(given["text"])),
    "tap": lambda account, openid, given: account.tap(openid, str(given["key"]), str(given.get("kind", "CLICK"))),
    "picture": lambda account, openid, given: account.picture(openid),
    "voice": lambda account, openid, given: account.voice(openid, str(given.get("recognised", ""))),
    "place": lambda account, openid, given: account.place(
        openid, float(given["latitude"]), float(given["longitude"]), str(given.get("label", ""))
    ),
    "agree": lambda account, openid, given: account.agree(
        openid, str(given["template_id"]), yes=given.get("yes", True)
    ),
    "message": lambda account, openid, given: account.message(openid, str(given["kind"]), **given["fields"]),
    "event": lambda account, openid, given: account.event(openid, str(given["name"]), **given.get("fields", {})),
}


def control_routes(simulator: WechatSimulator) -> list[web.RouteDef]:
    """GET /_sim/ is a page to chat on; the rest speaks JSON."""
    account = simulator.account

    async def page(request: web.Request) -> web.StreamResponse:
        return web.FileResponse(PAGE)

    async def ledger(request: web.Request) -> web.StreamResponse:
        return _json({"entries": simulator.ledger.entries(request.query.get("kind", ""))})

    async def state(request: web.Request) -> web.StreamResponse:
        openid = request.query.get("user", "")
        now = account.now()
        windows = account.followers[openid].windows if openid in account.followers else {}
        return _json(
            {
                "encryption": simulator.callbacks.encryption,
                "callback_url": simulator.callbacks.url,
                "verified": account.is_verified,
                "follows": openid in account.followers and account.followers[openid].follows,
                "windows": [
                    {"kind": kind, "left": window.left, "closes_in_s": round(window.closes_at - now)}
                    for kind, window in windows.items()
                    if window.closes_at > now
                ],
                "menu": account.menu,
                "tokens_given": simulator.methods.tokens.given,
            }
        )

    async def change(request: web.Request) -> web.StreamResponse:
        """Settings of the account, as in WeChat's console."""
        try:
            given = await _object(request)
            encryption = given.get("encryption", simulator.callbacks.encryption)
            if encryption not in ENCRYPTIONS:
                raise ValueError(f"encryption is one of {', '.join(ENCRYPTIONS)}")
        except (TypeError, ValueError) as exc:
            return _json({"error": str(exc)}, status=400)
        simulator.callbacks.encryption = encryption
        simulator.callbacks.url = str(given.get("callback_url", simulator.callbacks.url))
        account.is_verified = bool(given.get("verified", account.is_verified))
        simulator.is_on_allow_list = bool(given.get("allowed", simulator.is_on_allow_list))
        return _json({"changed": True})

    async def act(request: web.Request) -> web.StreamResponse:
        action = ACTIONS.get(request.match_info["action"])
        if action is None:
            return _json({"error": f"no such action; there are {', '.join(ACTIONS)}"}, status=404)
        try:
            given = await _object(request)
            outcome = action(account, str(given.pop("user")), given)
        except (LookupError, TypeError, ValueError) as exc:
            return _json({"error": f"{type(exc).__name__}: {exc}"}, status=400)
        return _json({"id": outcome})

    async def messages(request: web.Request) -> web.StreamResponse:
        """The chat from its `after`-th message on; with `wait_s`, once there is something new."""
        try:
            after = int(request.query.get("after", "0"))
            wait_s = min(float(request.query.get("wait_s", "0")), MAX_WAIT_S)
            chat = account.follower(request.query["user"]).chat
        except (LookupError, ValueError) as exc:
            return _json({"error": str(exc)}, status=400)
        await account.pulse.until(lambda: len(chat) > after, wait_s)
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
        simulator.methods.tokens.end_all()
        return _json({"ended": True})

    async def close_windows(request: web.Request) -> web.StreamResponse:
        for follower in account.followers.values():
            follower.windows.clear()
        return _json({"closed": True})

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
        web.post("/_sim/close-windows", close_windows),
        web.post("/_sim/verify", verify),
    ]


async def _object(request: web.Request) -> Fields:
    """Raises: ValueError, TypeError when the body is no JSON object."""
    found: Any = orjson.loads(await request.read() or b"{}")
    if not isinstance(found, dict):
        raise TypeError("a JSON object is expected")
    return found


def _json(body: Any, status: int = 200) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(body), content_type="application/json")
