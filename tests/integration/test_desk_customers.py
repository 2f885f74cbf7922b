"""Staff put a record right as far as their role allows, and it is kept who did."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from bot.errors import CustomerNotFound, InputError, NotPermitted, StaleState
from bot.service.policy import ServicePolicy
from bot.types import UpdateCustomer
from crm_sync.service_tables import audit
from crm_sync.store import SqlStore
from desk.actors import Actor
from desk.audit import AuditDesk
from desk.customer_records import CustomerRecords
from desk.customers import CustomerDesk, RecordChange
from tests.store_steps import SetClock, converse

LI, LEAD, GUEST = Actor("li", "operator"), Actor("wang", "supervisor"), Actor("gu", "viewer")


def _desk(store: SqlStore) -> CustomerDesk:
    return CustomerDesk(store.database, ServicePolicy, SetClock())


async def _ann(store: SqlStore) -> int:
    proven = UpdateCustomer(name="Ann", phone="+8613800000001", phone_is_verified=True)
    return (await converse(store, "hi", "ok", effects=[proven])).conversation.customer.customer_id


async def _seen(store: SqlStore) -> Any:
    return (await converse(store, "look")).conversation.customer


async def test_facts_are_put_right_with_an_audit_and_a_typed_number_is_not_proven(store: SqlStore) -> None:
    ann, desk = await _ann(store), _desk(store)
    changes = {"name": "Anna", "phone": "138 0000 0002", "birthday": "1990/2/3", "email": ""}
    assert await desk.edit(LI, ann, changes) == ["birthday", "name", "phone"]
    seen = await _seen(store)
    assert (seen.name, seen.phone, seen.phone_is_verified) == ("Anna", "+8613800000002", False)
    assert seen.attributes == {"birthday": "1990-02-03"}
    assert await desk.edit(LI, ann, changes) == []
    rows = await store.database.run(lambda conn: list(conn.execute(select(audit).order_by(audit.c.id))))
    assert [(row.author, row.fields) for row in rows if row.author == "li"] == [("li", ["birthday", "name", "phone"])]
    lines = (await AuditDesk(store.database).lines(Actor("hu", "auditor"))).items
    assert [(line.actor, line.action, line.object, line.details) for line in lines] == [
        ("li", "customer.change", f"customer:{ann}", {"fields": ["birthday", "name", "phone"]})
    ]
    assert "Anna" not in str(rows) + str(lines)


async def test_of_a_change_that_is_refused_in_one_part_no_other_part_is_written(store: SqlStore) -> None:
    ann, desk = await _ann(store), _desk(store)
    refused: tuple[tuple[Actor, RecordChange, type[Exception]], ...] = (
        (LI, RecordChange({"name": "Anna"}, "A"), NotPermitted),
        (LEAD, RecordChange({"name": "Anna"}, "E"), InputError),
        (LEAD, RecordChange({"name": "Anna"}, "A", add_tags=["vip", "x" * 61]), InputError),
        (LEAD, RecordChange({"name": "Anna"}, "A", remove_tags=[" "]), InputError),
        (LEAD, RecordChange({"name": "Anna", "phone": "12"}, "A", add_tags=["vip"]), InputError),
    )
    for actor, change, error in refused:
        with pytest.raises(error):
            await desk.change(actor, ann, change)
    with pytest.raises(StaleState):
        await desk.change(LEAD, ann, RecordChange({"name": "Anna"}, "A", add_tags=["vip"]), seen={"name": "Annie"})
    seen = await _seen(store)
    assert (seen.name, seen.credit_class, seen.tags) == ("Ann", "", set())
    change = RecordChange({"name": "Anna"}, "A", add_tags=["vip"])
    assert await desk.change(LEAD, ann, change, seen={"name": "Ann"}) == ["credit_class", "name", "tags"]
    seen = await _seen(store)
    assert (seen.name, seen.credit_class, seen.tags) == ("Anna", "A", {"vip"})


async def test_a_change_of_a_merged_record_is_one_of_the_record_it_is_part_of(store: SqlStore) -> None:
    ann, desk = await _ann(store), _desk(store)
    other = (await converse(store, "hi", "ok", user="bob")).conversation.customer.customer_id
    await desk.merge(LEAD, ann, other)
    await desk.change(LI, other, RecordChange({"name": "Anna"}, add_tags=["vip"]))
    line = await CustomerRecords(store.database, SetClock()).line(LI, other)
    assert (line.id, line.name, line.tags) == (ann, "Anna", ("vip",))


async def test_tags_and_credit_classes_follow_the_role(store: SqlStore) -> None:
    ann, desk = await _ann(store), _desk(store)
    await desk.tag(LI, ann, " VIP ")
    await desk.tag(LI, ann, "vip")
    await desk.set_credit_class(LEAD, ann, "a")
    seen = await _seen(store)
    assert (seen.tags, seen.credit_class) == ({"vip"}, "A")
    await desk.untag(LI, ann, "vip")
    assert (await _seen(store)).tags == frozenset()
    with pytest.raises(NotPermitted):
        await desk.set_credit_class(LI, ann, "D")
    with pytest.raises(NotPermitted):
        await desk.edit(GUEST, ann, {"name": "x"})
    with pytest.raises(NotPermitted):
        await desk.merge(LI, ann, ann)


async def test_what_is_no_field_no_value_or_nobody_is_refused(store: SqlStore) -> None:
    ann, desk = await _ann(store), _desk(store)
    for changes in ({"shoe_size": "42"}, {"birthday": "spring"}, {"phone": "12"}, {"name": "x" * 300}):
        with pytest.raises(InputError):
            await desk.edit(LI, ann, changes)
    with pytest.raises(InputError):
        await desk.set_credit_class(LEAD, ann, "E")
    with pytest.raises(CustomerNotFound):
        await desk.edit(LI, 9999, {"name": "x"})


async def test_a_lead_merges_and_takes_apart(store: SqlStore) -> None:
    ann, desk = await _ann(store), _desk(store)
    bob = (await converse(store, "hi", "ok", user="bob")).conversation.customer.customer_id
    merge_id = await desk.merge(LEAD, ann, bob)
    assert merge_id is not None
    assert (await converse(store, "look", user="bob")).conversation.customer.customer_id == ann
    assert (await desk.unmerge(LEAD, merge_id)).author == "wang"
    assert (await converse(store, "look", user="bob")).conversation.customer.customer_id == bob
