"""Reports in words and as files: what changed in one sentence, and nothing a spreadsheet would run."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime

import pytest
from openpyxl import load_workbook

from bot.errors import InputError, NotPermitted
from desk.actors import Actor
from desk.report_files import export_report
from desk.report_types import Cell, Figure, Report, ReportQuery, Series, TableRow
from desk.report_words import LABELS, headline, said

LENA = Actor("lena", "supervisor")
QUERY = ReportQuery(date(2026, 3, 2), date(2026, 3, 4))


@pytest.mark.parametrize(
    ("figure", "en", "zh"),
    [
        (
            Figure("person_s", "seconds", 540, 840, "down"),
            "First response of a person improved from 14 to 9 minutes.",
            "人工首次响应有所改善，从14变为9分钟。",
        ),
        (
            Figure("person_s", "seconds", 9000, 540, "down"),
            "First response of a person got worse, from 9 to 150 minutes.",
            "人工首次响应有所变差，从9变为150分钟。",
        ),
        (
            Figure("contained_share", "share", 0.84, 0.8, "up"),
            "Share solved by the bot alone improved from 80 % to 84 %.",
            "独立解决率有所改善，从80%变为84%。",
        ),
        (
            Figure("conversations", "count", 1204, 1500),
            "Conversations fell from 1,500 to 1,204.",
            "会话从1,500下降到1,204。",
        ),
        (Figure("score", "score", 4.3, 4.31, "up"), "Satisfaction stayed at 4.3.", "满意度评分与上一时段持平，为4.3。"),
        (
            Figure("score", "score", 4.3, None, "up"),
            "Satisfaction: 4.3. The time before has nothing to compare with.",
            "满意度评分为4.3，上一时段没有可比数据。",
        ),
        (
            Figure("score", "score", None, 4.0, "up"),
            "Satisfaction: nothing to measure in this time.",
            "满意度评分：这段时间没有数据。",
        ),
    ],
)
def test_the_leading_sentence_says_what_changed(figure: Figure, en: str, zh: str) -> None:
    assert headline(figure) == {"en": en, "zh": zh}


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 seconds"), (5.5, "5.5 seconds"), (90, "90 seconds"), (840, "14 minutes"),
                           (10_800, "3 hours"), (200_000, "2.3 days")],
)  # fmt: skip
def test_lengths_are_said_in_the_unit_people_use(seconds: float, words: str) -> None:
    assert said(seconds, "seconds", "en") == words


def a_report() -> Report:
    return Report(
        name="intents",
        query=QUERY,
        timezone="Asia/Shanghai",
        made_at=datetime(2026, 3, 4, 1, tzinfo=UTC),
        headline={"en": "=HYPERLINK(1)", "zh": "平稳"},
        figures=(Figure("understood", "count", 3, 1.5),),
        series=(Series("messages_in", "count", (1.0, 2.0), (0.0, 0.0)),),
        columns=("count",),
        rows=(TableRow("x", {"en": '=cmd|" /C calc"!A0', "zh": "意图"}, {"count": Cell("count", 3, None)}),),
        labels=LABELS,
    )


def test_a_file_holds_the_sentence_the_figures_the_table_and_the_days() -> None:
    name, content = export_report(LENA, a_report(), "csv", "en")
    assert name == "intents-2026-03-02.csv"
    rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))
    assert ["'=HYPERLINK(1)"] in rows
    assert ["Messages understood", "3", "1.5", "count"] in rows
    assert ['\'=cmd|" /C calc"!A0', "3", ""] in rows
    assert ["2026-03-03", "2"] in rows
    assert ["Made at", "2026-03-04T09:00:00+08:00"] in rows


def test_a_sheet_holds_numbers_as_numbers_and_no_formula() -> None:
    _, content = export_report(LENA, a_report(), "xlsx", "zh")
    sheet = load_workbook(io.BytesIO(content)).active
    assert sheet is not None
    cells = [cell for row in sheet.iter_rows() for cell in row if cell.value is not None]
    assert all(cell.data_type != "f" for cell in cells)
    assert {3, 1.5} <= {cell.value for cell in cells}


def test_who_may_not_export_and_other_forms_are_refused() -> None:
    with pytest.raises(NotPermitted):
        export_report(Actor("aud", "auditor"), a_report(), "csv", "en")
    with pytest.raises(InputError):
        export_report(LENA, a_report(), "pdf", "en")  # type: ignore[arg-type]
