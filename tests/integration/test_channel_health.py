"""Accounts that stopped working are found: in the store, in the log once, by the doctor."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import structlog
from prometheus_client import REGISTRY

from crm_sync import channel_health
from crm_sync.channel_health import AccountState
from crm_sync.store import SqlStore
from frontdesk.channel_health import ChannelWatch
from frontdesk.doctor import _ago, _traffic
from tests.store_steps import START, SetClock


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
async def desk(store_url: str, clock: SetClock) -> AsyncIterator[SqlStore]:
    opened = await SqlStore.open(store_url, clock=clock)
    yield opened
    await opened.close()


async def _state(desk: SqlStore) -> AccountState:
    (state,) = await channel_health.states(desk.database)
    return state


async def test_the_newest_times_of_all_processes_are_kept(desk: SqlStore, clock: SetClock) -> None:
    web, sender = ChannelWatch(desk, clock), ChannelWatch(desk, clock)
    web.received("telegram", "main")
    clock.advance(seconds=10)
    sender.sent("telegram", "main")

    await sender.tell()
    await web.tell()

    assert await _state(desk) == AccountState("telegram", "main", START, START + timedelta(seconds=10))


async def test_a_failure_keeps_its_beginning_and_ends_with_a_success(desk: SqlStore, clock: SetClock) -> None:
    watch, other = ChannelWatch(desk, clock), ChannelWatch(desk, clock)
    watch.failed("telegram", "main", "the token is refused")
    await watch.tell()
    clock.advance(seconds=30)
    other.failed("telegram", "main", "no connection")
    await other.tell()
    state = await _state(desk)
    assert (state.failing_since, state.reason) == (START, "no connection")

    other.answered("telegram", "main")
    await other.tell()

    state = await _state(desk)
    assert (state.failing_since, state.reason, state.last_outbound_at) == (None, "", None)


async def test_a_poller_that_is_refused_stays_known_although_sending_goes_well(desk: SqlStore, clock: SetClock) -> None:
    web, sender = ChannelWatch(desk, clock), ChannelWatch(desk, clock)
    web.failed("telegram", "main", "the token is refused", receiving=True)
    web.sent("telegram", "main")  # both in one process
    await web.tell()
    clock.advance(seconds=10)
    sender.sent("telegram", "main")  # and in another
    await sender.tell()

    state = await _state(desk)
    assert (state.failing_since, state.reason) == (START, "receiving: the token is refused")
    assert state.last_outbound_at == START + timedelta(seconds=10)

    web.answered("telegram", "main", receiving=True)
    await web.tell()
    assert (await _state(desk)).failing_since is None


async def test_a_sender_that_is_refused_stays_known_although_polling_goes_well(desk: SqlStore, clock: SetClock) -> None:
    web, sender = ChannelWatch(desk, clock), ChannelWatch(desk, clock)
    sender.failed("telegram", "main", "no connection")
    await sender.tell()
    web.answered("telegram", "main", receiving=True)
    await web.tell()

    state = await _state(desk)
    assert (state.failing_since, state.reason) == (START, "no connection")


async def test_an_account_that_can_only_not_receive_is_said_to_be_dead_once(desk: SqlStore, clock: SetClock) -> None:
    watch = ChannelWatch(desk, clock)
    watch.failed("kf", "main", "no connection", receiving=True)
    with structlog.testing.capture_logs() as lines:
        for _ in range(8):
            watch.sent("kf", "main")
            await watch.tell()
            clock.advance(minutes=1)
        watch.answered("kf", "main", receiving=True)

    assert [(line["event"], line["receiving"]) for line in lines] == [
        ("channel_dead", True),
        ("channel_alive_again", True),
    ]
    assert REGISTRY.get_sample_value("frontdesk_channel_failing_seconds", {"channel": "kf", "account": "main"}) == 420


async def test_what_was_told_is_not_told_again(desk: SqlStore, clock: SetClock) -> None:
    watch = ChannelWatch(desk, clock)
    watch.received("telegram", "main")
    await watch.tell()
    await channel_health.note(
        desk.database, [channel_health.AccountNote("telegram", "main", works=False, failing_since=START)], START
    )

    await watch.tell()

    assert (await _state(desk)).failing_since == START


async def test_the_log_says_once_that_an_account_is_dead_and_that_it_lives_again(
    desk: SqlStore, clock: SetClock
) -> None:
    watch = ChannelWatch(desk, clock)
    watch.failed("telegram", "main", "the token is refused")
    with structlog.testing.capture_logs() as lines:
        for _ in range(8):
            await watch.tell()
            clock.advance(minutes=1)
        failing = REGISTRY.get_sample_value(
            "frontdesk_channel_failing_seconds", {"channel": "telegram", "account": "main"}
        )
        watch.sent("telegram", "main")
        await watch.tell()

    assert [(line["event"], line["log_level"]) for line in lines] == [
        ("channel_dead", "error"),
        ("channel_alive_again", "info"),
    ]
    assert failing == 7 * 60


async def test_what_the_store_did_not_take_is_told_later(sqlite_url: str, clock: SetClock) -> None:
    closed = await SqlStore.open(sqlite_url, clock=clock)
    watch = ChannelWatch(closed, clock)
    watch.received("telegram", "main")
    await closed.close()
    await watch.tell()
    reopened = await SqlStore.open(sqlite_url, clock=clock)
    watch._store = reopened

    await watch.tell()

    assert (await _state(reopened)).last_inbound_at == START
    await reopened.close()


def test_the_doctor_says_what_repairs_a_dead_account() -> None:
    now = datetime.now(UTC)
    good = _traffic(AccountState("telegram", "main", now - timedelta(minutes=3)))
    dead = _traffic(AccountState("telegram", "main", None, None, now - timedelta(minutes=6), "the token is refused"))
    new = _traffic(AccountState("telegram", "main", now, now, now - timedelta(minutes=1), "no connection"))

    assert (good.is_broken, good.finding) == (False, "last received 3 min ago, last sent never")
    assert (dead.is_broken, dead.finding) == (
        True,
        "last received never, last sent never, failing since 6 min ago: the token is refused",
    )
    assert dead.repair
    assert not new.is_broken


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s ago"), (-5, "0 s ago"), (60, "1 min ago"), (7200, "2 h ago"), (200_000, "2 d ago")]
)
def test_times_are_told_in_the_largest_unit(seconds: float, words: str) -> None:
    now = datetime.now(UTC)

    assert _ago(now - timedelta(seconds=seconds), now) == words
