"""Once a night everybody is looked through for who may be the same person: by equal e-mail, or equal name and birthday.

Both are weak evidence, so pairs are only proposed. The walk goes along two indexes, some hundred values at a time, and
each step reads before it writes: on SQLite no turn waits for the looking.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import groupby
from typing import Any, Final

from sqlalchemy import Connection, and_, func, select
from sqlalchemy.dialects import postgresql, sqlite

from crm_sync.columns import is_filled, is_postgres
from crm_sync.database import Database
from crm_sync.merge_evidence import TELLERS, alike
from crm_sync.merging import is_merged
from crm_sync.service_tables import customer_attributes, merge_proposals
from crm_sync.tables import customers

STEP: Final = 500  # e-mail addresses or birthdays looked at in one statement
AT_ONCE: Final = 200  # proposals written in one transaction
_SOMEBODY: Final = (customers.c.erased_at.is_(None), ~is_merged(customers.c.id))
_HOW_MANY: Final = func.count(customers.c.id)
_FEW: Final = _HOW_MANY.between(2, TELLERS)  # what more people share (info@, 1 January 1970) says nothing


@dataclass(frozen=True, slots=True)
class Found:
    """Proposals to be written, and the value the walk has come to; None at its end."""

    rows: Sequence[dict[str, Any]]
    after: Any


Look = Callable[[Connection, Any, datetime], Found]


async def propose_all(database: Database, now: datetime, *, step: int = STEP) -> int:
    """Every such pair that was never proposed is; how many are new. Done again after a crash, it finds the rest."""
    count = 0
    for look in (partial(_by_email, step=step), partial(_by_birthday, step=step)):
        after: Any = None
        while True:
            found: Found = await database.run(partial(look, after=after, now=now), read=True)
            for start in range(0, len(found.rows), AT_ONCE):
                count += await database.run(partial(_propose, found.rows[start : start + AT_ONCE]))
            if found.after is None:
                break
            after = found.after
    return count


def _by_email(conn: Connection, after: str | None, now: datetime, *, step: int) -> Found:
    walked = select(customers.c.email, func.count().label("people")).where(is_filled(customers.c.email))
    if after is not None:
        walked = walked.where(customers.c.email > after)
    seen = conn.execute(walked.group_by(customers.c.email).order_by(customers.c.email).limit(step)).all()
    shared = [row.email for row in seen if row.people > 1]
    few = select(customers.c.email).where(customers.c.email.in_(shared), *_SOMEBODY)
    few = few.where(is_filled(customers.c.email)).group_by(customers.c.email).having(_FEW)
    members = select(customers.c.id, customers.c.email.label("same")).where(customers.c.email.in_(few), *_SOMEBODY)
    members = members.where(is_filled(customers.c.email))
    return _found(conn, members if shared else None, seen[-1].email if len(seen) == step else None, now)


def _by_birthday(conn: Connection, after: Any, now: datetime, *, step: int) -> Found:
    born, is_birthday = customer_attributes.c.value, customer_attributes.c.name == "birthday"
    walked = select(born.label("value"), func.count().label("people")).where(is_birthday)
    if after is not None:
        walked = walked.where(born > after)
    seen = conn.execute(walked.group_by(born).order_by(born).limit(step)).all()
    shared = [row.value for row in seen if row.people > 1]
    of_them = and_(customer_attributes.c.customer_id == customers.c.id, is_birthday)
    somebody = (born.in_(shared), is_filled(customers.c.name), *_SOMEBODY)
    few = (
        select(customers.c.name, born.label("value"))
        .join_from(customers, customer_attributes, of_them)
        .where(*somebody)
        .group_by(customers.c.name, born)
        .having(_FEW)
        .subquery()
    )
    members = (
        select(customers.c.id, (customers.c.name + "\n" + born).label("same"))
        .join_from(customers, customer_attributes, of_them)
        .join(few, and_(few.c.name == customers.c.name, few.c.value == born))
        .where(*somebody)
    )
    return _found(conn, members if shared else None, seen[-1].value if len(seen) == step else None, now)


def _found(conn: Connection, members: Any, after: Any, now: datetime) -> Found:
    if members is None:
        return Found((), after)
    people = sorted((row.same, row.id) for row in conn.execute(members))
    groups = [[one for _, one in group] for _, group in groupby(people, key=lambda item: item[0])]
    return Found(alike(conn, groups, now) if groups else (), after)


def _propose(rows: Sequence[dict[str, Any]], conn: Connection) -> int:
    """How many of them are new: a pair found meanwhile for another reason stays as it is."""
    build = postgresql.insert if is_postgres(conn) else sqlite.insert
    pair = ["customer_id", "other_customer_id"]
    return conn.execute(build(merge_proposals).values(rows).on_conflict_do_nothing(index_elements=pair)).rowcount
