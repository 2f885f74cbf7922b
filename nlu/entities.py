"""Finds values in the words: known phrases, patterns of the assistant, built-in recognisers, and phrases misspelt.

In: a text, the `Lexicon` of the trained model, and the customer's local time for relative dates. Out: `Entity`
values in text order, none overlapping another: the longest wins, then the more specific kind. What is less certain (a
quantity, a time, a slip) takes only what the others left. Nothing here raises for any text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime

from bot.types import Entity, Language
from nlu.amounts import find_amounts
from nlu.embedded.dates import find_dates
from nlu.identifiers import Found, find_identifiers
from nlu.language import fold
from nlu.lexicon import LOOKUP, PERSONAL, REGEX, Lexicon, find_misspelt, find_patterns, find_phrases
from nlu.quantities import find_quantities
from nlu.times import find_times

# Entities beyond this are not looked for: a message that long is a pasted document.
MAX_CHARS = 4000
_RECOGNISER = "recogniser"

# Among spans of equal length the first of these wins; whatever is not named comes in between.
_RANK = {"case_number": 0, "email": 1, "id_number": 2, "bank_card": 3, "phone": 4, "amount": 5, "date": 6}
_UNRANKED, _LAST = 7, {"order_number": 9}
LEFT_OVER = frozenset({"time", "quantity"})  # these never take a place from anything else


def find_entities(text: str, lexicon: Lexicon, *, now: datetime, language: Language) -> tuple[Entity, ...]:
    """The entities of `text` in text order, without overlaps, from its first 4,000 characters.

    `now` is the customer's local time: relative dates count from its date.
    """
    text = text[:MAX_CHARS]
    folded = fold(text)
    found = [*find_phrases(text, folded, lexicon), *find_patterns(text, lexicon)]
    if _WORTH_RECOGNISING.search(folded):
        recognised = list(recognise(text, folded, now=now, language=language))
        # Where both find the same kind of thing, the recogniser's value is the normalised one.
        spans = {(entity.name, entity.start, entity.end) for entity in recognised}
        found = [entity for entity in found if (entity.name, entity.start, entity.end) not in spans] + recognised
    if lexicon.rules:
        found = [replace(e, is_personal=True) if _is_personal(e, lexicon) else e for e in found]
    return without_overlaps(len(text), found, find_misspelt(text, folded, lexicon))


def _is_personal(entity: Entity, lexicon: Lexicon) -> bool:
    rule = lexicon.rules.get(entity.name)
    return rule is not None and rule.is_personal


# A digit, or a character or word without which there is no date, time, sum or quantity.
_WORTH_RECOGNISING = re.compile(
    r"[\d@点时刻钟天日周期月年前后元块角毛钱币金镑十百千万两三四五六七八九半]|礼拜|刚[才刚]|正午|午夜|一[升斤米吨公杯台]"
    r"|day|week|month|year|hour|minute|last|next|this|ago|morrow|tonight|\b(?:tue|wed|thu|fri)"
    r"|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|noon|midnight|now\b"
    r"|\b(?:at|to|past|half|a couple of|dozen)\b"
    r"|\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|hundred|thousand)\b"
    r"|teen\b|[nfrvxt]ty\b|clock"
)


def recognise(text: str, folded: str, *, now: datetime, language: Language) -> Iterator[Entity]:
    """What the built-in recognisers find, overlaps included. `folded` is `fold(text)`."""
    days = list(find_dates(folded, now.date(), language))
    for found in _recognised(folded):
        yield _entity(found, text)
    for start, end, day in days:
        yield _entity(Found("date", start, end, day.isoformat()), text)
    for start, end, moment in find_times(folded, days, now):
        yield _entity(Found("time", start, end, moment), text)


def _recognised(folded: str) -> Iterator[Found]:
    yield from find_identifiers(folded)
    for start, end, value in find_amounts(folded):
        yield Found("amount", start, end, value)
    for start, end, value in find_quantities(folded):
        yield Found("quantity", start, end, value)


def _entity(found: Found, text: str) -> Entity:
    name, start, end, value = found
    return Entity(name, value, text[start:end], start, end, 1.0, _RECOGNISER, name in PERSONAL)


def without_overlaps(length: int, found: list[Entity], doubtful: Iterable[Entity] = ()) -> tuple[Entity, ...]:
    """The entities that stay, in text order; of `doubtful` only what touches none of the others.

    One phrase may name two kinds of thing ("Riverside" a store and a town): same span, both stay.
    """
    taken = bytearray(length)
    kept: list[Entity] = []
    phrases: set[tuple[int, int]] = set()
    for entity in [*sorted(found, key=_precedence), *doubtful]:
        span = (entity.start, entity.end)
        if taken.find(1, *span) < 0:
            taken[entity.start : entity.end] = b"\1" * (entity.end - entity.start)
            kept.append(entity)
            if entity.extractor == LOOKUP:
                phrases.add(span)
        elif span in phrases and entity.extractor == LOOKUP:
            kept.append(entity)
    return tuple(sorted(kept, key=lambda e: (e.start, e.end, e.name)))


def _precedence(entity: Entity) -> tuple[bool, int, int, bool, int]:
    rank = _RANK.get(entity.name, _LAST.get(entity.name, _UNRANKED))
    return (
        entity.name in LEFT_OVER,
        entity.start - entity.end,
        rank,
        entity.extractor != REGEX,
        entity.start,
    )
