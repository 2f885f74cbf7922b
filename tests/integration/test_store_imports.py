"""Orders from CSV: whatever a spreadsheet writes, good rows in, bad rows named."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.errors import InputError
from bot.types import Need
from config.settings import SAMPLE_ASSISTANT
from crm_sync.customers import customer_record, find_customers
from crm_sync.imported_orders import ORDERS
from crm_sync.imports import ImportReport, import_file
from crm_sync.store import SqlStore
from tests.store_steps import converse

HEADER = (
    "order_number,channel,account,external_id,name,phone,status,placed_at,expected_at,items,amount,currency,carrier,"
    "tracking_number,store\n"
)
ROW = (
    "2391,web,default,ann,王芳,138 0000 0001,Shipped,2026-11-20T10:00:00+08:00,2026-11-23,"
    '"kettle, red",299.5,cny,SF,SF1,保定路\n'
)


async def _import(store: SqlStore, tmp_path: Path, body: str | bytes) -> ImportReport:
    path = tmp_path / "orders.csv"
    path.write_bytes(body if isinstance(body, bytes) else body.encode())
    return await import_file(store.database, ORDERS, path)


async def test_the_sample_file_is_imported_and_again_changes_nothing(store: SqlStore) -> None:
    sample = SAMPLE_ASSISTANT / "sample" / "orders.csv"
    first = await import_file(store.database, ORDERS, sample, again=True)
    assert first.errors == []
    assert first.inserted > 0
    again = await import_file(store.database, ORDERS, sample, again=True)
    assert (again.inserted, again.updated, again.unchanged) == (0, 0, first.inserted)


async def test_an_imported_order_is_in_its_owners_next_snapshot(store: SqlStore, tmp_path: Path) -> None:
    report = await _import(store, tmp_path, HEADER + ROW)
    assert report == ImportReport(inserted=1)
    claimed = await converse(store, "where is it", user="u-ann")
    (order,) = claimed.conversation.customer.orders
    assert (order.number, order.status, order.items, order.amount_minor, order.currency) == (
        "2391",
        "shipped",
        "kettle, red",
        29950,
        "CNY",
    )
    assert (order.carrier, order.tracking_number, order.store) == ("SF", "SF1", "保定路")
    assert order.placed_at is not None
    assert order.expected_at is not None
    assert (order.placed_at.isoformat(), order.expected_at.isoformat()) == (
        "2026-11-20T02:00:00+00:00",
        "2026-11-22T16:00:00+00:00",
    )
    assert claimed.conversation.customer.name == "王芳"
    assert claimed.conversation.customer.phone == "+8613800000001"
    assert not claimed.conversation.customer.phone_is_verified


async def test_a_changed_row_updates_its_order(store: SqlStore, tmp_path: Path) -> None:
    await _import(store, tmp_path, HEADER + ROW)
    report = await _import(store, tmp_path, HEADER + ROW.replace("Shipped", "delivered"))
    assert (report.inserted, report.updated, report.unchanged) == (0, 1, 0)


async def test_an_order_with_only_a_phone_waits_for_whoever_proves_it(store: SqlStore, tmp_path: Path) -> None:
    await _import(store, tmp_path, HEADER + "7,,,,,13800000001,paid,,,,,,,,\n")
    customer = (await converse(store, "hi", user="u-ann")).conversation.customer
    assert customer.orders == ()
    assert (await store.fetch([Need("order", "7")], customer.customer_id))[Need("order", "7")] is None


async def test_what_the_customer_said_is_not_overwritten_by_an_import(store: SqlStore, tmp_path: Path) -> None:
    from bot.types import UpdateCustomer

    await converse(store, "hi", user="u-ann", effects=[UpdateCustomer(name="Own Name")])
    await _import(store, tmp_path, HEADER + ROW)
    (customer,) = await find_customers(store.database, "web/default/u-ann")
    profile = (await customer_record(store.database, customer))["customer"]
    assert (profile["name"], profile["phone"]) == ("Own Name", "+8613800000001")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "gb18030", "utf-16"])
async def test_the_encodings_of_spreadsheets_are_read(store: SqlStore, tmp_path: Path, encoding: str) -> None:
    report = await _import(store, tmp_path, (HEADER + ROW).encode(encoding))
    assert report == ImportReport(inserted=1)
    assert report.encoding == {"gbk": "GB18030", "gb18030": "GB18030", "utf-16": "UTF-16"}.get(encoding, "UTF-8")
    assert (await converse(store, "hi", user="u-ann")).conversation.customer.name == "王芳"


async def test_bad_rows_are_named_and_good_ones_kept(store: SqlStore, tmp_path: Path) -> None:
    rows = [
        "1,web,default,ann,,,paid,,,,,,,,",
        ",web,default,ann,,,paid,,,,,,,,",
        "3,web,default,ann,,12,paid,,,,,,,,",
        "4,,,,,,paid,,,,,,,,",
        "5,web,default,ann,,,paid,yesterday,,,,,,,",
        "6,web,default,ann,,,paid,,,,12.345,CNY,,,",
        "7,web,default,ann,,,paid,,,,12,,,,",
        "8,web,default,,,,paid,,,,,,,,",
        "1,web,default,bob,,,paid,,,,,,,,",
        "10,web,default",
        "11,web,default,ann,,,paid,,,,nan,CNY,,,",
        "",
        '13,web,default,ann,,,paid,,,"two\nlines",,,,,',
        "14,web,default,ann,,,paid,,,,1,CNY,,,",
    ]
    report = await _import(store, tmp_path, HEADER + "\n".join(rows))
    assert [error.line for error in report.errors] == [3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
    assert report.inserted == 3
    assert "already on line 2" in report.errors[7].reason


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xff\xff\x00",
        b"number,state\n1,paid\n",
        b'order_number,status\n1,"open',
        b"order_number;name\n1;x\n",
    ],
    ids=["empty", "no-text", "other-columns", "open-quote", "lacks-status"],
)
async def test_a_file_that_is_no_order_list_is_refused_as_a_whole(store: SqlStore, tmp_path: Path, body: bytes) -> None:
    with pytest.raises(InputError):
        await _import(store, tmp_path, body)


async def test_a_missing_file_is_said_so(store: SqlStore, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        await import_file(store.database, ORDERS, tmp_path / "none.csv")


async def test_yen_has_no_minor_units_and_thousands_may_be_grouped(store: SqlStore, tmp_path: Path) -> None:
    await _import(store, tmp_path, HEADER + '1,web,default,ann,,,paid,,,,"12,800",JPY,,,\n')
    assert (await converse(store, "hi", user="u-ann")).conversation.customer.orders[0].amount_minor == 12800
