"""Sites from CSV, and what routing is told of them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from bot.errors import InputError
from bot.service_types import Site
from bot.types import CustomerId, Need, OpenCase
from crm_sync.imports import ImportReport, import_file
from crm_sync.service_tables import appointments, outages, site_tasks, sites
from crm_sync.sites import SITES
from crm_sync.store import SqlStore
from crm_sync.tables import cases
from tests.store_steps import START, converse

HEADER = (
    "key,name_zh,name_en,kind,latitude,longitude,address,phone,timezone,calendar,skills,languages,capacity,is_active\n"
)
BAODING = "s1,保定路站,Baoding Road,Station,38.874,115.464,保定路 8 号,0312-5550101,,station,brakes;tyres,zh;EN,4,\n"
ALL_SITES, NOBODY = Need("sites", ""), CustomerId(0)


async def _import(store: SqlStore, tmp_path: Path, body: str) -> ImportReport:
    path = tmp_path / "sites.csv"
    path.write_text(HEADER + body)
    return await import_file(store.database, SITES, path, now=lambda: START, again=True)


async def _sites(store: SqlStore, kind: str = "") -> tuple[Site, ...]:
    need = Need("sites", kind)
    found: tuple[Site, ...] = (await store.fetch([need], NOBODY))[need]
    return found


async def _write(store: SqlStore, *statements: Any) -> None:
    await store.database.run(lambda conn: [conn.execute(statement) for statement in statements])


async def test_an_imported_site_is_what_routing_is_told(store: SqlStore, tmp_path: Path) -> None:
    assert await _import(store, tmp_path, BAODING) == ImportReport(inserted=1)
    (site,) = await _sites(store)
    assert (site.key, site.names) == ("s1", {"zh": "保定路站", "en": "Baoding Road"})
    assert (site.kind, site.latitude, site.longitude, site.capacity) == ("station", 38.874, 115.464, 4)
    assert (site.skills, site.languages) == ({"brakes", "tyres"}, {"zh", "en"})
    assert (site.address, site.phone, site.calendar) == ("保定路 8 号", "+863125550101", "station")


async def test_the_same_file_again_changes_nothing_and_a_changed_row_is_updated(
    store: SqlStore, tmp_path: Path
) -> None:
    await _import(store, tmp_path, BAODING)
    assert await _import(store, tmp_path, BAODING) == ImportReport(unchanged=1)
    assert await _import(store, tmp_path, BAODING.replace("8 号", "9 号")) == ImportReport(updated=1)
    assert (await _sites(store))[0].address == "保定路 9 号"


async def test_a_site_that_is_closed_for_good_is_no_longer_offered(store: SqlStore, tmp_path: Path) -> None:
    await _import(store, tmp_path, BAODING + "s2,东湖站,,hotel,,,,,,,,,,\n")
    await _import(store, tmp_path, BAODING.rstrip("\n") + "no\n")
    assert [site.key for site in await _sites(store)] == ["s2"]
    assert [site.key for site in await _sites(store, "hotel")] == ["s2"]
    assert await _sites(store, "station") == ()


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (",站,,,,,,,,,,,,\n", "key is empty"),
        ("s,,,,,,,,,,,,,\n", "the site needs a name: name_zh, name_en or both"),
        ("s,站,,,115.464,38.874,,,,,,,,\n", "latitude must lie between -90 and 90"),
        ("s,站,,,nan,38.874,,,,,,,,\n", "latitude must lie between -90 and 90"),
        ("s,站,,,38.874,,,,,,,,,\n", "latitude and longitude must both be numbers"),
        ("s,站,,,north,east,,,,,,,,\n", "latitude and longitude must both be numbers"),
        ("s,站,,,0,0,,,,,,,,\n", "that is in the open sea"),
        ("s,站,,,,,,ring me,,,,,,\n", "phone is not a phone number"),
        ("s,站,,,,,,,Asia/Baoding,,,,,\n", "there is no time zone 'Asia/Baoding'"),
        ("s,站,,,,,,,,,,,-1,\n", "capacity must be a whole number"),
        ("s,站,,,,,,,,,,,１,\n", "capacity must be a whole number"),
        ("s,站,,,,,,,,,,,,maybe\n", "is_active must be yes or no"),
        ("s1,又一个,,,,,,,,,,,,\n", "site s1 is already on line 2"),
        ("s,站\n", "has 2 cells where the header has 14"),
    ],
)
async def test_a_wrong_row_is_named_and_the_good_ones_are_in(
    store: SqlStore, tmp_path: Path, row: str, reason: str
) -> None:
    report = await _import(store, tmp_path, BAODING + row + "s9,东湖站,,,,,,95306,,,,,,\n")
    ((line, found),) = [(error.line, error.reason) for error in report.errors]
    assert line == 3
    assert reason in found
    assert [site.key for site in await _sites(store)] == ["s1", "s9"]


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ("desk@example.org,telegram:main:77", ""),
        (",kf:main:wm:8", ""),
        ("desk at example.org,", "email is not an e-mail address"),
        ("desk@example.org\\nBcc: all@example.org,", "email is not an e-mail address"),
        (",telegram:77", "contact must be channel:account:chat"),
        (",::77", "contact must be channel:account:chat"),
    ],
)
async def test_where_a_site_is_told_of_its_tasks_is_imported_or_refused(
    store: SqlStore, tmp_path: Path, cells: str, reason: str
) -> None:
    path = tmp_path / "sites.csv"
    path.write_text(f"key,name_zh,email,contact\ns1,保定路站,{cells}\n")
    report = await import_file(store.database, SITES, path, now=lambda: START, again=True)
    assert [error.reason.startswith(reason) for error in report.errors] == ([True] if reason else [])
    wanted = select(sites.c.email, sites.c.contact)
    found = await store.database.run(lambda conn: conn.execute(wanted).all(), read=True)
    assert [f"{row.email},{row.contact}" for row in found] == ([] if reason else [cells])


async def test_a_file_without_keys_is_refused_whole(store: SqlStore, tmp_path: Path) -> None:
    path = tmp_path / "sites.csv"
    path.write_text("name\n保定路站\n")
    with pytest.raises(InputError, match="the header lacks key"):
        await import_file(store.database, SITES, path, now=lambda: START, again=True)


async def test_open_tasks_of_a_site_are_counted_and_ended_ones_are_not(store: SqlStore, tmp_path: Path) -> None:
    await _import(store, tmp_path, BAODING)
    numbers = ("C-1-9", "C-2-8", "C-3-7")
    opened = [OpenCase(number, "complaint", "brakes", number, 2, "noise", {}) for number in numbers]
    await converse(store, "hi", "ok", effects=opened)
    site_id = (await _sites(store))[0].id
    case_rows = await store.database.run(lambda conn: conn.execute(select(cases.c.id, cases.c.customer_id)).all())
    await _write(
        store,
        *(
            insert(site_tasks).values(
                case_id=case.id,
                site_id=site_id,
                customer_id=case.customer_id,
                state=state,
                expires_at=START,
                created_at=START,
            )
            for case, state in zip(case_rows, ("offered", "accepted", "closed"), strict=True)
        ),
    )
    assert (await _sites(store))[0].open_tasks == 2


async def test_taken_places_are_told_for_the_days_asked_and_only_booked_ones(store: SqlStore, tmp_path: Path) -> None:
    await _import(store, tmp_path, BAODING)
    await converse(store, "hi", "ok")
    at = START + timedelta(days=1)
    booked = [(at, 0, "booked"), (at, 1, "booked"), (at, 2, "cancelled"), (START + timedelta(days=9), 0, "booked")]
    site_id = (await _sites(store))[0].id
    await _write(
        store,
        *(
            insert(appointments).values(
                site_id=site_id,
                customer_id=1,
                service="inspection",
                starts_at=start,
                ends_at=start + timedelta(hours=1),
                place=place,
                state=state,
                created_at=START,
                updated_at=START,
            )
            for start, place, state in booked
        ),
    )
    day = START.date().isoformat()
    asked = [Need("slots", f"{site}|{service}|{day}|3") for site, service in (("s1", "inspection"), ("s1", "wash"))]
    assert await store.fetch(asked, NOBODY) == {asked[0]: (at, at), asked[1]: ()}


async def test_outages_that_are_over_are_not_told(store: SqlStore) -> None:
    row = {
        "area": "东区",
        "starts_at": START,
        "updated_at": START,
        "latitude": 38.0,
        "longitude": 115.0,
        "radius_m": 900,
    }
    await _write(store, insert(outages).values(key="o1", **row), insert(outages).values(key="o2", **row))
    await _write(store, update(outages).where(outages.c.key == "o1").values(ended_at=START))
    need = Need("outages", "")
    (outage,) = (await store.fetch([need], NOBODY))[need]
    assert (outage.key, outage.area, outage.radius_m, outage.expected_end_at) == ("o2", "东区", 900, None)
    assert (await store.database.run(lambda conn: conn.execute(select(sites)).all())) == []
