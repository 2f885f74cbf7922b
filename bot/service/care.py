"""Care signals: what about a customer calls for a follow-up, by whom and when."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from bot.located import only_keys


@dataclass(frozen=True)
class CareRules:
    """The section `care` of service.yml."""


def read_care(section: dict[str, Any]) -> CareRules:
    """The rules of the section. Raises: AssistantInvalid."""
    only_keys(section, [item.name for item in fields(CareRules)], "care")
    return CareRules()
