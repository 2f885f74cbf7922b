"""What a message holds that names a person or is theirs, as the engine found it: read from the kept understanding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def personal_values(understanding: Mapping[str, Any] | None) -> list[str]:
    """The words of the entities that are flagged as personal (`bot.types.Entity.is_personal`)."""
    entities = (understanding or {}).get("entities", ())
    return [str(entity["text"]) for entity in entities if entity.get("is_personal") and entity.get("text")]
