"""Plans for paying later or in parts: what may be agreed at once, and which instalments follow from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from bot.located import invalid, only_keys, rows, table, text
from bot.service_types import Instalment

_MOST = {"days": 180, "parts": 24, "every_days": 180}


@dataclass(frozen=True, slots=True)
class PayPlan:
    """`parts` instalments: the first so many days after the due day (or today, once that has passed)."""

    days: int = 0
    parts: int = 1
    every_days: int = 30

    def instalments(self, amount_minor: int, due_on: str, today: date) -> tuple[Instalment, ...]:
        """They add up to the amount; what cannot be shared evenly is paid first. None for a due day that is none."""
        try:
            first = max(date.fromisoformat(due_on), today) + timedelta(days=self.days)
        except ValueError:
            return ()
        share, rest = divmod(amount_minor, self.parts)
        return tuple(
            Instalment(share + (part < rest), (first + timedelta(days=part * self.every_days)).isoformat())
            for part in range(self.parts)
        )


@dataclass(frozen=True)
class PlanRules:
    """`grant`: credit classes whose plan is in force as soon as they choose it; for others a colleague decides."""

    plans: Mapping[str, PayPlan]
    grant: frozenset[str] = frozenset()


def read_plans(section: dict[str, Any]) -> PlanRules:
    """The part `plans` of the section `topics`. Raises: AssistantInvalid."""
    body = table(section.get("plans", {}), "plans", section, "plans")
    only_keys(body, ("grant", "choices"), "plans")
    grant = [text(name, "a class", body, "grant") for name in rows(body.get("grant", []), "grant", body, "grant")]
    choices = table(body.get("choices", {}), "choices", body, "choices")
    return PlanRules({name: _plan(name, choices) for name in choices}, frozenset(grant))


def _plan(name: str, choices: dict[str, Any]) -> PayPlan:
    body = table(choices[name], f"plan {name}", choices, name)
    only_keys(body, _MOST, f"plan {name}")
    for key, most in _MOST.items():
        value, least = body.get(key, 1), 0 if key == "days" else 1
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise invalid(f"{key} must be a whole number from {least} to {most}", body, key)
    return PayPlan(**body)
