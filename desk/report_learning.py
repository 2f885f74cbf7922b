"""What cases and care teach, as reports: causes that come back, and how often following a care rule helped."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from bot.types import Language
from crm_sync import care
from crm_sync.case_counts import CauseCount, count_causes
from crm_sync.reports import Span
from desk.report_building import Building, Told
from desk.report_types import Better, Cell, Drill, Figure, TableRow
from desk.report_words import LANGUAGES, named

REPEATED: Final = 2  # as often as this a cause has come back
_FIGURES: Final[tuple[tuple[str, Better], ...]] = (("asked_for", ""), ("done", "up"), ("helped", "up"))
_LEVELS: Final = {"site": "site", "product": "product"}  # what `ReportQuery.by` stands for; all else: each kind of case


def causes(build: Building) -> Told:
    """Complaints whose cause was found more than once, by what they are about, alone or at each site or product."""
    by = _LEVELS.get(build.query.by, "kind")

    def found(span: Span, least: int) -> dict[str, CauseCount]:
        counted = count_causes(build.conn, span.starts_at, span.ends_at, by=by, least=least, channel=span.channel)
        return {_key(each, by): each for each in counted}

    now, before = found(build.span, REPEATED), found(build.before, 1)
    repeated = [each for each in before.values() if each.count >= REPEATED]
    figures = (
        Figure("repeated", "count", _sum("count", now.values()), _sum("count", repeated), "down"),
        Figure("causes", "count", len(now), len(repeated), "down"),
        Figure("reopened", "count", _sum("reopened", now.values()), _sum("reopened", repeated), "down"),
    )
    rows = tuple(
        TableRow(
            key,
            _title(build, each),
            {
                "count": Cell("count", each.count, before[key].count if key in before else 0),
                "reopened": Cell("count", each.reopened, before[key].reopened if key in before else 0),
                "score": Cell("score", each.score, before[key].score if key in before else None),
            },
            Drill("case", "repeated", key),
        )
        for key, each in now.items()
    )
    return Told(figures[0], figures, columns=("count", "reopened", "score"), rows=rows)


def _key(each: CauseCount, by: str) -> str:
    """What is counted together; `crm_sync.reports.case_ids` finds its cases by this."""
    apart = {"site": each.site, "product": each.product}
    where = [value if name == by else None for name, value in apart.items()]
    return json.dumps([each.cause, each.category, each.quality_type, *where], ensure_ascii=False)


def _sum(name: str, counted: Iterable[CauseCount]) -> int:
    return sum(getattr(each, name) for each in counted)


def _title(build: Building, each: CauseCount) -> Mapping[Language, str]:
    """The cause and what it was the cause of: "Wear · Brakes / Squeal · Baoding Rd"."""
    about = [build.title("category", key) for key in (each.category, each.quality_type) if key]
    where = [build.title("site", each.site)] if each.site else []
    return {
        language: " · ".join(
            part
            for part in (
                build.title("cause", each.cause)[language],
                " / ".join(names[language] for names in about),
                *(names[language] for names in where),
                each.product,
            )
            if part
        )
        for language in LANGUAGES
    }


def cared(build: Building) -> Told:
    """Follow-ups that care rules asked for in these days, and whom they brought back."""
    spans = build.span, build.before
    now, before = (
        {
            rule: care.report(build.conn, rule, build.care.helped_days(rule), since=span.starts_at, until=span.ends_at)
            for rule in care.rules_seen(build.conn)
        }
        for span in spans
    )
    totals = [
        [sum(getattr(each, name) for each in those.values()) for name in ("tasks", "done", "helped")]
        for those in (now, before)
    ]
    shares = [_share(each[2], each[1]) for each in totals]
    figures = (
        Figure("helped_share", "share", shares[0], shares[1], "up"),
        *(
            Figure(key, "count", totals[0][place], totals[1][place], better)
            for place, (key, better) in enumerate(_FIGURES)
        ),
    )
    rows = tuple(
        TableRow(
            rule,
            named({}, rule),
            {
                "asked_for": Cell("count", each.tasks, before[rule].tasks),
                "done": Cell("count", each.done, before[rule].done),
                "helped": Cell("count", each.helped, before[rule].helped),
                "helped_share": Cell(
                    "share", _share(each.helped, each.done), _share(before[rule].helped, before[rule].done)
                ),
            },
        )
        for rule, each in sorted(now.items(), key=lambda item: (-item[1].tasks, item[0]))
        if each.tasks or before[rule].tasks
    )
    return Told(figures[0], figures, columns=("asked_for", "done", "helped", "helped_share"), rows=rows)


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


LEARNING: Final[Mapping[str, Callable[[Building], Told]]] = {"causes": causes, "care": cared}
