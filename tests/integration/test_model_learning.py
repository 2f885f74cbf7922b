"""The learning loop on both stores: outcomes, trainings that one worker does, models made active and taken back."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Connection, insert

from bot.errors import InputError, NotFound, NotPermitted, RuleError, StaleState
from bot.types import Button, OutPart, ReplyButton
from crm_sync import models, outcomes, trainings
from crm_sync.store import SqlStore
from crm_sync.tables import handoffs
from crm_sync.traffic import recent
from desk.actors import Actor
from desk.model_learning import ModelDesk
from desk.understanding import UnderstandingDesk
from tests.integration.test_understanding_desk import asked
from tests.library import SampleLibrary
from tests.staff_steps import staff
from tests.store_steps import START, SetClock, decided, out, said

LENA, ANN = Actor("lena", "supervisor"), Actor("ann", "operator")
OFFER = ReplyButton("Order status", "intent:order_status"), ReplyButton("Returns", "intent:return_request")
LATER = START + timedelta(days=365)  # whatever the store's own clock says


@pytest.fixture
def clock() -> SetClock:
    return SetClock(START)


@pytest.fixture
def desk(store: SqlStore, clock: SetClock) -> ModelDesk:
    return ModelDesk(store.database, SampleLibrary(), clock)


async def clarified(store: SqlStore, text: str, user: str) -> int:
    """The bot asks which of two was meant; the message's inbox id."""
    await store.accept([said(text, user=user)])
    (claimed,) = await store.claim("worker", 10)
    commit = decided(claimed, "Which one?")
    reply = replace(out("Which one?"), parts=(OutPart("Which one?", OFFER),), template="utter_clarify")
    (done,) = await store.commit([replace(commit, turns=(replace(commit.turns[0], out=(reply,)),))])
    assert done.ok
    return int(claimed.messages[0].inbox_id)


async def pressed(store: SqlStore, value: str, user: str) -> None:
    await store.accept([said(Button(value), user=user)])
    (claimed,) = await store.claim("worker", 10)
    (done,) = await store.commit([decided(claimed, "Here you are.")])
    assert done.ok


async def test_what_customers_choose_is_kept_once_with_what_they_meant(store: SqlStore) -> None:
    first, second = await clarified(store, "the thing", "ann"), await clarified(store, "that other thing", "bob")
    await pressed(store, "intent:return_request", "ann")
    ids = [first, second]
    assert await store.database.run(lambda conn: outcomes.step(conn, START - timedelta(days=9))) == 0  # not settled
    assert await store.database.run(lambda conn: outcomes.step(conn, LATER)) == 3
    assert await store.database.run(lambda conn: outcomes.outcomes_of(conn, ids)) == {
        first: ("corrected", "return_request")
    }
    await pressed(store, "intent:order_status", "bob")
    assert await store.database.run(lambda conn: outcomes.step(conn, LATER)) == 1
    assert await store.database.run(lambda conn: outcomes.step(conn, LATER)) == 0
    assert (await store.database.run(lambda conn: outcomes.outcomes_of(conn, ids)))[second] == (
        "corrected",
        "order_status",
    )
    spoken = {each.inbox_id: each for each in await store.database.run(lambda conn: recent(conn, 10))}
    assert (spoken[first].text, spoken[first].truth) == ("the thing", "return_request")
    listed = UnderstandingDesk(store.database, SampleLibrary(), SetClock(LATER))
    assert {each.text for each in (await listed.messages(ANN, "shop", "corrected", days=400)).items} == {
        "the thing",
        "that other thing",
    }


async def test_the_last_words_before_a_person_was_called_are_handed_over(store: SqlStore) -> None:
    inbox_id, talk = await asked(store, "no not that")

    def unit(conn: Connection) -> int:
        row = {"conversation_id": talk, "reason": "unclear_twice", "urgency": 2, "fence": 1, "requested_at": LATER}
        conn.execute(insert(handoffs).values(row))
        return outcomes.note_handovers(conn, ("unclear_twice",), LATER)

    assert await store.database.run(unit) == 1
    assert await store.database.run(lambda conn: outcomes.outcomes_of(conn, [inbox_id])) == {
        inbox_id: ("handed_over", "")
    }


async def test_one_training_at_a_time_is_done_by_one_worker_and_seen_by_all(
    store: SqlStore, desk: ModelDesk, clock: SetClock
) -> None:
    asked_for = await desk.train(LENA, "shop")
    assert (await desk.train(LENA, "shop")).id == asked_for.id
    taken = await store.database.run(lambda conn: trainings.take(conn, "one", clock.now()))
    assert taken is not None
    assert await store.database.run(lambda conn: trainings.take(conn, "two", clock.now())) is None
    beat = {"step": "training", "progress": 0.4, "now": clock.now()}
    assert await store.database.run(lambda conn: trainings.beat(conn, taken.id, "one", **beat))  # type: ignore[arg-type]
    newest = (await desk.state(ANN, "shop")).newest
    assert newest is not None
    assert (newest.state, newest.step, newest.progress) == ("running", "training", 0.4)
    clock.advance(seconds=61)
    again = await store.database.run(lambda conn: trainings.take(conn, "two", clock.now()))
    assert again is not None
    assert again.attempts == 2
    assert not await store.database.run(lambda conn: trainings.beat(conn, taken.id, "one", **beat))  # type: ignore[arg-type]
    await desk.stop(LENA, "shop")
    with pytest.raises(NotFound):
        await desk.stop(LENA, "shop")


async def test_a_training_whose_process_dies_again_and_again_is_given_up(
    store: SqlStore, desk: ModelDesk, clock: SetClock
) -> None:
    await desk.train(LENA, "shop")
    for _ in range(3):
        assert await store.database.run(lambda conn: trainings.take(conn, "one", clock.now()))
        clock.advance(seconds=61)
    assert await store.database.run(lambda conn: trainings.take(conn, "one", clock.now())) is None
    newest = (await desk.state(ANN, "shop")).newest
    assert newest is not None
    assert newest.state == "failed"
    assert newest.reason


async def test_a_candidate_is_promoted_and_taken_back_and_each_moves_the_epoch(
    store: SqlStore, desk: ModelDesk
) -> None:
    await staff(store, LENA, ANN)
    await store.put_model("shop", "1", b"one", training_hash="old", activate=True)
    await store.put_model("shop", "2", b"two", training_hash="old")
    await store.put_model("shop", "3", b"damaged")
    before = await store.model_epoch()
    with pytest.raises(NotPermitted):
        await desk.promote(ANN, "shop", "2", seen="1")
    with pytest.raises(StaleState):
        await desk.promote(LENA, "shop", "2", seen="0")
    with pytest.raises(InputError, match="damaged"):
        await desk.promote(LENA, "shop", "3", seen="1")
    with pytest.raises(NotFound):
        await desk.promote(LENA, "shop", "9", seen="1")
    assert await store.model_epoch() == before
    await desk.promote(LENA, "shop", "2", seen="1")
    active = await store.active_model("shop")
    assert active is not None
    # The files' hash as they are now: a start trains anew only when they change after this.
    assert (active.version, active.training_hash) == ("2", "files")
    assert await store.model_epoch() > before
    state = await desk.state(ANN, "shop")
    assert (state.active, state.previous, state.activations[0].by) == ("2", "1", "lena")
    assert await desk.roll_back(LENA, "shop", seen="2") == "1"
    assert (await desk.state(ANN, "shop")).active == "1"


async def test_a_model_that_was_always_there_cannot_be_taken_back(store: SqlStore, desk: ModelDesk) -> None:
    await store.put_model("shop", "1", b"one", activate=True)
    with pytest.raises(RuleError):
        await desk.roll_back(LENA, "shop", seen="1")


async def test_differences_come_with_the_words_that_are_still_there(store: SqlStore, desk: ModelDesk) -> None:
    inbox_id, _ = await asked(store, "wheres my stuff")
    asked_for = await desk.train(LENA, "shop")
    row = {"before": ["greet", 0.5], "after": ["order_status", 0.9], "truth": "order_status", "learnt": False}
    comparison = {"rows": [{**row, "id": inbox_id, "verdict": "better"}, {**row, "id": 9, "verdict": "changed"}]}

    def unit(conn: Connection) -> bool:
        return trainings.end(conn, asked_for.id, trainings.DONE, START, candidate="2", comparison=comparison)

    assert await store.database.run(unit)
    found = await desk.differences(ANN, "shop", asked_for.id)
    assert [(each.verdict, each.spoken.text if each.spoken else None) for each in found] == [
        ("better", "wheres my stuff"),
        ("changed", None),
    ]
    assert [each.inbox_id for each in await desk.differences(ANN, "shop", asked_for.id, "changed")] == [9]
    candidate = (await desk.state(ANN, "shop")).candidate
    assert candidate is not None
    assert candidate.candidate == "2"


async def test_bytes_that_nobody_can_go_back_to_are_given_up(store: SqlStore) -> None:
    for number in range(9):
        await store.put_model("shop", str(number), b"bytes", activate=number < 8)
    await store.put_model("hotel", "0", b"bytes", activate=True)

    def unit(conn: Connection) -> tuple[int, list[bool]]:
        gone = models.prune(conn, "shop", keep=["8"], activations_back=3)
        return gone, [models.find_version(conn, "shop", str(number)) is not None for number in range(9)]

    assert await store.database.run(unit) == (4, [False] * 4 + [True] * 5)
    assert await store.active_model("hotel") is not None
