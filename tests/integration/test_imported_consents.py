"""Consents from files need a source, never undo what was said later, and keep the line that shows them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, select

from crm_sync.imported_consents import consents_kind
from crm_sync.imports import How, ImportReport, import_file
from crm_sync.store import SqlStore
from crm_sync.tables import consents
from tests.audience_rows import a_consent, a_person
from tests.store_steps import START

HEADER = "phone,channel,purpose,granted,at,until,confirmed_at,source"


async def imported(
    store: SqlStore, folder: Path, *lines: str, source: str = "", name: str = "fair.csv"
) -> ImportReport:
    file = folder / name
    file.write_text("\n".join((HEADER, *lines)) + "\n", encoding="utf-8")
    kind = consents_kind(name, source, ["club"])
    how = How(ZoneInfo("Asia/Shanghai"))
    return await import_file(store.database, kind, file, how=how, now=lambda: START, again=True)


async def people(store: SqlStore, count: int) -> list[int]:
    def unit(conn: Connection) -> list[int]:
        return [a_person(conn, phone=f"+861380000000{n}") for n in range(count)]

    return await store.database.run(unit)


async def lines_of(store: SqlStore) -> list[Any]:
    return list(await store.database.run(lambda conn: conn.execute(select(consents)).all(), read=True))


async def test_a_consent_without_a_source_is_refused_and_with_one_its_line_shows_it(
    store: SqlStore, tmp_path: Path
) -> None:
    (person,) = await people(store, 1)
    row = "13800000000,wechat,news,,2026-11-01,,,"
    report = await imported(store, tmp_path, row)
    assert [(error.line, error.column) for error in report.errors] == [(2, "source")]
    assert await lines_of(store) == []
    report = await imported(store, tmp_path, row, source="trade fair")
    (line,) = await lines_of(store)
    assert (report.inserted, line.customer_id, line.source, line.granted) == (1, person, "trade fair", True)
    assert line.proof == {"file": "fair.csv", "line": 2}
    again = await imported(store, tmp_path, row, source="trade fair")
    assert (again.inserted, again.unchanged, len(await lines_of(store))) == (0, 1, 1)


async def test_what_was_taken_back_later_stays_taken_back(store: SqlStore, tmp_path: Path) -> None:
    ids = await people(store, 3)

    def said(conn: Connection) -> None:
        a_consent(conn, ids[0], "wechat", granted=False, at=START - timedelta(days=5))
        a_consent(conn, ids[1], "*", purpose="*", granted=False, at=START - timedelta(days=5))
        a_consent(conn, ids[2], "wechat", granted=False, at=START - timedelta(days=40))

    await store.database.run(said)
    rows = [f"1380000000{n},wechat,news,yes,2026-11-10,,,form" for n in range(3)]
    report = await imported(store, tmp_path, *rows)
    assert [(error.line, error.reason) for error in report.errors] == [
        (2, "was taken back later than this"),
        (3, "was taken back later than this"),
    ]
    assert report.inserted == 1


async def test_rows_that_cannot_be_are_named_with_their_cell(store: SqlStore, tmp_path: Path) -> None:
    await people(store, 3)
    report = await imported(
        store,
        tmp_path,
        "13800000000,wechat,club,yes,2026-11-10,,,form",
        "13800000000,wechat,news,yes,2027-11-10,,,form",
        "13800000000,wechat,news,yes,2026-11-10,2026-11-09,,form",
        "13800000000,wechat,news,maybe,2026-11-10,,,form",
        "13800000000,We Chat,news,yes,2026-11-10,,,form",
        "13700000000,wechat,news,yes,2026-11-10,,,form",
        "13800000001,wechat,club,yes,2026-11-10,,2026-11-11,form",
        "13800000002,wechat,news,no,2026-11-10,,,form",
    )
    assert [(error.line, error.column) for error in report.errors] == [
        (2, "confirmed_at"),
        (3, "at"),
        (4, "until"),
        (5, "granted"),
        (6, "channel"),
        (7, ""),
    ]
    assert [(line.purpose, line.granted) for line in await lines_of(store)] == [("club", True), ("news", False)]
