"""Everything a flow names exists, every step can be reached, and nothing runs in circles without asking."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from bot.errors import AssistantInvalid
from bot.flows import END, Flow, Step


def check_flows(
    flows: Mapping[str, Flow],
    *,
    intents: Collection[str],
    slots: Collection[str],
    responses: Collection[str],
    actions: Collection[str],
) -> None:
    """Nothing is dangling, unreachable or endless. Raises: AssistantInvalid for the first flow that is."""
    known = _Known(flows, slots, responses, actions)
    for flow in flows.values():
        for trigger in flow.triggers:
            if trigger.intent not in intents:
                raise _wrong(flow, None, f"flow {flow.id} is triggered by unknown intent {trigger.intent!r}")
        for name in flow.persisted_slots:
            if name not in slots:
                raise _wrong(flow, None, f"flow {flow.id} persists unknown slot {name!r}")
        _check_slots_read(flow, None, flow.condition.names if flow.condition else frozenset(), slots)
        for step in flow.steps.values():
            _check_step(flow, step, known)
        _check_reachable(flow)
        _check_loops(flow)
    _check_calls(flows)


@dataclass(frozen=True, slots=True)
class _Known:
    flows: Collection[str]
    slots: Collection[str]
    responses: Collection[str]
    actions: Collection[str]


def _wrong(flow: Flow, step: Step | None, reason: str) -> AssistantInvalid:
    return AssistantInvalid(reason, file=flow.file, line=step.line if step else flow.line)


def _check_slots_read(flow: Flow, step: Step | None, names: Collection[str], slots: Collection[str]) -> None:
    for name in sorted(names):
        if name not in slots:
            raise _wrong(flow, step, f"a condition of flow {flow.id} reads unknown slot {name!r}")


def _check_step(flow: Flow, step: Step, known: _Known) -> None:
    for branch in step.next:
        _check_slots_read(flow, step, branch.condition.names if branch.condition else (), known.slots)
    for name, _ in step.assignments:
        if name not in known.slots:
            raise _wrong(flow, step, f"flow {flow.id} sets unknown slot {name!r}")
    if step.kind == "collect":
        if step.target not in known.slots:
            raise _wrong(flow, step, f"flow {flow.id} collects unknown slot {step.target!r}")
        if step.utter not in known.responses and f"action_ask_{step.target}" not in known.actions:
            raise _wrong(flow, step, f"flow {flow.id} asks with unknown response {step.utter!r}")
        for rejection in step.rejections:
            _check_slots_read(flow, step, rejection.condition.names, known.slots)
            if rejection.utter not in known.responses:
                raise _wrong(flow, step, f"flow {flow.id} rejects with unknown response {rejection.utter!r}")
    if step.kind == "action":
        names = known.responses if step.target.startswith("utter_") else known.actions
        if step.target not in names:
            raise _wrong(flow, step, f"flow {flow.id} uses unknown action {step.target!r}")
    if step.kind in ("link", "call") and step.target not in known.flows:
        raise _wrong(flow, step, f"flow {flow.id} goes to unknown flow {step.target!r}")


def _check_reachable(flow: Flow) -> None:
    seen: set[str] = set()
    waiting = [flow.first]
    while waiting:
        name = waiting.pop()
        if name == END or name in seen:
            continue
        seen.add(name)
        waiting += [branch.target for branch in flow.steps[name].next]
    for step in flow.steps.values():
        if step.id not in seen:
            raise _wrong(flow, step, f"step {step.id!r} of flow {flow.id} can never be reached")


def _check_loops(flow: Flow) -> None:
    """A circle of steps that asks nothing would never give the customer a turn."""
    silent = {step.id: step for step in flow.steps.values() if step.kind != "collect"}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            raise _wrong(flow, silent[name], f"steps {' -> '.join((*path, name))} of flow {flow.id} never ask anything")
        if name not in silent or name in done:
            return
        for branch in silent[name].next:
            visit(branch.target, (*path, name))
        done.add(name)

    for name in silent:
        visit(name, ())


def _check_calls(flows: Mapping[str, Flow]) -> None:
    """Flows that call or link each other in a circle are refused: the stack would have no end."""
    for start in flows.values():
        seen: set[str] = set()
        waiting = [step.target for step in start.steps.values() if step.kind in ("call", "link")]
        while waiting:
            name = waiting.pop()
            if name == start.id:
                raise _wrong(start, None, f"flow {start.id} calls or links itself in a circle")
            if name not in seen:
                seen.add(name)
                waiting += [step.target for step in flows[name].steps.values() if step.kind in ("call", "link")]
