"""The bounded copy of a customer's record that a turn carries.

A customer has few of its parts. Which ones is asked once, as a set of bits beside what is claimed anyway
(`snapshot_parts.PARTS_OF`); then one statement for each part that anybody of the claim has.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from bot.types import CustomerId, CustomerSnapshot
from crm_sync.snapshot_parts import PARTS, Part


@dataclass(frozen=True, slots=True)
class CustomerRow:
    """A customer as claimed, and by the bits of PARTS_OF what there is to fetch. `channel` decides which consents."""

    snapshot: CustomerSnapshot
    channel: str
    parts: int


def snapshots(
    conn: Connection, people: Sequence[CustomerRow], now: datetime
) -> dict[tuple[CustomerId, str], CustomerSnapshot]:
    """(customer, channel) -> snapshot. One statement for each part that anybody here has."""
    found: list[tuple[int, Part, dict[int, list[Any]]]] = []
    for place, part in enumerate(PARTS):
        bit = 1 << place
        if ids := sorted({int(person.snapshot.customer_id) for person in people if person.parts & bit}):
            rows: dict[int, list[Any]] = defaultdict(list)
            for row in part.statement.rows(conn, {"ids": ids, "now": now}):
                rows[row.owner_id].append(row)
            found.append((bit, part, rows))
    return {
        (person.snapshot.customer_id, person.channel): _filled(person, found) if person.parts else person.snapshot
        for person in people
    }


def _filled(person: CustomerRow, found: Sequence[tuple[int, Part, dict[int, list[Any]]]]) -> CustomerSnapshot:
    return replace(
        person.snapshot,
        **{
            part.field: part.value(rows[person.snapshot.customer_id], person.channel)
            for bit, part, rows in found
            if person.parts & bit and person.snapshot.customer_id in rows
        },
    )
