"""Runs of broadcasts as those who carry them out move them on: due, being prepared, running, held by a rule, over.

Every change says from which state: a person who paused or cancelled meanwhile is never overruled.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, func, select, update

from bot.reach.states import BroadcastState
from crm_sync.broadcast_tables import broadcast_counts, broadcast_recipients, broadcast_waits, broadcasts
from crm_sync.columns import is_state
from crm_sync.tables import cases

S = BroadcastState
IN_SPITE_OF: Final = "in_spite_of"  # among the cursors: what had been tried when a stopped run was gone on with
_OPEN: Final = ("pending", "sending")
_TRIED: Final = ("sent", "failed", "uncertain")
_NO_FAILURES: Final = frozenset(
    {"blocked", "interrupted", "decided"}
)  # counted by itself, our own death, a person's word


@dataclass(frozen=True, slots=True)
class RunRow:
    """A broadcast under way."""

    id: int
    name: str
    state: BroadcastState
    version: int
    document: Mapping[str, Any]
    seed: int
    occasion: str
    events_through: Mapping[str, Any]
    next_at: datetime | None
    started_at: datetime | None


def due(conn: Connection, now: datetime) -> list[RunRow]:
    """Those whose time has come: to begin, to run again, or to take in what happened."""
    found = select(broadcasts).where(
        broadcasts.c.next_at <= now, broadcasts.c.next_at.is_not(None), broadcasts.c.state.in_([S.SCHEDULED, S.RUNNING])
    )
    return [_run(row) for row in conn.execute(found.order_by(broadcasts.c.next_at, broadcasts.c.id))]


def active(conn: Connection) -> list[RunRow]:
    """Those being prepared or sent."""
    found = select(broadcasts).where(is_state(broadcasts.c.state, "preparing", "running")).order_by(broadcasts.c.id)
    return [_run(row) for row in conn.execute(found)]


def rows_of(conn: Connection, ids: Collection[int]) -> list[RunRow]:
    """These broadcasts, whatever their state."""
    found = select(broadcasts).where(broadcasts.c.id.in_(sorted(ids))).order_by(broadcasts.c.id)
    return [_run(row) for row in conn.execute(found)]


def states(conn: Connection) -> dict[int, tuple[str, int]]:
    """Id -> state and version of those being prepared or sent; cheap enough to be asked four times a second."""
    found = select(broadcasts.c.id, broadcasts.c.state, broadcasts.c.version)
    rows = conn.execute(found.where(is_state(broadcasts.c.state, "preparing", "running")))
    return {row.id: (row.state, row.version) for row in rows}


def begin(conn: Connection, run: RunRow, occasion: str, next_at: datetime | None, now: datetime) -> bool:
    """It is being prepared, from the first customer on; False when somebody else was faster."""
    return _move(
        conn,
        run,
        S.PREPARING,
        now,
        occasion=occasion,
        next_at=next_at,
        through_customer=0,
        started_at=run.started_at or now,
    )


def watch(conn: Connection, run: RunRow, now: datetime, next_at: datetime, through: Mapping[str, Any]) -> bool:
    """It waits for what triggers it from now on; False when somebody else was faster."""
    return _move(conn, run, S.RUNNING, now, next_at=next_at, events_through=through, started_at=run.started_at or now)


def watches(conn: Connection, broadcast_id: int) -> bool:
    """Whether it still waits for what triggers it."""
    found = select(broadcasts.c.id).where(broadcasts.c.id == broadcast_id, broadcasts.c.next_at.is_not(None))
    return conn.execute(found).first() is not None


def prepared(conn: Connection, run: RunRow, now: datetime) -> bool:
    """All its recipients are written down: it runs."""
    return _move(conn, run, S.RUNNING, now)


def waits_for_next(conn: Connection, run: RunRow, now: datetime) -> bool:
    """This run is over, and its next one is waited for."""
    return _move(conn, run, S.SCHEDULED, now)


def finish(conn: Connection, run: RunRow, now: datetime) -> bool:
    """It is over, and nothing of it is left to do; False when something is, or it does not run (any more)."""
    locked = select(broadcasts.c.id).where(broadcasts.c.id == run.id, broadcasts.c.state == S.RUNNING)
    if conn.execute(locked.with_for_update()).first() is None or has_open(conn, run.id):
        return False
    return _move(conn, run, S.FINISHED, now, ended_at=now, next_at=None)


def has_open(conn: Connection, broadcast_id: int) -> bool:
    """Whether somebody is still to be sent to, is being sent to, or is between two steps of a journey."""
    row = broadcast_recipients.c
    for state in _OPEN:
        one = select(row.id).where(row.broadcast_id == broadcast_id, is_state(row.state, state)).limit(1)
        if conn.execute(one).first() is not None:
            return True
    waits = select(broadcast_waits.c.customer_id).where(
        broadcast_waits.c.broadcast_id == broadcast_id, broadcast_waits.c.at.is_not(None)
    )
    return conn.execute(waits.limit(1)).first() is not None


def hold(conn: Connection, broadcast_id: int, state: BroadcastState, reason: str, now: datetime) -> bool:
    """It is paused or stopped by a rule, and says why; False when it is not under way (any more)."""
    found = select(broadcasts).where(broadcasts.c.id == broadcast_id).with_for_update()
    row = conn.execute(found).first()
    if row is None or row.state not in (S.RUNNING, S.PREPARING, S.SCHEDULED):
        return False
    return _move(conn, _run(row), state, now, reason=reason, goes_on_as=row.state)


def look_again(conn: Connection, run: RunRow, at: datetime | None, **through: Any) -> None:
    """The scheduler looks at it again at this time; `through` says how far it came. Its version stays."""
    values: dict[str, Any] = {"next_at": at}
    if through:
        kept = select(broadcasts.c.events_through).where(broadcasts.c.id == run.id).with_for_update()
        values["events_through"] = {**(conn.execute(kept).scalar() or {}), **through}
    conn.execute(update(broadcasts).where(broadcasts.c.id == run.id).values(**values))


def cancelled_with_rest(conn: Connection) -> list[int]:
    """Cancelled broadcasts of whose recipients some still wait."""
    row = broadcast_recipients.c
    waiting = (
        select(row.id)
        .where(row.broadcast_id == broadcasts.c.id, is_state(row.state, "pending"))
        .correlate(broadcasts)
        .exists()
    )
    found = select(broadcasts.c.id).where(broadcasts.c.state == S.CANCELLED, waiting)
    return list(conn.execute(found.order_by(broadcasts.c.id)).scalars())


@dataclass(frozen=True, slots=True)
class Tried:
    """Of those tried: how many failed (or may have), of whom how many blocked us, and who complained since."""

    tried: int
    failures: int
    blocks: int
    complaints: int


def tried(conn: Connection, run: RunRow) -> Tried:
    """What the rules that stop a run look at: since somebody last went on in spite of them."""
    now, before = so_far(conn, run.id, run.started_at), run.events_through.get(IN_SPITE_OF, {})
    return Tried(**{name: max(0, count - before.get(name, 0)) for name, count in asdict(now).items()})


def so_far(conn: Connection, broadcast_id: int, started_at: datetime | None) -> Tried:
    """All that was tried since it began."""
    count = broadcast_counts.c
    counted = select(count.state, count.reason, func.sum(count.count).label("rows")).where(
        count.broadcast_id == broadcast_id, count.state.in_(_TRIED)
    )
    rows = conn.execute(counted.group_by(count.state, count.reason)).all()
    return Tried(
        tried=sum(int(each.rows) for each in rows),
        failures=sum(int(each.rows) for each in rows if each.state != "sent" and each.reason not in _NO_FAILURES),
        blocks=sum(int(each.rows) for each in rows if each.reason == "blocked"),
        complaints=_complained(conn, broadcast_id, started_at) if started_at else 0,
    )


def _complained(conn: Connection, broadcast_id: int, since: datetime) -> int:
    row = broadcast_recipients.c
    complained = (
        select(func.count(row.customer_id.distinct()))
        .join_from(cases, broadcast_recipients, row.customer_id == cases.c.customer_id)
        .where(
            cases.c.kind == "complaint",
            cases.c.opened_at >= since,
            row.broadcast_id == broadcast_id,
            row.sent_at <= cases.c.opened_at,
        )
    )
    return int(conn.execute(complained).scalar_one())


def _move(conn: Connection, run: RunRow, state: BroadcastState, now: datetime, **values: Any) -> bool:
    moved = (
        update(broadcasts)
        .where(broadcasts.c.id == run.id, broadcasts.c.state == run.state.value, broadcasts.c.occasion == run.occasion)
        .values(state=state.value, version=broadcasts.c.version + 1, updated_at=now, **values)
    )
    return conn.execute(moved).rowcount > 0


def _run(row: Any) -> RunRow:
    return RunRow(
        row.id,
        row.name,
        BroadcastState(row.state),
        row.version,
        row.document,
        row.seed,
        row.occasion,
        row.events_through or {},
        row.next_at,
        row.started_at,
    )
