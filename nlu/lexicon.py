"""What a model knows of an assistant's own words: phrases, patterns, synonyms, check digits, and what is personal.

In: training data, or what was stored of it. Out: a `Lexicon`, and the entities it finds in a text, overlaps included.
Nothing is raised for any text.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bot.errors import AssistantInvalid
from bot.types import Entity
from nlu.check_digits import METHODS
from nlu.entity_rules import EntityRule
from nlu.identifiers import normal_order_number
from nlu.language import fold
from nlu.training_data import TrainingData
from nlu.typos import Typos

LOOKUP, REGEX, TYPO = "lookup", "regex", "typo"
_SURE_OF_TYPO = 0.8
# What the built-in recognisers find: annotated numbers, dates and the like teach nothing as phrases.
RECOGNISED = frozenset(
    {
        "case_number", "email", "phone", "bank_card", "id_number", "plate", "amount", "date", "time", "quantity",
        "order_number",
    }
)  # fmt: skip
# Of those, the ones that name a person or what is theirs. `entity_rules` adds an assistant's own.
PERSONAL = frozenset({"email", "phone", "bank_card", "id_number", "plate"})
# Rasa assistants guess the language from frequent words with an entity of this name; Understanding.language says it.
IGNORED = frozenset({"language"})
_LATIN_WORD = re.compile(r"[a-z][a-z']+")


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Known phrases and patterns. `phrases`: folded phrase -> (entity, value); `synonyms`: folded text -> value.

    `lengths`: first two characters (or the only one) -> lengths of the phrases that begin so, longest first. `starts`
    finds the places where a phrase may begin.
    """

    phrases: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    synonyms: Mapping[str, str] = field(default_factory=dict)
    patterns: tuple[tuple[str, re.Pattern[str]], ...] = ()
    rules: Mapping[str, EntityRule] = field(default_factory=dict)
    lengths: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    starts: re.Pattern[str] | None = None
    typos: Typos = field(default_factory=Typos)

    def to_json(self) -> dict[str, Any]:
        return {
            "phrases": {phrase: list(map(list, known)) for phrase, known in sorted(self.phrases.items())},
            "synonyms": dict(sorted(self.synonyms.items())),
            "patterns": [[entity, pattern.pattern] for entity, pattern in self.patterns],
            "rules": {entity: [rule.check_digit, rule.is_personal] for entity, rule in sorted(self.rules.items())},
            "words": sorted(self.typos.words),
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Lexicon:
        """Raises: KeyError, TypeError or ValueError for anything `to_json` did not write."""
        phrases = {p: tuple((str(e), str(v)) for e, v in known) for p, known in stored["phrases"].items()}
        rules = {str(e): EntityRule(str(digit), bool(own)) for e, (digit, own) in stored.get("rules", {}).items()}
        patterns = [(str(e), str(p)) for e, p in stored["patterns"]]
        words = [str(word) for word in stored.get("words", ())]
        return cls.of(phrases, dict(stored["synonyms"]), patterns, rules=rules, words=words)

    @classmethod
    def of(
        cls,
        phrases: Mapping[str, tuple[tuple[str, str], ...]],
        synonyms: Mapping[str, str],
        patterns: Iterable[tuple[str, str]],
        *,
        rules: Mapping[str, EntityRule] | None = None,
        words: Collection[str] = (),
    ) -> Lexicon:
        """`words`: correct words that look like a slip of a phrase and are none.

        Raises: AssistantInvalid for a pattern that is not a regular expression.
        """
        compiled = []
        for entity, pattern in patterns:
            try:
                compiled.append((entity, re.compile(pattern, re.IGNORECASE)))
            except re.error as exc:
                raise AssistantInvalid(f"regex of entity `{entity}` cannot be read: {exc}") from exc
        lengths: dict[str, set[int]] = {}
        for phrase in phrases:
            lengths.setdefault(phrase[:2], set()).add(len(phrase))
        by_first = {first: tuple(sorted(sizes, reverse=True)) for first, sizes in lengths.items()}
        typos = Typos.of(phrases, words)
        return cls(phrases, synonyms, tuple(compiled), rules or {}, by_first, _starts(by_first), typos)


def _starts(prefixes: Iterable[str]) -> re.Pattern[str] | None:
    """Finds where one of the prefixes stands, within a word only those that are not Latin; None for no prefixes."""
    following: dict[str, set[str]] = {}
    for prefix in prefixes:
        following.setdefault(prefix[0], set()).add(prefix[1:])
    ways: dict[bool, list[str]] = {True: [], False: []}
    for first, seconds in sorted(following.items()):
        after = "" if "" in seconds else f"[{''.join(map(re.escape, sorted(seconds)))}]"
        ways[first.isascii() and first.isalnum()].append(re.escape(first) + after)
    latin, other = ("|".join(ways[is_latin]) for is_latin in (True, False))
    places = [rf"(?<![a-z0-9])(?:{latin})"] * bool(latin) + [other] * bool(other)
    return re.compile(f"(?={'|'.join(places)})") if places else None


def build_lexicon(data: TrainingData) -> Lexicon:
    """Phrases from lookups and annotations, values from synonyms, patterns from regexes.

    Annotated numbers, dates and the like teach nothing as phrases: they are left to the recognisers.
    """
    synonyms = {fold(text).strip(): value for text, value in data.synonyms.items()}
    known: dict[str, dict[str, str]] = {}

    def learn(entity: str, phrase: str, value: str) -> None:
        folded = fold(phrase).strip()
        if folded and entity not in IGNORED:
            known.setdefault(folded, {}).setdefault(entity, synonyms.get(folded, value))

    for lookup in data.lookups:
        for phrase in lookup.phrases:
            learn(lookup.entity, phrase, phrase)
    looked_up = {lookup.entity for lookup in data.lookups}
    for example in data.examples:
        for marked in example.entities:
            phrase = example.text[marked.start : marked.end]
            if marked.name in RECOGNISED - looked_up or any(char.isdigit() for char in phrase):
                continue
            learn(marked.name, phrase, marked.value)
    # A synonym's own value, and its other spellings, are phrases of whichever entity has one of them.
    by_value: dict[str, set[str]] = {}
    for entities in known.values():
        for entity, value in entities.items():
            by_value.setdefault(value, set()).add(entity)
    for text, value in data.synonyms.items():
        for entity in sorted(by_value.get(value, ())):
            learn(entity, text, value)
            learn(entity, value, value)
    phrases = {phrase: tuple(sorted(entities.items())) for phrase, entities in sorted(known.items())}
    patterns = [(regex.entity, regex.pattern) for regex in data.regexes if regex.entity not in IGNORED]
    return Lexicon.of(phrases, synonyms, patterns, rules=data.entity_rules, words=_like_slips(data, phrases))


def _like_slips(data: TrainingData, phrases: Mapping[str, object]) -> list[str]:
    """Words of the examples that would be taken for a slip of a known phrase: customers mean them as they are."""
    typos = Typos.of(phrases)
    said = {word for example in data.examples for word in _LATIN_WORD.findall(fold(example.text))}
    return sorted(word for word in said if word not in phrases and typos.meant_by(word))


def find_phrases(text: str, folded: str, lexicon: Lexicon) -> Iterator[Entity]:
    """Known phrases, longest first, not inside each other; Latin ones only as whole words."""
    if lexicon.starts is None:
        return
    lengths, phrases, free = lexicon.lengths, lexicon.phrases, 0
    for start in lexicon.starts.finditer(folded):
        position = start.start()
        if position < free:
            continue
        for length in (*lengths.get(folded[position : position + 2], ()), *lengths.get(folded[position], ())):
            end = position + length
            phrase = folded[position:end]
            if phrase not in phrases or end > len(folded):
                continue
            # "kettles" is a kettle: a plural of a known Latin phrase
            if not _is_whole(folded, position, end):
                end += 1
                if folded[end - 1 : end] != "s" or not _is_whole(folded, position, end):
                    continue
            for entity, value in phrases[phrase]:
                yield _entity(entity, value, text, (position, end), LOOKUP)
            free = end
            break


def _is_whole(folded: str, start: int, end: int) -> bool:
    """No Latin letter or digit goes on beyond either end of a phrase that begins or ends with one."""
    before = folded[start - 1] if start else " "
    after = folded[end] if end < len(folded) else " "
    return not (_is_latin(before) and _is_latin(folded[start])) and not (
        _is_latin(after) and _is_latin(folded[end - 1])
    )


def _is_latin(char: str) -> bool:
    return char.isalnum() and not "\u3040" <= char <= "\u9fff"


def find_patterns(text: str, lexicon: Lexicon) -> Iterator[Entity]:
    """What the assistant's patterns match, as far as the check digit is right where one is asked for."""
    for entity, pattern in lexicon.patterns:
        rule = lexicon.rules.get(entity)
        for match in pattern.finditer(text):
            start, end = match.span()
            if start == end or (rule and rule.check_digit and not METHODS[rule.check_digit](fold(match.group()))):
                continue
            value = lexicon.synonyms.get(fold(match.group()), match.group())
            if entity == "order_number":
                value = normal_order_number(fold(value)) or value
            yield _entity(entity, value, text, (start, end), REGEX)


def find_misspelt(text: str, folded: str, lexicon: Lexicon) -> Iterator[Entity]:
    """Known phrases with a slip in them, as far as it is plain what was meant."""
    for start, end, meant in lexicon.typos.find(folded):
        known = {lexicon.phrases[phrase] for phrase in meant}
        if len(known) == 1:
            for entity, value in known.pop():
                yield _entity(entity, value, text, (start, end), TYPO)


def _entity(name: str, value: str, text: str, span: tuple[int, int], extractor: str) -> Entity:
    start, end = span
    confidence = _SURE_OF_TYPO if extractor == TYPO else 1.0
    return Entity(name, value, text[start:end], start, end, confidence, extractor, name in PERSONAL)
