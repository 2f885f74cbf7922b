"""What follows a broadcast, noted and reckoned in the background: answers each minute, effects while they grow."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta, tzinfo
from functools import partial
from typing import Final

import structlog
from sqlalchemy import Connection

from bot.errors import BotError, ServiceError
from crm_sync import broadcast_answers, broadcast_effect
from crm_sync import broadcasts as rows
from crm_sync.store import SqlStore
from desk.broadcast_results import ResultDesk
from frontdesk.clock import SystemClock
from frontdesk.periodic import Periodic
from frontdesk.scheduler import Context

log = structlog.get_logger()

EVERY_ANSWERS: Final = timedelta(minutes=1)
EVERY_RESULTS: Final = timedelta(minutes=15)
LAST: Final = 200  # newest broadcasts whose results may still grow


def broadcast_jobs(zone: Callable[[], tzinfo]) -> tuple[Periodic, ...]:
    """Both jobs; documents of broadcasts are read in `zone`."""
    return (
        Periodic("broadcast_answers", EVERY_ANSWERS, note_answers),
        Periodic("broadcast_results", EVERY_RESULTS, partial(reckon, zone=zone)),
    )


async def note_answers(store: SqlStore, context: Context) -> None:
    """What came in is noted, some rows in each transaction."""
    while await store.database.run(lambda conn: broadcast_answers.note_on(conn, context.now)):
        log.debug("broadcast_answers_noted")


async def reckon(store: SqlStore, context: Context, *, zone: Callable[[], tzinfo]) -> None:
    """Each broadcast whose window is not over has results of now; one that cannot be reckoned holds up no other."""
    desk = ResultDesk(store.database, SystemClock(), zone)
    found = await store.database.run(lambda conn: rows.listed(conn, limit=LAST), read=True)
    for stored in found:
        if stored.started_at is None:
            continue
        kept = await store.database.run(partial(_share, stored.id), read=True)
        if kept >= 1:
            continue
        try:
            await desk.reckon(stored, fresh=timedelta())
        except ServiceError:
            raise
        except BotError as error:
            log.error("broadcast_not_reckoned", broadcast=stored.id, error=type(error).__name__)


def _share(broadcast_id: int, conn: Connection) -> float:
    found = broadcast_effect.kept(conn, broadcast_id)
    return 0.0 if found is None else found[1]
