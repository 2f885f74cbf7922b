"""Lists taken out of the store as CSV or XLSX, page by page, in a form that no spreadsheet takes for formulas."""

from __future__ import annotations

import asyncio
import csv
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Protocol

from sqlalchemy import Connection, Select, and_, func, select

from bot.errors import InputError
from crm_sync.addressing import CRM
from crm_sync.columns import id_in
from crm_sync.database import Database
from crm_sync.service_tables import assets, customer_tags, customer_values, sites, visits
from crm_sync.tables import cases, customers, identities, orders

PAGE: Final = 1000  # rows read in one transaction
MOST_ROWS: Final = 1_048_575  # of a sheet, below its header
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_NUMBER = re.compile(r"[+-]?[\d.,]+", re.ASCII)
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class Export:
    """One list: the columns of the file, and its rows behind an id, each with `id` first."""

    name: str
    columns: tuple[str, ...]
    page: Callable[[Connection, int], Sequence[Sequence[Any]]]


async def export_to(database: Database, export: Export, path: Path, zone: tzinfo) -> int:
    """The list is in the file, which only this user can read; how many rows. An earlier file is replaced at the end.

    Times are local to `zone`, amounts in major units.
    Raises: InputError when it cannot be written or has too many rows.
    """
    if path.suffix.lower() not in (".csv", ".xlsx"):
        raise InputError(f"{path.name} must end in .csv or .xlsx")
    half = path.with_name(path.name + ".part")
    try:
        with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb"):
            writer: _Writer = _CsvFile(half) if path.suffix.lower() == ".csv" else _Book(half, export.name)
        writer.add([export.columns])
        count, after = 0, 0
        while rows := await database.run(partial(_page, export, after), read=True):
            after, count = rows[-1][0], count + len(rows)
            if path.suffix.lower() == ".xlsx" and count > MOST_ROWS:
                raise InputError(f"a sheet holds {MOST_ROWS} rows; export to CSV")
            await asyncio.to_thread(writer.add, [[_cell(value, zone) for value in row[1:]] for row in rows])
        await asyncio.to_thread(writer.close)
        half.replace(path)
    except OSError as exc:
        raise InputError(f"{path} cannot be written: {exc.strerror}") from exc
    finally:
        half.unlink(missing_ok=True)
    return count


def _page(export: Export, after: int, conn: Connection) -> Sequence[Sequence[Any]]:
    return export.page(conn, after)


def guarded(text: str) -> str:
    """The text with an apostrophe before it where a spreadsheet would take it for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) and not _NUMBER.fullmatch(text) else text


def for_sheet(text: str) -> str:
    """As much of the text as a cell of a sheet can hold."""
    return _NOT_IN_XML.sub("", text)[:32_767]


def _cell(value: Any, zone: tzinfo) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(zone).isoformat(timespec="seconds")
    if isinstance(value, bool):
        return "yes" if value else "no"
    return guarded(str(value).encode("utf-8", "replace").decode())


class _Writer(Protocol):
    def add(self, rows: Sequence[Sequence[str]]) -> None: ...
    def close(self) -> None: ...


class _CsvFile:
    """UTF-8 with a mark, since spreadsheets guess wrongly without it."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8-sig", newline="")
        self._writer = csv.writer(self._file)

    def add(self, rows: Sequence[Sequence[str]]) -> None:
        self._writer.writerows(rows)

    def close(self) -> None:
        self._file.close()


class _Book:
    def __init__(self, path: Path, title: str) -> None:
        from openpyxl import Workbook  # takes a while to load and most processes never need it

        self._path, self._book = path, Workbook(write_only=True)
        self._sheet = self._book.create_sheet(title)

    def add(self, rows: Sequence[Sequence[str]]) -> None:
        for row in rows:
            self._sheet.append([for_sheet(cell) for cell in row])

    def close(self) -> None:
        self._book.save(self._path)


# --- the lists ------------------------------------------------------------------------------------------------------


def _money(minor: int | None, currency: str) -> str:
    if minor is None:
        return ""
    from babel.numbers import get_currency_precision  # loads its tables on first use

    places = get_currency_precision(currency) if currency else 2
    return f"{minor / 10**places:.{places}f}"


_KEY = (
    select(func.min(identities.c.external_id))
    .where(
        and_(
            identities.c.customer_id == customers.c.id,
            identities.c.channel == CRM[0],
            identities.c.account == CRM[1],
        )
    )
    .scalar_subquery()
)


def _rows(conn: Connection, query: Select[Any], id_column: Any, after: int) -> Sequence[Any]:
    return conn.execute(query.where(id_column > after).order_by(id_column).limit(PAGE)).all()


def _customers(conn: Connection, after: int) -> Sequence[Sequence[Any]]:
    query = (
        select(
            customers.c.id,
            _KEY.label("key"),
            customers.c.name,
            customers.c.phone,
            customers.c.email,
            customers.c.language,
            customers.c.timezone,
            customers.c.credit_class,
            customer_values.c.value_class,
            customer_values.c.lifecycle,
            customers.c.created_at,
        )
        .outerjoin_from(customers, customer_values, customer_values.c.customer_id == customers.c.id)
        .where(customers.c.erased_at.is_(None))
    )
    rows = _rows(conn, query, customers.c.id, after)
    tags: dict[int, list[str]] = {}
    tagged = select(customer_tags).where(id_in(customer_tags.c.customer_id, "ids")).order_by(customer_tags.c.tag)
    for row in conn.execute(tagged, {"ids": [row.id for row in rows]}):
        tags.setdefault(row.customer_id, []).append(row.tag)
    return [(*row[:8], "; ".join(tags.get(row.id, ())), *row[8:]) for row in rows]


def _orders(conn: Connection, after: int) -> Sequence[Sequence[Any]]:
    query = select(orders, _KEY.label("customer_key")).outerjoin_from(
        orders, customers, customers.c.id == orders.c.customer_id
    )
    return [
        (
            row.id,
            row.number,
            row.customer_key,
            row.phone,
            row.status,
            row.placed_at,
            row.expected_at,
            row._mapping["items"],
            _money(row.amount_minor, row.currency),
            row.currency,
            row.carrier,
            row.tracking_number,
            row.store,
        )
        for row in _rows(conn, query, orders.c.id, after)
    ]


def _visits(conn: Connection, after: int) -> Sequence[Sequence[Any]]:
    query = (
        select(visits, _KEY.label("customer_key"), sites.c.key.label("site"), assets.c.key.label("asset_key"))
        .join_from(visits, customers, customers.c.id == visits.c.customer_id)
        .outerjoin(sites, sites.c.id == visits.c.site_id)
        .outerjoin(assets, assets.c.id == visits.c.asset_id)
        .where(customers.c.erased_at.is_(None))
    )
    return [
        (
            row.id,
            row.key,
            row.customer_key,
            row.site,
            row.kind,
            row.at,
            _money(row.amount_minor, row.currency),
            row.currency,
            row._mapping["items"],
            row.asset_key,
        )
        for row in _rows(conn, query, visits.c.id, after)
    ]


_CASE: Final = (
    "number",
    "kind",
    "category",
    "quality_type",
    "subject",
    "severity",
    "status",
    "team",
    "owner",
    "summary",
    "cause",
    "remedy",
    "reopened",
    "score",
    "opened_at",
    "first_response_at",
    "solved_at",
    "closed_at",
)


def _cases(conn: Connection, after: int) -> Sequence[Sequence[Any]]:
    query = select(cases.c.id, cases.c.customer_id, *(cases.c[name] for name in _CASE))
    return _rows(conn, query, cases.c.id, after)


EXPORTS: Final[Mapping[str, Export]] = MappingProxyType(
    {
        "customers": Export(
            "customers",
            (
                "key",
                "name",
                "phone",
                "email",
                "language",
                "timezone",
                "credit_class",
                "tags",
                "value_class",
                "lifecycle",
                "created_at",
            ),
            _customers,
        ),
        "orders": Export(
            "orders",
            (
                "order_number",
                "customer_key",
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
            _orders,
        ),
        "visits": Export(
            "visits",
            ("key", "customer_key", "site", "kind", "at", "amount", "currency", "items", "asset_key"),
            _visits,
        ),
        "cases": Export("cases", ("customer_id", *_CASE), _cases),
    }
)
