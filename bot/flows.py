"""The flow language: what a flow is, and how `flows.yml` becomes flows.

A published subset of Rasa's flow language (config/flows.schema.json says it as JSON schema). Keys we do not know are
refused with file and line. Where it differs from Rasa: slots are local to a flow unless shared; `link` and `call` hand
over the slots of the calling flow; `ask_before_filling` asks even when a remembered (shared) value exists, but not when
the customer has just given one; a `collect` of a slot with an action `action_ask_<slot>` is asked by that action.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bot.conditions import Condition, ConditionInvalid
from bot.conditions import parse as parse_condition
from bot.located import invalid, only_keys, rows, table, text

END = "END"
StepKind = Literal["collect", "action", "set_slots", "link", "call", "noop"]
SlotValue = str | bool | float | None

_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_-]{0,63}$")
_FLOW_KEYS = ("name", "description", "if", "nlu_trigger", "persisted_slots", "steps")
_STEP_KEYS: Mapping[str, tuple[str, ...]] = {
    "collect": ("collect", "utter", "ask_before_filling", "reset_after_flow_ends", "rejections", "description"),
    "action": ("action",),
    "set_slots": ("set_slots",),
    "link": ("link",),
    "call": ("call",),
    "noop": ("noop",),
}
DEFAULT_TRIGGER = 0.0  # the assistant's own threshold applies


@dataclass(frozen=True, slots=True)
class Branch:
    """Where to go when `condition` holds; None means always (`else` or a plain `next`)."""

    condition: Condition | None
    target: str


@dataclass(frozen=True, slots=True)
class Rejection:
    condition: Condition
    utter: str


@dataclass(frozen=True, slots=True)
class Step:
    """One step. `target` is the slot, action or flow it is about; `next` the first branch that holds."""

    id: str
    kind: StepKind
    target: str = ""
    utter: str = ""
    ask_before_filling: bool = False
    reset_after_flow_ends: bool = True
    rejections: tuple[Rejection, ...] = ()
    assignments: tuple[tuple[str, SlotValue], ...] = ()
    next: tuple[Branch, ...] = ()
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Trigger:
    intent: str
    confidence: float = DEFAULT_TRIGGER


@dataclass(frozen=True)
class Flow:
    """A checked flow. `version` is a hash of its content: the same content is the same version, wherever it runs."""

    id: str
    version: str
    steps: Mapping[str, Step]
    first: str
    name: str = ""
    description: str = ""
    condition: Condition | None = None
    triggers: tuple[Trigger, ...] = ()
    persisted_slots: tuple[str, ...] = ()
    file: str = ""
    line: int | None = None
    lines: Mapping[str, int | None] = field(default_factory=dict)

    @property
    def slots(self) -> frozenset[str]:
        """Slots it collects or sets."""
        collected = {step.target for step in self.steps.values() if step.kind == "collect"}
        return frozenset(collected | {name for step in self.steps.values() for name, _ in step.assignments})


def parse_flows(document: Any) -> dict[str, Flow]:
    """Flows by id from the parsed content of a flows.yml. Raises: AssistantInvalid with file, line and reason."""
    root = table(document, "flows.yml", document)
    only_keys(root, ("version", "flows"), "flows.yml")
    if "flows" not in root:
        raise invalid("flows.yml needs the key 'flows'", root)
    flows = table(root["flows"], "flows", root, "flows")
    return {name: _flow(name, flows) for name in flows}


def _flow(name: str, flows: dict[str, Any]) -> Flow:
    _checked_name(name, "flow", flows, name)
    body = table(flows[name], f"flow {name}", flows, name)
    only_keys(body, _FLOW_KEYS, f"flow {name}")
    if "description" not in body:
        raise invalid(f"flow {name} needs a description", flows, name)
    steps = rows(body.get("steps"), f"steps of flow {name}", body, "steps")
    if not steps:
        raise invalid(f"flow {name} has no steps", body, "steps")
    if len(steps) > 200:
        raise invalid(f"flow {name} has more than 200 steps", body, "steps")
    parsed = _steps(name, steps)
    return Flow(
        id=name,
        version=_content_hash(body),
        steps={step.id: step for step in parsed},
        first=parsed[0].id,
        name=text(body["name"], "name", body, "name") if "name" in body else name,
        description=text(body["description"], "description", body, "description"),
        condition=_condition(body["if"], body, "if") if "if" in body else None,
        triggers=_triggers(body),
        persisted_slots=_names(body, "persisted_slots"),
        file=getattr(body, "file", ""),
        line=getattr(flows, "lines", {}).get(name),
    )


def _content_hash(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True, ensure_ascii=False, default=str).encode()).hexdigest()[:16]


def _steps(flow: str, steps: list[Any]) -> list[Step]:
    ids: list[str] = []
    for index in range(len(steps)):
        step = table(steps[index], f"step {index + 1} of flow {flow}", steps, index)
        name = _checked_name(step["id"], "step", step, "id") if "id" in step else f"{index}_{_kind(flow, step)}"
        if name in ids:
            raise invalid(f"step id {name!r} is used twice in flow {flow}", step, "id")
        ids.append(name)
    return [_step(flow, index, steps, ids) for index in range(len(steps))]


def _kind(flow: str, step: dict[str, Any]) -> StepKind:
    kinds: list[StepKind] = [
        kind for kind in ("collect", "action", "set_slots", "link", "call", "noop") if kind in step
    ]
    if len(kinds) != 1:
        found = " and ".join(kinds) or "none"
        raise invalid(f"a step of flow {flow} needs exactly one of {', '.join(_STEP_KEYS)}; found {found}", step)
    return kinds[0]


def _step(flow: str, index: int, steps: list[Any], ids: list[str]) -> Step:
    body: dict[str, Any] = steps[index]
    kind = _kind(flow, body)
    only_keys(body, (*_STEP_KEYS[kind], "id", "next"), f"a {kind} step of flow {flow}")
    following = ids[index + 1] if index + 1 < len(ids) else END
    branches = _next(body, ids) if "next" in body else (Branch(None, following),)
    if kind == "link" and "next" in body:
        raise invalid("a link ends its flow, so it takes no next", body, "next")
    target = "" if kind in ("set_slots", "noop") else text(body[kind], kind, body, kind)
    utter = ""
    if kind == "collect":
        utter = text(body["utter"], "utter", body, "utter") if "utter" in body else f"utter_ask_{target}"
    return Step(
        id=ids[index],
        kind=kind,
        target=target,
        utter=utter,
        ask_before_filling=_flag(body, "ask_before_filling", default=False),
        reset_after_flow_ends=_flag(body, "reset_after_flow_ends", default=True),
        rejections=_rejections(body),
        assignments=_assignments(body) if kind == "set_slots" else (),
        next=() if kind == "link" else branches,
        line=getattr(steps, "lines", {index: None})[index],
    )


def _next(body: dict[str, Any], ids: list[str]) -> tuple[Branch, ...]:
    value = body["next"]
    if isinstance(value, str):
        return (Branch(None, _target(value, ids, body, "next")),)
    choices = rows(value, "next (END, a step id or a list of if/then/else)", body, "next")
    branches: list[Branch] = []
    for index, item in enumerate(choices):
        choice = table(item, "a branch of next", choices, index)
        if branches and branches[-1].condition is None:
            raise invalid("nothing may follow else", choices, index)
        if set(choice) == {"else"}:
            branches.append(Branch(None, _target(choice["else"], ids, choice, "else")))
        elif set(choice) == {"if", "then"}:
            branches.append(
                Branch(_condition(choice["if"], choice, "if"), _target(choice["then"], ids, choice, "then"))
            )
        else:
            raise invalid("a branch of next is either if and then, or else", choices, index)
    if not branches or branches[-1].condition is not None:
        raise invalid("a list under next must end with else", body, "next")
    return tuple(branches)


def _target(value: Any, ids: list[str], place: Any, key: str) -> str:
    name = text(value, "a step to go to", place, key)
    if name != END and name not in ids:
        raise invalid(f"there is no step {name!r} in this flow", place, key)
    return name


def _rejections(body: dict[str, Any]) -> tuple[Rejection, ...]:
    if "rejections" not in body:
        return ()
    items = rows(body["rejections"], "rejections", body, "rejections")
    found = []
    for index, value in enumerate(items):
        item = table(value, "a rejection", items, index)
        only_keys(item, ("if", "utter"), "a rejection")
        if set(item) != {"if", "utter"}:
            raise invalid("a rejection needs if and utter", items, index)
        found.append(Rejection(_condition(item["if"], item, "if"), text(item["utter"], "utter", item, "utter")))
    return tuple(found)


def _assignments(body: dict[str, Any]) -> tuple[tuple[str, SlotValue], ...]:
    items = rows(body["set_slots"], "set_slots (a list of slot: value)", body, "set_slots")
    found: list[tuple[str, SlotValue]] = []
    for index, value in enumerate(items):
        item = table(value, "an entry of set_slots", items, index)
        for name, assigned in item.items():
            if assigned is not None and not isinstance(assigned, str | bool | int | float):
                raise invalid(f"slot {name} can be set to a text, number, true, false or null", item, name)
            found.append((name, assigned))
    if not found:
        raise invalid("set_slots sets nothing", body, "set_slots")
    return tuple(found)


def _triggers(body: dict[str, Any]) -> tuple[Trigger, ...]:
    if "nlu_trigger" not in body:
        return ()
    items = rows(body["nlu_trigger"], "nlu_trigger", body, "nlu_trigger")
    found = []
    for index, value in enumerate(items):
        item = table(value, "a trigger", items, index)
        only_keys(item, ("intent",), "a trigger")
        intent = item.get("intent")
        if isinstance(intent, str):
            found.append(Trigger(text(intent, "intent", item, "intent")))
            continue
        detail = table(intent, "intent", item, "intent")
        only_keys(detail, ("name", "confidence_threshold"), "a trigger's intent")
        threshold = detail.get("confidence_threshold", DEFAULT_TRIGGER)
        if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0 <= threshold <= 1:
            raise invalid("confidence_threshold must be a number from 0 to 1", detail, "confidence_threshold")
        found.append(Trigger(text(detail.get("name"), "name of the intent", detail, "name"), float(threshold)))
    return tuple(found)


def _condition(value: Any, place: Any, key: str) -> Condition:
    source = text(value, "a condition", place, key)
    try:
        return parse_condition(source)
    except ConditionInvalid as exc:
        raise invalid(f"bad condition {source!r}: {exc}", place, key) from exc


def _names(body: dict[str, Any], key: str) -> tuple[str, ...]:
    if key not in body:
        return ()
    items = rows(body[key], key, body, key)
    return tuple(text(value, f"an entry of {key}", items, index) for index, value in enumerate(items))


def _flag(body: dict[str, Any], key: str, *, default: bool) -> bool:
    value = body.get(key, default)
    if not isinstance(value, bool):
        raise invalid(f"{key} must be true or false", body, key)
    return value


def _checked_name(value: Any, what: str, place: Any, key: str) -> str:
    if not isinstance(value, str) or not _NAME.match(value) or value == END:
        raise invalid(f"{value!r} is no {what} id: letters, digits, _ and -, at most 64, and not END", place, key)
    return value
