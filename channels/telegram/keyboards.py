"""Keyboards: buttons below a message, and the keys that share a place or a number with one touch. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from telegram import (
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    KeyboardButton,
    ReplyKeyboardMarkup,
    ReplyKeyboardRemove,
)

from bot.types import Ask, Lane, Outbound, OutPart, ReplyButton
from channels.text import length

Markup = InlineKeyboardMarkup | ReplyKeyboardMarkup | ReplyKeyboardRemove | None

WIDE_LABEL: Final = 16  # UTF-16 units; longer labels get a row of their own to stay readable on a phone
ASKS: Final[frozenset[str]] = frozenset({"location", "contact"})
_SHARE: Final[dict[Ask, dict[str, str]]] = {
    "location": {"zh": "📍 发送我的位置", "en": "📍 Share my location"},
    "contact": {"zh": "📱 发送我的手机号", "en": "📱 Share my phone number"},
}
_IDEOGRAPH: Final = re.compile(r"[\u3400-\u9fff]")


def is_private(chat: int) -> bool:
    """People have positive numbers, groups and channels negative ones."""
    return chat > 0


def markup_for(outbound: Outbound, chat: int) -> Markup:
    """What hangs below the message.

    A share key exists only in private chats (Bot API, KeyboardButton); in a group the text alone asks. A private reply
    without buttons takes away the keys of an earlier question, which may have been answered in words: nothing remembers
    whether any are shown, and for who sees none it changes nothing. It makes a message uneditable, so a living status
    goes without.
    """
    part = outbound.part
    if part.ask in ASKS and is_private(chat):
        return _share_keys(part)
    if part.buttons:
        return InlineKeyboardMarkup(keyboard(part.buttons))
    if is_private(chat) and not part.status_key and outbound.lane in {Lane.REPLY, Lane.OPERATOR}:
        return ReplyKeyboardRemove()
    return None


def inline_markup(buttons: Sequence[ReplyButton]) -> InlineKeyboardMarkup | None:
    return InlineKeyboardMarkup(keyboard(buttons)) if buttons else None


def keyboard(buttons: Sequence[ReplyButton]) -> list[list[InlineKeyboardButton]]:
    """Inline keyboard rows: two short labels side by side, a long one alone."""
    rows: list[list[InlineKeyboardButton]] = []
    pair_open = False
    for button in buttons:
        label = encodable(button.label)
        if button.value.startswith("https://"):
            cell = InlineKeyboardButton(label, url=button.value)
        else:
            cell = InlineKeyboardButton(label, callback_data=button.value)
        is_short = length(button.label, "utf16") <= WIDE_LABEL
        if is_short and pair_open:
            rows[-1].append(cell)
            pair_open = False
        else:
            rows.append([cell])
            pair_open = is_short
    return rows


def _share_keys(part: OutPart) -> ReplyKeyboardMarkup:
    """The share key on top; the reply's own buttons as keys below it, whose label is what is said when touched."""
    label = _SHARE[part.ask]["zh" if _IDEOGRAPH.search(part.text) else "en"]
    share = KeyboardButton(
        label, request_location=part.ask == "location" or None, request_contact=part.ask == "contact" or None
    )
    words = [[KeyboardButton(encodable(button.label))] for button in part.buttons]
    return ReplyKeyboardMarkup([[share], *words], resize_keyboard=True, one_time_keyboard=True)


def encodable(text: str) -> str:
    """`text` with halves of surrogate pairs shown as U+FFFD: they are no characters and JSON cannot carry them."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
