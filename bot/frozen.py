"""Values that nobody changes once they are made: checked before the code runs, so that making them costs little.

`dataclass(frozen=True)` checks it while it runs, and sets each field by a function call for that: an inbound message
took four times as long to make, and a turn makes some hundred values.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

Made = TypeVar("Made")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(cls: type[Made]) -> type[Made]:
    """A dataclass with slots, equal and hashed by its fields; mypy refuses code that sets one."""
    return dataclass(slots=True, unsafe_hash=True)(cls)
