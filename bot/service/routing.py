"""Routing: which team or site can solve a case, by category, language, customer class and distance."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from bot.located import only_keys


@dataclass(frozen=True)
class RoutingRules:
    """The section `routing` of service.yml."""

    def head(self, to: str, team: str) -> str:
        """The staff user who leads the team (`lead`) or answers for all of them (`manager`); "" when none is named."""
        return ""


def read_routing(section: dict[str, Any]) -> RoutingRules:
    """The rules of the section. Raises: AssistantInvalid."""
    only_keys(section, [item.name for item in fields(RoutingRules)], "routing")
    return RoutingRules()
