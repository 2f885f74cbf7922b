"""What customers are worth, computed from visits and orders: their own figures page by page, ranks over all at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, bindparam, func, select, update

from crm_sync.columns import id_in
from crm_sync.database import Database
from crm_sync.service_tables import customer_values, visits
from crm_sync.statements import Statement, insert_rows
from crm_sync.tables import cases, customers, orders

PAGE: Final = 500  # customers in one transaction

_VISITS = Statement(
    select(visits.c.customer_id, visits.c.at, visits.c.amount_minor, visits.c.currency).where(
        id_in(visits.c.customer_id, "ids")
    )
)
_ORDERS = Statement(
    select(orders.c.customer_id, orders.c.placed_at.label("at"), orders.c.amount_minor, orders.c.currency).where(
        id_in(orders.c.customer_id, "ids"), orders.c.placed_at.is_not(None)
    )
)
_COMPLAINTS = Statement(
    select(cases.c.customer_id).where(id_in(cases.c.customer_id, "ids"), cases.c.is_open, cases.c.kind == "complaint")
)
_FIGURES: Final = (
    "visits",
    "last_at",
    "usual_interval_s",
    "amount_year_minor",
    "amount_before_minor",
    "currency",
    "lifecycle",
    "next_action",
)
_RANKS: Final = ("recency", "frequency", "monetary", "value_class")
_KNOWN = Statement(
    select(customer_values.c.customer_id, *(customer_values.c[name] for name in _FIGURES)).where(
        id_in(customer_values.c.customer_id, "ids")
    )
)
_SET = Statement(
    update(customer_values)
    .where(customer_values.c.customer_id == bindparam("b_customer_id"))
    .values({name: bindparam(f"b_{name}") for name in (*_FIGURES, "computed_at")})
)
_RANK = Statement(
    update(customer_values)
    .where(customer_values.c.customer_id == bindparam("b_customer_id"))
    .values({name: bindparam(f"b_{name}") for name in _RANKS})
)


@dataclass(frozen=True, slots=True)
class History:
    """One customer's visits and orders: (when, minor units, currency)."""

    purchases: Sequence[tuple[datetime, int, str]]
    has_open_complaint: bool


Figures = Mapping[str, Any]  # the columns of _FIGURES


async def compute_values(
    database: Database,
    figures: Callable[[History], Figures],
    value_class: Callable[[float, int], str],
    now: datetime,
) -> int:
    """Every customer who ever came has figures and ranks of now; how many have. What did not change is not written.

    `figures` are the rules for one history, `value_class` for the share of turnover that better customers bring.
    """
    after: int | None = 0
    while after is not None:
        after = await database.run(partial(_page, figures, now, after))
    ranks = await database.run(partial(_ranks, value_class), read=True)
    changed = [row for row, is_new in ranks if is_new]
    for start in range(0, len(changed), PAGE):
        rows = changed[start : start + PAGE]
        await database.run(partial(_write_ranks, rows))
    return len(ranks)


def _page(figures: Callable[[History], Figures], now: datetime, after: int, conn: Connection) -> int | None:
    """One page of customers; the id to go on behind, None at the end."""
    present = customers.c.erased_at.is_(None)
    ids: list[int] = list(
        conn.execute(
            select(customers.c.id).where(customers.c.id > after, present).order_by(customers.c.id).limit(PAGE)
        ).scalars()
    )
    if not ids:
        return None
    bought: dict[int, list[tuple[datetime, int, str]]] = defaultdict(list)
    for statement in (_VISITS, _ORDERS):
        for row in statement.rows(conn, {"ids": ids}):
            bought[row.customer_id].append((row.at, row.amount_minor or 0, row.currency))
    complain = {row.customer_id for row in _COMPLAINTS.rows(conn, {"ids": ids})}
    known = {row.customer_id: row for row in _KNOWN.rows(conn, {"ids": ids})}
    fresh: list[dict[str, Any]] = []
    changed: list[dict[str, Any]] = []
    for customer_id, purchases in bought.items():
        found = figures(History(purchases, customer_id in complain))
        before = known.get(customer_id)
        if before is None:
            fresh.append({**found, "customer_id": customer_id, "computed_at": now})
        elif any(getattr(before, name) != found[name] for name in _FIGURES):
            values = {**found, "customer_id": customer_id, "computed_at": now}
            changed.append({f"b_{name}": value for name, value in values.items()})
    insert_rows(conn, customer_values, fresh)
    _SET.change_each(conn, changed)
    return ids[-1]


def _ranks(value_class: Callable[[float, int], str], conn: Connection) -> list[tuple[dict[str, Any], bool]]:
    """Fifths (5 best) and class of everybody, and whether they differ from what is stored."""
    values = customer_values.c

    def fifth(*order: Any) -> Any:
        return func.ntile(5).over(order_by=(*order, values.customer_id.desc()))

    amount = values.amount_year_minor
    turnover = func.sum(amount).over()
    until = func.sum(amount).over(order_by=(amount.desc(), values.customer_id), rows=(None, 0))
    rows = conn.execute(
        select(
            values.customer_id,
            *(values[name] for name in _RANKS),
            amount,
            fifth(values.last_at.asc().nulls_first()).label("by_recency"),
            fifth(values.visits.asc()).label("by_frequency"),
            fifth(amount.asc()).label("by_amount"),
            turnover.label("turnover"),
            until.label("until"),
        )
    )
    found = []
    for row in rows:
        total = int(row.turnover or 0)
        share = (int(row.until) - row.amount_year_minor) / total if total > 0 else 1.0
        ranks = (row.by_recency, row.by_frequency, row.by_amount, value_class(share, row.amount_year_minor))
        stored = (row.recency, row.frequency, row.monetary, row.value_class)
        values_now = {f"b_{name}": rank for name, rank in zip(_RANKS, ranks, strict=True)}
        found.append(({"b_customer_id": row.customer_id, **values_now}, ranks != stored))
    return found


def _write_ranks(rows: Sequence[Mapping[str, Any]], conn: Connection) -> None:
    _RANK.change_each(conn, rows)
