"""What the customer was told about their case, word for word: the answer to a need `case_events`."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, and_, select

from bot.service_types import CaseNews
from crm_sync.numbers import read
from crm_sync.tables import case_events, cases

NEWEST: Final = 5
_LOOKED_AT: Final = 50  # lines of a history: among them are those of the customer, of clocks and of the system
# By whom -> the status their words were told with; "": words beside the status. Why a case was given to somebody else,
# and what a site says when it accepts, is left to staff: the notice of it has words of its own.
_TOLD: Final = {"operator": ("", "in_progress", "waiting_customer", "solved", "withdrawn"), "site": ("", "solved")}


def case_news(conn: Connection, number: str, customer_id: int) -> tuple[CaseNews, ...]:
    """The last words staff and site gave the customer about this case of theirs, the newest first; never internal."""
    full = read(number)
    if full is None:
        return ()
    told = and_(
        cases.c.number == full,
        cases.c.customer_id == customer_id,
        case_events.c.author.in_(sorted(_TOLD)),
        case_events.c.kind.in_(("note", "status", "updated")),
        case_events.c.is_internal.is_(False),
        case_events.c.note != "",
    )
    rows = conn.execute(
        select(case_events.c.at, case_events.c.author, case_events.c.note, case_events.c.changes)
        .join_from(case_events, cases, cases.c.id == case_events.c.case_id)
        .where(told)
        .order_by(case_events.c.id.desc())
        .limit(_LOOKED_AT)
    )
    found = [CaseNews(row.at, row.note) for row in rows if row.changes.get("status", "") in _TOLD[row.author]]
    return tuple(found[:NEWEST])
