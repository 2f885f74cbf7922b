"""The page about understanding: figures from judged messages, pictures that need no network, words escaped."""

from __future__ import annotations

import pytest

from nlu.report import Judged, calibration, confusions, judged, page_of, rejection
from nlu.training_data import Example, TrainingData

ROWS = [
    Judged("where is it", "order_status", "order_status", 0.95, accepted=True),
    Judged("track <b>it</b>", "order_status", "order_status", 0.91, accepted=True),
    Judged("send it back", "return_request", "order_status", 0.55, accepted=True, where="nlu.yml:7"),
    Judged("money back", "return_request", "return_request", 0.52, accepted=True),
    Judged("tell me a joke", "out_of_scope", "return_request", 0.12, accepted=False),
]


def test_confusions_count_what_was_meant_against_what_was_found() -> None:
    names, counts = confusions(ROWS)
    at = names.index("return_request"), names.index("order_status")
    assert counts[at[0]][at[1]] == 1
    assert sum(map(sum, counts)) == len(ROWS)


def test_calibration_sets_scores_against_how_often_they_are_right() -> None:
    bins = calibration(ROWS)
    assert sum(count for _, _, count in bins) == len(ROWS)
    assert bins[-1] == (pytest.approx(0.93), 1.0, 2)


def test_rejecting_more_leaves_better_answers() -> None:
    points = rejection(ROWS)
    assert points[0][:2] == (1.0, pytest.approx(0.6))
    assert points[-1][1] == 1.0
    assert [share for share, _, _ in points] == sorted((share for share, _, _ in points), reverse=True)


def test_the_page_loads_nothing_and_escapes_what_customers_wrote() -> None:
    page = page_of(ROWS, title="a <shop>")
    assert "http" not in page
    assert "<script" not in page
    assert page.count("<svg") == 3
    assert "a &lt;shop&gt;" in page
    assert "send it back" in page
    assert "nlu.yml:7" in page
    assert "<b>it" not in page


def test_without_a_test_file_each_example_is_judged_by_a_model_that_has_not_seen_it() -> None:
    pairs = [("open", f"when do you open {day}") for day in ("today", "tomorrow", "on sunday", "at night")]
    pairs += [("refund", f"{want} my money back") for want in ("i want", "give me", "please send", "where is")]
    rows = judged(TrainingData(tuple(Example(text, intent) for intent, text in pairs)), None, folds=2)
    assert sorted(row.text for row in rows) == sorted(text for _, text in pairs)
    assert {row.intent for row in rows} == {"open", "refund"}


def test_pictures_are_whole() -> None:
    page = page_of(ROWS, title="t")
    for drawing in page.split("<svg")[1:]:
        assert drawing.count("<title>") == drawing.count("</title>")
        assert "</svg>" in drawing
