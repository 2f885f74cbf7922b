"""What follows an appointment that was kept: the question how satisfied the customer is with the service."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import Connection

from bot.service.policy import ServicePolicy
from crm_sync import appointments
from crm_sync.appointments import Kept
from crm_sync.timers import Timer
from desk.rules import rules_of
from desk.surveys import APPOINTMENT, plan_survey


def finish(
    conn: Connection,
    appointment_id: int,
    state: Literal["done", "missed"],
    *,
    by: str,
    policy: ServicePolicy,
    now: datetime,
) -> None:
    """As `crm_sync.appointments.finish`; who came will be asked how satisfied they are."""
    kept = appointments.finish(conn, appointment_id, state, by, now)
    if kept is not None:
        _ask_later(conn, kept, policy, now)


def end_passed(conn: Connection, due: Sequence[Timer], policy: ServicePolicy, now: datetime) -> None:
    """Appointments nobody said anything about are taken as kept; handler of timers."""
    for kept in appointments.end_passed(conn, due, now):
        _ask_later(conn, kept, policy, now)


def _ask_later(conn: Connection, kept: Kept, policy: ServicePolicy, now: datetime) -> None:
    hours = rules_of(conn, kept, policy).cases.satisfaction.after_service_h
    if hours:
        # Counted from the service, not from when staff got round to saying that it took place.
        at = max(kept.ends_at + timedelta(hours=hours), now)
        plan_survey(conn, kept.customer_id, "csat", f"{APPOINTMENT}{kept.id}", at=at, now=now)
