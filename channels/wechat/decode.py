"""WeChat's messages and events to InboundMessages. Whatever is unknown is shown to staff by its name, never lost.

Field names: developers.weixin.qq.com, "接收普通消息", "接收事件推送" (checked 2026-11). A message has a
MsgId, an event has none: it is known by its sender, second, name and key.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from bot.errors import PayloadInvalid
from bot.types import (
    Button,
    Command,
    Content,
    Event,
    Identity,
    InboundMessage,
    Location,
    Media,
    Received,
    ReplyWindow,
    Text,
    Unsupported,
)
from channels.deep_links import verified_link
from channels.tencent.xml import Fields, read_xml

CHANNEL = "wechat"
GREETING = ":start"  # behind the key of the event that a greeting answers

# Customer-service messages that each action allows: 5 in 48 h after a message; 3 in 1 min after following, scanning,
# and the three kinds of menu items named below. Source: mp.weixin.qq.com, notice on customer-service quotas, and
# developers.weixin.qq.com, "客服消息" (checked 2026-11). A payment opens 48 h without a number; we hear of none.
MESSAGE = ReplyWindow("message", 5, timedelta(hours=48))
FOLLOW = ReplyWindow("follow", 3, timedelta(minutes=1))
SCAN = ReplyWindow("scan", 3, timedelta(minutes=1))
MENU = ReplyWindow("menu", 3, timedelta(minutes=1))
_MENU_WITH_WINDOW = frozenset({"CLICK", "scancode_push", "scancode_waitmsg"})

# Values we put on buttons and menu items ourselves; a menu made elsewhere has keys that mean nothing to us.
_OUR_KEY = re.compile(r"(?:intent|flow|slot|say|article):.", re.DOTALL)
_MAX_DETAIL = 20  # fields of an event kept beside it; the raw payload has all
_ENVELOPE = frozenset({"ToUserName", "FromUserName", "CreateTime", "MsgType", "Event"})
_EARLIEST, _LATEST = 1_000_000_000, 4_102_444_800  # 2001 to 2100: other values are no times


@dataclass(frozen=True, slots=True)
class Reading:
    """What decoding depends on besides the bytes."""

    account: str
    now: Callable[[], datetime]
    link_keys: tuple[bytes, ...] = ()  # what signed scenes are verified with; none: a scene is only a name
    has_windows: bool = True  # False: an unverified account has no customer-service messages


def decode_xml(body: bytes, reading: Reading) -> tuple[Received, ...]:
    """What one callback holds: one row; two for a customer who comes (that they can be reached, and the greeting).

    Never raises: what cannot be read is one row without a message.
    """
    try:
        fields = read_xml(body)
        messages = _messages(fields, body, reading)
    except PayloadInvalid as exc:
        return (unreadable(body, reading, str(exc)),)
    return tuple([Received(CHANNEL, reading.account, message.dedupe_key, body, message) for message in messages])


def unreadable(raw: bytes, reading: Reading, reason: str) -> Received:
    return Received(CHANNEL, reading.account, "sha256:" + hashlib.sha256(raw).hexdigest(), raw, None, reason)


def _messages(fields: Fields, body: bytes, reading: Reading) -> list[InboundMessage]:
    sender = fields.get("FromUserName", "").strip()
    if not sender:
        raise PayloadInvalid(f"{_kind(fields)} names nobody")
    kind, name = fields.get("MsgType", "").strip().lower(), fields.get("Event", "").strip()
    is_event = kind == "event" and bool(name)
    message_id = "" if is_event else fields.get("MsgId", "").strip()
    is_message = bool(kind) and not is_event
    # A tap on a line of a menu message comes as a text, but counts as a tap.
    opens = MENU if fields.get("bizmsgmenuid") else MESSAGE
    base = InboundMessage(
        sender=Identity(CHANNEL, reading.account, sender),
        chat_id=sender,
        dedupe_key=_key(fields, body, sender, message_id, is_event=is_event),
        content=_content(kind, fields) if is_message else Unsupported(_kind(fields)),
        sent_at=_time(fields.get("CreateTime", ""), reading.now),
        vendor_message_id=message_id,
        wants_turn=is_message or is_event,
        opens=opens if is_message and reading.has_windows else None,
    )
    if not is_event:
        return [base]
    messages = _from_event(name, fields, base, reading)
    return messages if reading.has_windows else [replace(message, opens=None) for message in messages]


def _key(fields: Fields, body: bytes, sender: str, message_id: str, *, is_event: bool) -> str:
    if message_id:
        return f"{sender}+{message_id}"
    if is_event:
        return f"{sender}+{fields.get('CreateTime', '').strip()}+{fields['Event'].strip()}+{fields.get('EventKey', '')}"
    return f"{sender}+sha256:{hashlib.sha256(body).hexdigest()}"


def _kind(fields: Fields) -> str:
    """What staff see of something we do not know. Third-party callbacks have no MsgType but an InfoType."""
    kind = fields.get("MsgType", "").strip().lower() or fields.get("InfoType", "").strip() or "empty"
    event = fields.get("Event", "").strip()
    return (f"event {event}" if kind == "event" and event else kind)[:80]


# --- messages -------------------------------------------------------------------------------------------------------


def _content(kind: str, fields: Fields) -> Content:
    match kind:
        case "text":
            return Text(fields.get("Content", ""))
        case "image":
            return _media("image", fields.get("MediaId") or fields.get("PicUrl", ""))
        case "voice":
            form = re.sub(r"[^a-z0-9]", "", fields.get("Format", "").lower())[:20]
            voice = _media("voice", fields.get("MediaId16K") or fields.get("MediaId", ""))
            mime = f"audio/{form}" if form else ""
            return replace(voice, mime=mime, transcript=fields.get("Recognition", "").strip())
        case "video" | "shortvideo":
            return _media("video", fields.get("MediaId", ""))
        case "location":
            return _location(fields, "Location_X", "Location_Y", address=fields.get("Label", ""))
        case "link":
            parts = (fields.get(name, "").strip() for name in ("Title", "Description", "Url"))
            return Text("\n".join(part for part in parts if part))
        case _:
            return Unsupported(_kind(fields))


def _media(kind: Literal["image", "voice", "video"], file_id: str) -> Media:
    if not file_id.strip():
        raise PayloadInvalid(f"the {kind} names no file")
    return Media(kind, file_id.strip())


def _location(fields: Fields, latitude: str, longitude: str, *, address: str = "") -> Location:
    try:
        place = float(fields.get(latitude, "")), float(fields.get(longitude, ""))
    except ValueError:
        raise PayloadInvalid("the place has no coordinates") from None
    if not all(map(math.isfinite, place)):
        raise PayloadInvalid("the place has no coordinates")
    return Location(*place, address=address)


def _time(stamp: str, now: Callable[[], datetime]) -> datetime:
    stamp = stamp.strip()
    if stamp.isascii() and stamp.isdecimal() and len(stamp) <= 10 and _EARLIEST <= int(stamp) <= _LATEST:
        return datetime.fromtimestamp(int(stamp), UTC)
    return now()


# --- events ---------------------------------------------------------------------------------------------------------


def _from_event(name: str, fields: Fields, base: InboundMessage, reading: Reading) -> list[InboundMessage]:
    key = fields.get("EventKey", "")
    match name:
        case "subscribe":
            # Without a code, the key may be the number of an earlier payment (last_trade_no_…): nobody's source.
            start = _start(key.removeprefix("qrscene_") if key.startswith("qrscene_") else "", reading)
            arrived = Event("unblocked", {"source": _source(start)})
            greeted = replace(base, dedupe_key=base.dedupe_key + GREETING, content=start, opens=FOLLOW)
            return [replace(base, content=arrived, wants_turn=False), greeted]
        case "SCAN":
            return [replace(base, content=_start(key, reading), opens=SCAN)]
        case "CLICK" if _OUR_KEY.match(key):
            return [replace(base, content=Button(key), opens=MENU)]
        case _:
            opens = MENU if name in _MENU_WITH_WINDOW else None
            return [replace(base, content=_event(name, fields), wants_turn=False, opens=opens)]


def _start(scene: str, reading: Reading) -> Command:
    """As if they had opened the chat by a link: the scene of the code is its payload, which we may have signed."""
    account = f"{CHANNEL}/{reading.account}"
    link = verified_link(scene, reading.link_keys, account=account, now=reading.now()) if scene else None
    return Command("start", scene, link.kind, link.id) if link else Command("start", scene)


def _source(start: Command) -> str:
    """Where a follower came from, for their record. The token of a chat to be continued is nobody's business there."""
    if start.link_kind == "continue":
        return "continue"
    if start.link_kind:
        return f"{start.link_kind}:{start.link_id}"
    return f"qr:{start.argument}" if start.argument else "follow"


def _event(name: str, fields: Fields) -> Content:
    """Events that ask for no answer. Those in crm_sync/channel_events.py have an effect, the others are shown."""
    match name:
        case "unsubscribe":
            return Event("blocked", {"reason": "unfollowed"})
        case "kf_create_session" | "kf_switch_session":
            by = fields.get("ToKfAccount") or fields.get("KfAccount", "")
            return Event("owner_changed", {"owner": "operator", "by": by, "reason": "WeChat customer service"})
        case "kf_close_session":
            return Event("owner_changed", {"owner": "closed", "by": fields.get("KfAccount", "")})
        case "MASSSENDJOBFINISH":
            return Event("mass_send_finished", _mass_send(fields))
        case "TEMPLATESENDJOBFINISH":
            status = fields.get("Status", "")
            told = {"vendor_message_id": fields.get("MsgID", ""), "status": status, "arrived": status == "success"}
            return Event("template_finished", told)
        case "LOCATION":
            return Event("location_reported", _detail(fields))
        case "CLICK" | "VIEW" | "view_miniprogram" | "location_select":
            return Event("menu_used", {"item": name, **_detail(fields)})
        case _ if name.startswith(("scancode_", "pic_")):
            return Event("menu_used", {"item": name, **_detail(fields)})
        case _ if name.startswith("subscribe_msg_"):
            return Event("subscribe_message", {"what": name, **_detail(fields)})
        case _:
            return Unsupported(f"event {name}"[:80])


def _mass_send(fields: Fields) -> dict[str, Any]:
    """How a mass send ended: the vendor's id for it, its own word for the state, and how many followers."""
    counts = {
        "total": "TotalCount",  # followers it was meant for
        "filtered": "FilterCount",  # left after settings, limits and blocks
        "sent": "SentCount",
        "failed": "ErrorCount",
    }
    told: dict[str, Any] = {ours: _count(fields.get(theirs, "")) for ours, theirs in counts.items()}
    return {"vendor_message_id": fields.get("MsgID") or fields.get("MsgId", ""), "status": fields.get("Status"), **told}


def _count(text: str) -> int:
    text = text.strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 12 else 0


def _detail(fields: Fields) -> dict[str, Any]:
    kept = [(name, text[:500]) for name, text in fields.items() if name not in _ENVELOPE]
    return dict(kept[:_MAX_DETAIL])
