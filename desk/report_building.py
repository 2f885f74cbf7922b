"""Each report from its figures: what leads, what the chart shows, what the table lists, what each number opens."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from statistics import median
from typing import Any, Final

from sqlalchemy import Connection

from bot.service.care import CareRules
from bot.types import Language
from crm_sync import reports
from crm_sync.reports import Span, Volume
from desk.report_types import Better, Cell, Drill, Figure, ReportQuery, Series, TableRow, Unit
from desk.report_words import CLOCK_TITLES, LANGUAGES, REASON_TITLES, named

Titles = Callable[[str, str], Mapping[Language, str] | None]
MOST_ROWS: Final = 500


@dataclass(frozen=True, slots=True)
class Building:
    """What a report is made from. `before` is as long as `now_span` and ends where that begins."""

    conn: Connection
    query: ReportQuery
    span: Span
    before: Span
    now: datetime
    zone: tzinfo
    titles: Titles
    care: CareRules

    def both(self, read: Callable[[Connection, Span], Any]) -> tuple[Any, Any]:
        return read(self.conn, self.span), read(self.conn, self.before)

    def series(self, key: str, unit: Unit, now: Mapping[str, float], before: Mapping[str, float]) -> Series:
        """Zero-filled where something is counted, with gaps where something is measured."""
        nothing = 0.0 if unit == "count" else None
        days = (self.query.days, self.query.before.days)
        filled = (
            tuple(values.get(day.isoformat(), nothing) for day in of)
            for values, of in zip((now, before), days, strict=True)
        )
        return Series(key, unit, *filled)

    def day(self, at: datetime) -> str:
        return at.astimezone(self.zone).date().isoformat()

    def title(self, kind: str, key: str) -> Mapping[Language, str]:
        """In every language, where it has none of its own in another one."""
        found = self.titles(kind, key) if key else None
        if not found:
            return named({}, key)
        return {language: found.get(language) or next(iter(found.values())) for language in LANGUAGES}


@dataclass(frozen=True, slots=True)
class Told:
    """A report without its frame. `leading`: the figure the sentence is about."""

    leading: Figure
    figures: tuple[Figure, ...] = ()
    series: tuple[Series, ...] = ()
    columns: tuple[str, ...] = ()
    rows: tuple[TableRow, ...] = ()


def _figure(
    key: str, unit: Unit, values: tuple[float | None, float | None], better: Better = "", drill: Drill | None = None
) -> Figure:
    return Figure(key, unit, values[0], values[1], better, drill)


def _told(figures: Sequence[Figure], **more: Any) -> Told:
    return Told(figures[0], tuple(figures), **more)


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _middle(values: Iterable[float]) -> float | None:
    kept = list(values)
    return median(kept) if kept else None


def _known(rows: Iterable[Any], what: str) -> list[float]:
    """Lengths of one kind, where they are known."""
    return [max(0.0, seconds) for row in rows if (seconds := getattr(row, what)) is not None]


def _conversation(what: str, name: str = "") -> Drill:
    return Drill("conversation", what, name)


def _sum(volumes: Mapping[str, Volume], name: str) -> int:
    return sum(getattr(volume, name) for volume in volumes.values())


def _ranked(
    build: Building, kind: str, now: Mapping[str, int], before: Mapping[str, int], what: str
) -> tuple[TableRow, ...]:
    """One row per name, the most frequent first, with its share."""
    total = sum(now.values())
    names = sorted({*now, *before}, key=lambda name: (-now.get(name, 0), name))[:MOST_ROWS]
    return tuple(
        TableRow(
            name,
            build.title(kind, name),
            {
                "count": Cell("count", now.get(name, 0), before.get(name, 0)),
                "share": Cell("share", _share(now.get(name, 0), total)),
            },
            _conversation(what, name),
        )
        for name in names
    )


# --- the reports -------------------------------------------------------------------------------------------------


def volume(build: Building) -> Told:
    now, before = build.both(reports.volume_by_day)
    figures = [
        _figure("conversations", "count", build.both(reports.conversation_count), drill=_conversation("asked")),
        _figure(
            "messages_in",
            "count",
            (_sum(now, "messages_in"), _sum(before, "messages_in")),
            drill=_conversation("asked"),
        ),
        _figure("bot_out", "count", (_sum(now, "bot_out"), _sum(before, "bot_out")), drill=_conversation("answered")),
        _figure(
            "staff_out", "count", (_sum(now, "staff_out"), _sum(before, "staff_out")), drill=_conversation("staff")
        ),
    ]

    def per_day(read: Callable[[Volume], float]) -> tuple[dict[str, float], dict[str, float]]:
        first, second = ({day: read(each) for day, each in volumes.items()} for volumes in (now, before))
        return first, second

    series = (
        build.series("conversations", "count", *per_day(lambda each: each.asked)),
        build.series("messages_in", "count", *per_day(lambda each: each.messages_in)),
        build.series("messages_out", "count", *per_day(lambda each: each.bot_out + each.staff_out)),
    )
    return _told(figures, series=series)


def first_response(build: Building) -> Told:
    (bot, bot_days), (bot_before, bot_days_before) = build.both(reports.bot_seconds)
    now, before = build.both(reports.handoffs_in)
    waits = tuple(_middle(_known(rows, "reply_s")) for rows in (now, before))
    by_day = tuple(_by_day(build, rows, "reply_s", "requested_at") for rows in (now, before))
    figures = [
        _figure("person_s", "seconds", (waits[0], waits[1]), "down", _conversation("person_answered")),
        _figure("bot_s", "seconds", (bot, bot_before), "down", _conversation("answered")),
    ]
    leading = figures[0] if figures[0].now is not None else figures[1]
    series = (
        build.series("person_s", "seconds", *by_day),
        build.series("bot_s", "seconds", bot_days, bot_days_before),
    )
    return Told(leading, tuple(figures), series)


def _by_day(build: Building, rows: Iterable[Any], what: str, at: str) -> dict[str, float]:
    """The median of each day, by the day of `at`."""
    found: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        seconds = getattr(row, what)
        if seconds is not None:
            found[build.day(getattr(row, at))].append(max(0.0, seconds))
    return {day: median(values) for day, values in found.items()}


def resolution(build: Building) -> Told:
    cases, cases_before = build.both(reports.complaints_in)
    solved = _solved(cases, build.span), _solved(cases_before, build.before)
    talks = build.both(reports.handoffs_in)
    case_s = tuple(_middle(_known(rows, "solved_s")) for rows in solved)
    talk_s = tuple(_middle(_known(rows, "whole_s")) for rows in talks)
    figures = [
        _figure("case_s", "seconds", (case_s[0], case_s[1]), "down", Drill("case", "solved")),
        _figure("handoff_s", "seconds", (talk_s[0], talk_s[1]), "down", _conversation("handoff")),
        _figure("solved", "count", (len(solved[0]), len(solved[1])), "up", Drill("case", "solved")),
    ]
    leading = figures[0] if figures[0].now is not None else figures[1]
    by_case = tuple(_by_day(build, rows, "solved_s", "solved_at") for rows in solved)
    by_talk = tuple(_by_day(build, rows, "whole_s", "requested_at") for rows in talks)
    series = (build.series("case_s", "seconds", *by_case), build.series("handoff_s", "seconds", *by_talk))
    return Told(leading, tuple(figures), series)


def _solved(rows: Sequence[Any], span: Span) -> list[Any]:
    return [row for row in rows if row.solved_at and span.starts_at <= row.solved_at < span.ends_at]


def _opened(rows: Sequence[Any], span: Span) -> list[Any]:
    return [row for row in rows if span.starts_at <= row.opened_at < span.ends_at]


def containment(build: Building) -> Told:
    now, before = build.both(reports.volume_by_day)
    shares = tuple(_share(_sum(days, "contained"), _sum(days, "asked")) for days in (now, before))
    per_day = tuple(
        {day: each.contained / each.asked for day, each in days.items() if each.asked} for days in (now, before)
    )
    figures = [
        _figure("contained_share", "share", (shares[0], shares[1]), "up", _conversation("not_contained")),
        _figure(
            "contained", "count", (_sum(now, "contained"), _sum(before, "contained")), "up", _conversation("contained")
        ),
    ]
    return _told(figures, series=(build.series("contained_share", "share", *per_day),))


def handoffs(build: Building) -> Told:
    rows, rows_before = build.both(reports.handoffs_in)
    asked, handed = build.both(reports.conversation_count), build.both(reports.handed_over_count)
    counted = tuple(Counter(row.reason for row in each) for each in (rows, rows_before))
    per_day = tuple(dict(Counter(build.day(row.requested_at) for row in each)) for each in (rows, rows_before))
    waits: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        waits[row.reason] += _known([row], "wait_s")
    figures = [
        _figure("handoffs", "count", (len(rows), len(rows_before)), "down", _conversation("handoff")),
        _figure(
            "handoff_share",
            "share",
            (_share(handed[0], asked[0]), _share(handed[1], asked[1])),
            "down",
            _conversation("handoff"),
        ),
        _figure(
            "wait_s",
            "seconds",
            (
                _middle(_known(rows, "wait_s")),
                _middle(_known(rows_before, "wait_s")),
            ),
            "down",
            _conversation("handoff"),
        ),
    ]
    table = tuple(
        TableRow(
            row.key,
            named(REASON_TITLES, row.key),
            {**row.cells, "wait_s": Cell("seconds", _middle(waits[row.key]))},
            row.drill,
        )
        for row in _ranked(build, "reason", counted[0], counted[1], "handoff")
    )
    series = (build.series("handoffs", "count", *per_day),)
    return _told(figures, series=series, columns=("count", "share", "wait_s"), rows=table)


def intents(build: Building) -> Told:
    now, before = (reports.marks(build.conn, span, "intent") for span in (build.span, build.before))
    figures = [_figure("understood", "count", (sum(now.values()), sum(before.values())))]
    return _told(figures, columns=("count", "share"), rows=_ranked(build, "intent", now, before, "intent"))


def unanswered(build: Building) -> Told:
    now, before = build.both(reports.volume_by_day)
    shares = tuple(_share(_sum(days, "unclear"), _sum(days, "messages_in")) for days in (now, before))
    figures = [
        _figure("unclear_share", "share", (shares[0], shares[1]), "down", _conversation("unclear")),
        _figure("unclear", "count", (_sum(now, "unclear"), _sum(before, "unclear")), "down", _conversation("unclear")),
    ]
    per_day = tuple({day: float(each.unclear) for day, each in days.items()} for days in (now, before))
    return _told(figures, series=(build.series("unclear", "count", *per_day),))


def csat(build: Building) -> Told:
    rows, rows_before = build.both(reports.scores_in)
    now, before = ([row for row in each if row.kind == "csat"] for each in (rows, rows_before))
    asked = build.both(reports.asked_in)
    means = tuple(reports.mean([row.score for row in each]) for each in (now, before))
    happy = tuple(_share(sum(row.score >= 4 for row in each), len(each)) for each in (now, before))
    figures = [
        _figure("score", "score", (means[0], means[1]), "up", Drill("case", "score")),
        _figure("satisfied", "share", (happy[0], happy[1]), "up", Drill("case", "score")),
        _figure("answers", "count", (len(now), len(before)), "", Drill("case", "score")),
        _figure("answer_share", "share", (_share(len(now), asked[0]), _share(len(before), asked[1])), "up"),
        _figure("nps", "score", (_nps(rows), _nps(rows_before)), "up"),
    ]
    counted = tuple(Counter(str(row.score) for row in each) for each in (now, before))
    table = tuple(
        TableRow(
            str(score),
            {"zh": f"{score} 分", "en": f"{score} of 5"},
            {
                "count": Cell("count", counted[0][str(score)], counted[1][str(score)]),
                "share": Cell("share", _share(counted[0][str(score)], len(now))),
            },
            Drill("case", "score", str(score)),
        )
        for score in (5, 4, 3, 2, 1)
    )
    per_day = tuple(_scores_by_day(build, each) for each in (now, before))
    return _told(
        figures, series=(build.series("score", "score", *per_day),), columns=("count", "share"), rows=table
    )  # fmt: skip


def _scores_by_day(build: Building, rows: Iterable[Any]) -> dict[str, float]:
    found: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        found[build.day(row.answered_at)].append(row.score)
    return {day: sum(scores) / len(scores) for day, scores in found.items()}


def _nps(rows: Iterable[Any]) -> float | None:
    """Promoters (9 and 10) less detractors (0 to 6), in hundredths."""
    scores: list[int] = [row.score for row in rows if row.kind == "nps"]
    if not scores:
        return None
    return 100.0 * (sum(score >= 9 for score in scores) - sum(score <= 6 for score in scores)) / len(scores)


def complaints(build: Building) -> Told:
    rows, rows_before = build.both(reports.complaints_in)
    opened = _opened(rows, build.span), _opened(rows_before, build.before)
    solved = _solved(rows, build.span), _solved(rows_before, build.before)
    by = build.query.by
    counted = tuple(Counter(getattr(row, by) for row in each) for each in opened)
    times: dict[str, list[float]] = defaultdict(list)
    for row in solved[0]:
        times[getattr(row, by)] += _known([row], "solved_s")
    figures = [
        _figure("opened", "count", (len(opened[0]), len(opened[1])), "down", Drill("case", "opened")),
        _figure("solved", "count", (len(solved[0]), len(solved[1])), "up", Drill("case", "solved")),
        _figure("reopened", "count", (_reopened(opened[0]), _reopened(opened[1])), "down"),
    ]
    table = tuple(
        TableRow(
            row.key,
            row.titles,
            {**row.cells, "case_s": Cell("seconds", _middle(times[row.key]))},
            Drill("case", by, row.key),
        )
        for row in _ranked(build, by, counted[0], counted[1], by)
    )
    per_day = tuple(dict(Counter(build.day(row.opened_at) for row in each)) for each in opened)
    series = (build.series("opened", "count", *per_day),)
    return _told(figures, series=series, columns=("count", "share", "case_s"), rows=table)


def _reopened(rows: Iterable[Any]) -> int:
    return sum(row.reopened > 0 for row in rows)


def promises(build: Building) -> Told:
    now, before = (reports.promises_in(build.conn, span, build.now) for span in (build.span, build.before))
    totals = [[sum(each[place] for each in kinds.values()) for place in range(3)] for kinds in (now, before)]
    shares = tuple(_share(kept, kept + missed) for kept, missed, _ in totals)
    figures = [
        _figure("kept_share", "share", (shares[0], shares[1]), "up"),
        _figure("kept", "count", (totals[0][0], totals[1][0]), "up"),
        _figure("missed", "count", (totals[0][1], totals[1][1]), "down"),
        _figure("running", "count", (totals[0][2], totals[1][2])),
    ]
    table = []
    for kind in sorted({*now, *before}):
        kept, missed, running = now.get(kind, (0, 0, 0))
        was_kept, was_missed, _ = before.get(kind, (0, 0, 0))
        cells = {
            "kept_share": Cell("share", _share(kept, kept + missed), _share(was_kept, was_kept + was_missed)),
            "kept": Cell("count", kept, was_kept),
            "missed": Cell("count", missed, was_missed),
            "running": Cell("count", running),
        }
        table.append(TableRow(kind, named(CLOCK_TITLES, kind), cells, Drill("case", "missed", kind)))
    return _told(figures, columns=("kept_share", "kept", "missed", "running"), rows=tuple(table))


def channels(build: Building) -> Told:
    now, before = build.both(reports.volume_by_channel)
    talks, talks_before = build.both(reports.conversations_by_channel)
    figures = [_figure("conversations", "count", build.both(reports.conversation_count), "", _conversation("asked"))]
    nothing = Volume()
    table = []
    for name in sorted({*now, *before}, key=lambda name: (-now.get(name, nothing).messages_in, name)):
        one, was = now.get(name, nothing), before.get(name, nothing)
        cells = {
            "conversations": Cell("count", talks.get(name, 0), talks_before.get(name, 0)),
            "messages_in": Cell("count", one.messages_in, was.messages_in),
            "contained_share": Cell("share", _share(one.contained, one.asked), _share(was.contained, was.asked)),
            "unclear_share": Cell("share", _share(one.unclear, one.messages_in), _share(was.unclear, was.messages_in)),
        }
        table.append(TableRow(name, build.title("channel", name), cells))
    columns = ("conversations", "messages_in", "contained_share", "unclear_share")
    return _told(figures, columns=columns, rows=tuple(table))


def operators(build: Building) -> Told:
    talks, talks_before = build.both(reports.handoffs_in)
    wrote, wrote_before = (reports.marks(build.conn, span, "operator") for span in (build.span, build.before))
    scores: dict[str, list[int]] = defaultdict(list)
    for row in reports.scores_in(build.conn, build.span):
        if row.kind == "csat" and row.owner:
            scores[row.owner].append(row.score)
    taken = tuple(_by_operator(each) for each in (talks, talks_before))
    table = []
    for name in sorted({*taken[0], *taken[1], *wrote, *wrote_before, *scores}):
        one, was = taken[0].get(name, []), taken[1].get(name, [])
        cells = {
            "taken": Cell("count", len(one), len(was)),
            "replies": Cell("count", wrote.get(name, 0), wrote_before.get(name, 0)),
            "person_s": Cell("seconds", *_medians(one, was, "answer_s")),
            "handle_s": Cell("seconds", *_medians(one, was, "handle_s")),
            "score": Cell("score", reports.mean(scores[name])),
        }
        table.append(TableRow(name, named({}, name), cells, _conversation("taken", name)))
    counts = tuple(sum(len(each) for each in rows.values()) for rows in taken)
    figures = [
        _figure("taken", "count", (counts[0], counts[1])),
        _figure("replies", "count", (sum(wrote.values()), sum(wrote_before.values())), "", _conversation("staff")),
        _figure("handle_s", "seconds", _medians(talks, talks_before, "handle_s"), "down"),
    ]
    columns = ("taken", "replies", "person_s", "handle_s", "score")
    return _told(figures, columns=columns, rows=tuple(table))


def _by_operator(rows: Iterable[Any]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        if row.operator:
            found[row.operator].append(row)
    return found


def _medians(now: Iterable[Any], before: Iterable[Any], what: str) -> tuple[float | None, float | None]:
    return _middle(_known(now, what)), _middle(_known(before, what))


BUILDERS: Final[Mapping[str, Callable[[Building], Told]]] = {
    "volume": volume,
    "first_response": first_response,
    "resolution": resolution,
    "containment": containment,
    "handoffs": handoffs,
    "intents": intents,
    "unanswered": unanswered,
    "csat": csat,
    "complaints": complaints,
    "promises": promises,
    "channels": channels,
    "operators": operators,
}
