"""When a run is over, when it has to stop, and what follows from a message that was sent."""

from __future__ import annotations

from datetime import datetime

import structlog
from sqlalchemy import Connection

from bot.reach.states import BroadcastState
from crm_sync import broadcast_runs
from crm_sync.broadcast_runs import Tried
from frontdesk.broadcast_runs import Run

log = structlog.get_logger()


def over_or_stopped(conn: Connection, run: Run, now: datetime) -> bool:
    """True when it does not run any more: everybody was tried, or too many are annoyed."""
    found = broadcast_runs.tried(conn, run.row)
    if reason := why_stop(found, run):
        log.error("broadcast_stopped", broadcast=run.row.id, reason=reason)
        return broadcast_runs.hold(conn, run.row.id, BroadcastState.STOPPED, reason, now)
    if broadcast_runs.has_open(conn, run.row.id):
        return False
    if run.broadcast.plan.on is not None and broadcast_runs.watches(conn, run.row.id):
        return False
    if run.broadcast.plan.on is None and run.row.next_at is not None:
        return broadcast_runs.waits_for_next(conn, run.row, now)
    return broadcast_runs.finish(conn, run.row, now)


def why_stop(found: Tried, run: Run) -> str:
    """The first share that is passed, in words; "" while all is well."""
    stop = run.broadcast.stop
    if not found.tried or found.tried < stop.after:
        return ""
    for name, count, most in (
        ("failed", found.failures, stop.failures),
        ("blocked us", found.blocks, stop.blocks),
        ("complained", found.complaints, stop.complaints),
    ):
        if count / found.tried > most:
            return f"{count} of {found.tried} {name}, more than {most:.1%}"
    return ""
