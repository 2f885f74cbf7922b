"""Recipients of a broadcast, written down chunk by chunk: whom it means, in which arm, who is skipped and why.

A chunk is a range of customer ids and one transaction, which says how far it came (`through_customer`): a process that
dies leaves whole chunks, and whoever goes on begins behind the last one. The draw is the one of `bot/reach/draw.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Insert,
    Select,
    Text,
    and_,
    bindparam,
    case,
    exists,
    func,
    insert,
    literal,
    literal_column,
    null,
    select,
    true,
    update,
)

from bot.reach.draw import PRIME, SPREAD, STRIDE, WHOLE, number_of, places, shift_of
from bot.reach.states import HOLDOUT, BroadcastState
from crm_sync.broadcast_tables import broadcast_recipients, broadcasts, contact_wishes
from crm_sync.columns import UtcDateTime, id_in, is_postgres
from crm_sync.eligibility import SendRules, between, judged, moments
from crm_sync.recipient_counts import Place, add_counts
from crm_sync.service_tables import customer_values
from crm_sync.statements import Statement
from crm_sync.tables import customers

FIRST_CHUNK: Final = 1_000  # customer ids; later ones follow what a chunk took
MOST: Final = 20_000
LEAST: Final = 100
Quiet = tuple[str, str]
# (zone of the person, "" where unknown; their own quiet hours) -> when it may leave; None: not before the plan is over.
NotBefore = Callable[[str, Quiet | None], datetime | None]


@dataclass(frozen=True)
class Occasion:
    """One run of a broadcast as it is prepared. `people` are ids of customers, `variants` names with their weights."""

    broadcast_id: int
    seed: int
    people: Select[tuple[int]]
    rules: SendRules
    holdout: float
    variants: Sequence[tuple[str, float]]
    not_before: NotBefore
    name: str = ""  # of the occasion
    step: str = ""
    comes_again: bool = False  # somebody may be a recipient of it already, and stays in that arm

    @cached_property
    def on_sqlite(self) -> Insert:
        """Writes the recipients of a range of customer ids; the same statement for each chunk."""
        return _insert(self)

    @cached_property
    def on_postgres(self) -> Select[Any]:
        """Does so too, and counts them by arm, state and reason."""
        row = broadcast_recipients.c
        return _by_place(_insert(self).returning(row.arm, row.state, row.reason).cte("written").c)


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one chunk did. `through`: the last customer id it looked at; `is_last`: there is nobody behind."""

    through: int
    recipients: int
    is_last: bool


def write_chunk(conn: Connection, occasion: Occasion, size: int, now: datetime) -> Chunk | None:
    """The next `size` customers are looked at, and those the broadcast means are its recipients.

    None when it is not being prepared (any more), or somebody else is at it this moment.
    """
    row = conn.execute(
        select(broadcasts.c.state, broadcasts.c.through_customer, broadcasts.c.occasion)
        .where(broadcasts.c.id == occasion.broadcast_id)
        .with_for_update(skip_locked=True)
    ).first()
    if row is None or row.state != BroadcastState.PREPARING or row.occasion != occasion.name:
        return None
    if is_postgres(conn):
        conn.execute(_FOR_MANY)
    after = row.through_customer
    through = _end_of(conn, after, size)
    written = 0 if through is None else write_range(conn, occasion, after, through, now)
    reached = after if through is None else through
    conn.execute(
        update(broadcasts)
        .where(broadcasts.c.id == occasion.broadcast_id)
        .values(through_customer=reached, updated_at=now)
    )
    further = select(customers.c.id).where(customers.c.id > reached).limit(1)
    return Chunk(reached, written, conn.execute(further).first() is None)


def _end_of(conn: Connection, after: int, size: int) -> int | None:
    """The last of the next customers, `size` of them where no ids are missing; None when there is nobody."""
    first = select(func.min(customers.c.id)).where(customers.c.id > after)
    begins = conn.execute(first).scalar()
    if begins is None:
        return None
    last: int = conn.execute(select(func.max(customers.c.id)).where(customers.c.id < begins + size)).scalar_one()
    return last


def write_range(conn: Connection, occasion: Occasion, after: int, through: int, now: datetime) -> int:
    """Those meant among customers `after` < id <= `through` are recipients; how many were added.

    Whoever is one of this occasion and step already stays as they are.
    """
    highest = _highest(conn)
    parameters = {
        **moments(occasion.rules, now),
        "after": after,
        "through": through,
        "start": number_of(occasion.seed, after + 1) % WHOLE,
        "not_before": _known(occasion.not_before("", None), now),
    }
    on_postgres = is_postgres(conn)
    result = conn.execute(occasion.on_postgres if on_postgres else occasion.on_sqlite, parameters)
    written = _Written(highest, _highest(conn))
    range_ = {"above": written.above, "through": written.through}
    counted = result.all() if on_postgres else _COUNTED.rows(conn, range_)
    changes = Counter({(occasion.broadcast_id, each.arm, each.state, each.reason): each.rows for each in counted})
    _in_other_zones(conn, occasion, written, (after, through), changes)
    _at_their_own_hours(conn, occasion, written, (after, through), changes)
    add_counts(conn, changes)
    return sum(each.rows for each in counted)


# Of PostgreSQL, for this transaction: what is asked of a range is not answered by reading a whole table, whatever it
# believes of tables it has not looked at since they grew; and the rows of a chunk are sorted in memory.
_FOR_MANY: Final = select(func.set_config("enable_seqscan", "off", true()), func.set_config("work_mem", "32MB", true()))


@dataclass(frozen=True, slots=True)
class _Written:
    """The rows of a chunk, by their ids. Both ends are said: of an open range databases expect a third of all rows."""

    above: int
    through: int


def _highest(conn: Connection) -> int:
    found: int = conn.execute(select(func.coalesce(func.max(broadcast_recipients.c.id), 0))).scalar_one()
    return found


def _known(at: datetime | None, now: datetime) -> datetime:
    return at or now


# --- the statement ----------------------------------------------------------------------------------------------------


def _insert(occasion: Occasion) -> Insert:
    after, through = bindparam("after", type_=BigInteger), bindparam("through", type_=BigInteger)
    within = between(after, through)
    people = occasion.people.where(*within(customers.c.id))
    value, x = customer_values.c, (customers.c.id % _PRIME * _SPREAD + _shift(occasion)) % _PRIME
    # Worked out once: what is only named would be, again for each place that names it.
    found = (
        judged(people, occasion.rules, within)
        .order_by(None)
        .add_columns(func.coalesce(value.value_class, "").label("stratum"), x.label("x"))
        .outerjoin(customer_values, and_(value.customer_id == customers.c.id, *within(value.customer_id)))
        .cte("found")
        .prefix_with("MATERIALIZED")
    )
    square = found.c.x * found.c.x % _PRIME
    number = square * square % _PRIME * found.c.x % _PRIME
    is_meant = found.c.reason == literal_column("''")
    rank = func.row_number().over(partition_by=[found.c.stratum, is_meant], order_by=number) - 1
    ranked = select(found, rank.label("rank")).subquery("ranked")
    drawn = select(ranked, _arm(ranked, occasion).label("arm")).subquery("drawn")
    values: dict[str, ColumnElement[Any]] = {
        "broadcast_id": literal(occasion.broadcast_id, BigInteger),
        "customer_id": drawn.c.customer_id,
        "occasion": literal(occasion.name, Text),
        "step": literal(occasion.step, Text),
        "conversation_id": drawn.c.conversation_id,
        "identity_id": drawn.c.identity_id,
        "channel": func.coalesce(drawn.c.channel, ""),
        "account": func.coalesce(drawn.c.account, ""),
        "arm": drawn.c.arm,
        "stratum": drawn.c.stratum,
        "state": case(
            (drawn.c.reason != literal_column("''"), literal_column("'skipped'")),
            (drawn.c.arm == HOLDOUT, literal_column("'held_out'")),
            else_=literal_column("'pending'"),
        ),
        "reason": drawn.c.reason,
        "not_before": bindparam("not_before", type_=UtcDateTime()),
    }
    had = broadcast_recipients.alias("had")
    # Left out here rather than by a conflict, which PostgreSQL prepares for at each row with a look and a lock.
    already = select(had.c.customer_id).where(
        had.c.broadcast_id == occasion.broadcast_id,
        *within(had.c.customer_id),
        had.c.occasion == occasion.name,
        had.c.step == occasion.step,
    )
    new = (
        select(*(value.label(name) for name, value in values.items()))
        .where(drawn.c.customer_id.not_in(already))
        .order_by(drawn.c.customer_id)
    )
    return insert(broadcast_recipients).from_select(list(values), new, include_defaults=False)


def _by_place(row: Any) -> Select[Any]:
    return select(row.arm, row.state, row.reason, func.count().label("rows")).group_by(row.arm, row.state, row.reason)


_COUNTED: Final = Statement(
    _by_place(broadcast_recipients.c).where(
        broadcast_recipients.c.id > bindparam("above"), broadcast_recipients.c.id <= bindparam("through")
    )
)
_PRIME: Final = literal_column(str(PRIME), BigInteger)
_SPREAD: Final = literal_column(str(SPREAD), BigInteger)


def _shift(occasion: Occasion) -> ColumnElement[int]:
    return literal_column(str(shift_of(occasion.seed)), BigInteger)


def _arm(ranked: Any, occasion: Occasion) -> ColumnElement[str]:
    """By the place in the row of those of the same value; as before for whoever was drawn before; skipped: none."""
    stride, whole = literal_column(str(STRIDE), BigInteger), literal_column(str(WHOLE), BigInteger)
    millionth = (ranked.c.rank % whole * stride + bindparam("start", type_=BigInteger)) % whole
    *others, (last, _) = places(occasion.holdout, occasion.variants)
    drawn: ColumnElement[str] = case(
        *((millionth < end, literal(name, Text)) for name, end in others), else_=literal(last, Text)
    )
    if occasion.comes_again:
        before = broadcast_recipients.alias("before")
        earlier = (
            select(before.c.arm)
            .where(
                before.c.broadcast_id == occasion.broadcast_id,
                before.c.customer_id == ranked.c.customer_id,
                before.c.arm != literal_column("''"),
            )
            .order_by(before.c.id)
            .limit(1)
            .scalar_subquery()
        )
        drawn = func.coalesce(earlier, drawn)
    return case((ranked.c.reason == literal_column("''"), drawn), else_=literal_column("''"))


# --- when each may leave ----------------------------------------------------------------------------------------------


Changes = Counter[Place]


def _in_other_zones(
    conn: Connection, occasion: Occasion, written: _Written, customers_: tuple[int, int], changes: Changes
) -> None:
    """Whoever lives in a zone of their own is sent to by its clocks."""
    usual = occasion.not_before("", None)
    row, (after, through) = broadcast_recipients.c, customers_
    # Written so that the rows are found by their ids: a broadcast's own index leads to all of them.
    here = (row.broadcast_id + 0 == occasion.broadcast_id, *_among(written))
    there = (customers.c.id > after, customers.c.id <= through, customers.c.timezone != literal_column("''"))
    zones = conn.execute(select(customers.c.timezone).where(*there).distinct()).scalars().all()
    for zone in zones:
        at = occasion.not_before(zone, None)
        if at == usual:
            continue
        lives = exists().where(customers.c.id == row.customer_id, customers.c.timezone == zone)
        _set_time(conn, (*here, lives), at, changes)
    if usual is None:
        without = exists().where(customers.c.id == row.customer_id, customers.c.timezone == "")
        _set_time(conn, (*here, without), None, changes)


def _at_their_own_hours(
    conn: Connection, occasion: Occasion, written: _Written, customers_: tuple[int, int], changes: Changes
) -> None:
    """Whoever told us when they want to be left alone is."""
    row, wish, (after, through) = broadcast_recipients.c, contact_wishes.c, customers_
    wishes = conn.execute(
        select(wish.customer_id, customers.c.timezone, wish.quiet_from, wish.quiet_until)
        .join_from(contact_wishes, customers, customers.c.id == wish.customer_id)
        .where(wish.customer_id > after, wish.customer_id <= through, wish.quiet_from != "")
    ).all()
    by_time: dict[datetime | None, list[int]] = {}
    for each in wishes:
        at = occasion.not_before(each.timezone, (each.quiet_from, each.quiet_until))
        by_time.setdefault(at, []).append(each.customer_id)
    for at, people in by_time.items():
        theirs = (
            row.broadcast_id == occasion.broadcast_id,
            id_in(row.customer_id, "ids"),
            row.occasion == occasion.name,
            row.step == occasion.step,
        )
        _set_time(conn, (*theirs, *_among(written)), at, changes, people)


def _among(written: _Written) -> tuple[ColumnElement[bool], ...]:
    row = broadcast_recipients.c
    return row.id > written.above, row.id <= written.through, row.state.in_(["pending", "held_out"])


def _set_time(
    conn: Connection,
    whom: Sequence[ColumnElement[bool]],
    at: datetime | None,
    changes: Changes,
    ids: Sequence[int] = (),
) -> None:
    row, parameters = broadcast_recipients.c, {"ids": list(ids)} if ids else {}
    values: Mapping[str, Any] = {"not_before": at}
    if at is None:
        of = (row.broadcast_id, row.arm, row.state, row.reason)
        counted = select(*of, func.count().label("rows")).where(*whom).group_by(*of)
        for each in conn.execute(counted, parameters).all():
            moved = (each.broadcast_id, each.arm, each.state, each.reason)
            changes[moved] -= each.rows
            changes[each.broadcast_id, "", "skipped", "quiet_hours"] += each.rows
        values = {"state": "skipped", "reason": "quiet_hours", "not_before": null(), "arm": ""}
    conn.execute(update(broadcast_recipients).where(*whom).values(**values), parameters)


def next_size(size: int, took_s: float, aim_s: float = 0.1) -> int:
    """How many customers the next chunk looks at, so that it holds the store about `aim_s`; at most twice as many."""
    fits = int(size * aim_s / max(took_s, 0.001))
    return max(LEAST, min(MOST, fits, size * 2))
