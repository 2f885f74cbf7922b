"""One Telegram bot account: verify, decode, encode, send."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import structlog
from telegram.constants import ChatAction

from bot.errors import Misconfigured, SendRefused, SignatureInvalid
from bot.types import Button, Capabilities, Outbound, OutPart, Receipt, Received, RenderedReply
from channels.base import FetchedFile, Finding
from channels.encoding import encode_reply
from channels.telegram.api import SERVICE, BotApi, ChatMigrated
from channels.telegram.bulk import bulk_call, send_bulk
from channels.telegram.commands import publish_commands
from channels.telegram.decode import CHANNEL, Reading, decode_body, decode_update
from channels.telegram.examine import Examiner, webhook_url
from channels.telegram.files import MediaReader, fetch
from channels.telegram.keyboards import ASKS
from channels.telegram.outgoing import Outgoing, address
from channels.telegram.request import asked
from config.settings import TelegramSettings

log = structlog.get_logger()

MAX_TEXT = 4096  # UTF-16 units, Bot API sendMessage
MAX_CAPTION = 1024  # UTF-16 units, Bot API sendPhoto
MAX_BUTTONS = 100  # per inline keyboard, enforced by the server
MAX_ALBUM = 10  # Bot API sendMediaGroup
TAKES_BACK_S = 48 * 3600.0  # Bot API deleteMessage
MAX_CALLBACK_BYTES = 64  # Bot API InlineKeyboardButton.callback_data
SECRET_HEADER = "x-telegram-bot-api-secret-token"  # noqa: S105 - a header's name
# Named so that a kind Telegram adds later does not arrive unasked; reactions come only when named.
ALLOWED_UPDATES = (
    "message", "edited_message", "callback_query", "my_chat_member", "message_reaction", "channel_post", "poll_answer",
    "business_message",
)  # fmt: skip
PER_GROUP_PER_MIN = 20  # Bot API FAQ, "My bot is hitting limits"


def utc_now() -> datetime:
    return datetime.now(UTC)


def is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


class TelegramAdapter:
    """Implements ChannelAdapter for one bot."""

    channel = CHANNEL

    def __init__(
        self,
        account: str,
        settings: TelegramSettings,
        *,
        now: Callable[[], datetime] = utc_now,
        read_media: MediaReader | None = None,
    ) -> None:
        """`read_media` gives the bytes behind `OutMedia.media_id`; without it only files at an address can be sent.

        Raises: Misconfigured when the token or address cannot work, or a webhook account has no secret.
        """
        if settings.mode == "webhook" and settings.secret is None:
            raise Misconfigured(SERVICE, f"account {account!r} uses a webhook but has no SECRET")
        host = urlsplit(settings.api_base_url).hostname or ""
        if settings.api_base_url.startswith("http://") and not settings.local and not is_loopback(host):
            raise Misconfigured(
                SERVICE, f"account {account!r}: over plain http the token can be read; use https or LOCAL"
            )
        self.account = account
        self.settings = settings
        self.api = BotApi(settings.api_base_url, settings.token.get_secret_value(), timeout_s=settings.timeout_s)
        self._outgoing = Outgoing(account, settings, self.api, read_media)
        self.bot = self._outgoing.bot
        self.capabilities = Capabilities(
            channel=CHANNEL,
            max_text=MAX_TEXT,
            length_unit="utf16",
            buttons=MAX_BUTTONS,
            can_edit=True,
            takes_back_s=TAKES_BACK_S,
            can_type=True,
            idempotency_key=False,
            direct=False,
            per_chat_per_s=settings.per_chat_per_s,
            per_account_per_s=settings.per_account_per_s,
            per_group_per_min=PER_GROUP_PER_MIN,
            broadcast_per_s=settings.paid_broadcast_per_s if settings.allow_paid_broadcast else None,
            markdown=True,
            media=frozenset({"image", "voice", "audio", "video", "document"}),
            album=MAX_ALBUM,
            asks=ASKS,
            can_pin=True,
            max_caption=MAX_CAPTION,
            max_button_value=MAX_CALLBACK_BYTES,
            link_buttons=True,
        )
        bot_id = int(settings.token.get_secret_value().partition(":")[0])
        self._reading = Reading(account, settings.groups, now, bot_id)

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
        """One message (or album) left. Raises what ChannelAdapter.send says."""
        try:
            return await self._outgoing.send(outbound, outbound.chat_id)
        except ChatMigrated as moved:
            log.info("telegram_chat_migrated", account=self.account, outbox_id=outbound.outbox_id)
            moved_to = str(moved.chat_id)
        return replace(await self._outgoing.send(outbound, moved_to), moved_to=moved_to)

    async def send_bulk(self, outbound: Outbound) -> Receipt:
        """As `send`, for one of many: by the cheapest call that carries it."""
        call = bulk_call(
            outbound,
            is_paid=self.settings.allow_paid_broadcast,
            shows_previews=self.settings.link_previews,
        )
        if call is None:
            return await self.send(outbound)
        try:
            return await send_bulk(self.api, *call, self.account)
        except ChatMigrated:
            return await self.send(outbound)  # which tells where it moved to
        except SendRefused:
            if outbound.part.text_format == "plain" and call[0] == "sendMessage":
                raise
            return await self.send(outbound)  # which says it plainly, or with the file's address

    async def fetch_media(self, file_id: str, *, max_bytes: int) -> FetchedFile:
        """The file a customer sent. Raises what FetchesMedia says."""
        return await fetch(self.api, file_id, max_bytes=max_bytes, is_local=self.settings.local)

    def acknowledge_press(self, received: Received) -> None:
        """The pressed button's spinner stops soon; best effort, never waits, never raises."""
        message = received.message
        if message is None or not isinstance(message.content, Button) or not message.content.callback_id:
            return
        self._outgoing.soon("answerCallbackQuery", partial(self.bot.answer_callback_query, message.content.callback_id))

    async def send_typing(self, chat_id: str, topic: str = "") -> None:
        """The customer sees "typing…" for 5 s; best effort, never raises a ServiceError."""

        def show() -> Awaitable[bool]:
            chat, thread = address(chat_id, topic)
            return self.bot.send_chat_action(chat, ChatAction.TYPING, message_thread_id=thread)

        await self._outgoing.best_effort("sendChatAction", show)

    # --- the account at Telegram ----------------------------------------------------------------------------------

    async def prepare_polling(self) -> None:
        """We know our name, no webhook takes the updates, the menu offers our commands.

        Raises: what ChannelAdapter.send says.
        """
        await self.own_name()
        await self._delete_webhook()
        await self.publish_commands()

    async def set_webhook(self, public_url: str) -> None:
        """Telegram delivers updates to this account's route below `public_url` from now on.

        Raises: Misconfigured when the account has no secret or Telegram does not take the address, and what
        ChannelAdapter.send says.
        """
        if self.settings.secret is None:
            raise Misconfigured(SERVICE, f"account {self.account!r} has no SECRET for its webhook")
        await self.own_name()
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
        """Telegram's menu offers our commands in the user's language; best effort, and only what differs is set."""
        await publish_commands(self.bot, self.account, in_groups=self.settings.groups)

    async def examine(self, *, public_url: str, repair: bool) -> Sequence[Finding]:
        """Whether this account works; with `repair` the webhook is set again, or taken down, where that mends it."""
        examiner = Examiner(
            self.account, self.settings, ALLOWED_UPDATES, self.bot, self.api, self.set_webhook, self._delete_webhook
        )
        return await examiner.examine(public_url=public_url, repair=repair)

    async def _delete_webhook(self) -> None:
        await asked(self.bot.delete_webhook(drop_pending_updates=False))

    async def own_name(self) -> str:
        """The bot's username; from now on what is addressed to another one is left alone.

        Raises: what ChannelAdapter.send says.
        """
        me = await asked(self.bot.get_me())
        if me.username:
            self.knows_itself_as(me.username)
        return me.username or ""

    async def opening_address(self, payload: str, expires_at: datetime) -> str:
        """A link that opens a private chat with the bot. See `OpensWithPayload`."""
        return f"https://t.me/{self._reading.username or await self.own_name()}?start={payload}"

    async def close(self) -> None:
        await self._outgoing.close()
        await self.api.close()
