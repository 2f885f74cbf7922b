"""Known faults and planned work."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select

from bot.service_types import Outage
from crm_sync.service_tables import outages


def open_outages(conn: Connection) -> tuple[Outage, ...]:
    """The outages that are not over, planned ones too, in the order in which they began."""
    rows = conn.execute(select(outages).where(outages.c.ended_at.is_(None)).order_by(outages.c.starts_at, outages.c.id))
    return tuple(outage_of(row) for row in rows)


def outage_of(row: Any) -> Outage:
    """The outage in a row of `outages`."""
    return Outage(
        id=row.id,
        key=row.key,
        kind=row.kind,
        area=row.area,
        starts_at=row.starts_at,
        expected_end_at=row.expected_end_at,
        latitude=row.latitude,
        longitude=row.longitude,
        radius_m=row.radius_m,
    )
