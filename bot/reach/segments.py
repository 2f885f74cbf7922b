"""A segment: a condition over the customer's record, kept as data and evaluated anew at each use.

```yaml
all:
- {field: language, is: zh}
- {field: lifecycle, one_of: [fading, lost]}
- {field: attribute.mileage, at_least: 60000}
- {field: tag, has_any: [vip, fleet]}
- any:
  - {did: order, within_days: 90, where: {field: items, contains: tyres}}
  - {did: visit, times: {at_least: 3}, total: {more_than: 100000}}
- not: {did: case, where: {all: [{field: kind, is: complaint}, {field: is_open, is: true}]}}
```

Fields, things and operators are listed in `segment_fields.py`. Whatever is unknown is not a "no": "is_not", "none_of"
and "has_none" are the opposite of "is", "one_of" and "has_any", and hold for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, Literal

from bot.located import invalid
from bot.reach.segment_fields import (
    OPERATORS,
    THINGS,
    Field,
    Takes,
    Thing,
    field_named,
    field_of,
    fields_of,
    known_fields,
)

DEEPEST: Final = 8  # levels of groups within groups
MOST_PARTS: Final = 100  # conditions of one segment
MOST_VALUES: Final = 500  # of a list
LONGEST: Final = 500  # characters of a value
MOST_DAYS: Final = 36_500
ANNIVERSARY_DAYS: Final = 60
_LARGEST: Final = 2**53
_ODD: Final = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")  # no text anybody looks for holds them
_WHOLE: Final = ("whole", "money")
_COUNTS: Final = Field("times", "whole", ("times", "次数"))
_TOTAL: Final = Field("total", "money", ("total", "合计"))


@dataclass(frozen=True, slots=True)
class Condition:
    """A field compared. `value`: text, number, flag, date, aware datetime, or a tuple of them."""

    field: Field
    operator: str
    value: Any


@dataclass(frozen=True, slots=True)
class Did:
    """They did (or have) a thing that fits `where`, at least once unless `times` says otherwise."""

    thing: Thing
    where: Node | None = None
    times: Condition | None = None
    total: Condition | None = None  # of the amounts, in minor units


@dataclass(frozen=True, slots=True)
class Group:
    """All of the parts hold, or any of them. Without parts "all" means everybody."""

    how: Literal["all", "any"]
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not:
    part: Node


Node = Condition | Did | Group | Not
EVERYBODY: Final = Group("all", ())


def read_segment(definition: Any, attributes: Mapping[str, str]) -> Node:
    """The condition a definition describes. `attributes`: those of the policy's record, with their types.

    Raises: AssistantInvalid, which names the place, what is wrong there, and what is known instead.
    """
    return _Reader(attributes).node(definition, "", 1, None)


class _Reader:
    def __init__(self, attributes: Mapping[str, str]) -> None:
        self._attributes = attributes
        self._parts = 0

    def node(self, body: Any, at: str, depth: int, thing: Thing | None) -> Node:
        """`thing`: whose fields are meant; None: those of the customer."""
        if not isinstance(body, dict):
            raise _wrong(at, "a condition is a mapping, such as {field: language, is: zh}", body)
        if depth > DEEPEST:
            raise _wrong(at, f"conditions may be at most {DEEPEST} levels deep", body)
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise _wrong(at, f"a segment has at most {MOST_PARTS} conditions", body)
        if "all" in body or "any" in body:
            return self._group(body, at, depth, thing)
        if "not" in body:
            _only(body, ("not",), at)
            return Not(self.node(body["not"], _under(at, "not"), depth + 1, thing))
        if "did" in body and thing is None:
            return self._did(body, at, depth)
        if "field" in body:
            return self._condition(body, at, thing)
        begins = "all, any, not, field" if thing else "all, any, not, field, did"
        raise _wrong(at, f"a condition begins with one of: {begins}", body)

    def _group(self, body: dict[str, Any], at: str, depth: int, thing: Thing | None) -> Node:
        how: Literal["all", "any"] = "all" if "all" in body else "any"
        _only(body, (how,), at)
        parts = body[how]
        if not isinstance(parts, list):
            raise _wrong(_under(at, how), "must be a list of conditions", body, how)
        if not parts and how == "any":
            raise _wrong(_under(at, how), "needs at least one condition", body, how)
        read = (self.node(part, f"{_under(at, how)}[{n}]", depth + 1, thing) for n, part in enumerate(parts, 1))
        return Group(how, tuple(read))

    def _did(self, body: dict[str, Any], at: str, depth: int) -> Did:
        name = body["did"]
        thing = THINGS.get(name) if isinstance(name, str) else None
        if thing is None:
            raise _wrong(_under(at, "did"), f"there is no {_shown(name)}; known: {', '.join(THINGS)}", body, "did")
        _only(body, ("did", "within_days", "where", "times", *(["total"] if thing.has_total else [])), at)
        parts: list[Node] = []
        if "within_days" in body:
            days = self._value(thing.fields["at"], "within_days", body["within_days"], at, body)
            parts.append(Condition(thing.fields["at"], "within_days", days))
        if "where" in body:
            parts.append(self.node(body["where"], _under(at, "where"), depth + 1, thing))
        where = parts[0] if len(parts) == 1 else Group("all", tuple(parts)) if parts else None
        return Did(thing, where, self._measure(_COUNTS, body, at), self._measure(_TOTAL, body, at))

    def _measure(self, field: Field, body: dict[str, Any], at: str) -> Condition | None:
        if field.name not in body:
            return None
        measure, place = body[field.name], _under(at, field.name)
        if not isinstance(measure, dict) or len(measure) != 1:
            raise _wrong(place, "is written as {at_least: 2}", body, field.name)
        condition = self._compared(field, measure, place)
        if condition.operator == "is_filled":
            raise _wrong(place, "is a number, and always there", measure)
        return condition

    def _condition(self, body: dict[str, Any], at: str, thing: Thing | None) -> Condition:
        name = body["field"]
        field, known = None, fields_of(thing) if thing else known_fields(self._attributes)
        if isinstance(name, str):
            field = field_of(thing, name, self._attributes) if thing else field_named(name, self._attributes)
        if field is None:
            whose = f" of {thing.name}" if thing else ""
            reason = f"there is no field {_shown(name)}{whose}; known: {', '.join(known)}"
            raise _wrong(_under(at, "field"), reason, body, "field")
        rest = {key: value for key, value in body.items() if key != "field"}
        return self._compared(field, rest, at, body)

    def _compared(self, field: Field, rest: Mapping[str, Any], at: str, body: Any = None) -> Condition:
        operators = OPERATORS[field.kind]
        known = ", ".join(operators)
        if len(rest) != 1:
            raise _wrong(at, f"{field.name} is compared once, with one of: {known}", body or rest)
        ((operator, value),) = rest.items()
        if operator not in operators:
            reason = f"{field.name} ({field.kind}) has no {_shown(operator)}; known: {known}"
            raise _wrong(at, reason, body or rest, operator if isinstance(operator, str) else None)
        return Condition(field, operator, self._value(field, operator, value, at, body or rest))

    def _value(self, field: Field, operator: str, value: Any, at: str, place: Any) -> Any:
        takes: Takes = OPERATORS[field.kind][operator]
        wanted: str
        read: Any
        if takes == "flag":
            wanted, read = "true or false", value if isinstance(value, bool) else None
        elif takes == "days":
            most = ANNIVERSARY_DAYS if operator == "anniversary_days" else MOST_DAYS
            wanted, read = f"a whole number of days from 0 to {most}", _number(value, whole=True, least=0, most=most)
        elif takes == "when":
            wanted, read = _when(value, field)
        elif takes == "one":
            wanted, read = self._one(field, value)
        else:
            wanted, read = self._several(field, value, takes)
        if read is None:
            raise _wrong(_under(at, operator), f"{field.name} takes {wanted}, not {_shown(value)}", place, operator)
        return read

    def _one(self, field: Field, value: Any) -> tuple[str, Any]:
        if field.kind in ("whole", "money", "number"):
            whole = field.kind in _WHOLE
            return "a whole number" if whole else "a number", _number(value, whole=whole)
        if field.values:
            return f"one of {', '.join(field.values)}", value if value in field.values else None
        fits = isinstance(value, str) and 0 < len(value) <= LONGEST and not _ODD.search(value)
        return f"a text of 1 to {LONGEST} characters", value if fits else None

    def _several(self, field: Field, value: Any, takes: Takes) -> tuple[str, Any]:
        most, least = (2, 2) if takes == "pair" else (MOST_VALUES, 1)
        wanted, _ = self._one(field, None)
        wanted = f"a list of {least} to {most}, each {wanted}" if most != least else f"two, each {wanted}"
        if not isinstance(value, list) or not least <= len(value) <= most:
            return wanted, None
        read = tuple(self._one(field, each)[1] for each in value)
        return wanted, None if any(each is None for each in read) else read


def _number(value: Any, *, whole: bool, least: float = -_LARGEST, most: float = _LARGEST) -> int | float | None:
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        return None
    return value if least <= value <= most else None


def _when(value: Any, field: Field) -> tuple[str, date | datetime | None]:
    """A day for days; for moments an aware moment, or a day, which is its beginning in the zone of `now`."""
    wanted = "a day such as 2026-12-24"
    if field.kind == "moment":
        wanted += ", or a moment with its zone such as 2026-12-24T18:00+08:00"
    if isinstance(value, str) and len(value) <= LONGEST:
        try:
            value = date.fromisoformat(value) if len(value) == 10 else datetime.fromisoformat(value)
        except ValueError:
            return wanted, None
    if isinstance(value, datetime):
        return wanted, value if value.tzinfo is not None and field.kind == "moment" else None
    return wanted, value if isinstance(value, date) else None


def _under(at: str, key: str) -> str:
    return f"{at}.{key}" if at else key


def _only(body: Mapping[str, Any], keys: tuple[str, ...], at: str) -> None:
    for key in body:
        if key not in keys:
            raise _wrong(at, f"{_shown(key)} does not belong here; known: {', '.join(keys)}", body, key)


def _shown(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}…"


def _wrong(at: str, reason: str, place: Any, key: str | None = None) -> Exception:
    return invalid(f"{at}: {reason}" if at else reason, place, key)
