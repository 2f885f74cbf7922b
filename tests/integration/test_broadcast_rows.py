"""Broadcasts as rows: who may change what when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, update

from bot.errors import InputError, NotFound, RuleError, StaleState
from bot.reach.states import BroadcastState as S
from crm_sync import broadcasts as rows
from crm_sync.broadcast_tables import broadcasts
from crm_sync.broadcasts import Stored
from crm_sync.store import SqlStore
from tests.store_steps import START

WORDS = {"name": "winter", "title": "One"}


async def _run(store: SqlStore, unit: Callable[[Connection], Any]) -> Any:
    return await store.database.run(unit)


async def _made(store: SqlStore, state: S = S.DRAFT) -> Stored:
    def unit(conn: Connection) -> Stored:
        rows.create(conn, "winter", WORDS, by="mia", now=START)
        conn.execute(update(broadcasts).values(state=state.value))
        return rows.named(conn, "winter")

    return await store.database.run(unit)


async def test_a_name_is_given_once(store: SqlStore) -> None:
    made = await _made(store)
    assert (made.state, made.version, made.created_by, made.document) == (S.DRAFT, 0, "mia", WORDS)
    with pytest.raises(InputError, match="already"):
        await _made(store)
    with pytest.raises(NotFound):
        await _run(store, lambda conn: rows.named(conn, "summer"))


async def test_of_two_who_change_it_the_second_is_told(store: SqlStore) -> None:
    await _made(store)
    await _run(store, lambda conn: rows.edit(conn, "winter", {"title": "Two"}, version=0, by="mia", now=START))
    with pytest.raises(StaleState):
        await _run(store, lambda conn: rows.edit(conn, "winter", {"title": "Three"}, version=0, by="bo", now=START))
    assert (await _run(store, lambda conn: rows.named(conn, "winter"))).document == {"title": "Two"}


async def test_of_two_who_begin_it_at_once_one_does(store: SqlStore) -> None:
    await _made(store)
    tries = [_run(store, lambda conn: rows.begin(conn, "winter", version=0, at=START, now=START)) for _ in range(2)]
    done = await asyncio.gather(*tries, return_exceptions=True)
    assert sorted(type(each).__name__ for each in done) == ["StaleState", "Stored"]


async def test_an_approval_is_for_the_words_that_were_read(store: SqlStore) -> None:
    await _made(store)
    approved = await _run(store, lambda conn: rows.approve(conn, "winter", version=0, by="bo", now=START))
    assert (approved.state, approved.approved_by, approved.is_approved) == (S.APPROVED, "bo", True)
    edited = await _run(store, lambda conn: rows.edit(conn, "winter", {"title": "Two"}, version=1, by="mia", now=START))
    assert (edited.state, edited.approved_by, edited.is_approved) == (S.DRAFT, "", False)


async def test_nobody_approves_what_they_wrote(store: SqlStore) -> None:
    await _made(store)
    with pytest.raises(RuleError, match="whoever wrote"):
        await _run(store, lambda conn: rows.approve(conn, "winter", version=0, by="mia", now=START))
    await _run(store, lambda conn: rows.edit(conn, "winter", {"title": "Two"}, version=0, by="bo", now=START))
    with pytest.raises(RuleError, match="whoever wrote"):
        await _run(store, lambda conn: rows.approve(conn, "winter", version=1, by="bo", now=START))
    assert (await _run(store, lambda conn: rows.approve(conn, "winter", version=1, by="eve", now=START))).is_approved


@pytest.mark.parametrize("state", [S.SCHEDULED, S.PREPARING, S.RUNNING])
async def test_what_is_paused_goes_on_as_what_it_was(store: SqlStore, state: S) -> None:
    await _made(store, state)
    for _ in range(2):  # the second time changes nothing
        paused = await _run(store, lambda conn: rows.pause(conn, "winter", by="bo", now=START))
        assert (paused.state, paused.reason, paused.version) == (S.PAUSED, "paused by bo", 1)
    resumed = await _run(store, lambda conn: rows.resume(conn, "winter", now=START + timedelta(hours=1)))
    assert (resumed.state, resumed.reason, resumed.goes_on_as) == (state, "", "")


async def test_cancelled_is_for_ever(store: SqlStore) -> None:
    await _made(store, S.RUNNING)
    for _ in range(2):
        over = await _run(store, lambda conn: rows.cancel(conn, "winter", by="bo", now=START))
        assert (over.state, over.ended_at, over.version) == (S.CANCELLED, START, 1)
    with pytest.raises(RuleError, match="nothing to pause"):
        await _run(store, lambda conn: rows.pause(conn, "winter", by="bo", now=START))
    with pytest.raises(RuleError, match="nothing to resume"):
        await _run(store, lambda conn: rows.resume(conn, "winter", now=START))


@pytest.mark.parametrize("state", [S.RUNNING, S.FINISHED, S.PAUSED])
async def test_what_has_begun_is_not_changed_any_more(store: SqlStore, state: S) -> None:
    await _made(store, state)
    with pytest.raises(RuleError, match="make a copy"):
        await _run(store, lambda conn: rows.edit(conn, "winter", {}, version=0, by="mia", now=START))
    with pytest.raises(RuleError):
        await _run(store, lambda conn: rows.begin(conn, "winter", version=0, at=START, now=START))


async def test_a_list_is_read_page_by_page(store: SqlStore) -> None:
    for name in ("a", "b", "c"):
        await _run(store, lambda conn, name=name: rows.create(conn, name, {}, by="mia", now=START))
    first = await _run(store, lambda conn: rows.listed(conn, limit=2))
    second = await _run(store, lambda conn: rows.listed(conn, before=first[-1].id))
    assert [each.name for each in (*first, *second)] == ["c", "b", "a"]
    assert await _run(store, lambda conn: rows.listed(conn, states=["running"])) == []


@pytest.mark.parametrize("state", [S.APPROVED, S.SCHEDULED])
async def test_what_was_approved_for_others_is_a_draft_again(store: SqlStore, state: S) -> None:
    await _made(store)
    to_regulars = {**WORDS, "audience": {"segment": "regulars"}}
    await _run(store, lambda conn: rows.edit(conn, "winter", to_regulars, version=0, by="mia", now=START))
    await _run(store, lambda conn: rows.approve(conn, "winter", version=1, by="bo", now=START))
    if state is S.SCHEDULED:
        await _run(store, lambda conn: rows.begin(conn, "winter", version=2, at=START, now=START))

    assert await _run(store, lambda conn: rows.segment_changed(conn, "others", START)) == []
    (void,) = await _run(store, lambda conn: rows.segment_changed(conn, "regulars", START))

    assert (void.state, void.is_approved, void.approved_by, void.next_at) == (S.DRAFT, False, "", None)
    assert void.reason == "the segment 'regulars' was changed"
    await _run(store, lambda conn: rows.approve(conn, "winter", version=void.version, by="bo", now=START))


async def test_a_run_that_comes_again_is_held_when_its_segment_changes(store: SqlStore) -> None:
    await _made(store, S.SCHEDULED)
    to_regulars = {**WORDS, "audience": {"segment": "regulars"}}
    await _run(store, lambda conn: conn.execute(update(broadcasts).values(document=to_regulars, started_at=START)))

    (held,) = await _run(store, lambda conn: rows.segment_changed(conn, "regulars", START))

    assert (held.state, held.goes_on_as) == (S.PAUSED, "scheduled")


async def test_whoever_is_asked_to_approve_learns_that_the_segment_changed(store: SqlStore) -> None:
    await _made(store, S.WAITING)
    to_regulars = {**WORDS, "audience": {"segment": "regulars"}}
    await _run(store, lambda conn: conn.execute(update(broadcasts).values(document=to_regulars)))

    await _run(store, lambda conn: rows.segment_changed(conn, "regulars", START))

    with pytest.raises(StaleState):
        await _run(store, lambda conn: rows.approve(conn, "winter", version=0, by="bo", now=START))
