"""Lists page by page: where the next page begins is an opaque word, which holds the keys of the last row shown."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Generic, TypeVar

from bot.errors import InputError

T = TypeVar("T")
PAGE: Final = 50
MOST: Final = 200
LONGEST: Final = 1000  # characters of a cursor
_BIGGEST: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some rows of a list. `next`: the cursor of the page after it; "": there is none."""

    items: tuple[T, ...]
    next: str = ""


def page_of(rows: Sequence[T], limit: int, key: Callable[[T], Sequence[Any]]) -> Page[T]:
    """The page of `rows`, which were asked for with one more than `limit`; `key`: what the next page begins after."""
    shown = tuple(rows[:limit])
    return Page(shown, write_cursor(*key(shown[-1])) if len(rows) > limit else "")


def write_cursor(*values: int | float | str | datetime | None) -> str:
    """The values as one word that may stand in an address."""
    plain = [value.isoformat() if isinstance(value, datetime) else value for value in values]
    return urlsafe_b64encode(json.dumps(plain, separators=(",", ":")).encode()).decode().rstrip("=")


def read_cursor(cursor: str, *kinds: type) -> tuple[Any, ...] | None:
    """The values given to `write_cursor`, each of its kind (or None); None for "", the first page.

    Raises: InputError for a word that no answer of ours held.
    """
    if not cursor:
        return None
    try:
        if len(cursor) > LONGEST:
            raise ValueError
        values = json.loads(urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)))
        if not isinstance(values, list) or len(values) != len(kinds):
            raise ValueError
        return tuple(_as(kind, value) for kind, value in zip(kinds, values, strict=True))
    except (ValueError, TypeError, RecursionError) as exc:
        raise InputError("the cursor is none of those that were given out; begin with the first page") from exc


def _as(kind: type[Any], value: Any) -> Any:
    if value is None:
        return None
    if kind is datetime:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise ValueError
        return moment
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if type(value) is not kind:
        raise ValueError
    if isinstance(value, int) and not -_BIGGEST <= value <= _BIGGEST:
        raise ValueError
    return value
