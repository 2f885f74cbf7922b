"""Continuing on another channel: two identities become one customer, once, and can be taken apart again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select

from bot.errors import NotFound, RuleError
from bot.types import CreateTask, CustomerId, Effect, Identity, LinkIdentity, Need, OpenCase, UpdateCustomer
from crm_sync.customers import customer_record, find_customers
from crm_sync.erasure import PERSONAL, erase_customer, export_customer
from crm_sync.links import LIFETIME
from crm_sync.store import SqlStore
from crm_sync.tables import customers, identity_links, orders
from tests.store_steps import START, SetClock, converse, said, take_turn

ANN = Identity("web", "default", "ann")
TAKE_UP = LinkIdentity("token", "telegram:button")


def _complaint(number: str, subject: str = "2391") -> OpenCase:
    return OpenCase(number, "complaint", "delivery", subject, 2, "parcel late", {})


async def _web(store: SqlStore, *effects: Effect, **more: Any) -> None:
    await converse(store, "hi", "ok", effects=effects, **more)


async def _telegram(store: SqlStore, *effects: Effect, user: str = "77") -> None:
    await converse(store, "/start", "ok", effects=effects, user=user, channel="telegram")


async def _seen_on_telegram(store: SqlStore) -> Any:
    await store.accept([said("look", user="77", channel="telegram")])
    return (await take_turn(store)).conversation.customer


async def _offer(store: SqlStore, token: str = "token") -> Any:
    need = Need("link", token)
    return (await store.fetch([need], 1))[need]  # type: ignore[arg-type]


async def _links(store: SqlStore) -> list[Any]:
    return await store.database.run(lambda conn: list(conn.execute(select(identity_links))))


async def test_the_new_channel_sees_the_customers_orders_and_cases(store: SqlStore) -> None:
    await _web(store, _complaint("C-1024-7"), UpdateCustomer(name="Ann"))
    web = (await store.database.run(lambda conn: conn.execute(select(customers.c.id)).scalars().all()))[0]
    order = {"number": "2391", "status": "shipped", "customer_id": web, "updated_at": START}
    await store.database.run(lambda conn: conn.execute(insert(orders), order))
    await store.offer_link(ANN, "telegram", "token")
    await _telegram(store, TAKE_UP)

    seen = await _seen_on_telegram(store)
    assert (seen.customer_id, seen.name) == (web, "Ann")
    assert [case.number for case in seen.cases] == ["C-1024-7"]
    assert [order.number for order in seen.orders] == ["2391"]
    record = await customer_record(store.database, web)
    assert {identity["channel"] for identity in record["identities"]} == {"web", "telegram"}
    assert "identity_linked" in [line["kind"] for line in record["timeline"]]


async def test_who_when_and_how_is_kept(store: SqlStore) -> None:
    await _web(store)
    await store.offer_link(ANN, "telegram", "token")
    await _telegram(store, TAKE_UP)

    (link,) = await _links(store)
    assert link.linked_at is not None
    assert (link.source, link.undone_at) == ("telegram:button", None)
    assert link.linked_identity_id not in (None, link.identity_id)
    assert link.kept_customer_id != link.merged_customer_id
    assert "token" not in link.key


async def test_an_offer_says_how_far_the_conversation_had_got(store: SqlStore) -> None:
    await _web(store, state={"v": 1, "question": "person"})
    await store.offer_link(ANN, "telegram", "token")

    offer = await _offer(store)
    assert (offer.channel, offer.account, offer.state["question"]) == ("telegram", "default", "person")
    assert await _offer(store, "other") is None


async def test_a_visitor_who_has_written_nothing_may_go_on_elsewhere(store: SqlStore) -> None:
    await store.offer_link(ANN, "telegram", "token")
    await _telegram(store, TAKE_UP)

    (link,) = await _links(store)
    assert link.linked_at is not None


@pytest.mark.parametrize("case", ["used", "late", "other channel", "unknown"])
async def test_a_link_that_does_not_work_changes_nothing(store: SqlStore, case: str) -> None:
    clock = SetClock()
    store = SqlStore(store.database, clock=clock)
    await _web(store, _complaint("C-1024-7"))
    await store.offer_link(ANN, "wechat" if case == "other channel" else "telegram", "token")
    if case == "used":
        await _telegram(store, TAKE_UP, user="66")
    if case == "late":
        clock.advance(seconds=LIFETIME.total_seconds())
    await _telegram(store, LinkIdentity("guess", "x") if case == "unknown" else TAKE_UP)

    assert (await _seen_on_telegram(store)).cases == ()
    if case in ("used", "late"):
        assert await _offer(store) is None


async def test_of_two_open_cases_about_the_same_one_carries_on(store: SqlStore) -> None:
    await _web(store, _complaint("C-1-1"), CreateTask("callback", "call"))
    await _telegram(store, _complaint("C-2-2"), _complaint("C-3-3", "other"), CreateTask("callback", "call me"))
    await store.offer_link(ANN, "telegram", "token")
    await _telegram(store, TAKE_UP)

    seen = await _seen_on_telegram(store)
    assert {case.number: case.is_open for case in seen.cases} == {"C-1-1": True, "C-2-2": False, "C-3-3": True}
    assert seen.open_tasks == ("callback",)


async def test_a_proven_number_is_kept_and_a_told_one_fills_a_gap(store: SqlStore) -> None:
    await _web(store, UpdateCustomer(phone="+8613800000001"))
    await _telegram(store, UpdateCustomer(phone="+8613800000002", phone_is_verified=True, email="a@b.example"))
    await store.offer_link(ANN, "telegram", "token")
    await _telegram(store, TAKE_UP)

    seen = await _seen_on_telegram(store)
    assert (seen.phone, seen.phone_is_verified, seen.email) == ("+8613800000002", True, "a@b.example")
    assert await find_customers(store.database, "+8613800000002") == [seen.customer_id]


async def test_a_link_can_be_undone_and_only_once(store: SqlStore) -> None:
    await _web(store, _complaint("C-1-1"), UpdateCustomer(phone="+8613800000001"))
    await _telegram(store, _complaint("C-2-2"), UpdateCustomer(name="Ann", phone="+8613800000002"))
    before = await _seen_on_telegram(store)
    await store.offer_link(ANN, "telegram", "token")
    await _telegram(store, TAKE_UP)
    (link,) = await _links(store)
    await store.unlink(link.id)

    assert await _seen_on_telegram(store) == before
    (web,) = await find_customers(store.database, "+8613800000001")
    record = await customer_record(store.database, web)
    assert [case["number"] for case in record["cases"]] == ["C-1-1"]
    assert record["customer"]["name"] == ""
    with pytest.raises(NotFound):
        await store.unlink(link.id)


async def test_staff_see_who_was_linked_when_how_and_whether_it_was_undone(store: SqlStore) -> None:
    await _web(store)
    await store.offer_link(ANN, "telegram", "never taken up")
    await store.offer_link(ANN, "telegram", "token")
    await _telegram(store, TAKE_UP)
    kept = (await _seen_on_telegram(store)).customer_id

    (link,) = await store.links_of(kept)
    assert (link.offered_by, link.taken_up_by) == ("web/default/ann", "telegram/default/77")
    assert (link.source, link.undone_at, link.kept_customer_id) == ("telegram:button", None, kept)
    assert await store.links_of(link.merged_customer_id) == [link]
    await store.unlink(link.id)
    (undone,) = await store.links_of(kept)
    assert undone.undone_at is not None
    timeline = (await customer_record(store.database, kept))["timeline"]
    told = [(line["kind"], line["reference"]) for line in timeline if line["kind"].startswith("identity")]
    assert told == [("identity_linked", str(link.id)), ("identity_unlinked", str(link.id))]
    assert await store.links_of(CustomerId(999)) == []


async def test_of_links_on_top_of_each_other_the_last_is_undone_first(store: SqlStore) -> None:
    await _web(store, _complaint("C-1-1"))
    await converse(store, "hi", "ok", user="bob", effects=[_complaint("C-2-2")])
    await _telegram(store, _complaint("C-3-3", "other"))
    before = await _seen_on_telegram(store)
    await store.offer_link(Identity("web", "default", "bob"), "telegram", "token")
    await _telegram(store, TAKE_UP)
    await store.offer_link(ANN, "web", "another")
    await converse(store, "yes", "ok", user="bob", effects=[LinkIdentity("another", "web:button")])
    first, last = sorted(link.id for link in await _links(store))
    assert {case.number for case in (await _seen_on_telegram(store)).cases} == {"C-1-1", "C-2-2", "C-3-3"}

    with pytest.raises(RuleError):
        await store.unlink(first)
    await store.unlink(last)
    await store.unlink(first)
    assert await _seen_on_telegram(store) == before


async def test_linking_the_same_person_again_moves_nothing(store: SqlStore) -> None:
    await _web(store, _complaint("C-1-1"))
    for token in ("token", "again"):
        await store.offer_link(ANN, "telegram", token)
        await _telegram(store, LinkIdentity(token, "telegram:button"))

    assert [case.number for case in (await _seen_on_telegram(store)).cases] == ["C-1-1"]


async def test_erasing_the_person_takes_what_the_link_remembers(store: SqlStore) -> None:
    await _web(store)
    await _telegram(store, UpdateCustomer(name="Ann Onym", phone="+8613800000002", phone_is_verified=True))
    await store.offer_link(ANN, "telegram", "token")
    await _telegram(store, TAKE_UP)
    kept = (await _seen_on_telegram(store)).customer_id
    assert "Ann Onym" in str((await export_customer(store.database, kept))["customer_merges"])
    await erase_customer(store.database, kept)

    for table in (customers, *PERSONAL):
        rows = await store.database.run(lambda conn, table=table: list(conn.execute(select(table))))  # type: ignore[misc]
        assert "Ann Onym" not in str(rows)
        assert "13800000002" not in str(rows)


def test_a_link_is_short_lived() -> None:
    assert timedelta(minutes=30) >= LIFETIME
