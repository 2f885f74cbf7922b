"""The service desk of an assistant: its `service.yml`, and those of the shared service flows that it takes.

`config/assistants/service/*.yml` holds the shared ones, one file per subject: `flows`, `companions` (flows that
come with another one), `slots`, `responses`, `words`.
An assistant names the flows it wants under `service_flows`; what its own folder has under the same name wins.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from bot.assistant import Slot, StaffedHours, Variation
from bot.errors import AssistantInvalid
from bot.flows import Flow, parse_flows
from bot.located import only_keys, rows, table
from bot.service.policy import ServicePolicy
from bot.service.staffed import read_policy_with
from frontdesk.assistant_domain import read_slots
from frontdesk.assistant_responses import read_responses
from frontdesk.assistant_settings import Wording, read_settings, read_words
from frontdesk.yaml_lines import read_yaml

SHARED = Path(__file__).parent.parent / "config" / "assistants" / "service"
POLICY_FILE = "service.yml"


@dataclass(frozen=True)
class SharedService:
    """What all parts of config/assistants/service hold together."""

    flows: Mapping[str, Flow] = field(default_factory=dict)
    slots: Mapping[str, Slot] = field(default_factory=dict)
    responses: Mapping[str, tuple[Variation, ...]] = field(default_factory=dict)
    words: Mapping[str, Mapping[str, Wording]] = field(default_factory=dict)
    companions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # flow -> flows that come with it


def read_policy_of(folder: Path) -> ServicePolicy:
    """The folder's service.yml; the defaults without one. Raises: AssistantInvalid with file, line and reason."""
    return seeded_policy(folder, read_settings(folder).hours)


def seeded_policy(folder: Path, hours: StaffedHours) -> ServicePolicy:
    """As `read_policy_of`; where no calendars are named, people work in the hours of assistant.yml."""
    path = folder / POLICY_FILE
    document = read_yaml(path) if path.is_file() else {}
    return read_policy_with(document, hours)


def read_shared(entities: Collection[str], intents: Collection[str]) -> SharedService:
    """All shared flows and what they need, as an assistant with these entities and intents can use them.

    A slot is filled only from entities the assistant has; a trigger by an intent it lacks is left out, since a flow can
    also be begun by a button or a notice. Raises: AssistantInvalid.
    """
    paths = sorted(SHARED.glob("*.yml"))
    whole = _read_files(tuple((path, path.stat().st_mtime_ns, path.stat().st_size) for path in paths))
    return replace(
        whole,
        flows={
            name: replace(flow, triggers=tuple(trigger for trigger in flow.triggers if trigger.intent in intents))
            for name, flow in whole.flows.items()
        },
        slots={
            name: replace(slot, entities=tuple(entity for entity in slot.entities if entity in entities))
            for name, slot in whole.slots.items()
        },
    )


@lru_cache(maxsize=2)
def _read_files(files: tuple[tuple[Path, int, int], ...]) -> SharedService:
    """What these files hold together; read once for all assistants, and again when one of them has changed."""
    flows: dict[str, Flow] = {}
    slots: dict[str, Slot] = {}
    responses: dict[str, tuple[Variation, ...]] = {}
    words: dict[str, dict[str, Wording]] = {}
    companions: dict[str, tuple[str, ...]] = {}
    for path, *_ in files:
        name = f"{SHARED.name}/{path.name}"
        root = table(read_yaml(path, name=name), name, None)
        only_keys(root, ("flows", "companions", "slots", "responses", "words"), name)
        if "flows" in root:
            flows.update(parse_flows({"flows": root["flows"]}))
        together = table(root.get("companions", {}), "companions", root, "companions")
        for flow, others in together.items():
            companions[flow] = tuple(rows(others, f"companions of {flow}", together, flow))
        slots.update(read_slots(root, entities=None))
        responses.update(read_responses(table(root.get("responses", {}), "responses", root, "responses"), "zh"))
        for group, entries in read_words(table(root.get("words", {}), "words", root, "words")).items():
            words.setdefault(group, {}).update(entries)
    return SharedService(flows, slots, responses, words, companions)


def chosen_flows(shared: SharedService, names: Collection[str]) -> dict[str, Flow]:
    """The shared flows an assistant takes, with those that come with them: begun by a notice, or where one leads.

    Raises: AssistantInvalid for a name there is none of.
    """
    for name in names:
        if name not in shared.flows:
            known = ", ".join(sorted(shared.flows)) or "none"
            raise AssistantInvalid(f"service_flows names {name!r}; there are: {known}", file="assistant.yml")
    taken, waiting = dict[str, Flow](), list(names)
    while waiting:
        name = waiting.pop(0)
        if name not in taken:
            taken[name] = shared.flows[name]
            waiting += shared.companions.get(name, ())
    return taken


def merged_words(*layers: Mapping[str, Mapping[str, Wording]]) -> dict[str, dict[str, Any]]:
    """Words by group and key; a later layer's wording of a key wins."""
    merged: dict[str, dict[str, Any]] = {}
    for layer in layers:
        for group, entries in layer.items():
            merged.setdefault(group, {}).update(entries)
    return merged


def titles_of_topics(policy: ServicePolicy) -> dict[str, Wording]:
    """What topics are called, as words of the assistant: a notice names its topic by its key."""
    return {name: topic.titles for name, topic in policy.topics.topics.items()}  # type: ignore[misc]  # zh and en only
