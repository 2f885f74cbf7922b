"""How well a model understands, as one HTML page with pictures: confusions, calibration, rejection.

In: examples with what a model that had not seen them made of them. Out: HTML with inline SVG that loads nothing.
"""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from nlu.embedded.engine import REJECTED, EmbeddedEngine
from nlu.embedded.model import train_model
from nlu.training_data import OUT_OF_SCOPE, Example, TrainingData

_CHUNK: Final = 500
_CELLS: Final = 40  # intents in the matrix: those that are confused most often
_BINS: Final = 10
_LISTED: Final = 60
_SIDE, _LEFT = 340, 60  # of a curve, in pixels, and the room for its scale


@dataclass(frozen=True, slots=True)
class Judged:
    """One message. `accepted`: the model acts on it instead of asking back."""

    text: str
    intent: str
    found: str
    score: float
    accepted: bool
    where: str = ""  # file and line

    @property
    def is_right(self) -> bool:
        return self.intent == self.found


def judged(training: TrainingData, testing: TrainingData | None, *, folds: int) -> list[Judged]:
    """Each message by a model that has not seen it: the test's, or without one each example in its turn.

    Raises: AssistantInvalid.
    """
    if testing is not None:
        return _judge(training, testing.examples)
    by_intent: Counter[str] = Counter()
    parts: list[list[Example]] = [[] for _ in range(folds)]
    for example in sorted({(each.intent, each.text): each for each in training.examples}.values(), key=_order):
        parts[by_intent[example.intent] % folds].append(example)
        by_intent[example.intent] += 1
    found: list[Judged] = []
    for number, part in enumerate(parts):
        rest = tuple(each for other, members in enumerate(parts) if other != number for each in members)
        found += _judge(replace(training, examples=rest), part)
    return found


def _order(example: Example) -> tuple[str, str]:
    return example.intent, example.text


def _judge(training: TrainingData, examples: Sequence[Example]) -> list[Judged]:
    model = train_model(training)
    engine = EmbeddedEngine(model, splits=False)
    found: list[Judged] = []
    for start in range(0, len(examples), _CHUNK):
        part = examples[start : start + _CHUNK]
        for example, ranking in zip(part, engine.rank([each.text for each in part]), strict=True):
            best = ranking[0]
            accepted = best.name != OUT_OF_SCOPE and best.confidence >= REJECTED
            where = f"{example.file}:{example.line}" if example.file else ""
            found.append(Judged(example.text, example.intent, best.name, best.confidence, accepted, where))
    return found


# --- figures ---------------------------------------------------------------------------------------------------------


def confusions(rows: Sequence[Judged]) -> tuple[list[str], list[list[int]]]:
    """Names and counts: a row for what was meant, a column for what was found. The names that are confused most."""
    wrong: Counter[str] = Counter()
    for row in rows:
        if not row.is_right:
            wrong.update((row.intent, row.found))
    every = sorted({row.intent for row in rows} | {row.found for row in rows}, key=lambda name: (-wrong[name], name))
    names = sorted(every[:_CELLS])
    place = {name: at for at, name in enumerate(names)}
    counts = [[0] * len(names) for _ in names]
    for row in rows:
        if row.intent in place and row.found in place:
            counts[place[row.intent]][place[row.found]] += 1
    return names, counts


def calibration(rows: Sequence[Judged]) -> list[tuple[float, float, int]]:
    """(mean score, share that is right, how many) of each tenth of the scale that has any."""
    scores = np.asarray([row.score for row in rows])
    right = np.asarray([row.is_right for row in rows])
    bins = np.minimum((scores * _BINS).astype(int), _BINS - 1)
    return [
        (float(scores[bins == at].mean()), float(right[bins == at].mean()), int((bins == at).sum()))
        for at in np.unique(bins)
    ]


def rejection(rows: Sequence[Judged]) -> list[tuple[float, float, float]]:
    """(share answered, share of those that is right, least score) from answering all to answering hardly any.

    Messages outside of what the assistant does count as wrong when they are answered.
    """
    ranked = sorted(rows, key=lambda row: -row.score)
    right = np.cumsum([row.is_right and row.found != OUT_OF_SCOPE for row in ranked])
    places = sorted({max(1, round(len(ranked) * share / 50)) for share in range(1, 51)})
    return [
        (place / len(ranked), float(right[place - 1]) / place, ranked[place - 1].score) for place in reversed(places)
    ]


# --- the page --------------------------------------------------------------------------------------------------------

_STYLE: Final = """
body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #e4e7ec}
figure{margin:1.5rem 0;overflow-x:auto}figcaption{color:#667085}svg text{font:11px system-ui,sans-serif;fill:#1b1f24}
.pair{display:flex;flex-wrap:wrap;gap:2rem}.pair figure{width:28rem}
td.n{text-align:right;font-variant-numeric:tabular-nums}
"""


def page_of(rows: Sequence[Judged], *, title: str) -> str:
    """The whole page. `rows` is not empty."""
    ours = [row for row in rows if row.intent != OUT_OF_SCOPE]
    accuracy = sum(row.is_right for row in ours) / max(len(ours), 1)
    answered = [row for row in rows if row.accepted]
    facts = [
        ("Messages", f"{len(rows)}"),
        ("Meanings", f"{len({row.intent for row in rows})}"),
        ("Understood, before rejection", f"{accuracy:.1%}"),
        ("Acted upon", f"{len(answered) / max(len(rows), 1):.1%}"),
        ("Right when acted upon", f"{sum(row.is_right for row in answered) / max(len(answered), 1):.1%}"),
    ]
    names, counts = confusions(rows)
    parts = [
        "<!doctype html><html lang=en><head><meta charset=utf-8>",
        "<meta name=viewport content='width=device-width,initial-scale=1'>",
        f"<title>Understanding: {html.escape(title)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>Understanding: {html.escape(title)}</h1><table>",
        *(f"<tr><th>{name}</th><td class=n>{value}</td></tr>" for name, value in facts),
        "</table><div class=pair>",
        _figure(_calibration_svg(calibration(rows)), "Calibration: of messages scored so, this share is right. The "
                "grey line is a perfect match; the size of a dot is how many there are."),
        _figure(_rejection_svg(rejection(rows)), "Rejection: answering fewer messages (left), more of the answers are "
                "right."),
        "</div><h2>Confusions</h2>",
        _figure(_matrix_svg(names, counts), "A row for each meaning, a column for what it was taken for. Only the "
                f"{_CELLS} that are confused most."),
        "<h2>Where it errs</h2><table>",
        "<tr><th>Words</th><th>Means</th><th>Taken for</th><th>Score</th><th>Where</th></tr>",
        *(
            f"<tr><td>{html.escape(row.text[:200])}</td><td>{html.escape(row.intent)}</td>"
            f"<td>{html.escape(row.found)}</td><td class=n>{row.score:.2f}</td><td>{html.escape(row.where)}</td></tr>"
            for row in sorted((row for row in rows if not row.is_right), key=lambda row: -row.score)[:_LISTED]
        ),
        "</table></body></html>",
    ]  # fmt: skip
    return "\n".join(parts)


def _figure(svg: str, words: str) -> str:
    return f"<figure>{svg}<figcaption>{html.escape(words)}</figcaption></figure>"


def _axes(label_x: str, label_y: str, inner: str) -> str:
    """A square with both scales from 0 to 1; `inner` is drawn in it, its corner at the lower left."""
    ticks = "".join(
        f"<text x={_LEFT + _SIDE * at / 5:.0f} y={_SIDE + 26} text-anchor=middle>{at * 20}%</text>"
        f"<text x={_LEFT - 6} y={_SIDE + 14 - _SIDE * at / 5:.0f} text-anchor=end>{at * 20}%</text>"
        f"<path d='M{_LEFT} {_SIDE + 10 - _SIDE * at / 5:.0f}h{_SIDE}' stroke='#e4e7ec'/>"
        for at in range(6)
    )
    return (
        f"<svg role=img width={_SIDE + 80} height={_SIDE + 50} viewBox='0 0 {_SIDE + 80} {_SIDE + 50}'>"
        f"<title>{html.escape(label_y)} by {html.escape(label_x)}</title>{ticks}{inner}"
        f"<text x={_LEFT + _SIDE / 2:.0f} y={_SIDE + 44} text-anchor=middle>{html.escape(label_x)}</text>"
        f"<text x=12 y={_SIDE / 2:.0f} text-anchor=middle transform='rotate(-90 12 {_SIDE / 2:.0f})'>"
        f"{html.escape(label_y)}</text></svg>"
    )


def _at(x: float, y: float) -> tuple[float, float]:
    return round(_LEFT + _SIDE * x, 1), round(10 + _SIDE * (1 - y), 1)


def _line(points: Sequence[tuple[float, float]]) -> str:
    drawn = " ".join(f"{x},{y}" for x, y in (_at(*point) for point in points))
    return f"<polyline points='{drawn}' fill=none stroke='#1f6feb' stroke-width=2 />"


def _calibration_svg(bins: Sequence[tuple[float, float, int]]) -> str:
    most = max((count for _, _, count in bins), default=1)
    dots = "".join(
        f"<circle cx={_at(score, right)[0]} cy={_at(score, right)[1]} r={3 + 9 * (count / most) ** 0.5:.1f} "
        f"fill='#1f6feb' fill-opacity=.7><title>{count} messages scored {score:.0%}: {right:.0%} right</title></circle>"
        for score, right, count in bins
    )
    (x1, y1), (x2, y2) = _at(0, 0), _at(1, 1)
    even = f"<line x1={x1} y1={y1} x2={x2} y2={y2} stroke='#98a2b3' stroke-dasharray='4 4'/>"
    return _axes("score", "share that is right", even + _line([(score, right) for score, right, _ in bins]) + dots)


def _rejection_svg(points: Sequence[tuple[float, float, float]]) -> str:
    dots = "".join(
        f"<circle cx={_at(share, right)[0]} cy={_at(share, right)[1]} r=3 fill='#1f6feb'>"
        f"<title>from a score of {least:.2f}: {share:.0%} answered, {right:.0%} of them right</title></circle>"
        for share, right, least in points
    )
    return _axes("share answered", "share of answers that is right", _line([(x, y) for x, y, _ in points]) + dots)


def _matrix_svg(names: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    cell, left = 20, 8 + 7 * max((len(name) for name in names), default=0)
    cells = []
    for row, line in enumerate(counts):
        total = max(sum(line), 1)
        for column, count in enumerate(line):
            colour = "#1a7f4b" if row == column else "#c01e2e"
            words = html.escape(f"{names[row]} taken for {names[column]}: {count}")
            if count:
                cells.append(
                    f"<rect x={left + column * cell} y={left + row * cell} width={cell - 1} height={cell - 1} "
                    f"fill='{colour}' fill-opacity={0.15 + 0.85 * count / total:.2f}><title>{words}</title></rect>"
                    f"<text x={left + column * cell + cell / 2 - 0.5} y={left + row * cell + 14} text-anchor=middle>"
                    f"{count}</text>"
                )
    labels = "".join(
        f"<text x={left - 6} y={left + at * cell + 14} text-anchor=end>{html.escape(name)}</text>"
        f"<text x={left + at * cell + 14} y={left - 6} transform='rotate(-90 {left + at * cell + 14} {left - 6})'>"
        f"{html.escape(name)}</text>"
        for at, name in enumerate(names)
    )
    side = left + len(names) * cell + 8
    return (
        f"<svg role=img width={side} height={side} viewBox='0 0 {side} {side}'><title>Confusion matrix</title>"
        f"{labels}{''.join(cells)}</svg>"
    )
