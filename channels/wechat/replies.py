"""Passive replies: the answer that travels back in WeChat's own request. Pure."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime

from bot.ports import ComposedReply
from bot.types import Outbound
from channels.tencent.crypto import Envelope, signature
from channels.tencent.xml import write_xml
from channels.text import length

MAX_TEXT = 2048  # bytes of UTF-8; WeChat refuses longer customer-service texts and cuts passive ones
BETWEEN = "\n\n"
NOTHING = b"success"  # acknowledged, no reply. Source: developers.weixin.qq.com, "被动回复用户消息" (checked 2026-11)


def compose(rows: Sequence[Outbound]) -> ComposedReply | None:
    """The texts of the first rows as one, as many as fit; None when not even the first can travel this way."""
    words = ""
    carried = []
    for row in rows:
        joined = f"{words}{BETWEEN}{row.part.text}" if words else row.part.text
        if row.part.media or not row.part.text.strip() or length(joined, "utf8") > MAX_TEXT:
            break
        words = joined
        carried.append(row.outbox_id)
    return ComposedReply(words.encode("utf-8", "replace"), tuple(carried)) if carried else None


def reply_xml(words: str, *, to: str, sender: str, now: datetime) -> bytes:
    """A text reply as WeChat reads it; `sender` is the account's own id (gh_…), `to` the follower's."""
    created = int(now.timestamp())
    return write_xml(
        {"ToUserName": to, "FromUserName": sender, "CreateTime": created, "MsgType": "text", "Content": words}
    )


def sealed_xml(reply: bytes, envelope: Envelope, token: str, now: datetime) -> bytes:
    """`reply` encrypted and signed, new each time."""
    encrypted, stamp, nonce = envelope.seal(reply), str(int(now.timestamp())), secrets.token_hex(8)
    return write_xml(
        {
            "Encrypt": encrypted,
            "MsgSignature": signature(token, stamp, nonce, encrypted),
            "TimeStamp": int(stamp),
            "Nonce": nonce,
        }
    )
