"""The conversations as lists of the staff's inbox: ids page by page over indexes, counts that end somewhere.

A page is kept by the values of its last row, never by a number of rows: whatever moves meanwhile, nothing below the
place is shown twice or left out. Who may see only some teams gets one short index walk for each way of seeing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Select, and_, func, literal, or_, select, tuple_, union
from sqlalchemy.sql.elements import ColumnElement

from crm_sync.columns import EPOCH, MICROSECOND, is_filled, is_state
from crm_sync.console_tables import handoff_events
from crm_sync.queue_views import as_rank, rank_of
from crm_sync.service_tables import customer_tags, customer_values
from crm_sync.tables import conversations

LISTS: Final = ("mine", "queue", "all", "unanswered", "snoozed", "closed")
MOST_COUNTED: Final = 1000
_c = conversations.c


@dataclass(frozen=True, slots=True)
class Sight:
    """What somebody sees. `teams` None: all; otherwise those, what belongs to none, and what is or was their own."""

    name: str
    teams: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class InboxFilter:
    """Which conversations of which list. Empty or None: any."""

    list: str = "all"
    channel: str = ""
    account: str = ""
    team: str = ""
    operator: str = ""
    owner: str = ""
    language: str = ""
    min_priority: int | None = None
    is_vip: bool = False  # of the highest value class, or tagged vip


@dataclass(frozen=True, slots=True)
class _Order:
    """By which column a list is sorted, then by id in the same direction."""

    column: ColumnElement[Any]
    is_newest_first: bool
    by_team: bool  # the list can be long: a look at each team's own part of it is worth an index


_IS_OPEN: Final = is_state(_c.status, "open")
_ORDERS: Final = {
    "mine": _Order(_c.last_message_at, True, False),
    "all": _Order(_c.last_message_at, True, True),
    "queue": _Order(_c.waiting_since, False, False),
    "unanswered": _Order(_c.unanswered_since, False, False),
    "snoozed": _Order(_c.snoozed_until, False, False),
    "closed": _Order(_c.closed_at, True, True),
}

Place = tuple[datetime, int]  # time of the list's order, id


def is_visible(sight: Sight) -> list[ColumnElement[bool]]:
    """Conditions that hold for conversations this person sees."""
    if sight.teams is None:
        return []
    return [
        or_(
            _c.team.in_(sorted({"", *sight.teams})),
            and_(_c.operator == sight.name, is_filled(_c.operator)),
            and_(_c.last_operator == sight.name, is_filled(_c.last_operator)),
        )
    ]


def page_ids(
    conn: Connection, sight: Sight, which: InboxFilter, after: Place | None, *, limit: int, ageing: timedelta
) -> list[Place]:
    """At most `limit` places of the list behind `after`, in the list's order. `ageing`: what a point is worth."""
    if which.list == "queue":
        rows = conn.execute(queue_page(conn, sight, which, after, limit=limit, ageing=ageing))
        return [(_moment(row.sorted), row.id) for row in rows]
    rows = conn.execute(page(sight, which, after, limit))
    return [(row.sorted, row.id) for row in rows]


def page(sight: Sight, which: InboxFilter, after: Place | None, limit: int) -> Select[Any]:
    """The statement of `page_ids`, but for the queue; also for a look at its plan."""
    order = _ORDERS[which.list]
    conditions = [*_belongs(sight, which), *_behind(order, after)]
    return _in_order(_walks(sight, order, conditions, limit), order, limit)


def changed_since(conn: Connection, at: datetime, limit: int) -> list[int]:
    """Conversations in which something was said, or which changed hands, since then; at most `limit` of each."""
    spoken = select(_c.id).where(_c.last_message_at >= at, _IS_OPEN).order_by(_c.last_message_at.desc()).limit(limit)
    last = conn.execute(select(func.max(handoff_events.c.id))).scalar() or 0
    moved = select(handoff_events.c.conversation_id).where(
        handoff_events.c.id > last - limit, handoff_events.c.at >= at
    )
    return sorted({*conn.execute(spoken).scalars(), *conn.execute(moved).scalars()})


def _walks(sight: Sight, order: _Order, conditions: list[ColumnElement[bool]], limit: int) -> Any:
    """Columns `sorted` and `id` of everything that may be among the first `limit`."""
    if sight.teams is None or not order.by_team:
        found = select(order.column.label("sorted"), _c.id).where(*conditions, *is_visible(sight))
        return found.order_by(*_by(order.column, _c.id, order)).limit(limit).subquery()
    ways: list[list[ColumnElement[bool]]] = [[_c.team == ""]]
    ways += [[_c.team == team, is_filled(_c.team)] for team in sorted(sight.teams - {""})]
    own = (_c.last_operator,) if order.column is _c.closed_at else (_c.operator, _c.last_operator)  # nobody holds those
    ways += [[column == sight.name, is_filled(column)] for column in own]
    short = []
    for way in ways:
        walk = select(order.column.label("sorted"), _c.id).where(*conditions, *way)
        short.append(select(walk.order_by(*_by(order.column, _c.id, order)).limit(limit).subquery()))
    return union(*short).subquery()


def _in_order(found: Any, order: _Order, limit: int) -> Select[Any]:
    return select(found.c.sorted, found.c.id).order_by(*_by(found.c.sorted, found.c.id, order)).limit(limit)


def _by(column: Any, row_id: Any, order: _Order) -> tuple[Any, Any]:
    return (column.desc(), row_id.desc()) if order.is_newest_first else (column, row_id)


def _behind(order: _Order, after: Place | None) -> list[ColumnElement[bool]]:
    if after is None:
        return [order.column.is_not(None)]
    here, there = tuple_(order.column, _c.id), _pair(*after)
    return [order.column.is_not(None), here < there if order.is_newest_first else here > there]


def _pair(at: datetime, row_id: int) -> Any:
    return tuple_(literal(at, _c.waiting_since.type), literal(row_id, _c.id.type))


def _belongs(sight: Sight, which: InboxFilter) -> list[ColumnElement[bool]]:
    """Conditions of the list and of the filter."""
    match which.list:
        case "mine":
            found = [_c.operator == sight.name, is_filled(_c.operator), _IS_OPEN]
        case "queue":
            found = [is_state(_c.owner, "queue"), _IS_OPEN]
        case "unanswered":
            found = [_c.unanswered_since.is_not(None), _IS_OPEN]
        case "snoozed":
            found = [is_state(_c.status, "snoozed")]
        case "closed":
            found = [is_state(_c.status, "closed"), _c.closed_at.is_not(None)]
        case _:
            found = [_IS_OPEN]
    for name in ("channel", "account", "team", "operator", "owner", "language"):
        if wanted := getattr(which, name):
            found.append(_c[name] == wanted)
    if which.operator or which.team:
        found += [is_filled(_c[name]) for name in ("operator", "team") if getattr(which, name)]
    if which.min_priority is not None:
        found.append(_c.priority >= which.min_priority)
    if which.is_vip:
        found.append(or_(*_is_vip()))
    return found


def _is_vip() -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    valued = select(customer_values.c.customer_id).where(
        customer_values.c.customer_id == _c.customer_id, customer_values.c.value_class == "A"
    )
    tagged = select(customer_tags.c.tag).where(
        customer_tags.c.customer_id == _c.customer_id, customer_tags.c.tag == "vip"
    )
    return valued.exists(), tagged.exists()


# --- the queue: by points and waiting time, as customers are told their place ---------------------------------------


def queue_page(
    conn: Connection, sight: Sight, which: InboxFilter, after: Place | None, *, limit: int, ageing: timedelta
) -> Select[Any]:
    """The statement of `page_ids` for the queue; also for a look at its plan. Who waits is sorted in memory."""
    rank = rank_of(conn, ageing)
    found = select(rank.label("sorted"), _c.id).where(
        *_belongs(sight, which), *is_visible(sight), _c.waiting_since.is_not(None)
    )
    if after is not None:
        found = found.where(tuple_(rank, _c.id) > tuple_(as_rank(conn, after[0]), literal(after[1], _c.id.type)))
    return found.order_by(rank, _c.id).limit(limit)


def _moment(rank: Any) -> datetime:
    return rank if isinstance(rank, datetime) else EPOCH + rank * MICROSECOND


# --- how many ------------------------------------------------------------------------------------------------------


def count(conn: Connection, sight: Sight, which: InboxFilter) -> int:
    """How many conversations are in the list; MOST_COUNTED stands for that many or more."""
    order = _ORDERS[which.list]
    conditions = [*_belongs(sight, which), order.column.is_not(None)]
    found = _walks(sight, order, conditions, MOST_COUNTED)
    bounded = select(found.c.id).limit(MOST_COUNTED).subquery()
    return int(conn.execute(select(func.count()).select_from(bounded)).scalar_one())


def counted(conn: Connection, sight: Sight, lists: Sequence[str], of: Callable[[str], InboxFilter]) -> dict[str, int]:
    """`count` of several lists."""
    return {name: count(conn, sight, of(name)) for name in lists}
