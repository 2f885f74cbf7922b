"""Who may be the same person is looked for every night: proposed, never merged, whatever many share left alone."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import insert, select

from crm_sync import merge_evidence, merge_sweep, merging
from crm_sync.erasure import erase_customer
from crm_sync.merge_evidence import TELLERS
from crm_sync.service_tables import customer_attributes, customer_merges
from crm_sync.store import SqlStore
from crm_sync.tables import customers
from frontdesk.scheduler import PERIODIC
from tests.store_steps import START

WANG = {"name": "王芳", "birthday": "1990-02-03"}


async def people(store: SqlStore, *facts: dict[str, str]) -> list[int]:
    """Customers with these facts; their ids."""

    def unit(conn: Any) -> list[int]:
        ids = []
        for fact in facts:
            profile = {name: value for name, value in fact.items() if name != "birthday"}
            row = conn.execute(insert(customers).values(**profile, created_at=START))
            ids.append(int(row.inserted_primary_key[0]))
            if "birthday" in fact:
                born = {"customer_id": ids[-1], "name": "birthday", "value": fact["birthday"], "updated_at": START}
                conn.execute(insert(customer_attributes), born)
        return ids

    return await store.database.run(unit)


async def sweep(store: SqlStore, step: int = merge_sweep.STEP) -> int:
    return await merge_sweep.propose_all(store.database, START, step=step)


async def proposed(store: SqlStore) -> dict[tuple[int, int], tuple[str, ...]]:
    found = await store.database.run(merge_evidence.proposals, read=True)
    return {(item.customer_id, item.other_customer_id): item.evidence for item in found}


async def test_equal_e_mail_and_equal_name_with_birthday_are_proposed_and_nobody_is_merged(store: SqlStore) -> None:
    ids = await people(
        store, {"email": "a@b.example"}, {"email": "a@b.example", "name": "Ann"}, WANG, WANG, {"name": "王芳"},
        {"name": "李强", "birthday": "1990-02-03"},
    )  # fmt: skip
    assert await sweep(store) == 2
    assert await proposed(store) == {(ids[0], ids[1]): ("email",), (ids[2], ids[3]): ("name", "birthday")}
    merges = await store.database.run(lambda conn: conn.execute(select(customer_merges)).all(), read=True)
    assert merges == []


async def test_a_pair_alike_in_everything_is_proposed_once_with_all_of_it(store: SqlStore) -> None:
    one, other = await people(store, *[{**WANG, "email": "w@b.example", "phone": "+8613800000001"}] * 2)
    assert await sweep(store) == 1
    assert await proposed(store) == {(one, other): ("phone", "email", "name", "birthday")}
    assert await sweep(store) == 0


async def test_what_many_share_says_nothing(store: SqlStore) -> None:
    await people(store, *[{"email": "info@b.example"}] * (TELLERS + 1), *[WANG] * (TELLERS + 1))
    assert await sweep(store) == 0


@pytest.mark.parametrize("step", [1, 2, 3, 500])
async def test_in_steps_of_any_size_every_pair_is_found(store: SqlStore, step: int) -> None:
    facts = [{"email": f"{number % 7}@b.example"} for number in range(14)]
    born = [{"name": "王芳", "birthday": f"1990-01-{1 + number % 5:02}"} for number in range(10)]
    await people(store, *facts, *born)
    assert await sweep(store, step) == 7 + 5


async def test_pairs_that_were_decided_merged_or_erased_are_left_alone(store: SqlStore) -> None:
    same = {"email": "a@b.example"}
    one, other, third, gone = await people(store, same, same, same, same)
    await store.database.run(
        lambda conn: merging.merge(conn, one, other, evidence="staff", author="li", now=START) and None
    )
    await erase_customer(store.database, gone)  # type: ignore[arg-type]  # an id is an id
    assert await sweep(store) == 1
    ((pair, _),) = (await proposed(store)).items()
    assert pair == (one, third)
    (proposal,) = await store.database.run(merge_evidence.proposals, read=True)
    await store.database.run(
        lambda conn: merge_evidence.decide(conn, proposal.id, is_same=False, author="li", now=START)
    )
    assert await sweep(store) == 0


async def test_a_number_that_many_have_told_is_no_evidence_in_a_proposal(store: SqlStore) -> None:
    phone = {"phone": "+8613800000001"}
    await people(store, *[phone] * TELLERS, *[{**phone, "email": "a@b.example"}] * 2)
    await sweep(store)
    assert list((await proposed(store)).values()) == [("email",)]


def test_it_is_a_nightly_job() -> None:
    assert {job.name: job.every.days for job in PERIODIC}["same_people"] == 1
