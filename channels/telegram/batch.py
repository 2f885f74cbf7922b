"""A getUpdates answer taken apart into single updates, so that one bad update never holds up the others."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from channels.fields import write_json

_UPDATE_ID = re.compile(rb'"update_id"\s*:\s*(\d{1,19})')
_RESULT = re.compile(rb'"result"\s*:\s*\[')
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\]]', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Single:
    """One update: its bytes, its id if that can be read, and what it parses to (None when it does not)."""

    raw: bytes
    update_id: int | None
    parsed: Any


def singles(body: bytes) -> list[Single] | None:
    """The updates of a successful answer in order; None when `body` is no such answer at all."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        found = _RESULT.search(body)
        return list(_cut(body, found.end())) if found else None
    updates = answer.get("result") if isinstance(answer, dict) else None
    if not isinstance(updates, list):
        return None
    return [Single(write_json(update), _id_of(update), update) for update in updates]


def _id_of(update: Any) -> int | None:
    found = update.get("update_id") if isinstance(update, dict) else None
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def _cut(body: bytes, start: int) -> Iterator[Single]:
    """Objects of the array that begins before `start`, by counting brackets outside of strings."""
    depth, begin = 0, start
    for token in _TOKEN.finditer(body, start):
        mark = token.group()
        if mark in b"{[":
            if depth == 0:
                begin = token.start()
            depth += 1
        elif mark in b"}]":
            depth -= 1
            if depth < 0:
                return
            if depth == 0:
                yield _single(body[begin : token.end()])
    if depth > 0:  # cut short: what is left still has an id to confirm it by
        yield _single(body[begin:])


def _single(raw: bytes) -> Single:
    try:
        parsed = orjson.loads(raw)
    except orjson.JSONDecodeError:
        found = _UPDATE_ID.search(raw)
        return Single(raw, int(found.group(1)) if found else None, None)
    return Single(raw, _id_of(parsed), parsed)
