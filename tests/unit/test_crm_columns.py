"""Values that travel into both databases and back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects import postgresql, sqlite

from crm_sync.columns import (
    Document,
    UtcDateTime,
    Words,
    digest_key,
    dump_json,
    escape_words,
    load_json,
    unescape_words,
)

DIALECTS = [sqlite.dialect(), postgresql.dialect()]
any_text = st.text(st.characters(codec=None, exclude_categories=()))


@given(any_text)
def test_escaped_words_can_be_stored_and_come_back(text: str) -> None:
    escaped = escape_words(text)
    assert "\x00" not in escaped
    escaped.encode()
    assert unescape_words(escaped) == text


@given(st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"])))
def test_ordinary_words_are_stored_as_they_are(text: str) -> None:
    assert escape_words(text) == text


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | any_text,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_text, inner, max_size=4),
        max_leaves=12,
    )
)
def test_documents_come_back_and_hold_nothing_a_database_refuses(document: Any) -> None:
    stored = dump_json(document)
    assert "\x00" not in stored
    stored.encode()
    assert load_json(stored) == document


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_times_come_back_to_the_microsecond_in_utc(dialect: Any) -> None:
    column = UtcDateTime()
    for moment in (
        datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(2026, 11, 22, 17, 0, 0, 1, tzinfo=timezone(timedelta(hours=8))),
        datetime(9999, 12, 31, tzinfo=UTC),
    ):
        back = column.process_result_value(column.process_bind_param(moment, dialect), dialect)
        assert back == moment
        assert back.tzinfo is UTC


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_a_time_without_a_zone_is_refused(dialect: Any) -> None:
    with pytest.raises(ValueError, match="zone"):
        UtcDateTime().process_bind_param(datetime(2026, 1, 1), dialect)  # noqa: DTZ001 - the fault under test


@pytest.mark.parametrize("column", [UtcDateTime(), Words(), Document()])
def test_nothing_stays_nothing(column: Any) -> None:
    for dialect in DIALECTS:
        assert column.process_bind_param(None, dialect) is None
        assert column.process_result_value(None, dialect) is None


def test_a_digest_tells_keys_apart_however_they_are_cut() -> None:
    keys = {digest_key(*parts) for parts in (("a", "b"), ("ab", ""), ("", "ab"), ("a", "b", ""), ("a:b",), ("\ud800",))}
    assert len(keys) == 6
    assert all(len(key) == 22 for key in keys)
