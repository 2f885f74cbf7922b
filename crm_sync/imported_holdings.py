"""What customers own, did and owe, as the business's own systems list it: assets, visits, dues."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Table, bindparam, select, update

from bot.errors import InputError
from crm_sync.columns import digest_key, id_in, key_in
from crm_sync.dues import settle_plans
from crm_sync.import_cells import attributes, day, minor_units, moment
from crm_sync.import_rows import CellError
from crm_sync.imported_customers import by_key, unknown_customer
from crm_sync.imports import How, Kind, Written
from crm_sync.service_tables import assets, dues, sites, visits
from crm_sync.statements import Statement, insert_rows


@dataclass(frozen=True, slots=True)
class HoldingLine:
    """One checked row. `values` are columns of its table; `asset_key` and `site` name rows elsewhere, "" for none."""

    key: str
    customer_key: str
    values: Mapping[str, Any]
    asset_key: str = ""
    site: str = ""


_ASSETS_OF = Statement(
    select(assets.c.id, assets.c.key, assets.c.customer_id).where(id_in(assets.c.customer_id, "ids"))
)
_SITES = Statement(select(sites.c.id, sites.c.key).where(key_in(sites.c.key, "keys")))
_ASSET_FIELDS: Final = ("customer_id", "name", "attributes", "since", "until")
_VISIT_FIELDS: Final = ("customer_id", "site_id", "asset_id", "kind", "items", "amount_minor", "currency", "at")
_DUE_FIELDS: Final = ("customer_id", "asset_id", "kind", "amount_minor", "currency", "due_on", "paid_on")


class _Upsert:
    """Rows of one table that are found again by their key."""

    def __init__(self, table: Table, fields: tuple[str, ...], *, dated: bool) -> None:
        self._table, self.fields, self._dated = table, fields, dated
        same = (*fields, "kind") if table is assets else fields
        self._existing = Statement(
            select(table.c.id, table.c.key, *(table.c[name] for name in same)).where(key_in(table.c.key, "keys"))
        )
        changed: dict[str, Any] = {
            name: bindparam(f"b_{name}") for name in (*fields, *(["updated_at"] if dated else []))
        }
        self._update = Statement(update(table).where(table.c.id == bindparam("b_id")).values(changed))

    def write(self, conn: Connection, rows: Sequence[dict[str, Any]], now: datetime) -> Written:
        found = self._existing.rows(conn, {"keys": [row["key"] for row in rows]})
        existing = {self._place(row.key, row): row for row in found}
        dated = {"updated_at": now} if self._dated else {}
        fresh: list[dict[str, Any]] = []
        changed: list[dict[str, Any]] = []
        for row in rows:
            before = existing.get((row["key"], row["kind"]) if self._table is assets else (row["key"], ""))
            if before is None:
                fresh.append({**row, **dated})
            elif any(getattr(before, name) != row[name] for name in self.fields):
                values = {**{name: row[name] for name in self.fields}, **dated}
                changed.append({"b_id": before.id, **{f"b_{name}": value for name, value in values.items()}})
        insert_rows(conn, self._table, fresh)
        self._update.change_each(conn, changed)
        return Written(inserted=len(fresh), updated=len(changed))

    def _place(self, key: str, row: Any) -> tuple[str, str]:
        return (key, row.kind) if self._table is assets else (key, "")


_WRITE_ASSETS = _Upsert(assets, _ASSET_FIELDS, dated=True)
_WRITE_VISITS = _Upsert(visits, _VISIT_FIELDS, dated=False)
_WRITE_DUES = _Upsert(dues, _DUE_FIELDS, dated=True)


def _write(upsert: _Upsert, conn: Connection, lines: Sequence[HoldingLine], now: datetime) -> Written:
    owners = by_key(conn, [line.customer_key for line in lines])
    owned = _assets_of(conn, lines, owners)
    places = _sites_of(conn, lines)
    rows: list[dict[str, Any]] = []
    errors: dict[int, InputError] = {}
    for place, line in enumerate(lines):
        owner = owners.get(line.customer_key)
        asset = owned.get((owner or 0, line.asset_key)) if line.asset_key else None
        site = places.get(line.site) if line.site else None
        if owner is None:
            errors[place] = unknown_customer(line.customer_key)
        elif line.asset_key and asset is None:
            errors[place] = CellError("asset_key", f"the customer has no asset {line.asset_key!r}; import assets first")
        elif line.site and site is None:
            errors[place] = CellError("site", f"no site {line.site!r} is known; import sites first")
        else:
            found = {"asset_id": asset, "site_id": site, "customer_id": owner}
            wanted = {name: value for name, value in found.items() if name in upsert.fields}
            rows.append({"key": line.key, **line.values, **wanted})
    written = upsert.write(conn, rows, now) if rows else Written()
    written.errors.update(errors)
    return written


def _assets_of(conn: Connection, lines: Sequence[HoldingLine], owners: Mapping[str, int]) -> dict[tuple[int, str], int]:
    ids = sorted({owners[line.customer_key] for line in lines if line.asset_key and line.customer_key in owners})
    return {(row.customer_id, row.key): row.id for row in _ASSETS_OF.rows(conn, {"ids": ids})} if ids else {}


def _sites_of(conn: Connection, lines: Sequence[HoldingLine]) -> dict[str, int]:
    keys = sorted({line.site for line in lines if line.site})
    return {row.key: row.id for row in _SITES.rows(conn, {"keys": keys})} if keys else {}


# --- reading --------------------------------------------------------------------------------------------------------


def _asset(row: Mapping[str, str], how: How) -> HoldingLine:
    since, until = moment(row, "since", how.zone), moment(row, "until", how.zone)
    if since and until and until < since:
        raise CellError("until", "until lies before since")
    values = {
        "kind": row["kind"].lower(),
        "name": row["name"],
        "since": since,
        "until": until,
        "attributes": attributes(row, how.attributes, how.zone),
    }
    return HoldingLine(row["key"], row["customer_key"], values)


def _visit(row: Mapping[str, str], how: How) -> HoldingLine:
    """A visit without a number of its own is known again by what it says."""
    currency = row["currency"].upper()
    values = {
        "kind": row["kind"].lower(),
        "at": moment(row, "at", how.zone),
        "amount_minor": minor_units(row, currency),
        "currency": currency,
        "items": row["items"],
    }
    said = (row["customer_key"], row["site"], row["kind"], row["at"], row["amount"], row["items"])
    return HoldingLine(
        row["key"] or "row-" + digest_key(*said), row["customer_key"], values, row["asset_key"], row["site"]
    )


def _due(row: Mapping[str, str], how: How) -> HoldingLine:
    currency = row["currency"].upper()
    values = {
        "kind": row["kind"].lower() or "bill",
        "amount_minor": minor_units(row, currency),
        "currency": currency,
        "due_on": day(row, "due_on", how.zone),
        "paid_on": day(row, "paid_on", how.zone),
    }
    return HoldingLine(row["key"], row["customer_key"], values, row["asset_key"])


def _write_dues(conn: Connection, lines: Sequence[HoldingLine], now: datetime) -> Written:
    written = _write(_WRITE_DUES, conn, lines, now)
    settle_plans(conn, [line.key for line in lines if line.values["paid_on"]], now)
    return written


ASSETS: Final = Kind(
    "assets",
    ("key", "customer_key", "kind", "name", "since", "until", "attr:"),
    ("key", "customer_key", "kind"),
    _asset,
    lambda line: f"{line.values['kind']} {line.key}",
    lambda conn, lines, now: _write(_WRITE_ASSETS, conn, lines, now),
)
VISITS: Final = Kind(
    "visits",
    ("key", "customer_key", "site", "kind", "at", "amount", "currency", "items", "asset_key"),
    ("customer_key", "at"),
    _visit,
    lambda line: f"visit {line.key}",
    lambda conn, lines, now: _write(_WRITE_VISITS, conn, lines, now),
)
DUES: Final = Kind(
    "dues",
    ("key", "customer_key", "kind", "amount", "currency", "due_on", "paid_on", "asset_key"),
    ("key", "customer_key", "amount", "due_on"),
    _due,
    lambda line: f"due {line.key}",
    _write_dues,
)
