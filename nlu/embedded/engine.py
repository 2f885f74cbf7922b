"""The engine that is always there: classifier and entity finder in this process, no network, no waiting.

In: any text, the current time and the customer's zone. Out: an `Understanding`. It never raises for any text: what
cannot be understood comes back with a low score. One parse costs a fraction of a millisecond.
"""

from __future__ import annotations

import functools
import time
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

import numpy as np

from bot.types import Language, ScoredIntent, Understanding
from nlu.embedded.model import Model
from nlu.entities import find_entities
from nlu.language import detect

NAME = "embedded"


class EmbeddedEngine:
    """Implements `bot.ports.NluEngine` over a trained model. Stateless besides it; safe to share between threads.

    `default_language` is reported (as not sure) for texts that do not tell; `top` limits the ranking.
    """

    name = NAME

    def __init__(self, model: Model, *, default_language: Language = "zh", top: int = 10) -> None:
        self.model = model
        self._default_language = default_language
        self._top = top

    async def parse(self, text: str, *, now: datetime, timezone: str) -> Understanding:
        return self.understand(text, now=now, timezone=timezone)

    async def is_ready(self) -> bool:
        return True

    def understand(self, text: str, *, now: datetime, timezone: str = "Asia/Shanghai") -> Understanding:
        """`parse` without waiting. `now` is aware; an unknown `timezone` counts as UTC."""
        started = time.perf_counter()
        detected = detect(text, self._default_language)
        local = now.astimezone(_zone(timezone))
        entities = find_entities(text, self.model.lexicon, now=local, language=detected.language)
        return Understanding(
            text=text,
            language=detected.language,
            language_is_sure=detected.is_sure,
            intents=self.rank(text),
            entities=entities,
            engine=NAME,
            model=self.model.manifest.version,
            duration_ms=round((time.perf_counter() - started) * 1000, 4),
        )

    def rank(self, text: str) -> tuple[ScoredIntent, ...]:
        """The likeliest intents, best first; scores are calibrated probabilities."""
        probabilities = self.model.probabilities(text)
        names = self.model.manifest.intents
        order = np.argsort(-probabilities, kind="stable")[: self._top].tolist()
        scores = probabilities.tolist()
        return tuple(ScoredIntent(names[i], round(scores[i], 6)) for i in order)


@functools.lru_cache(maxsize=64)
def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return UTC
