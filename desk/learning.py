"""What cases teach: causes that come back, and more of one kind than usual, said before anybody reads a report."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy import Connection, select, update

from bot.business_time import zone
from bot.errors import InputError
from bot.service.cases import SpikeRules, spike
from crm_sync.case_counts import LEVELS, CauseCount, count_by_period, count_causes, put_alert
from crm_sync.database import Database
from crm_sync.service_tables import case_alerts
from crm_sync.staff_notices import notify
from desk.actors import Actor

log = structlog.get_logger(__name__)


def period_starts(rules: SpikeRules, now: datetime, timezone: str) -> list[datetime]:
    """When the earlier periods and the one under way began, the oldest first, by midnight in the business's zone."""
    local = now.astimezone(zone(timezone))
    today = local.date() - timedelta(days=local.weekday() if rules.period == "week" else 0)
    days = [today - timedelta(days=rules.period_days * back) for back in range(rules.periods, -1, -1)]
    return [datetime(day.year, day.month, day.day, tzinfo=local.tzinfo).astimezone(UTC) for day in days]


async def find_spikes(
    database: Database, rules: SpikeRules, now: datetime, timezone: str, *, told: Collection[str] = ()
) -> int:
    """Every kind of case that stands out in the period under way has its alert, once; how many are new.

    `told`: staff who have a notice when any is.
    """
    starts = period_starts(rules, now, timezone)
    period = starts[-1], starts[-1] + timedelta(days=rules.period_days)
    least = max(1, min(rules.least, rules.count))

    def unit(conn: Connection) -> int:
        new = 0
        for level in LEVELS:
            for counted in count_by_period(conn, level, starts, least):
                found = spike(counted.now, counted.before, rules)
                if found and put_alert(conn, counted, period, now, expected=found.expected, sigma=found.sigma):
                    new += 1
                    log.warning(
                        "case_spike_found", category=counted.category, quality_type=counted.quality_type,
                        site_id=counted.site_id, count=counted.now, expected=round(found.expected, 2),
                    )  # fmt: skip
        if new:
            notify(conn, told, "case_spike", now)
        return new

    return await database.run(unit)


async def repeated_causes(
    database: Database, actor: Actor, since: datetime, until: datetime, *, by: str = "kind", least: int = 2
) -> list[CauseCount]:
    """Causes found again and again in this time, by kind, site or product. Raises: NotPermitted, InputError."""
    actor.require("cases.read")
    if by not in LEVELS:
        raise InputError(f"causes are counted by {', '.join(LEVELS)}, not by {by!r}")
    if since >= until:
        raise InputError("the time ends before it begins")
    return await database.run(lambda conn: count_causes(conn, since, until, by=by, least=least), read=True)


async def see_alert(database: Database, actor: Actor, alert_id: int, now: datetime) -> bool:
    """Somebody looks into the alert; False when somebody did before. Raises: NotPermitted."""
    actor.require("cases.work")
    unseen = (case_alerts.c.id == alert_id) & case_alerts.c.seen_at.is_(None)
    seen = update(case_alerts).where(unseen).values(seen_by=actor.name, seen_at=now)
    return await database.run(lambda conn: conn.execute(seen).rowcount > 0)


async def open_alerts(database: Database, actor: Actor) -> list[dict[str, object]]:
    """Alerts nobody has looked into, the newest first. Raises: NotPermitted."""
    actor.require("cases.read")
    waiting = select(case_alerts).where(case_alerts.c.seen_at.is_(None)).order_by(case_alerts.c.id.desc()).limit(200)
    return await database.run(lambda conn: [dict(row._mapping) for row in conn.execute(waiting)], read=True)
