"""The turn store: conversations leased to workers, and the commit of what they decided."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import structlog
from sqlalchemy import Connection, and_, or_, select

from bot.errors import StaleState
from bot.ports import Claimed, Clock, Committed, TurnsCommit
from bot.types import Capabilities, CustomerId, InboxId, Need
from crm_sync import claims, lookup_codes
from crm_sync.appointments import taken_slots
from crm_sync.broadcast_talk import last_sent
from crm_sync.case_news import case_news
from crm_sync.columns import is_filled
from crm_sync.committing import HandledElsewhere, commit_turns
from crm_sync.consent_register import open_requests, wishes_of
from crm_sync.database import Database
from crm_sync.links import find_offer
from crm_sync.numbers import next_case_number, read
from crm_sync.outages import open_outages
from crm_sync.queue_views import queue_view
from crm_sync.sites import active_sites
from crm_sync.snapshot_parts import CASE_COLUMNS, ORDER_COLUMNS, case_of, order_of
from crm_sync.tables import cases, customers, orders

log = structlog.get_logger(__name__)


class SqlTurns:
    """Implements `bot.ports.TurnStore`."""

    def __init__(self, database: Database, clock: Clock, fault: Callable[[str], None]) -> None:
        self._database, self._clock, self._fault = database, clock, fault
        self._passive: Mapping[str, float] = {}
        self.can_send_codes = False

    def know(self, channels: Mapping[str, Capabilities], *, can_send_codes: bool = False) -> None:
        """On which channels a webhook waits to carry the reply back itself, and how long; whether codes can be sent."""
        self.can_send_codes = can_send_codes
        self._passive = {
            name: capabilities.passive_s
            for name, capabilities in channels.items()
            if capabilities.passive_s is not None
        }

    async def claim(self, worker: str, limit: int) -> list[Claimed]:
        """Up to `limit` conversations with unhandled messages are leased for 10 s, longest waiting first."""
        # A lease lost to a power cut is a lease nobody holds any more.
        claimed = await self._database.run(
            lambda conn: claims.claim(conn, worker, limit, self._clock.now()), durable=False
        )
        if claimed:
            self._fault("claim.after_commit")
        return claimed

    async def renew(self, leases: Sequence[Claimed]) -> None:
        """The leases run for another 10 s; lost ones stay lost (commit will notice)."""
        await self._database.run(lambda conn: claims.renew(conn, leases, self._clock.now()), durable=False)

    async def release(self, claimed: Claimed, *, retry_at: datetime | None = None) -> None:
        """The conversation is given back undone; not claimed again before `retry_at`."""
        await self._database.run(lambda conn: claims.release(conn, claimed, retry_at), durable=False)

    async def park(self, claimed: Claimed, inbox_id: InboxId, reason: str) -> None:
        """One message that cannot be handled is set aside, and the conversation released."""
        await self._database.run(lambda conn: claims.park(conn, claimed, inbox_id, reason, self._clock.now()))

    async def fetch(self, needs: Sequence[Need], customer_id: CustomerId) -> dict[Need, Any]:
        """Answers to the needs, as `bot.types.Need` says for each kind; a missing row is None.

        Raises: ValueError for a need of another kind.
        """
        writes = any(need.kind == "case_number" for need in needs)
        fetch = partial(_fetch, needs, customer_id, self._clock.now(), can_send_codes=self.can_send_codes)
        return await self._database.run(fetch, read=not writes)

    async def commit(self, commits: Sequence[TurnsCommit]) -> list[Committed]:
        """One transaction for all; each conversation succeeds or is left untouched by itself."""
        leave_out: frozenset[int] = frozenset()
        for _ in range(len(commits) + 1):
            try:
                committed = await self._database.run(partial(self._write, commits, leave_out))
            except HandledElsewhere as found:
                log.warning("turns_found_handled", conversations=sorted(found.conversation_ids))
                leave_out |= found.conversation_ids
                continue
            self._fault("turn.after_commit")
            return committed
        raise StaleState("every conversation of the commit was handled elsewhere")

    def _write(self, commits: Sequence[TurnsCommit], leave_out: frozenset[int], conn: Connection) -> list[Committed]:
        committed = commit_turns(conn, commits, self._clock.now(), leave_out=leave_out, passive=self._passive)
        self._fault("turn.before_commit")
        return committed


def _fetch(
    needs: Sequence[Need], customer_id: CustomerId, now: datetime, conn: Connection, *, can_send_codes: bool
) -> dict[Need, Any]:
    return {need: _answer(conn, need, customer_id, now, can_send_codes=can_send_codes) for need in needs}


def _answer(conn: Connection, need: Need, customer_id: CustomerId, now: datetime, *, can_send_codes: bool) -> Any:
    match need.kind:
        case "case_number":
            return next_case_number(conn)
        case "case":
            return find_case(conn, need.key, customer_id)
        case "order":
            return _order(conn, need.key, customer_id)
        case "link":
            return find_offer(conn, need.key, now)
        case "sites":
            return active_sites(conn, need.key)
        case "slots":
            return taken_slots(conn, need.key)
        case "case_events":
            return case_news(conn, need.key, customer_id)
        case "outages":
            return open_outages(conn)
        case "wishes":
            return wishes_of(conn, customer_id)
        case "consent_requests":
            return tuple(request.purpose for request in open_requests(conn, customer_id, now))
        case "queue":
            return queue_view(conn, need.key, now)
        case "broadcast":
            return last_sent(conn, need.key, now)
        case "lookup":
            return lookup_codes.lookup(conn, need.key, now, can_send=can_send_codes)
        case "code":
            return lookup_codes.try_code(conn, need.key, now)
    raise ValueError(f"the store cannot answer a need of kind {need.kind!r}")


def find_case(conn: Connection, number: str, customer_id: CustomerId) -> Any:
    """The customer's own case with this number, written in any usual way; None when there is none."""
    full = read(number)
    if full is None:
        return None
    mine = and_(cases.c.number == full, cases.c.customer_id == customer_id)
    row = conn.execute(select(*CASE_COLUMNS).where(mine)).first()
    return None if row is None else case_of(row)


def _order(conn: Connection, number: str, customer_id: CustomerId) -> Any:
    """The order, only when it is this customer's: by the record or by a verified phone.

    One statement, whose rows say nothing of orders that are not theirs.
    """
    proven = select(customers.c.phone).where(
        customers.c.id == customer_id, customers.c.phone_is_verified, is_filled(customers.c.phone)
    )
    mine = or_(orders.c.customer_id == customer_id, orders.c.phone.in_(proven))
    row = conn.execute(select(*ORDER_COLUMNS).where(orders.c.number == number.strip(), mine)).first()
    return None if row is None else order_of(row)
