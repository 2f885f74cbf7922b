"""What the reports screen shows, as plain values: figures, the chart, the table, and where each number leads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, Literal, cast
from urllib.parse import urlencode

from bot.errors import InputError
from bot.types import Language
from console.charts import Bar, LineSeries, bar_chart, line_chart
from console.frame import Look
from console.words import say
from desk.report_types import Drill, Figure, Report, ReportQuery, Series, Unit
from desk.report_words import REPORT_TITLES, named, said

RANGES: Final[Mapping[str, int]] = {"today": 1, "7": 7, "30": 30, "90": 90}
OWN: Final = "own"
MOST_BARS: Final = 12
MOST_LINES: Final = 4
MOST_DAYS_LISTED: Final = 92  # in the page; files have them all
_SIZES: Final = ((172_800.0, 86_400.0, "days"), (7_200.0, 3_600.0, "hours"), (120.0, 60.0, "minutes"))


@dataclass(frozen=True, slots=True)
class Asked:
    """Which report of which days, as the address says it."""

    name: str
    range: str
    query: ReportQuery
    opens: frozenset[str] = frozenset(("conversation", "case"))  # what this person may list

    def address(self, path: str = "", **other: str) -> str:
        """Of this report with the same days; `other` replaces or adds what the address says."""
        values = {"range": self.range, "channel": self.query.channel}
        if self.query.by != "category":
            values["by"] = self.query.by
        if self.range == OWN:
            values |= {"since": self.query.since.isoformat(), "to": self.last.isoformat()}
        name = other.pop("report", self.name)
        kept = {key: value for key, value in (values | other).items() if value}
        return f"/console/reports/{name}{path}?{urlencode(kept)}"

    def behind(self, drill: Drill, **other: str) -> str:
        """Where the list of what a number counts is; "" for whoever may not see it."""
        if drill.kind not in self.opens:
            return ""
        return self.address("/behind", **{"kind": drill.kind, "what": drill.what, "name": drill.name, **other})

    @property
    def last(self) -> date:
        return self.query.until - timedelta(days=1)


def asked(name: str, values: Mapping[str, str], look: Look, opens: frozenset[str]) -> Asked:
    """What the address asks for; without days the last thirty. Raises: InputError for days that are none."""
    today = look.now.astimezone(look.zone).date()
    which = values.get("range", "") or "30"
    if which == OWN:
        try:
            since = date.fromisoformat(values.get("since", ""))
            until = date.fromisoformat(values.get("to", "")) + timedelta(days=1)
        except (ValueError, OverflowError) as exc:
            raise InputError(say(look.language, "report.no_days")) from exc
    elif which in RANGES:
        until = today + timedelta(days=1)
        since = until - timedelta(days=RANGES[which])
    else:
        raise InputError(say(look.language, "report.no_days"))
    by = cast(Literal["category", "cause", "site", "product"], values.get("by", "") or "category")
    return Asked(name, which, ReportQuery(since, until, values.get("channel", ""), by), opens)


@dataclass(frozen=True, slots=True)
class Number:
    """A value with that of the time before; `address`: what it counts. `tone`: good, bad or ""."""

    label: str
    now: str
    before: str
    tone: str
    address: str


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the table: its name and its numbers in the order of the columns."""

    name: str
    numbers: tuple[Number, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """A report as the page shows it. `chart`: SVG text, "" where there is nothing to draw."""

    title: str
    lead: str
    figures: tuple[Number, ...]
    chart: str
    first: str  # what the table's first column is called
    columns: tuple[str, ...]
    lines: tuple[Line, ...]
    is_empty: bool
    left_out: int  # days of the table that only files have


def shown(report: Report, ask: Asked, look: Look) -> Shown:
    figures = tuple(_figure(report, each, ask, look) for each in report.figures)
    values = [figure.now for figure in report.figures]
    values += [cell.now for row in report.rows for cell in row.cells.values()]
    is_empty = not any(values)
    by_day = not report.rows and report.name != "operators"
    lines = _days(report, ask, look) if by_day else _rows(report, ask, look)
    keys = [series.key for series in report.series] if by_day else list(report.columns)
    return Shown(
        title=REPORT_TITLES[report.name][look.language],
        lead=report.headline[look.language],
        figures=figures,
        chart="" if is_empty else chart(report, look),
        first=say(look.language, "report.day" if by_day else f"report.first.{_first(report)}"),
        columns=tuple(named(report.labels, key)[look.language] for key in keys),
        lines=tuple(lines),
        is_empty=is_empty,
        left_out=max(0, len(report.query.days) - MOST_DAYS_LISTED) if by_day and report.series else 0,
    )


def _first(report: Report) -> str:
    return report.query.by if report.name == "complaints" else report.name


def _figure(report: Report, figure: Figure, ask: Asked, look: Look) -> Number:
    return Number(
        named(report.labels, figure.key)[look.language],
        said(figure.now, figure.unit, look.language),
        said(figure.before, figure.unit, look.language),
        _tone(figure),
        ask.behind(figure.drill) if figure.drill and figure.now is not None else "",
    )


def _tone(figure: Figure) -> str:
    if not figure.better or figure.now is None or figure.before is None or figure.now == figure.before:
        return ""
    return "good" if (figure.now > figure.before) == (figure.better == "up") else "bad"


def _rows(report: Report, ask: Asked, look: Look) -> list[Line]:
    found = []
    for row in report.rows:
        numbers = []
        for column in report.columns:
            cell = row.cells.get(column)
            now, before, unit = (cell.now, cell.before, cell.unit) if cell else (None, None, "count")
            numbers.append(
                Number(
                    named(report.labels, column)[look.language],
                    said(now, unit, look.language),
                    said(before, unit, look.language) if before is not None else "",
                    "",
                    _leads_to(report, row.key, column, row.drill, ask) if now else "",
                )
            )
        found.append(Line(row.titles[look.language], tuple(numbers)))
    return found


def _leads_to(report: Report, key: str, column: str, drill: Drill | None, ask: Asked) -> str:
    """The list behind a cell. Promises have one for each column, channels are the report's own filter."""
    if report.name == "promises" and column in ("kept", "missed"):
        return ask.behind(Drill("case", column, key))
    if report.name == "promises" and column == "kept_share":
        return ask.behind(Drill("case", "missed", key))
    if report.name == "channels":
        what = {"contained_share": "not_contained", "unclear_share": "unclear"}.get(column, "asked")
        return ask.behind(Drill("conversation", what), channel=key)
    return ask.behind(drill) if drill else ""


def _days(report: Report, ask: Asked, look: Look) -> list[Line]:
    """One row for each day, the newest first."""
    drills = {"messages_out": Drill("conversation", "answered"), **{each.key: each.drill for each in report.figures}}
    found = []
    for place in reversed(range(max(0, len(report.query.days) - MOST_DAYS_LISTED), len(report.query.days))):
        day = report.query.days[place]
        one = {"range": OWN, "since": day.isoformat(), "to": day.isoformat()}
        numbers = []
        for series in report.series:
            drill, now, before = drills.get(series.key), series.now[place], series.before[place]
            numbers.append(
                Number(
                    named(report.labels, series.key)[look.language],
                    said(now, series.unit, look.language),
                    said(before, series.unit, look.language),
                    "",
                    ask.behind(drill, **one) if drill and now else "",
                )
            )
        found.append(Line(day_words(day, look), tuple(numbers)))
    return found if report.series else []


def day_words(day: date, look: Look) -> str:
    if look.language == "zh":
        return f"{day.month}月{day.day}日"
    return f"{day.day} {day:%b}"


def span_words(query: ReportQuery, look: Look) -> str:
    """The first and the last day."""
    first, last = query.since, query.until - timedelta(days=1)
    return day_words(first, look) if first == last else f"{day_words(first, look)} – {day_words(last, look)}"


# --- the chart ------------------------------------------------------------------------------------------------------


def chart(report: Report, look: Look) -> str:
    """Lines over days; for a single day, and for what has no days, bars."""
    if report.series and len(report.query.days) > 1:
        return _lines(report, report.series[:MOST_LINES], look)
    if report.rows and report.columns:
        return _bars_of_rows(report, look)
    return _bars_of_day(report, look)


def _lines(report: Report, series: Sequence[Series], look: Look) -> str:
    size, unit = _scale(series)
    first = series[0]
    lines = [
        LineSeries(
            named(report.labels, each.key)[look.language],
            [value if value is None else value / size for value in each.now],
            # The time before of one line only: more grey lines could not be told apart.
            [value if value is None else value / size for value in each.before] if each is first else (),
        )
        for each in series
    ]
    return line_chart(
        [day_words(day, look) for day in report.query.days],
        lines,
        title=report.headline[look.language],
        before_name=say(look.language, "report.before"),
        say=lambda value: _axis(value, unit, first.unit, look.language),
        is_whole=first.unit == "count",
    )


def _scale(series: Sequence[Series]) -> tuple[float, str]:
    """By what seconds are divided so that the axis has round numbers, and what they are called then."""
    if series[0].unit != "seconds":
        return 1.0, ""
    most = max((value for each in series for value in (*each.now, *each.before) if value is not None), default=0.0)
    return next(((size, name) for least, size, name in _SIZES if most >= least), (1.0, "seconds"))


def _axis(value: float, name: str, unit: Unit, language: Language) -> str:
    if unit == "seconds":
        return f"{value:.3g} {say(language, f'report.unit.{name}')}"
    if unit == "count":
        return f"{value:,.3g}" if value < 1000 else f"{value:,.0f}"
    return said(value, unit, language)


def _bars_of_rows(report: Report, look: Look) -> str:
    column = report.columns[0]
    kept = [(row, row.cells[column]) for row in report.rows if column in row.cells]
    bars = [Bar(row.titles[look.language], cell.now or 0.0, cell.before) for row, cell in kept[:MOST_BARS]]
    unit = kept[0][1].unit if kept else "count"
    return _bar_chart(report, bars, unit, look)


def _bars_of_day(report: Report, look: Look) -> str:
    kept = [figure for figure in report.figures if figure.unit == report.figures[0].unit and figure.now is not None]
    bars = [Bar(named(report.labels, each.key)[look.language], max(0.0, each.now or 0.0), each.before) for each in kept]
    return _bar_chart(report, bars, report.figures[0].unit, look) if bars else ""


def _bar_chart(report: Report, bars: Sequence[Bar], unit: Unit, look: Look) -> str:
    return bar_chart(bars, title=report.headline[look.language], say=lambda value: said(value, unit, look.language))
