"""The engine that is always there: classifier and entity finder in this process, no network, no waiting.

In: any texts, the current time and the customers' zones. Out: an `Understanding` of each. It never raises for any text:
what cannot be understood comes back with a low score. One parse costs a fraction of a millisecond.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

import numpy as np

from bot.types import Language, ScoredIntent, Understanding
from nlu.compound import clauses_of, with_parts
from nlu.embedded.model import REJECTED_SHARE, Model
from nlu.embedded.nearest import Near, Neighbours
from nlu.entities import find_entities
from nlu.language import detect

NAME = "embedded"
REJECTED = 0.4  # what is given up scores below this; the cascade's minimum confidence, unless set otherwise
_NO_TRUST = 1e-9
Rankings = list[tuple[ScoredIntent, ...]]


class EmbeddedEngine:
    """Implements `bot.ports.NluEngine` over a trained model. Stateless besides it; safe to share between threads.

    `default_language` is reported (as not sure) for texts that do not tell; `top` limits the ranking; `splits` False
    leaves `parts` empty. `rejected_share` of what would be understood rightly is given up, so that more of what means
    none of the intents is noticed.
    """

    name = NAME

    def __init__(
        self,
        model: Model,
        *,
        default_language: Language = "zh",
        top: int = 10,
        splits: bool = True,
        rejected_share: float = REJECTED_SHARE,
    ) -> None:
        self.model = model
        self._default_language = default_language
        self._top = top
        self.splits = splits
        self._least_trust = max(model.reject_below(rejected_share), _NO_TRUST)
        self._neighbours: Neighbours | None = None

    async def parse(self, text: str, *, now: datetime, timezone: str) -> Understanding:
        return (await self.parse_many((text,), now=now, timezones=(timezone,)))[0]

    async def parse_many(self, texts: Sequence[str], *, now: datetime, timezones: Sequence[str]) -> list[Understanding]:
        """`parse` for each text in its timezone; together they cost half as much."""
        if self.model.encoder is not None:  # 10 ms and more for each text: others are served meanwhile
            return await asyncio.to_thread(self.understand_many, texts, now=now, timezones=timezones)
        return self.understand_many(texts, now=now, timezones=timezones)

    async def is_ready(self) -> bool:
        return True

    def understand(self, text: str, *, now: datetime, timezone: str = "Asia/Shanghai") -> Understanding:
        """`parse` without waiting. `now` is aware; an unknown `timezone` counts as UTC."""
        return self.understand_many((text,), now=now, timezones=(timezone,))[0]

    def understand_many(self, texts: Sequence[str], *, now: datetime, timezones: Sequence[str]) -> list[Understanding]:
        """`parse_many` without waiting. The time it took is divided evenly."""
        started = time.perf_counter()
        local = [now.astimezone(_zone(timezone)) for timezone in timezones]
        understood = list(map(self._read, local, texts, self.rank(texts)))
        if self.splits:
            self._split(understood, local)
        duration_ms = round((time.perf_counter() - started) * 1000 / max(len(texts), 1), 4)
        return [replace(whole, duration_ms=duration_ms) for whole in understood]

    def _split(self, understood: list[Understanding], local: Sequence[datetime]) -> None:
        """Those that may hold several requests are replaced by what their clauses make of them."""
        clauses = {place: found for place, whole in enumerate(understood) if (found := clauses_of(whole.text))}
        if not clauses:
            return
        rankings = iter(self.rank([text for found in clauses.values() for text, _ in found]))
        for place, found in clauses.items():
            ranked = list(itertools.islice(rankings, len(found)))
            read = functools.partial(self._read, local[place])
            understood[place] = with_parts(understood[place], found, ranked, read)

    def _read(self, local: datetime, text: str, intents: tuple[ScoredIntent, ...]) -> Understanding:
        """One text or clause and its ranking. `local` is the customer's time."""
        detected = detect(text, self._default_language)
        return Understanding(
            text=text,
            language=detected.language,
            language_is_sure=detected.is_sure,
            intents=intents,
            entities=find_entities(text, self.model.lexicon, now=local, language=detected.language),
            engine=NAME,
            model=self.model.version,
            written=detected.written,
        )

    def rank(self, texts: Sequence[str]) -> Rankings:
        """The likeliest intents of each text, best first; scores are calibrated probabilities.

        Those of a text that is not trusted are lowered together, the best to below REJECTED, the less trust the lower.
        """
        probabilities, trust = self.model.read(texts)
        best = np.argsort(-probabilities, axis=1, kind="stable")[:, : self._top]
        scores = np.take_along_axis(probabilities, best, axis=1).astype(np.float64)
        doubted = np.flatnonzero(trust < self._least_trust)
        if len(doubted):
            ceiling = REJECTED * trust[doubted] / self._least_trust
            scores[doubted] *= np.minimum(ceiling / scores[doubted, 0], 1.0)[:, None]
        scores = scores.round(6)
        name = self.model.manifest.intents.__getitem__
        return [
            tuple(map(ScoredIntent, map(name, intents), ranked))
            for intents, ranked in zip(best.tolist(), scores.tolist(), strict=True)
        ]

    def nearest(self, text: str, count: int = 3) -> tuple[Near, ...]:
        """Why: the training examples most like `text`. The first call takes longer, to read all examples."""
        if self._neighbours is None:
            model = self.model
            self._neighbours = Neighbours(model.taught, model.vocabulary, model.intents)
        return self._neighbours.of(text, count)


@functools.lru_cache(maxsize=64)
def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return UTC
