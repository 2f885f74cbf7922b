"""Mass sends: one call for many under a key, repeated only under that key, reconciled by the vendor's report."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from bot.errors import Misconfigured, NotFound, RateLimited, RuleError, SendRefused, ServiceUnavailable
from bot.types import OutPart
from channels.base import MassWay, SendQuota
from crm_sync import broadcasts as rows
from crm_sync.broadcast_tables import broadcast_recipients, broadcasts, vendor_quotas
from crm_sync.recipient_batches import reconcile
from crm_sync.recipient_claims import SEND_LEASE
from crm_sync.store import SqlStore
from crm_sync.tables import consents
from desk.actors import Actor
from desk.broadcast_uncertain import UncertainSends
from frontdesk.broadcasting import BroadcastPolicy
from tests.broadcast_under_test import Desk, RememberingChannel, a_desk
from tests.channel_doubles import NoSignals
from tests.store_steps import AUDIT_KEYS, START

CONTENT: dict[str, Any] = {"variants": [{"name": "a", "kind": "mass", "text": {"en": "Half price"}}], "fallbacks": {}}
A_MONTH = SendQuota("mass", 4, "month", of="person")


@dataclass
class MassChannel(RememberingChannel):
    """Sends to many; `failures` are raised first, though those of which it says so have left.

    By tag whoever was gathered gets it, whatever list is given with the send. `strangers` it takes for nobody.
    """

    mass_ways: tuple[MassWay, ...] = (MassWay("list", 2, 10_000), MassWay("tag", 1, 50_000))
    mass_quota: SendQuota = A_MONTH
    by_key: dict[str, list[str]] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)
    tagged: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    strangers: set[str] = field(default_factory=set)
    on_gather: Callable[[], Awaitable[None]] | None = None

    async def gather(self, recipients: Sequence[str], key: str, way: str) -> set[str]:
        if way == "tag":
            self.tagged[key] |= set(recipients) - self.strangers
        if self.on_gather is not None:
            await self.on_gather()
        return set(recipients) & self.strangers

    async def leave_out(self, recipients: Sequence[str], key: str, way: str) -> None:
        self.tagged[key] -= set(recipients)

    async def send_to_many(self, recipients: Sequence[str], part: OutPart, key: str, way: str) -> str:
        recipients = sorted(self.tagged[key]) if way == "tag" else recipients
        self.keys.append(key)
        failure = self.failures.pop(0) if self.failures else None
        if failure is None or getattr(failure, "happened", "no") == "unknown":
            self.by_key.setdefault(key, list(recipients))  # the vendor knows the key: a repeat does nothing
        if failure is not None:
            raise failure
        return f"m{list(self.by_key).index(key) + 1}"

    @property
    def got(self) -> list[str]:
        return [openid for openids in self.by_key.values() for openid in openids]


@pytest.fixture
async def store(sqlite_url: str) -> AsyncIterator[SqlStore]:
    opened = await SqlStore.open(sqlite_url, audit_keys=AUDIT_KEYS)
    yield opened
    await opened.close()


async def mass_desk(store: SqlStore, people: int, *failures: Exception, by: str = "") -> tuple[Desk, MassChannel]:
    content = deepcopy(CONTENT)
    content["variants"][0]["by"] = by
    desk = await a_desk(store, people, at=START, content=content)
    desk.channel = channel = MassChannel(failures=list(failures))
    desk.sender, desk.preparer = desk.another("sender-1")
    await desk.preparer.run_once()
    return desk, channel


async def sent(desk: Desk) -> None:
    """What one pass of the loops does."""
    await desk.sender._watch_states()
    await desk.sender._claim(("telegram", "bench"))
    await desk.sender._take_over()
    await desk.sender._flush()
    await desk.sender._look_after()


async def test_everybody_gets_it_with_one_call_and_the_quota_is_counted(store: SqlStore) -> None:
    desk, channel = await mass_desk(store, 30)

    await sent(desk)

    assert (len(channel.keys), len(channel.got), len(set(channel.got))) == (1, 30, 30)
    assert await desk.counts() == {"sent": 30}
    used = select(vendor_quotas.c.kind, vendor_quotas.c.period, vendor_quotas.c.used)
    assert await store.database.run(lambda conn: conn.execute(used).all(), read=True) == [("mass", "2026-11", 30)]


async def test_a_call_without_an_answer_is_repeated_under_the_same_key(store: SqlStore) -> None:
    desk, channel = await mass_desk(store, 5, ServiceUnavailable("wechat", "no answer", happened="unknown"))
    await sent(desk)
    open_now = await desk.counts()
    desk.clock.advance(seconds=SEND_LEASE.total_seconds() + 1)

    await sent(desk)

    assert open_now == {"sending": 5}
    assert len(set(channel.keys)) == 1
    assert len(channel.keys) == 2
    assert len(channel.got) == 5
    assert await desk.counts() == {"sent": 5}


async def test_a_quota_that_is_used_up_is_known_and_the_rest_waits(store: SqlStore) -> None:
    desk, channel = await mass_desk(store, 5, RateLimited("wechat", retry_after_s=3600, is_quota=True))

    await sent(desk)

    assert await desk.counts() == {"pending": 5}
    known = select(vendor_quotas.c.kind, vendor_quotas.c.period, vendor_quotas.c.is_known_used_up)
    assert await store.database.run(lambda conn: conn.execute(known).all(), read=True) == [("mass", "2026-11", True)]
    desk.clock.advance(seconds=3601)
    await sent(desk)
    assert len(channel.got) == 5


async def test_a_repeat_that_is_put_off_waits_with_its_key(store: SqlStore) -> None:
    lost = ServiceUnavailable("wechat", "no answer", happened="unknown")
    desk, channel = await mass_desk(store, 5, lost, RateLimited("wechat", retry_after_s=60))
    for _ in range(3):
        await sent(desk)
        desk.clock.advance(seconds=SEND_LEASE.total_seconds() + 1)

    assert len(set(channel.keys)) == 1
    assert await desk.counts() == {"sent": 5}


async def test_after_a_day_nobody_knows_and_nothing_is_repeated(store: SqlStore) -> None:
    desk, channel = await mass_desk(store, 5, ServiceUnavailable("wechat", "no answer", happened="unknown"))
    await sent(desk)
    desk.clock.advance(days=1)

    await sent(desk)

    assert len(channel.keys) == 1
    assert await desk.counts() == {"uncertain": 5}


@pytest.mark.parametrize(
    ("failure", "state"),
    [
        (SendRefused("wechat", "45028"), {"failed": 5}),
        (RateLimited("wechat", retry_after_s=60), {"pending": 5}),
        (Misconfigured("wechat", "api unauthorized"), {"pending": 5}),
    ],
)
async def test_a_refusal_sends_to_nobody(store: SqlStore, failure: Exception, state: dict[str, int]) -> None:
    desk, channel = await mass_desk(store, 5, failure)

    await sent(desk)

    assert channel.got == []
    assert await desk.counts() == state
    if isinstance(failure, Misconfigured):
        assert (await desk.state())[0] == "paused"


async def test_one_follower_is_too_few(store: SqlStore) -> None:
    desk, channel = await mass_desk(store, 1)

    await sent(desk)

    assert channel.keys == []
    assert await desk.counts() == {"failed": 1}


@pytest.mark.parametrize(
    ("told", "state", "delivered"),
    [
        ({"status": "send success", "total": 5, "filtered": 5, "sent": 5, "failed": 0}, {"sent": 5}, 5),
        ({"status": "send success", "total": 5, "filtered": 4, "sent": 4, "failed": 0}, {"sent": 5}, 0),
        ({"status": "err(30003)", "total": 5, "filtered": 0, "sent": 0, "failed": 5}, {"failed": 5}, 0),
    ],
)
async def test_the_vendors_report_is_kept_and_believed(
    store: SqlStore, told: dict[str, Any], state: dict[str, int], delivered: int
) -> None:
    desk, _ = await mass_desk(store, 5)
    await sent(desk)
    report = {"vendor_message_id": "m1", **told}

    await store.database.run(partial(reconcile, channel="telegram", account="bench", told=report, now=START))

    kept = await store.database.run(lambda conn: conn.execute(select(broadcasts.c.events_through)).scalar_one())
    row = broadcast_recipients.c
    arrived = select(row.id).where(row.delivered_at.is_not(None))
    assert kept["mass"] == {"m1": told}
    assert await desk.counts() == state
    assert len(await store.database.run(lambda conn: conn.execute(arrived).all(), read=True)) == delivered


async def test_a_person_decides_at_the_desk_and_a_finished_run_goes_on(store: SqlStore) -> None:
    desk = await a_desk(store, 2, at=START)
    desk.channel.answers = {
        str(10_000_000 + n): ServiceUnavailable("telegram", "no answer", happened="unknown") for n in (1, 2)
    }
    await desk.preparer.run_once()
    await desk.sender.run_once()
    await store.database.run(lambda conn: conn.execute(update(broadcasts).values(state="finished")))
    desk.channel.answers.clear()
    mia, uncertain = Actor("mia", "marketer"), UncertainSends(store.database, NoSignals(), desk.clock)

    first, second = await uncertain.find(mia, "spring")
    assert await uncertain.mark_failed(mia, "spring", [first.id]) == 1
    assert await uncertain.send_again(mia, "spring", [second.id]) == 1
    await desk.sender.run_once()

    assert await desk.counts() == {"failed": 1, "sent": 1}
    with pytest.raises(NotFound):
        await uncertain.mark_failed(mia, "spring", [999])
    with pytest.raises(RuleError, match="only an uncertain send"):
        await uncertain.send_again(mia, "spring", [second.id])


# --- by tag -----------------------------------------------------------------------------------------------------------


def withdraws(store: SqlStore, customer_id: int) -> Callable[[], Awaitable[None]]:
    """Somebody takes back what they agreed to."""
    said = {"customer_id": customer_id, "purpose": "*", "channel": "*", "source": "chat", "granted": False, "at": START}

    async def done() -> None:
        await store.database.run(lambda conn: conn.execute(insert(consents).values(**said)) and None)

    return done


async def test_by_tag_exactly_those_who_agree_are_marked_and_whom_the_vendor_does_not_know_failed(
    store: SqlStore,
) -> None:
    desk, channel = await mass_desk(store, 6, by="tag")
    channel.strangers, channel.on_gather = {"10000002"}, withdraws(store, 5)

    await sent(desk)

    assert sorted(channel.got) == ["10000001", "10000003", "10000004", "10000006"]
    assert await desk.counts() == {"sent": 4, "failed": 1, "skipped": 1}


async def test_one_follower_is_enough_for_a_tag(store: SqlStore) -> None:
    desk, channel = await mass_desk(store, 1, by="tag")
    await sent(desk)
    assert channel.got == ["10000001"]


async def test_a_pause_while_they_are_marked_sends_to_nobody_and_leaves_them_due(store: SqlStore) -> None:
    desk, channel = await mass_desk(store, 5, by="tag")

    async def paused() -> None:
        await store.database.run(partial(rows.pause, name="spring", by="mia", now=START))
        await desk.sender._watch_states()

    channel.on_gather = paused
    await sent(desk)

    assert channel.keys == []
    assert await desk.counts() == {"pending": 5}


async def test_a_vendor_that_does_not_answer_while_they_are_marked_has_sent_nothing(store: SqlStore) -> None:
    desk, channel = await mass_desk(store, 5, by="tag")

    async def lost() -> None:
        raise ServiceUnavailable("wechat", "no answer", happened="unknown")

    channel.on_gather = lost
    await sent(desk)

    assert channel.keys == []
    assert await desk.counts() == {"pending": 5}


async def test_an_account_that_has_not_this_way_pauses_the_broadcast(store: SqlStore) -> None:
    desk, channel = await mass_desk(store, 5, by="list")
    channel.mass_ways = (MassWay("tag", 1, 50_000),)

    await sent(desk)

    assert channel.keys == []
    assert await desk.state() == ("paused", "telegram/bench cannot send: this account has no mass send by list")


# --- what a dead sender left ------------------------------------------------------------------------------------------


async def unanswered(store: SqlStore, **how: str) -> tuple[Desk, MassChannel]:
    """Nobody knows whether the mass send to five left, and the lease is over."""
    desk, channel = await mass_desk(store, 5, ServiceUnavailable("wechat", "no answer", happened="unknown"), **how)
    await sent(desk)
    desk.clock.advance(seconds=SEND_LEASE.total_seconds() + 1)
    return desk, channel


async def test_a_repeat_leaves_out_whoever_takes_consent_back_and_they_stay_uncertain(store: SqlStore) -> None:
    desk, channel = await unanswered(store, by="tag")
    await withdraws(store, 3)()

    await sent(desk)

    assert channel.tagged[channel.keys[0]] == {f"1000000{n}" for n in (1, 2, 4, 5)}
    assert await desk.counts() == {"sent": 4, "uncertain": 1}


async def test_nothing_of_a_cancelled_one_is_repeated(store: SqlStore) -> None:
    desk, channel = await unanswered(store)
    await store.database.run(partial(rows.cancel, name="spring", by="mia", now=START))

    await sent(desk)

    assert len(channel.keys) == 1
    assert await desk.counts() == {"uncertain": 5}


async def test_a_repeat_waits_while_it_is_paused(store: SqlStore) -> None:
    desk, channel = await unanswered(store)
    await store.database.run(partial(rows.pause, name="spring", by="mia", now=START))
    await sent(desk)
    calls = len(channel.keys)
    await store.database.run(partial(rows.resume, name="spring", now=START))
    desk.clock.advance(seconds=SEND_LEASE.total_seconds() + 1)
    await sent(desk)

    assert calls == 1
    assert await desk.counts() == {"sent": 5}


# --- the report -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "state", "delivered"), [("send success", "sent", 5), ("err(30003)", "failed", 0)])
async def test_a_report_that_comes_before_we_know_the_vendors_id_holds_once_we_do(
    store: SqlStore, status: str, state: str, delivered: int
) -> None:
    desk, channel = await mass_desk(store, 5)
    told = {"vendor_message_id": "m1", "status": status, "total": 5, "filtered": 5, "sent": 5, "failed": 0}
    report = partial(reconcile, channel="telegram", account="bench", told=told, now=START)

    async def early() -> None:
        await store.database.run(report)

    channel.on_gather = early  # the recipients are on their way, and no answer is stored
    desk.sender, _ = desk.another("sender-1", policy=BroadcastPolicy(most_stored=2))  # stored bit by bit
    await sent(desk)

    row = broadcast_recipients.c
    arrived = select(row.id).where(row.delivered_at.is_not(None))
    assert await desk.counts() == {state: 5}
    assert len(await store.database.run(lambda conn: conn.execute(arrived).all(), read=True)) == delivered
