"""What staff see of the outbox and may do with it: what did not leave, why, and sending or dropping it by hand."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import structlog
from sqlalchemy import ColumnElement, Connection, func, literal_column, select, update

from bot.errors import NotFound, RuleError
from bot.ports import Clock
from bot.types import Lane
from crm_sync.columns import is_state
from crm_sync.committing import LANES
from crm_sync.database import Database
from crm_sync.tables import conversations, outbox

log = structlog.get_logger(__name__)

NEEDS_STAFF: Final = ("parked", "failed", "uncertain")
STATES: Final = ("pending", "sending", "sent", "failed", "uncertain", "parked", "held", "dropped")
_LANE_OF: Final = {rank: lane for lane, rank in LANES.items()}
_is_held: ColumnElement[Any] = literal_column("outbox.is_held")


@dataclass(frozen=True, slots=True)
class Unsent:
    """One row of the outbox without its words (`frontdesk customer show` has those)."""

    id: int
    state: str  # as in the store; `held` for what is parked until the customer writes
    channel: str
    account: str
    lane: str
    conversation_id: int
    customer_id: int
    message_id: int
    attempts: int
    maybe_repeated: bool
    reason: str
    created_at: datetime
    not_before: datetime | None


class OutboxDesk:
    """The outbox as commands and screens use it."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def find(self, states: Collection[str] = (), limit: int = 100) -> list[Unsent]:
        """The newest rows in these states, oldest first; without states those that need somebody, and what is held.

        Raises: ValueError for an unknown state.
        """
        unknown = set(states) - set(STATES)
        if unknown:
            raise ValueError(f"unknown state {', '.join(sorted(unknown))}; there are {', '.join(STATES)}")
        return await self._database.run(lambda conn: _find(conn, states, limit), read=True)

    async def counts(self) -> Mapping[str, int]:
        """How many rows are in each state that is not the end of a good story."""
        return await self._database.run(_counts, read=True)

    async def retry(self, ids: Sequence[int], *, may_repeat: bool = False) -> int:
        """These rows are due now, before what was decided after them; how many.

        Raises: NotFound, RuleError (one of them is not set aside, or is an uncertain broadcast and `may_repeat` is
        not given); nothing is changed then.
        """
        now = self._clock.now()
        return await self._database.run(lambda conn: retry_rows(conn, ids, now, may_repeat=may_repeat))

    async def retry_parked(self) -> int:
        """Every parked row that is not held is due now; how many."""
        now = self._clock.now()

        def unit(conn: Connection) -> int:
            parked = select(outbox.c.id).where(is_state(outbox.c.state, "parked"), ~outbox.c.is_held)
            return retry_rows(conn, conn.execute(parked.order_by(outbox.c.id)).scalars().all(), now, may_repeat=False)

        return await self._database.run(unit)

    async def drop(self, ids: Sequence[int]) -> int:
        """These rows will not be sent; how many. Raises: NotFound, RuleError (sent, or being sent)."""
        now = self._clock.now()
        return await self._database.run(lambda conn: drop_rows(conn, ids, now))


def _find(conn: Connection, states: Collection[str], limit: int) -> list[Unsent]:
    in_store = [state for state in states if state not in ("held", "parked")]
    fits = [is_state(outbox.c.state, *in_store)] if in_store else []
    if "parked" in states:
        fits.append(is_state(outbox.c.state, "parked") & ~outbox.c.is_held)
    if "held" in states:
        fits.append(_is_held)
    if not states:
        fits.append(is_state(outbox.c.state, *NEEDS_STAFF))
    condition = fits[0]
    for other in fits[1:]:
        condition |= other
    newest = (
        select(outbox, conversations.c.customer_id)
        .join_from(outbox, conversations, conversations.c.id == outbox.c.conversation_id)
        .where(condition)
        .order_by(outbox.c.id.desc())
        .limit(limit)
    )
    return [_unsent(row) for row in reversed(conn.execute(newest).all())]


def _unsent(row: Any) -> Unsent:
    return Unsent(
        id=row.id,
        state="held" if row.is_held else row.state,
        channel=row.channel,
        account=row.account,
        lane=_LANE_OF[row.lane].value,
        conversation_id=row.conversation_id,
        customer_id=row.customer_id,
        message_id=row.message_id,
        attempts=row.attempts,
        maybe_repeated=row.maybe_repeated,
        reason=row.reason,
        created_at=row.created_at,
        not_before=row.not_before,
    )


def _counts(conn: Connection) -> dict[str, int]:
    counted = conn.execute(
        select(outbox.c.state, outbox.c.is_held, func.count().label("rows"))
        .where(is_state(outbox.c.state, *NEEDS_STAFF))
        .group_by(outbox.c.state, outbox.c.is_held)
    )
    found: dict[str, int] = {}
    for row in counted:
        state = "held" if row.is_held else row.state
        found[state] = found.get(state, 0) + row.rows
    return found


def _locked(conn: Connection, ids: Sequence[int]) -> list[Any]:
    """Raises: NotFound."""
    rows = conn.execute(select(outbox).where(outbox.c.id.in_(ids)).order_by(outbox.c.id).with_for_update()).all()
    missing = sorted(set(ids) - {row.id for row in rows})
    if missing:
        raise NotFound(f"no outbox row {', '.join(map(str, missing))}; frontdesk outbox list shows them")
    return list(rows)


def retry_rows(conn: Connection, ids: Sequence[int], now: datetime, *, may_repeat: bool = False) -> int:
    """As `OutboxDesk.retry`, inside a transaction."""
    rows = _locked(conn, ids)
    for row in rows:
        if row.state not in NEEDS_STAFF:
            raise RuleError(f"outbox row {row.id} is {row.state}; only what was set aside can be tried again")
        if row.state == "uncertain" and row.lane == LANES[Lane.BROADCAST] and not may_repeat:
            raise RuleError(
                f"nobody knows whether broadcast row {row.id} left; add --yes-it-may-repeat to send it all the same"
            )
    for row in rows:
        conn.execute(
            update(outbox)
            .where(outbox.c.id == row.id)
            .values(
                state="pending",
                attempts=0,
                reason="",
                is_held=False,
                merged_into=None,
                not_before=None,
                maybe_repeated=row.maybe_repeated or row.state == "uncertain",
                set_aside_at=row.set_aside_at or now,
            )
        )
    log.info("outbox_rows_retried", ids=[row.id for row in rows])
    return len(rows)


def drop_rows(conn: Connection, ids: Sequence[int], now: datetime, *, reason: str = "dropped by staff") -> int:
    """As `OutboxDesk.drop`, inside a transaction."""
    rows = _locked(conn, ids)
    for row in rows:
        if row.state not in (*NEEDS_STAFF, "pending"):
            raise RuleError(f"outbox row {row.id} is {row.state} and cannot be dropped")
    values = {"state": "dropped", "is_held": False, "reason": reason, "set_aside_at": now}
    conn.execute(update(outbox).where(outbox.c.id.in_([row.id for row in rows])).values(**values))
    log.info("outbox_rows_dropped", ids=[row.id for row in rows])
    return len(rows)
