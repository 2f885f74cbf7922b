"""Topics customers may subscribe to, payment reminders and outages."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from bot.located import only_keys


@dataclass(frozen=True)
class TopicRules:
    """The section `topics` of service.yml."""


def read_topics(section: dict[str, Any]) -> TopicRules:
    """The rules of the section. Raises: AssistantInvalid."""
    only_keys(section, [item.name for item in fields(TopicRules)], "topics")
    return TopicRules()
