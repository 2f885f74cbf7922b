"""CSV files of orders, as spreadsheets and shop systems write them: decoded, checked, every bad row named."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from bot.errors import InputError
from crm_sync.phones import normalise_phone

REQUIRED: Final = ("order_number", "status")
COLUMNS: Final = (
    "order_number",
    "channel",
    "account",
    "external_id",
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
)
LONGEST: Final = 2_000  # characters of a cell
LARGEST_FILE: Final = 200_000_000  # bytes
_AMOUNT = re.compile(r"-?\d{1,3}(?:,\d{3})+(?:\.\d+)?|-?\d+(?:\.\d+)?", re.ASCII)
_DATE_FORMATS: Final = ("%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M", "%Y/%m/%d", "%Y年%m月%d日")


@dataclass(frozen=True, slots=True)
class RowError:
    """A row that was left out. `line` counts from 1, the header being line 1."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class OrderLine:
    """One checked row. `external_id` is empty when the row names no identity; `phone` is E.164 or empty."""

    number: str
    channel: str
    account: str
    external_id: str
    name: str
    phone: str
    status: str
    placed_at: datetime | None
    expected_at: datetime | None
    items: str
    amount_minor: int | None
    currency: str
    carrier: str
    tracking_number: str
    store: str


def read_orders(path: Path, timezone: str) -> tuple[list[OrderLine], list[RowError]]:
    """The good rows in file order, and why the others are not.

    Raises: InputError when the file cannot be read, is in no known encoding or lacks a column.
    """
    lines: list[OrderLine] = []
    errors: list[RowError] = []
    seen: dict[str, int] = {}
    zone = ZoneInfo(timezone)
    for number, row in rows_of(text_of(path), COLUMNS, REQUIRED):
        try:
            order = _order(row, zone)
            if order.number in seen:
                raise InputError(f"order {order.number} is already on line {seen[order.number]}")
        except InputError as exc:
            errors.append(RowError(number, str(exc)))
            continue
        seen[order.number] = number
        lines.append(order)
    return lines, errors


def text_of(path: Path) -> str:
    """The file as text, in whatever encoding spreadsheets write. Raises: InputError."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise InputError(f"{path.name} is larger than 200 MB; split it")
        body = path.read_bytes()
    except OSError as exc:
        raise InputError(f"{path} cannot be read: {exc.strerror}") from exc
    if body.startswith((b"\xff\xfe", b"\xfe\xff")):
        encodings: tuple[str, ...] = ("utf-16",)
    else:
        encodings = ("utf-8-sig", "gb18030")  # Excel in Chinese saves CSV as GBK, of which GB 18030 is a superset
    for encoding in encodings:
        try:
            return body.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise InputError(f"{path.name} is neither UTF-8, UTF-16 nor GBK text; save it as CSV UTF-8")


def rows_of(text: str, columns: Sequence[str], required: Sequence[str]) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Line and cells by column, for every row that is not empty; a row of the wrong length says so under `?`.

    Columns the file lacks are empty, others are passed over. Raises: InputError when a required one is missing.
    """
    header_line = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=header_line.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        missing = [name for name in required if name not in header]
        if missing:
            raise InputError(f"the header lacks {', '.join(missing)}; expected columns: {', '.join(columns)}")
        line = reader.line_num + 1
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield line, _named(header, cells, columns)
            line = reader.line_num + 1
    except csv.Error as exc:
        raise InputError(f"line {reader.line_num}: {exc}") from exc


def _named(header: Sequence[str], cells: Sequence[str], columns: Sequence[str]) -> Mapping[str, str]:
    named = dict.fromkeys(columns, "")
    named.update({name: cell.strip() for name, cell in zip(header, cells, strict=False)})
    if len(cells) != len(header):
        named["?"] = f"has {len(cells)} cells where the header has {len(header)}"
    return named


def checked(row: Mapping[str, str], columns: Sequence[str], required: Sequence[str]) -> Mapping[str, str]:
    """The row, when its cells are as many as the header's, not too long, and filled where they must be.

    Raises: InputError with the reason.
    """
    if "?" in row:
        raise InputError(row["?"])
    for name in columns:
        if len(row[name]) > LONGEST:
            raise InputError(f"{name} is longer than {LONGEST} characters")
    for name in required:
        if not row[name]:
            raise InputError(f"{name} is empty")
    return row


def _order(row: Mapping[str, str], zone: ZoneInfo) -> OrderLine:
    checked(row, COLUMNS, REQUIRED)
    channel, account, external_id = row["channel"].lower(), row["account"].lower() or "default", row["external_id"]
    if bool(channel) != bool(external_id):
        raise InputError("channel and external_id belong together: give both or neither")
    phone = ""
    if row["phone"]:
        phone = normalise_phone(row["phone"]) or ""
        if not phone:
            raise InputError("phone is not a phone number")
    if not external_id and not phone:
        raise InputError("names no customer: give channel, account and external_id, or a phone number")
    currency = row["currency"].upper()
    return OrderLine(
        number=row["order_number"],
        channel=channel,
        account=account,
        external_id=external_id,
        name=row["name"],
        phone=phone,
        status=row["status"].lower(),
        placed_at=_moment(row, "placed_at", zone),
        expected_at=_moment(row, "expected_at", zone),
        items=row["items"],
        amount_minor=_minor_units(row["amount"], currency),
        currency=currency,
        carrier=row["carrier"],
        tracking_number=row["tracking_number"],
        store=row["store"],
    )


def _moment(row: Mapping[str, str], name: str, zone: ZoneInfo) -> datetime | None:
    """ISO 8601, or year/month/day as spreadsheets write it; without an offset it is local to `zone`."""
    text = row[name]
    if not text:
        return None
    parsed: datetime | None = None
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        for pattern in _DATE_FORMATS:
            try:
                parsed = datetime.strptime(text, pattern)  # noqa: DTZ007 - the zone is set below
                break
            except ValueError:
                continue
    if parsed is None:
        raise InputError(f"{name} is not a date; write 2026-11-20 or 2026-11-20T14:30:00+08:00")
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=zone)


def _minor_units(text: str, currency: str) -> int | None:
    """Cents or 分; None when the cell is empty."""
    if not text:
        return None
    if not re.fullmatch(r"[A-Z]{3}", currency, re.ASCII):
        raise InputError("amount needs a currency of three letters, e.g. CNY")
    from babel.numbers import get_currency_precision  # loads its tables on first use

    if not _AMOUNT.fullmatch(text) or len(text) > 20:
        raise InputError("amount is not a number; write 1299.00")
    try:
        minor = Decimal(text.replace(",", "")).scaleb(get_currency_precision(currency))
    except InvalidOperation as exc:
        raise InputError("amount is not a number; write 1299.00") from exc
    if minor != minor.to_integral_value():
        raise InputError(f"amount has more decimals than {currency} has")
    return int(minor)
