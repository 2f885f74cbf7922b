"""One part on its way out: words, files or albums, in place of an earlier message where it is a living status."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog
from telegram import LinkPreviewOptions, Message
from telegram.constants import ParseMode

from bot.errors import SendRefused, ServiceError
from bot.types import Lane, Outbound, OutMedia, Receipt
from channels.markup import to_html, to_plain
from channels.telegram.api import SERVICE, BotApi, ChatMigrated
from channels.telegram.files import MediaReader, OutgoingFiles
from channels.telegram.keyboards import encodable, inline_markup, is_private, markup_for
from channels.telegram.request import AnswerUnread, asked, bot_over
from config.settings import TelegramSettings

log = structlog.get_logger()

PINNED: Final = "case:"  # status keys of what stays at the top of the chat: a complaint's state
MAX_COURTESIES: Final = 100  # calls nobody waits for, under way at once

# Wording: tdlib/telegram-bot-api, Client.cpp. A refused edit for any other reason also ends in a new message.
_NOT_PARSED, _NOT_MODIFIED = "can't parse entities", "message is not modified"
_GONE = "message to delete not found"


class Outgoing:
    """Sends for one bot."""

    def __init__(self, account: str, settings: TelegramSettings, api: BotApi, read: MediaReader | None) -> None:
        self.api, self.bot = api, bot_over(api)
        self._account, self._settings = account, settings
        self._files = OutgoingFiles(read, is_local=settings.local)
        self._preview = None if settings.link_previews else LinkPreviewOptions(is_disabled=True)
        self._courtesies: set[asyncio.Task[None]] = set()

    async def send(self, outbound: Outbound, chat_id: str) -> Receipt:
        """Raises: what ChannelAdapter.send says, and ChatMigrated."""
        chat, topic = address(chat_id, outbound.topic)
        part = outbound.part
        if part.takes_back:
            return await self._take_back(outbound, chat)
        files = part.media or ((OutMedia("image", url=part.image_url),) if part.image_url else ())
        if outbound.edits and not files and (edited := await self._edit(outbound, chat)):
            return edited
        if files:
            receipt = await self._send_files(outbound, chat, topic, files)
        else:
            receipt = await self._say(outbound, chat, topic, part.text)
        if part.status_key.startswith(PINNED) and is_private(chat):
            self._pin(chat, receipt.vendor_message_id, instead_of=outbound.edits)
        return receipt

    # --- words ----------------------------------------------------------------------------------------------------

    async def _say(self, outbound: Outbound, chat: int, topic: int | None, text: str) -> Receipt:
        markup = markup_for(outbound, chat)

        async def say(words: str, mode: str | None) -> Receipt:
            params: dict[str, Any] = {"chat_id": chat, "text": words}
            if topic is not None:
                params["message_thread_id"] = topic
            if mode is not None:
                params["parse_mode"] = mode
            if markup is not None:
                params["reply_markup"] = markup.to_dict()
            return await self._post(outbound, params)

        return await self._formatted(outbound, text, say)

    async def _formatted(
        self, outbound: Outbound, text: str, say: Callable[[str, str | None], Awaitable[Receipt]]
    ) -> Receipt:
        """Said with its markup; plainly where Telegram cannot read ours, which must not keep the words back."""
        text = encodable(text)
        if outbound.part.text_format != "markdown":
            return await say(text, None)
        try:
            return await say(to_html(text), ParseMode.HTML)
        except SendRefused as refused:
            if _NOT_PARSED not in refused.reason.lower():
                raise
            log.error("telegram_markup_refused", account=self._account, outbox_id=outbound.outbox_id)
        return await say(to_plain(text), None)

    async def _post(self, outbound: Outbound, params: dict[str, Any]) -> Receipt:
        """Without the library's objects, which cost more than the call itself (decision 0007)."""
        if self._preview is not None:
            params["link_preview_options"] = {"is_disabled": True}
        if self._settings.allow_paid_broadcast and outbound.lane is Lane.BROADCAST:
            params["allow_paid_broadcast"] = True
        answer = await self.api.call("sendMessage", params)
        found = answer.get("message_id") if isinstance(answer, dict) else None
        if not isinstance(found, int):
            # It left: sending it again because the answer cannot be read would be wrong.
            log.warning("telegram_answer_unread", account=self._account, outbox_id=outbound.outbox_id)
            return Receipt()
        return Receipt(str(found))

    async def _edit(self, outbound: Outbound, chat: int) -> Receipt | None:
        """The earlier message says this now; None when it cannot be changed any more, so that a new one is due."""
        markup = inline_markup(outbound.part.buttons)

        async def edit(words: str, mode: str | None) -> Receipt:
            changed = self.bot.edit_message_text(
                words,
                chat,
                int(outbound.edits),
                parse_mode=mode,
                reply_markup=markup,
                link_preview_options=self._preview,
            )
            try:
                await asked(changed)
            except AnswerUnread:
                log.warning("telegram_answer_unread", account=self._account, outbox_id=outbound.outbox_id)
            return Receipt(outbound.edits)

        try:
            return await self._formatted(outbound, outbound.part.text, edit) if outbound.edits.isdecimal() else None
        except ChatMigrated:
            raise
        except SendRefused as refused:
            if _NOT_MODIFIED in refused.reason.lower():
                return Receipt(outbound.edits)
            log.info("telegram_message_not_editable", outbox_id=outbound.outbox_id, reason=refused.reason)
            return None

    async def _take_back(self, outbound: Outbound, chat: int) -> Receipt:
        """The earlier message is gone from the chat. Raises: SendRefused where Telegram keeps it."""
        if not outbound.edits.isdecimal():
            raise SendRefused(SERVICE, "there is no message to take back")
        try:
            await asked(self.bot.delete_message(chat, int(outbound.edits)))
        except AnswerUnread:
            log.warning("telegram_answer_unread", account=self._account, outbox_id=outbound.outbox_id)
        except ChatMigrated:
            raise
        except SendRefused as refused:
            if _GONE not in refused.reason.lower():  # the customer may have deleted it themselves
                raise
        return Receipt(outbound.edits)

    # --- files ----------------------------------------------------------------------------------------------------

    async def _send_files(
        self, outbound: Outbound, chat: int, topic: int | None, files: tuple[OutMedia, ...]
    ) -> Receipt:
        markup = markup_for(outbound, chat) if len(files) == 1 else None  # an album carries no keys
        is_paid = True if self._settings.allow_paid_broadcast and outbound.lane is Lane.BROADCAST else None
        common: dict[str, Any] = {"message_thread_id": topic, "allow_paid_broadcast": is_paid}

        async def send(caption: str, mode: str | None) -> Receipt:
            ready = [await self._files.ready(file) for file in files]
            if len(ready) == 1:
                words = (caption, mode) if caption else (ready[0].caption, None)
                return await self._sent(outbound, ready[0].call(self.bot, chat, words, reply_markup=markup, **common))
            album = [file.in_album(caption if place == 0 else "", mode) for place, file in enumerate(ready)]
            return await self._sent(outbound, self.bot.send_media_group(chat, album, **common))

        try:
            return await self._formatted(outbound, outbound.part.text, send)
        except ChatMigrated:
            raise
        except SendRefused as refused:
            # Telegram could not fetch or show it: the words and the address still reach the customer.
            addresses = [file.url for file in files if file.url]
            if len(addresses) < len(files):
                raise
            log.warning("telegram_file_refused", outbox_id=outbound.outbox_id, reason=refused.reason)
            captions = [file.caption for file in files if file.caption]
            text = "\n".join(line for line in (outbound.part.text, *captions, *addresses) if line)
            return await self._say(outbound, chat, topic, text)

    async def _sent(self, outbound: Outbound, call: Awaitable[Message | tuple[Message, ...]]) -> Receipt:
        try:
            sent = await asked(call)
        except AnswerUnread:
            # It left: sending it again because the library is older than the answer would be wrong.
            log.warning("telegram_answer_unread", account=self._account, outbox_id=outbound.outbox_id)
            return Receipt()
        first = sent[0] if isinstance(sent, tuple) else sent
        return Receipt(str(first.message_id))

    # --- courtesies: nobody waits for them, and nothing fails with them --------------------------------------------

    def _pin(self, chat: int, message_id: str, *, instead_of: str) -> None:
        """The status stays at the top of the chat, without a sound; the one it replaces does not."""
        if not message_id:
            return
        pinned = int(message_id)
        self.soon("pinChatMessage", lambda: self.bot.pin_chat_message(chat, pinned, disable_notification=True))
        if instead_of.isdecimal():
            self.soon("unpinChatMessage", lambda: self.bot.unpin_chat_message(chat, int(instead_of)))

    def soon(self, method: str, call: Callable[[], Awaitable[bool]]) -> None:
        """Called without waiting; left out when too many are under way."""
        if len(self._courtesies) >= MAX_COURTESIES:
            return
        task = asyncio.get_running_loop().create_task(self.best_effort(method, call))
        self._courtesies.add(task)
        task.add_done_callback(self._courtesies.discard)

    async def best_effort(self, method: str, call: Callable[[], Awaitable[bool]]) -> None:
        try:
            await asked(call())
        except ServiceError as exc:
            log.info("telegram_courtesy_failed", account=self._account, method=method, error=type(exc).__name__)

    async def close(self) -> None:
        for task in tuple(self._courtesies):
            task.cancel()
        await asyncio.gather(*self._courtesies, return_exceptions=True)


def address(chat_id: str, topic: str) -> tuple[int, int | None]:
    """Chat and forum topic as numbers. Raises: SendRefused for what is no Telegram id."""
    try:
        return int(chat_id), int(topic) if topic else None
    except ValueError:
        raise SendRefused(SERVICE, "the chat or topic is no Telegram id") from None
