"""What staff may do with messages that did not leave."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import select

from bot.errors import NotFound, RuleError
from bot.ports import SendOutcome
from bot.types import Lane
from crm_sync.invariants import check
from crm_sync.outbox_staff import Unsent
from crm_sync.store import SqlStore
from crm_sync.tables import outbox
from tests.store_steps import SetClock, converse, send_all


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
async def desk(store_url: str, clock: SetClock) -> AsyncIterator[SqlStore]:
    opened = await SqlStore.open(store_url, clock=clock)
    yield opened
    await opened.close()


async def _ended(desk: SqlStore, state: str, *texts: str, lane: Lane = Lane.REPLY, user: str = "ann") -> list[int]:
    """These texts were sent and ended so."""
    await converse(desk, "hi", *texts, user=user, channel="telegram", lane=lane)
    ids = []
    while rows := await desk.outbox.claim("s", 10):
        await desk.outbox.finish([SendOutcome(row.outbox_id, state, reason="400") for row in rows])
        ids += [int(row.outbox_id) for row in rows]
    return sorted(set(ids))


async def _states(desk: SqlStore) -> list[str]:
    return await desk.database.run(
        lambda conn: list(conn.execute(select(outbox.c.state).order_by(outbox.c.id)).scalars())
    )


async def test_what_needs_somebody_is_listed_without_words(desk: SqlStore) -> None:
    (parked,) = await _ended(desk, "parked", "SecretWords")
    (failed,) = await _ended(desk, "failed", "two", user="bob")
    await _ended(desk, "sent", "three", user="eve")

    rows = await desk.outbox_desk.find()

    assert [(row.id, row.state, row.reason) for row in rows] == [(parked, "parked", "400"), (failed, "failed", "400")]
    assert "SecretWords" not in repr(rows)
    assert await desk.outbox_desk.counts() == {"parked": 1, "failed": 1}


async def test_what_is_held_is_listed_as_such(desk: SqlStore) -> None:
    (held,) = await _ended(desk, "held", "one")
    (parked,) = await _ended(desk, "parked", "two", user="bob")

    def ids(rows: list[Unsent]) -> list[int]:
        return [row.id for row in rows]

    assert ids(await desk.outbox_desk.find(["held"])) == [held]
    assert ids(await desk.outbox_desk.find(["parked"])) == [parked]
    assert ids(await desk.outbox_desk.find(["held", "parked"])) == [held, parked]
    assert [row.state for row in await desk.outbox_desk.find()] == ["held", "parked"]


async def test_an_unknown_state_is_named(desk: SqlStore) -> None:
    with pytest.raises(ValueError, match="lost"):
        await desk.outbox_desk.find(["lost"])


async def test_a_retried_row_leaves_before_what_waits_behind_it(desk: SqlStore, clock: SetClock) -> None:
    parked = await _ended(desk, "parked", "1")
    assert await send_all(desk) == []
    await converse(desk, "again", "2", channel="telegram")
    await send_all(desk)
    clock.advance(seconds=5)
    await converse(desk, "again", "3", channel="telegram")

    assert await desk.outbox_desk.retry(parked) == 1

    assert await send_all(desk) == ["1", "3"]
    assert await check(desk.database, now=clock.now()) == []


async def test_all_parked_leaves_out_what_is_held_and_what_failed(desk: SqlStore) -> None:
    await _ended(desk, "parked", "1", "2")
    await _ended(desk, "held", "3", user="bob")
    await _ended(desk, "failed", "4", user="eve")

    assert await desk.outbox_desk.retry_parked() == 2

    assert sorted(await send_all(desk)) == ["1", "2"]


async def test_an_uncertain_broadcast_needs_a_word_more_and_is_marked(desk: SqlStore) -> None:
    ids = await _ended(desk, "uncertain", "news", lane=Lane.BROADCAST)
    with pytest.raises(RuleError, match="--yes-it-may-repeat"):
        await desk.outbox_desk.retry(ids)
    assert await _states(desk) == ["uncertain"]

    await desk.outbox_desk.retry(ids, may_repeat=True)

    (row,) = await desk.outbox_desk.find(["pending"])
    assert row.maybe_repeated
    assert await send_all(desk) == ["news"]


async def test_nothing_changes_when_one_of_them_cannot_be_retried(desk: SqlStore) -> None:
    parked = await _ended(desk, "parked", "1")
    sent = await _ended(desk, "sent", "2", user="bob")

    with pytest.raises(RuleError, match="sent"):
        await desk.outbox_desk.retry([*parked, *sent])
    with pytest.raises(NotFound, match="999"):
        await desk.outbox_desk.retry([*parked, 999])

    assert await _states(desk) == ["parked", "sent"]


async def test_a_dropped_row_never_leaves(desk: SqlStore) -> None:
    held = await _ended(desk, "held", "1")
    await converse(desk, "again", "2", channel="telegram", user="bob")
    (pending,) = await desk.outbox_desk.find(["pending"])

    assert await desk.outbox_desk.drop([*held, pending.id]) == 2

    assert await send_all(desk) == []
    assert await _states(desk) == ["dropped", "dropped"]


async def test_what_is_being_sent_cannot_be_dropped(desk: SqlStore) -> None:
    await converse(desk, "hi", "1", channel="telegram")
    (row,) = await desk.outbox.claim("s", 1)

    with pytest.raises(RuleError, match="sending"):
        await desk.outbox_desk.drop([row.outbox_id])
