"""An assistant folder becomes an `Assistant`, or an error with file, line and reason."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.actions import ACTIONS
from bot.assistant import Assistant, Intent, Slot, Variation
from bot.errors import AssistantInvalid
from bot.flow_checks import check_flows
from bot.flows import Flow, parse_flows
from bot.located import only_keys, table
from bot.types import Language
from frontdesk.assistant_domain import Domain, read_domain
from frontdesk.assistant_responses import check_buttons, read_responses
from frontdesk.assistant_service import chosen_flows, merged_words, read_shared, seeded_policy, titles_of_topics
from frontdesk.assistant_settings import AssistantSettings, read_settings
from frontdesk.yaml_lines import read_yaml

CORE_RESPONSES = Path(__file__).parent.parent / "config" / "assistants" / "core.yml"
_SUFFIXES = (".yml", ".yaml")


@dataclass(frozen=True, slots=True)
class AssistantPaths:
    """Where the parts of a folder are that others read. `knowledge` and `tests` may not exist."""

    folder: Path
    nlu: tuple[Path, ...]
    knowledge: Path
    tests: Path


def assistant_paths(folder: Path) -> AssistantPaths:
    """The folder's NLU files (every YAML file under data/ whose name starts with nlu or lookups), sorted by name."""
    files = sorted(path for path in (folder / "data").glob("*") if path.suffix in _SUFFIXES)
    nlu = tuple(path for path in files if path.stem.startswith(("nlu", "lookups")))
    return AssistantPaths(folder=folder, nlu=nlu, knowledge=folder / "knowledge", tests=folder / "tests")


def load_assistant(folder: Path) -> Assistant:
    """The assistant of this folder, fully checked.

    Responses the dialogue itself needs come from `core.yml` where the folder has none of its own.
    Raises: AssistantInvalid with the first thing that is wrong.
    """
    if not folder.is_dir():
        raise AssistantInvalid(f"there is no assistant folder {folder.name!r}")
    domain = read_domain(folder)
    settings = read_settings(folder)
    shared = read_shared(domain.entities, domain.intents)
    policy = seeded_policy(folder, settings.hours)
    responses = {**shared.responses, **_responses(folder, domain, settings.languages)}
    flows = {**chosen_flows(shared, settings.service_flows), **_flows(folder)}
    slots = {**(shared.slots if settings.service_flows else {}), **domain.slots}
    check_flows(flows, intents=domain.intents, slots=slots, responses=responses, actions=ACTIONS)
    check_buttons(responses, intents=domain.intents, flows=flows, slots=slots, document=domain.responses)
    _check_names(settings, domain, flows)
    return Assistant(
        name=settings.name or folder.name,
        languages=settings.languages,
        intents={name: Intent(name, settings.titles.get(name, {})) for name in domain.intents},
        entities=frozenset(domain.entities),
        slots={name: _shared(slot, settings) for name, slot in slots.items()},
        responses=responses,
        flows=flows,
        versions={flow.version: flow for flow in flows.values()},
        words=merged_words({"topic": titles_of_topics(policy)}, shared.words, settings.words),
        general_answers=frozenset(settings.general_answers),
        queue_flows=frozenset(settings.queue_flows),
        tuning=settings.tuning,
        is_sure_given=settings.is_sure_given,
        hours=settings.hours,
        service=policy,
    )


def _shared(slot: Slot, settings: AssistantSettings) -> Slot:
    return Slot(slot.name, slot.type, slot.entities, slot.values, is_shared=slot.name in settings.shared_slots)


def _responses(folder: Path, domain: Domain, languages: tuple[Language, ...]) -> dict[str, tuple[Variation, ...]]:
    core_file = read_yaml(CORE_RESPONSES, name=CORE_RESPONSES.name)
    core = read_responses(table(core_file, "core.yml", core_file)["responses"], "zh")
    own = read_responses(domain.responses, languages[0])
    for name, variations in own.items():
        spoken = {variation.language for variation in variations}
        for language in languages:
            if language not in spoken:
                line = getattr(domain.responses, "lines", {}).get(name)
                raise AssistantInvalid(f"response {name} has no wording in {language}", file=domain.file, line=line)
    return {**core, **own}


def _flows(folder: Path) -> dict[str, Flow]:
    found = [folder / name for name in ("flows.yml", "flows.yaml", "data/flows.yml") if (folder / name).is_file()]
    if not found:
        return {}
    if len(found) > 1:
        raise AssistantInvalid("there are two flow files; keep one", file=str(found[1].relative_to(folder)))
    return parse_flows(read_yaml(found[0], name=str(found[0].relative_to(folder))))


def _check_names(settings: AssistantSettings, domain: Domain, flows: dict[str, Flow]) -> None:
    for what, names, known in (
        ("titles", settings.titles, domain.intents),
        ("shared_slots", settings.shared_slots, domain.slots),
        ("general_answers", settings.general_answers, domain.intents),
        ("queue_flows", settings.queue_flows, flows),
    ):
        for name in names:
            if name not in known:
                raise AssistantInvalid(f"{what} names {name!r}, which does not exist", file="assistant.yml")


def nlu_items(path: Path, folder: Path) -> list[dict[str, Any]]:
    """The entries under `nlu:` of one training file. Raises: AssistantInvalid."""
    name = str(path.relative_to(folder))
    document = table(read_yaml(path, name=name), name, None)
    only_keys(document, ("version", "nlu", "rules", "stories", "responses"), name)
    return [table(item, "an entry of nlu", document, "nlu") for item in document.get("nlu") or []]
