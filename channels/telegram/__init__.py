"""Telegram: raw update bytes to bot.types, replies to Bot API calls, webhook and long polling."""

from channels.telegram.adapter import TelegramAdapter
from channels.telegram.polling import TelegramPoller
from channels.telegram.webhook import telegram_routes
from channels.telegram.webhook_setup import announce_webhook

__all__ = ["TelegramAdapter", "TelegramPoller", "announce_webhook", "telegram_routes"]
