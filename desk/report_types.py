"""What a report is, as values: figures with the time before, a series for the chart, a table, and what to click."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Literal

from bot.errors import InputError
from bot.types import Language

Unit = Literal["count", "share", "seconds", "score"]  # shares run 0 to 1
Better = Literal["up", "down", ""]  # which way is good; "": neither
MOST_DAYS = 800

REPORTS = (
    "volume",
    "first_response",
    "resolution",
    "containment",
    "handoffs",
    "intents",
    "unanswered",
    "csat",
    "complaints",
    "causes",
    "promises",
    "care",
    "channels",
    "operators",
)
BY = ("category", "cause", "site", "product")  # what complaints are broken down by


@dataclass(frozen=True, slots=True)
class ReportQuery:
    """Which days, the last one left out. `channel` "": all; `by`: what complaints are broken down by.

    Raises: InputError for days in the wrong order or too many.
    """

    since: date
    until: date
    channel: str = ""
    by: Literal["category", "cause", "site", "product"] = "category"

    def __post_init__(self) -> None:
        if self.since >= self.until:
            raise InputError("the time ends before it begins")
        if (self.until - self.since).days > MOST_DAYS:
            raise InputError(f"a report covers {MOST_DAYS} days at most")
        if self.by not in BY:
            raise InputError(f"complaints are broken down by {', '.join(BY)}")

    @property
    def days(self) -> tuple[date, ...]:
        return tuple(self.since + timedelta(days=place) for place in range((self.until - self.since).days))

    @property
    def before(self) -> ReportQuery:
        """As many days, right before."""
        return ReportQuery(self.since - (self.until - self.since), self.since, self.channel, self.by)


@dataclass(frozen=True, slots=True)
class Drill:
    """What a number counts, to be asked for with `ReportDesk.drill`."""

    kind: Literal["conversation", "case"]
    what: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """One number, also of as many days before. None: there was nothing to measure."""

    key: str
    unit: Unit
    now: float | None
    before: float | None
    better: Better = ""
    drill: Drill | None = None


@dataclass(frozen=True, slots=True)
class Series:
    """One value per day of the report, and of as many days before. Counts are 0 where nothing was; others None."""

    key: str
    unit: Unit
    now: tuple[float | None, ...]
    before: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Cell:
    unit: Unit
    now: float | None
    before: float | None = None


@dataclass(frozen=True, slots=True)
class TableRow:
    """One line of the table. `titles`: its name in each language; `cells` by the keys of the report's `columns`."""

    key: str
    titles: Mapping[Language, str]
    cells: Mapping[str, Cell]
    drill: Drill | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """A leading sentence, figures, one chart, a table."""

    name: str
    query: ReportQuery
    timezone: str
    made_at: datetime
    headline: Mapping[Language, str]
    figures: tuple[Figure, ...] = ()
    series: tuple[Series, ...] = ()
    columns: tuple[str, ...] = ()
    rows: tuple[TableRow, ...] = ()
    labels: Mapping[str, Mapping[Language, str]] = field(default_factory=dict)  # of figures, series and columns

    def figure(self, key: str) -> Figure:
        """Raises: KeyError."""
        return {figure.key: figure for figure in self.figures}[key]
