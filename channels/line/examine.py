"""Is this account in working order? For `frontdesk doctor`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from bot.errors import ServiceError
from channels.base import Finding
from channels.fields import text_in
from channels.vendor_http import Answer

Ask = Callable[..., Awaitable[Answer]]
ENDPOINT = "/v2/bot/channel/webhook/endpoint"


async def examine(ask: Ask, account: str, public_url: str, *, repair: bool) -> Sequence[Finding]:
    """Token, webhook and quota. What could not be asked is a finding."""
    check = f"line/{account}"
    try:
        info = await ask("GET", "/v2/bot/info")
        if info.status != 200:
            return (Finding(f"{check} token", True, f"HTTP {info.status}", "issue and copy the channel access token"),)
        token = Finding(f"{check} token", False, text_in(info.fields(), "basicId") or "valid")
        webhook = await _webhook(ask, check, f"{public_url.rstrip('/')}/channels/{check}", repair)
        return (token, webhook, await _quota(ask, check))
    except ServiceError as error:
        return (Finding(check, True, str(error), "check the network and API_BASE_URL"),)


async def _webhook(ask: Ask, check: str, wanted: str, repair: bool) -> Finding:
    check = f"{check} webhook"
    if not wanted.startswith("https://"):
        return Finding(check, True, "LINE delivers over https only", "set FRONTDESK_PUBLIC_URL to an https address")
    found = (await ask("GET", ENDPOINT)).fields()
    if found.get("endpoint") != wanted and repair:
        await ask("PUT", ENDPOINT, {"endpoint": wanted})
        found = (await ask("GET", ENDPOINT)).fields()
    if found.get("endpoint") != wanted:
        return Finding(check, True, "points elsewhere or is not set", "frontdesk doctor --repair sets it")
    if found.get("active") is not True:
        return Finding(check, True, "is switched off", 'turn on "Use webhook" in the LINE Developers console')
    tested = (await ask("POST", "/v2/bot/channel/webhook/test", {"endpoint": wanted})).fields()
    told = f"{tested.get('statusCode')} {text_in(tested, 'reason')}"[:100]
    is_reached = tested.get("success") is True
    return Finding(check, not is_reached, told, "" if is_reached else "is the web role running and reachable?")


async def pushed(ask: Ask) -> tuple[int | None, int | None]:
    """How many messages may be pushed this month (None: no limit), and how many were; None where LINE does not say."""
    limit = (await ask("GET", "/v2/bot/message/quota")).fields().get("value")
    used = (await ask("GET", "/v2/bot/message/quota/consumption")).fields().get("totalUsage")
    return (limit if isinstance(limit, int) else None), (used if isinstance(used, int) else None)


async def _quota(ask: Ask, check: str) -> Finding:
    limit, used = await pushed(ask)
    if limit is None or used is None:
        return Finding(f"{check} quota", False, f"{used} messages pushed this month, no limit")
    is_low = limit - used <= limit / 10
    return Finding(f"{check} quota", is_low, f"{limit - used} of {limit} left", "raise the limit" if is_low else "")
