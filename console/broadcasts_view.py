"""What the broadcast screens show: plain values out of what the services found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

from markupsafe import Markup

from bot.reach.preflight import Preflight, Problem, Quota
from bot.reach.states import SKIP_REASONS, RecipientState
from bot.reach.uplift import Interval
from console.charts import Effect, effect_chart
from console.frame import Look
from console.inbox_view import channel_name
from console.saying import money, span
from console.words import WORDS, say
from desk.broadcast_results import Compared, Line, Results
from desk.broadcasts import BroadcastRow, Progress

MOVING: Final = ("scheduled", "preparing", "running")
TONES: Final[Mapping[str, str]] = {
    "waiting": "warn", "paused": "warn", "stopped": "bad", "running": "accent", "preparing": "accent",
    "scheduled": "accent", "finished": "good", "approved": "good",
}  # fmt: skip
_TRIED: Final = ("sent", "failed", "uncertain", "dropped", "parked")
_WINDOW_S: Final = 10.0  # how long ago the sample is that the rate is reckoned from


@dataclass(frozen=True, slots=True)
class Sample:
    """So many had been tried at that moment (seconds of the epoch)."""

    at: float
    tried: int


@dataclass(frozen=True, slots=True)
class StateLine:
    name: str
    key: str
    count: int
    percent: str
    reasons: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class ProgressView:
    """`poll`: what the next look hands over, so that the rate is of the last seconds."""

    total: int
    done: int
    rate: str
    eta: str
    lines: tuple[StateLine, ...]
    arms: tuple[tuple[str, int], ...]
    is_moving: bool
    poll: Mapping[str, str]


def progress_view(progress: Progress, look: Look, older: Sample | None, newer: Sample | None) -> ProgressView:
    """How far it is. `older`, `newer`: what was seen before."""
    tried = sum(progress.counts.get(state, 0) for state in _TRIED)
    here = Sample(look.now.timestamp(), tried)
    base = older or newer
    if base is None and progress.started_at is not None:
        base = Sample(progress.started_at.timestamp(), 0)
    passed = here.at - base.at if base else 0.0
    rate = max(0.0, (tried - base.tried) / passed) if base and passed > 0 else 0.0
    left = progress.counts.get("pending", 0) + progress.counts.get("sending", 0)
    is_running = progress.state.value == "running"
    eta = span(timedelta(seconds=left / rate), look.language) if rate > 0 and left else ""
    kept, last = (newer, here) if newer is None or here.at - newer.at >= _WINDOW_S else (older, newer)
    poll = {"a": _packed(kept), "b": _packed(last)}
    return ProgressView(
        total=progress.total,
        done=progress.done,
        rate=say(look.language, "bc.rate.per_s", count=f"{rate:.1f}" if rate < 10 else f"{rate:,.0f}")
        if is_running and rate > 0
        else "",
        eta=(eta or say(look.language, "bc.eta.unknown")) if is_running else "",
        lines=tuple(_state_line(each.value, progress, look) for each in RecipientState if progress.counts.get(each)),
        arms=tuple(sorted(progress.arms.items())),
        is_moving=progress.state.value in MOVING,
        poll={name: value for name, value in poll.items() if value},
    )


def sample(text: str) -> Sample | None:
    """What `poll` handed over; None for nothing, or for what it never is."""
    at, _, tried = text.partition("_")
    if not (tried.isascii() and tried.isdigit() and at.isascii() and at.isdigit()) or len(text) > 40:
        return None
    return Sample(int(at) / 1000, int(tried))


def _packed(seen: Sample | None) -> str:
    return "" if seen is None else f"{int(seen.at * 1000)}_{seen.tried}"


def _state_line(state: str, progress: Progress, look: Look) -> StateLine:
    # Reasons are of those who were skipped (known names) or who failed (the vendor's words).
    mine = {
        reason: count
        for reason, count in progress.reasons.items()
        if (state == "skipped" and reason in SKIP_REASONS) or (state == "failed" and reason not in SKIP_REASONS)
    }
    reasons = tuple(
        (reason_words(reason, look), count) for reason, count in sorted(mine.items(), key=lambda one: -one[1])
    )
    return StateLine(
        say(look.language, f"bc.recipient.{state}"),
        state,
        progress.counts[state],
        percent(progress.counts[state], progress.total),
        reasons,
    )


def reason_words(reason: str, look: Look) -> str:
    """Why somebody was skipped; what a vendor said stays as it is."""
    key = f"bc.skip.{reason}"
    return say(look.language, key) if key in WORDS else reason


def percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "–"


# --- pre-flight -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PreflightView:
    reached: int
    total: int
    skipped: int
    skips: tuple[tuple[str, int, str], ...]  # words, people, share
    accounts: tuple[tuple[str, int], ...]
    takes: str
    starts: str
    cost: str
    blocking: tuple[str, ...]
    known: tuple[str, ...]
    quotas: tuple[tuple[str, str], ...]
    asleep: int = 0


def preflight_view(found: Preflight, look: Look, currency: str) -> PreflightView:
    """One page to decide on."""
    total, reached = found.counted.total, sum(found.counted.reached.values())
    moment = look.words()["moment"]
    starts = found.starts_at
    at_once = starts is not None and starts <= found.at
    return PreflightView(
        reached=reached,
        total=total,
        skipped=total - reached,
        skips=tuple(
            (reason_words(reason, look), count, percent(count, total))
            for reason, count in sorted(found.counted.skipped.items(), key=lambda one: -one[1])
            if count
        ),
        accounts=tuple(
            (f"{channel_name(channel, look)} · {account}", count)
            for (channel, account), count in sorted(found.counted.reached.items())
        ),
        takes=span(found.takes, look.language),
        starts=say(look.language, "bc.pf.now") if at_once else moment(starts) if starts else "–",
        cost=money(found.cost_minor, currency) if found.cost_minor else "",
        blocking=tuple(problem_words(each, look) for each in found.problems if each.is_blocking),
        known=tuple(problem_words(each, look) for each in found.problems if not each.is_blocking),
        quotas=tuple(
            (
                f"{channel_name(each.channel, look)} · {each.account}",
                quota_words(each, look),
            )
            for each in found.quotas
        ),
        asleep=found.counted.asleep,
    )


def quota_words(quota: Quota, look: Look) -> str:
    """What it uses of what the vendor allows in this period."""
    period = say(look.language, "bc.pf.quota.day" if quota.is_of_a_day else "bc.pf.quota.month")
    if quota.of == "person":
        return say(look.language, "bc.pf.quota.person", needs=quota.needs, limit=quota.limit, period=period)
    amounts = {"needs": f"{quota.needs:,}", "left": f"{quota.left:,}", "limit": f"{quota.limit:,}"}
    return say(look.language, "bc.pf.quota.told", period=period, **amounts)


def problem_words(problem: Problem, look: Look) -> str:
    """What is wrong, in the words of who looks."""
    details = {"nearest": "–", **{name: value for name, value in problem.details.items() if value != ""}}
    if "channel" in details:
        details["channel"] = channel_name(str(details["channel"]), look)
    return say(look.language, f"bc.problem.{problem.code}", **details)


# --- results ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ResultsView:
    lead: str
    tone: str
    uplift_chart: Markup
    harm_chart: Markup
    figures: tuple[tuple[str, str, str], ...]  # title, value, interval
    arms: tuple[Mapping[str, Any], ...]
    window: str


def results_view(found: Results, look: Look) -> ResultsView:
    """What it brought, with how sure that is, and the harm beside it."""
    words = _Words(look, found.currency)
    named = [(words.t("bc.res.everybody"), found.whole)]
    if len(found.variants) > 1:
        named += [(each.arm, each) for each in found.variants]
    effects = [_effect(name, each.uplift.share) for name, each in named if each.uplift]
    harm = [
        _effect(words.t(f"bc.res.{key}"), interval)
        for key, interval in (("withdrawn", found.whole.withdrawn), ("complaints", found.whole.complaints))
        if interval
    ]
    return ResultsView(
        lead=lead_of(found.whole, look),
        tone=tone_of(found.whole),
        uplift_chart=_chart(effects, words.t("bc.res.uplift")),
        harm_chart=_chart(harm, words.t("bc.res.harm")),
        figures=tuple(words.figures(found)),
        arms=(
            *(_arm(name, each) for name, each in named),
            {"name": words.t("bc.res.held_out"), "sums": found.held_out, "share": None, "differs": False},
        ),
        window=say(look.language, "bc.res.window", percent=f"{100 * found.share:.0f} %"),
    )


def lead_of(compared: Compared, look: Look) -> str:
    """One sentence: it helped, it did harm, or it does not differ from zero."""
    if compared.uplift is None:
        return say(look.language, "bc.res.none")
    share = compared.uplift.share
    key = "zero" if not share.is_clear else "more" if share.low > 0 else "less"
    low, high = (share.low, share.high) if key != "less" else (-share.high, -share.low)
    middle = abs(share.estimate) if key != "zero" else share.estimate
    return say(
        look.language, f"bc.res.{key}", share=in_100(middle), low=in_100(low), high=in_100(high)
    )  # fmt: skip


def tone_of(compared: Compared) -> str:
    if not compared.differs or compared.uplift is None:
        return ""
    return "good" if compared.uplift.share.low > 0 else "bad"


def compare_view(lines: Sequence[Line], look: Look) -> dict[str, Any]:
    """Several broadcasts side by side."""
    effects = [
        _effect(each.title or each.name, each.results.whole.uplift.share) for each in lines if each.results.whole.uplift
    ]
    rows = [
        {
            "name": each.name,
            "title": each.title or each.name,
            "sums": each.results.whole.sums,
            "lead": lead_of(each.results.whole, look),
            "tone": tone_of(each.results.whole),
            "figures": _Words(look, each.results.currency).figures(each.results),
        }
        for each in lines
    ]
    return {"chart": _chart(effects, say(look.language, "bc.cmp.title")), "rows": rows}


def in_100(share: float) -> str:
    return f"{100 * share:.1f}".replace("-0.0", "0.0")


@dataclass(frozen=True, slots=True)
class _Words:
    look: Look
    currency: str

    def t(self, key: str, **values: object) -> str:
        return say(self.look.language, key, **values)

    def amount(self, minor: float) -> str:
        return money(round(minor), self.currency)

    def figures(self, found: Results) -> list[tuple[str, str, str]]:
        """Title, value, and between what it lies; those that can be told."""
        uplift = found.whole.uplift
        if uplift is None:
            return []
        figures = [
            (self.t("bc.res.per_1000"), *self._between(uplift.amount, 1000)),
            (self.t("bc.res.brought"), *self._between(uplift.amount, found.whole.sums.people)),
            (
                self.t("bc.res.extra"),
                f"{uplift.extra.estimate:.0f}",
                self.t("bc.res.between", low=f"{uplift.extra.low:.0f}", high=f"{uplift.extra.high:.0f}"),
            ),
        ]
        if found.cost_minor:
            figures.append((self.t("bc.res.cost"), self.amount(found.cost_minor), ""))
        if found.returned is not None:
            figures.append((self.t("bc.res.return"), f"{100 * found.returned:+.0f} %", ""))
        return figures

    def _between(self, each: Interval, times: int) -> tuple[str, str]:
        low, high = self.amount(each.low * times), self.amount(each.high * times)
        return self.amount(each.estimate * times), self.t("bc.res.between", low=low, high=high)


def _effect(name: str, interval: Interval) -> Effect:
    return Effect(name, interval.estimate, interval.low, interval.high)


def _chart(effects: Sequence[Effect], title: str) -> Markup:
    if not effects:
        return Markup()
    return Markup(effect_chart(effects, title=title, say=lambda value: f"{100 * value:+.1f}"))  # noqa: S704 - escapes


def _arm(name: str, compared: Compared) -> Mapping[str, Any]:
    return {
        "name": name,
        "sums": compared.sums,
        "share": compared.uplift.share if compared.uplift else None,
        "differs": compared.differs,
    }


# --- the calendar -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Day:
    day: date
    is_in_month: bool
    is_today: bool
    rows: tuple[BroadcastRow, ...]


def month_of(text: str, look: Look) -> date:
    """The first day of the month asked for (2026-11), else of this one."""
    year, _, month = text.partition("-")
    is_written = len(text) == 7 and all(each.isascii() and each.isdigit() for each in (year, month))
    if is_written and 2000 <= int(year) <= 2199 and 1 <= int(month) <= 12:
        return date(int(year), int(month), 1)
    return look.now.astimezone(look.zone).date().replace(day=1)


def weeks_of(first: date, rows: Sequence[BroadcastRow], look: Look) -> list[list[Day]]:
    """The month in weeks from Monday on, with what starts on each day."""
    by_day: dict[date, list[BroadcastRow]] = {}
    for row in rows:
        if row.at is not None:
            by_day.setdefault(_day(row.at, look), []).append(row)
    today = _day(look.now, look)
    day, weeks = first - timedelta(days=first.weekday()), []
    while day.month == first.month or day < first:
        weeks.append([
            Day(each, each.month == first.month, each == today, tuple(by_day.get(each, ())))
            for each in (day + timedelta(days=n) for n in range(7))
        ])  # fmt: skip
        day += timedelta(days=7)
    return weeks


def _day(at: datetime, look: Look) -> date:
    return at.astimezone(look.zone).date()
