"""The benchmark's arithmetic: a wrong percentile would make every claim wrong."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench.figures import busiest_window, count_syncs, equal_share, median, percentile
from bench.rasa_parse import judged
from bench.rasa_understanding import Trained, compare, rasa_project
from bench.report import BEGIN, END, measured, wanted, write_part
from bench.sections import Row, Section
from nlu.training_data import load_training_data

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


def test_only_the_part_of_the_measured_section_is_replaced(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    cases, turn = (f"{BEGIN.format(name)}\nold\n{END.format(name)}" for name in ("cases", "turn"))
    page.write_text(f"# Benchmarks\n\nby hand\n\n{turn}\n\n{cases}\n\nalso by hand\n", encoding="utf-8")
    write_part(
        page, Section("turn", r"Turns \1", "", [Row("CPU", 1.5, "ms", limit=2)]), datetime(2026, 3, 1, tzinfo=UTC)
    )
    before, part, after = re.split("<!-- /?measured: turn -->", page.read_text(encoding="utf-8"))
    assert (before, after) == ("# Benchmarks\n\nby hand\n\n", f"\n\n{cases}\n\nalso by hand\n")
    assert r"## Turns \1" in part
    assert "| CPU | 1.50 ms | ≤ 2 ms | yes |  |" in part
    assert "Measured on 2026-03-01: " in part
    assert "\nold\n" not in part


def test_a_section_that_was_not_measured_keeps_its_part_and_a_new_one_gets_its_own(tmp_path: Path) -> None:
    page, now = tmp_path / "benchmarks.md", datetime(2026, 3, 1, tzinfo=UTC)
    page.write_text("# Benchmarks\n", encoding="utf-8")
    write_part(page, Section("rasa", "Rasa", "", skipped="it is not installed"), now)
    assert page.read_text(encoding="utf-8") == "# Benchmarks\n"
    write_part(page, Section("due", "Due", "", [Row("all", 3.9, "s")]), now)
    assert page.read_text(encoding="utf-8").startswith(f"# Benchmarks\n\n{BEGIN.format('due')}\n## Due\n")


def test_rasa_is_right_where_its_likeliest_intent_is_also_where_it_gave_the_message_up() -> None:
    ranking = [{"name": name} for name in ("nlu_fallback", "refund", "late")]
    given_up = {"intent": {"name": "nlu_fallback"}, "intent_ranking": ranking}
    assert judged(given_up, "refund") == (True, False)
    assert judged(given_up, "late") == (False, False)
    assert judged({"intent": {"name": "late"}, "intent_ranking": ranking[2:]}, "late") == (True, True)


def test_rasa_is_taught_the_same_sentences_as_the_embedded_engine(tmp_path: Path) -> None:
    rows = [("where is [my](order) parcel", "late"), ("# 12: give it back", "refund"), ("it's late", "late")]
    data = load_training_data(rasa_project(tmp_path / "rasa", rows) / "data")
    taught = {(example.text, example.intent) for example in data.examples}
    assert taught == {("where is (my)(order) parcel", "late"), rows[1], rows[2]}
    assert not any(example.entities for example in data.examples)


def test_the_comparison_says_how_often_as_much_rasa_costs() -> None:
    section = Section("rasa", "", "")
    serving = {"rows": 100, "load_s": 1.0, "p50_ms": 1.0, "p99_ms": 2.0}
    ours = {**serving, "right": 75, "kept_right": 70, "cpu_ms": 0.5, "rss_mb": 100.0}
    rasa = {**serving, "right": 50, "kept_right": 20, "cpu_ms": 20.0, "rss_mb": 900.0}
    compare(section, (Trained(2.0, 3.0, 200.0), ours), (Trained(300.0, 200.0, 1500.0), rasa))
    shown = {row.what: row.value for row in section.rows}
    assert shown["Embedded over Rasa: right"] == 25
    assert shown["Rasa: right and not given up"] == 20
    ratios = {what.split(": ")[1]: value for what, value in shown.items() if what.startswith("Rasa to embedded")}
    assert ratios == {"training, CPU": 150, "a message, CPU": 40, "memory, serving": 9}
