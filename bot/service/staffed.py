"""Rules that name no calendar count in the hours in which people answer (`hours` of assistant.yml)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bot.service.calendars import DEFAULT, Calendar, Calendars
from bot.service.policy import ServicePolicy, read_policy

if TYPE_CHECKING:
    from bot.assistant import StaffedHours


def read_policy_with(document: Any, hours: StaffedHours, *, version: int = 0) -> ServicePolicy:
    """The policy in the parsed content of a service.yml. Raises: AssistantInvalid with file, line and reason."""
    policy = read_policy(document, version=version)
    if "calendars" in document and DEFAULT in document["calendars"]:
        return policy
    week = dict.fromkeys(range(7), ((hours.opens, hours.closes),))
    default = Calendar(DEFAULT, hours.timezone, week)
    return replace(policy, calendars=Calendars({**policy.calendars.by_name, DEFAULT: default}))
