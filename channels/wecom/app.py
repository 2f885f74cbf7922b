"""One WeCom application: its members write to it, it answers them.

Sources: developer.work.weixin.qq.com, documents 90236 "发送应用消息" and 90454 "访问频率限制"; checked 2026-11.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from bot.errors import PayloadInvalid, RecipientUnreachable
from bot.types import Capabilities, Card, Outbound, OutPart, Receipt, Received, RenderedReply
from channels.base import FetchedFile, Finding
from channels.encoding import encode_reply
from channels.markup import to_plain
from channels.tencent.xml import read_xml
from channels.text import split_text
from channels.wecom.app_decode import CHANNEL, decode_fields, parked
from channels.wecom.connection import SERVICE, WecomConnection
from channels.wecom.examine import examine_application

MAX_TEXT: Final = 2048  # bytes; what is longer loses its end without a word
CARD_TITLE, CARD_TEXT = 128, 512  # bytes of an article
# Characters above the buttons of a template card, and of these in its title. WeCom recommends at most 36 for the title
# and 160 for the text below it; 112 in all is ours, and more belong into a message of their own.
MAX_CARD_WORDS, MAX_CARD_TITLE = 112, 36
_PAUSE: Final = re.compile(r"[\n。！？；，]|[.!?;,](?=\s)")  # where a title may end

CAPABILITIES: Final = Capabilities(
    channel=CHANNEL,
    max_text=MAX_TEXT,
    length_unit="utf8",
    buttons=6,
    can_edit=False,
    can_type=False,
    idempotency_key=False,  # see _again_within_s: the vendor's check only makes a repetition unlikely to be seen
    direct=False,
    # The vendor drops what is above, and says "ok".
    per_chat_per_min=30,
    per_chat_per_h=1000,
    per_account_per_s=100,  # our bound: sends do not count against the 10,000 calls a minute of other interfaces
    markdown=False,  # WeCom shows it, but members who read in WeChat see nothing of such a message
    media=frozenset({"image", "voice", "audio", "video", "document"}),
    cards=8,
    max_button_value=1024,
    max_button_label=30,  # ten characters are shown
)
_PLAIN: Final = replace(CAPABILITIES, buttons=0)
_NO_CARDS: Final = replace(CAPABILITIES, cards=0)


class WecomAdapter:
    """Implements ChannelAdapter and FetchesMedia for one application."""

    channel = CHANNEL
    capabilities = CAPABILITIES

    def __init__(self, connection: WecomConnection) -> None:
        self.account, self.connection = connection.account, connection

    def decode(self, body: bytes) -> Sequence[Received]:
        """One opened callback; what cannot be read becomes a Received without a message. Never raises."""
        try:
            fields = read_xml(body)
        except PayloadInvalid as exc:
            return (parked(body, self.account, str(exc)),)
        return (decode_fields(fields, body, self.account, self.connection.now),)

    def encode(self, reply: RenderedReply) -> tuple[OutPart, ...]:
        """Parts of at most 2048 bytes. Buttons become a template card below a short text, else a numbered list."""
        can = CAPABILITIES if all(map(_is_article, reply.cards)) else _NO_CARDS
        words = to_plain(reply.text) if reply.text_format == "markdown" else reply.text
        if reply.buttons and (len(words) > MAX_CARD_WORDS or len({one.value for one in reply.buttons}) < 2):
            can = replace(can, buttons=_PLAIN.buttons)
        return encode_reply(reply, can)

    async def send(self, outbound: Outbound) -> Receipt:
        """One message left. Raises what ChannelAdapter.send says."""
        payload = {
            "touser": outbound.chat_id,
            "agentid": self.connection.settings.agent_id,
            "enable_duplicate_check": 1,
            "duplicate_check_interval": _again_within_s(outbound.idempotency_key),
            **await self._message(outbound),
        }
        fields = await self.connection.post("message/send", payload)
        if fields.get("invaliduser"):
            raise RecipientUnreachable(SERVICE, "not a member who may use the application")
        if fields.get("unlicenseduser"):
            raise RecipientUnreachable(SERVICE, "a member without an interface licence (基础接口许可)")
        found = fields.get("msgid")
        return Receipt(found if isinstance(found, str) else "")

    async def _message(self, outbound: Outbound) -> Mapping[str, Any]:
        part = outbound.part
        if part.cards:
            return {"msgtype": "news", "news": {"articles": [_article(card) for card in part.cards]}}
        if part.media and part.media[0].media_id:
            kind, media_id = await self.connection.upload(part.media[0])
            return {"msgtype": kind, kind: {"media_id": media_id}}
        if part.buttons:
            return {"msgtype": "template_card", "template_card": _buttons(part, outbound.idempotency_key)}
        return {"msgtype": "text", "text": {"content": words_and_links(part)}}

    async def fetch_media(self, file_id: str, *, max_bytes: int) -> FetchedFile:
        """See `channels.base.FetchesMedia`."""
        return await self.connection.fetch(file_id, max_bytes=max_bytes)

    async def examine(self, *, public_url: str, repair: bool) -> Sequence[Finding]:
        """See `channels.base.Examinable`."""
        return await examine_application(self.connection, public_url)

    async def close(self) -> None:
        await self.connection.close()


def words_and_links(part: OutPart) -> str:
    """The text, and where the files are that only have an address."""
    lines = [part.text, part.image_url, *(line for file in part.media for line in (file.caption, file.url))]
    return "\n".join(line for line in lines if line)


def _again_within_s(key: str) -> int:
    """Seconds within which the same request is taken for a repetition of this row: longer than our lease of a send.

    The vendor compares whole requests, this number included. It differs from row to row, so that the bot saying the
    same thing twice is shown twice, while a row sent again because its answer was lost is not.
    """
    return 40 + zlib.crc32(key.encode()) % 60


def _buttons(part: OutPart, key: str) -> Mapping[str, Any]:
    title, more = _title_and_more(part.text.strip())
    return {
        "card_type": "button_interaction",
        "task_id": key,
        "main_title": {"title": title},
        **({"sub_title_text": more} if more else {}),
        "button_list": [{"text": button.label, "style": 1, "key": button.value} for button in part.buttons],
    }


def _title_and_more(text: str) -> tuple[str, str]:
    """A title WeCom shows whole, which ends where a reader pauses, and what stands below it."""
    if len(text) <= MAX_CARD_TITLE:
        return text, ""
    pauses = [pause.end() for pause in _PAUSE.finditer(text, 0, MAX_CARD_TITLE)]
    cut = pauses[-1] if pauses else len(split_text(text, MAX_CARD_TITLE)[0])
    return text[:cut].strip(), text[cut:].strip()


def _is_article(card: Card) -> bool:
    """Nothing of it would be cut, and it leads somewhere."""
    fits = len(card.title.encode()) <= CARD_TITLE and len(card.text.encode()) <= CARD_TEXT
    return bool(card.url and card.title.strip()) and fits and not card.buttons


def _article(card: Card) -> Mapping[str, str]:
    return {"title": card.title, "description": card.text, "url": card.url, "picurl": card.image_url}
