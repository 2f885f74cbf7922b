"""Appointments in the store: which places of a site's slots are taken."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Final

from sqlalchemy import Connection, select

from crm_sync.service_tables import appointments, sites

MOST_DAYS: Final = 400


def taken_slots(conn: Connection, key: str) -> tuple[datetime, ...]:
    """The starts of a site's booked places for a service, one entry per place; `key` as `bot.types.Need` says.

    Days are taken generously, because they begin at another moment in every zone.
    """
    site, service, first, days = key.split("|")
    begins = datetime.combine(date.fromisoformat(first), datetime.min.time(), UTC) - timedelta(days=1)
    ends = begins + timedelta(days=min(int(days), MOST_DAYS) + 2)
    found = conn.execute(
        select(appointments.c.starts_at)
        .join_from(appointments, sites, sites.c.id == appointments.c.site_id)
        .where(
            sites.c.key == site,
            appointments.c.service == service,
            appointments.c.state == "booked",
            appointments.c.starts_at >= begins,
            appointments.c.starts_at < ends,
        )
        .order_by(appointments.c.starts_at, appointments.c.place)
    )
    return tuple(found.scalars())
