"""What follows for broadcasts when somebody turns out to live in another zone."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, select, update

from bot.reach.states import BroadcastState
from crm_sync.broadcast_tables import broadcast_recipients, broadcasts
from crm_sync.columns import id_in, is_state

_UNDER_WAY: Final = (
    BroadcastState.SCHEDULED,
    BroadcastState.PREPARING,
    BroadcastState.RUNNING,
    BroadcastState.PAUSED,
    BroadcastState.STOPPED,
)


def zones_changed(conn: Connection, customer_ids: Collection[int], now: datetime) -> None:
    """Whoever of these waits for an hour of their zone is looked at again by the next claim, which knows the zone they
    are in now: it may be their hour already, or be later than was planned.
    """
    if not customer_ids:
        return
    row = broadcast_recipients.c
    under_way = select(broadcasts.c.id, broadcasts.c.occasion, broadcasts.c.document)
    for each in conn.execute(under_way.where(broadcasts.c.state.in_(_UNDER_WAY))).all():
        plan = each.document.get("plan", {})
        if not plan.get("in_each_zone"):
            continue
        steps = plan.get("steps") or [{"name": ""}]
        waits = (
            row.broadcast_id == each.id,
            id_in(row.customer_id, "ids"),
            row.occasion == each.occasion,
            row.step == steps[0]["name"],
            is_state(row.state, "pending"),
            row.not_before > now,
        )
        conn.execute(update(broadcast_recipients).where(*waits).values(not_before=now), {"ids": sorted(customer_ids)})
