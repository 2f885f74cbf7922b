"""Handing out recipients, storing how sends ended, and taking over from the dead; on both databases."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from bot.errors import RuleError
from bot.types import OutPart
from crm_sync.broadcast_tables import broadcast_recipients, contact_wishes, vendor_quotas
from crm_sync.eligibility import SendRules
from crm_sync.recipient_claims import SEND_LEASE, Asked, Handed, decide, release_dead, skip_pending, take_over
from crm_sync.recipient_endings import Ending, finish
from crm_sync.recipient_zones import zones_changed
from crm_sync.store import SqlStore
from crm_sync.tables import consents, conversations, customers, identities, messages
from tests.recipient_steps import a_broadcast, asked, claimed, in_states, prepared, set_state
from tests.store_steps import START, replies_waiting

PART = OutPart("Half price until Sunday")
NOBODY = frozenset[str]()


async def running(store: SqlStore, people: int, **more: Any) -> Any:
    occasion = await a_broadcast(store.database, people, START, **{"holdout": 0.0, **more})
    await prepared(store.database, occasion, START)
    return occasion


def sent(handed: Handed, **more: Any) -> Ending:
    given = {"part": PART, "language": "en", "vendor_message_id": f"v{handed.id}", **more}
    return Ending(
        handed.id, handed.attempt, more.pop("state", "sent"), **{k: v for k, v in given.items() if k != "state"}
    )


async def ended(store: SqlStore, *endings: Ending, direct: frozenset[str] = NOBODY) -> list[Any]:
    return await store.database.run(partial(finish, endings=endings, direct=direct, now=START))


async def recipient(store: SqlStore, key: int) -> Any:
    one = select(broadcast_recipients).where(broadcast_recipients.c.id == key)
    return await store.database.run(lambda conn: conn.execute(one).one(), read=True)


async def said(store: SqlStore) -> list[Any]:
    every = select(messages).where(messages.c.template.like("broadcast:%")).order_by(messages.c.id)
    return list(await store.database.run(lambda conn: conn.execute(every).all(), read=True))


async def test_two_senders_never_get_the_same_recipient(store: SqlStore) -> None:
    occasion = await running(store, 30)

    first = await claimed(store.database, asked(occasion), START, 20)
    second = await claimed(store.database, asked(occasion), START, 20, sender="sender-2")

    ids = [handed.id for handed in (*first.handed, *second.handed)]
    assert len(ids) == len(set(ids)) == 30
    assert await in_states(store.database, occasion.broadcast_id) == {"sending": 30}


async def test_what_was_sent_is_a_message_of_the_conversation(store: SqlStore) -> None:
    occasion = await running(store, 1)
    (handed,) = (await claimed(store.database, asked(occasion), START)).handed

    await ended(store, sent(handed))
    await ended(store, sent(handed))  # told twice

    row = await recipient(store, handed.id)
    (message,) = await said(store)
    assert (row.state, row.sent_at, row.message_id) == ("sent", START, message.id)
    assert (message.text, message.template, message.conversation_id) == (PART.text, "broadcast:spring", 1)
    assert (message.direction, message.author, message.seq) == ("out", "bot", None)
    assert await in_states(store.database, occasion.broadcast_id) == {"sent": 1}


async def test_on_the_web_sending_gives_the_next_place_in_the_sequence(store: SqlStore) -> None:
    occasion = await running(store, 1)
    (handed,) = (await claimed(store.database, asked(occasion), START)).handed
    await store.database.run(lambda conn: conn.execute(update(conversations).values(web_seq=4)))

    (visible,) = await ended(store, sent(handed), direct=frozenset({"telegram"}))

    (message,) = await said(store)
    assert (message.seq, visible.event["seq"], visible.conversation_id) == (5, 5, handed.conversation_id)


@pytest.mark.parametrize("state", ["paused", "stopped", "cancelled", "finished"])
async def test_nothing_is_handed_out_unless_it_runs(store: SqlStore, state: str) -> None:
    occasion = await running(store, 3)
    await set_state(store.database, occasion.broadcast_id, state)

    claim = await claimed(store.database, asked(occasion), START)

    assert (claim.handed, claim.is_running) == ((), False)


async def test_whoever_took_their_consent_back_since_is_skipped(store: SqlStore) -> None:
    occasion = await running(store, 3)
    gone = update(consents).where(consents.c.customer_id == 2).values(granted=False)
    await store.database.run(lambda conn: conn.execute(gone))

    claim = await claimed(store.database, asked(occasion), START)

    assert [handed.customer_id for handed in claim.handed] == [1, 3]
    assert await in_states(store.database, occasion.broadcast_id) == {"sending": 2, "skipped": 1}


async def test_a_conversation_with_replies_on_their_way_waits(store: SqlStore) -> None:
    await replies_waiting(store, [5], 1, account="bench")
    (talk,) = await store.database.run(lambda conn: conn.execute(select(conversations)).all(), read=True)
    agreed = {"customer_id": talk.customer_id, "purpose": "promotion", "channel": "telegram", "source": "form"}
    await store.database.run(lambda conn: conn.execute(insert(consents).values(**agreed, granted=True, at=START)))
    occasion = await running(store, 0)

    claim = await claimed(store.database, asked(occasion), START)
    row = await recipient(store, 1)

    assert (claim.handed, claim.looked_at) == ((), 1)
    assert (row.state, row.not_before > START) == ("pending", True)


async def test_quiet_hours_that_began_since_make_them_wait(store: SqlStore) -> None:
    morning = START + timedelta(hours=9)
    occasion = await running(store, 2, not_before=lambda zone, quiet: morning if quiet else START)
    wish = {"customer_id": 2, "quiet_from": "08:00", "quiet_until": "18:00", "updated_at": START}
    await store.database.run(lambda conn: conn.execute(insert(contact_wishes).values(**wish)))

    first = await claimed(store.database, asked(occasion), START)
    second = await claimed(store.database, asked(occasion), START)

    assert [handed.customer_id for handed in first.handed] == [1]
    assert second.looked_at == 0


async def test_a_dead_senders_recipients_are_taken_over_and_never_due_again(store: SqlStore) -> None:
    occasion = await running(store, 2)
    await claimed(store.database, asked(occasion), START)
    take = partial(take_over, sender="sender-2", direct=(), limit=10)

    early = await store.database.run(partial(take, now=START))
    left = await store.database.run(partial(take, now=START + SEND_LEASE))
    await ended(store, *(Ending(one.id, one.attempt, "uncertain", "lost", part=PART) for one in left))

    assert early == []
    assert [(one.is_left, one.attempt) for one in left] == [(True, 1), (True, 1)]
    assert await in_states(store.database, occasion.broadcast_id) == {"uncertain": 2}
    assert (await claimed(store.database, asked(occasion), START + timedelta(days=1))).handed == ()
    assert len(await said(store)) == 2


async def test_an_answer_that_comes_after_all_settles_what_was_uncertain(store: SqlStore) -> None:
    occasion = await running(store, 1)
    (handed,) = (await claimed(store.database, asked(occasion), START)).handed
    await ended(store, Ending(handed.id, 1, "uncertain", "lost", part=PART))

    await ended(store, sent(handed))

    assert await in_states(store.database, occasion.broadcast_id) == {"sent": 1}
    assert len(await said(store)) == 1


async def test_an_earlier_attempts_answer_ends_no_later_attempt(store: SqlStore) -> None:
    occasion = await running(store, 1)
    (first,) = (await claimed(store.database, asked(occasion), START)).handed
    await ended(store, Ending(first.id, 1, "pending"))
    (second,) = (await claimed(store.database, asked(occasion), START)).handed

    await ended(store, sent(first, state="failed"))

    assert second.attempt == 2
    assert (await recipient(store, first.id)).state == "sending"


async def test_where_sending_is_storing_a_death_leaves_nothing_uncertain(store: SqlStore) -> None:
    occasion = await running(store, 1)
    await claimed(store.database, asked(occasion), START)
    freed = await store.database.run(partial(release_dead, now=START))

    left = await store.database.run(partial(take_over, sender="s", direct=("telegram",), limit=10, now=START))

    assert (freed, left) == (1, [])
    assert await in_states(store.database, occasion.broadcast_id) == {"pending": 1}


async def test_a_person_decides_what_becomes_of_uncertain_sends(store: SqlStore) -> None:
    occasion = await running(store, 2)
    one, two = (await claimed(store.database, asked(occasion), START)).handed
    await ended(store, *(Ending(each.id, 1, "uncertain", "lost", part=PART) for each in (one, two)))
    by_person = partial(decide, broadcast_id=occasion.broadcast_id, now=START)

    await store.database.run(partial(by_person, ids=[one.id], again=False))
    await store.database.run(partial(by_person, ids=None, again=True))

    assert await in_states(store.database, occasion.broadcast_id) == {"failed": 1, "pending": 1}
    with pytest.raises(RuleError, match="only an uncertain send"):
        await store.database.run(partial(by_person, ids=[one.id], again=True))


async def test_a_cancelled_broadcasts_rest_is_skipped_bit_by_bit(store: SqlStore) -> None:
    occasion = await running(store, 5)
    skip = partial(skip_pending, broadcast_id=occasion.broadcast_id, reason="cancelled", limit=3)

    assert [await store.database.run(skip) for _ in range(3)] == [3, 2, 0]
    assert await in_states(store.database, occasion.broadcast_id) == {"skipped": 5}


async def test_whoever_blocked_us_is_unreachable_and_quotas_are_counted(store: SqlStore) -> None:
    occasion = await running(store, 2)
    one, two = (await claimed(store.database, asked(occasion), START)).handed
    quota = {"quota": ("mass", "2026-11")}

    await ended(
        store, sent(one, **quota), Ending(two.id, 1, "failed", "blocked", unreachable="bot was blocked", **quota)
    )

    them = select(identities.c.id).where(identities.c.unreachable_reason == "bot was blocked")
    assert await store.database.run(lambda conn: conn.execute(them).scalars().all(), read=True) == [two.identity_id]
    used = select(vendor_quotas.c.kind, vendor_quotas.c.period, vendor_quotas.c.used)
    assert await store.database.run(lambda conn: conn.execute(used).all(), read=True) == [("mass", "2026-11", 1)]


async def test_a_cap_counts_what_is_on_its_way(store: SqlStore) -> None:
    rules = SendRules("promotion", ("telegram",), cap=(1, 7))
    first = await running(store, 1)
    second = await a_broadcast(store.database, 0, START, broadcast="second", rules=rules, holdout=0.0)
    await prepared(store.database, second, START)

    await claimed(store.database, asked(first), START)
    claim = await claimed(store.database, asked(second), START)

    assert claim.handed == ()
    assert await in_states(store.database, second.broadcast_id) == {"skipped": 1}


async def test_whoever_moves_to_another_zone_gets_it_at_the_hour_of_that_one(store: SqlStore) -> None:
    hours = {"": START + timedelta(hours=4), "Asia/Tokyo": START + timedelta(hours=3)}
    plan = {"plan": {"at": "2026-11-22 10:00", "in_each_zone": True}}

    def hour(zone: str, quiet: Any) -> Any:
        return hours.get(zone, START + timedelta(hours=9))

    occasion = await a_broadcast(store.database, 3, START, holdout=0.0, not_before=hour, document=plan)
    await prepared(store.database, occasion, START)
    ask = Asked(
        occasion.broadcast_id,
        occasion.rules,
        lambda now, zone, quiet: now,
        planned=lambda name, step, zone, quiet: hour(zone, quiet),
    )

    def move(conn: Any) -> None:
        for who, zone in ((1, "Asia/Tokyo"), (2, "Europe/Lisbon")):
            conn.execute(update(customers).where(customers.c.id == who).values(timezone=zone))
        zones_changed(conn, [1, 2], START)

    await store.database.run(move)
    soon = await claimed(store.database, ask, START)
    east = await claimed(store.database, ask, START + timedelta(hours=3))
    usual = await claimed(store.database, ask, START + timedelta(hours=4))
    west = await claimed(store.database, ask, START + timedelta(hours=9))

    assert [soon.looked_at, soon.handed] == [2, ()]
    assert [[one.customer_id for one in each.handed] for each in (east, usual, west)] == [[1], [3], [2]]
