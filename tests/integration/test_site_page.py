"""The page a site works with: what it shows, what it does to the case, and links and forms that are wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import insert, select, update
from starlette.applications import Starlette

from bot.errors import CaseNotFound, NotFound, RuleError
from bot.service.policy import read_policy
from bot.types import OpenCase, UpdateCase
from crm_sync.cases import By
from crm_sync.erasure import erase_customer
from crm_sync.service_tables import assets, customer_attributes, site_tasks, sites, timers, visits
from crm_sync.site_links import SiteLinks
from crm_sync.store import SqlStore
from crm_sync.tables import case_events, cases, customers, tasks
from desk.site_work import offer_site
from frontdesk.site_routes import SiteDesk, site_routes
from tests.builders import shop
from tests.store_steps import START, SetClock, converse

DESK = "https://desk.example"
KEYS = (b"a secret key of this test",)
NUMBER = "C-1024-7"
STAFF = By("operator", START, "li-qiang")
NASTY = '刹车响 <script>alert("1")</script>\' & \x00'


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
async def timed(store_url: str, clock: SetClock) -> AsyncIterator[SqlStore]:
    """A store with two sites, and a case whose customer lives beside the second one."""
    store = await SqlStore.open(store_url, clock=clock)
    rows = [
        {"key": key, "names": {"zh": name, "en": en}, "updated_at": START, "latitude": lat, "longitude": 115.464}
        for key, name, en, lat in (("s1", "保定路站", "Baoding Road", 38.90), ("s2", "东湖站", "East Lake", 38.88))
    ]
    await store.database.run(lambda conn: conn.execute(insert(sites), rows) and None)
    opened = OpenCase(
        NUMBER,
        "complaint",
        "brakes",
        "2391",
        3,
        "noise",
        {"what_happened": NASTY, "contact": "+8613800000001"},
        language="zh",
    )
    claimed = await converse(store, "hi", "ok", effects=[opened], channel="telegram")
    home = [
        {"customer_id": claimed.conversation.customer.customer_id, "name": name, "value": value, "updated_at": START}
        for name, value in (("latitude", 38.875), ("longitude", 115.464))
    ]
    await store.database.run(lambda conn: conn.execute(insert(customer_attributes), home) and None)
    yield store
    await store.close()


@pytest.fixture
async def client(timed: SqlStore, clock: SetClock) -> AsyncIterator[httpx.AsyncClient]:
    desk = SiteDesk(
        timed.database,
        SiteLinks(KEYS, base_url=DESK),
        clock,
        lambda: shop().service,
        lambda account: shop(),
        lambda key: f"{DESK}/media/{key}?s=1",
    )
    transport = httpx.ASGITransport(app=Starlette(routes=site_routes(desk)))
    async with httpx.AsyncClient(transport=transport, base_url=DESK) as opened:
        yield opened


async def a_link(store: SqlStore, site: str = "s1") -> str:
    offered = await offer_site(store.database, NUMBER, site, shop().service, STAFF)
    return SiteLinks(KEYS, base_url=DESK).link(offered.task_id, offered.serial, offered.expires_at)


async def send(client: httpx.AsyncClient, link: str, action: str, words: str, version: int = 0) -> httpx.Response:
    return await client.post(link, data={"action": action, "words": words, "version": str(version)})


async def rows_of(store: SqlStore, table: Any) -> list[Any]:
    return await store.database.run(lambda conn: list(conn.execute(select(table).order_by(table.c.id))))


async def status_of(store: SqlStore) -> str:
    return str((await rows_of(store, cases))[0].status)


async def told(store: SqlStore) -> list[tuple[str, dict[str, str]]]:
    """Template and args of every notice that was planned."""
    rows = [row for row in await rows_of(store, timers) if row.kind == "notice"]
    return [(row.details["notice"]["template"], row.details["notice"]["args"]) for row in rows]


async def everything(store: SqlStore) -> list[Any]:
    """The rows that a site's link may change."""
    return [await rows_of(store, table) for table in (cases, case_events, site_tasks, timers, tasks)]


# --- what it shows ------------------------------------------------------------------------------------------------


async def test_the_page_shows_the_case_the_record_and_earlier_repairs(
    client: httpx.AsyncClient, timed: SqlStore
) -> None:
    def fill(conn: Any) -> None:
        customer = conn.execute(select(customers.c.id)).scalar_one()
        conn.execute(update(customers).values(name="王芳", phone="+8613800000001"))
        car = {"customer_id": customer, "kind": "vehicle", "key": "冀F12345", "name": "Linden 3", "updated_at": START}
        asset_id = conn.execute(insert(assets).values(car)).inserted_primary_key[0]
        conn.execute(update(cases).values(asset_id=asset_id))
        visit = {"customer_id": customer, "kind": "service", "items": "换刹车片", "at": START - timedelta(days=40)}
        conn.execute(insert(visits).values(**visit, asset_id=asset_id, amount_minor=32000, currency="CNY"))

    await timed.database.run(fill)
    page = await client.get(await a_link(timed), headers={"Accept-Language": "zh-CN,zh"})
    assert page.status_code == 200
    for shown in (
        NUMBER,
        "王芳",
        'href="tel:+8613800000001"',
        "冀F12345",
        "换刹车片",
        "320.00 元",
        "保定路站",
        "接受任务",
    ):
        assert shown in page.text
    assert "2.8 km" in page.text


async def test_words_of_customers_are_text_and_nothing_else(client: httpx.AsyncClient, timed: SqlStore) -> None:
    page = await client.get(await a_link(timed))
    assert "<script" not in page.text
    assert "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&#x27; &amp; " in page.text
    assert "\0" not in page.text


async def test_the_page_runs_nothing_is_framed_nowhere_and_kept_by_nobody(
    client: httpx.AsyncClient, timed: SqlStore
) -> None:
    page = await client.get(await a_link(timed))
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy
    assert "frame-ancestors 'none'" in policy
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["x-frame-options"] == "DENY"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert (await client.get(f"{DESK}/site/nonsense")).headers["content-security-policy"] == policy


async def test_the_page_speaks_the_browsers_language_unless_asked_otherwise(
    client: httpx.AsyncClient, timed: SqlStore
) -> None:
    link = await a_link(timed)
    for asked, accepted, word in (
        ("", "en-GB,en;q=0.9", "Accept"),
        ("", "fr, zh;q=0.5", "接受任务"),
        ("", "", "接受任务"),
        ("?lang=en", "zh", "Accept"),
    ):
        page = await client.get(link + asked, headers={"Accept-Language": accepted})
        assert word in page.text, (asked, accepted)


async def test_category_language_and_earlier_visits_are_named_as_people_read_them(
    client: httpx.AsyncClient, timed: SqlStore
) -> None:
    link = await a_link(timed)
    words = {**shop().words, "visit_kind": {"repair": {"zh": "维修", "en": "Repair"}}}
    visit = {"kind": "repair", "at": START - timedelta(days=40)}
    fill = insert(visits).values(customer_id=select(customers.c.id).scalar_subquery(), **visit)
    await timed.database.run(lambda conn: conn.execute(fill) and None)
    rules = read_policy(
        {"cases": {"categories": {"brakes": {"names": {"zh": "刹车", "en": "Brakes"}, "words": {"zh": "刹车"}}}}}
    )
    desk = SiteDesk(
        timed.database,
        SiteLinks(KEYS, base_url=DESK),
        SetClock(),
        lambda: rules,
        lambda account: replace(shop(), service=rules, words=words),
        str,
    )
    transport = httpx.ASGITransport(app=Starlette(routes=site_routes(desk)))
    async with httpx.AsyncClient(transport=transport, base_url=DESK) as other:
        chinese = (await other.get(link, headers={"accept-language": "zh-CN"})).text
        english = (await other.get(link, headers={"accept-language": "en"})).text
    assert "刹车" in chinese.partition("</h1>")[0]
    assert "中文" in chinese
    assert "维修" in chinese
    assert "Brakes" in english.partition("</h1>")[0]


async def test_looking_changes_nothing(client: httpx.AsyncClient, timed: SqlStore) -> None:
    link = await a_link(timed)
    before = await everything(timed)
    await client.get(link)
    await client.head(link)
    assert await everything(timed) == before


# --- what it does -------------------------------------------------------------------------------------------------


async def test_accepting_moves_the_case_on_and_tells_the_customer_who_and_where(
    client: httpx.AsyncClient, timed: SqlStore
) -> None:
    link = await a_link(timed)
    answer = await send(client, link, "accept", " 张  师傅 ")
    assert answer.status_code == 303
    page = await client.get(answer.headers["location"])
    assert "张 师傅" in page.text
    assert "完成任务" in page.text
    (task,) = await rows_of(timed, site_tasks)
    assert (task.state, task.worker, task.version) == ("accepted", "张 师傅", 1)
    assert await status_of(timed) == "in_progress"
    ((template, args),) = await told(timed)
    assert template == "utter_site_accepted"
    assert (args["number"], args["worker"], args["site"]) == (NUMBER, "张 师傅", "@zh:保定路站|@en:Baoding Road")
    assert args["map"].startswith("https://www.openstreetmap.org/?mlat=38.9")
    (event,) = [row for row in await rows_of(timed, case_events) if row.kind == "status"]
    assert (event.author, event.by) == ("site", "张 师傅")


async def test_reports_and_the_end_are_told_and_the_case_is_solved(client: httpx.AsyncClient, timed: SqlStore) -> None:
    link = await a_link(timed)
    await send(client, link, "accept", "张师傅")
    await send(client, link, "report", "@time:已拆检", version=1)
    await send(client, link, "report", "等配件", version=2)
    assert (await send(client, link, "close", "已更换刹车片", version=3)).status_code == 303
    assert await status_of(timed) == "solved"
    assert [(template, args.get("note")) for template, args in await told(timed)][1:] == [
        ("utter_site_report", "@@time:已拆检"),  # words, never one of our own values
        ("utter_site_report", "等配件"),
        ("utter_notice_solved", "已更换刹车片"),
    ]
    (task,) = await rows_of(timed, site_tasks)
    assert (task.state, task.report) == ("closed", "@time:已拆检\n等配件\n已更换刹车片")
    page = await client.get(link)
    assert (page.status_code, "<form" in page.text) == (200, False)


async def test_what_caused_it_and_what_helped_is_named_by_the_site_and_an_unknown_code_is_left_out(
    client: httpx.AsyncClient, timed: SqlStore
) -> None:
    link = await a_link(timed)
    await send(client, link, "accept", "张师傅")
    page = (await client.get(f"{link}?lang=en")).text
    cause = next(iter(shop().service.cases.causes))
    assert f'<option value="{cause}">' in page
    assert page.count('<option value="">Not sure</option>') == 2
    form = {"action": "close", "words": "换了刹车片", "version": "1", "cause": cause, "remedy": "<magic>"}
    assert (await client.post(link, data=form)).status_code == 303
    (case,) = await rows_of(timed, cases)
    assert (case.status, case.cause, case.remedy) == ("solved", cause, "")


async def test_a_site_that_declines_hands_it_to_the_next_nearest_and_then_to_staff(
    client: httpx.AsyncClient, timed: SqlStore
) -> None:
    link = await a_link(timed)
    assert (await send(client, link, "decline", "没有配件")).status_code == 303
    first, second = await rows_of(timed, site_tasks)
    assert (first.state, second.state, second.distance_m) == ("declined", "offered", 556)
    assert "没有配件" not in (await client.get(link)).text
    following = SiteLinks(KEYS, base_url=DESK).link(second.id, second.link_serial, second.expires_at)
    assert "东湖站" in (await client.get(following)).text
    assert await rows_of(timed, tasks) == []
    await send(client, following, "decline", "太忙")
    (task,) = await rows_of(timed, tasks)
    assert (task.kind, task.is_open) == ("site_needed", True)
    assert await told(timed) == []  # the customer is not bothered with who would not
    internal = [row.note for row in await rows_of(timed, case_events) if row.kind == "site_declined"]
    assert internal == ["保定路站: 没有配件", "东湖站: 太忙"]


# --- twice, late, forged, replaced --------------------------------------------------------------------------------


async def test_the_same_form_sent_twice_counts_once(client: httpx.AsyncClient, timed: SqlStore) -> None:
    link = await a_link(timed)
    await send(client, link, "accept", "张师傅")
    for action, words, version in (("accept", "张师傅", 0), ("report", "已拆检", 1), ("close", "已修好", 2)):
        await send(client, link, action, words, version=version)
        before = await everything(timed)
        again = await send(client, link, action, words, version=version)
        assert again.status_code == 303
        assert await everything(timed) == before


async def test_a_second_person_sees_that_it_is_taken_and_by_whom(client: httpx.AsyncClient, timed: SqlStore) -> None:
    link = await a_link(timed)
    await send(client, link, "accept", "张师傅")
    before = await everything(timed)
    late = await send(client, link, "accept", "李师傅")
    assert late.status_code == 409
    assert "张师傅" in late.text
    assert "没有保存" in late.text
    assert await everything(timed) == before


async def test_two_who_accept_at_once_are_one(client: httpx.AsyncClient, timed: SqlStore) -> None:
    link = await a_link(timed)
    answers = await asyncio.gather(*(send(client, link, "accept", name) for name in ("张师傅", "李师傅")))
    assert sorted(answer.status_code for answer in answers) == [303, 409]
    assert len(await told(timed)) == 1


async def test_a_link_that_is_over_changes_nothing(client: httpx.AsyncClient, timed: SqlStore, clock: SetClock) -> None:
    link = await a_link(timed)
    before = await everything(timed)
    clock.advance(hours=72)
    assert (await client.get(link)).status_code == 410
    late = await send(client, link, "accept", "张师傅")
    assert (late.status_code, "已过期" in late.text) == (410, True)
    assert await everything(timed) == before


async def test_a_forged_link_changes_nothing_and_says_nothing_of_any_case(
    client: httpx.AsyncClient, timed: SqlStore
) -> None:
    link = await a_link(timed)
    before = await everything(timed)
    foreign = SiteLinks((b"somebody else's secret",), base_url=DESK).link(1, 1, START + timedelta(days=1))
    for forged in (foreign, link[:-1] + ("A" if link[-1] != "A" else "B"), f"{DESK}/site/x", f"{DESK}/site/%00"):
        answer = await send(client, forged, "accept", "张师傅")
        assert answer.status_code == 403
        assert NUMBER not in answer.text
    assert await everything(timed) == before


async def test_a_new_link_ends_the_earlier_one(client: httpx.AsyncClient, timed: SqlStore) -> None:
    earlier = await a_link(timed)
    link = await a_link(timed)
    before = await everything(timed)
    answer = await send(client, earlier, "accept", "张师傅")
    assert (answer.status_code, "新链接代替" in answer.text) == (410, True)
    assert await everything(timed) == before
    assert (await client.get(link)).status_code == 200


async def test_a_case_given_to_another_site_ends_the_first_ones_link(
    client: httpx.AsyncClient, timed: SqlStore
) -> None:
    first = await a_link(timed, "s1")
    await a_link(timed, "s2")
    assert (await client.get(first)).status_code == 410


async def test_a_case_the_customer_withdrew_ends_the_link(client: httpx.AsyncClient, timed: SqlStore) -> None:
    link = await a_link(timed)
    await converse(timed, "never mind", "ok", effects=[UpdateCase(NUMBER, status="withdrawn")], channel="telegram")
    assert (await send(client, link, "accept", "张师傅")).status_code == 410
    assert await status_of(timed) == "withdrawn"


async def test_an_erased_customer_ends_the_link(client: httpx.AsyncClient, timed: SqlStore) -> None:
    link = await a_link(timed)
    customer = (await rows_of(timed, customers))[0].id
    await erase_customer(timed.database, customer)
    assert (await client.get(link)).status_code == 410


WRONG_FORMS = [
    ({"action": "accept", "words": "  ", "version": "0"}, 422),
    ({"action": "accept", "words": "师" * 61, "version": "0"}, 422),
    ({"action": "decline", "words": "字" * 2001, "version": "0"}, 422),
    ({"action": "burn", "words": "x", "version": "0"}, 422),
    ({"action": "accept", "words": "x", "version": "-1"}, 422),
    ({"action": "accept", "words": "x", "version": "１"}, 422),
    ({"action": "accept", "words": "x", "version": "9" * 30}, 422),
    ({"action": "accept", "words": "x", "version": "5"}, 409),
    ({"action": "report", "words": "not taken yet", "version": "0"}, 409),
    ({"action": "close", "words": "not taken yet", "version": "0"}, 409),
    ({f"f{number}": "x" for number in range(50)}, 422),
    ({"action": "accept", "words": "x" * 40_000, "version": "0"}, 413),
    ({}, 422),
]


async def test_a_form_that_is_none_of_ours_changes_nothing(client: httpx.AsyncClient, timed: SqlStore) -> None:
    link = await a_link(timed)
    before = await everything(timed)
    for form, status in WRONG_FORMS:
        answer = await client.post(link, data=form)
        assert (answer.status_code, "<html lang=" in answer.text) == (status, True), form
    assert await everything(timed) == before


# --- by staff -----------------------------------------------------------------------------------------------------


async def test_offering_needs_a_case_that_is_open_and_a_site_there_is(timed: SqlStore) -> None:
    with pytest.raises(CaseNotFound):
        await offer_site(timed.database, "C-9999-0", "s1", shop().service, STAFF)
    with pytest.raises(NotFound, match="no site 's9'"):
        await offer_site(timed.database, NUMBER, "s9", shop().service, STAFF)
    await converse(timed, "never mind", "ok", effects=[UpdateCase(NUMBER, status="withdrawn")], channel="telegram")
    with pytest.raises(RuleError, match="is withdrawn"):
        await offer_site(timed.database, NUMBER, "s1", shop().service, STAFF)


async def test_a_case_opened_for_a_site_is_offered_to_it_at_once(timed: SqlStore) -> None:
    opened = OpenCase("C-1025-4", "complaint", "tyres", "x", 2, "flat", {}, site="s2", distance_m=420)
    await converse(timed, "hi", "ok", effects=[opened], user="bob")
    (task,) = await rows_of(timed, site_tasks)
    assert (task.state, task.distance_m, task.expires_at) == ("offered", 420, START + timedelta(hours=72))


# --- again --------------------------------------------------------------------------------------------------------


async def solved_by_site(client: httpx.AsyncClient, store: SqlStore) -> None:
    link = await a_link(store)
    await send(client, link, "accept", "张师傅", 0)
    await send(client, link, "close", "换了刹车片", 1)


async def reopen(store: SqlStore, why: str = "又响了", **more: Any) -> None:
    effect = UpdateCase(NUMBER, note=why, severity=4, status="reopened", **more)
    await converse(store, why, "ok", effects=[effect], channel="telegram")


async def test_a_reopened_case_is_the_sites_again_and_the_page_says_what_was_done_and_why_that_was_not_enough(
    client: httpx.AsyncClient, timed: SqlStore
) -> None:
    await solved_by_site(client, timed)
    await reopen(timed, NASTY)
    first, again = await rows_of(timed, site_tasks)
    assert (first.state, again.state, again.site_id) == ("closed", "offered", first.site_id)
    assert again.distance_m == first.distance_m
    notes = [row.note for row in await rows_of(timed, case_events) if row.is_internal]
    assert "offered to site s1 again" in notes
    page = await client.get(SiteLinks(KEYS, base_url=DESK).link(again.id, 0, again.expires_at))
    assert "张师傅 · 换了刹车片" in page.text
    assert "客户为什么不满意" in page.text
    assert "<script" not in page.text
    assert page.text.count("&lt;script&gt;") == 2  # the story, and why it was reopened


async def test_where_the_rules_say_so_a_reopened_case_stays_with_staff(
    client: httpx.AsyncClient, timed: SqlStore
) -> None:
    await solved_by_site(client, timed)
    await reopen(timed, back_to_site=False)
    assert [row.state for row in await rows_of(timed, site_tasks)] == ["closed"]


@pytest.mark.parametrize("unable", [{"is_active": False}, {"capacity": 1}])
async def test_a_site_that_cannot_do_it_any_more_is_not_asked_and_staff_find_another(
    client: httpx.AsyncClient, timed: SqlStore, unable: dict[str, Any]
) -> None:
    await solved_by_site(client, timed)
    other = OpenCase("C-1025-6", "complaint", "fuel", "", 1, "", {}, site="s1")
    await converse(timed, "hi", "ok", effects=[other], channel="telegram", user="bob")
    await timed.database.run(
        lambda conn: conn.execute(update(sites).where(sites.c.key == "s1").values(unable)) and None
    )
    await reopen(timed)
    assert [row.state for row in await rows_of(timed, site_tasks)] == ["closed", "offered"]  # the other case's
    assert [row.kind for row in await rows_of(timed, tasks)] == ["site_needed"]


async def test_a_site_that_had_passed_the_case_on_is_not_asked_again(
    client: httpx.AsyncClient, timed: SqlStore
) -> None:
    await solved_by_site(client, timed)
    await timed.database.run(lambda conn: conn.execute(update(site_tasks).values(state="declined")) and None)
    await reopen(timed)
    assert [row.state for row in await rows_of(timed, site_tasks)] == ["declined"]
    assert [row.kind for row in await rows_of(timed, tasks)] == ["site_needed"]
