"""Reading a vendor's JSON: what comes out can be stored, whatever went in."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import PayloadInvalid
from channels.fields import read_json, time_of, write_json

NOW = datetime(2026, 3, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b'{"a":"\\ud83d!"}', {"a": "\ufffd!"}),
        (b'["\\ud83d\\ude00"]', ["😀"]),
        (b'{"\\ud83d":{"n":123456789012345678901}}', {"\ufffd": {"n": "123456789012345678901"}}),
        (b'{"f":1e999}', {"f": None}),
        (b'"ok"', "ok"),
    ],
)
def test_what_no_store_takes_is_replaced(body: bytes, found: Any) -> None:
    assert read_json(body) == found


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b"[" * 100_000, b"NaN", b"[Infinity]", b'["\\ud83d", NaN]', b"9" * 5000]
)
def test_what_is_no_json_is_told_by_class(body: bytes) -> None:
    with pytest.raises(PayloadInvalid):
        read_json(body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(document=JSON)
def test_every_document_can_be_written_again_and_every_text_stored(document: Any) -> None:
    try:
        found = read_json(json.dumps(document).encode())
    except PayloadInvalid:
        return

    assert orjson.loads(write_json(found)) == orjson.loads(orjson.dumps(found))
    with sqlite3.connect(":memory:") as store:
        assert store.execute("SELECT ?", (write_json(found).decode(),)).fetchone()


@pytest.mark.parametrize("odd", [None, 0, -5, True, "7", 1e300, float("nan"), 253_402_300_800])
def test_an_unusable_time_is_ours(odd: Any) -> None:
    assert time_of(odd, lambda: NOW) == NOW


def test_a_usable_time_is_the_vendors() -> None:
    assert time_of(1764061201.5, lambda: NOW) == datetime(2025, 11, 25, 9, 0, 1, 500_000, tzinfo=UTC)


@pytest.mark.parametrize("depth", [200, 300, 1020])
def test_what_is_nested_too_deeply_to_be_written_leaves_without_its_depths(depth: int) -> None:
    document = read_json(b'{"a":1,"deep":' + b"[" * depth + b"]" * depth + b"}")

    written = read_json(write_json(document))

    assert written["a"] == 1
    assert isinstance(written["deep"], list)
