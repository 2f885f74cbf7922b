"""A polled batch falls into single updates whatever one of them holds."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.telegram.batch import singles

BAD = [
    b'{"update_id":2,"message":{"text":"\\ud83d","from":nul}}',
    b'{"update_id":2,"message":{"text":"a "quoted" word"}}',
    b'{"update_id":2,"message":{"text":01}}',
]


def a_batch(*updates: bytes) -> bytes:
    return b'{"ok":true,"result":[' + b",".join(updates) + b"]}"


@pytest.mark.parametrize("bad", BAD)
def test_an_update_that_is_no_json_leaves_its_neighbours_readable(bad: bytes) -> None:
    first, last = b'{"update_id":1,"message":{"text":"}]{["}}', b'{"update_id":3,"message":{}}'

    found = singles(a_batch(first, bad, last))

    assert found is not None
    assert [single.update_id for single in found] == [1, 2, 3]
    assert [single.parsed is None for single in found] == [False, True, False]
    assert found[1].raw == bad


def test_an_answer_cut_short_still_gives_what_came() -> None:
    found = singles(b'{"ok":true,"result":[{"update_id":1,"message":{}},{"update_id":2,"mess')

    assert found is not None
    assert [(single.update_id, single.parsed is None) for single in found] == [(1, False), (2, True)]


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"ok":true}', b'{"ok":true,"result":true}', b"[]"])
def test_something_else_is_no_batch(body: bytes) -> None:
    assert singles(body) is None


def test_items_that_are_no_objects_are_kept_as_items() -> None:
    found = singles(b'{"ok":true,"result":[7,{"update_id":8}]}')

    assert found is not None
    assert [(single.raw, single.update_id) for single in found] == [(b"7", None), (b'{"update_id":8}', 8)]


@given(texts=st.lists(st.text(max_size=30), max_size=6))
def test_whole_and_piecewise_reading_agree(texts: list[str]) -> None:
    updates = [{"update_id": number, "message": {"text": text}} for number, text in enumerate(texts)]
    pieces = [json.dumps(update).encode() for update in updates]

    whole = singles(a_batch(*pieces))
    spoilt = singles(a_batch(*pieces, b'{"update_id":99,"x":nul}'))

    assert whole is not None
    assert spoilt is not None
    assert [single.parsed for single in whole] == updates
    assert [single.parsed for single in spoilt] == [*updates, None]


def test_an_update_nested_deeper_than_any_does_not_hold_up_the_others() -> None:
    deep = b'{"update_id":2,"message":' + b'{"a":' * 1000 + b"1" + b"}" * 1000 + b"}"

    found = singles(a_batch(b'{"update_id":1}', deep, b'{"update_id":3}'))

    assert found is not None
    assert [single.update_id for single in found] == [1, 2, 3]
