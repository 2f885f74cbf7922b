"""Lists of the business brought in and taken out: whatever a spreadsheet writes, nothing lost, every bad row named."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import func, insert, select

from bot.errors import InputError, StoreUnavailable
from bot.types import UpdateCustomer
from crm_sync import import_jobs, imports
from crm_sync.customers import customer_record, find_customers
from crm_sync.database import Database
from crm_sync.exports import EXPORTS, export_to
from crm_sync.import_kinds import KINDS
from crm_sync.imports import How, ImportReport, import_file, preview
from crm_sync.service_tables import audit, visits
from crm_sync.store import SqlStore
from crm_sync.tables import customers
from tests.store_steps import START, converse

SHANGHAI = ZoneInfo("Asia/Shanghai")
PEOPLE = "key,name,phone,email,language,timezone,credit_class,tags,attr:birthday,attr:doors\n"
ANN = "c-1,王芳,13800000001,ann@example.com,zh,Asia/Shanghai,b,vip;fleet,1990-02-03,5\n"
HOW = How(SHANGHAI, {"doors": "whole", "birthday": "date"})


async def _import(store: SqlStore, tmp_path: Path, kind: str, body: str | bytes, **more: Any) -> ImportReport:
    path = tmp_path / f"{kind}.csv"
    path.write_bytes(body if isinstance(body, bytes) else body.encode())
    return await import_file(store.database, KINDS[kind], path, how=HOW, **more)


async def _record(store: SqlStore, key: str = "crm/import/c-1") -> dict[str, Any]:
    (customer,) = await find_customers(store.database, key)
    return await customer_record(store.database, customer)


async def test_a_customer_is_found_by_the_key_of_the_list_with_all_it_says(store: SqlStore, tmp_path: Path) -> None:
    assert await _import(store, tmp_path, "customers", PEOPLE + ANN) == ImportReport(inserted=1)
    record = await _record(store)
    profile = record["customer"]
    assert (profile["name"], profile["phone"], profile["phone_is_verified"]) == ("王芳", "+8613800000001", False)
    assert (profile["language"], profile["credit_class"], profile["timezone"]) == ("zh", "B", "Asia/Shanghai")
    assert [row["tag"] for row in record["tags"]] == ["fleet", "vip"]
    assert {row["name"]: row["value"] for row in record["attributes"]} == {"birthday": "1990-02-03", "doors": 5}


async def test_what_a_customer_owns_did_and_owes_hangs_together(store: SqlStore, tmp_path: Path) -> None:
    await _import(store, tmp_path, "customers", PEOPLE + ANN)
    await _import(store, tmp_path, "sites", "key,name_zh\ns-1,保定路站\n")
    assets = "key,customer_key,kind,name,since,until,attr:doors\nAB1,c-1,Vehicle,Tide,2024-01-02,,5\n"
    assert (await _import(store, tmp_path, "assets", assets)).inserted == 1
    lines = "key,customer_key,site,kind,at,amount,currency,items,asset_key\n"
    good = "v-1,c-1,s-1,service,2026-03-01 10:00,320.50,cny,brakes,AB1\n,c-1,,service,2026-03-02,,,,\n"
    bad = (
        "v-3,c-9,s-1,service,2026-03-01,,,,\nv-4,c-1,s-9,service,2026-03-01,,,,\nv-5,c-1,s-1,service,2026-03-01,,,,X\n"
    )
    report = await _import(store, tmp_path, "visits", lines + good + bad)
    assert report.inserted == 2
    assert [(error.line, error.column) for error in report.errors] == [
        (4, "customer_key"),
        (5, "site"),
        (6, "asset_key"),
    ]
    due = "key,customer_key,kind,amount,currency,due_on,paid_on,asset_key\nb-1,c-1,bill,80,CNY,2026/04/01,,AB1\n"
    assert (await _import(store, tmp_path, "dues", due)).inserted == 1
    orders = "order_number,customer_key,status\n77,c-1,paid\n78,c-9,paid\n"
    report = await _import(store, tmp_path, "orders", orders)
    assert (report.inserted, [error.line for error in report.errors]) == (1, [3])
    record = await _record(store)
    assert [(row["site"], row["asset"], row["amount_minor"]) for row in record["visits"]] == [
        ("s-1", "AB1", 32050),
        (None, None, None),
    ]
    assert [(row["key"], row["due_on"], row["asset"]) for row in record["dues"]] == [("b-1", "2026-04-01", "AB1")]
    assert [row["number"] for row in record["orders"]] == ["77"]
    again = await _import(store, tmp_path, "visits", lines + good, again=True)
    assert (again.inserted, again.updated, again.unchanged) == (0, 0, 2)


POINTS = "key,customer_key,change,reason,at\n"


async def test_points_are_booked_once_by_their_key_and_a_correction_is_an_entry_of_its_own(
    store: SqlStore, tmp_path: Path
) -> None:
    await _import(store, tmp_path, "customers", PEOPLE + ANN)
    book = POINTS + "e-1,c-1,+300,visit,2026-03-01\ne-2,c-1,-50,,\n"
    assert (await _import(store, tmp_path, "points", book)).inserted == 2
    again = await _import(store, tmp_path, "points", book, again=True)
    assert (again.inserted, again.unchanged) == (0, 2)
    record = await _record(store)
    entries = [(row["change"], row["reason"], row["reference"], row["author"]) for row in record["points"]]
    assert entries == [(300, "visit", "import:e-1", "import"), (-50, "import", "import:e-2", "import")]
    more = POINTS + "e-1,c-1,200,visit,2026-03-01\ne-3,c-1,100,,\n"
    report = await _import(store, tmp_path, "points", more)
    assert [(error.line, error.column) for error in report.errors] == [(2, "key")]
    assert sum(row["change"] for row in (await _record(store))["points"]) == 350


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ("e-1,c-9,5,,", "customer_key"),
        ("e-1,c-1,0,,", "change"),
        ("e-1,c-1,1.5,,", "change"),
        ("e-1,c-1,٣,,", "change"),
        ("e-1,c-1,99999999999,,", "change"),
        ("e-1,c-1,5,,soon", "at"),
        (",c-1,5,,", "key"),
    ],
)
async def test_a_wrong_entry_of_points_is_named_and_nothing_of_it_is_booked(
    store: SqlStore, tmp_path: Path, row: str, column: str
) -> None:
    await _import(store, tmp_path, "customers", PEOPLE + ANN)
    report = await _import(store, tmp_path, "points", POINTS + row + "\ne-8,c-1,7,,\n")
    assert [(error.line, error.column) for error in report.errors] == [(2, column)]
    assert [entry["change"] for entry in (await _record(store))["points"]] == [7]


async def test_an_order_with_only_a_phone_belongs_to_the_one_listed_customer_who_has_it(
    store: SqlStore, tmp_path: Path
) -> None:
    await _import(store, tmp_path, "customers", PEOPLE + ANN + "c-2,Bo,13800000002,,,,,,,\nc-3,Cy,13800000002,,,,,,,\n")
    orders = "order_number,phone,status\n77,13800000001,paid\n78,13800000002,paid\n79,13800000003,paid\n"
    await _import(store, tmp_path, "orders", orders)
    assert [row["number"] for row in (await _record(store))["orders"]] == ["77"]
    assert (await _record(store, "crm/import/c-2"))["orders"] == []


async def test_what_the_customer_or_staff_put_right_stays_right(store: SqlStore, tmp_path: Path) -> None:
    await _import(store, tmp_path, "customers", PEOPLE + ANN)
    (me,) = await find_customers(store.database, "crm/import/c-1")
    row = {"author": "li", "action": "correct", "customer_id": me, "fields": ["name", "doors"], "at": START}
    await store.database.run(lambda conn: conn.execute(insert(audit), row))
    changed = ANN.replace("王芳", "王方").replace(",5\n", ",3\n").replace("ann@", "fang@")
    assert (await _import(store, tmp_path, "customers", PEOPLE + changed)).updated == 1
    record = await _record(store)
    assert (record["customer"]["name"], record["customer"]["email"]) == ("王芳", "fang@example.com")
    assert {row["name"]: row["value"] for row in record["attributes"]}["doors"] == 5


async def test_the_same_file_again_does_nothing_unless_told_to(store: SqlStore, tmp_path: Path) -> None:
    await _import(store, tmp_path, "customers", PEOPLE + ANN)
    again = await _import(store, tmp_path, "customers", PEOPLE + ANN)
    assert (again.was_done, again) == (True, ImportReport())
    assert await _import(store, tmp_path, "customers", PEOPLE + ANN, again=True) == ImportReport(unchanged=1)


async def test_a_dry_run_says_what_would_be_and_writes_nothing(store: SqlStore, tmp_path: Path) -> None:
    report = await _import(store, tmp_path, "customers", PEOPLE + ANN + "c-2,Bo,12,,,,,,,\n", dry_run=True)
    assert (report.inserted, [(error.line, error.column) for error in report.errors]) == (1, [(3, "phone")])
    assert await find_customers(store.database, "crm/import/c-1") == []
    assert await store.database.run(import_jobs.jobs, read=True) == []


async def test_columns_of_other_names_are_mapped_and_previewed(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("编号,姓名,手机,生日,备注\nc-1,王芳,13800000001,1990-02-03,x\nc-2,李伟,12,,\n")
    mapping = {"key": "编号", "name": "姓名", "phone": "手机", "attr:birthday": "生日"}
    shown = preview(KINDS["customers"], path, mapping=mapping, how=HOW)
    assert shown.columns == {"编号": "key", "姓名": "name", "手机": "phone", "生日": "attr:birthday", "备注": ""}
    assert shown.rows[0] == (
        2,
        {"key": "c-1", "name": "王芳", "phone": "13800000001", "attr:birthday": "1990-02-03"},
        "",
    )
    assert (shown.rows[1][0], shown.rows[1][2]) == (3, "phone is not a phone number")
    with pytest.raises(InputError, match="--map"):
        preview(KINDS["customers"], path)
    with pytest.raises(InputError, match="no column"):
        preview(KINDS["customers"], path, mapping={"key": "Nummer"})


class _Failing(Database):
    """A store that goes away after some units of work."""

    def __init__(self, database: Database, units: int) -> None:
        self._database, self.left, self.dialect = database, units, database.dialect

    async def run(self, unit: Any, *, read: bool = False, durable: bool = True, checked: bool = True) -> Any:
        self.left -= 1
        if self.left < 0:
            raise StoreUnavailable("store", "gone")
        return await self._database.run(unit, read=read, durable=durable)

    async def close(self) -> None:
        return None


async def test_an_import_that_was_cut_off_goes_on_where_it_stopped(store: SqlStore, tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    count = imports.CHUNK * 3
    rows = [f"c-{number},N{number},{'12' if number % 100 == 7 else ''}" for number in range(count)]
    path.write_text("key,name,phone\n" + "\n".join(rows) + "\n")
    with pytest.raises(StoreUnavailable):
        await import_file(_Failing(store.database, 3), KINDS["customers"], path)
    report = await import_file(store.database, KINDS["customers"], path)
    assert (report.resumed_at, report.inserted) == (imports.CHUNK + 2, 2 * imports.CHUNK - len(report.errors))
    (job,) = await store.database.run(import_jobs.jobs, read=True)
    wrong = [number + 2 for number in range(count) if number % 100 == 7]
    assert (job.state, job.accepted, job.rejected) == ("done", count - len(wrong), len(wrong))
    kept = await store.database.run(lambda conn: import_jobs.all_errors(conn, job.id), read=True)
    assert [error.line for error in kept] == wrong
    stored = await store.database.run(lambda conn: conn.execute(select(func.count()).select_from(customers)).scalar())
    assert stored == count - len(wrong)


async def test_bad_rows_of_every_kind_are_named_and_the_others_kept(store: SqlStore, tmp_path: Path) -> None:
    rows = [
        "c-1,ok,,,,,,,,",
        'c-2,a"b",x,,,,,,,',
        'c-3,"a"b,,,,,,,,',
        "c-4,few",
        f"c-5,{'x' * 300_000},,,,,,,,",
        "c-1,again,,,,,,,,",
        ",nobody,,,,,,,,",
        "c-8,,,not-mail,,,,,,",
        "c-9,,,,,Nowhere/Town,,,,",
        "c-10,,,,,,E,,,",
        "c-11,,,,,,,,31/12/1990,",
        "c-12,,,,,,,,,many",
        "c-13,ok,,,,,,,,4",
    ]
    report = await _import(store, tmp_path, "customers", PEOPLE + "\n".join(rows))
    assert (report.inserted, [error.line for error in report.errors]) == (2, list(range(3, 14)))
    columns = [error.column for error in report.errors]
    assert columns[-5:] == ["email", "timezone", "credit_class", "attr:birthday", "attr:doors"]


@pytest.mark.parametrize(
    "body",
    [
        PEOPLE.encode() + b'c-1,"cut o',
        "key,name\nc-1,Müller-Lüdenscheidt Gärtner\n".encode("latin-1"),
        "key,name\nc-1,Ann\n".encode("utf-16-le"),
        b"\x89PNG\r\n\x1a\n\0\0\0",
        b"name,phone\nAnn,1\n",
    ],
    ids=["cut off", "latin-1", "utf-16 unmarked", "a picture", "no key"],
)
async def test_a_file_that_cannot_be_understood_is_refused_before_anything_is_written(
    store: SqlStore, tmp_path: Path, body: bytes
) -> None:
    with pytest.raises(InputError):
        await _import(store, tmp_path, "customers", body)
    assert await store.database.run(import_jobs.jobs, read=True) == []


async def test_a_signed_in_web_customer_and_the_listed_one_are_the_same(store: SqlStore, tmp_path: Path) -> None:
    await _import(store, tmp_path, "customers", PEOPLE + ANN)
    listed = (await converse(store, "hi", "ok", user="u-c-1")).conversation.customer
    assert (listed.name, listed.tags) == ("王芳", {"vip", "fleet"})
    first = (await converse(store, "hi", "ok", user="u-c-2", effects=[UpdateCustomer(name="Bo")])).conversation.customer
    await _import(store, tmp_path, "customers", PEOPLE + "c-2,Robert,,,,,C,,,\n")
    assert await find_customers(store.database, "crm/import/c-2") == [first.customer_id]


# --- XLSX -----------------------------------------------------------------------------------------------------------


def _book(path: Path, rows: Sequence[Sequence[Any]]) -> Path:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(path)
    return path


async def test_a_sheet_is_read_with_its_numbers_and_dates(store: SqlStore, tmp_path: Path) -> None:
    people = [
        ["Key", "name", "phone", "attr:birthday", "attr:doors"],
        ["c-1", "王芳", 13800000001, datetime(1990, 2, 3), 5.0],  # noqa: DTZ001 - as a sheet has it
    ]
    path = _book(tmp_path / "list.xlsx", [*people, [None, None], ["c-2", "Bo", None, None, "many"]])
    report = await import_file(store.database, KINDS["customers"], path, how=HOW)
    assert (report.inserted, [(error.line, error.column) for error in report.errors]) == (1, [(4, "attr:doors")])
    record = await _record(store)
    assert record["customer"]["phone"] == "+8613800000001"
    assert {row["name"]: row["value"] for row in record["attributes"]} == {"birthday": "1990-02-03", "doors": 5}


async def test_a_formula_without_a_saved_value_spoils_its_row_only(store: SqlStore, tmp_path: Path) -> None:
    path = _book(tmp_path / "list.xlsx", [["key", "name"], ["c-1", "=1+1"], ["c-2", "Bo"]])
    report = await import_file(store.database, KINDS["customers"], path)
    assert report.inserted == 1
    assert [error.line for error in report.errors] == [2]
    assert "formula" in report.errors[0].reason


async def test_a_sheet_that_was_not_written_to_its_end_is_refused(store: SqlStore, tmp_path: Path) -> None:
    path = _book(tmp_path / "list.xlsx", [["key", "name"], ["c-1", "Ann"]])
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(InputError, match="damaged or cut off"):
        await import_file(store.database, KINDS["customers"], path)
    (tmp_path / "bomb.xlsx").write_bytes(b"")
    with zipfile.ZipFile(tmp_path / "bomb.xlsx", "w", zipfile.ZIP_DEFLATED) as parts:
        parts.writestr("xl/worksheets/sheet1.xml", b"")
    with pytest.raises(InputError):
        await import_file(store.database, KINDS["customers"], tmp_path / "bomb.xlsx")


# --- out ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["csv", "xlsx"])
async def test_what_was_exported_can_be_imported_and_holds_no_formula(
    store: SqlStore, tmp_path: Path, suffix: str
) -> None:
    if suffix == "xlsx":
        pytest.importorskip("openpyxl")
    await _import(store, tmp_path, "customers", PEOPLE + ANN.replace("王芳", '"=HYPERLINK(""x"")"'))
    path = tmp_path / f"out.{suffix}"
    assert await export_to(store.database, EXPORTS["customers"], path, SHANGHAI) == 1
    assert path.stat().st_mode & 0o077 == 0
    if suffix == "csv":
        assert "'=HYPERLINK" in path.read_text(encoding="utf-8-sig")
        assert "+8613800000001" in path.read_text(encoding="utf-8-sig")
    report = await import_file(store.database, KINDS["customers"], path)
    assert (report.unchanged, report.errors) == (1, [])
    assert (await _record(store))["customer"]["name"] == '=HYPERLINK("x")'


async def test_orders_visits_and_cases_can_be_taken_out(store: SqlStore, tmp_path: Path) -> None:
    await _import(store, tmp_path, "customers", PEOPLE + ANN)
    await _import(
        store, tmp_path, "visits", "key,customer_key,at,amount,currency\nv-1,c-1,2026-03-01 10:00,320.5,CNY\n"
    )
    await _import(store, tmp_path, "orders", "order_number,customer_key,status\n77,c-1,paid\n")
    counts: Mapping[str, int] = {
        name: await export_to(store.database, export, tmp_path / f"{name}.csv", SHANGHAI)
        for name, export in EXPORTS.items()
    }
    assert counts == {"customers": 1, "orders": 1, "visits": 1, "cases": 0}
    assert "2026-03-01T10:00:00+08:00,320.50,CNY" in (tmp_path / "visits.csv").read_text(encoding="utf-8-sig")
    assert await store.database.run(lambda conn: conn.execute(select(func.count()).select_from(visits)).scalar()) == 1
    with pytest.raises(InputError, match=r"\.csv or \.xlsx"):
        await export_to(store.database, EXPORTS["orders"], tmp_path / "orders.txt", SHANGHAI)
