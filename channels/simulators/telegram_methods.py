"""The Bot API methods of the stand-in, as strict as the real server where a bot could rely on the difference.

Wording of refusals: tdlib/telegram-bot-api, Client.cpp, and tdlib/td. Limits: https://core.telegram.org/bots/api and
the bots FAQ ("My bot is hitting limits").
"""

from __future__ import annotations

import math
import re
import urllib.parse
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from channels.simulators.telegram_params import (
    Refused,
    chat_id_in,
    decoded,
    int_in,
    keyboard_in,
    names_in,
    shown_text,
    str_in,
)
from channels.simulators.telegram_world import Customer, Fields, Shown, SimulatedBot, Webhook
from channels.text import is_blank

MAX_TEXT, MAX_CAPTION = 4096, 1024
MAX_BATCH, MAX_POLL_S = 100, 50
WEBHOOK_PORTS: Final = frozenset({443, 80, 88, 8443})
CHAT_ACTIONS: Final = frozenset(
    {"typing", "upload_photo", "record_video", "upload_video", "record_voice", "upload_voice", "upload_document"}
    | {"choose_sticker", "find_location", "record_video_note", "upload_video_note"}
)


@dataclass(slots=True)
class Limits:
    """What the flood control allows. Per second, except groups; a burst is what may come at once."""

    chat_per_s: float = 1.0  # FAQ: "avoid sending more than one message per second"; short bursts may pass
    chat_burst: int = 3
    bot_per_s: float = 30.0  # FAQ: about 30 messages per second overall
    bot_burst: int = 30
    group_per_min: float = 20.0  # FAQ: 20 messages per minute to the same group


class Flood:
    """Token buckets by key; what is refused costs nothing."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._buckets: dict[str, tuple[float, float]] = {}  # key -> tokens, when

    def take(self, wanted: Mapping[str, tuple[float, int]]) -> None:
        """A token of each key (rate per second, burst). Raises: Refused 429 with whole seconds to wait."""
        now = self._monotonic()
        left: dict[str, float] = {}
        for key, (rate, burst) in wanted.items():
            tokens, since = self._buckets.get(key, (float(burst), now))
            left[key] = min(float(burst), tokens + (now - since) * rate)
            if left[key] < 1 - 1e-9:
                wait_s = max(1, math.ceil((1 - left[key]) / rate))
                raise Refused(429, f"Too Many Requests: retry after {wait_s}", retry_after=wait_s)
        self._buckets.update({key: (tokens - 1, now) for key, tokens in left.items()})


class Methods:
    """Carries out calls for one bot."""

    def __init__(
        self,
        bot: SimulatedBot,
        limits: Limits,
        monotonic: Callable[[], float],
        *,
        allow_local_webhooks: bool,
        on_webhook: Callable[[], None],
    ) -> None:
        """`allow_local_webhooks`: http and any port, as a Bot API server in local mode allows."""
        self._bot, self._limits = bot, limits
        self._flood = Flood(monotonic)
        self._allow_local_webhooks, self._on_webhook = allow_local_webhooks, on_webhook
        self._methods: dict[str, Callable[[Fields], Awaitable[Any]]] = {
            "getme": self._get_me,
            "getupdates": self._get_updates,
            "setwebhook": self._set_webhook,
            "deletewebhook": self._delete_webhook,
            "getwebhookinfo": self._get_webhook_info,
            "sendmessage": self._send_message,
            "sendphoto": self._send_photo,
            "editmessagetext": self._edit_message_text,
            "answercallbackquery": self._answer_callback_query,
            "sendchataction": self._send_chat_action,
            "setmycommands": self._set_my_commands,
            "getmycommands": self._get_my_commands,
        }

    async def call(self, method: str, params: Fields) -> Any:
        """The result. Method names are not case-sensitive. Raises: Refused."""
        carry_out = self._methods.get(method.lower())
        if carry_out is None:
            raise Refused(404, "Not Found: method not found")
        return await carry_out(params)

    # --- updates ----------------------------------------------------------------------------------------------------

    async def _get_me(self, params: Fields) -> Fields:
        return {**self._bot.as_user(), "can_join_groups": True, "can_read_all_group_messages": False}

    async def _get_updates(self, params: Fields) -> list[Fields]:
        bot = self._bot
        if bot.webhook is not None:
            raise Refused(
                409,
                "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the "
                "webhook first",
            )
        if "allowed_updates" in params:
            bot.allowed = names_in(params["allowed_updates"])
        offset = int_in(params, "offset", 0)
        limit = min(max(int_in(params, "limit", MAX_BATCH), 1), MAX_BATCH)
        timeout_s = min(max(int_in(params, "timeout", 0), 0), MAX_POLL_S)
        bot.drop_expired()
        if offset < 0:
            offset = bot.pending[offset].update_id if len(bot.pending) >= -offset else 0
        for pending in [pending for pending in bot.pending if pending.update_id < offset]:
            bot.confirm(pending.update_id)
        bot.poll_number += 1
        mine = bot.poll_number
        bot.pulse.beat()  # an older request that waits ends now
        await bot.pulse.until(
            lambda: bool(bot.pending) or bot.poll_number != mine or bot.webhook is not None, timeout_s
        )
        if bot.poll_number != mine or bot.webhook is not None:
            raise Refused(
                409,
                "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running",
            )
        bot.drop_expired()
        return [pending.update for pending in bot.pending[:limit]]

    async def _set_webhook(self, params: Fields) -> bool:
        url = str_in(params, "url")
        if not url:
            return await self._delete_webhook(params)
        parts = urllib.parse.urlsplit(url)
        if not self._allow_local_webhooks:
            if parts.scheme != "https":
                raise Refused(400, "Bad Request: bad webhook: An HTTPS URL must be provided for webhook")
            if (parts.port or 443) not in WEBHOOK_PORTS:
                raise Refused(400, "Bad Request: bad webhook: Webhook can be set up only on ports 80, 88, 443 or 8443")
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise Refused(400, "Bad Request: invalid webhook URL specified")
        secret = str_in(params, "secret_token")
        if secret and not re.fullmatch(r"[A-Za-z0-9_-]{1,256}", secret):
            raise Refused(400, "Bad Request: secret token contains unallowed characters")
        connections = int_in(params, "max_connections", 40)
        if not 1 <= connections <= 100:
            raise Refused(400, "Bad Request: max_connections must be between 1 and 100")
        if "allowed_updates" in params:
            self._bot.allowed = names_in(params["allowed_updates"])
        if str_in(params, "drop_pending_updates").lower() in {"true", "1"}:
            self._bot.pending.clear()
        self._bot.webhook = Webhook(url, secret, connections)
        self._bot.pulse.beat()
        self._on_webhook()
        return True

    async def _delete_webhook(self, params: Fields) -> bool:
        if str_in(params, "drop_pending_updates").lower() in {"true", "1"}:
            self._bot.pending.clear()
        self._bot.webhook = None
        self._bot.pulse.beat()
        return True

    async def _get_webhook_info(self, params: Fields) -> Fields:
        bot = self._bot
        bot.drop_expired()
        info: Fields = {"url": "", "has_custom_certificate": False, "pending_update_count": len(bot.pending)}
        if bot.webhook is not None:
            info |= {"url": bot.webhook.url, "max_connections": bot.webhook.max_connections}
            if bot.webhook.last_error_at is not None:
                info |= {
                    "last_error_date": int(bot.webhook.last_error_at),
                    "last_error_message": bot.webhook.last_error,
                }
        if bot.allowed:
            info["allowed_updates"] = list(bot.allowed)
        return info

    # --- messages ---------------------------------------------------------------------------------------------------

    async def _send_message(self, params: Fields) -> Fields:
        chat_id = chat_id_in(params)
        text = shown_text(params, "text", MAX_TEXT, "message is too long")
        if is_blank(text):
            raise Refused(400, "Bad Request: message text is empty")
        return self._deliver(chat_id, text.strip(), params)

    async def _send_photo(self, params: Fields) -> Fields:
        chat_id = chat_id_in(params)
        photo = str_in(params, "photo")
        if not photo:
            raise Refused(400, "Bad Request: there is no photo in the request")
        if "/" in photo and urllib.parse.urlsplit(photo).scheme not in {"http", "https"}:
            raise Refused(400, "Bad Request: wrong file identifier/HTTP URL specified")
        caption = shown_text(params, "caption", MAX_CAPTION, "message caption is too long")
        return self._deliver(chat_id, caption.strip(), params, photo=photo)

    def _deliver(self, chat_id: int, text: str, params: Fields, *, photo: str = "") -> Fields:
        keyboard = keyboard_in(params)
        customer = self._reachable(chat_id)
        if "message_thread_id" in params:
            raise Refused(400, "Bad Request: message thread not found")
        self._pass_flood(chat_id)
        message_id = self._bot.new_message_id()
        customer.show(Shown(message_id, "bot", text, keyboard, photo))
        return self._message(customer, message_id, text, keyboard, photo)

    def _message(self, customer: Customer, message_id: int, text: str, keyboard: Any, photo: str = "") -> Fields:
        sent: Fields = {
            "message_id": message_id,
            "from": self._bot.as_user(),
            "chat": customer.as_chat(),
            "date": int(self._bot.now()),
        }
        if photo:
            sent["photo"] = [{"file_id": photo, "file_unique_id": photo, "width": 1, "height": 1}]
        if text:
            sent["caption" if photo else "text"] = text
        if keyboard:
            sent["reply_markup"] = {"inline_keyboard": keyboard}
        return sent

    async def _edit_message_text(self, params: Fields) -> Fields:
        text = shown_text(params, "text", MAX_TEXT, "message is too long").strip()
        if is_blank(text):
            raise Refused(400, "Bad Request: message text is empty")
        keyboard = keyboard_in(params)
        customer = self._reachable(chat_id_in(params))
        try:
            shown = customer.message(int_in(params, "message_id", 0), by="bot")
        except LookupError:
            raise Refused(400, "Bad Request: message to edit not found") from None
        if (shown.text, shown.keyboard) == (text, keyboard):
            raise Refused(
                400,
                "Bad Request: message is not modified: specified new message content and reply markup are exactly the "
                "same as a current content and reply markup of the message",
            )
        self._pass_flood(customer.user_id)
        shown.text, shown.keyboard, shown.is_edited = text, keyboard, True
        self._bot.pulse.beat()
        return self._message(customer, shown.message_id, text, keyboard)

    async def _answer_callback_query(self, params: Fields) -> bool:
        query_id = str_in(params, "callback_query_id")
        if query_id not in self._bot.open_queries:
            raise Refused(400, "Bad Request: query is too old and response timeout expired or query ID is invalid")
        self._bot.open_queries[query_id] = True
        self._bot.pulse.beat()
        return True

    async def _send_chat_action(self, params: Fields) -> bool:
        action = str_in(params, "action")
        if action not in CHAT_ACTIONS:
            raise Refused(400, "Bad Request: wrong parameter action in request")
        self._reachable(chat_id_in(params)).actions.append(action)
        return True

    async def _set_my_commands(self, params: Fields) -> bool:
        commands = decoded(params.get("commands"))
        if not isinstance(commands, list) or len(commands) > 100:
            raise Refused(400, "Bad Request: can't parse commands")
        for command in commands:
            name = command.get("command") if isinstance(command, dict) else None
            text = command.get("description") if isinstance(command, dict) else None
            if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9_]{1,32}", name):
                raise Refused(400, "Bad Request: BOT_COMMAND_INVALID")
            if not isinstance(text, str) or not 1 <= len(text) <= 256:
                raise Refused(400, "Bad Request: BOT_COMMAND_DESCRIPTION_INVALID")
        self._bot.commands[str_in(params, "language_code")] = commands
        return True

    async def _get_my_commands(self, params: Fields) -> list[Fields]:
        return self._bot.commands.get(str_in(params, "language_code"), [])

    def _reachable(self, chat_id: int) -> Customer:
        customer = self._bot.customers.get(chat_id)
        if customer is None:
            raise Refused(400, "Bad Request: chat not found")
        if customer.is_deactivated:
            raise Refused(403, "Forbidden: user is deactivated")
        if customer.has_blocked:
            raise Refused(403, "Forbidden: bot was blocked by the user")
        if not customer.has_started:
            raise Refused(403, "Forbidden: bot can't initiate conversation with a user")
        return customer

    def _pass_flood(self, chat_id: int) -> None:
        limits = self._limits
        wanted = {
            f"chat {chat_id}": (limits.chat_per_s, limits.chat_burst),
            "bot": (limits.bot_per_s, limits.bot_burst),
        }
        if chat_id < 0:
            wanted[f"group {chat_id}"] = (limits.group_per_min / 60, int(limits.group_per_min))
        self._flood.take(wanted)
