"""`domain.yml` in Rasa's format: intents, entities, slots and responses, checked with file and line."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from bot.assistant import Slot, SlotType, TemplateButton, Variation
from bot.errors import AssistantInvalid
from bot.located import invalid, line_of, only_keys, rows, table, text
from bot.types import Language
from frontdesk.yaml_lines import read_yaml

_DOMAIN_KEYS = (
    "version", "intents", "entities", "slots", "responses", "actions", "session_config", "forms", "e2e_actions",
    "config",
)  # fmt: skip
_VARIATION_KEYS = (
    "text", "image", "channel", "condition", "buttons", "button_type", "quick_replies", "custom", "attachment", "id",
    "metadata",
)  # fmt: skip
_SLOT_KEYS = ("type", "mappings", "values", "initial_value", "influence_conversation", "min_value", "max_value")
_SET_SLOTS = re.compile(r"^/SetSlots\(\s*([A-Za-z_]\w*)\s*=\s*([^()]{1,200})\)$")
_INTENT_PAYLOAD = re.compile(r"^/([A-Za-z_][\w-]*)\s*(\{.*\})?$", re.DOTALL)
_OWN_PAYLOAD = re.compile(r"^(?:intent|flow):[A-Za-z_][\w-]*$|^slot:[A-Za-z_]\w*=.{1,200}$")


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
    slots = {name: _slot(name, value, root, entities) for name, value in _table_of(root, "slots").items()}
    return Domain(intents, entities, slots, _table_of(root, "responses"), "domain.yml")


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


def _slot(name: str, value: Any, root: dict[str, Any], entities: Collection[str]) -> Slot:
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
        if mapping.get("entity") not in entities:
            raise invalid(f"slot {name} is filled from unknown entity {mapping.get('entity')!r}", mapping)
        filled_by.append(mapping["entity"])
    return Slot(name=name, type=kind, entities=tuple(filled_by), values=values)


def read_responses(document: Any, default: Language) -> dict[str, tuple[Variation, ...]]:
    """Responses by name; wording without a language condition is in `default`. Raises AssistantInvalid."""
    responses = table(document, "responses", document)
    found: dict[str, tuple[Variation, ...]] = {}
    for name in responses:
        if not name.startswith("utter_"):
            raise invalid(f"response {name!r} must start with utter_", responses, name)
        items = rows(responses[name], f"response {name}", responses, name)
        if not items:
            raise invalid(f"response {name} is empty", responses, name)
        found[name] = tuple(_variation(name, items, index, default) for index in range(len(items)))
    return found


def _variation(name: str, items: list[Any], index: int, default: Language) -> Variation:
    body = table(items[index], f"a variation of {name}", items, index)
    only_keys(body, _VARIATION_KEYS, f"a variation of {name}")
    if "text" not in body and "image" not in body:
        raise invalid(f"a variation of {name} needs text", items, index)
    return Variation(
        text=text(body["text"], "text", body, "text") if "text" in body else "",
        language=_language_of(body, default),
        channel=text(body["channel"], "channel", body, "channel") if "channel" in body else "",
        buttons=_buttons(body),
        image=text(body["image"], "image", body, "image") if "image" in body else "",
    )


def _language_of(body: dict[str, Any], default: Language) -> Language:
    for item in rows(body.get("condition", []), "condition", body, "condition"):
        condition = table(item, "a condition", body, "condition")
        if condition.get("type") != "slot" or condition.get("name") != "language":
            raise invalid("a response may only depend on the slot language", body, "condition")
        value = condition.get("value")
        if value == "zh":
            return "zh"
        if value == "en":
            return "en"
        raise invalid(f"language {value!r} is neither zh nor en", condition)
    return default


def _buttons(body: dict[str, Any]) -> tuple[TemplateButton, ...]:
    items = rows(body.get("buttons", []), "buttons", body, "buttons")
    found = []
    for index, value in enumerate(items):
        item = table(value, "a button", items, index)
        only_keys(item, ("title", "payload", "type"), "a button")
        label = text(item.get("title"), "title", item, "title")
        payload = text(item.get("payload"), "payload", item, "payload")
        found.append(TemplateButton(label, _value_of(payload, item)))
    return tuple(found)


def _value_of(payload: str, place: Any) -> str:
    """A Rasa payload (`/intent`, `/intent{"slot": "value"}`, `/SetSlots(slot=value)`) in our form."""
    if _OWN_PAYLOAD.match(payload):
        return payload
    if match := _SET_SLOTS.match(payload):
        return f"slot:{match.group(1)}={match.group(2).strip()}"
    if match := _INTENT_PAYLOAD.match(payload):
        if not match.group(2):
            return f"intent:{match.group(1)}"
        try:
            values = table(json.loads(match.group(2)), "the values of a payload", place, "payload")
        except ValueError as exc:
            raise invalid(f"payload {payload!r} holds no valid JSON", place, "payload") from exc
        return f"intent:{match.group(1)}?" + "&".join(f"{key}={value}" for key, value in values.items())
    raise invalid(f"payload {payload!r} is neither /intent, /SetSlots(slot=value) nor ours", place, "payload")


def check_buttons(
    responses: Mapping[str, tuple[Variation, ...]],
    *,
    intents: Collection[str],
    flows: Collection[str],
    slots: Mapping[str, Slot],
    document: Any,
) -> None:
    """Every button of the folder's own responses leads somewhere. Raises AssistantInvalid."""
    for name in document:
        for button in (button for variation in responses[name] for button in variation.buttons):
            kind, _, target = button.value.partition(":")
            known: Collection[str] = {"intent": intents, "flow": flows, "slot": slots}[kind]
            wanted = target.partition("=")[0] if kind == "slot" else target.partition("?")[0]
            if wanted not in known:
                reason = f"a button of {name} leads to unknown {kind} {wanted!r}"
                raise AssistantInvalid(reason, file="domain.yml", line=line_of(document, name))
