"""A candidate beside the model that serves, on messages that were really written: what gets better, what gets worse.

In: two models and messages, some with their true meaning. Out: a JSON-ready comparison that names messages by their
number and holds none of their words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bot.types import ScoredIntent
from nlu.embedded.engine import EmbeddedEngine
from nlu.embedded.model import Model

KEPT: Final = 500  # messages named in a comparison, those that matter most first
_CHUNK: Final = 200
# worse and better: known by their true meaning. changed, clearer, less_clear: nobody has said what they mean.
VERDICTS: Final = ("worse", "better", "changed", "less_clear", "clearer")


@dataclass(frozen=True, slots=True)
class Heard:
    """A message. `truth`: what it means, "" where nobody has said; `is_learnt`: the candidate was trained on it.

    `acted_on`: what the bot took it for when it came, and by which engine.
    """

    id: int
    text: str
    truth: str = ""
    is_learnt: bool = False
    acted_on: str = ""
    engine: str = ""


def compare(
    baseline: Model,
    candidate: Model,
    heard: Sequence[Heard],
    *,
    accept: float,
    progress: Callable[[float], None] = lambda share: None,
) -> dict[str, Any]:
    """How the two differ. `accept`: the score from which the bot acts on a meaning; below it, it asks.

    `right`: of the messages whose meaning is known and which the candidate was not trained on, those understood rightly
    and acted upon, before and after. `disagreeing`: messages that the model sees otherwise than another engine did.
    """
    rows: list[dict[str, Any]] = []
    disagreeing: list[int] = []
    counts: Counter[str] = Counter()
    known = right_before = right_after = 0
    old, new = EmbeddedEngine(baseline, splits=False), EmbeddedEngine(candidate, splits=False)
    for start in range(0, len(heard), _CHUNK):
        part = heard[start : start + _CHUNK]
        texts = [each.text for each in part]
        for each, before, after in zip(part, old.rank(texts), new.rank(texts), strict=True):
            was, now = before[0], after[0]
            if each.engine not in ("", "embedded", "none") and each.acted_on and each.acted_on != was.name:
                disagreeing.append(each.id)
            if each.truth and not each.is_learnt:
                known += 1
                right_before += was.name == each.truth and was.confidence >= accept
                right_after += now.name == each.truth and now.confidence >= accept
            verdict = verdict_on(was, now, truth=each.truth, accept=accept)
            counts[verdict or "same"] += 1
            if verdict:
                rows.append(
                    {
                        "id": each.id,
                        "verdict": verdict,
                        "before": [was.name, round(was.confidence, 4)],
                        "after": [now.name, round(now.confidence, 4)],
                        "truth": each.truth,
                        "learnt": each.is_learnt,
                    }
                )
        progress(min(start + _CHUNK, len(heard)) / max(len(heard), 1))
    rows.sort(key=lambda row: (row["learnt"], VERDICTS.index(row["verdict"]), -row["id"]))
    return {
        "looked_at": len(heard),
        "counts": {name: counts[name] for name in ("same", *VERDICTS)},
        "known": known,
        "right_before": right_before,
        "right_after": right_after,
        "rows": rows[:KEPT],
        "disagreeing": disagreeing[:KEPT],
    }


def verdict_on(was: ScoredIntent, now: ScoredIntent, *, truth: str, accept: float) -> str:
    """One of VERDICTS; "" where nothing changes for the customer."""
    did, does = was.name if was.confidence >= accept else "", now.name if now.confidence >= accept else ""
    if did == does:
        return ""
    if truth:
        gained = (does == truth) - (did == truth)
        # Asking back is not right, but better than acting on a wrong meaning.
        gained = gained or (not does) - (not did)
        return "better" if gained > 0 else "worse" if gained < 0 else "changed"
    return "clearer" if not did else "less_clear" if not does else "changed"
