"""A segment as a form: conditions and groups within groups, each a few fields, and back into its definition.

A node of the form: {"t": all | any | none, "parts": […]}, {"t": "field", field, op, value} or {"t": "did", did, within,
times_op, times, total_op, total, "parts": […]}. What is not filled in yet stays a node.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from bot.reach.segment_fields import ATTRIBUTE, CONSENT, FIELDS, OPERATORS, THINGS, Field, Thing, field_named, field_of
from bot.service.policy import ServicePolicy
from console.form_fields import Fields
from console.words import Language, say

Tree = dict[str, Any]
MOST_PARTS: Final = 30  # of one group in a form
DEEPEST: Final = 6
GROUPS: Final = ("all", "any", "none")
MEASURES: Final = ("at_least", "at_most", "more_than", "less_than", "is")
_BETWEEN: Final = re.compile(r"[,，、;；\n]+")
_DID: Final = ("did", "within", "times_op", "times", "total_op", "total")


def empty() -> Tree:
    return {"t": "all", "parts": []}


# --- fields <-> tree --------------------------------------------------------------------------------------------------


def tree_of(fields: Fields, path: str = "q", depth: int = 0) -> Tree:
    """The nodes as they were sent."""
    kind = fields.text(f"{path}.t")
    if kind == "field":
        return {"t": kind, **{key: fields.text(f"{path}.{key}") for key in ("field", "op", "value")}}
    parts = []
    if depth < DEEPEST:
        for place in range(MOST_PARTS):
            if f"{path}.{place}.t" not in fields:
                break
            parts.append(tree_of(fields, f"{path}.{place}", depth + 1))
    if kind == "did":
        return {"t": kind, **{key: fields.text(f"{path}.{key}") for key in _DID}, "parts": parts}
    return {"t": kind if kind in GROUPS else "all", "parts": parts}


def reshaped(tree: Tree, shape: str, path: str = "q") -> Tree:
    """The tree with a part more or less: `add:q.0:field` or `remove:q.1`. Anything else changes nothing."""
    act, _, rest = shape.partition(":")
    place, _, kind = rest.partition(":")
    return _changed(tree, path, act, place, kind)


def _changed(tree: Tree, path: str, act: str, place: str, kind: str) -> Tree:
    if "parts" not in tree:
        return tree
    parts = [
        _changed(part, f"{path}.{n}", act, place, kind)
        for n, part in enumerate(tree["parts"])
        if not (act == "remove" and place == f"{path}.{n}")
    ]
    if act == "add" and place == path and len(parts) < MOST_PARTS:
        new: Tree = {"t": kind, "field": "", "op": "", "value": ""} if kind == "field" else {"t": kind, "parts": []}
        if kind == "did":
            new = {"t": "did", **dict.fromkeys(_DID, ""), "did": "order", "parts": []}
        if kind in (*GROUPS, "field", "did"):
            parts.append(new)
    return {**tree, "parts": parts}


# --- tree <-> definition ----------------------------------------------------------------------------------------------


def definition_of(tree: Tree, attributes: Mapping[str, str], thing: Thing | None = None) -> dict[str, Any]:
    """What `read_segment` takes; whether it is right, that says."""
    kind = tree["t"]
    if kind == "field":
        known = _field(tree["field"], attributes, thing)
        operator = tree["op"] if known and tree["op"] in OPERATORS[known.kind] else ""
        if known and not operator:
            operator = next(iter(OPERATORS[known.kind]))
        value = _value(known, operator, tree["value"]) if known else tree["value"]
        return {"field": tree["field"], operator or "is": value}
    if kind == "did":
        meant = THINGS.get(tree["did"])
        found: dict[str, Any] = {"did": tree["did"]}
        if tree["within"]:
            found["within_days"] = _whole(tree["within"])
        for key, is_money in (("times", False), ("total", True)):
            if tree[key] and (key == "times" or (meant and meant.has_total)):
                amount = _minor(tree[key]) if is_money else _whole(tree[key])
                found[key] = {tree[f"{key}_op"] or MEASURES[0]: amount}
        parts = [definition_of(part, attributes, meant) for part in tree["parts"]]
        if parts:
            found["where"] = parts[0] if len(parts) == 1 else {"all": parts}
        return found
    parts = [definition_of(part, attributes, thing) for part in tree["parts"]]
    return {"not": {"any": parts}} if kind == "none" else {kind: parts}


def tree_from(definition: Mapping[str, Any], attributes: Mapping[str, str]) -> Tree:
    """The form of a definition; its root is always a group."""
    tree = _tree_from(definition, attributes, None)
    return tree if tree["t"] in GROUPS else {"t": "all", "parts": [tree]}


def _tree_from(body: Mapping[str, Any], attributes: Mapping[str, str], thing: Thing | None) -> Tree:
    for kind in ("all", "any"):
        if kind in body:
            return {"t": kind, "parts": [_tree_from(part, attributes, thing) for part in body[kind]]}
    if "not" in body:
        inner = _tree_from(body["not"], attributes, thing)
        return {"t": "none", "parts": inner["parts"] if inner["t"] == "any" else [inner]}
    if "did" in body:
        meant = THINGS.get(body["did"])
        found: Tree = {"t": "did", **dict.fromkeys(_DID, ""), "did": body["did"], "parts": []}
        found["within"] = str(body.get("within_days", ""))
        for key in ("times", "total"):
            for operator, amount in dict(body.get(key, {})).items():
                found[f"{key}_op"], found[key] = operator, _major(amount) if key == "total" else str(amount)
        if "where" in body:
            where = _tree_from(body["where"], attributes, meant)
            found["parts"] = where["parts"] if where["t"] == "all" else [where]
        return found
    operator, value = next((name, value) for name, value in body.items() if name != "field")
    known = _field(str(body["field"]), attributes, thing)
    return {"t": "field", "field": str(body["field"]), "op": operator, "value": _shown(known, value)}


def _field(name: str, attributes: Mapping[str, str], thing: Thing | None) -> Field | None:
    return field_of(thing, name, attributes) if thing else field_named(name, attributes)


def _value(known: Field, operator: str, text: str) -> Any:
    takes = OPERATORS[known.kind][operator]
    if takes == "flag":
        return text != "no"
    if takes == "days":
        return _whole(text)
    if takes in ("many", "pair"):
        return [_one(known, each.strip()) for each in _BETWEEN.split(text) if each.strip()]
    return text if takes == "when" else _one(known, text)


def _one(known: Field, text: str) -> Any:
    if known.kind == "money":
        return _minor(text)
    if known.kind == "whole":
        return _whole(text)
    if known.kind == "number":
        try:
            return float(text)
        except ValueError:
            return text
    return text


def _whole(text: str) -> Any:
    """The number, or what stands there instead of one."""
    return int(text) if re.fullmatch(r"-?[0-9]{1,15}", text) else text


def _minor(text: str) -> Any:
    try:
        amount = Decimal(text.replace(",", "")) * 100
        return int(amount) if amount == amount.to_integral_value() and abs(amount) < 10**15 else text
    except (InvalidOperation, ValueError, OverflowError):
        return text


def _major(minor: Any) -> str:
    if not isinstance(minor, int):
        return str(minor)
    return f"{Decimal(minor) / 100:f}"


def _shown(known: Field | None, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(_shown(known, each) for each in value)
    return _major(value) if known is not None and known.kind == "money" else str(value)


# --- how it is shown --------------------------------------------------------------------------------------------------


Choice = tuple[str, str]  # value, words


@dataclass(frozen=True, slots=True)
class NodeView:
    """One node with the choices of its fields. `values`: of a choice; `takes`: what the value's field is like."""

    path: str
    kind: str
    node: Tree
    parts: tuple[NodeView, ...] = ()
    fields: Sequence[Choice] = ()
    operators: Sequence[Choice] = ()
    takes: str = ""
    values: Sequence[str] = ()
    has_total: bool = False
    may_do: bool = True  # whether things done may be asked within it
    groups: Sequence[Choice] = ()


@dataclass(frozen=True, slots=True)
class SegmentWords:
    """What fields, things and operators are called, by the rules in force."""

    language: Language
    rules: ServicePolicy
    things: Sequence[Choice] = field(init=False)

    def __post_init__(self) -> None:
        tongue = 1 if self.language == "zh" else 0
        object.__setattr__(self, "things", [(name, thing.titles[tongue]) for name, thing in THINGS.items()])

    @property
    def attributes(self) -> Mapping[str, str]:
        return self.rules.record.types()

    def view(self, tree: Tree, path: str = "q", thing: Thing | None = None) -> NodeView:
        kind = tree["t"]
        if kind == "field":
            return self._condition(tree, path, thing)
        meant = THINGS.get(tree.get("did", ""), thing) if kind == "did" else thing
        return NodeView(
            path,
            kind,
            tree,
            tuple(self.view(part, f"{path}.{n}", meant) for n, part in enumerate(tree["parts"])),
            has_total=bool(kind == "did" and meant and meant.has_total),
            may_do=meant is None,
            groups=[(name, say(self.language, f"seg.{name}")) for name in GROUPS],
        )

    def _condition(self, tree: Tree, path: str, thing: Thing | None) -> NodeView:
        known = _field(tree["field"], self.attributes, thing)
        operators = OPERATORS[known.kind] if known else {}
        operator = tree["op"] if tree["op"] in operators else next(iter(operators), "")
        return NodeView(
            path,
            "field",
            {**tree, "op": operator},
            fields=self._fields(thing),
            operators=[(name, say(self.language, f"seg.op.{name}")) for name in operators],
            takes=operators.get(operator, "") if known else "",
            values=known.values if known and operators.get(operator) == "one" else (),
        )

    def _fields(self, thing: Thing | None) -> list[Choice]:
        tongue = 1 if self.language == "zh" else 0
        listed = [(name, each.titles[tongue]) for name, each in (thing.fields if thing else FIELDS).items()]
        if thing is None or thing.has_attributes:
            for name, attribute in self.rules.record.attributes.items():
                listed.append((ATTRIBUTE + name, attribute.names.get(self.language) or name))
        if thing is None:
            for name, purpose in self.rules.broadcasts.purposes.items():
                words = say(self.language, "seg.consent", purpose=purpose.title(self.language))
                listed.append((CONSENT + name, words))
        return listed
