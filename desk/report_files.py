"""A report as a file: CSV or XLSX with sentence, figures, table and days; what a spreadsheet would run stays words."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Literal

from bot.business_time import zone
from bot.errors import InputError
from bot.types import Language
from crm_sync.exports import for_sheet, guarded
from desk.actors import Actor
from desk.report_types import Report, Unit
from desk.report_words import LABELS, REPORT_TITLES, named

_WORDS = {
    "figure": {"zh": "指标", "en": "Figure"},
    "now": {"zh": "本期", "en": "Now"},
    "before": {"zh": "上期", "en": "Before"},
    "day": {"zh": "日期", "en": "Day"},
    "made": {"zh": "生成时间", "en": "Made at"},
    "days": {"zh": "时间范围", "en": "Days"},
    "unit": {"zh": "单位", "en": "Unit"},
}
_UNITS = {
    "count": {"zh": "个", "en": "count"},
    "share": {"zh": "比例（0–1）", "en": "share (0 to 1)"},
    "seconds": {"zh": "秒", "en": "seconds"},
    "score": {"zh": "分", "en": "score"},
}
Value = str | float | int


def export_report(actor: Actor, report: Report, form: Literal["csv", "xlsx"], language: Language) -> tuple[str, bytes]:
    """(file name, content). Times are local to the business. Raises: NotPermitted, InputError for another form."""
    actor.require("reports.export")
    name = f"{report.name}-{report.query.since.isoformat()}.{form}"
    rows = list(_rows(report, language))
    if form == "csv":
        return name, _csv(rows)
    if form == "xlsx":
        return name, _xlsx(REPORT_TITLES[report.name][language], rows)
    raise InputError(f"a report is exported as csv or xlsx, not as {form!r}")


def _rows(report: Report, language: Language) -> Iterable[Sequence[Value]]:
    def say(key: str) -> str:
        return _WORDS[key][language]

    yield [REPORT_TITLES[report.name][language]]
    yield [report.headline[language]]
    query = report.query
    yield [say("days"), query.days[0].isoformat(), query.days[-1].isoformat(), report.timezone]
    yield [say("made"), report.made_at.astimezone(zone(report.timezone)).isoformat(timespec="seconds")]
    yield []
    yield [say("figure"), say("now"), say("before"), say("unit")]
    for figure in report.figures:
        unit = _UNITS[figure.unit][language]
        yield [named(LABELS, figure.key)[language], _value(figure.now), _value(figure.before), unit]
    if report.rows:
        yield []
        heads = [named(LABELS, key)[language] for key in report.columns]
        yield ["", *(word for head in heads for word in (head, f"{head} ({say('before')})"))]
        for row in report.rows:
            cells = (row.cells.get(key) for key in report.columns)
            values = [value for cell in cells for value in ((cell.now, cell.before) if cell else (None, None))]
            yield [row.titles[language], *map(_value, values)]
    if report.series:
        yield []
        yield [say("day"), *(_head(each.key, each.unit, language) for each in report.series)]
        for place, day in enumerate(query.days):
            yield [day.isoformat(), *(_value(each.now[place]) for each in report.series)]


def _head(key: str, unit: Unit, language: Language) -> str:
    return f"{named(LABELS, key)[language]} ({_UNITS[unit][language]})"


def _value(value: float | None) -> Value:
    """Whole numbers without a point, others to four places, nothing for None."""
    if value is None:
        return ""
    return int(value) if float(value).is_integer() else round(value, 4)


def _csv(rows: Iterable[Sequence[Value]]) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out).writerows([_safe(value) for value in row] for row in rows)
    return out.getvalue().encode("utf-8-sig")


def _xlsx(title: str, rows: Iterable[Sequence[Value]]) -> bytes:
    from openpyxl import Workbook  # takes a while to load and most processes never need it

    book = Workbook(write_only=True)
    sheet = book.create_sheet(title[:31])
    for row in rows:
        sheet.append([for_sheet(safe) if isinstance(safe := _safe(value), str) else safe for value in row])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _safe(value: Value) -> Value:
    return guarded(value.encode("utf-8", "replace").decode()) if isinstance(value, str) else value
