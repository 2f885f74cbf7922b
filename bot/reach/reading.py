"""Values of a broadcast's document that occur in several of its parts. All raise AssistantInvalid, naming the place."""

from __future__ import annotations

import re
from typing import Any, Final

from bot.located import invalid, rows, text

NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,59}")


def name_of(body: dict[str, Any], key: str, what: str) -> str:
    """A name of 1 to 60 of a-z, 0-9 and - (or _)."""
    value = text(body.get(key), key, body, key)
    if not NAME.fullmatch(value.replace("_", "-")):
        raise invalid(f"{what} is named with 1 to 60 of a-z, 0-9 and -", body, key)
    return value


def line(body: dict[str, Any], key: str) -> str:
    """A text of at most 200 characters; "" where there is none."""
    value = body.get(key, "")
    if not isinstance(value, str) or len(value) > 200:
        raise invalid(f"{key} must be a text of at most 200 characters", body, key)
    return value.strip()


def names(body: dict[str, Any], key: str) -> tuple[str, ...]:
    """Texts, none of them twice; none where the key is missing."""
    found = rows(body.get(key, []), key, body, key)
    listed = tuple(text(name, f"a name in {key}", found, index) for index, name in enumerate(found))
    if len(set(listed)) != len(listed):
        raise invalid(f"{key} names something twice", body, key)
    return listed


def share(body: dict[str, Any], key: str, default: float, *, most: float = 1.0) -> float:
    """A share from 0 to `most`."""
    value = body.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise invalid(f"{key} must be a share from 0 to {most:g}", body, key)
    return float(value)


def number(body: dict[str, Any], key: str, default: int, *, least: int, most: int) -> int:
    """A whole number in that range."""
    value = body.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise invalid(f"{key} must be a whole number from {least} to {most}", body, key)
    return value
