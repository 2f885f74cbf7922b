"""Cases counted by what they are about, where and when: one statement each, by the index on when they were opened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any, Final

from sqlalchemy import Connection, and_, case, func, select
from sqlalchemy.sql.elements import ColumnElement

from crm_sync.columns import digest_key
from crm_sync.rows import insert_if_absent
from crm_sync.service_tables import assets, case_alerts, sites
from crm_sync.tables import cases, conversations

COUNTED: Final = "complaint"
_PRODUCT: Final = func.coalesce(assets.c.name, "")  # of the thing it is about
# What is counted together: everything of a quality type, and the same at each site and for each product.
LEVELS: Final[Mapping[str, tuple[ColumnElement[Any], ...]]] = {
    "kind": (cases.c.category, cases.c.quality_type),
    "site": (cases.c.category, cases.c.quality_type, cases.c.site_id),
    "product": (cases.c.category, cases.c.quality_type, _PRODUCT),
}


@dataclass(frozen=True, slots=True)
class Counted:
    """How many cases of one kind were opened in the present period and in those before, the oldest first."""

    category: str
    quality_type: str
    site_id: int | None
    product: str
    now: int
    before: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CauseCount:
    """How often a cause was found, and what became of it."""

    cause: str
    category: str
    quality_type: str
    site: str  # key; "" where cases of all sites, or of none, are counted together
    product: str
    count: int
    reopened: int
    score: float | None  # mean of those that were rated


def count_by_period(conn: Connection, level: str, starts: Sequence[datetime], least: int) -> list[Counted]:
    """What at least `least` cases of the last period are about. `starts`: of each period; the last one is under way."""
    columns = LEVELS[level]
    opened = cases.c.opened_at
    periods = [
        func.sum(case((and_(opened >= start, opened < end), 1), else_=0)).label(f"p{place}")
        for place, (start, end) in enumerate(pairwise(starts))
    ]
    present = func.sum(case((opened >= starts[-1], 1), else_=0))
    statement = (
        select(*(column.label(f"k{place}") for place, column in enumerate(columns)), present.label("present"), *periods)
        .outerjoin_from(cases, assets, assets.c.id == cases.c.asset_id)
        .where(cases.c.kind == COUNTED, opened >= starts[0], cases.c.category != "")
        .group_by(*columns)
        .having(present >= least)
    )
    if level == "site":
        statement = statement.where(cases.c.site_id.is_not(None))
    if level == "product":
        statement = statement.where(_PRODUCT != "")
    return [
        Counted(
            row.k0,
            row.k1,
            row.k2 if level == "site" else None,
            row.k2 if level == "product" else "",
            int(row.present),
            tuple(int(getattr(row, f"p{place}")) for place in range(len(periods))),
        )
        for row in conn.execute(statement)
    ]


def put_alert(
    conn: Connection, counted: Counted, period: tuple[datetime, datetime], at: datetime, *, expected: float,
    sigma: float | None,
) -> bool:  # fmt: skip
    """The alert is there; False when this kind of case had one in this period before."""
    key = digest_key(
        counted.category, counted.quality_type, str(counted.site_id or ""), counted.product, period[0].isoformat()
    )
    if conn.execute(select(case_alerts.c.id).where(case_alerts.c.key == key)).first() is not None:
        return False
    row = {
        "key": key,
        "category": counted.category,
        "quality_type": counted.quality_type,
        "product": counted.product,
        "site_id": counted.site_id,
        "period_from": period[0],
        "period_to": period[1],
        "count": counted.now,
        "expected": expected,
        "sigma": sigma,
        "at": at,
    }
    insert_if_absent(conn, case_alerts, row, key=("key",))
    return True


def count_causes(
    conn: Connection, since: datetime, until: datetime, *, by: str, least: int, channel: str = ""
) -> list[CauseCount]:
    """Causes found at least `least` times in cases opened in this time, the most frequent first.

    `by`: kind, site or product, a key of LEVELS. `channel` "": cases of every one.
    """
    site = func.coalesce(sites.c.key, "") if by == "site" else None
    product = _PRODUCT if by == "product" else None
    columns = [cases.c.cause, cases.c.category, cases.c.quality_type]
    extra = [column for column in (site, product) if column is not None]
    statement = (
        select(
            *columns,
            *(column.label("extra") for column in extra),
            func.count().label("many"),
            func.sum(case((cases.c.reopened > 0, 1), else_=0)).label("reopened"),
            func.avg(cases.c.score).label("score"),
        )
        .outerjoin_from(cases, assets, assets.c.id == cases.c.asset_id)
        .outerjoin(sites, sites.c.id == cases.c.site_id)
        .where(cases.c.kind == COUNTED, cases.c.opened_at >= since, cases.c.opened_at < until, cases.c.cause != "")
        .group_by(*columns, *extra)
        .having(func.count() >= least)
        .order_by(func.count().desc(), *columns, *extra)
        .limit(500)
    )
    if channel:
        statement = statement.join(
            conversations, and_(conversations.c.id == cases.c.conversation_id, conversations.c.channel == channel)
        )
    return [
        CauseCount(
            row.cause,
            row.category,
            row.quality_type,
            row.extra if by == "site" else "",
            row.extra if by == "product" else "",
            int(row.many),
            int(row.reopened),
            None if row.score is None else round(float(row.score), 2),
        )
        for row in conn.execute(statement)
    ]
