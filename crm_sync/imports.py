"""Orders brought in from the shop's own system, as CSV."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, bindparam, select, update

from bot.types import WEB_SIGNED_IN
from crm_sync.addressing import Address, find_or_create_people
from crm_sync.columns import key_in
from crm_sync.database import Database
from crm_sync.order_files import OrderLine, RowError, read_orders
from crm_sync.statements import Statement, insert_rows
from crm_sync.tables import customers, orders

CHUNK: Final = 500  # rows in one transaction, so that a running desk is not kept waiting

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
_EXISTING = select(orders).where(key_in(orders.c.number, "numbers"))
_UPDATE = Statement(
    update(orders)
    .where(orders.c.id == bindparam("b_id"))
    .values({name: bindparam(f"b_{name}") for name in (*_FIELDS, "customer_id", "updated_at")})
)


@dataclass(slots=True)
class ImportReport:
    """What an import did. Rows with errors were left out; all others are in the store."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    errors: list[RowError] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """The report, JSON-safe."""
        return asdict(self)


async def import_orders(database: Database, path: Path, *, timezone: str = "Asia/Shanghai") -> ImportReport:
    """The file's orders are in the store; running it again changes nothing. Customers are created where missing.

    `timezone` is where times without an offset belong.
    Raises: InputError when the file as a whole cannot be read; StoreUnavailable (rows before it are in the store).
    """
    lines, errors = await asyncio.to_thread(read_orders, path, timezone)
    report = ImportReport(errors=errors)
    for start in range(0, len(lines), CHUNK):
        chunk = lines[start : start + CHUNK]
        inserted, updated = await database.run(lambda conn, chunk=chunk: _write(conn, chunk, datetime.now(UTC)))  # type: ignore[misc]  # a default argument has no declared type here
        report.inserted += inserted
        report.updated += updated
        report.unchanged += len(chunk) - inserted - updated
    return report


def _write(conn: Connection, lines: Sequence[OrderLine], now: datetime) -> tuple[int, int]:
    owners = _owners(conn, lines, now)
    existing = {row.number: row for row in conn.execute(_EXISTING, {"numbers": [line.number for line in lines]})}
    fresh: list[dict[str, Any]] = []
    changed: list[dict[str, Any]] = []
    for line in lines:
        values = {name: getattr(line, name) for name in _FIELDS}
        before = existing.get(line.number)
        values["customer_id"] = owners.get(line.number, before.customer_id if before else None)
        if before is None:
            fresh.append({**values, "number": line.number, "updated_at": now})
        elif any(before._mapping[name] != value for name, value in values.items()):
            prefixed = {f"b_{name}": value for name, value in values.items()}
            changed.append({**prefixed, "b_id": before.id, "b_updated_at": now})
    insert_rows(conn, orders, fresh)
    _UPDATE.change_each(conn, changed)
    return len(fresh), len(changed)


def stored_id(line: OrderLine) -> str:
    """The external id as the channel stores it: a shop knows its web customers by its own user ids."""
    if line.channel == "web" and not line.external_id.startswith(WEB_SIGNED_IN):
        return WEB_SIGNED_IN + line.external_id
    return line.external_id


def _owners(conn: Connection, lines: Sequence[OrderLine], now: datetime) -> dict[str, int]:
    """Order number -> customer, for the lines that name an identity; what the customer's record lacks is filled in."""
    addresses = {
        line.number: Address(line.channel, line.account, stored_id(line), stored_id(line))
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
    for row in known:
        line = told[row.id]
        gaps = {
            name: value
            for name, value in (("name", line.name), ("phone", line.phone))
            if value and not row._mapping[name]
        }
        if gaps:
            conn.execute(update(customers).where(customers.c.id == row.id).values(**gaps))
    return owners
