"""The reports' pages: what is said, where numbers lead, what files hold, and what roles and addresses are refused."""

from __future__ import annotations

import io
import re
from html import unescape

import pytest
from openpyxl import load_workbook
from sqlalchemy import Connection, update

from bot.types import OpenCase
from crm_sync.tables import cases
from desk.report_types import REPORTS
from tests.console.console_under_test import ConsoleUnderTest
from tests.store_steps import converse


async def _talked(console: ConsoleUnderTest, text: str, answer: str, **more: str) -> None:
    """They spoke, long enough ago that it is counted."""
    await converse(console.store, text, answer, **more)
    console.clock.advance(minutes=1)


async def test_a_report_leads_with_a_sentence_and_its_numbers_open_what_they_count(console: ConsoleUnderTest) -> None:
    await _talked(console, "where is my order", "On its way.", user="ann")
    lena = await console.enter("lena", "supervisor")
    page = await lena.page("/console/reports/volume?range=7")
    assert page.status_code == 200
    assert '<p class="lead">Conversations rose from 0 to 1.</p>' in page.text
    assert '<polyline points="' in page.text
    assert "style=" not in page.text
    (address,) = set(re.findall(r'<b><a href="([^"]*what=asked[^"]*)"', page.text))
    behind = await lena.page(unescape(address))
    assert '<a href="/console/inbox/1?list=all">' in behind.text
    assert "On its way." in behind.text


@pytest.mark.parametrize("name", REPORTS)
async def test_a_report_of_nothing_says_what_to_do(console: ConsoleUnderTest, name: str) -> None:
    lena = await console.enter("lena", "supervisor")
    page = await lena.page(f"/console/reports/{name}?range=90")
    assert page.status_code == 200
    assert "Choose more days, or all channels." in page.text
    assert "<svg xmlns" not in page.text


async def test_days_of_ones_own_are_counted_to_the_last_one_and_kept_in_every_link(console: ConsoleUnderTest) -> None:
    await _talked(console, "hello", "hi", user="ann")
    lena = await console.enter("lena", "supervisor")
    page = await lena.page("/console/reports/volume?range=own&since=2026-11-22&to=2026-11-22&channel=web")
    assert "22 Nov, compared with 21 Nov" in page.text
    assert "range=own&amp;channel=web&amp;since=2026-11-22&amp;to=2026-11-22" in page.text
    other = await lena.page("/console/reports/volume?range=own&since=2026-11-22&to=2026-11-22&channel=telegram")
    assert "Nothing was counted" in other.text


@pytest.mark.parametrize(
    "days",
    ["range=own", "range=own&since=x&to=y", "range=own&since=2026-02-01&to=2026-01-01", "range=99",
     "range=own&since=0001-01-01&to=9999-12-31"],
)  # fmt: skip
async def test_days_that_are_none_are_said_above_the_last_thirty(console: ConsoleUnderTest, days: str) -> None:
    lena = await console.enter("lena", "supervisor")
    page = await lena.page(f"/console/reports/volume?{days}")
    assert page.status_code == 200
    assert 'role="alert"' in page.text
    assert (await lena.page(f"/console/reports/volume/file.csv?{days}")).status_code == 422


async def test_what_is_shown_is_exported_with_the_name_of_the_report_and_its_days(console: ConsoleUnderTest) -> None:
    await _talked(console, "hello", "hi", user="ann")
    lena = await console.enter("lena", "supervisor")
    csv = await lena.page("/console/reports/volume/file.csv?range=7")
    assert csv.headers["content-disposition"] == 'attachment; filename="volume-2026-11-16.csv"'
    assert "Conversations,1,0,count" in csv.content.decode("utf-8-sig")
    book = load_workbook(io.BytesIO((await lena.page("/console/reports/volume/file.xlsx?range=7")).content))
    assert book.sheetnames == ["Volume"]


async def test_who_may_not_open_conversations_gets_numbers_without_links(console: ConsoleUnderTest) -> None:
    await _talked(console, "hello", "hi", user="ann")
    eve = await console.enter("eve", "auditor")
    page = await eve.page("/console/reports/volume")
    assert page.status_code == 200
    assert "/behind" not in page.text
    assert "file.csv" not in page.text
    assert (await eve.page("/console/reports/volume/behind?what=asked")).status_code == 403
    assert (await eve.page("/console/reports/volume/file.csv")).status_code == 403


async def test_causes_that_come_back_are_told_by_site_and_product_and_lead_to_their_cases(
    console: ConsoleUnderTest,
) -> None:
    def found(conn: Connection) -> None:
        conn.execute(update(cases).values(cause="wear", quality_type="noise"))

    for number in ("C-1024-7", "C-1025-6"):
        opened = OpenCase(number, "complaint", "brakes", number, 2, "brakes <b>squeak</b>", {})
        await converse(console.store, "hi", "ok", effects=[opened])
    await console.store.database.run(found)
    console.clock.advance(minutes=1)
    lena = await console.enter("lena", "supervisor")
    page = await lena.page("/console/reports/causes?range=7&by=product")
    assert "Complaints with a cause that came back got worse, from 0 to 2." in page.text
    assert '<option value="product" selected>' in page.text
    assert '<option value="cause"' not in page.text
    (address,) = re.findall(r'href="([^"]*what=repeated[^"]*)"', page.text)
    behind = await lena.page(unescape(address))
    assert {"C-1024-7", "C-1025-6"} <= set(re.findall(r"C-\d+-\d", behind.text))
    assert "brakes &lt;b&gt;squeak" in behind.text
    for name in ("", "[]", "[1,2,3,4,5]", "%5B"):
        forged = await lena.page(f"/console/reports/causes/behind?kind=case&what=repeated&name={name}")
        assert forged.status_code == 422


async def test_operators_see_no_reports(console: ConsoleUnderTest) -> None:
    li = await console.enter()
    assert (await li.page("/console/reports")).status_code == 403


async def test_forged_addresses_are_answered_plainly(console: ConsoleUnderTest) -> None:
    lena = await console.enter("lena", "supervisor")
    assert (await lena.page("/console/reports/passwords")).status_code == 404
    assert (await lena.page("/console/reports/volume/behind?what=everything")).status_code == 422
    assert (await lena.page("/console/reports/volume/behind?what=asked&cursor=%00")).status_code == 422
    assert (await lena.page("/console/reports/csat/behind?kind=case&what=score&name=x")).status_code == 422
    assert (await lena.page("/console/reports/volume/file.exe")).status_code == 422
    named = await lena.page("/console/reports/volume?channel=%3Cscript%3E")
    assert "<script>" not in named.text


async def test_scheduled_summaries_are_shown_without_the_ids_of_chats(console: ConsoleUnderTest) -> None:
    lena = await console.enter("lena", "supervisor")
    page = await lena.page("/console/reports")
    assert "every Monday at 08:00 · to lena, Telegram" in page.text
    assert "-100200" not in page.text
