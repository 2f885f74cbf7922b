"""Conditions in flows: a small, closed expression language, parsed once and evaluated without `eval`.

    slots.order_number is null          slots.wish = "refund"          slots.severity >= 3
    slots.store in ["old_town"]         slots.phone matches "^\\+86"   not (slots.since > context.today) and true

Operators, loosest first: `or`, `and`, `not`, then one comparison (`=`, `==`, `is`, `!=`, `is not`, `<`, `<=`, `>`,
`>=`, `in`, `not in`, `matches`, `contains`). Names start with `slots.` or `context.`; an unset one is null. Comparing
values of different kinds is false, never an error. Patterns are compiled when the condition is parsed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

MAX_LENGTH = 500  # characters of one condition
MAX_DEPTH = 20  # nesting of brackets and `not`
MATCH_LIMIT = 1000  # characters of a value a pattern looks at

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    | (?P<number>-?\d+(?:\.\d+)?)
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)?)
    | (?P<operator><=|>=|!=|==|=|<|>)
    | (?P<mark>[()\[\],])
    )""",
    re.VERBOSE,
)
_WORDS = {"and", "or", "not", "is", "in", "matches", "contains", "null", "none", "true", "false"}
_LITERALS: dict[str, Any] = {"null": None, "none": None, "true": True, "false": False}

Values = Mapping[str, Mapping[str, Any]]  # namespace -> name -> value
_Term = Callable[[Values], Any]


class ConditionInvalid(ValueError):
    """The text is no condition; the message says why."""


@dataclass(frozen=True)
class Condition:
    """A parsed condition. `names` are the `slots.x` it reads, without the prefix."""

    source: str
    names: frozenset[str]
    _holds: _Term

    def holds(self, values: Values) -> bool:
        """True or false for these values; never raises."""
        return bool(self._holds(values))


def parse(source: str) -> Condition:
    """The condition this text says. Raises: ConditionInvalid."""
    if len(source) > MAX_LENGTH:
        raise ConditionInvalid(f"a condition may have {MAX_LENGTH} characters")
    parser = _Parser(_tokens(source))
    holds = parser.either(0)
    parser.expect_end()
    return Condition(source, frozenset(parser.slots), holds)


def _tokens(source: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    at = 0
    while source[at:].strip():
        match = _TOKEN.match(source, at)
        if match is None:
            raise ConditionInvalid(f"unexpected {source[at:].strip()[:10]!r}")
        kind = match.lastgroup or ""
        word = match.group(kind)
        if kind == "name" and word.lower() in _WORDS:
            kind, word = "word", word.lower()
        found.append((kind, word))
        at = match.end()
    return found


class _Parser:
    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self.tokens = tokens
        self.at = 0
        self.slots: set[str] = set()

    def peek(self) -> tuple[str, str]:
        return self.tokens[self.at] if self.at < len(self.tokens) else ("end", "the end")

    def take(self, *words: str) -> bool:
        """Move past the next tokens when they are exactly these."""
        ahead = self.tokens[self.at : self.at + len(words)]
        if [word for kind, word in ahead if kind != "string"] != list(words):
            return False
        self.at += len(words)
        return True

    def expect_end(self) -> None:
        if self.at < len(self.tokens):
            raise ConditionInvalid(f"unexpected {self.peek()[1]!r}")

    def either(self, depth: int) -> _Term:
        terms = [self.both(depth)]
        while self.take("or"):
            terms.append(self.both(depth))
        return terms[0] if len(terms) == 1 else lambda values: any(term(values) for term in terms)

    def both(self, depth: int) -> _Term:
        terms = [self.negated(depth)]
        while self.take("and"):
            terms.append(self.negated(depth))
        return terms[0] if len(terms) == 1 else lambda values: all(term(values) for term in terms)

    def negated(self, depth: int) -> _Term:
        if depth > MAX_DEPTH:
            raise ConditionInvalid(f"nested deeper than {MAX_DEPTH}")
        if self.take("not"):
            inner = self.negated(depth + 1)
            return lambda values: not inner(values)
        return self.comparison(depth)

    def comparison(self, depth: int) -> _Term:
        left = self.value(depth)
        if self.take("matches"):
            pattern = self.pattern()
            return lambda values: _matches(pattern, left(values))
        for words, compare in _COMPARISONS:
            if self.take(*words):
                return _compared(compare, left, self.value(depth))
        return left

    def pattern(self) -> re.Pattern[str]:
        kind, word = self.peek()
        if kind != "string":
            raise ConditionInvalid("matches needs a quoted pattern")
        self.at += 1
        try:
            return re.compile(_unquoted(word))
        except re.error as exc:
            raise ConditionInvalid(f"bad pattern {word}: {exc}") from exc

    def value(self, depth: int) -> _Term:
        kind, word = self.peek()
        if self.take("("):
            inner = self.either(depth + 1)
            if not self.take(")"):
                raise ConditionInvalid("a bracket is not closed")
            return inner
        if self.take("["):
            return self.sequence(depth)
        self.at += 1
        if kind == "string":
            return _constant(_unquoted(word))
        if kind == "number":
            return _constant(float(word))
        if kind == "word" and word in _LITERALS:
            return _constant(_LITERALS[word])
        if kind == "name":
            return self.name(word)
        raise ConditionInvalid(f"expected a value, found {word!r}")

    def sequence(self, depth: int) -> _Term:
        items: list[_Term] = []
        while not self.take("]"):
            if depth > MAX_DEPTH:
                raise ConditionInvalid(f"nested deeper than {MAX_DEPTH}")
            items.append(self.value(depth + 1))
            if not self.take(",") and self.peek() != ("mark", "]"):
                raise ConditionInvalid("a list is not closed")
        return lambda values: [item(values) for item in items]

    def name(self, word: str) -> _Term:
        space, _, name = word.partition(".")
        if space not in {"slots", "context"} or not name:
            raise ConditionInvalid(f"unknown name {word!r}; names start with slots. or context.")
        if space == "slots":
            self.slots.add(name)
        return lambda values: values.get(space, {}).get(name)


def _constant(value: Any) -> _Term:
    return lambda _values: value


def _compared(compare: Callable[[Any, Any], bool], left: _Term, right: _Term) -> _Term:
    return lambda values: compare(left(values), right(values))


def _unquoted(word: str) -> str:
    return re.sub(r"\\([\\\"'])", r"\1", word[1:-1])


def _matches(pattern: re.Pattern[str], value: Any) -> bool:
    return value is not None and not isinstance(value, list) and bool(pattern.search(str(value)[:MATCH_LIMIT]))


def _equal(left: Any, right: Any) -> bool:
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if _number(left) is not None and _number(right) is not None:
        return _number(left) == _number(right)
    return bool(left == right)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _ordered(test: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def compare(left: Any, right: Any) -> bool:
        if isinstance(left, str) and isinstance(right, str):
            return test(left, right)
        numbers = _number(left), _number(right)
        return None not in numbers and test(*numbers)

    return compare


def _contains(box: Any, item: Any) -> bool:
    if isinstance(box, str):
        return isinstance(item, str) and item in box
    return isinstance(box, list | tuple) and any(_equal(entry, item) for entry in box)


# Longer operators first: `is not` before `is`.
_COMPARISONS: tuple[tuple[tuple[str, ...], Callable[[Any, Any], bool]], ...] = (
    (("is", "not"), lambda left, right: not _equal(left, right)),
    (("not", "in"), lambda left, right: not _contains(right, left)),
    (("in",), lambda left, right: _contains(right, left)),
    (("contains",), _contains),
    (("is",), _equal),
    (("==",), _equal),
    (("=",), _equal),
    (("!=",), lambda left, right: not _equal(left, right)),
    (("<=",), _ordered(lambda left, right: left <= right)),
    ((">=",), _ordered(lambda left, right: left >= right)),
    (("<",), _ordered(lambda left, right: left < right)),
    ((">",), _ordered(lambda left, right: left > right)),
)
