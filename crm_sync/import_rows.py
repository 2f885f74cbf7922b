"""Rows of a file as spreadsheets and other systems write it, CSV or XLSX: text in named cells, read as it is needed."""

from __future__ import annotations

import csv
import hashlib
import io
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, Final

from bot.errors import InputError
from config.text_files import NotText, decoded

LONGEST: Final = 2_000  # characters of a cell
LARGEST_CELL: Final = 10_000_000  # read at all, so that one huge cell spoils its row only
LARGEST_FILE: Final = 200_000_000  # bytes; of an XLSX opened, five times that
Row = tuple[int, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class RowError:
    """A row that was left out. `line` counts from 1, the header being line 1; `column` where one cell is to blame."""

    line: int
    reason: str
    column: str = ""


class CellError(InputError):
    """One cell is wrong. `column` is our name of it."""

    def __init__(self, column: str, reason: str) -> None:
        super().__init__(reason)
        self.column = column


@dataclass(frozen=True, slots=True)
class ImportFile:
    """A file that can be read. `rows` begins anew at each call; a row that cannot be read has the reason under `?`."""

    name: str
    sha256: str
    header: tuple[str, ...]  # as the file has it
    fields: tuple[str, ...]  # what each column is for us; "" for one we do not use
    rows: Callable[[], Iterator[Row]]
    encoding: str = ""  # in which a CSV was read; a workbook says its own


def open_file(
    path: Path, columns: Sequence[str], required: Sequence[str], mapping: Mapping[str, str] | None = None
) -> ImportFile:
    """The file's header fits: required columns are there, under our names or those of `mapping` (field -> column).

    Columns the file lacks are empty; others are passed over, but for `attr:<name>` where `columns` has "attr:".
    Raises: InputError when the file as a whole cannot be read: missing, too large, cut off, in no known encoding.
    """
    body = _bytes_of(path)
    is_book = path.suffix.lower() in (".xlsx", ".xlsm")
    cells, encoding = (_sheet(path, body), "") if is_book else _lines(path, body)
    header = next((row for _, row in cells()), [])
    fields = _fields(header, columns, required, mapping or {})
    if not is_book:
        for _ in cells():  # one that is cut off is refused before any of it is written
            pass

    def rows() -> Iterator[Row]:
        numbered = cells()
        next(numbered, None)
        for line, row in numbered:
            if len(row) == 1 and line < 0:
                yield -line, {**dict.fromkeys(columns, ""), "?": row[0]}
            elif any(row):
                yield line, _named(fields, row, columns)

    return ImportFile(path.name, hashlib.sha256(body).hexdigest(), tuple(header), fields, rows, encoding)


def checked(row: Mapping[str, str], required: Sequence[str]) -> Mapping[str, str]:
    """The row, when its cells are as many as the header's, not too long, and filled where they must be.

    Raises: InputError with the reason.
    """
    if "?" in row:
        raise InputError(row["?"])
    for name, value in row.items():
        if len(value) > LONGEST:
            raise CellError(name, f"{name} is longer than {LONGEST} characters")
    for name in required:
        if not row[name]:
            raise CellError(name, f"{name} is empty")
    return row


def _fields(
    header: Sequence[str], columns: Sequence[str], required: Sequence[str], mapping: Mapping[str, str]
) -> tuple[str, ...]:
    takes_attributes = "attr:" in columns
    known = {name for name in columns if name != "attr:"}
    by_column: dict[str, str] = {}
    for field, column in mapping.items():
        if field not in known and not (takes_attributes and field.startswith("attr:")):
            raise InputError(f"there is no field {field!r}; there are {', '.join(columns)}")
        if column.strip().lower() not in (name.lower() for name in header):
            raise InputError(f"the file has no column {column!r}; it has {', '.join(header)}")
        by_column[column.strip().lower()] = field
    fields: list[str] = []
    for name in (cell.lower() for cell in header):
        field = by_column.get(name, name if name not in by_column and name not in mapping else "")
        is_known = field in known or (takes_attributes and field.startswith("attr:") and len(field) > 5)
        fields.append(field if is_known and field not in fields else "")
    missing = [name for name in required if name not in fields]
    if missing:
        raise InputError(
            f"the header lacks {', '.join(missing)}; expected columns: {', '.join(columns)}. "
            "A column of another name is named with --map field=column"
        )
    return tuple(fields)


def _named(fields: Sequence[str], cells: Sequence[str], columns: Sequence[str]) -> Mapping[str, str]:
    named = {name: "" for name in columns if name != "attr:"}
    named.update({name: cell for name, cell in zip(fields, cells, strict=False) if name})
    if len(cells) != len(fields):
        named["?"] = f"has {len(cells)} cells where the header has {len(fields)}"
    elif broken := next((cell for cell in cells if cell.startswith("\0")), None):
        named["?"] = broken[1:]
    return named


def _bytes_of(path: Path) -> bytes:
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise InputError(f"{path.name} is larger than 200 MB; split it")
        return path.read_bytes()
    except OSError as exc:
        raise InputError(f"{path} cannot be read: {exc.strerror}") from exc


# --- CSV ------------------------------------------------------------------------------------------------------------

_Cells = Callable[[], Iterator[tuple[int, list[str]]]]


def _lines(path: Path, body: bytes) -> tuple[_Cells, str]:
    """Cells, and the encoding they were read in."""
    try:
        found = decoded(body)
    except NotText as wrong:
        raise InputError(f"{path.name}: {wrong}") from wrong
    text = found.text
    header_line = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=header_line.count)

    def cells() -> Iterator[tuple[int, list[str]]]:
        csv.field_size_limit(LARGEST_CELL)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        while True:
            line = reader.line_num + 1
            try:
                yield line, [_unguarded(cell.strip()) for cell in next(reader)]
            except StopIteration:
                return
            except csv.Error as exc:
                if "unexpected end" in str(exc):
                    raise InputError(f"line {line}: opens a quote that is never closed; is the file complete?") from exc
                until = f" up to line {reader.line_num}" if reader.line_num > line else ""
                yield -line, [f"cannot be read{until}: its quotes do not match"]

    return cells, found.encoding


# --- XLSX -----------------------------------------------------------------------------------------------------------


def _sheet(path: Path, body: bytes) -> _Cells:
    """The first sheet. A formula counts as the value saved with it; without one its row is wrong."""
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as parts:
            if sum(part.file_size for part in parts.infolist()) > 5 * LARGEST_FILE:
                raise InputError(f"{path.name} is larger than 1 GB when opened; split it")
            if parts.testzip() is not None:
                raise zipfile.BadZipFile
            has_formulas = any(
                b"<f>" in content or b"<f " in content
                for name in parts.namelist()
                if name.startswith("xl/worksheets/")
                for content in (parts.read(name),)
            )
    except (zipfile.BadZipFile, zipfile.LargeZipFile, OSError, NotImplementedError, RuntimeError) as exc:
        raise InputError(f"{path.name} is damaged or cut off, or no XLSX file; save it again") from exc

    def cells() -> Iterator[tuple[int, list[str]]]:
        values = _opened(path, body, values_only=True)
        formulas = _opened(path, body, values_only=False) if has_formulas else values
        width = 0
        for line, (row, written) in enumerate(
            zip(values, formulas, strict=False) if has_formulas else _twice(values), 1
        ):
            texts = [_cell(value, formula) for value, formula in zip(row, written, strict=True)]
            while len(texts) > width and not texts[-1]:
                texts.pop()
            width = width or len(texts)
            yield line, texts + [""] * (width - len(texts))

    return cells


def _twice(rows: Iterator[Sequence[Any]]) -> Iterator[tuple[Sequence[Any], Sequence[Any]]]:
    return ((row, row) for row in rows)


def _opened(path: Path, body: bytes, *, values_only: bool) -> Iterator[Sequence[Any]]:
    from openpyxl import load_workbook  # takes a while to load and most processes never need it

    try:
        book = load_workbook(io.BytesIO(body), read_only=True, data_only=values_only)
        sheet = book.worksheets[0]
        sheet.reset_dimensions()  # what the file says of its size need not be true
        yield from sheet.iter_rows(values_only=True)
    except Exception as exc:  # openpyxl raises whatever a part of the file makes it stumble over
        raise InputError(f"{path.name} cannot be read as XLSX ({type(exc).__name__}); save it again or as CSV") from exc


def _cell(value: Any, written: Any) -> str:
    """A cell as text; one that holds a formula without a value begins with NUL and the reason."""
    is_formula = isinstance(written, str) and written.startswith("=") and value != written
    if is_formula and (value is None or (isinstance(value, str) and value.startswith("#"))):
        return f"\0holds a formula without a value ({'none saved' if value is None else value})"
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(sep="T")
    if isinstance(value, date | time):
        return value.isoformat()
    return _unguarded(str(value).strip().lstrip("\0"))


def _unguarded(cell: str) -> str:
    """Without the apostrophe that keeps spreadsheets from taking a text for a formula (crm_sync/exports.py)."""
    return cell[1:] if cell[:1] == "'" and cell[1:2] in ("=", "+", "-", "@") else cell
