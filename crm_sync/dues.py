"""Payments that fall due, and the reminder before: once per payment and step, never after it was paid.

A step is used up by being told: who cannot be told anything now is reminded as soon as they can be, while it is time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, select

from bot.service_types import Notice
from crm_sync import timers
from crm_sync.notices import plan_notice, reachable
from crm_sync.service_tables import assets, dues
from crm_sync.tables import customers

CHUNK: Final = 200


@dataclass(frozen=True, slots=True)
class OpenDue:
    """An unpaid payment as the rules need it to say whether somebody is to be reminded."""

    id: int
    customer_id: int
    kind: str
    amount_minor: int
    currency: str
    due_on: str
    credit_class: str
    asset: str


# What is said now: the step and the template; None: nothing.
Decide = Callable[[OpenDue], tuple[int, str] | None]


def remind(
    conn: Connection, *, after: int, today: date, spread: tuple[int, int], decide: Decide, now: datetime
) -> tuple[int, int | None]:
    """The next unpaid payments above id `after` are looked at; how many reminders were planned, and where to go on.

    `spread`: from how many days before the due day (and until when, negative: after it) anybody is reminded.
    """
    first, last = (today + timedelta(days=days) for days in (spread[1], spread[0]))
    rows = conn.execute(
        select(dues, customers.c.credit_class, assets.c.key.label("asset"))
        .join_from(dues, customers, customers.c.id == dues.c.customer_id)
        .outerjoin(assets, assets.c.id == dues.c.asset_id)
        .where(
            dues.c.paid_on == "",
            dues.c.due_on >= first.isoformat(),
            dues.c.due_on <= last.isoformat(),
            dues.c.id > after,
            customers.c.erased_at.is_(None),
        )
        .order_by(dues.c.id)
        .limit(CHUNK)
        # A payment that is being entered right now goes first: nobody is reminded of what they have just paid.
        .with_for_update(of=dues)
    ).all()
    wanted = [(due, decided) for due in map(_due, rows) if (decided := decide(due)) is not None]
    can_be_told = reachable(conn, {due.customer_id for due, _ in wanted})
    planned = sum(_plan(conn, due, decided, now) for due, decided in wanted if due.customer_id in can_be_told)
    return planned, rows[-1].id if len(rows) == CHUNK else None


def _due(row: Any) -> OpenDue:
    return OpenDue(
        row.id,
        row.customer_id,
        row.kind,
        row.amount_minor,
        row.currency,
        row.due_on,
        row.credit_class,
        row.asset or "",
    )


def _plan(conn: Connection, due: OpenDue, decided: tuple[int, str], now: datetime) -> bool:
    step, template = decided
    args = {
        "kind": f"@word:due_kind:{due.kind}",
        "amount": f"@money:{due.amount_minor}:{due.currency}",
        "day": f"@day:{due.due_on}",
        "asset": due.asset,
    }
    key = f"due:{due.id}:{step}"
    timers.free(conn, key)  # nobody could be told then; somebody can be now
    return plan_notice(conn, due.customer_id, Notice(template, args), at=now, now=now, key=key)
