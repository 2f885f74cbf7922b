"""Is this account in working order? For `frontdesk doctor`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from bot.errors import ServiceError
from channels.base import Finding, SendQuota
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
        return (token, await _webhook(ask, check, public_url, repair), await _quota(ask, check))
    except ServiceError as error:
        return (Finding(check, True, str(error), "check the network and API_BASE_URL"),)


async def _webhook(ask: Ask, check: str, public_url: str, repair: bool) -> Finding:
    wanted, check = f"{public_url.rstrip('/')}/channels/{check}", f"{check} webhook"
    if not wanted.startswith("https://"):
        return Finding(check, True, "LINE delivers over https only", "set FRONTDESK_PUBLIC_URL to an https address")
    if repair:
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


async def pushed(ask: Ask) -> SendQuota | None:
    """How many messages may be pushed this month, and how many were; None where there is no limit."""
    limit = (await ask("GET", "/v2/bot/message/quota")).fields().get("value")
    used = (await ask("GET", "/v2/bot/message/quota/consumption")).fields().get("totalUsage")
    known = used if isinstance(used, int) else None
    return SendQuota("push", limit, "month", used=known, utc_hours=9) if isinstance(limit, int) else None


async def _quota(ask: Ask, check: str) -> Finding:
    quota = await pushed(ask)
    if quota is None or quota.used is None:
        return Finding(f"{check} quota", False, "no limit is known")
    left, is_low = quota.limit - quota.used, quota.used >= quota.limit * 0.9
    return Finding(f"{check} quota", is_low, f"{left} of {quota.limit} left", "raise the limit" if is_low else "")
