"""Cursors: whatever was written is read again, and nothing else is taken for one."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import InputError
from desk.paging import page_of, read_cursor, write_cursor

MOMENTS = st.datetimes(
    min_value=datetime(1971, 1, 1),  # noqa: DTZ001 - Hypothesis adds the zone
    timezones=st.just(UTC),
)


@given(st.integers(-(2**63) + 1, 2**63 - 1), st.text(max_size=40), MOMENTS)
def test_cursor_gives_back_what_was_written(number: int, words: str, moment: datetime) -> None:
    words = words.encode("utf-8", "replace").decode()
    assert read_cursor(write_cursor(number, words, moment), int, str, datetime) == (number, words, moment)
    assert read_cursor(write_cursor(None), int) == (None,)


@given(st.text(max_size=60).filter(bool))
def test_words_nobody_was_given_are_refused(text: str) -> None:
    with pytest.raises(InputError):
        read_cursor(text, int, int, int, int)


@pytest.mark.parametrize("cursor", [write_cursor(True), write_cursor(2**64), write_cursor("x"), "A" * 1001, "ü"])
def test_cursor_of_another_kind_is_refused(cursor: str) -> None:
    with pytest.raises(InputError):
        read_cursor(cursor, int)


def test_page_says_where_the_next_one_begins_only_when_there_is_one() -> None:
    assert page_of([9, 8, 7], 2, lambda row: (row,)).next == write_cursor(8)
    assert page_of([9, 8], 2, lambda row: (row,)).next == ""
    assert page_of([], 2, lambda row: (row,)).items == ()
