"""WeChat's calls to us: plain, compatible or encrypted; given up after 5 s, three tries in all; answers read strictly.

Signing, encrypting and decrypting are wechatpy's here, so that a mistake of ours does not cancel itself out.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import urllib.parse
from collections.abc import Awaitable, Callable
from typing import Any, Final
from xml.sax.saxutils import escape

import aiohttp
import xmltodict
from wechatpy.crypto import WeChatCrypto

from channels.simulators.faults import FaultPlan
from channels.simulators.wechat_world import BROKEN, MAX_TEXT, Fields, OfficialAccount

ANSWER_WITHIN_S: Final = 5.0
TRIES: Final = 3
ENCRYPTIONS: Final = ("plain", "compatible", "encrypted")
REPLY_KINDS: Final = frozenset({"text", "image", "voice", "video", "music", "news"})


class BadReply(Exception):
    """What came back is no reply."""


class Callbacks:
    """Delivers what the account reports to `url`, each callback on its own: they may overtake each other."""

    def __init__(
        self,
        account: OfficialAccount,
        faults: FaultPlan,
        *,
        token: str,
        aes_key: str,
        encryption: str = "plain",
        answer_within_s: float = ANSWER_WITHIN_S,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        delay_s: float = 0.0,
    ) -> None:
        """`delay_s` lies between two tries of a callback."""
        self.url, self.encryption = "", encryption
        self._account, self._faults, self._token = account, faults, token
        self._crypto = WeChatCrypto(token, aes_key, account.app_id)
        self._answer_within_s, self._sleep, self._delay_s = answer_within_s, sleep, delay_s
        self._session: aiohttp.ClientSession | None = None
        self._under_way: set[asyncio.Task[None]] = set()
        self._kept_back: list[Fields] = []
        account.on_callback = self.deliver

    def deliver(self, fields: Fields) -> None:
        """The callback is on its way; without an address, or with a planned loss, it is lost."""
        if self._faults.for_updates("lost_callback") or not self.url:
            self._note(fields, 0, "lost")
            return
        if self._faults.for_updates("reorder_updates"):
            self._kept_back.append(fields)  # overtaken by the next one
            return
        if self._faults.for_updates("malformed_update"):
            self._start({"MsgType": "text", "Content": "names nobody"})
        self._start(fields)
        if self._faults.for_updates("duplicate_update"):
            self._start(fields)
        while self._kept_back:
            self._start(self._kept_back.pop())

    async def settled(self) -> None:
        """Every callback under way is over."""
        while self._under_way:
            await asyncio.gather(*self._under_way)

    async def verify(self) -> bool:
        """The address answers the echo check, as when it is typed into the console."""
        echo = secrets.token_hex(8)
        query = urllib.parse.urlencode({**self._signed(), "echostr": echo})
        try:
            async with self._open().get(f"{self.url}?{query}") as response:
                return response.status == 200 and await response.text() == echo
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    async def close(self) -> None:
        for task in tuple(self._under_way):
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
            self._session = None

    # --- one callback -----------------------------------------------------------------------------------------------

    def _start(self, fields: Fields) -> None:
        task = asyncio.get_running_loop().create_task(self._deliver(fields))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _deliver(self, fields: Fields) -> None:
        xml = _xml(fields)
        if self._faults.for_updates("broken_json"):
            xml = xml[: len(xml) // 2]
        for attempt in range(1, TRIES + 1):
            status, body = await self._post(xml, fields)
            if status == 200 and body and self._faults.for_updates("lost_reply"):
                status = 0
            self._note(fields, attempt, str(status or "no answer"))
            if status == 200:
                self._take_reply(body, fields)
                return
            if attempt < TRIES:
                await self._sleep(self._delay_s)
        if fields["MsgType"] != "event":
            self._account.show(str(fields.get("FromUserName", "")), BROKEN, "")

    async def _post(self, xml: str, fields: Fields) -> tuple[int, bytes]:
        """HTTP status (0: no answer in time) and body."""
        query = {**self._signed(), "openid": str(fields.get("FromUserName", ""))}
        body = xml
        if self.encryption != "plain":
            sealed = xmltodict.parse(self._crypto.encrypt_message(xml, query["nonce"], query["timestamp"]))["xml"]
            query |= {"encrypt_type": "aes", "msg_signature": sealed["MsgSignature"]}
            part = f"<Encrypt><![CDATA[{sealed['Encrypt']}]]></Encrypt></xml>"
            to_whom = f"<xml><ToUserName><![CDATA[{self._account.original_id}]]></ToUserName>"
            body = xml.removesuffix("</xml>") + part if self.encryption == "compatible" else to_whom + part
        try:
            async with self._open().post(
                f"{self.url}?{urllib.parse.urlencode(query)}",
                data=body.encode(),
                headers={"Content-Type": "text/xml", "User-Agent": "Mozilla/4.0"},
            ) as response:
                return response.status, await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError):
            return 0, b""

    def _signed(self) -> dict[str, str]:
        timestamp, nonce = str(int(self._account.now())), str(secrets.randbelow(10**9))
        parts = "".join(sorted((self._token, timestamp, nonce)))
        signature = hashlib.sha1(parts.encode(), usedforsecurity=False).hexdigest()
        return {"signature": signature, "timestamp": timestamp, "nonce": nonce}

    # --- the answer -------------------------------------------------------------------------------------------------

    def _take_reply(self, body: bytes, fields: Fields) -> None:
        openid = str(fields.get("FromUserName", ""))
        if body in {b"", b"success"}:
            return
        try:
            text = self._read_reply(body, openid)
        except BadReply as bad:
            self._account.ledger.add("bad_reply", self._account.now(), chat_id=openid, reason=str(bad))
            self._account.show(openid, BROKEN, "")
            return
        self._account.show(openid, text, "passive")

    def _read_reply(self, body: bytes, openid: str) -> str:
        """The text of a passive reply. Raises: BadReply."""
        fields = _parsed(body)
        if self.encryption != "plain":
            missing = {"Encrypt", "MsgSignature", "TimeStamp", "Nonce"} - set(fields)
            if missing:
                raise BadReply(f"an encrypted reply needs {', '.join(sorted(missing))}")
            try:
                clear = self._crypto.decrypt_message(body, fields["MsgSignature"], fields["TimeStamp"], fields["Nonce"])
            except Exception as exc:
                raise BadReply(f"cannot be decrypted ({type(exc).__name__})") from exc
            fields = _parsed(clear.encode() if isinstance(clear, str) else clear)
        if fields.get("ToUserName") != openid or fields.get("FromUserName") != self._account.original_id:
            raise BadReply("answers somebody else, or as somebody else")
        if not str(fields.get("CreateTime", "")).isdecimal():
            raise BadReply("has no CreateTime")
        if fields.get("MsgType") not in REPLY_KINDS:
            raise BadReply("has an unknown MsgType")
        content = fields.get("Content")
        if fields["MsgType"] == "text" and not (isinstance(content, str) and content):
            raise BadReply("has no words")
        if fields["MsgType"] == "text" and len(str(content).encode()) > MAX_TEXT:
            raise BadReply(f"is longer than {MAX_TEXT} bytes")
        return str(content)

    def _note(self, fields: Fields, attempt: int, outcome: str) -> None:
        name = str(fields.get("Event") or fields.get("MsgType") or "")
        self._account.ledger.add("delivery", self._account.now(), event=name, attempt=attempt, outcome=outcome)
        self._account.pulse.beat()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            # No limit of connections: waiting for a free one would count as our being slow.
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=self._answer_within_s), connector=aiohttp.TCPConnector(limit=0)
            )
        return self._session


def _parsed(body: bytes) -> dict[str, Any]:
    """Raises: BadReply."""
    try:
        found = xmltodict.parse(body.decode("utf-8"), strip_whitespace=False)["xml"]
    except (ValueError, KeyError, TypeError, xmltodict.expat.ExpatError) as exc:
        raise BadReply(f"is no XML ({type(exc).__name__})") from exc
    if not isinstance(found, dict):
        raise BadReply("is empty")
    return found


def _xml(fields: Fields) -> str:
    """As WeChat writes it: words in CDATA, numbers bare, each field on its own."""
    return f"<xml>{_inside(fields)}</xml>"


def _inside(fields: Fields) -> str:
    return "".join(
        f"<{name}>{_value(each)}</{name}>"
        for name, value in fields.items()
        for each in (value if isinstance(value, list) else [value])
    )


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return _inside(value)
    if not isinstance(value, str):
        return str(value)
    return escape(value) if "]]>" in value else f"<![CDATA[{value}]]>"
