"""Candidates in training: asked for, taken by one worker at a time, followed by everybody, kept with their outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, and_, insert, or_, select, update

from crm_sync.columns import is_state
from crm_sync.learning_tables import trainings

QUEUED, RUNNING, DONE, FAILED, CANCELLED = "queued", "running", "done", "failed", "cancelled"
OPEN: Final = (QUEUED, RUNNING)
LOST_AFTER: Final = timedelta(seconds=60)  # without a sign of life
MOST_ATTEMPTS: Final = 3


@dataclass(frozen=True, slots=True)
class Training:
    """One run. `comparison` is empty before it is done; see nlu/shadow.py."""

    id: int
    assistant: str
    state: str
    step: str
    progress: float
    by: str
    at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    baseline: str
    candidate: str
    attempts: int = 0
    reason: str = ""
    comparison: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_open(self) -> bool:
        return self.state in OPEN


def ask(conn: Connection, assistant: str, by: str, now: datetime) -> Training:
    """A training of this assistant waits or is under way; the one that was there already, if any."""
    waiting = _newest(conn, assistant, is_state(trainings.c.state, *OPEN))
    if waiting is not None:
        return waiting
    row = {"assistant": assistant, "state": QUEUED, "by": by, "at": now}
    inserted = conn.execute(insert(trainings).values(row)).inserted_primary_key
    return find(conn, int(inserted[0]) if inserted else 0)  # type: ignore[return-value]


def take(conn: Connection, worker: str, now: datetime) -> Training | None:
    """The longest waiting one is this worker's; also one whose worker gives no sign of life. None: nothing to do."""
    lost = and_(trainings.c.state == RUNNING, trainings.c.beat_at < now - LOST_AFTER)
    is_free = or_(trainings.c.state == QUEUED, lost)
    waiting = conn.execute(
        select(trainings.c.id, trainings.c.attempts)
        .where(is_state(trainings.c.state, *OPEN), is_free)
        .order_by(trainings.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    ).first()
    if waiting is None:
        return None
    if waiting.attempts >= MOST_ATTEMPTS:
        end(conn, waiting.id, FAILED, now, reason="its process ended before it was done, three times")
        return None
    conn.execute(
        update(trainings)
        .where(trainings.c.id == waiting.id)
        .values(state=RUNNING, worker=worker, started_at=now, beat_at=now, attempts=waiting.attempts + 1, progress=0)
    )
    return find(conn, waiting.id)


def is_any_open(conn: Connection) -> bool:
    """Cheap enough to ask every second."""
    return conn.execute(select(trainings.c.id).where(is_state(trainings.c.state, *OPEN)).limit(1)).first() is not None


def beat(conn: Connection, training_id: int, worker: str, *, step: str, progress: float, now: datetime) -> bool:
    """Everybody sees how far it is; False when it is no longer this worker's, which is to stop."""
    mine = and_(trainings.c.id == training_id, trainings.c.worker == worker, trainings.c.state == RUNNING)
    changed = update(trainings).where(mine).values(step=step, progress=progress, beat_at=now)
    return conn.execute(changed).rowcount > 0


def end(conn: Connection, training_id: int, state: str, now: datetime, **more: Any) -> bool:
    """It is over, with these columns; False when it was over already."""
    still = and_(trainings.c.id == training_id, is_state(trainings.c.state, *OPEN))
    return conn.execute(update(trainings).where(still).values(state=state, ended_at=now, **more)).rowcount > 0


def find(conn: Connection, training_id: int) -> Training | None:
    row = conn.execute(select(trainings).where(trainings.c.id == training_id)).first()
    return None if row is None else _training(row)


def newest(conn: Connection, assistant: str) -> Training | None:
    """The last one that was asked for."""
    return _newest(conn, assistant)


def newest_done(conn: Connection, assistant: str) -> Training | None:
    """The last one that has a candidate."""
    return _newest(conn, assistant, trainings.c.state == DONE)


def _newest(conn: Connection, assistant: str, *where: Any) -> Training | None:
    mine = select(trainings).where(trainings.c.assistant == assistant, *where).order_by(trainings.c.id.desc()).limit(1)
    row = conn.execute(mine).first()
    return None if row is None else _training(row)


def _training(row: Any) -> Training:
    return Training(
        row.id, row.assistant, row.state, row.step, row.progress, row.by, row.at, row.started_at, row.ended_at,
        row.baseline, row.candidate, row.attempts, row.reason, row.comparison,
    )  # fmt: skip
