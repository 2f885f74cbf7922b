"""Appointments: which services can be booked where, in slots of what length, and when the reminder goes."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from bot.located import only_keys


@dataclass(frozen=True)
class AppointmentRules:
    """The section `appointments` of service.yml."""


def read_appointments(section: dict[str, Any]) -> AppointmentRules:
    """The rules of the section. Raises: AssistantInvalid."""
    only_keys(section, [item.name for item in fields(AppointmentRules)], "appointments")
    return AppointmentRules()
