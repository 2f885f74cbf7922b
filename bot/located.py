"""Plain data that remembers the line it was written on, so that an error can say where to look.

A file reader builds `Table` and `Rows` instead of `dict` and `list`; whoever only reads sees no difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bot.errors import AssistantInvalid


class Table(dict[str, Any]):
    """A mapping with the 1-based line of itself and of each key."""

    def __init__(self, items: Mapping[str, Any], *, file: str, line: int, lines: Mapping[str, int]) -> None:
        super().__init__(items)
        self.file, self.line, self.lines = file, line, dict(lines)


class Rows(list[Any]):
    """A sequence with the 1-based line of itself and of each item."""

    def __init__(self, items: Iterable[Any], *, file: str, line: int, lines: Iterable[int]) -> None:
        super().__init__(items)
        self.file, self.line, self.lines = file, line, tuple(lines)


def line_of(place: Any, key: str | int | None = None) -> int | None:
    """Line of a container, or of one of its keys or items; None for data that came from no file."""
    if isinstance(place, Table):
        return place.lines.get(key, place.line) if isinstance(key, str) else place.line
    if isinstance(place, Rows):
        return place.lines[key] if isinstance(key, int) and 0 <= key < len(place.lines) else place.line
    return None


def file_of(place: Any) -> str:
    return place.file if isinstance(place, Table | Rows) else ""


def invalid(reason: str, place: Any, key: str | int | None = None) -> AssistantInvalid:
    """The error to raise for something wrong at `place` (or at one of its keys or items)."""
    return AssistantInvalid(reason, file=file_of(place), line=line_of(place, key))


def table(value: Any, what: str, place: Any, key: str | int | None = None) -> dict[str, Any]:
    """`value` when it is a mapping with text keys. Raises AssistantInvalid."""
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise invalid(f"{what} must be a mapping", place, key)
    return value


def rows(value: Any, what: str, place: Any, key: str | int | None = None) -> list[Any]:
    """`value` when it is a list. Raises AssistantInvalid."""
    if not isinstance(value, list):
        raise invalid(f"{what} must be a list", place, key)
    return value


def text(value: Any, what: str, place: Any, key: str | int | None = None) -> str:
    """`value` when it is a non-empty text. Raises AssistantInvalid."""
    if not isinstance(value, str) or not value.strip():
        raise invalid(f"{what} must be a non-empty text", place, key)
    return value


def only_keys(value: Mapping[str, Any], allowed: Iterable[str], what: str) -> None:
    """Nothing but `allowed` keys is in `value`. Raises AssistantInvalid at the first other key."""
    known = set(allowed)
    for key in value:
        if key not in known:
            raise invalid(f"unknown key {key!r} in {what}; allowed: {', '.join(sorted(known))}", value, key)
