"""Telegram: raw update bytes to bot.types, replies to Bot API calls, webhook and long polling."""

from channels.telegram.adapter import TelegramAdapter
from channels.telegram.polling import TelegramPoller
from channels.telegram.webhook import telegram_routes

__all__ = ["TelegramAdapter", "TelegramPoller", "telegram_routes"]
