"""Single fields of a vendor's JSON, read without trusting their types."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, TypeGuard

import orjson

from bot.errors import PayloadInvalid

Fields = Mapping[str, Any]


def read_json(body: bytes) -> Any:
    """The JSON document in `body`. Raises: PayloadInvalid."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        # Half a surrogate pair, escaped, is refused by orjson though the rest is readable: a customer waits behind it.
        try:
            return json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            raise PayloadInvalid("not JSON") from None


def write_json(document: Any) -> bytes:
    """Its JSON; halves of surrogate pairs leave as the escapes they came as."""
    try:
        return orjson.dumps(document)
    except orjson.JSONEncodeError:  # also a number beyond 64 bits
        return json.dumps(document).encode()


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def object_in(fields: Fields, name: str) -> Fields:
    found = fields.get(name)
    if not isinstance(found, dict):
        raise PayloadInvalid(f"{name} is missing or no object")
    return found


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
