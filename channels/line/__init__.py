"""LINE: signed webhook events to bot.types, replies to Messaging API calls."""
