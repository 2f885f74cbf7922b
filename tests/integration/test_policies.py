"""Rules changed in the store: kept by version, refused when they make no sense, tried on real cases first."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import Connection, insert

from bot.errors import AssistantInvalid
from bot.service.policy import ServicePolicy, read_policy
from bot.types import OpenCase
from crm_sync.policies import newest
from crm_sync.store import SqlStore
from crm_sync.tables import case_events
from desk.policies import history, put_policy, what_if
from tests.store_steps import START, converse


async def test_every_version_is_kept_and_the_newest_is_in_force(store: SqlStore) -> None:
    epoch = await store.model_epoch()
    for hours in (4, 2):
        document = {"promises": {"first_response": hours}}
        await put_policy(store.database, "shop", document, note=f"{hours} h", author="ann", now=START)
    found = await store.database.run(lambda conn: newest(conn, "shop"))
    assert found is not None
    assert (found.version, found.document, found.author) == (2, {"promises": {"first_response": 2}}, "ann")
    assert [version.note for version in await history(store.database, "shop")] == ["2 h", "4 h"]
    assert await store.database.run(lambda conn: newest(conn, "other")) is None
    assert await store.model_epoch() > epoch  # every process notices


async def test_rules_that_make_no_sense_change_nothing(store: SqlStore) -> None:
    with pytest.raises(AssistantInvalid, match="no severity"):
        await put_policy(store.database, "shop", {"promises": {"update": {"9": 1}}}, note="", author="ann", now=START)
    assert await history(store.database, "shop") == []


async def test_other_rules_are_tried_on_the_complaints_of_the_last_days(store: SqlStore) -> None:
    opened = OpenCase("C-1024-7", "complaint", "product", "lamp", 2, "the lamp", {})
    await converse(store, "the lamp", "sorry", effects=[opened])
    now = (await _opened_at(store)) + timedelta(days=20)

    def answered_late(conn: Connection) -> None:
        event = {"case_id": 1, "kind": "status", "author": "operator", "changes": {"status": "in_progress"}}
        conn.execute(insert(case_events), {**event, "at": now - timedelta(days=18)})

    await store.database.run(answered_late)
    old = read_policy({"promises": {"first_response": 1, "update": 0, "solution": 0}})
    new = read_policy({"promises": {"first_response": 48, "update": 0, "solution": 0}})
    found = await what_if(store.database, old, new, days=30, now=now)
    assert (found.cases, found.no_longer_broken) == (1, ("C-1024-7",))
    assert (await what_if(store.database, old, new, days=10, now=now)).cases == 0
    assert (await what_if(store.database, ServicePolicy(), ServicePolicy(), days=30, now=now)).newly_broken == ()


async def _opened_at(store: SqlStore):  # type: ignore[no-untyped-def]
    from sqlalchemy import select

    from crm_sync.tables import cases

    return await store.database.run(lambda conn: conn.execute(select(cases.c.opened_at)).scalar_one())
