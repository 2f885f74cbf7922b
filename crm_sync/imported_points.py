"""Loyalty points as the business's own systems book them: entries of a ledger, each once by its key."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, select

from bot.errors import InputError
from crm_sync.columns import key_in
from crm_sync.import_cells import moment
from crm_sync.import_rows import CellError
from crm_sync.imported_customers import by_key, unknown_customer
from crm_sync.imports import How, Kind, Written
from crm_sync.service_tables import points
from crm_sync.statements import Statement, insert_rows

MOST: Final = 1_000_000_000
_REFERENCE: Final = "import:"  # so that no key can be taken for a reward of ours
_CHANGE: Final = re.compile(r"[+-]?[0-9]{1,10}", re.ASCII)
_EXISTING: Final = Statement(
    select(points.c.reference, points.c.customer_id, points.c.change).where(key_in(points.c.reference, "keys"))
)


@dataclass(frozen=True, slots=True)
class PointsLine:
    """One checked row. `at`: None for now."""

    key: str
    customer_key: str
    change: int
    reason: str
    at: datetime | None


def _read(row: Mapping[str, str], how: How) -> PointsLine:
    said = row["change"].replace("−", "-")
    change = int(said) if _CHANGE.fullmatch(said) else 0
    if not 0 < abs(change) <= MOST:
        raise CellError("change", "change must be a whole number other than 0, such as 300 or -50")
    return PointsLine(row["key"], row["customer_key"], change, row["reason"] or "import", moment(row, "at", how.zone))


def _write(conn: Connection, lines: Sequence[PointsLine], now: datetime) -> Written:
    """Entries that are booked stay as they are: a correction is an entry of its own."""
    owners = by_key(conn, [line.customer_key for line in lines])
    booked = {row.reference: row for row in _EXISTING.rows(conn, {"keys": [_REFERENCE + line.key for line in lines]})}
    fresh: list[dict[str, Any]] = []
    errors: dict[int, InputError] = {}
    for place, line in enumerate(lines):
        owner, before = owners.get(line.customer_key), booked.get(_REFERENCE + line.key)
        if owner is None:
            errors[place] = unknown_customer(line.customer_key)
        elif before is None:
            fresh.append(
                {
                    "customer_id": owner,
                    "change": line.change,
                    "reason": line.reason,
                    "reference": _REFERENCE + line.key,
                    "author": "import",
                    "at": line.at or now,
                }
            )
        elif (before.customer_id, before.change) != (owner, line.change):
            told = (
                f"entry {line.key} is booked otherwise ({before.change:+d}); book the difference under a key of its own"
            )
            errors[place] = CellError("key", told)
    insert_rows(conn, points, fresh)
    written = Written(inserted=len(fresh))
    written.errors.update(errors)
    return written


POINTS: Final = Kind(
    "points",
    ("key", "customer_key", "change", "reason", "at"),
    ("key", "customer_key", "change"),
    _read,
    lambda line: f"entry {line.key}",
    _write,
)
