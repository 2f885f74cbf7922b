"""One Telegram bot account: verify, decode, encode, send."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import structlog
from telegram import BotCommand, InlineKeyboardButton, InlineKeyboardMarkup, Message
from telegram.constants import ChatAction

from bot.errors import Misconfigured, SendRefused, ServiceError, SignatureInvalid
from bot.types import (
    Button,
    Capabilities,
    Lane,
    Outbound,
    OutPart,
    Receipt,
    Received,
    RenderedReply,
    ReplyButton,
)
from channels.base import Finding
from channels.encoding import encode_reply
from channels.telegram.api import SERVICE, BotApi, ChatMigrated
from channels.telegram.decode import CHANNEL, Reading, decode_body, decode_update
from channels.telegram.examine import examine, webhook_url
from channels.telegram.request import AnswerUnread, asked, bot_over
from channels.text import length
from config.settings import TelegramSettings

log = structlog.get_logger()

MAX_TEXT = 4096  # UTF-16 units, Bot API sendMessage
MAX_CAPTION = 1024  # UTF-16 units, Bot API sendPhoto
MAX_BUTTONS = 100  # per inline keyboard, enforced by the server
MAX_CALLBACK_BYTES = 64  # Bot API InlineKeyboardButton.callback_data
SECRET_HEADER = "x-telegram-bot-api-secret-token"  # noqa: S105 - a header's name
# Named so that a kind Telegram adds later does not arrive unasked; reactions come only when named.
ALLOWED_UPDATES = (
    "message", "edited_message", "callback_query", "my_chat_member", "message_reaction", "channel_post", "poll_answer",
    "business_message",
)  # fmt: skip
COMMAND_TEXTS = {  # shown in Telegram's menu; "" is every language without its own
    "zh": {"start": "开始对话", "help": "我能做什么"},
    "": {"start": "Start the conversation", "help": "What I can do"},
}
WIDE_LABEL = 16  # UTF-16 units; longer labels get a row of their own to stay readable on a phone
MAX_PRESSES_IN_FLIGHT = 100
PER_GROUP_PER_MIN = 20  # Bot API FAQ, "My bot is hitting limits"


def utc_now() -> datetime:
    return datetime.now(UTC)


class TelegramAdapter:
    """Implements ChannelAdapter for one bot."""

    channel = CHANNEL

    def __init__(self, account: str, settings: TelegramSettings, *, now: Callable[[], datetime] = utc_now) -> None:
        """Raises: Misconfigured when the token or address cannot work, or a webhook account has no secret."""
        if settings.mode == "webhook" and settings.secret is None:
            raise Misconfigured(SERVICE, f"account {account!r} uses a webhook but has no SECRET")
        self.account = account
        self.settings = settings
        self.api = BotApi(settings.api_base_url, settings.token.get_secret_value(), timeout_s=settings.timeout_s)
        self.bot = bot_over(self.api)
        self.capabilities = Capabilities(
            channel=CHANNEL,
            max_text=MAX_TEXT,
            length_unit="utf16",
            buttons=MAX_BUTTONS,
            can_edit=True,
            can_type=True,
            idempotency_key=False,
            direct=False,
            per_chat_per_s=settings.per_chat_per_s,
            per_account_per_s=settings.per_account_per_s,
            per_group_per_min=PER_GROUP_PER_MIN,
            media=frozenset({"image"}),
            max_caption=MAX_CAPTION,
            max_button_value=MAX_CALLBACK_BYTES,
        )
        bot_id = int(settings.token.get_secret_value().partition(":")[0])
        self._reading = Reading(account, settings.groups, now, bot_id)
        self._presses: set[asyncio.Task[None]] = set()

    # --- in -------------------------------------------------------------------------------------------------------

    def verify_webhook(self, headers: Mapping[str, str]) -> None:
        """The request carries this account's secret. Raises: SignatureInvalid."""
        secret = self.settings.secret
        given = headers.get(SECRET_HEADER, "")
        # As bytes, because compare_digest refuses strings that are not ASCII.
        if secret is None or not hmac.compare_digest(
            given.encode("utf-8", "surrogateescape"), secret.get_secret_value().encode()
        ):
            raise SignatureInvalid("the webhook secret is missing or wrong")

    def decode(self, body: bytes) -> Sequence[Received]:
        """One webhook body; unreadable ones become a Received without a message. Never raises."""
        return (decode_body(body, self._reading),)

    def decode_update(self, update: Any, raw: bytes) -> Received:
        """One already parsed update of a polled batch. Never raises."""
        return decode_update(update, raw, self._reading)

    def knows_itself_as(self, username: str) -> None:
        """From now on `/start@somebody_else` is taken as said to somebody else."""
        self._reading = replace(self._reading, username=username)

    def trusts_links_of(self, keys: Sequence[bytes]) -> None:
        """From now on a `start` payload signed with one of these keys says who sent the customer here."""
        self._reading = replace(self._reading, link_keys=tuple(keys))

    # --- out ------------------------------------------------------------------------------------------------------

    def encode(self, reply: RenderedReply) -> tuple[OutPart, ...]:
        """Parts of at most 4096 UTF-16 units, the buttons below the last one, the picture with the first.

        Buttons Telegram cannot carry (a value over 64 bytes, no label) turn the whole keyboard into a numbered list.
        A reply with nothing visible in it has no parts: Telegram trims what it shows and refuses what is blank then.
        """
        return encode_reply(reply, self.capabilities)

    async def send(self, outbound: Outbound) -> Receipt:
        """One message left. Raises what ChannelAdapter.send says."""
        try:
            return await self._send(outbound, outbound.chat_id)
        except ChatMigrated as moved:
            log.info("telegram_chat_migrated", account=self.account, outbox_id=outbound.outbox_id)
            return await self._send(outbound, str(moved.chat_id))

    async def _send(self, outbound: Outbound, chat_id: str) -> Receipt:
        chat, topic = _address(chat_id, outbound.topic)
        part, markup = outbound.part, keyboard_markup(outbound.part.buttons)
        if not part.image_url:
            return await self._say(outbound, chat, topic, part.text, markup)
        photo = self.bot.send_photo(
            chat,
            _encodable(part.image_url),
            caption=_encodable(part.text) or None,
            reply_markup=markup,
            message_thread_id=topic,
        )
        try:
            return await self._sent(outbound, photo)
        except ChatMigrated:
            raise
        except SendRefused as refused:
            # Telegram could not fetch or show the picture: the words and the address still reach the customer.
            log.warning("telegram_photo_refused", outbox_id=outbound.outbox_id, reason=refused.reason)
            return await self._say(outbound, chat, topic, f"{part.text}\n{part.image_url}".strip(), markup)

    async def _say(
        self, outbound: Outbound, chat: int, topic: int | None, text: str, markup: InlineKeyboardMarkup | None
    ) -> Receipt:
        text = _encodable(text)
        if outbound.lane is not Lane.BROADCAST:
            message = self.bot.send_message(chat, text, reply_markup=markup, message_thread_id=topic)
            return await self._sent(outbound, message)
        # Thousands in a row: without the library's objects a call costs a third of the CPU (decision 0007).
        params: dict[str, Any] = {"chat_id": chat, "text": text}
        if topic is not None:
            params["message_thread_id"] = topic
        if markup is not None:
            params["reply_markup"] = markup.to_dict()
        answer = await self.api.call("sendMessage", params)
        found = answer.get("message_id") if isinstance(answer, dict) else None
        return Receipt(str(found) if found is not None else "")

    async def _sent(self, outbound: Outbound, call: Awaitable[Message]) -> Receipt:
        try:
            message = await asked(call)
        except AnswerUnread:
            # It left: sending it again because the library is older than the answer would be wrong.
            log.warning("telegram_answer_unread", account=self.account, outbox_id=outbound.outbox_id)
            return Receipt()
        return Receipt(str(message.message_id))

    def acknowledge_press(self, received: Received) -> None:
        """The pressed button's spinner stops soon; best effort, never waits, never raises."""
        message = received.message
        if message is None or not isinstance(message.content, Button) or not message.content.callback_id:
            return
        if len(self._presses) >= MAX_PRESSES_IN_FLIGHT:
            return
        answer = partial(self.bot.answer_callback_query, message.content.callback_id)
        task = asyncio.get_running_loop().create_task(self._best_effort("answerCallbackQuery", answer))
        self._presses.add(task)
        task.add_done_callback(self._presses.discard)

    async def send_typing(self, chat_id: str, topic: str = "") -> None:
        """The customer sees "typing…" for 5 s; best effort, never raises a ServiceError."""

        def show() -> Awaitable[bool]:
            chat, thread = _address(chat_id, topic)
            return self.bot.send_chat_action(chat, ChatAction.TYPING, message_thread_id=thread)

        await self._best_effort("sendChatAction", show)

    # --- the account at Telegram ----------------------------------------------------------------------------------

    async def prepare_polling(self) -> None:
        """We know our name, no webhook takes the updates, the menu offers our commands.

        Raises: what ChannelAdapter.send says.
        """
        await self._learn_name()
        await asked(self.bot.delete_webhook(drop_pending_updates=False))
        await self.publish_commands()

    async def set_webhook(self, public_url: str) -> None:
        """Telegram delivers updates to this account's route below `public_url` from now on.

        Raises: Misconfigured when the account has no secret or Telegram does not take the address, and what
        ChannelAdapter.send says.
        """
        if self.settings.secret is None:
            raise Misconfigured(SERVICE, f"account {self.account!r} has no SECRET for its webhook")
        await self._learn_name()
        url = webhook_url(public_url, self.account)
        secret = self.settings.secret.get_secret_value()
        try:
            await asked(
                self.bot.set_webhook(
                    url, secret_token=secret, allowed_updates=ALLOWED_UPDATES, drop_pending_updates=False
                )
            )
        except SendRefused as refused:
            raise Misconfigured(SERVICE, f"the webhook {url} was refused: {refused.reason}") from None
        await self.publish_commands()

    async def publish_commands(self) -> None:
        """Telegram's menu offers our commands in the user's language; best effort."""
        for language, texts in COMMAND_TEXTS.items():
            commands = [BotCommand(name, text) for name, text in texts.items()]
            setting = partial(self.bot.set_my_commands, commands, language_code=language)
            await self._best_effort("setMyCommands", setting)

    async def examine(self, *, public_url: str, repair: bool) -> Sequence[Finding]:
        """See `channels.base.Examinable`."""
        return await examine(self.bot, self.settings, self.account, public_url)

    async def _learn_name(self) -> None:
        me = await asked(self.bot.get_me())
        if me.username:
            self.knows_itself_as(me.username)

    async def _best_effort(self, method: str, call: Callable[[], Awaitable[bool]]) -> None:
        try:
            await asked(call())
        except ServiceError as exc:
            log.info("telegram_courtesy_failed", account=self.account, method=method, error=type(exc).__name__)

    async def close(self) -> None:
        for task in tuple(self._presses):
            task.cancel()
        await asyncio.gather(*self._presses, return_exceptions=True)
        await self.api.close()


def keyboard(buttons: Sequence[ReplyButton]) -> list[list[InlineKeyboardButton]]:
    """Inline keyboard rows: two short labels side by side, a long one alone."""
    rows: list[list[InlineKeyboardButton]] = []
    pair_open = False
    for button in buttons:
        cell = InlineKeyboardButton(_encodable(button.label), callback_data=button.value)
        is_short = length(button.label, "utf16") <= WIDE_LABEL
        if is_short and pair_open:
            rows[-1].append(cell)
            pair_open = False
        else:
            rows.append([cell])
            pair_open = is_short
    return rows


def keyboard_markup(buttons: Sequence[ReplyButton]) -> InlineKeyboardMarkup | None:
    return InlineKeyboardMarkup(keyboard(buttons)) if buttons else None


def _address(chat_id: str, topic: str) -> tuple[int, int | None]:
    """Chat and forum topic as numbers. Raises: SendRefused for what is no Telegram id."""
    try:
        return int(chat_id), int(topic) if topic else None
    except ValueError:
        raise SendRefused(SERVICE, "the chat or topic is no Telegram id") from None


def _encodable(text: str) -> str:
    """`text` with halves of surrogate pairs shown as U+FFFD: they are no characters and JSON cannot carry them."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
