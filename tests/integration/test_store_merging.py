"""Merging and taking apart: once, in any order, and back to where everything was."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, event, insert, select

from bot.errors import CustomerNotFound, NotFound, RuleError
from bot.service_types import SetAttribute
from bot.types import CreateTask, CustomerId, OpenCase, UpdateCase, UpdateCustomer
from crm_sync import broadcasts_merged, merge_evidence, merging
from crm_sync.broadcast_tables import audience_lists, audience_members, contact_wishes
from crm_sync.customers import find_customers
from crm_sync.database import parse_url
from crm_sync.database_sqlite import connect
from crm_sync.erasure import erase_customer
from crm_sync.merged_facts import facts_of
from crm_sync.service_tables import customer_tags, merge_proposals
from crm_sync.store import SqlStore
from crm_sync.tables import cases, customers, metadata, tasks, timeline
from tests.store_steps import START, SetClock, converse

PHONE = "+8613800000001"


def _complaint(number: str, subject: str = "2391") -> OpenCase:
    return OpenCase(number, "complaint", "delivery", subject, 2, "late", {})


async def _people(store: SqlStore) -> tuple[CustomerId, CustomerId]:
    ann = await converse(store, "hi", "ok", user="ann", effects=[_complaint("C-1-1"), UpdateCustomer(name="Ann")])
    bob = await converse(
        store,
        "hi",
        "ok",
        user="bob",
        effects=[
            _complaint("C-2-2", "other"),
            UpdateCustomer(name="Bob", email="b@c.example"),
            SetAttribute("k", 1, "x"),
        ],
    )
    return ann.conversation.customer.customer_id, bob.conversation.customer.customer_id


async def _merge(store: SqlStore, one: int, other: int) -> Any:
    return await store.database.run(
        lambda conn: merging.merge(conn, one, other, evidence="staff", author="li", now=START)
    )


async def _unmerge(store: SqlStore, merge_id: int) -> Any:
    return await store.database.run(lambda conn: merging.unmerge(conn, merge_id, author="li", now=START))


async def _seen(store: SqlStore, user: str) -> Any:
    return (await converse(store, "look", user=user)).conversation.customer


async def test_one_record_from_two_and_back_with_what_came_since_where_it_belongs(store: SqlStore) -> None:
    ann, bob = await _people(store)
    before = [await _seen(store, user) for user in ("ann", "bob")]
    merge_id = await _merge(store, bob, ann)
    seen = await _seen(store, "bob")
    assert (seen.customer_id, seen.name, seen.email, seen.attributes) == (ann, "Ann", "b@c.example", {"k": 1})
    assert {case.number for case in seen.cases} == {"C-1-1", "C-2-2"}
    assert await find_customers(store.database, str(bob)) == [ann]
    # in the middle of a case: both go on about their own, and open new ones
    await converse(store, "more", "ok", user="bob", effects=[UpdateCase("C-2-2", "still"), _complaint("C-3-3", "new")])
    await converse(store, "more", "ok", user="ann", effects=[UpdateCustomer(language="en")])
    await _unmerge(store, merge_id)
    after = [await _seen(store, user) for user in ("ann", "bob")]
    assert [case.number for case in after[0].cases] == ["C-1-1"]
    assert {case.number for case in after[1].cases} == {"C-2-2", "C-3-3"}
    assert (after[0].name, after[0].email, after[0].language, after[0].attributes) == ("Ann", "", "en", {})
    assert (after[1].name, after[1].email, after[1].attributes) == ("Bob", "b@c.example", {"k": 1})
    assert [item.customer_id for item in before] == [item.customer_id for item in after]
    with pytest.raises(NotFound):
        await _unmerge(store, merge_id)


async def test_merging_twice_is_merging_once(store: SqlStore) -> None:
    ann, bob = await _people(store)
    assert await _merge(store, ann, bob) is not None
    assert await _merge(store, bob, ann) is None
    assert await _merge(store, ann, ann) is None


async def test_a_merge_on_top_must_be_undone_first(store: SqlStore) -> None:
    ann, bob = await _people(store)
    cy = (await converse(store, "hi", "ok", user="cy")).conversation.customer.customer_id
    first = await _merge(store, bob, cy)
    last = await _merge(store, ann, bob)
    with pytest.raises(RuleError, match=f"undo merge {last} first"):
        await _unmerge(store, first)
    await _unmerge(store, last)
    await _unmerge(store, first)


async def test_nobody_is_merged_with_who_was_erased_or_is_unknown(store: SqlStore) -> None:
    ann, bob = await _people(store)
    await erase_customer(store.database, bob)
    for other in (bob, 9999):
        with pytest.raises(CustomerNotFound):
            await _merge(store, ann, other)


async def _checked(store: SqlStore, customer_id: int) -> list[merge_evidence.Proposal]:
    await store.database.run(lambda conn: merge_evidence.check(conn, customer_id, START))
    return await store.database.run(merge_evidence.proposals, read=True)


async def test_a_number_both_have_proven_makes_one_record(store: SqlStore) -> None:
    proven = UpdateCustomer(phone=PHONE, phone_is_verified=True)
    ann = (await converse(store, "hi", "ok", user="ann", effects=[proven])).conversation.customer.customer_id
    bob = (await converse(store, "hi", "ok", user="bob", effects=[proven])).conversation.customer.customer_id
    assert await _checked(store, bob) == []
    (merge,) = await store.database.run(lambda conn: merging.merges_of(conn, ann), read=True)
    assert (merge.kept_customer_id, merge.merged_customer_id, merge.evidence) == (ann, bob, "verified_phone")
    await _unmerge(store, merge.id)
    await _checked(store, bob)
    assert (await _seen(store, "bob")).customer_id == bob, "what staff took apart is not put together again"


async def test_a_number_only_told_is_proposed_and_staff_decide(store: SqlStore) -> None:
    told = UpdateCustomer(phone=PHONE, name="Ann")
    ann = (await converse(store, "hi", "ok", user="ann", effects=[told])).conversation.customer.customer_id
    bob = (await converse(store, "hi", "ok", user="bob", effects=[told])).conversation.customer.customer_id
    (proposal,) = await _checked(store, bob)
    assert (proposal.customer_id, proposal.other_customer_id) == (ann, bob)
    assert set(proposal.evidence) == {"phone", "name"}
    assert PHONE not in str(proposal)
    assert len(await _checked(store, ann)) == 1
    await store.database.run(
        lambda conn: merge_evidence.decide(conn, proposal.id, is_same=True, author="li", now=START)
    )
    assert (await _seen(store, "bob")).customer_id == ann
    assert await store.database.run(merge_evidence.proposals, read=True) == []


async def _tellers(store: SqlStore, names: Sequence[str], *effects: UpdateCustomer) -> list[int]:
    """The customers of these names, each of whom has told the number (and whatever else)."""
    told = effects or (UpdateCustomer(phone=PHONE),)
    return [
        (await converse(store, "hi", "ok", user=name, effects=told)).conversation.customer.customer_id for name in names
    ]


async def test_a_number_that_many_tell_proposes_nobody(store: SqlStore) -> None:
    people = await _tellers(store, [f"u{number}" for number in range(merge_evidence.TELLERS + 1)])
    assert await _checked(store, people[-1]) == []
    by_mail = UpdateCustomer(phone=PHONE, email="a@b.example")
    one, other = await _tellers(store, ["ann", "bob"], by_mail)
    (proposal,) = await _checked(store, other)
    assert (proposal.customer_id, proposal.other_customer_id, proposal.evidence) == (one, other, ("email",))


async def test_records_of_one_person_count_once_among_those_who_tell_a_number(store: SqlStore) -> None:
    people = await _tellers(store, [f"u{number}" for number in range(merge_evidence.TELLERS + 1)])
    for person in people[1:-1]:
        await _merge(store, people[0], person)
    assert people[0] in {proposal.customer_id for proposal in await _checked(store, people[-1])}


async def test_a_check_takes_as_many_statements_for_many_as_for_few(store: SqlStore) -> None:
    async def counted(customer_id: int) -> int:
        def unit(conn: Connection) -> int:
            made: list[str] = []

            def note(conn: Any, cursor: Any, statement: str, *rest: Any) -> None:
                made.append(statement)

            event.listen(conn.engine, "before_cursor_execute", note)
            merge_evidence.check(conn, customer_id, START)
            event.remove(conn.engine, "before_cursor_execute", note)
            return len(made)

        return await store.database.run(unit)

    same = UpdateCustomer(email="a@b.example", phone=PHONE)
    few = await _tellers(store, ["a", "b"], same)
    for_few = await counted(few[-1])
    await _tellers(store, [f"u{number}" for number in range(merge_evidence.MOST + 5)], same)
    assert await counted(few[0]) == for_few <= 5
    assert len(await store.database.run(merge_evidence.proposals, read=True)) == 1 + merge_evidence.MOST
    assert await counted(few[0]) <= for_few
    assert len(await store.database.run(merge_evidence.proposals, read=True)) == 1 + merge_evidence.MOST + 5, "the rest"


async def test_what_staff_refused_is_left_alone_also_once_both_have_proven_it(store: SqlStore) -> None:
    ann, bob = await _tellers(store, ["ann", "bob"])
    (proposal,) = await _checked(store, bob)
    await store.database.run(
        lambda conn: merge_evidence.decide(conn, proposal.id, is_same=False, author="li", now=START)
    )
    await _tellers(store, ["ann", "bob"], UpdateCustomer(phone=PHONE, phone_is_verified=True))
    assert await _checked(store, bob) == []
    assert await store.database.run(lambda conn: merging.merges_of(conn, ann), read=True) == []


async def test_what_is_proposed_is_merged_once_both_have_proven_it(store: SqlStore) -> None:
    ann, bob = await _tellers(store, ["ann", "bob"])
    assert len(await _checked(store, bob)) == 1
    await _tellers(store, ["ann", "bob"], UpdateCustomer(phone=PHONE, phone_is_verified=True))
    assert await _checked(store, bob) == []
    (merge,) = await store.database.run(lambda conn: merging.merges_of(conn, bob), read=True)
    assert merge.kept_customer_id == ann


async def test_a_clock_of_a_doubled_case_stands_still_until_they_are_apart_again(store: SqlStore) -> None:
    store = SqlStore(store.database, clock=SetClock())
    ann = (await converse(store, "hi", "ok", user="ann", effects=[_complaint("C-1-1")])).conversation.customer
    bob = (await converse(store, "hi", "ok", user="bob", effects=[_complaint("C-2-2")])).conversation.customer
    merge_id = await _merge(store, ann.customer_id, bob.customer_id)
    assert {case.number: case.is_open for case in (await _seen(store, "ann")).cases} == {"C-1-1": True, "C-2-2": False}
    await _unmerge(store, merge_id)
    assert [(case.number, case.is_open) for case in (await _seen(store, "bob")).cases] == [("C-2-2", True)]


def test_every_table_about_a_customer_changes_hands() -> None:
    named = {table.name for table in metadata.tables.values() if "customer_id" in table.c}
    facts = {"customer_attributes", "customer_tags", "customer_values", "merge_proposals"}
    of_broadcasts = {table.name for table in (*broadcasts_merged.STAYING, *broadcasts_merged.SHARED)}
    assert named == {table.name for table in merging.MOVED} | facts | of_broadcasts


async def test_a_list_that_leaves_somebody_out_does_so_after_a_merge_too(store: SqlStore) -> None:
    ann, bob = await _tellers(store, ["ann", "bob"])
    now = datetime.now(UTC)

    def lists(conn: Connection) -> None:
        for number, members in ((1, [bob]), (2, [ann, bob])):
            row = {"id": number, "name": f"list-{number}", "kind": "exclusion", "created_at": now}
            conn.execute(insert(audience_lists), row)
            conn.execute(insert(audience_members), [{"list_id": number, "customer_id": who} for who in members])
        conn.execute(insert(contact_wishes), {"customer_id": bob, "per_week": 1, "updated_at": now})

    await store.database.run(lists)
    await _merge(store, ann, bob)

    def of_ann(conn: Connection) -> tuple[list[int], list[int | None]]:
        on = select(audience_members.c.list_id).where(audience_members.c.customer_id == ann).order_by("list_id")
        wishes = select(contact_wishes.c.per_week).where(contact_wishes.c.customer_id == ann)
        return list(conn.execute(on).scalars()), list(conn.execute(wishes).scalars())

    assert await store.database.run(of_ann, read=True) == ([1, 2], [1])


# --- in any order ---------------------------------------------------------------------------------------------------

_person = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["", "A", "B"]),
        "email": st.sampled_from(["", "a@b.example"]),
        "phone": st.sampled_from(["", "+861", "+862"]),
        "phone_is_verified": st.booleans(),
        "credit_class": st.sampled_from(["", "A", "D"]),
        "tags": st.sets(st.sampled_from(["x", "y"])),
        "attributes": st.dictionaries(st.sampled_from(["k", "m"]), st.integers(0, 2)),
        "cases": st.sets(st.sampled_from(["s1", "s2"])),
        "tasks": st.sets(st.sampled_from(["callback", "other"])),
    }
)


def _seed(conn: Connection, people: Sequence[dict[str, Any]]) -> list[int]:
    numbers, ids = count(1), []
    for person in people:
        profile = {name: person[name] for name in ("name", "email", "phone", "credit_class")}
        verified = bool(person["phone"]) and person["phone_is_verified"]
        row = conn.execute(insert(customers).values(**profile, phone_is_verified=verified, created_at=START))
        owner = row.inserted_primary_key[0]  # type: ignore[index]  # one row, one key
        ids.append(owner)
        for tag in sorted(person["tags"]):
            conn.execute(insert(customer_tags), {"customer_id": owner, "tag": tag, "at": START})
        for name, value in person["attributes"].items():
            stamp = {"source": "x", "updated_at": START}
            conn.execute(
                insert(metadata.tables["customer_attributes"]),
                {"customer_id": owner, "name": name, "value": value, **stamp},
            )
        for subject in sorted(person["cases"]):
            conn.execute(
                insert(cases),
                {
                    "number": f"C-{next(numbers)}", "customer_id": owner, "kind": "complaint", "category": "c",
                    "subject": subject, "severity": 1, "status": "received", "summary": "", "details": {},
                    "is_open": True, "opened_at": START, "updated_at": START,
                },
            )  # fmt: skip
        for kind in sorted(person["tasks"]):
            values = {"customer_id": owner, "kind": kind, "summary": "", "created_at": START, "updated_at": START}
            conn.execute(insert(tasks), values)
    return ids


def _state(conn: Connection, ids: Sequence[int]) -> dict[str, Any]:
    """Who has which rows, tags and facts, and what is open."""
    found: dict[str, Any] = {
        table.name: sorted(
            (row.id, row.customer_id, getattr(row, "is_open", None)) for row in conn.execute(select(table))
        )
        for table in (*merging.MOVED,)
        if table is not timeline
    }
    found["tags"] = sorted((row.customer_id, row.tag) for row in conn.execute(select(customer_tags)))
    found["facts"] = {customer_id: facts_of(conn, customer_id) for customer_id in ids}
    return found


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=12)
@given(people=st.lists(_person, min_size=3, max_size=4), data=st.data())
def test_merging_is_idempotent_and_order_free_and_unmerging_restores(
    sqlite_url: str, people: list[dict[str, Any]], data: st.DataObject
) -> None:
    conn = connect(parse_url(sqlite_url))
    edges = [(place, data.draw(st.integers(0, place - 1))) for place in range(1, len(people))]
    orders = [edges, data.draw(st.permutations(edges))]
    results = []
    try:
        for order in orders:
            conn.exec_driver_sql("BEGIN")
            ids = _seed(conn, people)
            before = _state(conn, ids)
            merges = []
            for one, other in (*order, *order):
                merged = merging.merge(conn, ids[one], ids[other], evidence="staff", author="li", now=START)
                merges += [] if merged is None else [merged]
            assert len(merges) == len(people) - 1
            results.append(_state(conn, ids))
            left = data.draw(st.permutations(merges))
            while left:
                undone = [merge_id for merge_id in left if _tried(conn, merge_id)]
                assert undone
                left = [merge_id for merge_id in left if merge_id not in undone]
            assert _state(conn, ids) == before
            assert {row.state for row in conn.execute(select(merge_proposals))} == {"refused"}
            conn.exec_driver_sql("ROLLBACK")
    finally:
        conn.close()
    assert results[0] == results[1]


def _tried(conn: Connection, merge_id: int) -> bool:
    try:
        merging.unmerge(conn, merge_id, author="li", now=START + timedelta(days=1))
    except RuleError:
        return False
    return True


async def test_a_task_open_in_both_is_done_once(store: SqlStore) -> None:
    call = CreateTask("callback", "call")
    ann = (await converse(store, "hi", "ok", user="ann", effects=[call])).conversation.customer.customer_id
    bob = (await converse(store, "hi", "ok", user="bob", effects=[call])).conversation.customer.customer_id
    await _merge(store, ann, bob)
    assert (await _seen(store, "bob")).open_tasks == ("callback",)
