"""`domain.yml` in Rasa's format: intents, entities and slots, checked with file and line."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from bot.assistant import Slot, SlotType
from bot.located import invalid, only_keys, rows, table, text
from frontdesk.yaml_lines import read_yaml

_DOMAIN_KEYS = (
    "version", "intents", "entities", "slots", "responses", "actions", "session_config", "forms", "e2e_actions",
    "config",
)  # fmt: skip
_SLOT_KEYS = ("type", "mappings", "values", "initial_value", "influence_conversation", "min_value", "max_value")


@dataclass(frozen=True)
class Domain:
    intents: tuple[str, ...]
    entities: tuple[str, ...]
    slots: Mapping[str, Slot]
    responses: Any
    file: str


def read_domain(folder: Path) -> Domain:
    """The folder's domain.yml, checked by itself. Raises AssistantInvalid."""
    document = read_yaml(folder / "domain.yml")
    root = table(document, "domain.yml", document)
    only_keys(root, _DOMAIN_KEYS, "domain.yml")
    intents = _names(root, "intents")
    entities = _names(root, "entities")
    slots = read_slots(root, entities)
    return Domain(intents, entities, slots, _table_of(root, "responses"), "domain.yml")


def read_slots(root: dict[str, Any], entities: Collection[str] | None) -> dict[str, Slot]:
    """The slots under `slots`, filled from these entities only (None: from any). Raises: AssistantInvalid."""
    return {name: _slot(name, value, root, entities) for name, value in _table_of(root, "slots").items()}


def _table_of(root: dict[str, Any], key: str) -> dict[str, Any]:
    return table(root[key], key, root, key) if root.get(key) is not None else {}


def _names(root: dict[str, Any], key: str) -> tuple[str, ...]:
    """Names of a list whose entries are a name or a mapping from one name to its options."""
    if root.get(key) is None:
        return ()
    items = rows(root[key], key, root, key)
    found: list[str] = []
    for index, item in enumerate(items):
        name = next(iter(item)) if isinstance(item, dict) and len(item) == 1 else item
        if text(name, f"an entry of {key}", items, index) in found:
            raise invalid(f"{name!r} is listed twice under {key}", items, index)
        found.append(name)
    return tuple(found)


def _slot(name: str, value: Any, root: dict[str, Any], entities: Collection[str] | None) -> Slot:
    body = table(value, f"slot {name}", root["slots"], name)
    only_keys(body, _SLOT_KEYS, f"slot {name}")
    kinds: dict[str, SlotType] = {kind: kind for kind in get_args(SlotType)}
    kind = kinds.get(body.get("type", ""))
    if kind is None:
        raise invalid(f"slot {name} needs a type: {', '.join(kinds)}", body, "type")
    values = tuple(str(item) for item in rows(body.get("values", []), "values", body, "values"))
    if kind == "categorical" and not values:
        raise invalid(f"categorical slot {name} needs values", body)
    filled_by = []
    mappings = rows(body.get("mappings", []), "mappings", body, "mappings")
    for index, item in enumerate(mappings):
        mapping = table(item, "a mapping", mappings, index)
        if mapping.get("type") != "from_entity":
            continue
        if entities is not None and mapping.get("entity") not in entities:
            raise invalid(f"slot {name} is filled from unknown entity {mapping.get('entity')!r}", mapping)
        filled_by.append(text(mapping.get("entity"), "entity", mapping, "entity"))
    return Slot(name=name, type=kind, entities=tuple(filled_by), values=values)
