"""Which rules hold for a case: those of the assistant that answers where it came from, in its site's calendar."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from bot.service.policy import CASE_CLOCKS, ServicePolicy
from bot.service_types import ClockStart
from crm_sync.accounts import account_of
from crm_sync.sites import calendar_of


def clocks_of(
    conn: Connection,
    case: Any,
    policy: ServicePolicy,
    severity: int,
    now: datetime,
    *,
    kinds: Sequence[str] = CASE_CLOCKS,
) -> tuple[ClockStart, ...]:
    """The promises that begin now for this case (its row), in the calendar of the site that has it."""
    return policy.clocks_for(severity, now, site_calendar=hours_of(conn, case), kinds=kinds)


def hours_of(conn: Connection, case: Any) -> str:
    """The hours of the site that has the case (its row), as `Site.hours` names them; "" without one."""
    known: str | None = getattr(case, "site_hours", None)  # a locked row brings them along
    return calendar_of(conn, case.site_id) if known is None else known


def rules_of(conn: Connection, row: Any, policy: ServicePolicy) -> ServicePolicy:
    """Of the desk's rules those for this case, task or appointment (its row)."""
    return policy if len(policy.each) == 1 else policy.of(account_of(conn, row))
