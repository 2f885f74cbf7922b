"""The screens of customers: found, put right, merged, handed out and erased; and what wrong or stale requests get."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, insert, select, update

from crm_sync.service_tables import audit, customer_tags, merge_proposals
from crm_sync.tables import consents, conversations, customers, tasks, timeline
from tests.console.console_under_test import ConsoleUnderTest
from tests.staff_steps import many, wrote
from tests.store_steps import START

XSS = "<img src=x onerror=alert(1)>"


async def _ann(console: ConsoleUnderTest, user: str = "ann", **values: Any) -> int:
    """A customer who wrote; their id."""
    talk = await wrote(console.store, "hello", user=user)

    def unit(conn: Connection) -> int:
        found = conn.execute(select(conversations.c.customer_id).where(conversations.c.id == talk)).scalar_one()
        conn.execute(update(customers).where(customers.c.id == found).values(**{"name": "Ann Smith", **values}))
        return int(found)

    return await console.store.database.run(unit)


async def _rows(console: ConsoleUnderTest, table: Any) -> list[Any]:
    return await console.store.database.run(lambda conn: list(conn.execute(select(table))), read=True)


async def test_people_are_found_by_name_and_number_and_their_words_never_run(console: ConsoleUnderTest) -> None:
    await _ann(console, name=XSS, phone="+8613800138000")
    li = await console.enter()
    pages = [await li.page("/console/customers")]
    pages += [await li.do("/console/customers", q=words) for words in ("onerror", "13800138000")]
    for page in pages:
        assert "&lt;img" in page.text
        assert XSS not in page.text
    assert "Nobody fits this." in (await li.do("/console/customers", q="zzzz")).text
    assert (await li.page("/console/customers?cursor=x")).status_code == 422


async def test_a_tag_taken_off_is_put_back_by_the_form_in_the_toast(console: ConsoleUnderTest) -> None:
    ann = await _ann(console)
    li = await console.enter()
    await li.do(f"/console/customers/{ann}/tag", tag="vip")
    off = await li.do(f"/console/customers/{ann}/untag", tag="vip")
    assert await _rows(console, customer_tags) == []
    (form,) = re.findall(r'data-toast>.*?<form method="post" action="([^"]+)".*?</form>', off.text)
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', off.text[off.text.index("data-toast") :]))
    assert (form, fields["tag"]) == (f"/console/customers/{ann}/tag", "vip")
    await li.do(form, **fields)
    assert [row.tag for row in await _rows(console, customer_tags)] == ["vip"]


async def test_more_customers_than_a_page_holds_go_on_where_it_ends(console: ConsoleUnderTest) -> None:
    await console.store.database.run(lambda conn: many(conn, 60))
    lena = await console.enter("lena", "supervisor")
    first = await lena.page("/console/customers")
    assert first.status_code == 200
    (more,) = re.findall(r'href="(/console/customers\?cursor=[^"]+)"', first.text)
    second = await lena.page(html.unescape(more))
    shown = [set(re.findall(r'href="/console/customers/(\d+)"', page.text)) for page in (first, second)]
    assert len(shown[0] | shown[1]) == 60
    assert not shown[0] & shown[1]


async def test_words_of_a_search_stand_in_no_address(console: ConsoleUnderTest) -> None:
    """Histories and logs of proxies keep addresses: names and numbers are not put there, nor read from there."""
    await _ann(console, phone="+8613800138000")
    li = await console.enter()
    for path in ("/console/customers", "/console/inbox/search", "/console/find"):
        found = await li.do(path, q="zzzz")
        assert found.status_code == 200
        assert "zzzz" not in "".join(re.findall(r'(?:href|action|data-more|data-page)="([^"]*)"', found.text))
    assert "Nobody fits this." not in (await li.page("/console/customers?q=zzzz")).text
    for path, where in (("/console/customers", "/console/customers?tag=vip"), ("/console/inbox/search", "")):
        answer = await li.post(path, q="", tag="vip")
        assert (answer.status_code, answer.headers.get("location", "")) == ((303, where) if where else (200, ""))


async def test_what_the_business_calls_a_fact_is_shown_and_what_happened_is_worded(console: ConsoleUnderTest) -> None:
    ann = await _ann(console)
    kinds = ("handoff_taken", "handoff_expired", "complaint_solved", "complaint_opened", "task_done")
    rows = [{"customer_id": ann, "kind": kind, "summary": kind[8:], "author": "system", "at": START} for kind in kinds]
    await console.store.database.run(lambda conn: conn.execute(insert(timeline), rows) and None)
    li = await console.enter(language="zh")
    page = await li.page(f"/console/customers/{ann}")
    assert "<span>生日</span>" in page.text
    for words in ("人工已接入", "客服失联，退回队列", "投诉: 已解决", "新建投诉"):
        assert words in page.text
    assert '<bdi class="meta">expired</bdi>' not in page.text  # it would only say again what the line says
    saved = await li.do(f"/console/customers/{ann}/edit", birthday="1990-01-02", was_birthday="")
    assert "已保存：生日" in saved.text


async def test_an_empty_list_says_where_customers_come_from(console: ConsoleUnderTest) -> None:
    li = await console.enter()
    assert "Nobody is known yet." in (await li.page("/console/customers")).text
    chief = await console.enter("max", "admin")
    assert "compared every night" in (await chief.page("/console/customers/proposals")).text


async def test_facts_are_put_right_with_an_audit_and_only_what_was_changed(console: ConsoleUnderTest) -> None:
    ann = await _ann(console, email="ann@example.com")
    li = await console.enter()
    page = await li.page(f"/console/customers/{ann}")
    assert page.status_code == 200
    assert "Not computed yet." in page.text
    fields = {"name": "Ann Jones", "was_name": "Ann Smith", "email": "ann@example.com", "was_email": "ann@example.com"}
    saved = await li.do(f"/console/customers/{ann}/edit", **fields)
    assert "Saved: Name" in saved.text
    lines = [row for row in await _rows(console, audit) if row.action == "correct"]
    assert [(row.author, row.fields) for row in lines] == [("li", ["name"])]
    stale = await li.do(f"/console/customers/{ann}/edit", name="Ann Miller", was_name="Ann Smith")
    assert stale.status_code == 409
    assert "Somebody else changed this" in stale.text
    assert (await _rows(console, customers))[0].name == "Ann Jones"
    assert (await li.do(f"/console/customers/{ann}/edit", phone="none", was_phone="")).status_code == 422


async def test_fields_of_no_form_are_left_alone(console: ConsoleUnderTest) -> None:
    ann = await _ann(console)
    li = await console.enter()
    answer = await li.do(f"/console/customers/{ann}/edit", credit_class="A", phone_is_verified="1", erased_at="now")
    assert "Nothing was different." in answer.text
    row = (await _rows(console, customers))[0]
    assert (row.credit_class, row.phone_is_verified) == ("", False)


async def test_tags_consents_and_tasks_change_in_the_record_and_beside_a_conversation(
    console: ConsoleUnderTest,
) -> None:
    ann = await _ann(console)

    def due(conn: Connection) -> None:
        row = {"customer_id": ann, "kind": "callback", "summary": "Call Ann", "created_at": START, "updated_at": START}
        conn.execute(insert(tasks).values(**row, due_at=START + timedelta(hours=1)))

    await console.store.database.run(due)
    li = await console.enter()
    tagged = await li.do(f"/console/customers/{ann}/tag", tag="Fleet", panel=1)
    assert '<template data-into="#side"' in tagged.text
    assert "fleet" in tagged.text
    assert [row.tag for row in await _rows(console, customer_tags)] == ["fleet"]
    given = {"purpose": "news", "channel": "telegram", "granted": 1, "told": "on the phone"}
    agreed = await li.do(f"/console/customers/{ann}/consent", **given)
    assert "staff:li on the phone" in agreed.text
    taken = await li.do(f"/console/customers/{ann}/consent", **{**given, "granted": 0}, panel=1)
    assert "taken back" in taken.text
    in_force = [row.granted for row in await _rows(console, consents) if row.until is None]
    assert in_force == [False]
    task = (await _rows(console, tasks))[0].id
    done = await li.do(f"/console/customers/{ann}/task", task=task, outcome="reached", panel=1)
    assert "Call Ann" not in done.text
    again = await li.do(f"/console/customers/{ann}/task", task=task, outcome="reached")
    assert again.status_code == 409
    assert (await li.do(f"/console/customers/{ann}/task", task=task, outcome="magic")).status_code == 422


async def test_a_task_of_somebody_else_is_not_there(console: ConsoleUnderTest) -> None:
    ann, bob = await _ann(console), await _ann(console, "bob")

    def due(conn: Connection) -> None:
        row = {"customer_id": bob, "kind": "callback", "summary": "Call Bob", "created_at": START, "updated_at": START}
        conn.execute(insert(tasks).values(**row))

    await console.store.database.run(due)
    li = await console.enter()
    task = (await _rows(console, tasks))[0].id
    assert (await li.do(f"/console/customers/{ann}/task", task=task, outcome="reached")).status_code == 404
    assert (await _rows(console, tasks))[0].is_open


async def test_two_records_are_merged_by_proposal_and_taken_apart_again(console: ConsoleUnderTest) -> None:
    ann, anna = await _ann(console), await _ann(console, "anna", name="Anna Smith")

    def propose(conn: Connection) -> None:
        pair = {"customer_id": ann, "other_customer_id": anna, "evidence": ["phone"], "score": 0.6, "state": "open"}
        conn.execute(insert(merge_proposals).values(**pair, at=START))

    await console.store.database.run(propose)
    chief = await console.enter("max", "admin")
    page = await chief.page("/console/customers/proposals")
    assert "Anna Smith" in page.text
    assert "60%" in page.text
    proposal = (await _rows(console, merge_proposals))[0].id
    assert (await chief.do(f"/console/customers/proposals/{proposal}", verdict="same")).status_code == 200
    record = await chief.page(f"/console/customers/{anna}")
    assert f"#{anna} → #{ann}" in record.text
    merge = record.text.split('name="merge" value="')[1].split('"')[0]
    apart = await chief.do(f"/console/customers/{ann}/unmerge", merge=merge)
    assert apart.status_code == 200
    li = await console.enter()
    assert (await li.do(f"/console/customers/{ann}/merge", other=anna)).status_code == 403


async def test_everything_is_handed_out_as_a_file_to_who_may(console: ConsoleUnderTest) -> None:
    ann = await _ann(console)
    chief = await console.enter("max", "admin")
    await chief.page("/console/customers")
    answer = await chief.http.post(f"/console/customers/{ann}/export", data={"csrf": chief.csrf})
    assert answer.headers["content-disposition"] == f'attachment; filename="customer-{ann}.json"'
    assert "Ann Smith" in answer.text
    assert "export" in [row.action for row in await _rows(console, audit)]
    li = await console.enter()
    assert (await li.do(f"/console/customers/{ann}/export")).status_code == 403


async def test_erasing_names_what_happens_asks_once_and_shows_the_receipt(console: ConsoleUnderTest) -> None:
    ann = await _ann(console)
    chief = await console.enter("max", "admin")
    assert "This cannot be undone." in (await chief.page(f"/console/customers/{ann}")).text
    assert (await chief.do(f"/console/customers/{ann}/erase")).status_code == 422
    assert (await _rows(console, customers))[0].name == "Ann Smith"
    gone = await chief.http.post(f"/console/customers/{ann}/erase", data={"csrf": chief.csrf, "sure": "1"})
    assert "Erased. Receipt" in gone.text
    assert (await chief.page(f"/console/customers/{ann}")).status_code == 404
    li = await console.enter()
    assert (await li.do(f"/console/customers/{ann}/erase", sure=1)).status_code == 403


async def test_the_timeline_is_narrowed_to_one_kind(console: ConsoleUnderTest) -> None:
    ann = await _ann(console)
    li = await console.enter()
    given = {"purpose": "news", "channel": "web", "granted": 1}
    await li.do(f"/console/customers/{ann}/consent", **given)
    assert ">news</span>" in (await li.page(f"/console/customers/{ann}?kind=consent_granted")).text
    assert ">news</span>" not in (await li.page(f"/console/customers/{ann}?kind=feedback")).text


async def test_who_may_only_look_changes_nothing_and_numbers_cannot_be_guessed(console: ConsoleUnderTest) -> None:
    ann = await _ann(console)
    viewer = await console.enter("vi", "viewer")
    page = await viewer.page(f"/console/customers/{ann}")
    assert page.status_code == 200
    assert f"/console/customers/{ann}/edit" not in page.text
    for act in ("edit", "tag", "untag", "class", "consent", "task", "merge", "unmerge", "export", "erase"):
        assert (await viewer.do(f"/console/customers/{ann}/{act}", name="x")).status_code == 403
    for number in ("999", str(2**63), "9" * 30):
        assert (await viewer.page(f"/console/customers/{number}")).status_code == 404
    auditor = await console.enter("hu", "auditor")
    assert (await auditor.http.get(f"/console/customers/{ann}")).status_code == 403
