"""A sender that dies at any point of a run: nobody is sent to twice, everybody is accounted for.

And the checker is checked: a store damaged by hand, or code that breaks a promise, is found out.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import Executable, delete, update

from crm_sync import recipient_claims
from crm_sync.broadcast_tables import broadcast_counts, broadcast_recipients
from crm_sync.invariants import check
from crm_sync.recipient_claims import SEND_LEASE
from crm_sync.store import SqlStore
from frontdesk.broadcasting import BroadcastPolicy
from frontdesk.faults import BROADCAST_POINTS
from tests.broadcast_under_test import Desk, a_desk
from tests.store_steps import AUDIT_KEYS, START

SENDING_POINTS = [point for point in BROADCAST_POINTS if not point.endswith("_chunk")]
row = broadcast_recipients.c


class Died(BaseException):
    """The process is gone: nothing of it runs any more."""


@pytest.fixture
async def store(sqlite_url: str) -> AsyncIterator[SqlStore]:
    opened = await SqlStore.open(sqlite_url, audit_keys=AUDIT_KEYS)
    yield opened
    await opened.close()


def dies_at(point: str, passes: int) -> Any:
    left = passes

    def fault(name: str) -> None:
        nonlocal left
        if name == point:
            left -= 1
            if left == 0:
                raise Died

    return fault


def ledger(desk: Desk) -> list[dict[str, Any]]:
    return [{"ok": True, "chat_id": chat, "text": text} for chat, text in desk.channel.sent]


async def rules_broken(desk: Desk) -> set[str]:
    return {violation.rule for violation in await check(desk.store.database, ledger(desk))}


async def taken_up(desk: Desk) -> None:
    """Another process goes on after the leases of the dead one are over."""
    desk.clock.advance(seconds=SEND_LEASE.total_seconds() + 1)
    sender, _ = desk.another("sender-after")
    await sender._take_over()
    await sender._flush()
    await sender.run_once()
    await sender.run_once()


@pytest.mark.parametrize("passes", [1, 2])
@pytest.mark.parametrize("point", SENDING_POINTS)
async def test_a_death_sends_nobody_twice_and_leaves_nobody_out(store: SqlStore, point: str, passes: int) -> None:
    desk = await a_desk(store, 120, at=START, holdout=0.1)
    await desk.preparer.run_once()
    doomed, _ = desk.another("sender-doomed", fault=dies_at(point, passes))

    with pytest.raises(Died):
        await doomed.run_once()
    in_flight = (await desk.counts()).get("sending", 0)
    await taken_up(desk)

    counts = await desk.counts()
    assert len(desk.channel.sent) == len(set(desk.channel.sent))
    assert sum(counts.values()) == 120
    assert counts.get("uncertain", 0) <= in_flight
    assert set(counts) <= {"sent", "held_out", "uncertain"}
    assert await desk.state() == ("finished", "")
    assert await check(store.database, ledger(desk)) == []


async def test_ten_deaths_in_one_run_are_no_worse(store: SqlStore) -> None:
    desk = await a_desk(store, 300, at=START)
    await desk.preparer.run_once()
    uncertain_at_most = 0
    for number in range(10):
        fault = dies_at(SENDING_POINTS[number % len(SENDING_POINTS)], 1)
        doomed, _ = desk.another(f"doomed-{number}", fault=fault, policy=BroadcastPolicy(most_claimed=10))
        with pytest.raises(Died):
            await doomed.run_once()
        uncertain_at_most += (await desk.counts()).get("sending", 0)
        desk.clock.advance(seconds=SEND_LEASE.total_seconds() + 1)
        after, _ = desk.another(f"after-{number}")
        await after._take_over()
        await after._flush()

    await taken_up(desk)

    counts = await desk.counts()
    assert sum(counts.values()) == 300
    assert counts.get("uncertain", 0) <= uncertain_at_most
    assert len(desk.channel.sent) == len(set(desk.channel.sent))
    assert await rules_broken(desk) == set()


async def a_run_that_is_over(store: SqlStore) -> Desk:
    desk = await a_desk(store, 20, at=START, holdout=0.2)
    await desk.preparer.run_once()
    await desk.sender.run_once()
    assert await rules_broken(desk) == set()
    return desk


@pytest.mark.parametrize(
    ("rule", "damage"),
    [
        ("counts of broadcasts add up", delete(broadcast_counts).where(broadcast_counts.c.state == "sent")),
        (
            "who is held out is left alone",
            update(broadcast_recipients).where(row.arm == "holdout").values(sent_at=START),
        ),
        ("what was sent is said", update(broadcast_recipients).where(row.state == "sent").values(message_id=None)),
        ("what was sent is said", update(broadcast_recipients).where(row.state == "sent").values(message_id=1)),
        ("every recipient's state is told", update(broadcast_recipients).where(row.id == 1).values(state="failed")),
        ("recipients name what is there", update(broadcast_recipients).where(row.id == 1).values(customer_id=4711)),
        ("a finished broadcast is over", update(broadcast_recipients).where(row.id == 1).values(state="pending")),
    ],
)
async def test_the_checker_names_a_promise_broken_by_hand(store: SqlStore, rule: str, damage: Executable) -> None:
    desk = await a_run_that_is_over(store)

    await store.database.run(lambda conn: conn.execute(damage), checked=False)

    assert rule in await rules_broken(desk)


async def test_the_checker_sees_in_the_ledger_who_got_it_twice_and_who_never_did(store: SqlStore) -> None:
    desk = await a_run_that_is_over(store)
    chat, text = desk.channel.sent[0]

    desk.channel.sent[1] = (chat, text)

    assert await rules_broken(desk) == {"nobody is sent a broadcast twice", "sent means delivered"}


async def test_the_checker_sees_in_the_ledger_that_somebody_held_out_was_sent_to(store: SqlStore) -> None:
    desk = await a_run_that_is_over(store)
    got = {chat for chat, _ in desk.channel.sent}
    held = next(str(10_000_000 + n) for n in range(1, 21) if str(10_000_000 + n) not in got)

    desk.channel.sent.append((held, "Hello Kim"))

    assert "no send unknown to the store" in await rules_broken(desk)


async def test_code_that_tries_the_uncertain_again_is_found_out(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = await a_desk(store, 30, at=START)
    await desk.preparer.run_once()
    doomed, _ = desk.another("doomed", fault=dies_at("broadcast.before_finish", 1))
    with pytest.raises(Died):
        await doomed.run_once()

    def all_again(conn: Any, sender: str, direct: Any, limit: int, now: Any) -> Any:
        return recipient_claims.take_over(conn, sender, ("telegram",), limit, now)

    monkeypatch.setattr("frontdesk.broadcasting.take_over", all_again)
    await taken_up(desk)

    assert "nobody is sent a broadcast twice" in await rules_broken(desk)


async def test_code_that_counts_an_ending_twice_is_found_out(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = await a_desk(store, 5, at=START)
    await desk.preparer.run_once()
    moved = recipient_claims.moved

    def twice(*args: Any) -> None:
        moved(*args)
        moved(*args)

    monkeypatch.setattr("crm_sync.recipient_endings.moved", twice)
    await desk.sender.run_once()

    assert "counts of broadcasts add up" in {found.rule for found in await check(store.database)}


async def test_a_death_while_recipients_are_written_down_leaves_whole_chunks(store: SqlStore) -> None:
    desk = await a_desk(store, 50, at=START)
    desk.preparer._fault = dies_at("broadcast.after_chunk", 1)

    with pytest.raises(Died):
        await desk.preparer.run_once()
    _, other = desk.another("sender-2")
    await other.run_once()

    assert await desk.counts() == {"pending": 50}
    assert (await desk.state())[0] == "running"
