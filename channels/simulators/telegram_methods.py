"""The Bot API methods of the stand-in, as strict as the real server where a bot could rely on the difference.

Wording of refusals: tdlib/telegram-bot-api, Client.cpp, and tdlib/td. Limits: https://core.telegram.org/bots/api and
the bots FAQ ("My bot is hitting limits").
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Awaitable, Callable
from typing import Any, Final

from channels.simulators.telegram_flood import Limits
from channels.simulators.telegram_messages import Messages
from channels.simulators.telegram_params import Refused, decoded, int_in, names_in, str_in
from channels.simulators.telegram_world import Fields, SimulatedBot, Webhook

__all__ = ["Limits", "Methods"]

MAX_BATCH, MAX_POLL_S = 100, 50
WEBHOOK_PORTS: Final = frozenset({443, 80, 88, 8443})
COMMAND_SCOPES: Final = frozenset(
    {"default", "all_private_chats", "all_group_chats", "all_chat_administrators", "chat", "chat_administrators"}
    | {"chat_member"}
)


class Methods:
    """Carries out calls for one bot."""

    def __init__(
        self,
        bot: SimulatedBot,
        messages: Messages,
        *,
        allow_local_webhooks: bool,
        on_webhook: Callable[[], None],
    ) -> None:
        """`allow_local_webhooks`: http and any port, as a Bot API server in local mode allows."""
        self._bot = bot
        self._allow_local_webhooks, self._on_webhook = allow_local_webhooks, on_webhook
        self._methods: dict[str, Callable[[Fields], Awaitable[Any]]] = {
            "getme": self._get_me,
            "getupdates": self._get_updates,
            "setwebhook": self._set_webhook,
            "deletewebhook": self._delete_webhook,
            "getwebhookinfo": self._get_webhook_info,
            "answercallbackquery": self._answer_callback_query,
            "setmycommands": self._set_my_commands,
            "getmycommands": self._get_my_commands,
            "deletemycommands": self._delete_my_commands,
            **messages.methods,
        }

    async def call(self, method: str, params: Fields) -> Any:
        """The result. Method names are not case-sensitive. Raises: Refused."""
        carry_out = self._methods.get(method.lower())
        if carry_out is None:
            raise Refused(404, "Not Found: method not found")
        return await carry_out(params)

    # --- updates ----------------------------------------------------------------------------------------------------

    async def _get_me(self, params: Fields) -> Fields:
        sees_all = not self._bot.has_privacy
        return {**self._bot.as_user(), "can_join_groups": True, "can_read_all_group_messages": sees_all}

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
            info |= {"url": bot.webhook.url, "max_connections": bot.webhook.max_connections, **bot.webhook_address}
            if bot.webhook.last_error_at is not None:
                info |= {
                    "last_error_date": int(bot.webhook.last_error_at),
                    "last_error_message": bot.webhook.last_error,
                }
        if bot.allowed:
            info["allowed_updates"] = list(bot.allowed)
        return info

    # --- the rest ------

    async def _answer_callback_query(self, params: Fields) -> bool:
        query_id = str_in(params, "callback_query_id")
        if query_id not in self._bot.open_queries:
            raise Refused(400, "Bad Request: query is too old and response timeout expired or query ID is invalid")
        self._bot.open_queries[query_id] = True
        self._bot.pulse.beat()
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
        self._bot.commands[self._menu(params)] = commands
        return True

    async def _get_my_commands(self, params: Fields) -> list[Fields]:
        return self._bot.commands.get(self._menu(params), [])

    async def _delete_my_commands(self, params: Fields) -> bool:
        self._bot.commands.pop(self._menu(params), None)
        return True

    @staticmethod
    def _menu(params: Fields) -> tuple[str, str]:
        """Scope and language a menu is for."""
        scope, language = decoded(params.get("scope")) or {"type": "default"}, str_in(params, "language_code")
        if not isinstance(scope, dict) or scope.get("type") not in COMMAND_SCOPES:
            raise Refused(400, "Bad Request: unsupported type specified")
        if language and not re.fullmatch(r"[a-z]{2}", language):
            raise Refused(400, "Bad Request: invalid language code specified")
        return scope["type"], language
