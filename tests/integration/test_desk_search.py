"""Staff find people and what was said, in Chinese and English, as far as they see it; never somebody who was erased."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import Connection, insert, text

from bot.errors import InputError, NotPermitted
from bot.service.policy import ServicePolicy
from bot.types import OpenCase, UpdateCustomer
from crm_sync import merging
from crm_sync.erasure import erase_customer
from crm_sync.search_indexing import SearchIndexer
from crm_sync.store import SqlStore
from crm_sync.tables import orders
from desk.actors import Actor
from desk.customers import CustomerDesk
from desk.search import SearchDesk, SearchPage
from tests.staff_steps import AUDITOR, LEAD, LI, WU, row_of, wrote
from tests.store_steps import AUDIT_KEYS, START, SetClock, converse, said


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
async def desk(store_url: str, clock: SetClock) -> AsyncIterator[SqlStore]:
    opened = await SqlStore.open(store_url, clock=clock, audit_keys=AUDIT_KEYS)
    yield opened
    await opened.close()


async def _index(store: SqlStore, clock: SetClock) -> None:
    clock.advance(minutes=2)
    await SearchIndexer(store.database, clock).catch_up()


async def _search(store: SqlStore, typed: str, actor: Actor = LEAD, **more: object) -> SearchPage:
    return await SearchDesk(store.database).search(actor, typed, **more)  # type: ignore[arg-type]


async def _said(store: SqlStore, typed: str, actor: Actor = LEAD) -> list[int]:
    return [found.message_id for found in (await _search(store, typed, actor)).messages]


async def test_messages_are_found_by_chinese_of_one_or_two_characters_and_by_beginnings(
    desk: SqlStore, clock: SetClock
) -> None:
    await wrote(desk, "加油后发动机异响")
    await wrote(desk, "The engine makes a Noise, order 2391")
    await _index(desk, clock)
    assert await _said(desk, "油") == [1]
    assert await _said(desk, "发动机") == [1]
    assert await _said(desk, "engine noi") == [2]
    assert await _said(desk, "NOISE 2391 ") == [2]
    assert await _said(desk, "动发") == []
    assert await _said(desk, "engine quiet") == []
    (found,) = (await _search(desk, "发动机")).messages
    assert [span.text for span in found.excerpt if span.is_match] == ["发动机"]


async def test_odd_queries_find_nothing_and_break_nothing(desk: SqlStore, clock: SetClock) -> None:
    await wrote(desk, "words")
    await _index(desk, clock)
    for typed in ("", '"', "words OR", "' & '", "words*", "NEAR(", "\x00", "\ud800", "a" * 5000, "( - : ^"):
        await _search(desk, typed)
    assert await _said(desk, 'wor"ds') == []
    assert await _said(desk, "words'") == [1]


async def test_what_is_not_visible_is_not_found(desk: SqlStore, clock: SetClock) -> None:
    await converse(desk, "secret plan", "ok", user="ann", effects=[UpdateCustomer(name="Ann Lee")])
    where = await wrote(desk, "secret plan", user="bob", team="shop")
    await _index(desk, clock)
    assert [found.conversation_id for found in (await _search(desk, "secret", LI)).messages] == [1]
    assert {found.conversation_id for found in (await _search(desk, "secret", WU)).messages} == {1, where}
    with pytest.raises(NotPermitted):
        await _search(desk, "secret", AUDITOR)
    reader = Actor("x", "reader", frozenset(), frozenset({"conversations.read"}))
    assert [person.name for person in (await _search(desk, "lee", reader)).people] == ["Ann Lee"]
    await wrote(desk, "more", channel="web", user="ann", team="shop")
    assert (await _search(desk, "lee", reader)).people == ()


async def test_people_are_found_by_name_phone_mail_id_and_numbers(desk: SqlStore, clock: SetClock) -> None:
    known = UpdateCustomer(name="王芳 Wang", phone="+8613812345678", email="fang@example.com")
    case = OpenCase("C-1024-7", "complaint", "delivery", "2391", 2, "late", {})
    where = (await converse(desk, "hi", "ok", user="fang-77", effects=[known, case])).conversation
    order = {"number": "2391", "customer_id": where.customer.customer_id, "status": "paid", "updated_at": START}
    await desk.database.run(lambda conn: conn.execute(insert(orders).values(order)))
    await wrote(desk, "somebody else", user="tom")
    await _index(desk, clock)
    for typed in (
        "王",
        "王芳",
        "wang",
        "13812345678",
        "138 1234 5678",
        "5678",
        "fang@exam",
        "fang-77",
        "c-1024-7",
        "2391",
    ):
        people = (await _search(desk, typed, LI)).people
        assert [person.customer_id for person in people] == [where.customer.customer_id], typed
        assert people[0].conversations == (where.id,)
    assert (await _search(desk, "C-1024-7")).people[0].because == "case"
    assert (await _search(desk, "李")).people == ()


async def test_a_name_put_right_is_found_at_once_and_the_old_one_no_more(desk: SqlStore, clock: SetClock) -> None:
    ann = (await converse(desk, "hi", "ok", effects=[UpdateCustomer(name="Anna")])).conversation.customer.customer_id
    await _index(desk, clock)
    await CustomerDesk(desk.database, ServicePolicy, clock).edit(LI, ann, {"name": "Berta"})
    assert [person.name for person in (await _search(desk, "berta")).people] == ["Berta"]
    assert (await _search(desk, "anna")).people == ()


async def test_somebody_merged_is_found_under_the_record_that_was_kept(desk: SqlStore, clock: SetClock) -> None:
    ann = (await converse(desk, "hi", "ok", effects=[UpdateCustomer(name="Ann")])).conversation.customer.customer_id
    bob = (await converse(desk, "hi", "ok", user="b", effects=[UpdateCustomer(name="Bob")])).conversation.customer
    await _index(desk, clock)
    await desk.database.run(
        lambda conn: merging.merge(conn, ann, bob.customer_id, evidence="staff", author="li", now=START)
    )
    assert [person.customer_id for person in (await _search(desk, "bob")).people] == [ann]


async def test_an_edited_message_is_found_by_its_new_words_only(desk: SqlStore, clock: SetClock) -> None:
    await wrote(desk, "frist words", vendor_message_id="v1")
    await _index(desk, clock)
    await desk.accept([said("first words", channel="telegram", vendor_message_id="v2", edits="v1")])
    await _index(desk, clock)
    assert await _said(desk, "first") == [1]
    assert await _said(desk, "frist") == []


async def test_pages_of_messages_go_on_where_the_last_one_ended(desk: SqlStore, clock: SetClock) -> None:
    for number in range(5):
        await wrote(desk, f"word {number}")
    await _index(desk, clock)
    first = await _search(desk, "word", limit=2)
    second = await _search(desk, "word", cursor=first.next, limit=2)
    third = await _search(desk, "word", cursor=second.next, limit=2)
    pages = [[found.message_id for found in page.messages] for page in (first, second, third)]
    assert (pages, third.next) == ([[5, 4], [3, 2], [1]], "")
    with pytest.raises(InputError):
        await _search(desk, "word", cursor="zz")


async def test_what_arrives_is_found_without_waiting_for_ids_to_settle(desk: SqlStore, clock: SetClock) -> None:
    await wrote(desk, "fresh words")
    indexer = SearchIndexer(desk.database, clock)
    await indexer.catch_up()
    assert await _said(desk, "fresh") == [1]
    await wrote(desk, "fresher words")
    assert await indexer.step() > 0
    assert await indexer.step() == 0
    assert await _said(desk, "fresher") == [2]


async def test_somebody_erased_is_found_no_more_and_leaves_no_trace_in_the_index(
    desk: SqlStore, clock: SetClock
) -> None:
    claimed = await converse(desk, "traceable zebra", "ok", effects=[UpdateCustomer(name="Zacharias")])
    await wrote(desk, "others zebra", user="tom")
    await _index(desk, clock)
    await erase_customer(desk.database, claimed.conversation.customer.customer_id)
    assert [found.conversation_id for found in (await _search(desk, "zebra")).messages] == [2]
    assert (await _search(desk, "zacharias")).people == ()
    await SearchIndexer(desk.database, clock).purge()
    await _index(desk, clock)
    assert await _said(desk, "traceable") == []
    if desk.database.dialect == "sqlite":

        def parts(conn: Connection) -> bytes:
            found = []
            for name in ("message_search", "people_search"):
                for kept in ("data", "content"):
                    rows = conn.execute(text(f"SELECT * FROM {name}_{kept}"))
                    found += [part for row in rows for part in row if isinstance(part, bytes | str)]
            return b"\n".join(part.encode() if isinstance(part, str) else part for part in found)

        left = await desk.database.run(parts, read=True)
        assert b"zebra" in left
        assert b"traceable" not in left
        assert b"zacharias" not in left


async def test_a_backlog_is_worked_off_in_small_steps(desk: SqlStore, clock: SetClock) -> None:
    for start in range(0, 250, 50):
        await desk.accept([said(f"number {n}", user=f"u{n % 7}") for n in range(start, start + 50)])
    indexer = SearchIndexer(desk.database, clock)
    clock.at += timedelta(minutes=5)
    steps = 0
    while await indexer.step():
        steps += 1
    assert steps >= 3
    assert len(await _said(desk, "number")) == 30
    assert (await row_of(desk, 1)).id == 1
