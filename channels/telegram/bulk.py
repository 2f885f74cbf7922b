"""Messages to many: one Bot API call each over aiohttp, without the library's objects (decision 0011).

Words and files at an address take this way; what needs more (an album, a file of ours) goes the way of replies.
"""

from __future__ import annotations

from typing import Any, Final

import orjson
import structlog

from bot.types import Outbound, OutPart, Receipt
from channels.markup import to_html
from channels.telegram.api import BotApi, result_of
from channels.telegram.keyboards import encodable, markup_for
from channels.telegram.outgoing import address

log = structlog.get_logger()

_METHODS: Final = {"image": "Photo", "video": "Video", "audio": "Audio", "voice": "Voice", "document": "Document"}


def bulk_call(outbound: Outbound, *, is_paid: bool, shows_previews: bool) -> tuple[str, dict[str, Any]] | None:
    """Method and parameters; None where one such call does not carry it. Raises: SendRefused (no Telegram chat)."""
    chat, topic = address(outbound.chat_id, outbound.topic)
    part = outbound.part
    file = _file(part)
    if file is None:
        return None
    words = encodable(part.text)
    params: dict[str, Any] = {"chat_id": chat}
    if part.text_format == "markdown":
        words, params["parse_mode"] = to_html(words), "HTML"
    if topic is not None:
        params["message_thread_id"] = topic
    if part.buttons or part.ask:
        markup = markup_for(outbound, chat)
        if markup is not None:
            params["reply_markup"] = markup.to_dict()
    if is_paid:
        params["allow_paid_broadcast"] = True
    kind, url = file
    if not kind:
        params["text"] = words
        if not shows_previews:
            params["link_preview_options"] = {"is_disabled": True}
        return "sendMessage", params
    method = _METHODS[kind]
    params[method.lower()] = url
    if words:
        params["caption"] = words
    return f"send{method}", params


def _file(part: OutPart) -> tuple[str, str] | None:
    """Kind and address of its one file, empty for words alone; None where there is more to it."""
    if not part.media:
        return ("image", part.image_url) if part.image_url else ("", "")
    file = part.media[0]
    if len(part.media) > 1 or part.image_url or not file.url or file.caption or file.kind not in _METHODS:
        return None
    return file.kind, file.url


async def send_bulk(api: BotApi, method: str, params: dict[str, Any], account: str) -> Receipt:
    """It left. Raises: what ChannelAdapter.send says, and ChatMigrated."""
    status, body = await api.call_raw(method, params)
    found = _message_id(body) if status == 200 else None
    if found is not None:
        return Receipt(found)
    result_of(status, body)
    log.warning("telegram_answer_unread", account=account)  # it left all the same
    return Receipt()


def _message_id(body: bytes) -> str | None:
    """The id in an answer that says ok."""
    try:
        answer = orjson.loads(body)
        return str(int(answer["result"]["message_id"])) if answer["ok"] is True else None
    except (ValueError, KeyError, TypeError):
        return None
