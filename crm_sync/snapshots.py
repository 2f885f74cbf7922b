"""The bounded copy of a customer's record that a turn carries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import Connection, Select, and_, func, select, union

from bot.types import Case, CustomerId, CustomerSnapshot, Order
from crm_sync.columns import id_in, is_filled
from crm_sync.tables import cases, consents, customers, orders, tasks

NEWEST: Final = 10  # orders and cases a snapshot holds at most

ORDER_COLUMNS = (
    orders.c.number,
    orders.c.status,
    orders.c.placed_at,
    orders.c.expected_at,
    orders.c["items"],  # `.items` is the collection's own method
    orders.c.amount_minor,
    orders.c.currency,
    orders.c.carrier,
    orders.c.tracking_number,
    orders.c.store,
)
CASE_COLUMNS = (
    cases.c.number,
    cases.c.kind,
    cases.c.category,
    cases.c.subject,
    cases.c.severity,
    cases.c.status,
    cases.c.summary,
    cases.c.opened_at,
    cases.c.updated_at,
    cases.c.is_open,
    cases.c.details,
)


@dataclass(frozen=True, slots=True)
class CustomerRow:
    """A customer as claimed, and which parts of the record there are to fetch. `channel` decides which consents."""

    snapshot: CustomerSnapshot
    channel: str
    has_orders: bool
    has_cases: bool
    has_consents: bool
    has_tasks: bool


def order_of(row: Any) -> Order:
    """The order in a row of ORDER_COLUMNS."""
    named = row._mapping
    return Order(*(named[column.name] for column in ORDER_COLUMNS))


def case_of(row: Any) -> Case:
    """The case in a row of CASE_COLUMNS."""
    named = row._mapping
    return Case(*(named[column.name] for column in CASE_COLUMNS))


def owned_orders() -> Select[Any]:
    """Pairs of customer and order: by the order's customer, or by its phone once the customer's is verified."""
    by_phone = and_(customers.c.phone_is_verified, is_filled(orders.c.phone), orders.c.phone == customers.c.phone)
    mine = select(customers.c.id.label("owner_id"), orders.c.id.label("order_id"))
    both = union(
        mine.join_from(customers, orders, orders.c.customer_id == customers.c.id).where(id_in(customers.c.id, "ids")),
        mine.join_from(customers, orders, by_phone).where(id_in(customers.c.id, "ids")),
    ).subquery("owned")
    return select(both.c.owner_id, *ORDER_COLUMNS, orders.c.id.label("order_id")).join_from(
        both, orders, orders.c.id == both.c.order_id
    )


def _newest(statement: Select[Any], owner: str, *order: str) -> Select[Any]:
    """The NEWEST rows of each owner, newest first."""
    inner = statement.subquery("inner_rows")
    by = [inner.c[name].desc().nulls_last() for name in order]
    ranked = select(inner, func.row_number().over(partition_by=inner.c[owner], order_by=by).label("place")).subquery()
    return select(ranked).where(ranked.c.place <= NEWEST).order_by(ranked.c[owner], ranked.c.place)


_ORDERS = _newest(owned_orders(), "owner_id", "placed_at", "order_id")
_CASES = _newest(
    select(cases.c.customer_id.label("owner_id"), *CASE_COLUMNS, cases.c.id.label("case_id")).where(
        id_in(cases.c.customer_id, "ids")
    ),
    "owner_id",
    "updated_at",
    "case_id",
)
_CONSENTS = select(consents.c.customer_id, consents.c.channel, consents.c.purpose, consents.c.granted).where(
    id_in(consents.c.customer_id, "ids"), consents.c.until.is_(None)
)
_TASKS = (
    select(tasks.c.customer_id, tasks.c.kind)
    .where(id_in(tasks.c.customer_id, "ids"), tasks.c.is_open)
    .order_by(tasks.c.id)
)


def snapshots(conn: Connection, people: Sequence[CustomerRow]) -> dict[tuple[CustomerId, str], CustomerSnapshot]:
    """(customer, channel) -> snapshot. One statement for each part that anybody here has."""

    def ids_with(has: Callable[[CustomerRow], bool]) -> list[int]:
        return sorted({int(person.snapshot.customer_id) for person in people if has(person)})

    owned: dict[int, list[Order]] = defaultdict(list)
    if ids := ids_with(lambda person: person.has_orders):
        for row in conn.execute(_ORDERS, {"ids": ids}):
            owned[row.owner_id].append(order_of(row))
    tracked: dict[int, list[Case]] = defaultdict(list)
    if ids := ids_with(lambda person: person.has_cases):
        for row in conn.execute(_CASES, {"ids": ids}):
            tracked[row.owner_id].append(case_of(row))
    agreed: dict[tuple[int, str], dict[str, bool]] = defaultdict(dict)
    if ids := ids_with(lambda person: person.has_consents):
        for row in conn.execute(_CONSENTS, {"ids": ids}):
            agreed[row.customer_id, row.channel][row.purpose] = row.granted
    due: dict[int, list[str]] = defaultdict(list)
    if ids := ids_with(lambda person: person.has_tasks):
        for row in conn.execute(_TASKS, {"ids": ids}):
            due[row.customer_id].append(row.kind)
    found: dict[tuple[CustomerId, str], CustomerSnapshot] = {}
    for person in people:
        customer_id, snapshot = person.snapshot.customer_id, person.snapshot
        if person.has_orders or person.has_cases or person.has_consents or person.has_tasks:
            snapshot = replace(
                snapshot,
                orders=tuple(owned.get(customer_id, ())),
                cases=tuple(tracked.get(customer_id, ())),
                consents=agreed.get((customer_id, person.channel), {}),
                open_tasks=tuple(due.get(customer_id, ())),
            )
        found[customer_id, person.channel] = snapshot
    return found
