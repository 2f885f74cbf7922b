"""Messages and events of 微信客服 as `sync_msg` gives them, as the inbox takes them. Pure.

Source: developer.work.weixin.qq.com, document 94670 "接收消息和事件"; checked 2026-11.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from bot.errors import PayloadInvalid
from bot.types import (
    Author,
    Button,
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
from channels.fields import is_int, read_json, write_json
from channels.wecom.fields import JsonObject, hashed, int_in, number_in, object_in, text_in, time_of

CHANNEL = "kf"
# 5 messages within 48 h of the customer's last one. Source: document 96427 "发送消息".
WINDOW: Final = ReplyWindow(kind="message", quota=5, lasts=timedelta(hours=48))
BY_CUSTOMER, BY_SYSTEM, BY_SERVICER = 3, 4, 5  # `origin`

FAILURES: Final = {  # `fail_type` of msg_send_fail; 11 was not found in a second source
    1: "the 微信客服 account was deleted",
    2: "the application was closed",
    4: "the customer wrote more than 48 hours ago",
    5: "the session was closed",
    6: "five messages were sent already",
    7: "no Channels account is bound",
    8: "the company is not verified",
    9: "no Channels account is bound and the company is not verified",
    10: "the customer refuses messages",
    11: "the content was found unsuitable",
}
REFUSED_BY_CUSTOMER: Final = 10
OUT_OF_WINDOW: Final = frozenset({4, 6})
_MEDIA: Final = {"image": "image", "voice": "voice", "video": "video", "file": "document"}
# Kinds that are words around a thing: shown as those words, which may name a product or an order.
_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "link": ("title", "desc", "url"),
    "miniprogram": ("title",),
    "channels": ("nickname", "title"),
    "channels_shop_product": ("title", "shop_nickname"),
    "channels_shop_order": ("order_id", "product_titles", "price_wording", "state"),
}
_MERGED_LINES: Final = 50


def decode_item(item: Any, account: str, now: Callable[[], datetime]) -> Received:
    """One entry of `msg_list`. What names no customer is parked, unknown kinds become Unsupported. Never raises."""
    raw = _raw(item)
    if not isinstance(item, dict):
        return _parked(raw, account, "no object in msg_list")
    kind, event = text_in(item, "msgtype"), object_in(item, "event")
    customer = text_in(item, "external_userid") or text_in(event, "external_userid")
    place = text_in(item, "open_kfid") or text_in(event, "open_kfid")
    key = text_in(item, "msgid") or hashed(raw)
    if not customer or not kind:
        missing = "customer" if kind else "msgtype"
        return _parked(raw, account, f"no {missing} in {text_in(event, 'event_type') or kind or 'it'}", key)
    author = _author(item, kind, event)
    content = _event(event) if kind == "event" else _message(kind, object_in(item, kind))
    is_asking = kind != "event" and author == "customer"
    message = InboundMessage(
        sender=Identity(CHANNEL, account, customer),
        chat_id=customer,
        topic=place,
        dedupe_key=key,
        content=content,
        sent_at=time_of(item.get("send_time"), now),
        vendor_message_id=text_in(item, "msgid"),
        wants_turn=is_asking,
        opens=WINDOW if is_asking else None,
        author=author,
    )
    return Received(CHANNEL, account, key, raw, message)


def decode_batch(body: bytes, account: str, now: Callable[[], datetime]) -> Iterator[Received]:
    """Every entry of one answer of `sync_msg`, or one entry alone, as it was stored; all else is parked as a whole."""
    try:
        answer = read_json(body)
    except PayloadInvalid:
        yield _parked(body, account, "no JSON")
        return
    items = answer.get("msg_list") if isinstance(answer, dict) else None
    if items is None and isinstance(answer, dict) and "msgtype" in answer:
        items = [answer]
    if not isinstance(items, list):
        yield _parked(body, account, "no msg_list")
        return
    for item in items:
        yield decode_item(item, account, now)


def welcome_code(item: Any) -> str:
    """What lets us greet a customer who has just opened the chat, within 20 s; empty when there is nothing to greet."""
    event = object_in(item, "event") if isinstance(item, dict) else {}
    return text_in(event, "welcome_code") if text_in(event, "event_type") == "enter_session" else ""


def is_servicer_status(item: Any) -> bool:
    """A colleague began or stopped taking sessions: about no customer."""
    event = object_in(item, "event") if isinstance(item, dict) else {}
    return text_in(event, "event_type") == "servicer_status_change"


def _raw(item: Any) -> bytes:
    return write_json(item)


def _parked(raw: bytes, account: str, reason: str, key: str = "") -> Received:
    return Received(CHANNEL, account, key or hashed(raw), raw, None, reason)


def _author(item: JsonObject, kind: str, event: JsonObject) -> Author:
    origin, name = item.get("origin"), text_in(event, "event_type")
    if origin == BY_SERVICER or name == "servicer_recall_msg":
        return "operator"
    if (origin == BY_SYSTEM and kind != "event") or name in {"session_status_change", "msg_send_fail"}:
        return "system"
    return "customer"


# --- messages ---------------------------------------------------------------------------------------------------------


def _message(kind: str, body: JsonObject) -> Content:
    if kind == "text":
        words, menu_id = text_in(body, "content"), text_in(body, "menu_id")
        return Button(value=menu_id, label=words) if menu_id else Text(words)
    if kind in _MEDIA and text_in(body, "media_id"):
        return Media(
            kind=_MEDIA[kind],  # type: ignore[arg-type]  # the table holds Media's own words
            file_id=text_in(body, "media_id"),
            mime="audio/amr" if kind == "voice" else "",  # voice_format 0, which we ask for
        )
    if kind == "location":
        latitude, longitude = number_in(body, "latitude"), number_in(body, "longitude")
        if latitude is not None and longitude is not None and abs(latitude) <= 90 and abs(longitude) <= 180:
            return Location(latitude, longitude, text_in(body, "name"), text_in(body, "address"))
    if kind == "merged_msg":
        return _merged(body)
    if kind in _WORDS and (words := _joined(text_in(body, name) for name in _WORDS[kind])):
        return Text(words)
    return Unsupported(kind)


def _joined(parts: Iterator[str]) -> str:
    return "\n".join(part for part in parts if part)


def _merged(body: JsonObject) -> Content:
    """A forwarded piece of another chat, as lines "who: what"."""
    items = body.get("item")
    lines = [text_in(body, "title")]
    for entry in items[:_MERGED_LINES] if isinstance(items, list) else ():
        if isinstance(entry, dict):
            lines.append(f"{text_in(entry, 'sender_name')}: {_merged_words(text_in(entry, 'msg_content'))}")
    words = _joined(iter(lines))
    return Text(words) if words else Unsupported("merged_msg")


def _merged_words(content: str) -> str:
    """`msg_content` is a JSON document in a string."""
    try:
        inner = read_json(content.encode())
    except PayloadInvalid:
        return "…"
    kind = text_in(inner, "msgtype") if isinstance(inner, dict) else ""
    words = text_in(object_in(inner, "text"), "content") if kind == "text" else ""
    return words or f"[{kind or '…'}]"


# --- events -----------------------------------------------------------------------------------------------------------


def _event(event: JsonObject) -> Content:
    name = text_in(event, "event_type")
    match name:
        case "enter_session":
            return _entered(event)
        case "msg_send_fail":
            return _failed(event)
        case "session_status_change":
            return _session(event)
        case "user_recall_msg" | "servicer_recall_msg":
            return Event("recalled", {"message": text_in(event, "recall_msgid")})
        case _:
            return Unsupported(f"event:{name}")


def _entered(event: JsonObject) -> Content:
    """The customer opened the chat. `source` tells through which link or Channels page."""
    scene, param = text_in(event, "scene"), text_in(event, "scene_param")
    channels = text_in(object_in(event, "wechat_channels"), "nickname")
    detail = {"scene": scene, "scene_param": param, "channels": channels}
    source = scene or channels
    return Event("entered", {**detail, "source": f"{source}?{param}" if source and param else source})


def _failed(event: JsonObject) -> Content:
    kind = event.get("fail_type")
    number = kind if is_int(kind) else 0
    return Event(
        "send_failed",
        {
            "key": text_in(event, "fail_msgid"),
            "reason": FAILURES.get(number, f"not delivered (fail_type {number})"),
            "fail_type": number,
            "is_held": number in OUT_OF_WINDOW,
            "unreachable": number == REFUSED_BY_CUSTOMER,
        },
    )


def _session(event: JsonObject) -> Content:
    """Who answers now. `change_type`: 1 taken from the pool, 2 passed on, 3 ended, 4 taken up again after its end."""
    change = int_in(event, "change_type")
    before, after = text_in(event, "old_servicer_userid"), text_in(event, "new_servicer_userid")
    if change in (1, 2, 4):
        return Event("owner_changed", {"owner": "operator", "by": after, "reason": "taken over in WeCom"})
    if change == 3:
        return Event("owner_changed", {"owner": "closed", "by": before, "reason": "session ended in WeCom"})
    return Unsupported("event:session_status_change")
