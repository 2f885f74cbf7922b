"""The night's work on the record: what customers are worth now, and who calls for care."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy import Connection

from bot.service.care import CareRule, fell, missed, quarter
from bot.service.policy import ServicePolicy
from bot.service.value import Purchase, value_class, worth
from bot.types import CreateTask
from crm_sync import care
from crm_sync.database import Database
from crm_sync.staff import staff_names
from crm_sync.store import SqlStore
from crm_sync.value import History, compute_values

if TYPE_CHECKING:
    from frontdesk.scheduler import Context

log = structlog.get_logger()


async def compute(database: Database, policy: ServicePolicy, now: datetime) -> int:
    """Figures, ranks, stage and next action of every customer are those of now; how many have any."""
    count = await compute_values(database, partial(_figures, policy, now), value_class, now)
    log.info("values_computed", customers=count)
    return count


def _figures(policy: ServicePolicy, now: datetime, history: History) -> dict[str, Any]:
    purchases = [Purchase(at, amount, currency) for at, amount, currency in history.purchases]
    found = worth(purchases, policy.record, now, has_open_complaint=history.has_open_complaint)
    return {
        "visits": found.visits,
        "last_at": found.last_at,
        "usual_interval_s": found.usual_interval.total_seconds() if found.usual_interval else None,
        "amount_year_minor": found.amount_year,
        "amount_before_minor": found.amount_before,
        "currency": found.currency,
        "lifecycle": found.lifecycle,
        "next_action": found.next_action,
    }


async def look_after(database: Database, policy: ServicePolicy, now: datetime) -> int:
    """Every signal there is has a task, once per occasion; how many tasks are new.

    A rule that names somebody there is not goes to their team or the manager, and a line of the log names the rule.
    """
    count = 0
    staff = await database.run(staff_names, read=True)
    for stated in policy.care.rules:
        rule = replace(stated, assignee=assignee_of(stated, policy, staff))
        if rule.assignee != stated.assignee:
            log.warning("care_assignee_unknown", rule=rule.name)
        after: int | None = 0
        while after is not None:
            found, after = await database.run(partial(_page, rule, policy, now, after))
            count += found
    log.info("care_looked_for", tasks=count)
    return count


def assignee_of(rule: CareRule, policy: ServicePolicy, staff: Collection[str]) -> str:
    """Who is asked: whom the rule names, when there is such a colleague or team, else who stands in; "" for anybody."""

    def exists(name: str) -> bool:
        return name in policy.routing.teams or name in staff

    if not rule.assignee or exists(rule.assignee):
        return rule.assignee
    return next((name for name in policy.routing.stands_in(rule.assignee) if exists(name)), "")


def _page(rule: CareRule, policy: ServicePolicy, now: datetime, after: int, conn: Connection) -> tuple[int, int | None]:
    seen = care.signs(conn, rule.signal, rule.level, after, now)
    made = 0
    for sign in seen:
        occasion = _occasion(rule, policy, sign, now)
        if occasion and (not rule.classes or sign.value_class in rule.classes):
            made += care.follow_up(conn, sign, occasion, _task(rule, sign, now), now)
    return made, seen[-1].row_id if len(seen) == care.PAGE else None


def _occasion(rule: CareRule, policy: ServicePolicy, sign: care.Sign, now: datetime) -> str:
    """What tells this occasion from the next; "" when the signal is not given."""
    match rule.signal:
        case "no_visit":
            if sign.last_at is None or not sign.usual_interval_s:
                return ""
            usual = timedelta(seconds=sign.usual_interval_s)
            is_missed = missed(sign.last_at, usual, rule.level, policy.record.lost_after, now)
            return sign.last_at.isoformat() if is_missed else ""
        case "falling_amount":
            return quarter(now) if fell(sign.amount_year, sign.amount_before, rule.level) else ""
    return sign.occasion


def _task(rule: CareRule, sign: care.Sign, now: datetime) -> CreateTask:
    task = CreateTask(
        kind=f"care:{rule.name}",
        summary=rule.name,
        due_at=now + timedelta(days=rule.due_days),
        assignee=rule.assignee,
        rule=rule.name,
        suggestion=rule.words(sign.language, sign.name),
    )
    return replace(task, case_number=sign.case_number) if sign.case_number else task


async def nightly(store: SqlStore, context: Context) -> None:
    """Figures first, since signals follow from them."""
    await compute(store.database, context.policy, context.now)
    await look_after(store.database, context.policy, context.now)
