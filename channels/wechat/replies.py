"""Passive replies: the answer that travels back in WeChat's own request. Pure."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from datetime import datetime

from bot.ports import ComposedReply
from bot.types import Outbound, OutPart
from channels.tencent.crypto import Envelope, signature
from channels.tencent.xml import write_xml
from channels.text import length, split_text

# Bytes of UTF-8. The vendor's pages name no limit; this is what several people measured (customer-service texts beyond
# it get 45002, and of a passive one a follower read the sentence about a fault).
MAX_TEXT = 2048
BETWEEN = "\n\n"
NOTHING = b"success"  # acknowledged, no reply. Source: developers.weixin.qq.com, "被动回复用户消息" (checked 2026-11)


Compose = Callable[[Sequence[Outbound]], ComposedReply | None]


def compose(rows: Sequence[Outbound]) -> ComposedReply | None:
    """The texts of the first rows as one, as many as fit; None when not even the first can travel this way."""
    return _merged(rows, lambda part: "" if part.media or part.image_url else part.text)


def compose_all(rows: Sequence[Outbound]) -> ComposedReply | None:
    """As `compose`, with files as what can be said of them: nothing else would ever leave."""
    return _merged(rows, _as_words)


def _merged(rows: Sequence[Outbound], words_of: Callable[[OutPart], str]) -> ComposedReply | None:
    words = ""
    carried = []
    for row in rows:
        text = words_of(row.part)
        joined = f"{words}{BETWEEN}{text}" if words else text
        if not text.strip() or length(joined, "utf8") > MAX_TEXT:
            break
        words = joined
        carried.append(row.outbox_id)
    return ComposedReply(words.encode("utf-8", "replace"), tuple(carried)) if carried else None


def _as_words(part: OutPart) -> str:
    lines = [part.text, part.image_url]
    for file in part.media:
        lines += [file.caption, file.url or file.file_name or file.kind]
    return split_text("\n".join(line for line in lines if line) or "…", MAX_TEXT, "utf8")[0]


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
