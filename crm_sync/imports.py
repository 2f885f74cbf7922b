"""Files brought in from the business's own systems: checked row by row, written in small steps, resumed if stopped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from bot.errors import InputError
from crm_sync import import_jobs
from crm_sync.database import Database
from crm_sync.import_jobs import Job
from crm_sync.import_rows import ImportFile, RowError, checked, open_file

LINE: Final = "#"  # under which a row of a numbered kind has its line of the file
CHUNK: Final = 250  # rows in one transaction, so that a running desk is not kept waiting


@dataclass(frozen=True, slots=True)
class How:
    """What reading a row may need to know. `attributes`: name -> type, see `import_cells.attributes`."""

    zone: ZoneInfo
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Written:
    """What became of some lines. `errors` are of those that could not be written, by their place in the list given."""

    inserted: int = 0
    updated: int = 0
    errors: dict[int, InputError] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Kind:
    """What can be imported. `read` makes a line of a row or raises InputError; `key` is what it may not share."""

    name: str
    columns: tuple[str, ...]  # "attr:" stands for any column that begins so
    required: tuple[str, ...]
    read: Callable[[Mapping[str, str], How], Any]
    key: Callable[[Any], str]
    write: Callable[[Connection, Sequence[Any], datetime], Written]
    is_numbered: bool = False  # rows say which line they are, under LINE


@dataclass(slots=True)
class ImportReport:
    """What an import did. Rows with errors were left out; all others are in the store (but for a dry run)."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    errors: list[RowError] = field(default_factory=list)
    job_id: int | None = field(default=None, compare=False)
    resumed_at: int | None = field(default=None, compare=False)  # row it went on at; None: from the beginning
    was_done: bool = field(default=False, compare=False)  # the same file was imported before; nothing was done now
    encoding: str = field(default="", compare=False)  # in which the file was read; a workbook has none

    def as_dict(self) -> dict[str, Any]:
        """The report, JSON-safe."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Preview:
    """The first rows as they would be read: what we call each column, and values or what is wrong."""

    columns: Mapping[str, str]  # column of the file -> field; "" for one that is not used
    rows: tuple[tuple[int, Mapping[str, str], str], ...]  # line, cells, what is wrong
    encoding: str = ""  # in which the file is read; a workbook has none


class _OnlyTried(Exception):
    """Takes back what a dry run wrote."""

    def __init__(self, written: Written) -> None:
        super().__init__()
        self.written = written


def preview(
    kind: Kind, path: Path, *, mapping: Mapping[str, str] | None = None, how: How | None = None, rows: int = 10
) -> Preview:
    """What an import would make of the file's first rows. Raises: InputError."""
    how = how or How(ZoneInfo("Asia/Shanghai"))
    file = open_file(path, kind.columns, kind.required, mapping)
    shown = []
    for line, row in islice(file.rows(), rows):
        found = _checked(kind, {**row, LINE: str(line)} if kind.is_numbered else row, how)
        cells = {name: value for name, value in row.items() if value and name != "?"}
        shown.append((line, cells, str(found) if isinstance(found, InputError) else ""))
    return Preview(dict(zip(file.header, file.fields, strict=True)), tuple(shown), file.encoding)


async def import_file(
    database: Database,
    kind: Kind,
    path: Path,
    *,
    mapping: Mapping[str, str] | None = None,
    how: How | None = None,
    dry_run: bool = False,
    again: bool = False,
    author: str = "",
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> ImportReport:
    """Every good row of the file is in the store and every other is in the report.

    A file that was imported before is left alone unless `again`; one that stopped half-way goes on where it stopped.
    Rows and progress are committed together, so a crash loses and doubles nothing.
    Raises: InputError when the file as a whole cannot be read; StoreUnavailable (rows before are in the store);
    StaleState when another process imports the same file now.
    """
    how = how or How(ZoneInfo("Asia/Shanghai"))
    file = await asyncio.to_thread(open_file, path, kind.columns, kind.required, mapping)
    if dry_run:
        report = ImportReport(encoding=file.encoding)
        async for chunk in _chunks(kind, file, how, after=0):
            _count(report, chunk, await _tried(database, kind, chunk, now()))
        return report
    before = await database.run(lambda conn: import_jobs.last_job(conn, kind.name, file.sha256, mapping or {}))
    if before is not None and before.state == "done" and not again:
        return ImportReport(job_id=before.id, was_done=True, encoding=file.encoding)
    if before is None or before.state == "done":
        values = {"kind": kind.name, "file_name": file.name, "sha256": file.sha256, "author": author}
        begun = {**values, "mapping": dict(mapping or {})}
        job = await database.run(lambda conn: import_jobs.begin(conn, begun, now()))
    else:
        job = before
    resumed_at = job.next_row if job is before and job.next_row > 2 else None
    report = ImportReport(job_id=job.id, resumed_at=resumed_at, encoding=file.encoding)
    try:
        async for chunk in _chunks(kind, file, how, after=job.next_row - 1):
            written, job = await database.run(partial(_step, kind, job, chunk, now()))
            _count(report, chunk, written)
    except InputError:
        stopped = job
        await database.run(lambda conn: import_jobs.end(conn, stopped, "stopped", now()))
        raise
    finished = job
    await database.run(lambda conn: import_jobs.end(conn, finished, "done", now()))
    return report


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Some rows that follow each other: the number of the last, checked lines with theirs, and the others' errors."""

    last: int
    good: list[tuple[int, Any]]
    errors: list[RowError]

    def lines(self) -> list[Any]:
        return [line for _, line in self.good]


async def _chunks(kind: Kind, file: ImportFile, how: How, *, after: int) -> AsyncIterator[_Chunk]:
    """The rows behind `after`; earlier ones only count as seen."""
    reading = _read(kind, file, how, after)
    while rows := await asyncio.to_thread(lambda: list(islice(reading, CHUNK))):
        good = [(number, found) for number, found in rows if not isinstance(found, InputError)]
        errors = [_error(number, found) for number, found in rows if isinstance(found, InputError)]
        yield _Chunk(rows[-1][0], good, errors)


def _read(kind: Kind, file: ImportFile, how: How, after: int) -> Iterator[tuple[int, Any]]:
    seen: dict[str, int] = {}
    for number, row in file.rows():
        found = _checked(kind, {**row, LINE: str(number)} if kind.is_numbered else row, how)
        if not isinstance(found, InputError):
            key = kind.key(found)
            if key in seen:
                found = InputError(f"{key} is already on line {seen[key]}")
            else:
                seen[key] = number
        if number > after:
            yield number, found


def _checked(kind: Kind, row: Mapping[str, str], how: How) -> Any:
    try:
        return kind.read(checked(row, kind.required), how)
    except InputError as exc:
        return exc


def _error(number: int, error: InputError) -> RowError:
    return RowError(number, str(error), getattr(error, "column", ""))


def _step(kind: Kind, job: Job, chunk: _Chunk, now: datetime, conn: Connection) -> tuple[Written, Job]:
    written = kind.write(conn, chunk.lines(), now) if chunk.good else Written()
    refused = _refused(chunk, written)
    accepted = len(chunk.good) - len(refused)
    return written, import_jobs.advance(conn, job, chunk.last + 1, accepted, [*chunk.errors, *refused])


async def _tried(database: Database, kind: Kind, chunk: _Chunk, now: datetime) -> Written:
    def unit(conn: Connection) -> None:
        raise _OnlyTried(kind.write(conn, chunk.lines(), now) if chunk.good else Written())

    try:
        await database.run(unit)
    except _OnlyTried as tried:
        return tried.written
    raise AssertionError("a dry run is always taken back")


def _refused(chunk: _Chunk, written: Written) -> list[RowError]:
    return [_error(chunk.good[place][0], error) for place, error in written.errors.items()]


def _count(report: ImportReport, chunk: _Chunk, written: Written) -> None:
    refused = _refused(chunk, written)
    report.inserted += written.inserted
    report.updated += written.updated
    report.unchanged += len(chunk.good) - len(refused) - written.inserted - written.updated
    report.errors += sorted([*chunk.errors, *refused], key=lambda error: error.line)
