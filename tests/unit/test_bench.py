"""The benchmark's arithmetic: a wrong percentile would make every claim wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.figures import busiest_window, count_syncs, equal_share, median, percentile
from bench.report import BEGIN, END, measured, wanted, write_page
from bench.sections import Row

TRACE = """\
1201 fdatasync(7)                       = 0
1202 fsync(9 <unfinished ...>
1201 fdatasync(7)                       = -1 ENOSPC (No space left on device)
1202 <... fsync resumed>)               = 0
1201 <... fdatasync resumed>) = 0
1201 +++ exited with 0 +++
"""


def test_p99_of_a_hundred_samples_is_the_ninety_ninth() -> None:
    assert percentile([float(n) for n in range(100, 0, -1)], 0.99) == 99.0


@pytest.mark.parametrize(("share", "expected"), [(0.0, 1.0), (0.5, 2.0), (0.67, 3.0), (1.0, 3.0)])
def test_percentile_is_one_of_the_samples(share: float, expected: float) -> None:
    assert percentile([3.0, 1.0, 2.0], share) == expected


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_share_outside_of_zero_to_one_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="share"):
        percentile([1.0], share)


def test_no_samples_have_no_percentile_and_no_median() -> None:
    with pytest.raises(ValueError, match="samples"):
        percentile([], 0.5)
    with pytest.raises(ValueError, match="samples"):
        median([])


def test_median_of_an_even_number_lies_between_the_middle_two() -> None:
    assert median([4.0, 1.0, 3.0, 2.0]) == 2.5
    assert median([5.0, 1.0, 3.0]) == 3.0


def test_a_sync_counts_once_and_only_when_it_reached_the_disk() -> None:
    assert count_syncs(TRACE.splitlines()) == 3


def test_busiest_window_does_not_hold_the_moment_that_begins_the_next() -> None:
    assert busiest_window([0.0, 0.5, 0.9, 1.0], 1.0) == 3
    assert busiest_window([10.0, 0.0, 10.2, 10.4], 1.0) == 3
    assert busiest_window([], 1.0) == 0


def test_replies_are_equal_when_only_white_space_differs() -> None:
    assert equal_share(["a  b\n", "c", "d", "e"], ["a b", "c", "x", "e"]) == 0.75


def test_a_limit_holds_at_its_own_value() -> None:
    assert Row("p99", 50.0, "ms", limit=50).holds is True
    assert Row("p99", 50.1, "ms", limit=50).holds is False
    assert Row("ratio", 0.8, "×", limit=0.8, kind="at_least").holds is True
    assert Row("rate", 12.0, "/s").holds is None


def test_numbers_are_shown_with_three_digits_and_their_unit() -> None:
    assert [measured(Row("", value, "ms")) for value in (0.2764, 3.14159, 31.4159, 3141.59, 0.0)] == [
        "0.276 ms",
        "3.14 ms",
        "31.4 ms",
        "3,142 ms",
        "0 ms",
    ]
    assert measured(Row("", None, "ms")) == "–"
    assert wanted(Row("", 1.0, "×", limit=20, kind="at_least")) == "≥ 20 ×"


def test_only_the_part_between_the_marks_is_replaced(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    page.write_text(f"# Benchmarks\n\nby hand\n\n{BEGIN}\nold\n{END}\n\nalso by hand\n", encoding="utf-8")
    write_page(page, r"new \1")
    assert page.read_text(encoding="utf-8") == (f"# Benchmarks\n\nby hand\n\n{BEGIN}\nnew \\1\n{END}\n\nalso by hand\n")
