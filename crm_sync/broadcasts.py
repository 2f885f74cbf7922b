"""Broadcasts as rows: written, approved, begun, held, gone on with and ended. Every change checks the version it saw.

Whoever sends reads the state again before each claim, so that a change here is what everybody does within a second.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, func, select, update

from bot.errors import InputError, NotFound, RuleError, StaleState
from bot.reach.states import BroadcastState
from crm_sync.broadcast_runs import IN_SPITE_OF, so_far
from crm_sync.broadcast_tables import broadcast_counts, broadcasts
from crm_sync.rows import insert_if_absent

S = BroadcastState
EDITABLE: Final = (S.DRAFT, S.WAITING, S.APPROVED)
UNDER_WAY: Final = (S.SCHEDULED, S.PREPARING, S.RUNNING)
HELD: Final = (S.PAUSED, S.STOPPED)
OVER: Final = (S.FINISHED, S.CANCELLED)


@dataclass(frozen=True, slots=True)
class Stored:
    """One broadcast as it is now. `document` is what `bot.reach.document` reads."""

    id: int
    name: str
    state: BroadcastState
    document: Mapping[str, Any]
    version: int
    seed: int
    created_by: str
    created_at: datetime
    updated_at: datetime
    approved_by: str
    approved_at: datetime | None
    is_approved: bool  # this very document
    next_at: datetime | None
    occasion: str
    reason: str
    goes_on_as: str
    started_at: datetime | None
    ended_at: datetime | None
    edited_by: str  # who wrote it last

    def was_written_by(self, name: str) -> bool:
        """Whether they made it, or wrote what it says now: who did does not approve it."""
        return name in (self.created_by, self.edited_by)


def digest(document: Mapping[str, Any]) -> str:
    """What an approval is given for: another document has another one."""
    return hashlib.sha256(json.dumps(document, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def create(conn: Connection, name: str, document: Mapping[str, Any], *, by: str, now: datetime) -> Stored:
    """A draft. Raises: InputError when the name is taken."""
    row = {
        "name": name,
        "state": S.DRAFT.value,
        "document": document,
        "seed": secrets.randbelow(2**31),
        "created_by": by,
        "created_at": now,
        "updated_at": now,
    }
    if not insert_if_absent(conn, broadcasts, row, key=("name",)):
        raise InputError(f"there is a broadcast called {name!r} already")
    return named(conn, name)


def named(conn: Connection, name: str) -> Stored:
    """Raises: NotFound."""
    row = conn.execute(select(broadcasts).where(broadcasts.c.name == name)).first()
    if row is None:
        raise NotFound(f"there is no broadcast called {name!r}")
    return _stored(row)


def listed(conn: Connection, *, states: Sequence[str] = (), before: int | None = None, limit: int = 50) -> list[Stored]:
    """The newest first; those with a smaller id than `before`, in one of the `states` where any are given."""
    found = select(broadcasts).order_by(broadcasts.c.id.desc()).limit(limit)
    if states:
        found = found.where(broadcasts.c.state.in_(states))
    if before is not None:
        found = found.where(broadcasts.c.id < before)
    return [_stored(row) for row in conn.execute(found)]


def edit(conn: Connection, name: str, document: Mapping[str, Any], *, version: int, by: str, now: datetime) -> Stored:
    """It says this now and is a draft again, whoever had approved it. Raises: NotFound, StaleState, RuleError."""
    stored = _locked(conn, name, version)
    if stored.state not in EDITABLE:
        raise RuleError(f"{name!r} is {stored.state}: only what has not begun can be changed; make a copy")
    void = {"state": S.DRAFT, "approved_by": "", "approved_at": None, "approved_digest": ""}
    return _write(conn, stored, now, document=document, edited_by=by, **void)


def wait_for_approval(conn: Connection, name: str, *, version: int, now: datetime) -> Stored:
    """A second person is asked. Raises: NotFound, StaleState, RuleError."""
    stored = _locked(conn, name, version)
    if stored.state not in (S.DRAFT, S.WAITING):
        raise RuleError(f"{name!r} is {stored.state} already")
    return _write(conn, stored, now, state=S.WAITING)


def approve(conn: Connection, name: str, *, version: int, by: str, now: datetime) -> Stored:
    """This document may be sent. Raises: NotFound, StaleState, RuleError (its own author, or nothing to approve)."""
    stored = _locked(conn, name, version)
    if stored.state not in (S.DRAFT, S.WAITING):
        raise RuleError(f"{name!r} is {stored.state}: there is nothing to approve")
    if stored.was_written_by(by):
        raise RuleError("whoever wrote a broadcast does not approve it")
    return _write(
        conn, stored, now, state=S.APPROVED, approved_by=by, approved_at=now, approved_digest=digest(stored.document)
    )


def segment_changed(conn: Connection, segment: str, now: datetime) -> list[Stored]:
    """Broadcasts to this segment, which means others from now on, that somebody approved or began: those that changed.

    What was to begin later is a draft again, whose size is looked at and which is approved anew; a run that comes again
    is held before the next time. Whoever is just looking at one is told that it was changed.
    """
    found = select(broadcasts).where(broadcasts.c.state.in_([*EDITABLE, S.SCHEDULED])).order_by(broadcasts.c.id)
    reason = f"the segment {segment!r} was changed"
    void = {"state": S.DRAFT, "approved_by": "", "approved_at": None, "approved_digest": "", "next_at": None}
    changed = []
    for stored in [_stored(row) for row in conn.execute(found.with_for_update())]:
        if stored.state is S.DRAFT or stored.document.get("audience", {}).get("segment") != segment:
            continue
        if stored.state is S.WAITING:
            changed.append(_write(conn, stored, now))
        elif stored.started_at is not None:
            changed.append(hold(conn, stored, S.PAUSED, reason, now))
        else:
            changed.append(_write(conn, stored, now, **void, reason=reason))
    return changed


def begin(conn: Connection, name: str, *, version: int, at: datetime, now: datetime) -> Stored:
    """It is prepared from `at` on. Raises: NotFound, StaleState (the second of two who begin it), RuleError."""
    stored = _locked(conn, name, version)
    if stored.state not in EDITABLE:
        raise RuleError(f"{name!r} is {stored.state} already")
    return _write(conn, stored, now, state=S.SCHEDULED, next_at=at, reason="")


def pause(conn: Connection, name: str, *, by: str, now: datetime) -> Stored:
    """Nothing more of it leaves but what is at the vendor this moment. Pausing what is paused changes nothing.

    Raises: NotFound, RuleError.
    """
    stored = _locked(conn, name, None)
    if stored.state in HELD:
        return stored
    if stored.state not in UNDER_WAY:
        raise RuleError(f"{name!r} is {stored.state}: there is nothing to pause")
    return hold(conn, stored, S.PAUSED, f"paused by {by}", now)


def hold(conn: Connection, stored: Stored, state: BroadcastState, reason: str, now: datetime) -> Stored:
    """It is paused or stopped, and knows as what it goes on."""
    return _write(conn, stored, now, state=state, reason=reason, goes_on_as=stored.state.value)


def resume(conn: Connection, name: str, *, now: datetime) -> Stored:
    """It goes on where it was, with those not yet tried; what a rule stopped is judged by those tried from now on.

    Raises: NotFound, RuleError when it is not held.
    """
    stored = _locked(conn, name, None)
    if stored.state not in HELD:
        raise RuleError(f"{name!r} is {stored.state}: there is nothing to resume")
    if stored.state is S.STOPPED:
        mine = broadcasts.c.id == stored.id
        kept = conn.execute(select(broadcasts.c.events_through).where(mine)).scalar() or {}
        known = {**kept, IN_SPITE_OF: asdict(so_far(conn, stored.id, stored.started_at))}
        conn.execute(update(broadcasts).where(mine).values(events_through=known))
    return _write(conn, stored, now, state=S(stored.goes_on_as or S.PREPARING), reason="", goes_on_as="")


def cancel(conn: Connection, name: str, *, by: str, now: datetime) -> Stored:
    """Nothing more of it ever leaves; whoever was still to get it is skipped by the senders as cancelled.

    Cancelling what was cancelled changes nothing. Raises: NotFound, RuleError when it is finished.
    """
    stored = _locked(conn, name, None)
    if stored.state is S.CANCELLED:
        return stored
    if stored.state is S.FINISHED:
        raise RuleError(f"{name!r} is finished: there is nothing to cancel")
    return _write(conn, stored, now, state=S.CANCELLED, reason=f"cancelled by {by}", next_at=None, ended_at=now)


def counts_of(conn: Connection, broadcast_id: int) -> list[tuple[str, str, str, int]]:
    """Arm, state, reason and how many recipients, of those there are any of."""
    rows = conn.execute(
        select(
            broadcast_counts.c.arm,
            broadcast_counts.c.state,
            broadcast_counts.c.reason,
            broadcast_counts.c.count.label("recipients"),
        )
        .where(broadcast_counts.c.broadcast_id == broadcast_id, broadcast_counts.c.count > 0)
        .order_by(broadcast_counts.c.state, broadcast_counts.c.reason, broadcast_counts.c.arm)
    )
    return [(row.arm, row.state, row.reason, row.recipients) for row in rows]


def recipients_of(conn: Connection, broadcast_ids: Sequence[int]) -> dict[int, int]:
    """How many recipients each has, whatever became of them."""
    total = func.sum(broadcast_counts.c.count).label("total")
    rows = conn.execute(
        select(broadcast_counts.c.broadcast_id, total)
        .where(broadcast_counts.c.broadcast_id.in_(broadcast_ids))
        .group_by(broadcast_counts.c.broadcast_id)
    )
    return {row.broadcast_id: int(row.total) for row in rows}


def _locked(conn: Connection, name: str, version: int | None) -> Stored:
    row = conn.execute(select(broadcasts).where(broadcasts.c.name == name).with_for_update()).first()
    if row is None:
        raise NotFound(f"there is no broadcast called {name!r}")
    if version is not None and row.version != version:
        raise StaleState(f"{name!r} was changed meanwhile")
    return _stored(row)


def _write(conn: Connection, stored: Stored, now: datetime, **values: Any) -> Stored:
    changed = {**values, "version": stored.version + 1, "updated_at": now}
    if isinstance(changed.get("state"), BroadcastState):
        changed["state"] = changed["state"].value
    conn.execute(update(broadcasts).where(broadcasts.c.id == stored.id).values(**changed))
    return named(conn, stored.name)


def _stored(row: Any) -> Stored:
    return Stored(
        row.id,
        row.name,
        BroadcastState(row.state),
        row.document,
        row.version,
        row.seed,
        row.created_by,
        row.created_at,
        row.updated_at,
        row.approved_by,
        row.approved_at,
        bool(row.approved_digest) and row.approved_digest == digest(row.document),
        row.next_at,
        row.occasion,
        row.reason,
        row.goes_on_as,
        row.started_at,
        row.ended_at,
        row.edited_by or row.created_by,
    )
