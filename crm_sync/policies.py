"""Rules of the service desk that were changed in the store, every version kept; histories to try them on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select

from crm_sync.accounts import NONE, Account, accounts_of
from crm_sync.models import raise_epoch
from crm_sync.service_tables import policies, sites
from crm_sync.sites import HOURS
from crm_sync.tables import case_events, cases


@dataclass(frozen=True, slots=True)
class StoredPolicy:
    """A version of an assistant's service.yml; `document` is its parsed content."""

    version: int
    document: Any
    note: str
    author: str
    at: datetime


@dataclass(frozen=True, slots=True)
class CaseLine:
    """A case and what happened to it, as far as promises are concerned: (when, kind, author, status) in order."""

    number: str
    opened_at: datetime
    severity: int
    site_calendar: str
    events: tuple[tuple[datetime, str, str, str], ...]
    account: Account = NONE  # where it came from


def newest(conn: Connection, assistant: str) -> StoredPolicy | None:
    """The version in force; None where service.yml was never changed in the store."""
    found = versions(conn, assistant, limit=1)
    return found[0] if found else None


def versions(conn: Connection, assistant: str, limit: int = 100) -> list[StoredPolicy]:
    """The newest versions, the newest first."""
    rows = conn.execute(
        select(policies).where(policies.c.assistant == assistant).order_by(policies.c.version.desc()).limit(limit)
    )
    return [StoredPolicy(row.version, row.document, row.note, row.author, row.at) for row in rows]


def put(conn: Connection, assistant: str, document: Any, *, note: str, author: str, now: datetime) -> int:
    """The document is in force from now on; its version. Every process notices within a second."""
    last = conn.execute(select(func.max(policies.c.version)).where(policies.c.assistant == assistant)).scalar()
    version = (last or 0) + 1
    row = {"assistant": assistant, "version": version, "document": document, "note": note, "author": author, "at": now}
    conn.execute(insert(policies), row)
    raise_epoch(conn)
    return version


def case_lines(conn: Connection, since: datetime, after: int, limit: int) -> tuple[list[CaseLine], int | None]:
    """Cases opened from `since` on whose id is above `after`, with their events; and the id to go on after, if any."""
    rows = conn.execute(
        select(
            cases.c.id,
            cases.c.number,
            cases.c.opened_at,
            cases.c.severity,
            cases.c.conversation_id,
            cases.c.customer_id,
            HOURS.label("calendar"),
        )
        .join_from(cases, sites, sites.c.id == cases.c.site_id, isouter=True)
        .where(cases.c.opened_at >= since, cases.c.id > after, cases.c.kind == "complaint")
        .order_by(cases.c.id)
        .limit(limit)
    ).all()
    happened: dict[int, list[tuple[datetime, str, str, str]]] = {row.id: [] for row in rows}
    events = conn.execute(
        select(case_events)
        .where(case_events.c.case_id.in_(list(happened)), case_events.c.is_internal.is_(False))
        .order_by(case_events.c.id)
    )
    for event in events:
        status = str((event.changes or {}).get("status", ""))
        happened[event.case_id].append((event.at, event.kind, event.author, status))
    came = accounts_of(conn, [(row.conversation_id, row.customer_id) for row in rows])
    lines = [
        CaseLine(row.number, row.opened_at, row.severity, row.calendar or "", tuple(happened[row.id]), account)
        for row, account in zip(rows, came, strict=True)
    ]
    return lines, rows[-1].id if len(rows) == limit else None
