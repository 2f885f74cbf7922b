"""What is wrong with training examples: conflicts, duplicates, loners, confusable intents, broken annotations.

In: examples with file and line. Out: findings, each with the place to look at. Shared by `frontdesk nlu lint` and
`frontdesk assistant check`. Nothing is trained: sentences are compared by their characters (nlu/alike.py).
"""

from __future__ import annotations

import re
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bot.errors import AssistantInvalid
from nlu.alike import Kin, nearest_kin, normalised, pairs_alike
from nlu.lexicon import IGNORED, RECOGNISED
from nlu.training_data import Example, TrainingData, load_training_data

Level = Literal["error", "warning", "note"]
ALIKE = 0.86  # cosine of characters from which two examples count as near-duplicates
LONELY, NEAR = 0.1, 0.4  # an example less than that like its own intent, and more than that like another one
ALONE, CLOSE = 0.02, 0.15  # an example like no other at all, in an intent whose middle one is that like the rest
CONFUSABLE_SHARE, CONFUSABLE_LEAST = 0.25, 3  # of an intent's examples, that are most like those of one other intent
MAX_PAIRS = 200  # findings of one kind at most: the first ones tell enough
MOST_COMPARED = 20_000  # examples; comparing each with each of a hundred thousand takes an hour
_SHOWN = 40
_LOOKS_ANNOTATED = re.compile(r"\[[^\[\]]+\]\s+[({]\s*\w|\[[^\[\]]+\](?![({])")
_ORDER: dict[Level, int] = {"error": 0, "warning": 1, "note": 2}


@dataclass(frozen=True, slots=True)
class Finding:
    """`level` error: it cannot serve; warning: it serves worse than it could; note: perhaps meant."""

    level: Level
    where: str  # file:line, or the name of the intent, response or slot
    message: str


def lint(path: Path) -> list[Finding]:
    """Everything worth saying about the training data at `path`, errors first.

    What cannot be read is an error with file and line, and does not hide the rest.
    """
    broken: list[AssistantInvalid] = []
    try:
        data = load_training_data(path, broken=broken)
    except AssistantInvalid as invalid:
        broken.append(invalid)
        data = TrainingData(())
    findings = [Finding("error", _place(invalid), invalid.reason) for invalid in broken]
    return in_order([*findings, *lint_examples(data.examples), *annotation_findings(data)])


def lint_examples(examples: Sequence[Example]) -> Iterator[Finding]:
    """Conflicts, duplicates, near-duplicates, lonely examples and confusable intents."""
    known = [example for example in examples if normalised(example.text)]
    yield from conflicts(known)
    yield from near_duplicates(known, with_conflicts=False)
    unique = list({(example.intent, normalised(example.text)): example for example in reversed(known)}.values())
    unique.reverse()
    if len(unique) > len(compared := spread(unique)):
        said = f"{len(compared)} of {len(unique)} examples, evenly spread, are compared with each other"
        yield Finding("note", compared[0].file, said)
    unique = list(compared)
    kin = nearest_kin([normalised(example.text) for example in unique], [example.intent for example in unique])
    yield from lonely(unique, kin)
    yield from confusable(unique, kin)


def spread(examples: Sequence[Example]) -> Sequence[Example]:
    """All; of too many to compare each with each every second, third, fourth … one."""
    return examples[:: -(-len(examples) // MOST_COMPARED) or 1]


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """Errors first, then warnings, then notes."""
    return sorted(findings, key=lambda finding: _ORDER[finding.level])


def _place(invalid: AssistantInvalid) -> str:
    return f"{invalid.file}:{invalid.line}" if invalid.line else invalid.file


def _quoted(example: Example) -> str:
    return repr(example.text[:_SHOWN])


# --- examples of two intents, or twice -----------------------------------------------------------------------------


def conflicts(examples: Iterable[Example]) -> Iterator[Finding]:
    """The same words as examples of different intents: whatever is learnt from one is unlearnt by the other."""
    first: dict[str, dict[str, Example]] = defaultdict(dict)
    for example in examples:
        intents = first[normalised(example.text)]
        for intent, other in intents.items():
            if intent != example.intent:
                said = f"{_quoted(example)} is an example of {example.intent} and of {intent} ({other.where})"
                yield Finding("error", example.where, said)
        intents.setdefault(example.intent, example)


def near_duplicates(examples: Iterable[Example], *, with_conflicts: bool = True) -> Iterator[Finding]:
    """Examples of different intents that say almost the same; the same words twice in one intent are a note.

    `with_conflicts` False leaves out those that say exactly the same.
    """
    first: dict[tuple[str, str], Example] = {}
    for example in examples:
        if not (words := normalised(example.text)):
            continue
        same = first.setdefault((example.intent, words), example)
        if same is not example:
            yield Finding("note", example.where, f"{_quoted(example)} is already at {same.where}")
    unique = spread(list(first.values()))
    texts = [normalised(example.text) for example in unique]
    pairs = [
        pair
        for pair in pairs_alike(texts, ALIKE)
        if unique[pair[1]].intent != unique[pair[2]].intent and (with_conflicts or texts[pair[1]] != texts[pair[2]])
    ]
    for score, left, right in sorted(pairs, reverse=True)[:MAX_PAIRS]:
        one, other = unique[left], unique[right]
        likeness = f"is {score:.0%} like {_quoted(other)} ({other.intent}, {other.where})"
        yield Finding("warning", one.where, f"{_quoted(one)} ({one.intent}) {likeness}")


# --- loners and confusable intents ---------------------------------------------------------------------------------


def lonely(examples: Sequence[Example], kin: Kin) -> Iterator[Finding]:
    """Examples like no other of their intent: a typing error, the wrong intent, or a meaning that needs more."""
    counts = Counter(example.intent for example in examples)
    for intent, count in counts.items():
        if count == 1:
            only = next(example for example in examples if example.intent == intent)
            yield Finding("warning", only.where, f"{_quoted(only)} is the only example of {intent}")
    scores: dict[str, list[float]] = defaultdict(list)
    for example, score in zip(examples, kin.own_score.tolist(), strict=True):
        scores[example.intent].append(score)
    usual = {intent: statistics.median(found) for intent, found in scores.items()}
    found = [place for place, example in enumerate(examples) if counts[example.intent] > 1]
    for place in sorted(found, key=lambda place: float(kin.own_score[place] - kin.other_score[place]))[:MAX_PAIRS]:
        example, own, nearest = examples[place], kin.own_score[place], int(kin.other[place])
        said = f"{_quoted(example)} is like no other example of {example.intent}"
        if own < LONELY and kin.other_score[place] > NEAR:
            other = examples[nearest]
            yield Finding("warning", example.where, f"{said}; it is nearest to {other.intent} ({other.where})")
        elif own < ALONE and usual[example.intent] > CLOSE:
            yield Finding("note", example.where, said)


def confusable(examples: Sequence[Example], kin: Kin) -> Iterator[Finding]:
    """Intents of which many examples are more like those of one other intent than like any of their own."""
    counts = Counter(example.intent for example in examples)
    astray: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place, example in enumerate(examples):
        nearest = int(kin.other[place])
        if nearest >= 0 and kin.other_score[place] > kin.own_score[place]:
            astray[example.intent, examples[nearest].intent].append(place)
    for (intent, other), places in sorted(astray.items(), key=lambda item: (-len(item[1]), item[0])):
        if len(places) < max(CONFUSABLE_LEAST, CONFUSABLE_SHARE * counts[intent]):
            continue
        surest = max(places, key=lambda place: float(kin.other_score[place] - kin.own_score[place]))
        there = examples[int(kin.other[surest])]
        said = f"{len(places)} of {counts[intent]} examples of {intent} are most like one of {other}, such as "
        yield Finding("warning", examples[surest].where, f"{said}{_quoted(examples[surest])} ({there.where})")


# --- annotations ---------------------------------------------------------------------------------------------------


def annotation_findings(data: TrainingData) -> Iterator[Finding]:
    """Entities marked in a way that teaches something wrong: blanks inside, two names for a phrase, left unmarked."""
    names: dict[str, dict[str, Example]] = defaultdict(dict)
    for example in data.examples:
        if _LOOKS_ANNOTATED.search(example.text):
            yield Finding("warning", example.where, f"{_quoted(example)} has brackets that mark no entity")
        for marked in example.entities:
            phrase = example.text[marked.start : marked.end]
            if phrase != phrase.strip():
                yield Finding(
                    "warning", example.where, f"{phrase!r} ({marked.name}) is marked with the blanks around it"
                )
            if not phrase.strip():
                yield Finding("error", example.where, f"{marked.name} marks nothing")
            names[phrase.strip().casefold()].setdefault(marked.name, example)
    for phrase, places in sorted(names.items()):
        if len(places) > 1 and phrase:
            where = ", ".join(f"{name} at {example.where}" for name, example in places.items())
            last = list(places.values())[-1]
            yield Finding("note", last.where, f"{phrase!r} is marked as {where}")
    yield from _unmarked(data, {phrase: places for phrase, places in names.items() if len(places) == 1 and phrase})


def _unmarked(data: TrainingData, names: dict[str, dict[str, Example]]) -> Iterator[Finding]:
    """Phrases marked in one example and left unmarked in another. Lookups and recognisers find theirs by themselves."""
    found_anyway = {phrase.casefold() for lookup in data.lookups for phrase in lookup.phrases}
    found_anyway |= {text.casefold() for text in data.synonyms}
    wanted = {
        phrase: (name, example)
        for phrase, places in names.items()
        for name, example in places.items()
        if phrase not in found_anyway and name not in RECOGNISED | IGNORED and len(phrase) > 1 and not phrase.isdigit()
    }
    if not wanted:
        return
    spelt = [
        rf"(?<![a-z]){re.escape(phrase)}(?![a-z])" if phrase.isascii() else re.escape(phrase)
        for phrase in sorted(wanted, key=len, reverse=True)
    ]
    pattern, count = re.compile("|".join(spelt)), 0
    for example in data.examples:
        for match in pattern.finditer(example.text.casefold()):
            is_marked = any(marked.start < match.end() and match.start() < marked.end for marked in example.entities)
            if not is_marked and count < MAX_PAIRS:
                name, other = wanted[match.group()]
                count += 1
                said = f"{match.group()!r} is marked as {name} at {other.where}, but not here"
                yield Finding("note", example.where, said)
