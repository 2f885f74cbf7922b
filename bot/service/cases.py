"""Cases: their life, categories with quality types, severity, compensation limits, satisfaction."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from bot.located import only_keys


@dataclass(frozen=True)
class CaseRules:
    """The section `cases` of service.yml."""


def read_cases(section: dict[str, Any]) -> CaseRules:
    """The rules of the section. Raises: AssistantInvalid."""
    only_keys(section, [item.name for item in fields(CaseRules)], "cases")
    return CaseRules()
