"""What the load says: messages as each channel's vendor sends them, of the next customer each time."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
from collections.abc import Callable, Iterator
from time import time
from typing import Any

from bench.wire import post
from channels.tencent.crypto import Envelope, signature
from channels.tencent.xml import write_xml

MESSAGES = "/channels/web/default/messages"
XML = {"Content-Type": "text/xml"}

Job = dict[str, Any]


def numbered(job: Job) -> Iterator[tuple[int, str]]:
    return zip(itertools.count(), itertools.cycle(job["texts"]), strict=False)


def web(job: Job) -> Iterator[bytes]:
    """A message of the next visitor each time, so that no two in flight are of one conversation."""
    run = f"{time():.3f}"
    headers = job.get("headers") or [{"Authorization": f"Bearer {token}"} for token in job["tokens"]]
    prefixes = [post(MESSAGES, b"", header).removesuffix(b"0\r\n\r\n") for header in headers]
    for number, prefix, text in zip(
        itertools.count(), itertools.cycle(prefixes), itertools.cycle(job["texts"]), strict=False
    ):
        body = json.dumps({"id": f"{run}-{number}", "text": text}, ensure_ascii=False).encode()
        yield prefix + b"%d\r\n\r\n" % len(body) + body


def telegram(job: Job) -> Iterator[bytes]:
    secret = {"X-Telegram-Bot-Api-Secret-Token": job["secret"]}
    first = int(time() * 1000) % 1_000_000_000
    for number, text in numbered(job):
        user = 10_000 + number % job["users"]
        person = {"id": user, "is_bot": False, "first_name": "Wang", "language_code": "zh-hans"}
        chat = {"id": user, "first_name": "Wang", "type": "private"}
        message = {"message_id": number + 1, "from": person, "chat": chat, "date": int(time()), "text": text}
        body = json.dumps({"update_id": first + number, "message": message}, ensure_ascii=False).encode()
        yield post("/channels/telegram/bench", body, secret)


def wechat(job: Job) -> Iterator[bytes]:
    """Signed messages to an account in plain mode, or encrypted ones to one that encrypts."""
    token, is_encrypted = job["account"]["token"], job["channel"] == "wechat-aes"
    envelope = Envelope("bench", job["account"]["aes_key"], job["account"]["app_id"])
    first = int(time() * 1000)
    for number, text in numbered(job):
        now = int(time())
        message = {"ToUserName": "gh_bench", "FromUserName": follower(number, job["users"]), "CreateTime": now}
        body = write_xml({**message, "MsgType": "text", "Content": text, "MsgId": first + number})
        stamp, nonce = str(now), str(first + number)
        query = f"signature={signature(token, stamp, nonce)}&timestamp={stamp}&nonce={nonce}"
        if is_encrypted:
            sealed = envelope.seal(body)
            body = write_xml({"ToUserName": "gh_bench", "Encrypt": sealed})
            query += f"&encrypt_type=aes&msg_signature={signature(token, stamp, nonce, sealed)}"
        yield post(f"/channels/wechat/{job['channel']}?{query}", body, XML)


def wecom(job: Job) -> Iterator[bytes]:
    """Of members to the application; always encrypted."""
    account = job["account"]
    envelope = Envelope("bench", account["aes_key"], account["corp_id"])
    first = int(time() * 1000)
    for number, text in numbered(job):
        stamp, nonce = str(int(time())), str(first + number)
        frame = {"ToUserName": account["corp_id"], "AgentID": account["agent_id"]}
        message = {"FromUserName": member(number, job["users"]), "CreateTime": int(stamp), "MsgId": first + number}
        sealed = envelope.seal(write_xml({**frame, **message, "MsgType": "text", "Content": text}))
        query = f"msg_signature={signature(account['token'], stamp, nonce, sealed)}&timestamp={stamp}&nonce={nonce}"
        yield post(f"/channels/wecom/bench?{query}", write_xml({**frame, "Encrypt": sealed}), XML)


def line(job: Job) -> Iterator[bytes]:
    """With reply tokens that the stand-in was told of."""
    secret = job["account"]["secret"].encode()
    for number, text in numbered(job):
        event = {
            "type": "message",
            "mode": "active",
            "timestamp": int(time() * 1000),
            "source": {"type": "user", "userId": friend(number, job["users"])},
            "webhookEventId": f"01BENCH{number:019d}",
            "deliveryContext": {"isRedelivery": False},
            "replyToken": reply_token(number),
            "message": {"type": "text", "id": str(10**17 + number), "text": text, "quoteToken": "q"},
        }
        body = json.dumps({"destination": "U" + "0" * 32, "events": [event]}, ensure_ascii=False).encode()
        signed = base64.b64encode(hmac.new(secret, body, hashlib.sha256).digest()).decode()
        yield post("/channels/line/bench", body, {"X-Line-Signature": signed})


def follower(number: int, users: int) -> str:
    return f"o{number % users}"


def member(number: int, users: int) -> str:
    return f"m{number % users}"


def friend(number: int, users: int) -> str:
    return f"U{number % users:032x}"


def reply_token(number: int) -> str:
    return f"bench{number}"


REQUESTS: dict[str, Callable[[Job], Iterator[bytes]]] = {
    "web": web,
    "telegram": telegram,
    "wechat": wechat,
    "wechat-aes": wechat,
    "wecom": wecom,
    "line": line,
}
