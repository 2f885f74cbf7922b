"""Engines in order: the first that answers and is sure; otherwise the best of what came.

In: any text. Out: always an `Understanding`; its `engine` says who understood and its `note` why the ones before did
not. Nothing is raised: when no engine answers, `engine` is "none" and there are no intents.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

import structlog

from bot.errors import ServiceError
from bot.ports import NluEngine
from bot.types import Entity, Understanding
from config.settings import NluSettings
from nlu.compound import CompoundEngine
from nlu.entities import LEFT_OVER, find_entities
from nlu.language import detect
from nlu.lexicon import PERSONAL, Lexicon
from nlu.rasa import RasaEngine, without_overlaps

log = structlog.get_logger(__name__)

_NOTHING_LEARNT = Lexicon()


@dataclass(frozen=True, slots=True)
class Rung:
    """One engine of a cascade and how long it may take; None for an engine that never waits for anybody."""

    engine: NluEngine
    limit_s: float | None = None
    close: Callable[[], Awaitable[None]] | None = None


class Cascade:
    """Asks its engines in order.

    An answer whose best intent reaches `minimum_confidence` ends the search. When all are unsure, the answer with
    the highest confidence wins, the earlier engine on a tie: their scales differ, but below the minimum neither is
    acted upon without asking the customer.
    """

    name = "cascade"
    splits = True  # its engines have done it, each within its time limit

    def __init__(self, rungs: Sequence[Rung], *, minimum_confidence: float) -> None:
        self._rungs = tuple(rungs)
        self._minimum = minimum_confidence

    async def parse(self, text: str, *, now: datetime, timezone: str) -> Understanding:
        """Never raises."""
        started = time.monotonic()
        best: Understanding | None = None
        reasons: list[str] = []
        for rung in self._rungs:
            answer = await _ask(rung, text, now, timezone)
            if isinstance(answer, str):
                reasons.append(answer)
                continue
            if best is None or answer.intent.confidence > best.intent.confidence:
                best = answer
            if answer.intent.confidence >= self._minimum:
                break
            reasons.append(f"{rung.engine.name} unsure ({answer.intent.confidence:.2f})")
        elapsed_ms = (time.monotonic() - started) * 1000
        if best is None:
            return replace(_nothing(text), note="; ".join(reasons), duration_ms=elapsed_ms)
        return replace(best, note="; ".join(filter(None, [best.note, *reasons])), duration_ms=elapsed_ms)

    async def is_ready(self) -> bool:
        """At least one engine can answer."""
        for rung in self._rungs:
            if await rung.engine.is_ready():
                return True
        return False

    async def close(self) -> None:
        """Connections of the engines are closed."""
        for rung in self._rungs:
            if rung.close is not None:
                await rung.close()


async def _ask(rung: Rung, text: str, now: datetime, timezone: str) -> Understanding | str:
    """The engine's answer, or why there is none."""
    try:
        async with asyncio.timeout(rung.limit_s):
            return await rung.engine.parse(text, now=now, timezone=timezone)
    except TimeoutError:
        return f"{rung.engine.name} timed out after {rung.limit_s:g} s"
    except ServiceError as failure:
        return f"{failure.service} {failure.reason}".strip()
    except Exception as exc:  # noqa: BLE001 - a fault in one engine must not leave the customer without an answer
        log.error("nlu_engine_broke", engine=rung.engine.name, error=type(exc).__name__)
        return f"{rung.engine.name} broke ({type(exc).__name__})"


class Recognising:
    """An engine with our recognisers beside it: flows get the same phone, date, amount and numbers from any engine.

    Their values are normalised (+86…, 2026-11-03), so where both found something the recogniser's finding stays.
    """

    def __init__(self, engine: NluEngine) -> None:
        self._engine = engine
        self.name = engine.name

    async def parse(self, text: str, *, now: datetime, timezone: str) -> Understanding:
        """Raises what the engine raises."""
        answer = await self._engine.parse(text, now=now, timezone=timezone)
        local = now.astimezone(_zone(timezone))
        recognised = find_entities(text, _NOTHING_LEARNT, now=local, language=answer.language)
        return replace(answer, entities=with_recognised(answer.entities, recognised))

    async def is_ready(self) -> bool:
        return await self._engine.is_ready()


def with_recognised(found: Sequence[Entity], recognised: Sequence[Entity]) -> tuple[Entity, ...]:
    """Both in text order, without what `found` says about the same stretch of text; times and quantities give way."""
    sure = [entity for entity in recognised if entity.name not in LEFT_OVER]
    others = [replace(e, is_personal=e.name in PERSONAL) for e in found if not _touches(e, sure)]
    left = [entity for entity in recognised if entity.name in LEFT_OVER and not _touches(entity, others)]
    return without_overlaps([*sure, *left, *others])


def _touches(entity: Entity, others: Sequence[Entity]) -> bool:
    return any(entity.start < other.end and other.start < entity.end for other in others)


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return UTC


def _nothing(text: str) -> Understanding:
    language = detect(text)
    return Understanding(
        text=text,
        language=language.language,
        language_is_sure=language.is_sure,
        intents=(),
        entities=(),
        engine="none",
        written=language.written,
    )


def build_engine(settings: NluSettings, embedded: NluEngine, intents: Collection[str] = ()) -> NluEngine:
    """The engine the settings name: `embedded` itself when nothing else is named, otherwise a `Cascade`.

    `intents`: those of the assistant; a Rasa server that answers with others is not believed.

    Raises: Misconfigured for an address of Rasa that cannot be one.
    """
    if settings.engine == ("embedded",):
        return embedded
    rungs = [Rung(embedded) if name == "embedded" else _rasa_rung(settings, intents) for name in settings.engine]
    return Cascade(rungs, minimum_confidence=settings.minimum_confidence)


def _rasa_rung(settings: NluSettings, intents: Collection[str]) -> Rung:
    """One limit for the whole message, also when it is read in clauses."""
    rasa = RasaEngine(settings.rasa_url, token=settings.rasa_token, timeout_s=settings.rasa_timeout_s, intents=intents)
    return Rung(CompoundEngine(Recognising(rasa)), limit_s=settings.rasa_timeout_s, close=rasa.close)
