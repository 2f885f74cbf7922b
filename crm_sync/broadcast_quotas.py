"""What was used of what vendors allow: counted as sends end, known to be used up when a vendor says so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, select

from bot.reach.preflight import Allowed
from crm_sync.broadcast_tables import vendor_quotas
from crm_sync.rows import upsert_many

MASS: Final = "mass"
_KEYS: Final = ("channel", "account", "kind", "period")
Key = tuple[str, str, str, str]  # channel, account, kind, period


def use_quotas(conn: Connection, used: Mapping[Key, int], used_up: Sequence[Key] = ()) -> None:
    """So many more were sent in these periods; of `used_up` the vendor allows no more."""
    counted = [{**dict(zip(_KEYS, key, strict=True)), "used": count} for key, count in sorted(Counter(used).items())]
    upsert_many(conn, vendor_quotas, counted, key=_KEYS, added=("used",))
    over = [{**dict(zip(_KEYS, key, strict=True)), "is_known_used_up": True} for key in sorted(set(used_up))]
    upsert_many(conn, vendor_quotas, over, key=_KEYS)


def quotas_used(conn: Connection, allowed: Sequence[Allowed]) -> dict[Allowed, int]:
    """How much of each was used: by the vendor's own count, else by ours; all of it where the vendor said so.

    A mass send of an account is one, however many got it, so one that was made counts as one.
    """
    found: dict[Allowed, int] = {}
    for each in allowed:
        row: Any = conn.execute(
            select(vendor_quotas.c.used, vendor_quotas.c.is_known_used_up).where(
                *(vendor_quotas.c[name] == getattr(each, name) for name in _KEYS)
            )
        ).first()
        own = 0 if row is None else min(row.used, 1) if each.kind == MASS else row.used
        told = own if each.used is None else each.used
        found[each] = each.limit if row is not None and row.is_known_used_up and each.of == "account" else told
    return found
