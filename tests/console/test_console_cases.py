"""The screens of cases: the board, many at once, the week and one case; and what wrong or stale requests get."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import Connection, select, update

from bot.types import OpenCase
from crm_sync.service_tables import case_alerts, clocks, customer_attributes, dues, points, site_tasks, sites
from crm_sync.tables import cases, customers
from desk.actors import Actor
from tests.console.console_under_test import ConsoleUnderTest
from tests.service_assistant import service_assistant
from tests.store_steps import START, converse

NUMBER, OTHER = "C-1024-7", "C-1025-6"
XSS = "<img src=x onerror=alert(1)>"


async def _opened(
    console: ConsoleUnderTest, number: str = NUMBER, user: str = "ann", summary: str = "brakes squeak"
) -> None:
    policy = service_assistant().service
    opened = OpenCase(
        number, "complaint", "brakes", "car", 2, summary, {}, team="workshop", clocks=policy.clocks_for(2, START)
    )
    await converse(console.store, "hi", "ok", effects=[opened], user=user)


async def _row(console: ConsoleUnderTest, number: str = NUMBER):  # type: ignore[no-untyped-def]
    where = select(cases).where(cases.c.number == number)
    return await console.store.database.run(lambda conn: conn.execute(where).one(), read=True)


async def test_the_board_shows_each_case_in_the_column_of_its_status_with_its_clock(console: ConsoleUnderTest) -> None:
    await _opened(console, summary=XSS)
    li = await console.enter()
    page = await li.page("/console/cases")
    assert page.status_code == 200
    assert NUMBER in _column(page.text, "received")
    assert NUMBER not in _column(page.text, "solved")
    assert "left" in page.text
    assert "&lt;img" in page.text
    assert XSS not in page.text


async def test_an_empty_board_says_where_cases_come_from(console: ConsoleUnderTest) -> None:
    li = await console.enter()
    assert "appear here by themselves" in (await li.page("/console/cases")).text
    assert "appear here by themselves" in (await li.page("/console/cases/list")).text
    assert "No promise runs out in this week" in (await li.page("/console/cases/week")).text


async def test_a_promise_at_risk_or_broken_says_so_in_words_and_colour(console: ConsoleUnderTest) -> None:
    await _opened(console)
    li = await console.enter()

    def warned(conn: Connection) -> None:
        conn.execute(update(clocks).values(warned_at=START))

    await console.store.database.run(warned)
    assert re.search(r'class="tag warn">at risk, ', (await li.page("/console/cases")).text)
    console.clock.advance(days=30)
    li = await console.enter("wu")
    page = await li.page("/console/cases?late=1")
    assert re.search(r'class="tag bad">\d+ d late', page.text)


async def test_a_card_is_moved_and_where_the_customer_is_told_something_the_words_are_asked_for(
    console: ConsoleUnderTest,
) -> None:
    await _opened(console)
    li = await console.enter()
    taken = await li.do(f"/console/cases/{NUMBER}/move", status="assigned", version=0)
    assert taken.status_code == 200
    assert NUMBER in _column(taken.text, "assigned")
    asked = await li.do(f"/console/cases/{NUMBER}/move", status="in_progress", version=1)
    assert asked.status_code == 200
    assert '<template data-into="#asking"' in asked.text
    assert 'name="words"' in asked.text
    assert (await _row(console)).status == "assigned"
    moved = await li.do(f"/console/cases/{NUMBER}/move", status="in_progress", words="pads are ordered", version=1)
    assert NUMBER in _column(moved.text, "in_progress")
    assert (await _row(console)).owner == "li"


async def test_without_the_script_a_move_that_needs_words_leads_to_the_case(console: ConsoleUnderTest) -> None:
    await _opened(console)
    li = await console.enter()
    await li.page("/console/cases")
    fields = {"csrf": li.csrf, "status": "solved", "version": "0"}
    sent = await li.http.post(f"/console/cases/{NUMBER}/move", data=fields)
    assert sent.status_code == 303
    page = await li.page(sent.headers["location"])
    assert re.search(r'<details class="act" open><summary>Solve', page.text)


async def test_a_card_somebody_else_moved_is_shown_where_it_is_now(console: ConsoleUnderTest) -> None:
    await _opened(console)
    li = await console.enter()
    await console.cases.cases.take(Actor("wu", "operator"), NUMBER)
    late = await li.do(f"/console/cases/{NUMBER}/move", status="assigned", version=0)
    assert late.status_code == 409
    assert "Somebody else changed this" in late.text
    assert NUMBER in _column(late.text, "assigned")
    assert (await _row(console)).owner == "wu"


async def test_a_status_that_may_not_follow_is_refused_in_words(console: ConsoleUnderTest) -> None:
    await _opened(console)
    li = await console.enter()
    refused = await li.do(f"/console/cases/{NUMBER}/move", status="reopened", words="again", version=0)
    assert refused.status_code == 422
    nowhere = await li.do(f"/console/cases/{NUMBER}/move", status="", was="received")
    assert nowhere.status_code == 422
    assert "cannot be moved there" in nowhere.text


async def test_many_at_once_name_each_that_failed_and_do_the_others(console: ConsoleUnderTest) -> None:
    await _opened(console)
    await _opened(console, OTHER, user="bob")
    await console.cases.cases.withdraw(Actor("wu", "operator"), OTHER, "said so")
    li = await console.enter()
    await li.page("/console/cases/list")
    headers = {"x-part": "1", "x-csrf": li.csrf}
    fields = {"number": [NUMBER, OTHER], "act": "progress", "words": "looked at"}
    done = await li.http.post("/console/cases/bulk", data=fields, headers=headers)
    assert done.status_code == 200
    assert "1 done, 1 not" in done.text
    assert re.search(rf'{OTHER}</a> <span class="bad">', done.text)
    assert (await _row(console)).status == "in_progress"


@pytest.mark.parametrize("fields", [{"act": "note"}, {"act": "erase", "words": "x"}, {"act": "take"}])
async def test_many_at_once_want_an_act_words_and_cases(console: ConsoleUnderTest, fields: dict[str, str]) -> None:
    await _opened(console)
    li = await console.enter()
    given = {**fields, "number": NUMBER} if fields["act"] != "take" else fields
    assert (await li.do("/console/cases/bulk", **given)).status_code == 422


async def test_the_list_is_narrowed_and_goes_on_page_by_page(console: ConsoleUnderTest) -> None:
    await _opened(console)
    await _opened(console, OTHER, user="bob")
    await console.cases.cases.take(Actor("li", "operator"), OTHER)
    li = await console.enter()
    mine = (await li.page("/console/cases/list?owner=li")).text
    assert OTHER in mine
    assert NUMBER not in mine
    assert NUMBER not in (await li.page("/console/cases/list?severity=4")).text
    assert (await li.page("/console/cases/list?site=nowhere")).status_code == 404
    assert (await li.page("/console/cases/list?cursor=x")).status_code == 422


async def test_the_week_lists_promises_on_the_day_they_run_out(console: ConsoleUnderTest) -> None:
    await _opened(console)
    li = await console.enter()
    week = await li.page(f"/console/cases/week?from={START:%Y-%m-%d}")
    nearby = await li.page("/console/cases/week?from=2026-11-23")
    assert NUMBER in week.text + nearby.text
    assert (await li.page("/console/cases/week?from=soon")).status_code == 422


async def test_one_case_is_taken_noted_solved_and_reopened_on_its_page(console: ConsoleUnderTest) -> None:
    await _opened(console)
    li = await console.enter()
    page = await li.page(f"/console/cases/{NUMBER}")
    assert "brakes squeak" in page.text
    assert "Working time left" in page.text
    await li.do(f"/console/cases/{NUMBER}/take", version=0)
    noted = await li.do(f"/console/cases/{NUMBER}/note", words=f"look at {XSS}")
    assert "only staff" in noted.text
    assert XSS not in noted.text
    version = (await _row(console)).version
    fields = {"words": "new pads", "cause": "wear", "remedy": "replaced", "version": version}
    solved = await li.do(f"/console/cases/{NUMBER}/solve", **fields)
    assert solved.status_code == 200
    assert (await _row(console)).status == "solved"
    stale = await li.do(f"/console/cases/{NUMBER}/reopen", words="squeaks again", version=version)
    assert stale.status_code == 409
    assert "Somebody else changed this" in stale.text
    again = await li.do(f"/console/cases/{NUMBER}/reopen", words="squeaks again", version=version + 1)
    assert again.status_code == 200
    assert (await _row(console)).severity == 3
    assert (
        await li.do(f"/console/cases/{NUMBER}/solve", words="x", cause="magic", remedy="replaced")
    ).status_code == 422
    assert (await li.do(f"/console/cases/{NUMBER}/tell", words=" ")).status_code == 422


async def test_a_case_is_given_watched_weighed_and_linked(console: ConsoleUnderTest) -> None:
    await _opened(console)
    li = await console.enter()
    await console.enter("wu")
    given = await li.do(f"/console/cases/{NUMBER}/assign", owner="wu", words="knows brakes")
    assert given.status_code == 200
    watched = await li.do(f"/console/cases/{NUMBER}/watch")
    assert "Stop watching" in watched.text
    weighed = await li.do(f"/console/cases/{NUMBER}/classify", severity=4, words="a child was in the car")
    assert "Critical" in weighed.text
    row = await _row(console)
    assert (row.owner, row.severity, row.watchers) == ("wu", 4, ["li"])
    explained = await li.do(f"/console/cases/{NUMBER}/explain", cause="wear", version=row.version)
    assert explained.status_code == 200
    assert (await _row(console)).cause == "wear"
    assert (await li.do(f"/console/cases/{NUMBER}/explain", cause="", remedy="")).status_code == 422
    linked = await li.do(f"/console/cases/{NUMBER}/link", conversation=row.conversation_id)
    assert f"/console/inbox/{row.conversation_id}" in linked.text
    assert (await li.do(f"/console/cases/{NUMBER}/link", conversation=99)).status_code == 404


async def test_compensation_above_the_limit_waits_for_somebody_else(console: ConsoleUnderTest) -> None:
    await _opened(console)
    li = await console.enter()
    offered = await li.do(f"/console/cases/{NUMBER}/offer", kind="refund", amount="99,999.50", currency="CNY")
    assert "waits for a decision" in offered.text
    assert "99,999.50 CNY" in offered.text
    chief = await console.enter("max", "admin")
    page = await chief.page(f"/console/cases/{NUMBER}")
    found = re.search(r'name="compensation" value="(\d+)"', page.text)
    assert found is not None
    assert (await li.do(f"/console/cases/{NUMBER}/decide", compensation=found[1], verdict="approve")).status_code == 403
    refused = await chief.do(
        f"/console/cases/{NUMBER}/decide", compensation=found[1], verdict="refuse", words="too much"
    )
    assert "refused" in refused.text
    for amount in ("1e400", "NaN", "-1", "0", "0.001", "much"):
        wrong = await li.do(f"/console/cases/{NUMBER}/offer", kind="refund", amount=amount, currency="CNY")
        assert wrong.status_code == 422, amount


async def test_more_time_to_pay_is_granted_by_who_decides_on_money_and_offered_to_nobody_else(
    console: ConsoleUnderTest,
) -> None:
    await _opened(console)

    def owes(conn: Connection) -> None:
        case = conn.execute(select(cases)).one()
        bill = {"key": "b-1", "kind": "bill", "amount_minor": 10_000, "currency": "CNY", "due_on": "2026-12-01"}
        conn.execute(dues.insert().values(customer_id=case.customer_id, updated_at=START, **bill))
        conn.execute(update(cases).values(details={"payment_plan": "three_parts"}))

    await console.store.database.run(owes)
    li, chief = await console.enter(), await console.enter("max", "manager")
    assert "More time to pay" not in (await li.page(f"/console/cases/{NUMBER}")).text
    assert (await li.do(f"/console/cases/{NUMBER}/plan", plan="three_parts")).status_code == 403
    page = (await chief.page(f"/console/cases/{NUMBER}")).text
    assert "33.34 CNY 2026-12-01 · 33.33 CNY 2026-12-31" in page
    assert "as asked for" in page
    assert (await chief.do(f"/console/cases/{NUMBER}/plan", plan="never")).status_code == 422
    granted = await chief.do(f"/console/cases/{NUMBER}/plan", plan="three_parts")
    assert "Granted: 3 payments" in granted.text
    assert "More time to pay" not in (await chief.page(f"/console/cases/{NUMBER}")).text, "nothing is owed beside it"
    assert (await chief.do(f"/console/cases/{NUMBER}/plan", plan="three_parts")).status_code == 422


async def test_an_idea_taken_up_is_rewarded_once_from_its_page(console: ConsoleUnderTest) -> None:
    await _opened(console)
    li = await console.enter()
    assert "Reward the idea" not in (await li.page(f"/console/cases/{NUMBER}")).text
    assert (await li.do(f"/console/cases/{NUMBER}/reward", points="5")).status_code == 422
    await console.store.database.run(lambda conn: conn.execute(update(cases).values(kind="suggestion")) and None)
    assert "Reward the idea" in (await li.page(f"/console/cases/{NUMBER}")).text
    for _ in range(2):
        assert "Rewarded with 50 points" in (await li.do(f"/console/cases/{NUMBER}/reward", points="50")).text
    booked = await console.store.database.run(lambda conn: conn.execute(select(points.c.change)).scalars().all())
    assert list(booked) == [50]


async def test_staff_give_a_case_to_the_nearest_able_site_and_are_shown_its_link(console: ConsoleUnderTest) -> None:
    await _opened(console)
    far = {"names": {"en": "Far away"}, "latitude": 31.3, "longitude": 121.6, "skills": ["brakes"], "updated_at": START}
    near = {**far, "names": {"en": "Baoding Road"}, "latitude": 31.23, "longitude": 121.47}
    other = {**near, "names": {"en": "Tyres only"}, "skills": ["tyres"]}

    def at_home(conn: Connection) -> None:
        named = {"s1": far, "s2": near, "s3": other}
        conn.execute(sites.insert(), [{"key": key, **row} for key, row in named.items()])
        person = conn.execute(select(cases.c.customer_id)).scalar_one()
        home = {"latitude": 31.23, "longitude": 121.48}
        conn.execute(
            customer_attributes.insert(),
            [
                {"customer_id": person, "name": name, "value": value, "updated_at": START}
                for name, value in home.items()
            ],
        )

    await console.store.database.run(at_home)
    li = await console.enter()
    page = (await li.page(f"/console/cases/{NUMBER}")).text
    assert re.findall(r'<option value="(s\d)">([^<]+)', page) == [
        ("s2", "Baoding Road · 1.0 km · 0 open"),
        ("s1", "Far away · 13.8 km · 0 open"),
    ]
    assert (await li.do(f"/console/cases/{NUMBER}/site", site="nowhere")).status_code == 404
    given = await li.do(f"/console/cases/{NUMBER}/site", site="s2")
    assert "https://desk.example/site/1" in given.text
    assert "s2 has it now" in given.text
    tasks = await console.store.database.run(lambda conn: conn.execute(select(site_tasks)).all())
    assert [(row.state, row.link_serial) for row in tasks] == [("offered", 1)]
    stale = await li.do(f"/console/cases/{NUMBER}/site", site="s1", version=0)
    assert stale.status_code == 409
    assert "Somebody else changed this" in stale.text
    assert 'data-into="#case"' in stale.text, "how it is now is shown"
    assert "offered to site s2" in stale.text
    still = await console.store.database.run(lambda conn: conn.execute(select(site_tasks.c.state)).scalars().all())
    assert still == ["offered"]


async def test_what_stands_out_is_on_the_board_until_somebody_looks_into_it(console: ConsoleUnderTest) -> None:
    row = {"key": "k", "category": "brakes", "quality_type": "noise", "product": XSS, "count": 6, "expected": 1.04}
    times = {"period_from": START, "period_to": START, "at": START}
    await console.store.database.run(lambda conn: conn.execute(case_alerts.insert().values(**row, **times)) and None)
    viewer, li = await console.enter("vi", "viewer"), await console.enter()
    seen = (await viewer.page("/console/cases")).text
    assert "brakes / brake noise / &lt;img" in seen
    assert "6 so far where about 1.0 come" in seen
    assert (await viewer.do("/console/cases/alerts/1/seen")).status_code == 403
    await li.do("/console/cases/alerts/1/seen")
    assert "More than usual" not in (await li.page("/console/cases")).text


async def test_who_watches_a_case_hears_of_it_and_is_led_there(console: ConsoleUnderTest) -> None:
    await _opened(console)
    li, chief = await console.enter(), await console.enter("max", "manager")
    await chief.do(f"/console/cases/{NUMBER}/watch")
    await li.do(f"/console/cases/{NUMBER}/take")
    heard = (await chief.page("/console/notices")).text
    assert f"News in case {NUMBER}" in heard
    assert f'href="/console/cases/{NUMBER}"' in heard
    assert "News in case" not in (await li.page("/console/notices")).text, "nobody hears of what they did themselves"


async def test_who_may_only_look_sees_no_buttons_and_changes_nothing(console: ConsoleUnderTest) -> None:
    await _opened(console)
    viewer = await console.enter("vi", "viewer")
    page = await viewer.page(f"/console/cases/{NUMBER}")
    assert page.status_code == 200
    assert "What to do" not in page.text
    assert "data-moves" not in (await viewer.page("/console/cases")).text
    for act in ("take", "note", "move", "offer", "decide"):
        assert (await viewer.do(f"/console/cases/{NUMBER}/{act}", words="x", status="assigned")).status_code == 403
    auditor = await console.enter("hu", "auditor")
    assert (await auditor.http.get("/console/cases")).status_code == 403


async def test_unknown_and_forged_requests_change_nothing(console: ConsoleUnderTest) -> None:
    await _opened(console)
    li = await console.enter()
    assert (await li.page("/console/cases/C-9999-1")).status_code == 404
    assert (await li.page("/console/cases/%2e%2e")).status_code == 404
    forged = await li.http.post(f"/console/cases/{NUMBER}/take", data={"csrf": "other"})
    assert forged.status_code == 403
    assert (await _row(console)).owner == ""


async def test_a_board_with_more_than_fit_says_how_many_and_leads_to_them(console: ConsoleUnderTest) -> None:
    await _opened(console)

    def many(conn: Connection) -> None:
        first = dict(conn.execute(select(cases)).one()._mapping)
        names = [{"id": 1000 + n, "name": f"P{n}", "created_at": START} for n in range(30)]
        conn.execute(customers.insert(), names)
        rows = [{**first, "id": 1000 + n, "number": f"C-{2000 + n}-1", "customer_id": 1000 + n} for n in range(30)]
        conn.execute(cases.insert(), rows)

    await console.store.database.run(many)
    li = await console.enter()
    page = await li.page("/console/cases")
    assert "11 more" in page.text
    assert len(re.findall(r'data-card="', page.text)) == 20
    listed = await li.page("/console/cases/list?status=received")
    assert len(re.findall(r'name="number"', listed.text)) == 31


def _column(html: str, status: str) -> str:
    found = re.search(rf'data-column="{status}".*?</section>', html, re.S)
    assert found is not None
    return found[0]
