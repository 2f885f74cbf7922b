"""One company's 微信客服: customers in WeChat write to its numbers, we answer while nobody of the company does.

Sources: developer.work.weixin.qq.com, documents 94670 (receiving), 96427 (sending), 96428 (greeting), 94698 (session
states); checked 2026-11.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from bot.errors import SendRefused, ServiceUnavailable, WindowClosed
from bot.ports import CursorStore
from bot.types import Capabilities, Event, Identity, InboundMessage, Outbound, OutPart, Receipt, Received, RenderedReply
from channels.base import FetchedFile, Finding
from channels.encoding import encode_reply
from channels.text import split_text
from channels.wecom.app import words_and_links
from channels.wecom.connection import SERVICE, SessionElsewhere, WecomConnection
from channels.wecom.examine import examine_kf
from channels.wecom.fields import int_in, text_in
from channels.wecom.kf_decode import CHANNEL, decode_batch

MAX_TEXT: Final = 2048  # bytes
MAX_HEAD: Final = 1024  # bytes above a menu
NEW, BOT, POOL, SERVICER, CLOSED = range(5)  # states of a session
OWNERS: Final = {NEW: "bot", BOT: "bot", POOL: "queue", SERVICER: "operator", CLOSED: "closed"}
MSGID: Final = re.compile(r"[0-9a-zA-Z_-]{1,32}")

CAPABILITIES: Final = Capabilities(
    channel=CHANNEL,
    max_text=MAX_TEXT,
    length_unit="utf8",
    buttons=10,
    can_edit=False,
    can_type=False,
    idempotency_key=True,  # our own msgid: a used one is refused
    direct=False,
    is_windowed=True,
    media=frozenset({"image", "voice", "audio", "video", "document"}),
    max_button_value=64,
    max_button_label=128,
)


@dataclass(frozen=True, slots=True)
class SessionState:
    state: int
    servicer: str = ""


# Told when a session is found in a state we did not know of.
StateReport = Callable[[Received], Awaitable[object]]


async def _untold(received: Received) -> None:
    """Nobody wants to know."""


class KfAdapter:
    """Implements ChannelAdapter and FetchesMedia. `topic` of a conversation is the account (open_kfid) written to."""

    channel = CHANNEL
    capabilities = CAPABILITIES

    def __init__(self, connection: WecomConnection, cursors: CursorStore | None = None) -> None:
        """`on_state` is where a session found with somebody else is reported to; none at first."""
        self.account, self.connection, self.cursors = connection.account, connection, cursors
        self.on_state: StateReport = _untold

    def cursor_name(self, open_kfid: str) -> str:
        """Another company under the same account starts afresh."""
        return f"kf:{self.account}:{self.connection.settings.corp_id}:{open_kfid}"

    # --- in -------------------------------------------------------------------------------------------------

    def decode(self, body: bytes) -> Sequence[Received]:
        """One answer of sync_msg; what cannot be read becomes a Received without a message. Never raises."""
        return tuple(decode_batch(body, self.account, self.connection.now))

    async def sync(self, open_kfid: str, cursor: str, token: str) -> Mapping[str, Any]:
        """What came after `cursor` (empty: within 3 days). Raises: NoticeExpired, and what `JsonApi.call` raises."""
        asked: dict[str, Any] = {"open_kfid": open_kfid, "limit": 1000, "voice_format": 0}
        if cursor:
            asked["cursor"] = cursor
        if token:
            asked["token"] = token
        return await self.connection.post("kf/sync_msg", asked)

    async def accounts(self) -> list[str]:
        """Every open_kfid this application may manage. Raises what `JsonApi.call` raises."""
        fields = await self.connection.post("kf/account/list", {"offset": 0, "limit": 100})
        found = fields.get("account_list")
        names = [text_in(one, "open_kfid") for one in found if isinstance(one, dict)] if isinstance(found, list) else []
        return [name for name in names if name]

    async def names(self, customers: Sequence[str]) -> dict[str, str]:
        """Nicknames of at most 100 customers, where known. Raises what `JsonApi.call` raises."""
        fields = await self.connection.post("kf/customer/batchget", {"external_userid_list": list(customers)})
        found = fields.get("customer_list")
        known = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
        return {text_in(one, "external_userid"): text_in(one, "nickname") for one in known if text_in(one, "nickname")}

    # --- out ------------------------------------------------------------------------------------------------

    def encode(self, reply: RenderedReply) -> tuple[OutPart, ...]:
        """Parts of at most 2048 bytes; buttons become a menu below at most 1024 of them."""
        parts = encode_reply(reply, CAPABILITIES)
        last = parts[-1] if parts else None
        if last is None or not last.buttons or len(last.text.encode("utf-8", "surrogatepass")) <= MAX_HEAD:
            return parts
        *before, end = split_text(last.text, MAX_HEAD, "utf8")
        return (*parts[:-1], *(replace(last, text=piece, buttons=()) for piece in before), replace(last, text=end))

    async def send(self, outbound: Outbound) -> Receipt:
        """One message left. Raises what ChannelAdapter.send says; WindowClosed when the customer has to write first."""
        if not MSGID.fullmatch(outbound.idempotency_key):
            raise SendRefused(SERVICE, "the row's key is no msgid")
        where = {"touser": outbound.chat_id, "open_kfid": outbound.topic, "msgid": outbound.idempotency_key}
        try:
            await self.connection.post("kf/send_msg", {**where, **await self._message(outbound.part)})
        except SessionElsewhere:
            await self._explain(outbound)
        except SendRefused as refused:
            # Ours has the right form, so all that can be wrong with it is that it was used: by us, for this row, in a
            # call whose answer was lost. Document 96427: unique within the account, "otherwise the interface returns
            # an error"; neither a code nor a text is named, and that the text holds "msgid" is our assumption.
            if "msgid" not in refused.reason:
                raise
        return Receipt(outbound.idempotency_key)

    async def _message(self, part: OutPart) -> Mapping[str, Any]:
        if part.media and part.media[0].media_id:
            kind, media_id = await self.connection.upload(part.media[0])
            return {"msgtype": kind, kind: {"media_id": media_id}}
        return menu_or_text(part)

    async def _explain(self, outbound: Outbound) -> None:
        """Why this session takes no message from us, told to the store as well.

        Raises: SendRefused (a person has it), WindowClosed (over until the customer writes), ServiceUnavailable.
        """
        now = await self.state(outbound.topic, outbound.chat_id)
        if now.state in (NEW, BOT):
            raise ServiceUnavailable(SERVICE, "the session was not ours a moment ago", happened="no")
        key = f"state:{outbound.idempotency_key}:{now.state}"
        await self.on_state(self.owner_event(outbound.topic, outbound.chat_id, now, key))
        if now.state == CLOSED:
            raise WindowClosed(SERVICE, "the session is closed: the customer has to write first")
        who = "waits in WeCom's queue" if now.state == POOL else "is with a colleague in WeCom"
        raise SendRefused(SERVICE, f"the session {who}")

    async def greet(self, code: str, part: OutPart, msgid: str) -> None:
        """The customer who opened the chat is greeted; once for each code, within 20 s.

        Raises what `JsonApi.call` raises.
        """
        await self.connection.post("kf/send_msg_on_event", {"code": code, "msgid": msgid, **menu_or_text(part)})

    # --- sessions -------------------------------------------------------------------------------------------

    async def state(self, open_kfid: str, customer: str) -> SessionState:
        """Whose the session is. Raises what `JsonApi.call` raises."""
        asked = {"open_kfid": open_kfid, "external_userid": customer}
        fields = await self.connection.post("kf/service_state/get", asked)
        state = int_in(fields, "service_state")
        if state not in OWNERS:
            raise ServiceUnavailable(SERVICE, "a session state we do not know", happened="no")
        return SessionState(state, text_in(fields, "servicer_userid"))

    async def move(self, open_kfid: str, customer: str, wanted: SessionState) -> None:
        """The session is in that state. Raises: TransitionRefused, and what `JsonApi.call` raises."""
        asked: dict[str, Any] = {"open_kfid": open_kfid, "external_userid": customer, "service_state": wanted.state}
        if wanted.servicer:
            asked["servicer_userid"] = wanted.servicer
        await self.connection.post("kf/service_state/trans", asked)

    def owner_event(self, open_kfid: str, customer: str, found: SessionState, key: str) -> Received:
        """The session's state as the inbox takes it."""
        detail = {"owner": OWNERS[found.state], "by": found.servicer, "reason": "the session's state in WeCom"}
        return self.report(open_kfid, customer, Event("owner_changed", detail), key)

    def report(self, open_kfid: str, customer: str, event: Event, key: str, *, name: str = "") -> Received:
        """Something we found out about a customer, as the inbox takes it. It holds no words."""
        at: datetime = self.connection.now()
        message = InboundMessage(
            sender=Identity(CHANNEL, self.account, customer),
            chat_id=customer,
            topic=open_kfid,
            dedupe_key=key,
            content=event,
            sent_at=at,
            sender_name=name,
            wants_turn=False,
            author="system",
        )
        return Received(CHANNEL, self.account, key, key.encode(), message)

    # --- the rest -------------------------------------------------------------------------------------------

    async def fetch_media(self, file_id: str, *, max_bytes: int) -> FetchedFile:
        """See `channels.base.FetchesMedia`."""
        return await self.connection.fetch(file_id, max_bytes=max_bytes)

    async def examine(self, *, public_url: str, repair: bool) -> Sequence[Finding]:
        """See `channels.base.Examinable`."""
        return await examine_kf(self, public_url)

    async def close(self) -> None:
        await self.connection.close()


def menu_or_text(part: OutPart) -> Mapping[str, Any]:
    """What a part without files is in a call."""
    if not part.buttons:
        return {"msgtype": "text", "text": {"content": words_and_links(part)}}
    entries = [{"type": "click", "click": {"id": one.value, "content": one.label}} for one in part.buttons]
    return {"msgtype": "msgmenu", "msgmenu": {"head_content": part.text, "list": entries}}
