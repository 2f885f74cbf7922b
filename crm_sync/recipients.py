"""Recipients of a broadcast, written down chunk by chunk: whom it means, in which arm, who is skipped and why.

A chunk is a range of customer ids and one transaction, which says how far it came (`through_customer`): a process that
dies leaves whole chunks, and whoever goes on begins behind the last one. The draw is the one of `bot/reach/draw.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    Text,
    bindparam,
    case,
    exists,
    func,
    literal,
    literal_column,
    null,
    select,
    true,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from bot.reach.draw import PRIME, SPREAD, STRIDE, WHOLE, number_of, places, shift_of
from bot.reach.states import HOLDOUT, BroadcastState
from crm_sync.broadcast_tables import broadcast_recipients, broadcasts, contact_wishes
from crm_sync.columns import UtcDateTime, is_postgres
from crm_sync.eligibility import SendRules, between, judged, moments
from crm_sync.recipient_counts import add_counts
from crm_sync.service_tables import customer_values
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
    def on_sqlite(self) -> Any:
        """Writes the recipients of a range of customer ids; the same statement for each chunk."""
        return _insert(self, on_postgres=False)

    @cached_property
    def on_postgres(self) -> Any:
        return _insert(self, on_postgres=True)


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
    after = row.through_customer
    ids = select(customers.c.id).where(customers.c.id > after).order_by(customers.c.id)
    through = conn.execute(ids.offset(size - 1).limit(1)).scalar()
    is_last = through is None
    if through is None:
        through = conn.execute(select(func.max(customers.c.id)).where(customers.c.id > after)).scalar()
    written = 0 if through is None else write_range(conn, occasion, after, through, now)
    reached = after if through is None else through
    conn.execute(
        update(broadcasts)
        .where(broadcasts.c.id == occasion.broadcast_id)
        .values(through_customer=reached, updated_at=now)
    )
    return Chunk(reached, written, is_last)


def write_range(conn: Connection, occasion: Occasion, after: int, through: int, now: datetime) -> int:
    """Those meant among customers `after` < id <= `through` are recipients; how many were added.

    Whoever is one of this occasion and step already stays as they are.
    """
    highest = conn.execute(select(func.coalesce(func.max(broadcast_recipients.c.id), 0))).scalar_one()
    zones = conn.execute(
        select(customers.c.timezone).where(customers.c.id > after, customers.c.id <= through).distinct()
    ).scalars()
    conn.execute(
        occasion.on_postgres if is_postgres(conn) else occasion.on_sqlite,
        {
            **moments(occasion.rules, now),
            "after": after,
            "through": through,
            "start": number_of(occasion.seed, after + 1) % WHOLE,
            "not_before": _known(occasion.not_before("", None), now),
        },
    )
    _in_other_zones(conn, occasion, highest, [zone for zone in zones if zone])
    _at_their_own_hours(conn, occasion, highest)
    return _count(conn, occasion.broadcast_id, highest)


def _known(at: datetime | None, now: datetime) -> datetime:
    return at or now


# --- the statement ----------------------------------------------------------------------------------------------------


def _insert(occasion: Occasion, *, on_postgres: bool) -> Any:
    after, through = bindparam("after", type_=BigInteger), bindparam("through", type_=BigInteger)
    within = between(after, through)
    people = occasion.people.where(*within(customers.c.id))
    # Worked out once: what is only named would be, again for each place that names it.
    found = judged(people, occasion.rules, within).order_by(None).cte("found").prefix_with("MATERIALIZED")
    stratum, person = func.coalesce(customer_values.c.value_class, ""), found.c.customer_id
    numbered = (
        select(found, stratum.label("stratum"), ((person % _PRIME * _SPREAD + _shift(occasion)) % _PRIME).label("x"))
        .select_from(found)
        .outerjoin(customer_values, customer_values.c.customer_id == person)
        .subquery("numbered")
    )
    square = numbered.c.x * numbered.c.x % _PRIME
    number = square * square % _PRIME * numbered.c.x % _PRIME
    is_meant = numbered.c.reason == literal_column("''")
    rank = func.row_number().over(partition_by=[numbered.c.stratum, is_meant], order_by=number) - 1
    ranked = select(numbered, rank.label("rank")).subquery("ranked")
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
    new = select(*(value.label(name) for name, value in values.items())).where(true()).order_by(drawn.c.customer_id)
    build = postgresql.insert if on_postgres else sqlite.insert
    return (
        build(broadcast_recipients)
        .from_select(list(values), new, include_defaults=False)
        .on_conflict_do_nothing(index_elements=["broadcast_id", "customer_id", "occasion", "step"])
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


def _in_other_zones(conn: Connection, occasion: Occasion, highest: int, zones: Sequence[str]) -> None:
    """Whoever lives in a zone of their own is sent to by its clocks."""
    usual = occasion.not_before("", None)
    row = broadcast_recipients.c
    for zone in zones:
        at = occasion.not_before(zone, None)
        if at == usual:
            continue
        there = exists().where(customers.c.id == row.customer_id, customers.c.timezone == zone)
        _set_time(conn, occasion, highest, there, at)
    if usual is None:
        without = exists().where(customers.c.id == row.customer_id, customers.c.timezone == "")
        _set_time(conn, occasion, highest, without, None)


def _at_their_own_hours(conn: Connection, occasion: Occasion, highest: int) -> None:
    """Whoever told us when they want to be left alone is."""
    row = broadcast_recipients.c
    wishes = conn.execute(
        select(row.id, customers.c.timezone, contact_wishes.c.quiet_from, contact_wishes.c.quiet_until)
        .join_from(broadcast_recipients, contact_wishes, contact_wishes.c.customer_id == row.customer_id)
        .join(customers, customers.c.id == row.customer_id)
        .where(*_written(occasion, highest), contact_wishes.c.quiet_from != "")
    ).all()
    for wish in wishes:
        at = occasion.not_before(wish.timezone, (wish.quiet_from, wish.quiet_until))
        _set_time(conn, occasion, highest, row.id == wish.id, at)


def _set_time(
    conn: Connection, occasion: Occasion, highest: int, whom: ColumnElement[bool], at: datetime | None
) -> None:
    values: Mapping[str, Any] = {"not_before": at}
    if at is None:
        values = {"state": "skipped", "reason": "quiet_hours", "not_before": null(), "arm": ""}
    conn.execute(update(broadcast_recipients).where(*_written(occasion, highest), whom).values(**values))


def _written(occasion: Occasion, highest: int) -> tuple[ColumnElement[bool], ...]:
    """Rows this chunk wrote that may be sent, or would be but for the draw."""
    row = broadcast_recipients.c
    return row.id > highest, _of(occasion.broadcast_id), row.state.in_(["pending", "held_out"])


def _of(broadcast_id: int) -> ColumnElement[bool]:
    """Written so that the rows are found by their ids: a broadcast's own index leads to all of them."""
    return broadcast_recipients.c.broadcast_id + 0 == broadcast_id


def _count(conn: Connection, broadcast_id: int, highest: int) -> int:
    row = broadcast_recipients.c
    counted = conn.execute(
        select(row.arm, row.state, row.reason, func.count().label("rows"))
        .where(row.id > highest, _of(broadcast_id))
        .group_by(row.arm, row.state, row.reason)
    ).all()
    add_counts(conn, {(broadcast_id, each.arm, each.state, each.reason): each.rows for each in counted})
    return sum(each.rows for each in counted)


def next_size(size: int, took_s: float, aim_s: float = 0.08) -> int:
    """How many customers the next chunk looks at, so that it holds the store about `aim_s`; at most twice as many."""
    fits = int(size * aim_s / max(took_s, 0.001))
    return max(LEAST, min(MOST, fits, size * 2))
