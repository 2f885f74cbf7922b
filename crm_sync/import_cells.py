"""Cells of imported rows as values: phones, moments, days, money, lists. Each says what is wrong and what to write."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from zoneinfo import ZoneInfo

from crm_sync.import_rows import CellError
from crm_sync.phones import normalise_phone

ATTRIBUTE: Final = "attr:"
_AMOUNT = re.compile(r"-?\d{1,3}(?:,\d{3})+(?:\.\d+)?|-?\d+(?:\.\d+)?", re.ASCII)
_DATE_FORMATS: Final = ("%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M", "%Y/%m/%d", "%Y年%m月%d日")
_NO: Final = frozenset({"0", "no", "false", "否", "n"})
_YES: Final = frozenset({"1", "yes", "true", "是", "y"})
Row = Mapping[str, str]


def phone(row: Row, name: str = "phone") -> str:
    """E.164; "" when the cell is empty."""
    text = row[name]
    found = normalise_phone(text) if text else ""
    if found is None:
        raise CellError(name, f"{name} is not a phone number")
    return found


def moment(row: Row, name: str, zone: ZoneInfo) -> datetime | None:
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
    if parsed is None or not 1900 <= parsed.year <= 2200:
        raise CellError(name, f"{name} is not a date; write 2026-11-20 or 2026-11-20T14:30:00+08:00")
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=zone)


def day(row: Row, name: str, zone: ZoneInfo) -> str:
    """ISO date; "" when the cell is empty."""
    found = moment(row, name, zone)
    return "" if found is None else found.astimezone(zone).date().isoformat()


def minor_units(row: Row, currency: str, name: str = "amount") -> int | None:
    """Cents or 分; None when the cell is empty."""
    text = row[name]
    if not text:
        return None
    if not re.fullmatch(r"[A-Z]{3}", currency, re.ASCII):
        raise CellError("currency", f"{name} needs a currency of three letters, e.g. CNY")
    from babel.numbers import get_currency_precision  # loads its tables on first use

    if not _AMOUNT.fullmatch(text) or len(text) > 18:
        raise CellError(name, f"{name} is not a number; write 1299.00")
    try:
        minor = Decimal(text.replace(",", "")).scaleb(get_currency_precision(currency))
    except InvalidOperation as exc:
        raise CellError(name, f"{name} is not a number; write 1299.00") from exc
    if minor != minor.to_integral_value():
        raise CellError(name, f"{name} has more decimals than {currency} has")
    return int(minor)


def listed(text: str) -> list[str]:
    """Parts between semicolons, each once, in order."""
    return list(dict.fromkeys(part.strip() for part in text.replace("；", ";").split(";") if part.strip()))


def attributes(row: Row, kinds: Mapping[str, str], zone: ZoneInfo) -> dict[str, Any]:
    """What the columns `attr:<name>` say; `kinds` is name -> text | number | whole | yes_no | date, else it is text."""
    return {
        name.removeprefix(ATTRIBUTE): _typed(row, name, kinds.get(name.removeprefix(ATTRIBUTE), "text"), zone)
        for name, value in row.items()
        if name.startswith(ATTRIBUTE) and value
    }


def _typed(row: Row, name: str, kind: str, zone: ZoneInfo) -> Any:
    text = row[name]
    try:
        match kind:
            case "number":
                number = float(text)
                if number - number != 0:  # infinite or not a number
                    raise ValueError(text)
                return number
            case "whole":
                return int(text)
            case "date":
                return day(row, name, zone)
            case "yes_no":
                if text.lower() not in _NO | _YES:
                    raise ValueError(text)
                return text.lower() in _YES
    except ValueError as exc:
        wanted = {"number": "a number", "whole": "a whole number", "yes_no": "yes or no"}[kind]
        raise CellError(name, f"{name} must be {wanted}") from exc
    return text
