"""How what the bot says is changed: who may publish what, as section `knowledge` of service.yml says it.

knowledge:
  four_eyes: true      # whoever wrote the newest words does not publish them
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bot.located import invalid, only_keys


@dataclass(frozen=True, slots=True)
class EditingRules:
    """The section `knowledge`."""

    four_eyes: bool = False


def read_editing(document: dict[str, Any]) -> EditingRules:
    """The rules in this section. Raises: AssistantInvalid."""
    only_keys(document, ("four_eyes",), "knowledge")
    value = document.get("four_eyes", False)
    if not isinstance(value, bool):
        raise invalid("four_eyes must be true or false", document, "four_eyes")
    return EditingRules(value)
