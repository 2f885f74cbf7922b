"""Case numbers: easy to say, hard to mistype."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_sync.numbers import read, written


def test_the_first_number_is_the_one_in_the_manual() -> None:
    assert written(1024) == "C-1024-7"


@given(st.integers(min_value=0, max_value=10**17))
def test_a_written_number_is_read_back_with_and_without_its_check_digit(number: int) -> None:
    full = written(number)
    assert read(full) == full
    assert read(full.rsplit("-", 1)[0]) == full


@given(st.integers(min_value=1000, max_value=10**9), st.data())
def test_one_wrong_digit_is_noticed(number: int, data: st.DataObject) -> None:
    digits = str(number)
    place = data.draw(st.integers(0, len(digits) - 1))
    other = data.draw(st.sampled_from([digit for digit in "0123456789" if digit != digits[place]]))
    assert read(f"C-{digits[:place]}{other}{digits[place + 1 :]}-{written(number)[-1]}") is None


@pytest.mark.parametrize("text", ["c1024", " C-1024-7 ", "1024", "C 1024-7", "C－1024－7", "c–1024"])
def test_usual_spellings_are_understood(text: str) -> None:
    assert read(text) == "C-1024-7"


@pytest.mark.parametrize(
    "text", ["", "C-", "C-1024-8", "order 1024", "C-10 24", "C-" + "1" * 19, "C-１０２４", "\x00", "C-1024-77"]
)
def test_what_is_no_case_number_is_none(text: str) -> None:
    assert read(text) is None
