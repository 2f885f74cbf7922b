"""The customer's record: typed attributes, kinds of assets, credit classes, value and lifecycle."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from bot.located import only_keys


@dataclass(frozen=True)
class RecordRules:
    """The section `record` of service.yml."""


def read_record(section: dict[str, Any]) -> RecordRules:
    """The rules of the section. Raises: AssistantInvalid."""
    only_keys(section, [item.name for item in fields(RecordRules)], "record")
    return RecordRules()
