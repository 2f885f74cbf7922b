"""Callbacks of a WeCom application, decrypted and flat, as the inbox takes them. Pure.

Source: developer.work.weixin.qq.com, documents 90239 (messages), 90240 (events), 92130 (external contacts); checked
2026-11.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from bot.types import Button, Content, Event, Identity, InboundMessage, Location, Media, Received, Text, Unsupported
from channels.fields import whole
from channels.wecom.fields import degrees, hashed, time_of

CHANNEL = "wecom"
KF_NOTICE = "kf_msg_or_event"
Fields = Mapping[str, str]

# Which external contact events say that the two are in touch (again), and which that they no longer are.
CONTACT_ADDED: Final = frozenset({"add_external_contact", "add_half_external_contact"})
CONTACT_DELETED: Final = {
    "del_external_contact": "deleted by a colleague",
    "del_follow_user": "deleted by the customer",
}
# What tells two events of one second apart. WeCom names neither a message id nor one key for all kinds.
_EVENT_KEY: Final = ("EventKey", "ChangeType", "UserID", "ExternalUserID", "TaskId", "JobId", "ApprovalInfo.SpNo")
_MEDIA: Final = {"image": "image", "voice": "voice", "video": "video", "shortvideo": "video", "file": "document"}


@dataclass(frozen=True, slots=True)
class KfNotice:
    """微信客服 has something new for this account of ours; `token` lets us ask without the strict limit for 10 min."""

    open_kfid: str
    token: str


def kf_notice(fields: Fields) -> KfNotice | None:
    """The notice, if this callback is one."""
    if fields.get("MsgType") != "event" or fields.get("Event") != KF_NOTICE:
        return None
    return KfNotice(fields.get("OpenKfId", ""), fields.get("Token", ""))


def decode_fields(fields: Fields, raw: bytes, account: str, now: Callable[[], datetime]) -> Received:
    """One callback. What names no sender is parked (`message` None), unknown kinds become Unsupported. Never raises."""
    fields = {name: whole(text) for name, text in fields.items()}
    if "Encrypt" in fields and "MsgType" not in fields:
        return _parked(raw, account, "still encrypted: a callback needs its signature")
    kind, event = fields.get("MsgType", ""), fields.get("Event", "")
    if kf_notice(fields) is not None:
        return _parked(raw, account, "a notice of 微信客服, which is off here (set KF=true)")
    person = _person(fields)
    if not person or not kind:
        return _parked(raw, account, f"no {'sender' if kind else 'MsgType'} in {fields.get('InfoType') or 'it'}")
    key = _dedupe_key(fields, raw)
    content = _event(event, fields) if kind == "event" else _message(kind, fields)
    takes_turn = isinstance(content, Button) if kind == "event" else True
    message = InboundMessage(
        sender=Identity(CHANNEL, account, person),
        chat_id=person,
        dedupe_key=key,
        content=content,
        sent_at=time_of(fields.get("CreateTime"), now),
        vendor_message_id=fields.get("MsgId", ""),
        wants_turn=takes_turn,
    )
    return Received(CHANNEL, account, key, raw, message)


def parked(raw: bytes, account: str, reason: str) -> Received:
    """Genuine, but unreadable."""
    return _parked(raw, account, reason)


def _parked(raw: bytes, account: str, reason: str) -> Received:
    return Received(CHANNEL, account, hashed(raw), raw, None, reason)


def _person(fields: Fields) -> str:
    """A member of the company, or the external contact an event is about (its FromUserName is "sys")."""
    return fields.get("ExternalUserID") or fields.get("FromUserName", "")


def _dedupe_key(fields: Fields, raw: bytes) -> str:
    sender = fields.get("FromUserName", "")
    if message_id := fields.get("MsgId"):
        return f"{sender}:{message_id}"
    if fields.get("MsgType") != "event" or not fields.get("CreateTime"):
        return hashed(raw)
    parts = [sender, fields["CreateTime"], fields.get("Event", ""), *(fields.get(name, "") for name in _EVENT_KEY)]
    return ":".join(parts).rstrip(":")


# --- messages ---------------------------------------------------------------------------------------------------------


def _message(kind: str, fields: Fields) -> Content:
    if kind == "text":
        return Text(fields.get("Content", ""))
    if kind in _MEDIA and fields.get("MediaId"):
        return Media(
            kind=_MEDIA[kind],  # type: ignore[arg-type]  # the table holds Media's own words
            file_id=fields["MediaId"],
            file_name=fields.get("FileName", ""),
            mime=f"audio/{fields['Format'].lower()}" if kind == "voice" and fields.get("Format") else "",
            transcript=fields.get("Recognition", ""),
        )
    if kind == "location":
        latitude, longitude = degrees(fields.get("Location_X", ""), 90), degrees(fields.get("Location_Y", ""), 180)
        if latitude is not None and longitude is not None:
            return Location(latitude, longitude, address=fields.get("Label", ""))
    if kind == "link":
        words = [fields.get(name, "") for name in ("Title", "Description", "Url")]
        if any(words):
            return Text("\n".join(part for part in words if part))
    return Unsupported(kind)


# --- events -----------------------------------------------------------------------------------------------------------


def _event(event: str, fields: Fields) -> Content:
    key = fields.get("EventKey", "")
    match event:
        case "subscribe":
            return Event("unblocked", {"event": event})
        case "unsubscribe":
            return Event("blocked", {"event": event, "reason": "left the application's members"})
        case "enter_agent":
            return Event("entered", {"key": key} if key else {})
        case "click" if key:
            return Button(value=key)
        case "view":
            return Event("link_opened", {"url": key})
        case "LOCATION":
            return _reported_place(fields)
        case "template_card_event" if key:
            return Button(value=key, callback_id=fields.get("ResponseCode", ""))
        case "change_external_contact":
            return _contact(fields)
        case _:
            return Unsupported(f"event:{event}")


def _reported_place(fields: Fields) -> Content:
    """Where the member's phone is, sent on entering: nobody asked for anything."""
    latitude, longitude = degrees(fields.get("Latitude", ""), 90), degrees(fields.get("Longitude", ""), 180)
    if latitude is None or longitude is None:
        return Unsupported("event:LOCATION")
    return Event("located", {"latitude": latitude, "longitude": longitude})


def _contact(fields: Fields) -> Content:
    change = fields.get("ChangeType", "")
    detail = {"change": change, "member": fields.get("UserID", "")}
    if change in CONTACT_ADDED:
        return Event("contact_added", {**detail, "source": fields.get("State", "")})
    if change in CONTACT_DELETED:
        return Event("contact_deleted", {**detail, "reason": CONTACT_DELETED[change]})
    return Event("contact_changed", detail)
