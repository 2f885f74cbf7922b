"""What a person decides about messages of a broadcast of which nobody knows whether they left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select, update

from bot.ports import TOPIC_BROADCASTS, Clock, Signals
from bot.reach.states import BroadcastState
from crm_sync import broadcasts as rows
from crm_sync.broadcast_tables import broadcast_recipients, broadcasts
from crm_sync.columns import is_state
from crm_sync.database import Database
from crm_sync.recipient_claims import decide
from desk.actors import Actor
from desk.audit import record


@dataclass(frozen=True, slots=True)
class Uncertain:
    """A recipient who may or may not have got it. `reason`: lost (the answer), interrupted (our process died)."""

    id: int
    customer_id: int
    conversation_id: int
    channel: str
    account: str
    reason: str


class UncertainSends:
    """Each change is one transaction and is in the audit log. Raises: NotPermitted, NotFound,
    RuleError for a recipient that is not uncertain (any more).
    """

    def __init__(self, database: Database, signals: Signals, clock: Clock) -> None:
        self._database, self._signals, self._clock = database, signals, clock

    async def find(self, actor: Actor, name: str, limit: int = 100) -> list[Uncertain]:
        """The oldest of a broadcast."""
        actor.require("broadcasts.read")

        def unit(conn: Connection) -> list[Uncertain]:
            row = broadcast_recipients.c
            found = (
                select(row.id, row.customer_id, row.conversation_id, row.channel, row.account, row.reason)
                .where(row.broadcast_id == rows.named(conn, name).id, is_state(row.state, "uncertain"))
                .order_by(row.id)
                .limit(limit)
            )
            return [Uncertain(*each) for each in conn.execute(found)]

        return await self._database.run(unit, read=True)

    async def mark_failed(self, actor: Actor, name: str, ids: Sequence[int] | None = None) -> int:
        """These (None: all) count as failed and are never tried again; how many."""
        return await self._decide(actor, name, ids, again=False)

    async def send_again(self, actor: Actor, name: str, ids: Sequence[int] | None = None) -> int:
        """These (None: all) are due again, though some may get it twice; how many."""
        return await self._decide(actor, name, ids, again=True)

    async def _decide(self, actor: Actor, name: str, ids: Sequence[int] | None, *, again: bool) -> int:
        actor.require("broadcasts.send")
        now = self._clock.now()

        def unit(conn: Connection) -> int:
            stored = rows.named(conn, name)
            count = decide(conn, stored.id, ids, again=again, now=now)
            if again and count and stored.state is BroadcastState.FINISHED:
                _reopen(conn, stored.id, now)
            action = "broadcast.send_again" if again else "broadcast.mark_failed"
            record(conn, actor, action, f"broadcast:{stored.id}", {"recipients": count}, now=now)
            return count

        count = await self._database.run(unit)
        self._signals.publish(TOPIC_BROADCASTS)
        return count


def _reopen(conn: Connection, broadcast_id: int, now: datetime) -> None:
    values = {"state": BroadcastState.RUNNING.value, "version": broadcasts.c.version + 1, "updated_at": now}
    conn.execute(update(broadcasts).where(broadcasts.c.id == broadcast_id).values(**values, ended_at=None))
