"""Looking at cases: one with all that belongs to it, and the board, page by page over an index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Integer, Select, and_, bindparam, func, select
from sqlalchemy.sql.elements import ColumnElement

from bot.errors import NotFound
from bot.service_types import CLOSED_STATUSES
from crm_sync.cases import found_case
from crm_sync.clocks import ACTIVE
from crm_sync.columns import id_in, is_filled, is_state
from crm_sync.service_tables import case_links, clocks, compensations, site_tasks, sites
from crm_sync.statements import Statement
from crm_sync.tables import case_events, cases, conversations, customers

PAGE: Final = 50
MOST: Final = 200
FEW_LATE: Final = 1000


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
    late_at: datetime | None = None  # a promise has run out by then


@dataclass(frozen=True, slots=True)
class CaseLine:
    """A case as a list shows it. `due_at`: of the promise that runs out first; None: none runs.

    `is_warned`: most of a promise's time is spent. `escalated`: how many rungs of the ladder were climbed.
    """

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
    is_warned: bool = False
    escalated: int = 0
    customer_name: str = ""


_LINE: Final = tuple(
    name
    for name in CaseLine.__dataclass_fields__
    if name not in ("due_at", "is_late", "is_warned", "escalated", "customer_name")
)
_LINES: Final = select(
    *(cases.c[name] for name in _LINE),
    # Not joined: so it is read for the lines of the page alone, whatever the plan.
    select(customers.c.name).where(customers.c.id == cases.c.customer_id).scalar_subquery().label("customer_name"),
)
_DUE: Final = (
    select(
        clocks.c.case_id,
        func.min(clocks.c.due_at).label("due_at"),
        func.min(clocks.c.breached_at).label("late"),
        func.min(clocks.c.warned_at).label("warned"),
        func.max(clocks.c.escalated).label("escalated"),
    )
    .where(id_in(clocks.c.case_id, "ids"), is_state(clocks.c.state, "running"))
    .group_by(clocks.c.case_id)
)
_SITE: Final = (
    sites.c.key.label("site"), sites.c.names, sites.c.latitude, sites.c.longitude, sites.c.address, sites.c.phone
)  # fmt: skip
_RAN_OUT: Final = and_(
    is_state(clocks.c.state, "running"),
    clocks.c.due_at <= bindparam("at", type_=clocks.c.due_at.type),
    clocks.c.case_id.is_not(None),
)
_LATE: Final = Statement(select(clocks.c.case_id).where(_RAN_OUT))
_HOW_MANY_LATE: Final = Statement(
    select(func.count().label("many")).select_from(
        select(clocks.c.id).where(_RAN_OUT).limit(bindparam("most", type_=Integer)).subquery()
    )
)
_NAMES: Final = select(customers.c.id, customers.c.name).where(id_in(customers.c.id, "ids"))


def list_cases(conn: Connection, which: BoardFilter, *, before: int | None = None, limit: int = PAGE) -> list[CaseLine]:
    """A page of cases, the newest first; `before`: the id of the last one of the page before. Raises: NotFound."""
    rows = conn.execute(page(conn, which, before, limit)).all()
    if not rows:
        return []
    due = {row.case_id: row for row in conn.execute(_DUE, {"ids": [row.id for row in rows]})}
    return [_line(row, due.get(row.id)) for row in rows]


def names_of(conn: Connection, customer_ids: Sequence[int]) -> dict[int, str]:
    """What these customers are called."""
    return {row.id: row.name for row in conn.execute(_NAMES, {"ids": sorted(set(customer_ids))})}


def _line(row: Any, due: Any) -> CaseLine:
    plain = row._mapping
    if due is None:
        return CaseLine(**plain)
    return CaseLine(
        **plain,
        due_at=due.due_at,
        is_late=due.late is not None,
        is_warned=due.warned is not None,
        escalated=due.escalated,
    )


def page(conn: Connection, which: BoardFilter, before: int | None, limit: int) -> Select[Any]:
    """The statement of `list_cases`, also for the benchmark's look at its plan."""
    statement = _LINES.where(*conditions(conn, which))
    if before is not None:
        statement = statement.where(cases.c.id < before)
    return statement.order_by(cases.c.id.desc()).limit(max(1, min(limit, MOST)))


def conditions(conn: Connection, which: BoardFilter) -> list[ColumnElement[bool]]:
    """What a case must meet, in the words of the board's indexes. Raises: NotFound for a site there is none of."""
    wanted: list[ColumnElement[bool]] = []
    if which.status in CLOSED_STATUSES:
        wanted += [~cases.c.is_open, cases.c.status == which.status]
    else:
        wanted += [cases.c.is_open]
        wanted += [cases.c.status == which.status] if which.status else []
    wanted += [cases.c.team == which.team] if which.team else []
    wanted += [cases.c.owner == which.owner, is_filled(cases.c.owner)] if which.owner else []
    if which.site:
        site_id = conn.execute(select(sites.c.id).where(sites.c.key == which.site)).scalar()
        if site_id is None:
            raise NotFound(f"there is no site {which.site!r}")
        wanted += [cases.c.site_id == site_id, cases.c.site_id.is_not(None)]
    wanted += [cases.c.severity == which.severity] if which.severity is not None else []
    wanted += [cases.c.kind == which.kind] if which.kind else []
    wanted += [cases.c.customer_id == which.customer_id] if which.customer_id is not None else []
    wanted += [_is_late(conn, which.late_at)] if which.late_at is not None else []
    return wanted


def _is_late(conn: Connection, at: datetime) -> ColumnElement[bool]:
    """A promise of the case has run out by then.

    Where that is rare, those cases are named; where it is not, a page soon comes together by asking each case in turn.
    A database that chose between the two by itself would read through all clocks.
    """
    if _HOW_MANY_LATE.rows(conn, {"at": at, "most": FEW_LATE + 1})[0].many <= FEW_LATE:
        late = {row.case_id for row in _LATE.rows(conn, {"at": at})}
        return id_in(cases.c.id, "late").params(late=sorted(late))
    # In the words of the index that has all of it; what stands still runs out never. Not EXISTS, of which PostgreSQL
    # makes a join over all cases.
    late_one = and_(clocks.c.case_id == cases.c.id, is_state(clocks.c.state, *ACTIVE), clocks.c.due_at <= at)
    return select(clocks.c.case_id).where(late_one).limit(1).correlate(cases).scalar_subquery().is_not(None)


def case_view(conn: Connection, number: str) -> dict[str, Any]:
    """The case with its history, clocks, conversations, compensations and site tasks. Raises: CaseNotFound."""
    row = found_case(conn, number)
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
    ):
        found[name] = _dicts(conn, select(table).where(table.c.case_id == row.id).order_by(table.c.id))
    asked = select(site_tasks, *_SITE).join_from(site_tasks, sites, sites.c.id == site_tasks.c.site_id)
    found["site_tasks"] = _dicts(conn, asked.where(site_tasks.c.case_id == row.id).order_by(site_tasks.c.id))
    return found


def _dicts(conn: Connection, statement: Select[Any]) -> list[dict[str, Any]]:
    return [dict(row._mapping) for row in conn.execute(statement)]
