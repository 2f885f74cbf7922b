"""Orders as a shop's own system lists them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, bindparam, select, update

from bot.errors import InputError
from bot.service_types import Notice
from bot.types import WEB_SIGNED_IN
from crm_sync.addressing import Address, find_or_create_people
from crm_sync.columns import key_in
from crm_sync.import_cells import minor_units, moment, phone
from crm_sync.imported_customers import by_key, by_phone, unknown_customer
from crm_sync.imports import How, Kind, Written
from crm_sync.own_news import OrderNews, tell_of_orders
from crm_sync.statements import Statement, insert_rows
from crm_sync.tables import customers, orders

_FIELDS: Final = (
    "status",
    "phone",
    "placed_at",
    "expected_at",
    "items",
    "amount_minor",
    "currency",
    "carrier",
    "tracking_number",
    "store",
)
_EXISTING = Statement(
    select(orders.c.id, orders.c.number, orders.c.customer_id, *(orders.c[name] for name in _FIELDS)).where(
        key_in(orders.c.number, "numbers")
    )
)
_UPDATE = Statement(
    update(orders)
    .where(orders.c.id == bindparam("b_id"))
    .values({name: bindparam(f"b_{name}") for name in (*_FIELDS, "customer_id", "updated_at")})
)
_FILL = Statement(
    update(customers)
    .where(customers.c.id == bindparam("b_id"))
    .values({name: bindparam(f"b_{name}") for name in ("name", "phone")})
)


@dataclass(frozen=True, slots=True)
class OrderLine:
    """One checked row. `external_id` and `customer_key` are empty when it names no identity; `phone` E.164 or empty."""

    number: str
    channel: str
    account: str
    external_id: str
    customer_key: str
    name: str
    values: Mapping[str, Any]


def _read(row: Mapping[str, str], how: How) -> OrderLine:
    channel, account, external_id = row["channel"].lower(), row["account"].lower() or "default", row["external_id"]
    if bool(channel) != bool(external_id):
        raise InputError("channel and external_id belong together: give both or neither")
    number = phone(row)
    if not external_id and not number and not row["customer_key"]:
        raise InputError("names no customer: give channel, account and external_id, or customer_key, or a phone number")
    currency = row["currency"].upper()
    values = {
        "status": row["status"].lower(),
        "phone": number,
        "placed_at": moment(row, "placed_at", how.zone),
        "expected_at": moment(row, "expected_at", how.zone),
        "items": row["items"],
        "amount_minor": minor_units(row, currency),
        "currency": currency,
        "carrier": row["carrier"],
        "tracking_number": row["tracking_number"],
        "store": row["store"],
    }
    return OrderLine(row["order_number"], channel, account, external_id, row["customer_key"], row["name"], values)


def _write(
    conn: Connection,
    lines: Sequence[OrderLine],
    now: datetime,
    *,
    topic: str = "",
    wording: Callable[[OrderNews], Notice] | None = None,
) -> Written:
    written = Written()
    owners = _owners(conn, lines, now)
    keys = by_key(conn, [line.customer_key for line in lines if line.customer_key])
    told = by_phone(conn, [line.values["phone"] for line in lines if not line.external_id and not line.customer_key])
    existing = {row.number: row for row in _EXISTING.rows(conn, {"numbers": [line.number for line in lines]})}
    fresh: list[dict[str, Any]] = []
    changed: list[dict[str, Any]] = []
    moved: list[OrderNews] = []
    for place, line in enumerate(lines):
        before = existing.get(line.number)
        owner = owners.get(line.number) or keys.get(line.customer_key) or told.get(line.values["phone"])
        if line.customer_key and owner is None:
            written.errors[place] = unknown_customer(line.customer_key)
            continue
        values = {**line.values, "customer_id": owner or (before.customer_id if before else None)}
        if before is None:
            fresh.append({**values, "number": line.number, "updated_at": now})
        elif any(getattr(before, name) != value for name, value in values.items()):
            changed.append(
                {**{f"b_{name}": value for name, value in values.items()}, "b_id": before.id, "b_updated_at": now}
            )
            if before.status != values["status"] and values["customer_id"] is not None:
                news = (before.id, line.number, values["status"], values["customer_id"], values["expected_at"])
                moved.append(OrderNews(*news))
    insert_rows(conn, orders, fresh)
    _UPDATE.change_each(conn, changed)
    if topic and wording is not None:
        tell_of_orders(conn, topic, {news: wording(news) for news in moved}, now)
    written.inserted, written.updated = len(fresh), len(changed)
    return written


def _stored_id(line: OrderLine) -> str:
    """The external id as the channel stores it: a shop knows its web customers by its own user ids."""
    if line.channel == "web" and not line.external_id.startswith(WEB_SIGNED_IN):
        return WEB_SIGNED_IN + line.external_id
    return line.external_id


def _owners(conn: Connection, lines: Sequence[OrderLine], now: datetime) -> dict[str, int]:
    """Order number -> customer, for the lines that name an identity; what the customer's record lacks is filled in."""
    addresses = {
        line.number: Address(line.channel, line.account, _stored_id(line), _stored_id(line))
        for line in lines
        if line.external_id
    }
    if not addresses:
        return {}
    people = find_or_create_people(conn, list(addresses.values()), now)
    owners = {number: people[address.identity_key()].customer_id for number, address in addresses.items()}
    told = {owners[line.number]: line for line in lines if line.number in owners}
    known = conn.execute(
        select(customers.c.id, customers.c.name, customers.c.phone).where(customers.c.id.in_(sorted(told)))
    ).all()
    filled = []
    for row in known:
        line = told[row.id]
        after = {"b_id": row.id, "b_name": row.name or line.name, "b_phone": row.phone or line.values["phone"]}
        if (after["b_name"], after["b_phone"]) != (row.name, row.phone):
            filled.append(after)
    _FILL.change_each(conn, filled)
    return owners


ORDERS: Final = Kind(
    "orders",
    (
        "order_number",
        "channel",
        "account",
        "external_id",
        "customer_key",
        "name",
        "phone",
        "status",
        "placed_at",
        "expected_at",
        "items",
        "amount",
        "currency",
        "carrier",
        "tracking_number",
        "store",
    ),
    ("order_number", "status"),
    _read,
    lambda line: f"order {line.number}",
    _write,
)


def orders_told(topic: str, wording: Callable[[OrderNews], Notice]) -> Kind:
    """As ORDERS; whoever subscribed to their orders under the topic is told of a new status in these words."""
    return replace(ORDERS, write=partial(_write, topic=topic, wording=wording))
