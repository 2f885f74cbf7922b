"""What somebody of the staff should look at: a mention, an assignment, words that could not be sent."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, func, select, update

from crm_sync.console_tables import staff_notices
from crm_sync.statements import insert_rows
from crm_sync.tables import staff_users

MOST_COUNTED = 100
MOST_CALLED: Final = 1000  # told of in one look
ABOUT_CASES: Final = frozenset(
    {"case_changed", "case_warned", "case_breached", "compensation_proposed", "compensation_decided"}
)


@dataclass(frozen=True, slots=True)
class StaffNotice:
    """One line of the bell: mention, assigned, transferred, scheduled_refused … `reference`: a note, a reason.

    Of the kinds in ABOUT_CASES it is the number of the case.
    """

    id: int
    kind: str
    conversation_id: int | None
    reference: str
    by: str
    at: datetime
    read_at: datetime | None


def notify(
    conn: Connection,
    names: Collection[str],
    kind: str,
    now: datetime,
    *,
    conversation_id: int | None = None,
    reference: str = "",
    by: str = "",
) -> None:
    """Those of them who have an account find it among their notices."""
    line = {"kind": kind, "conversation_id": conversation_id, "reference": reference, "by": by, "at": now}
    notify_each(conn, [(name, line) for name in sorted(names)])


def notify_each(conn: Connection, lines: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
    """Each (name, line) is among the notices of who has that name, in one go; names without an account are left out."""
    if not lines:
        return
    wanted = sorted({name for name, _ in lines})
    found = select(staff_users.c.name, staff_users.c.id).where(
        staff_users.c.name.in_(wanted), staff_users.c.disabled_at.is_(None)
    )
    known: dict[str, int] = dict(conn.execute(found).all())
    insert_rows(conn, staff_notices, [{"user_id": known[name], **line} for name, line in lines if name in known])


def notices_of(conn: Connection, user_id: int, *, before: int | None, limit: int, unread: bool) -> list[StaffNotice]:
    """Notices of one account, the newest first."""
    found = select(staff_notices).where(staff_notices.c.user_id == user_id)
    if before is not None:
        found = found.where(staff_notices.c.id < before)
    if unread:
        found = found.where(staff_notices.c.read_at.is_(None))
    rows = conn.execute(found.order_by(staff_notices.c.id.desc()).limit(limit))
    return [
        StaffNotice(row.id, row.kind, row.conversation_id, row.reference, row.by, row.at, row.read_at) for row in rows
    ]


def newest_id(conn: Connection) -> int:
    """Notices that come later have a higher one; 0 where there is none."""
    return int(conn.execute(select(func.coalesce(func.max(staff_notices.c.id), 0))).scalar_one())


def called_after(conn: Connection, after: int) -> list[tuple[int, str]]:
    """(id, whose) of the notices with a higher id, the oldest first."""
    mine = select(staff_notices.c.id, staff_users.c.name).join_from(
        staff_notices, staff_users, staff_users.c.id == staff_notices.c.user_id
    )
    rows = conn.execute(mine.where(staff_notices.c.id > after).order_by(staff_notices.c.id).limit(MOST_CALLED))
    return [(row.id, row.name) for row in rows]


def unread_of(conn: Connection, user_id: int) -> int:
    """How many are unread; MOST_COUNTED stands for that many or more."""
    unread = select(staff_notices.c.id).where(staff_notices.c.user_id == user_id, staff_notices.c.read_at.is_(None))
    return int(conn.execute(select(func.count()).select_from(unread.limit(MOST_COUNTED).subquery())).scalar_one())


def read(conn: Connection, user_id: int, ids: Sequence[int] | None, now: datetime) -> int:
    """These (None: all) are read; how many were not before."""
    mine = [staff_notices.c.user_id == user_id, staff_notices.c.read_at.is_(None)]
    if ids is not None:
        mine.append(staff_notices.c.id.in_(ids))
    return conn.execute(update(staff_notices).where(*mine).values(read_at=now)).rowcount
