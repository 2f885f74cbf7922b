"""`assistant.yml`: what Rasa's files have no place for (languages, titles, words, hours, thresholds)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import time
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from bot.assistant import StaffedHours, Tuning
from bot.located import invalid, only_keys, rows, table, text
from bot.types import Language
from frontdesk.yaml_lines import read_yaml

LANGUAGES: tuple[Language, ...] = ("zh", "en")
_SCORES = ("accept", "sure", "ambiguity_margin", "article_over_intent")
Wording = Mapping[Language, str]


@dataclass(frozen=True, slots=True)
class AssistantSettings:
    name: str = ""
    languages: tuple[Language, ...] = ("zh",)
    titles: Mapping[str, Wording] = field(default_factory=dict)
    words: Mapping[str, Mapping[str, Wording]] = field(default_factory=dict)
    shared_slots: tuple[str, ...] = ()
    general_answers: tuple[str, ...] = ()
    queue_flows: tuple[str, ...] = ()
    service_flows: tuple[str, ...] = ()  # of config/assistants/core_service.yml
    tuning: Tuning = field(default_factory=Tuning)
    is_sure_given: bool = False  # not a key: whether `tuning` says from which score on the bot is sure
    hours: StaffedHours = field(default_factory=StaffedHours)


def read_settings(folder: Path) -> AssistantSettings:
    """Settings of the folder; without an assistant.yml defaults and the language of config.yml.

    Raises: AssistantInvalid.
    """
    path = folder / "assistant.yml"
    if not path.is_file():
        return AssistantSettings(languages=(_language_of_config(folder),))
    document = read_yaml(path)
    root = table(document, "assistant.yml", document)
    only_keys(root, [item.name for item in fields(AssistantSettings) if item.name != "is_sure_given"], "assistant.yml")
    languages = tuple(_language(name, root, "languages") for name in _names(root, "languages"))
    return AssistantSettings(
        name=text(root["name"], "name", root, "name") if "name" in root else "",
        languages=languages or (_language_of_config(folder),),
        titles={name: _wording(value, root, "titles") for name, value in _section(root, "titles").items()},
        words=read_words(_section(root, "words")),
        shared_slots=_names(root, "shared_slots"),
        general_answers=_names(root, "general_answers"),
        queue_flows=_names(root, "queue_flows"),
        service_flows=_names(root, "service_flows"),
        tuning=_tuning(root),
        is_sure_given="sure" in _section(root, "tuning"),
        hours=_hours(root),
    )


def _language_of_config(folder: Path) -> Language:
    path = folder / "config.yml"
    if not path.is_file():
        return "zh"
    document = read_yaml(path)
    return _language(table(document, "config.yml", document).get("language", "zh"), document, "language")


def _language(value: Any, place: Any, key: str) -> Language:
    for language in LANGUAGES:
        if value == language:
            return language
    raise invalid(f"language {value!r} is not one of {', '.join(LANGUAGES)}", place, key)


def _section(root: dict[str, Any], key: str) -> dict[str, Any]:
    return table(root[key], key, root, key) if key in root else {}


def _names(root: dict[str, Any], key: str) -> tuple[str, ...]:
    if key not in root:
        return ()
    items = rows(root[key], key, root, key)
    return tuple(text(item, f"an entry of {key}", items, index) for index, item in enumerate(items))


def read_words(section: dict[str, Any]) -> dict[str, dict[str, Wording]]:
    """Words by group and key. Raises: AssistantInvalid."""
    return {group: _words(section, group, entries) for group, entries in section.items()}


def _words(root: dict[str, Any], group: str, value: Any) -> dict[str, Wording]:
    entries = table(value, f"words.{group}", root, "words")
    return {key: _wording(wording, entries, key) for key, wording in entries.items()}


def _wording(value: Any, place: Any, key: str) -> Wording:
    wording = table(value, "a wording (zh: …, en: …)", place, key)
    only_keys(wording, LANGUAGES, "a wording")
    return {language: text(wording[language], language, wording) for language in LANGUAGES if language in wording}


def _tuning(root: dict[str, Any]) -> Tuning:
    section = _section(root, "tuning")
    only_keys(section, [item.name for item in fields(Tuning)], "tuning")
    for key, value in section.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0 or (key in _SCORES and value > 1):
            raise invalid(f"{key} must be a number" + (" from 0 to 1" if key in _SCORES else ""), section, key)
    return replace(Tuning(), **section)


def _hours(root: dict[str, Any]) -> StaffedHours:
    section = _section(root, "hours")
    only_keys(section, [item.name for item in fields(StaffedHours)], "hours")
    found: dict[str, Any] = dict(section)
    try:
        for key in ("opens", "closes"):
            if key in section:
                found[key] = time.fromisoformat(str(section[key]))
        if "timezone" in section:
            ZoneInfo(str(section["timezone"]))
        hours = replace(StaffedHours(), **found)
    except (ValueError, KeyError, OSError) as exc:
        raise invalid('hours need opens and closes such as "09:00" and a known timezone', root, "hours") from exc
    if hours.opens >= hours.closes or not isinstance(hours.first_answer_h, int | float) or hours.first_answer_h <= 0:
        raise invalid("hours must open before they close, and first_answer_h must be above 0", root, "hours")
    return hours
