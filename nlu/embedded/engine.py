"""The engine that is always there: classifier and entity finder in this process, no network, no waiting.

In: any text, the current time and the customer's zone. Out: an `Understanding`. It never raises for any text: what
cannot be understood comes back with a low score. One parse costs a fraction of a millisecond.
"""

from __future__ import annotations

import functools
import time
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

import numpy as np

from bot.types import Language, ScoredIntent, Understanding
from nlu.compound import with_parts
from nlu.embedded.model import Model
from nlu.entities import find_entities
from nlu.language import detect

NAME = "embedded"


class EmbeddedEngine:
    """Implements `bot.ports.NluEngine` over a trained model. Stateless besides it; safe to share between threads.

    `default_language` is reported (as not sure) for texts that do not tell; `top` limits the ranking; `splits` False
    leaves `parts` empty.
    """

    name = NAME

    def __init__(self, model: Model, *, default_language: Language = "zh", top: int = 10, splits: bool = True) -> None:
        self.model = model
        self._default_language = default_language
        self._top = top
        self.splits = splits

    async def parse(self, text: str, *, now: datetime, timezone: str) -> Understanding:
        return self.understand(text, now=now, timezone=timezone)

    async def is_ready(self) -> bool:
        return True

    def understand(self, text: str, *, now: datetime, timezone: str = "Asia/Shanghai") -> Understanding:
        """`parse` without waiting. `now` is aware; an unknown `timezone` counts as UTC."""
        started = time.perf_counter()
        local = now.astimezone(_zone(timezone))
        whole = self._read(text, local)
        if self.splits:
            whole = with_parts(whole, self.rank, lambda clause: self._read(clause, local))
        return replace(whole, duration_ms=round((time.perf_counter() - started) * 1000, 4))

    def _read(self, text: str, local: datetime) -> Understanding:
        """One text or clause. `local` is the customer's time."""
        detected = detect(text, self._default_language)
        return Understanding(
            text=text,
            language=detected.language,
            language_is_sure=detected.is_sure,
            intents=self.rank(text),
            entities=find_entities(text, self.model.lexicon, now=local, language=detected.language),
            engine=NAME,
            model=self.model.version,
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
