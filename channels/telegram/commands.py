"""The menu of commands in Telegram's apps, in each language we speak."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import structlog
from telegram import Bot, BotCommand, BotCommandScope, BotCommandScopeAllGroupChats, BotCommandScopeDefault

from bot.errors import ServiceError
from channels.telegram.request import asked

log = structlog.get_logger()

COMMAND_TEXTS: Final[Mapping[str, Mapping[str, str]]] = {  # "" is every language without texts of its own
    "zh": {"start": "开始对话", "help": "我能做什么"},
    "": {"start": "Start the conversation", "help": "What I can do"},
}
IN_GROUPS: Final = ("help",)  # a group is not started


async def publish_commands(bot: Bot, account: str, *, in_groups: bool) -> None:
    """The menu says what we want it to; only what differs is set. Best effort: a bot without menu still answers."""
    for language, texts in COMMAND_TEXTS.items():
        everywhere = [BotCommand(name, text) for name, text in texts.items()]
        groups = [command for command in everywhere if command.command in IN_GROUPS] if in_groups else []
        try:
            await _publish(bot, BotCommandScopeDefault(), language, everywhere)
            await _publish(bot, BotCommandScopeAllGroupChats(), language, groups)
        except ServiceError as exc:
            log.info("telegram_commands_not_set", account=account, error=type(exc).__name__)
            return


async def _publish(bot: Bot, scope: BotCommandScope, language: str, wanted: list[BotCommand]) -> None:
    shown = await asked(bot.get_my_commands(scope=scope, language_code=language or None))
    if list(shown) == wanted:
        return
    if wanted:
        await asked(bot.set_my_commands(wanted, scope=scope, language_code=language or None))
    else:
        await asked(bot.delete_my_commands(scope=scope, language_code=language or None))
