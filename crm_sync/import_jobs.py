"""Imports as jobs: which rows of which file are in the store, and why others are not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, insert, select, update

from bot.errors import NotFound, StaleState
from crm_sync.import_rows import RowError
from crm_sync.service_tables import import_errors, import_jobs
from crm_sync.statements import insert_rows


@dataclass(frozen=True, slots=True)
class Job:
    """An import as the store knows it. `next_row` is the first row not dealt with, as a person counts them."""

    id: int
    kind: str
    file_name: str
    state: str  # running | done | stopped
    next_row: int
    accepted: int
    rejected: int
    started_at: datetime
    ended_at: datetime | None


def last_job(conn: Connection, kind: str, sha256: str, mapping: Mapping[str, str]) -> Job | None:
    """The latest import of this very file, read in the same way."""
    found = conn.execute(
        select(import_jobs)
        .where(import_jobs.c.kind == kind, import_jobs.c.sha256 == sha256)
        .order_by(import_jobs.c.id.desc())
    )
    return next((_job(row) for row in found if dict(row.mapping) == dict(mapping)), None)


def latest_of(conn: Connection, kind: str) -> Job | None:
    """The latest import of this kind."""
    newest = select(import_jobs).where(import_jobs.c.kind == kind).order_by(import_jobs.c.id.desc()).limit(1)
    row = conn.execute(newest).first()
    return None if row is None else _job(row)


def begin(conn: Connection, values: Mapping[str, Any], now: datetime) -> Job:
    """A new job whose first row is the one below the header."""
    key = conn.execute(insert(import_jobs).values(**values, state="running", next_row=2, started_at=now))
    return get_job(conn, key.inserted_primary_key[0])  # type: ignore[index]  # an insert of one row always has a key


def get_job(conn: Connection, job_id: int) -> Job:
    """Raises: NotFound."""
    row = conn.execute(select(import_jobs).where(import_jobs.c.id == job_id)).first()
    if row is None:
        raise NotFound(f"no import {job_id}; without a number they are listed")
    return _job(row)


def advance(conn: Connection, job: Job, next_row: int, accepted: int, errors: Sequence[RowError]) -> Job:
    """These rows are dealt with. Raises: StaleState when another process goes on with the same job."""
    moved = conn.execute(
        update(import_jobs)
        .where(and_(import_jobs.c.id == job.id, import_jobs.c.next_row == job.next_row))
        .values(
            state="running",
            next_row=next_row,
            accepted=job.accepted + accepted,
            rejected=job.rejected + len(errors),
        )
    ).rowcount
    if not moved:
        raise StaleState(f"import {job.id} is being carried out by another process")
    insert_rows(
        conn,
        import_errors,
        [{"job_id": job.id, "row": error.line, "column": error.column, "reason": error.reason} for error in errors],
    )
    return get_job(conn, job.id)


def end(conn: Connection, job: Job, state: str, now: datetime) -> None:
    """The job is done, or stopped where it can go on."""
    conn.execute(update(import_jobs).where(import_jobs.c.id == job.id).values(state=state, ended_at=now))


def jobs(conn: Connection, limit: int = 50) -> list[Job]:
    """The latest imports, newest first."""
    return [_job(row) for row in conn.execute(select(import_jobs).order_by(import_jobs.c.id.desc()).limit(limit))]


def all_errors(conn: Connection, job_id: int) -> list[RowError]:
    """Every row of an import that was left out, in order, and why. Raises: NotFound."""
    get_job(conn, job_id)
    found = conn.execute(select(import_errors).where(import_errors.c.job_id == job_id).order_by(import_errors.c.row))
    return [RowError(row.row, row.reason, row.column) for row in found]


def _job(row: Any) -> Job:
    return Job(
        row.id,
        row.kind,
        row.file_name,
        row.state,
        row.next_row,
        row.accepted,
        row.rejected,
        row.started_at,
        row.ended_at,
    )
