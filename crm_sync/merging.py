"""Two records become one, by evidence, and can be taken apart again: who merged what, and all that undoes it, is kept.

Rows change hands and are remembered by id. What a record says of itself (profile, attributes) is offered to the kept
one, which uses it where it says nothing; of several offers the one that comes from the oldest record is used, so that
it does not matter in which order records were merged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Select, Table, and_, delete, exists, insert, literal, or_, select, update
from sqlalchemy.sql.elements import ColumnElement

from bot.errors import CustomerNotFound, NotFound, RuleError
from crm_sync.broadcast_tables import consent_requests, coupons
from crm_sync.broadcasts_merged import share
from crm_sync.console_tables import hook_deliveries
from crm_sync.merged_facts import offered, settle, write_facts
from crm_sync.service_tables import (
    appointments,
    assets,
    audit,
    clocks,
    customer_merges,
    customer_tags,
    customer_values,
    dues,
    merge_proposals,
    outage_reports,
    points,
    preferences,
    site_tasks,
    subscriptions,
    surveys,
    timers,
    visits,
)
from crm_sync.tables import cases, consents, conversations, customers, identities, orders, tasks, timeline

# Whose rows change hands; customer_attributes and customer_tags are facts, customer_values are computed anew, and
# what broadcasts know of somebody is shared (broadcasts_merged.py).
MOVED: Final[tuple[Table, ...]] = (
    identities,
    conversations,
    orders,
    consents,
    timeline,
    cases,
    tasks,
    timers,
    site_tasks,
    appointments,
    assets,
    visits,
    dues,
    preferences,
    points,
    surveys,
    subscriptions,
    outage_reports,
    audit,
    hook_deliveries,
    consent_requests,
    coupons,
)
_DOUBLES: Final[Mapping[Table, tuple[str, ...]]] = {cases: ("kind", "category", "subject"), tasks: ("kind",)}
_KEPT_HERE: Final = ("identity_linked", "customers_merged")  # lines of the timeline that tell of the merge itself


@dataclass(frozen=True, slots=True)
class Merge:
    """Two records that are (or were) one."""

    id: int
    kept_customer_id: int
    merged_customer_id: int
    evidence: str
    author: str
    at: datetime
    undone_at: datetime | None


def merge(
    conn: Connection, one: int, other: int, *, evidence: str, author: str, now: datetime, keep: int | None = None
) -> int | None:
    """The id of the merge; None when both are one record already. The older record is kept, unless `keep` says so.

    Raises: CustomerNotFound, also for somebody who was erased.
    """
    first, second = root_of(conn, one), root_of(conn, other)
    if first == second:
        return None
    kept = keep if keep in (first, second) else min(first, second)
    merged = second if kept == first else first
    _lock(conn, (kept, merged))
    moved = _put_together(conn, kept, merged)
    values = {"kept_customer_id": kept, "merged_customer_id": merged, "evidence": evidence, "author": author, "at": now}
    merge_id: int = conn.execute(insert(customer_merges).values(**values, moved=moved)).inserted_primary_key[0]  # type: ignore[index]  # one row, one key
    _settle(conn, kept)
    pair = and_(
        merge_proposals.c.customer_id == min(first, second), merge_proposals.c.other_customer_id == max(first, second)
    )
    conn.execute(update(merge_proposals).where(pair).values(state="merged", decided_by=author, decided_at=now))
    line = {"kind": "customers_merged", "summary": evidence, "reference": str(merge_id), "author": "system"}
    conn.execute(insert(timeline), {**line, "customer_id": kept, "at": now})
    return merge_id


def unmerge(conn: Connection, merge_id: int, *, author: str, now: datetime) -> Merge:
    """What the merge moved is where it was; so is what came since in the merged person's own conversations.

    The pair is not merged again by itself. Raises: NotFound when there is no such merge or it was undone before;
    RuleError when a later one took the record along, which must be undone first.
    """
    still = and_(customer_merges.c.id == merge_id, customer_merges.c.undone_at.is_(None))
    row = conn.execute(select(customer_merges).where(still).with_for_update()).first()
    if row is None:
        raise NotFound(f"no merge {merge_id} to undo; it may have been undone before")
    later = conn.execute(
        select(customer_merges.c.id).where(_active(row.kept_customer_id, merged=True)).limit(1)
    ).scalar()
    if later is not None:
        raise RuleError(f"merge {later} moved what merge {merge_id} had put together; undo merge {later} first")
    kept, merged = row.kept_customer_id, row.merged_customer_id
    _lock(conn, (kept, merged))
    gone = {"undone_at": now, "undone_by": author, "moved": None}
    conn.execute(update(customer_merges).where(customer_merges.c.id == merge_id).values(**gone))
    _take_apart(conn, kept, merged, row.moved, now)
    _settle(conn, kept, gone=row.moved["facts"])
    _reopen(conn, [row.moved, *_documents(conn, kept)], now)
    low, high = min(kept, merged), max(kept, merged)
    decided = {"state": "refused", "decided_by": author, "decided_at": now}
    pair = and_(merge_proposals.c.customer_id == low, merge_proposals.c.other_customer_id == high)
    if not conn.execute(update(merge_proposals).where(pair).values(**decided)).rowcount:
        known = {"customer_id": low, "other_customer_id": high, "evidence": [], "score": 0.0, "at": now}
        conn.execute(insert(merge_proposals), {**known, **decided})
    line = {"kind": "customers_unmerged", "summary": row.evidence, "reference": str(merge_id), "author": "system"}
    conn.execute(insert(timeline), {**line, "customer_id": kept, "at": now})
    return replace(_merge_of(row), undone_at=now)


def root_of(conn: Connection, customer_id: int) -> int:
    """The record that this one is part of now; itself when it is nobody's. Raises: CustomerNotFound."""
    row = conn.execute(select(customers.c.id, customers.c.erased_at).where(customers.c.id == customer_id)).first()
    if row is None or row.erased_at is not None:
        raise CustomerNotFound(f"no customer {customer_id}" if row is None else f"customer {customer_id} was erased")
    into = conn.execute(
        select(customer_merges.c.kept_customer_id).where(_active(customer_id, merged=True)).limit(1)
    ).scalar()
    return customer_id if into is None else root_of(conn, into)


def is_merged(customer_id: ColumnElement[int]) -> ColumnElement[bool]:
    """True of a record that is part of another now."""
    return exists().where(customer_merges.c.merged_customer_id == customer_id, customer_merges.c.undone_at.is_(None))


def family_of(customer_id: int) -> Select[tuple[int]]:
    """The ids of all records that are one with this one now, its own among them, as a subquery."""
    family = select(literal(customer_id, customers.c.id.type).label("id")).cte("family", recursive=True)
    kept, merged = customer_merges.c.kept_customer_id, customer_merges.c.merged_customer_id
    further = select(kept + merged - family.c.id).join_from(  # the other side of a merge, whichever one is here
        family,
        customer_merges,
        and_(or_(kept == family.c.id, merged == family.c.id), customer_merges.c.undone_at.is_(None)),
    )
    return select(family.union(further).c.id)


def merges_of(conn: Connection, customer_id: int) -> list[Merge]:
    """Merges this record is part of, undone ones too, oldest first."""
    either = or_(customer_merges.c.kept_customer_id == customer_id, customer_merges.c.merged_customer_id == customer_id)
    return [
        _merge_of(row) for row in conn.execute(select(customer_merges).where(either).order_by(customer_merges.c.id))
    ]


def _merge_of(row: Any) -> Merge:
    return Merge(row.id, row.kept_customer_id, row.merged_customer_id, row.evidence, row.author, row.at, row.undone_at)


def _active(customer_id: int, *, merged: bool) -> ColumnElement[bool]:
    side = customer_merges.c.merged_customer_id if merged else customer_merges.c.kept_customer_id
    return and_(side == customer_id, customer_merges.c.undone_at.is_(None))


def _lock(conn: Connection, ids: Sequence[int]) -> None:
    """Nothing is written for these people meanwhile: whoever does holds one of their conversations."""
    theirs = select(conversations.c.id).where(conversations.c.customer_id.in_(ids)).order_by(conversations.c.id)
    conn.execute(theirs.with_for_update()).all()
    rows = select(customers.c.id).where(customers.c.id.in_(ids)).order_by(customers.c.id)
    conn.execute(rows.with_for_update()).all()


# --- rows -----------------------------------------------------------------------------------------------------------


def _put_together(conn: Connection, kept: int, merged: int) -> dict[str, Any]:
    """Everything of `merged` belongs to `kept`: rows that moved by table, doubles closed, facts offered."""
    moved: dict[str, Any] = {
        f"closed_{table.name}": _close_doubles(conn, table, same, kept=kept, merged=merged)
        for table, same in _DOUBLES.items()
    }
    for table in MOVED:
        moved[table.name] = list(conn.execute(select(table.c.id).where(table.c.customer_id == merged)).scalars())
        conn.execute(update(table).where(table.c.customer_id == merged).values(customer_id=kept))
    share(conn, kept, merged)
    moved["facts"] = offered(conn, merged, _documents(conn, merged))
    tags = set(conn.execute(select(customer_tags.c.tag).where(customer_tags.c.customer_id == merged)).scalars())
    had = set(conn.execute(select(customer_tags.c.tag).where(customer_tags.c.customer_id == kept)).scalars())
    moved["tags"], moved["added_tags"] = sorted(tags), sorted(tags - had)
    conn.execute(
        delete(customer_tags).where(customer_tags.c.customer_id == merged, customer_tags.c.tag.in_(tags & had))
    )
    conn.execute(update(customer_tags).where(customer_tags.c.customer_id == merged).values(customer_id=kept))
    conn.execute(delete(customer_values).where(customer_values.c.customer_id == merged))
    return moved


def _take_apart(conn: Connection, kept: int, merged: int, moved: Mapping[str, Any], now: datetime) -> None:
    """The rows that moved, and those that came since in the conversations among them, are of `merged` again."""
    own = moved.get(conversations.name, [])
    for table in MOVED:
        mine: ColumnElement[bool] = table.c.id.in_(moved.get(table.name, []))
        if own and "conversation_id" in table.c:
            since: ColumnElement[bool] = table.c.conversation_id.in_(own)
            if table is timeline:
                since = and_(since, timeline.c.kind.not_in(_KEPT_HERE))
            mine = or_(mine, since)
        conn.execute(update(table).where(mine, table.c.customer_id == kept).values(customer_id=merged))
    write_facts(conn, merged, moved["facts"]["said"])
    lost = set(moved["added_tags"])
    for row in conn.execute(
        select(customer_merges.c.id, customer_merges.c.moved).where(_active(kept, merged=False))
    ).all():
        if inherited := lost & set(row.moved["tags"]):
            document = {**row.moved, "added_tags": sorted(inherited | set(row.moved["added_tags"]))}
            conn.execute(update(customer_merges).where(customer_merges.c.id == row.id).values(moved=document))
            lost -= inherited
    conn.execute(delete(customer_tags).where(customer_tags.c.customer_id == kept, customer_tags.c.tag.in_(lost)))
    if moved.get("tags"):
        conn.execute(insert(customer_tags), [{"customer_id": merged, "tag": tag, "at": now} for tag in moved["tags"]])


def _documents(conn: Connection, customer_id: int) -> list[dict[str, Any]]:
    """What is kept of the merges into this record that still hold, oldest first."""
    rows = conn.execute(
        select(customer_merges.c.moved)
        .where(_active(customer_id, merged=False), customer_merges.c.moved.is_not(None))
        .order_by(customer_merges.c.id)
    )
    return [row.moved for row in rows]


def _settle(conn: Connection, kept: int, gone: Mapping[str, Any] | None = None) -> None:
    """What the kept record says follows from itself and from what holds of its merges."""
    rows = conn.execute(
        select(customer_merges.c.id, customer_merges.c.moved)
        .where(_active(kept, merged=False))
        .order_by(customer_merges.c.id)
    ).all()
    documents = {row.id: row.moved for row in rows if row.moved is not None}
    changed = settle(conn, kept, {merge_id: document["facts"] for merge_id, document in documents.items()}, gone)
    for merge_id, facts in changed.items():
        document = {**documents[merge_id], "facts": facts}
        conn.execute(update(customer_merges).where(customer_merges.c.id == merge_id).values(moved=document))


# --- of two open ones about the same the older carries on -----------------------------------------------------------


def _close_doubles(conn: Connection, table: Table, same: tuple[str, ...], *, kept: int, merged: int) -> list[int]:
    mine, other = table.alias("mine"), table.alias("other")
    double = and_(
        mine.c.customer_id == merged,
        mine.c.is_open,
        other.c.customer_id == kept,
        other.c.is_open,
        *(mine.c[name] == other.c[name] for name in same),
    )
    pairs = conn.execute(select(mine.c.id, other.c.id.label("other_id")).join_from(mine, other, double)).all()
    ids = sorted({max(row.id, row.other_id) for row in pairs})
    conn.execute(update(table).where(table.c.id.in_(ids)).values(is_open=False))
    _promises(conn, table, ids, next_at=None)
    return ids


def _reopen(conn: Connection, documents: Iterable[Mapping[str, Any]], now: datetime) -> None:
    """Doubles whose other half is with somebody else now are open again, but for those that ended meanwhile."""
    found = list(documents)
    for table, same in _DOUBLES.items():
        ids = sorted({row_id for document in found for row_id in document.get(f"closed_{table.name}", [])})
        rows = conn.execute(select(table).where(table.c.id.in_(ids), table.c.is_open.is_(False)).order_by(table.c.id))
        for row in rows.all():
            ended = row.status in ("confirmed", "withdrawn") if table is cases else row.done_at is not None
            alike = and_(
                table.c.customer_id == row.customer_id,
                table.c.is_open,
                *(table.c[name] == getattr(row, name) for name in same),
            )
            if not ended and conn.execute(select(table.c.id).where(alike)).first() is None:
                conn.execute(update(table).where(table.c.id == row.id).values(is_open=True))
                _promises(conn, table, [row.id], next_at=now)


def _promises(conn: Connection, table: Table, ids: Sequence[int], *, next_at: datetime | None) -> None:
    """The clocks of these are looked at again then; None: not while they are doubles."""
    of = clocks.c.case_id if table is cases else clocks.c.task_id
    conn.execute(update(clocks).where(of.in_(ids), clocks.c.state == "running").values(next_at=next_at))
