"""Looking at cases: one with all that belongs to it, and the board, page by page over an index."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Select, func, select

from bot.errors import CaseNotFound, NotFound
from bot.service_types import CLOSED_STATUSES
from crm_sync.cases import full_number
from crm_sync.columns import id_in, is_filled, is_state
from crm_sync.service_tables import case_links, clocks, compensations, site_tasks, sites
from crm_sync.tables import case_events, cases, conversations, customers

PAGE: Final = 50
MOST: Final = 200


@dataclass(frozen=True, slots=True)
class BoardFilter:
    """Which cases. Without a status: all that are open. Empty or None: any."""

    status: str = ""
    team: str = ""
    owner: str = ""
    site: str = ""  # key
    severity: int | None = None
    kind: str = ""
    customer_id: int | None = None


@dataclass(frozen=True, slots=True)
class CaseLine:
    """A case as a list shows it. `due_at`: of the promise that runs out first; None: none runs."""

    id: int  # cursor: the next page begins below it
    number: str
    kind: str
    category: str
    quality_type: str
    subject: str
    severity: int
    status: str
    summary: str
    team: str
    owner: str
    customer_id: int
    opened_at: datetime
    updated_at: datetime
    version: int
    due_at: datetime | None = None
    is_late: bool = False


_LINE: Final = tuple(name for name in CaseLine.__dataclass_fields__ if name not in ("due_at", "is_late"))
_DUE: Final = (
    select(clocks.c.case_id, func.min(clocks.c.due_at).label("due_at"), func.min(clocks.c.breached_at).label("late"))
    .where(id_in(clocks.c.case_id, "ids"), is_state(clocks.c.state, "running"))
    .group_by(clocks.c.case_id)
)


def list_cases(conn: Connection, which: BoardFilter, *, before: int | None = None, limit: int = PAGE) -> list[CaseLine]:
    """A page of cases, the newest first; `before`: the id of the last one of the page before. Raises: NotFound."""
    rows = conn.execute(page(conn, which, before, limit)).all()
    if not rows:
        return []
    due = {row.case_id: row for row in conn.execute(_DUE, {"ids": [row.id for row in rows]})}
    return [
        CaseLine(
            **{name: getattr(row, name) for name in _LINE},
            due_at=due[row.id].due_at if row.id in due else None,
            is_late=row.id in due and due[row.id].late is not None,
        )
        for row in rows
    ]


def page(conn: Connection, which: BoardFilter, before: int | None, limit: int) -> Select[Any]:
    """The statement of `list_cases`, also for the benchmark's look at its plan."""
    statement = select(*(cases.c[name] for name in _LINE))
    if which.status in CLOSED_STATUSES:
        statement = statement.where(~cases.c.is_open, cases.c.status == which.status)
    else:
        statement = statement.where(cases.c.is_open)
        if which.status:
            statement = statement.where(cases.c.status == which.status)
    if which.team:
        statement = statement.where(cases.c.team == which.team)
    if which.owner:
        statement = statement.where(cases.c.owner == which.owner, is_filled(cases.c.owner))
    if which.site:
        site_id = conn.execute(select(sites.c.id).where(sites.c.key == which.site)).scalar()
        if site_id is None:
            raise NotFound(f"there is no site {which.site!r}")
        statement = statement.where(cases.c.site_id == site_id, cases.c.site_id.is_not(None))
    if which.severity is not None:
        statement = statement.where(cases.c.severity == which.severity)
    if which.kind:
        statement = statement.where(cases.c.kind == which.kind)
    if which.customer_id is not None:
        statement = statement.where(cases.c.customer_id == which.customer_id)
    if before is not None:
        statement = statement.where(cases.c.id < before)
    return statement.order_by(cases.c.id.desc()).limit(max(1, min(limit, MOST)))


def case_view(conn: Connection, number: str) -> dict[str, Any]:
    """The case with its history, clocks, conversations, compensations and site tasks. Raises: CaseNotFound."""
    row = conn.execute(select(cases).where(cases.c.number == full_number(number))).first()
    if row is None:
        raise CaseNotFound(f"there is no case {number}")
    found = dict(row._mapping)
    found["site"] = conn.execute(select(sites.c.key).where(sites.c.id == row.site_id)).scalar() or ""
    found["customer_name"] = conn.execute(select(customers.c.name).where(customers.c.id == row.customer_id)).scalar()
    talks = select(conversations.c.id, conversations.c.channel, conversations.c.account).join(
        case_links, case_links.c.conversation_id == conversations.c.id
    )
    found["conversations"] = _dicts(conn, talks.where(case_links.c.case_id == row.id).order_by(case_links.c.at))
    for name, table in (
        ("events", case_events),
        ("clocks", clocks),
        ("compensations", compensations),
        ("site_tasks", site_tasks),
    ):
        found[name] = _dicts(conn, select(table).where(table.c.case_id == row.id).order_by(table.c.id))
    return found


def _dicts(conn: Connection, statement: Select[Any]) -> list[dict[str, Any]]:
    return [dict(row._mapping) for row in conn.execute(statement)]
