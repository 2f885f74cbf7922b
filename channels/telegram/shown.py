"""What staff can be shown of a kind of message we do not handle: a poll's question, the value of a dice, a gift."""

from __future__ import annotations

from typing import Any, Final

from channels.telegram.fields import Fields, is_int, text_in, whole

MAX_SHOWN: Final = 1000  # characters
_TELLING: Final = (  # in the order they are shown
    "button_text", "emoji", "title", "question", "query", "result_id", "description", "prize_description", "text",
    "caption", "data",
)  # fmt: skip
_COUNTS: Final = {"value": "", "star_count": "⭐", "winner_count": "×", "total_amount": "", "option_ids": "#"}
_LISTS: Final = ("options", "tasks")  # of objects with a text


def shown_of(found: Any, message: Fields | None = None) -> str:
    """Everything in `found` that tells a person something, on one line each; "" when nothing does."""
    if not isinstance(found, dict):
        return whole(found)[:MAX_SHOWN] if isinstance(found, str) else ""
    lines = [words for name in _TELLING if (words := text_in(found, name))]
    for name, mark in _COUNTS.items():
        numbers = found.get(name)
        numbers = numbers if isinstance(numbers, list) else [numbers]
        lines += [f"{mark}{number}" for number in numbers[:20] if is_int(number)]
    for name in _LISTS:
        items = found.get(name)
        if isinstance(items, list):
            lines += [f"- {text_in(item, 'text')}" for item in items[:50] if isinstance(item, dict)]
    if message is not None and (caption := text_in(message, "caption")):
        lines.append(caption)
    return whole("\n".join(lines))[:MAX_SHOWN]
