"""Mass sends of an account that may send to a tag but not to a list: whoever it is for gets a tag of this send's own.

Which accounts those are (subscription accounts), and that an account has 100 tags and a follower 20:
developers.weixin.qq.com, "群发接口" and "用户标签管理" (checked 2026-11 against public copies).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone

import structlog

from bot.errors import RecipientUnreachable, SendRefused
from channels.wechat.api import MAX_TAGGED, SERVICE, WechatApi

log = structlog.get_logger()

OURS = "frontdesk"  # before the day and the key in a tag's name
KEPT_DAYS = 2  # WeChat may still be sending to a tag that is younger
_BEIJING = timezone(timedelta(hours=8))


async def send_by_tag(api: WechatApi, openids: Sequence[str], text: str, key: str, now: datetime) -> str:
    """The vendor's id of one mass send to these followers and nobody else; the same `key` sends once within 24 h.

    Two senders at once never share a tag: each key has its own. Raises: what the calls of `WechatApi` raise.
    """
    today = now.astimezone(_BEIJING)
    name = f"{OURS} {today:%y%m%d} {hashlib.sha256(key.encode()).hexdigest()[:8]}"
    tags = await api.tags()
    for tag in tags:
        if _is_over(tag.name, f"{today - timedelta(days=KEPT_DAYS):%y%m%d}"):
            await api.delete_tag(tag.id)
    chosen = next((tag for tag in tags if tag.name == name), None) or await api.create_tag(name)
    tagged = 0
    for start in range(0, len(openids), MAX_TAGGED):
        tagged += await _give(api, chosen.id, openids[start : start + MAX_TAGGED])
    if not tagged:
        raise SendRefused(SERVICE, "none of these followers takes a tag")
    if tagged < len(openids):
        log.warning("mass_send_reaches_fewer", wanted=len(openids), reached=tagged)
    return await api.mass_send_to_tag(chosen.id, text, key)


async def _give(api: WechatApi, tag_id: int, openids: Sequence[str]) -> int:
    """How many of them carry the tag now. One who left, or has 20 tags already, keeps no others from it."""
    try:
        await api.tag_followers(tag_id, openids)
    except (RecipientUnreachable, SendRefused):
        if len(openids) == 1:
            return 0
        return sum([await _give(api, tag_id, [openid]) for openid in openids])
    return len(openids)


def _is_over(name: str, day: str) -> bool:
    ours, _, rest = name.partition(" ")
    return ours == OURS and rest[:6].isdecimal() and rest[:6] <= day
