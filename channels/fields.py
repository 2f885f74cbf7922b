"""Single fields of a vendor's JSON, read without trusting their types."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeGuard

import orjson

from bot.errors import PayloadInvalid

Fields = Mapping[str, Any]
MAX_DEPTH = 100  # the deepest real payload (a Telegram message with what it answers) has about ten


def read_json(body: bytes) -> Any:
    """The JSON document in `body`; nothing in it is something a store could not take. Raises: PayloadInvalid."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        # Half a surrogate pair, escaped, is refused by orjson though the rest is readable: a customer waits behind it.
        try:
            return _storable(json.loads(body.decode("utf-8"), parse_constant=_refuse_constant))
        except (ValueError, RecursionError):
            raise PayloadInvalid("not JSON") from None


def write_json(document: Any) -> bytes:
    """Its JSON; half a surrogate pair leaves as the escape it came as.

    What is nested deeper than either library writes (both read more than they write) leaves as `shallow` has it.
    """
    try:
        return orjson.dumps(document)
    except orjson.JSONEncodeError:
        return json.dumps(shallow(document)).encode()


def shallow(found: Any, depth: int = MAX_DEPTH) -> Any:
    """`found` with None for what is nested deeper than `depth`: no vendor nests that deep, and no store takes it."""
    if isinstance(found, dict):
        return {name: shallow(value, depth - 1) for name, value in found.items()} if depth else None
    if isinstance(found, list):
        return [shallow(value, depth - 1) for value in found] if depth else None
    return found


def utc_now() -> datetime:
    return datetime.now(UTC)


def time_of(unix_s: Any, now: Callable[[], datetime] = utc_now) -> datetime:
    """The vendor's clock; ours where it gave no usable time."""
    if is_number(unix_s) and 0 < unix_s < 253_402_300_800:  # year 10000
        return datetime.fromtimestamp(unix_s, UTC)
    return now()


def _storable(found: Any) -> Any:
    """`found` without halves of surrogate pairs, infinities and numbers beyond 64 bits, as orjson would have it."""
    match found:
        case dict():
            return {whole(name): _storable(value) for name, value in found.items()}
        case list():
            return [_storable(value) for value in found]
        case str():
            return whole(found)
        case int() if not -(2**63) <= found < 2**63:
            return str(found)
        case float() if not math.isfinite(found):
            return None
    return found


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def object_in(fields: Fields, name: str) -> Fields:
    found = fields.get(name)
    if not isinstance(found, dict):
        raise PayloadInvalid(f"{name} is missing or no object")
    return found


def part_in(fields: Fields, name: str) -> Fields:
    """The object of this name; empty when there is none."""
    found = fields.get(name)
    return found if isinstance(found, dict) else {}


def kept_in(fields: Fields, name: str) -> Fields:
    """As `part_in`, without what is nested too deep to be stored."""
    return {key: shallow(value) for key, value in part_in(fields, name).items()}


def text_in(fields: Fields, name: str) -> str:
    found = fields.get(name)
    return found if isinstance(found, str) else ""


def whole(text: str) -> str:
    """`text` without halves of surrogate pairs, which no store or encoder takes."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def is_int(found: Any) -> TypeGuard[int]:
    """An integer both databases can hold."""
    return isinstance(found, int) and not isinstance(found, bool) and -(2**63) <= found < 2**63


def is_number(found: Any) -> TypeGuard[float]:
    return (isinstance(found, float) and math.isfinite(found)) or is_int(found)


def number_in(fields: Fields, name: str) -> float:
    found = fields.get(name)
    return float(found) if is_number(found) else 0.0
