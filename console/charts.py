"""Charts of reports as SVG: lines for time, bars for parts, a dot with a bar for an effect. Pure: values in, text out.

Colours are the tokens of the style sheet (CSS variables with the light theme's value behind them), at most five
of them; each is named where it is drawn instead of in a legend. The time before is a grey line. Bars begin at zero.
Every chart says in words what it shows, for those who hear it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from desk.svg_text import clean

COLOURS: Final = (
    "var(--accent, #1F6FEB)",
    "var(--good, #1A7F4B)",
    "var(--warn, #B54708)",
    "var(--bad, #C01E2E)",
    "var(--muted, #667085)",
)
_GREY, _LINE, _TEXT, _MUTED = (
    "var(--muted, #667085)",
    "var(--line, #E4E7EC)",
    "var(--text, #1B1F24)",
    "var(--muted, #667085)",
)
MOST_SERIES: Final = 4  # the fifth colour is the time before's
_FONT: Final = 12
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 168, 12, 28
_ROW: Final = 28
Say = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class LineSeries:
    """One line. `values` as many as the chart has places; None is a gap. `before`: the same of the time before."""

    name: str
    values: Sequence[float | None]
    before: Sequence[float | None] = ()


@dataclass(frozen=True, slots=True)
class Bar:
    """One part. `before` is drawn as a grey mark at its place."""

    name: str
    value: float
    before: float | None = None


@dataclass(frozen=True, slots=True)
class Effect:
    """An estimate with its interval."""

    name: str
    value: float
    low: float
    high: float


def line_chart(
    places: Sequence[str],
    series: Sequence[LineSeries],
    *,
    title: str,
    before_name: str = "",
    say: Say = lambda value: f"{value:g}",
    is_whole: bool = False,
    width: int = 720,
    height: int = 240,
) -> str:
    """Values over time; `places` are what the horizontal axis says, `say` writes a value. `is_whole`: there are no
    halves of what is counted.

    Raises: ValueError for more series than can be told apart, or for values that are not one for each place.
    """
    if len(series) > MOST_SERIES:
        raise ValueError(f"a chart shows {MOST_SERIES} series at most")
    if any(len(each.values) != len(places) for each in series):
        raise ValueError("a series needs a value or None for each place")
    shown = [value for each in series for value in (*each.values, *each.before) if value is not None]
    ticks = _ticks(max((value for value in shown if math.isfinite(value)), default=0.0), is_whole=is_whole)
    inner_w, inner_h = width - _LEFT - _RIGHT, height - _TOP - _BOTTOM

    def x(place: int) -> float:
        return _LEFT + (inner_w * place / (len(places) - 1) if len(places) > 1 else inner_w / 2)

    def y(value: float) -> float:
        return _TOP + inner_h * (1 - value / ticks[-1])

    parts = [
        _rule(_LEFT, y(tick), width - _RIGHT, y(tick)) + _text(_LEFT - 6, y(tick) + 4, say(tick), anchor="end")
        for tick in ticks
    ]
    every = max(1, math.ceil(len(places) / max(1, inner_w // 72)))
    parts += [
        _text(x(place), height - 8, name, anchor="middle") for place, name in enumerate(places) if place % every == 0
    ]
    for each in series:
        parts += _polyline(each.before[: len(places)], x, y, _GREY, f"{each.name} {before_name}".strip(), dashed=True)
    labels: list[tuple[float, str, str]] = []
    for colour, each in zip(COLOURS, series, strict=False):
        parts += _polyline(each.values, x, y, colour, each.name)
        last = next((value for value in reversed(each.values) if value is not None), None)
        if last is not None:
            labels.append((y(last), each.name, colour))
    if before_name and any(value is not None for each in series for value in each.before):
        last = next(value for each in series for value in reversed(each.before) if value is not None)
        labels.append((y(last), before_name, _GREY))
    parts += [
        _text(width - _RIGHT + 8, at + 4, _short(name, 22), colour=colour)
        for at, name, colour in _apart(labels, _TOP, height - _BOTTOM)
    ]
    described = "; ".join(f"{each.name}: {_range(places, each.values, say)}" for each in series)
    return _svg(width, height, title, described, parts)


def bar_chart(
    bars: Sequence[Bar], *, title: str, say: Say = lambda value: f"{value:g}", width: int = 720, label_width: int = 160
) -> str:
    """Parts, one under the other, each with its name and value; they begin at zero.

    Raises: ValueError for a negative value.
    """
    if any(bar.value < 0 for bar in bars):
        raise ValueError("a part of something is not negative")
    most = max((max(bar.value, bar.before or 0.0) for bar in bars), default=0.0) or 1.0
    room = width - label_width - 80
    parts = []
    for place, bar in enumerate(bars):
        top = _TOP + place * _ROW
        length = room * bar.value / most
        parts.append(_text(label_width - 8, top + 16, _short(bar.name, 24), anchor="end", colour=_TEXT))
        parts.append(
            f'<rect x="{label_width}" y="{top + 4}" width="{length:.1f}" height="16" rx="2" fill="{COLOURS[0]}">'
            f"<title>{clean(bar.name)}: {clean(say(bar.value))}</title></rect>"
        )
        if bar.before is not None:
            at = label_width + room * bar.before / most
            parts.append(
                f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{top + 2}" y2="{top + 22}" stroke="{_GREY}" stroke-width="2"/>'
            )
        parts.append(_text(label_width + length + 8, top + 16, say(bar.value), colour=_TEXT))
    described = "; ".join(f"{bar.name}: {say(bar.value)}" for bar in bars)
    return _svg(width, 2 * _TOP + _ROW * len(bars), title, described, parts)


def effect_chart(
    effects: Sequence[Effect], *, title: str, none_at: float = 0.0, say: Say = lambda value: f"{value:g}",
    width: int = 720, label_width: int = 160,
) -> str:  # fmt: skip
    """Estimates as dots on the bars of their intervals, with a line where there would be no effect.

    Raises: ValueError for an estimate outside its interval.
    """
    if any(not each.low <= each.value <= each.high for each in effects):
        raise ValueError("an estimate lies in its interval")
    low = min((each.low for each in effects), default=none_at)
    high = max((each.high for each in effects), default=none_at)
    low, high = min(low, none_at), max(high, none_at)
    room, span = width - label_width - 80, (high - low) or 1.0

    def x(value: float) -> float:
        return label_width + room * (value - low) / span

    height = 2 * _TOP + _ROW * len(effects)
    parts = [_rule(x(none_at), _TOP, x(none_at), height - _TOP, _GREY)]
    for place, each in enumerate(effects):
        middle = _TOP + place * _ROW + 12
        parts.append(_text(label_width - 8, middle + 4, _short(each.name, 24), anchor="end", colour=_TEXT))
        parts.append(
            f'<line x1="{x(each.low):.1f}" x2="{x(each.high):.1f}" y1="{middle}" y2="{middle}"'
            f' stroke="{COLOURS[0]}" stroke-width="3" stroke-linecap="round"/>'
            f'<circle cx="{x(each.value):.1f}" cy="{middle}" r="5" fill="{COLOURS[0]}">'
            f"<title>{clean(each.name)}: {clean(say(each.value))}</title></circle>"
        )
        parts.append(_text(width - 72, middle + 4, say(each.value), colour=_TEXT))
    described = "; ".join(f"{each.name}: {say(each.value)} ({say(each.low)} – {say(each.high)})" for each in effects)
    return _svg(width, height, title, described, parts)


# --- pieces ---------------------------------------------------------------------------------------------------------


def _svg(width: int, height: int, title: str, described: str, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" width="100%"'
        f' font-size="{_FONT}" font-family="system-ui, sans-serif">'
        f"<title>{clean(title)}</title><desc>{clean(described)}</desc>{''.join(parts)}</svg>"
    )


def _text(x: float, y: float, words: str, *, anchor: str = "start", colour: str = _MUTED) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{clean(words)}</text>'


def _rule(x1: float, y1: float, x2: float, y2: float, colour: str = _LINE) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="1"/>'


def _polyline(
    values: Sequence[float | None], x: Callable[[int], float], y: Callable[[float], float], colour: str, name: str,
    *, dashed: bool = False,
) -> list[str]:  # fmt: skip
    """One line per stretch without a gap; a single value is a dot."""
    found: list[str] = []
    stretch: list[tuple[float, float]] = []
    for place, value in enumerate((*values, None)):
        if value is not None:
            stretch.append((x(place), y(value)))
            continue
        if len(stretch) == 1:
            found.append(f'<circle cx="{stretch[0][0]:.1f}" cy="{stretch[0][1]:.1f}" r="2.5" fill="{colour}"/>')
        elif stretch:
            points = " ".join(f"{left:.1f},{top:.1f}" for left, top in stretch)
            dash = ' stroke-dasharray="4 3"' if dashed else ""
            found.append(
                f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{1.5 if dashed else 2}"{dash}'
                f' stroke-linejoin="round"><title>{clean(name)}</title></polyline>'
            )
        stretch = []
    return found


def _ticks(most: float, *, is_whole: bool = False) -> list[float]:
    """Zero and up to four round steps, the last at or above `most`."""
    if most <= 0:
        return [0.0, 1.0]
    size = 10 ** math.floor(math.log10(most))
    steps = (size * part for part in (0.25, 0.5, 1, 2, 2.5, 5, 10))
    step = next(each for each in steps if each * 4 >= most and not (is_whole and each % 1))
    count = math.ceil(most / step - 1e-9)
    return [step * place for place in range(count + 1)]


def _apart(labels: Sequence[tuple[float, str, str]], top: float, bottom: float) -> list[tuple[float, str, str]]:
    """The labels moved so that none covers another, down at first, up again from the bottom."""
    line = _FONT + 3
    found: list[tuple[float, str, str]] = []
    free = top
    for at, name, colour in sorted(labels):
        found.append((max(at, free), name, colour))
        free = found[-1][0] + line
    free = bottom
    for place in reversed(range(len(found))):
        at, name, colour = found[place]
        found[place] = (min(at, free), name, colour)
        free = found[place][0] - line
    return found


def _short(name: str, most: int) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"


def _range(places: Sequence[str], values: Sequence[float | None], say: Say) -> str:
    """The first, last and largest value in words."""
    known = [(place, value) for place, value in zip(places, values, strict=True) if value is not None]
    if not known:
        return "–"
    first, last = known[0], known[-1]
    top = max(known, key=lambda each: each[1])
    return f"{first[0]} {say(first[1])} … {last[0]} {say(last[1])}, max {top[0]} {say(top[1])}"
