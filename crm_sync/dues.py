"""Payments that fall due, and the reminder before: once per payment and step, never after it was paid.

A step is used up by being told: who cannot be told anything now is reminded as soon as they can be, while it is time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, and_, or_, select, update

from bot.service_types import AgreePayPlan, Notice
from crm_sync import timers
from crm_sync.notices import plan_notice, reachable
from crm_sync.service_tables import assets, dues
from crm_sync.statements import insert_rows
from crm_sync.subjects import Subject, note
from crm_sync.tables import customers

CHUNK: Final = 200
INSTALMENT: Final = "instalment"


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


@dataclass(frozen=True, slots=True)
class Owed:
    """An unpaid payment that a plan may take the place of."""

    key: str
    amount_minor: int
    currency: str
    due_on: str


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
            dues.c.replaced_at.is_(None),
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


def agree_plan(conn: Connection, effect: AgreePayPlan, subject: Subject) -> None:
    """Instalments take the place of these payments: reminders follow them, staff see both and the case."""
    for key in replace_with(conn, effect, subject.customer_id, subject.now):
        note(conn, subject, "pay_plan_agreed", effect.plan, key)


def owed_about(conn: Connection, customer_id: int, asset_id: int | None, subject: str) -> list[Owed]:
    """What the customer has not paid and has no plan for: of this thing (by id or key), or of none in particular."""
    found = conn.execute(
        select(dues.c.key, dues.c.amount_minor, dues.c.currency, dues.c.due_on)
        .outerjoin(assets, assets.c.id == dues.c.asset_id)
        .where(
            dues.c.customer_id == customer_id,
            dues.c.paid_on == "",
            dues.c.replaced_at.is_(None),
            dues.c.plan_of.is_(None),
            or_(dues.c.asset_id.is_(None), dues.c.asset_id == asset_id, assets.c.key == subject),
        )
        .order_by(dues.c.id)
    )
    return [Owed(*row) for row in found]


def replace_with(conn: Connection, effect: AgreePayPlan, customer_id: int, now: datetime) -> list[str]:
    """The instalments are due in place of these payments of the customer; keys of those that could be replaced."""
    replaced: list[str] = []
    mine = and_(
        dues.c.customer_id == customer_id,
        dues.c.key.in_(list(effect.parts)),
        dues.c.paid_on == "",
        dues.c.replaced_at.is_(None),
        dues.c.plan_of.is_(None),
    )
    for row in conn.execute(select(dues).where(mine).order_by(dues.c.id).with_for_update()).all():
        parts, about = effect.parts[row.key], {"plan": effect.plan, "case": effect.case_number}
        conn.execute(
            update(dues)
            .where(dues.c.id == row.id)
            .values(replaced_at=now, updated_at=now, details={**row.details, **about})
        )
        shared = {"customer_id": row.customer_id, "asset_id": row.asset_id, "currency": row.currency}
        insert_rows(
            conn,
            dues,
            [
                {
                    **shared,
                    "key": f"{row.key}#{place}",
                    "kind": INSTALMENT,
                    "amount_minor": part.amount_minor,
                    "due_on": part.due_on,
                    "details": {**about, "part": f"{place}/{len(parts)}"},
                    "plan_of": row.id,
                    "updated_at": now,
                }
                for place, part in enumerate(parts, 1)
            ],
        )
        replaced.append(row.key)
    return replaced


def settle_plans(conn: Connection, keys: Collection[str], now: datetime) -> None:
    """Of those of these payments that are paid now, the instalments are paid too."""
    paid = dues.alias("paid")
    whole = select(paid.c.paid_on).where(paid.c.id == dues.c.plan_of).scalar_subquery()
    over = select(paid.c.id).where(paid.c.key.in_(list(keys)), paid.c.paid_on != "", paid.c.replaced_at.is_not(None))
    still = and_(dues.c.plan_of.in_(over), dues.c.paid_on == "")
    conn.execute(update(dues).where(still).values(paid_on=whole, updated_at=now))


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
