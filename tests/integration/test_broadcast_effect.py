"""What broadcasts brought, and what people did after one."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select, update

from bot.types import BroadcastSent
from crm_sync import broadcast_answers, coupons
from crm_sync.broadcast_tables import broadcast_recipients, broadcasts
from crm_sync.broadcast_talk import last_sent
from crm_sync.service_tables import visits
from crm_sync.store import SqlStore
from crm_sync.tables import cases, consents, conversations, identities, messages, orders
from desk.actors import Actor
from desk.broadcast_results import COLUMNS, ResultDesk
from tests.broadcast_steps import DOCUMENT, MIA, agreed
from tests.store_steps import START, SetClock

ANALYST = Actor("ana", "analyst")


async def _sent(store: SqlStore, arms: str, **values: Any) -> list[int]:
    """A broadcast to one person for each letter, "h" for those held out; the people."""
    who = await agreed(store, len(arms))
    base = {"state": "finished", "document": {**DOCUMENT, **values}, "seed": 1, "created_at": START}

    def unit(conn: Connection) -> None:
        row = {**base, "updated_at": START, "started_at": START, "ended_at": START}
        made = conn.execute(insert(broadcasts).values(name="winter", **row)).inserted_primary_key
        assert made is not None
        talks = dict(
            conn.execute(
                select(conversations.c.customer_id, conversations.c.id).where(conversations.c.customer_id.in_(who))
            ).all()
        )
        for person, arm in zip(who, arms, strict=True):
            is_held_out = arm == "h"
            conn.execute(
                insert(broadcast_recipients).values(
                    broadcast_id=made[0],
                    customer_id=person,
                    conversation_id=talks[person],
                    channel="telegram",
                    account="main",
                    arm="holdout" if is_held_out else arm,
                    stratum="A",
                    state="held_out" if is_held_out else "sent",
                    not_before=START,
                    sent_at=None if is_held_out else START,
                )
            )

    await store.database.run(unit)
    return who


async def _do(store: SqlStore, *statements: Any) -> None:
    await store.database.run(lambda conn: [conn.execute(statement) for statement in statements] and None)


def _order(customer: int, number: str, *, hours: float = 1, amount: int = 1000, currency: str = "CNY") -> Any:
    at = START + timedelta(hours=hours)
    row = {"number": number, "customer_id": customer, "status": "paid", "placed_at": at, "updated_at": at}
    return insert(orders).values(**row, amount_minor=amount, currency=currency)


def _desk(store: SqlStore, clock: SetClock | None = None) -> ResultDesk:
    return ResultDesk(store.database, clock or SetClock(START + timedelta(days=15)), lambda: UTC)


async def test_what_they_bought_is_compared_with_those_held_out(store: SqlStore) -> None:
    who = await _sent(store, "aaahhh", effect={"currency": "CNY", "cost_minor": 5})
    visit = insert(visits).values(customer_id=who[0], at=START + timedelta(days=1), amount_minor=50, currency="CNY")
    await _do(
        store,
        _order(who[0], "1"),
        visit,
        _order(who[1], "2", currency="USD"),
        _order(who[2], "3", hours=24 * 15),  # too late
        _order(who[3], "4", hours=-1),  # before
        _order(who[4], "5", amount=200),
    )
    results = await _desk(store).results(MIA, "winter")
    whole, control = results.whole.sums, results.held_out
    assert (whole.people, whole.successes, whole.amount, whole.sent) == (3, 2, 1050, 3)
    assert (control.people, control.successes, control.amount) == (3, 1, 200)
    assert (results.cost_minor, results.share) == (15, 1.0)
    assert results.whole.uplift is not None
    assert not results.whole.differs  # three people are no proof
    assert [each.arm for each in results.variants] == ["a"]


async def test_those_skipped_after_the_draw_count_where_they_were_drawn(store: SqlStore) -> None:
    who = await _sent(store, "aah")
    skipped = update(broadcast_recipients).where(broadcast_recipients.c.customer_id == who[0])
    await _do(store, skipped.values(state="skipped", reason="open_case", sent_at=None), _order(who[0], "1"))
    whole = (await _desk(store).results(MIA, "winter")).whole.sums
    assert (whole.people, whole.sent, whole.successes) == (2, 1, 1)


async def test_whoever_was_skipped_before_the_draw_is_nobody(store: SqlStore) -> None:
    who = await _sent(store, "ah")
    left_out = update(broadcast_recipients).where(broadcast_recipients.c.customer_id == who[0])
    await _do(store, left_out.values(arm="", state="skipped", reason="no_consent"))
    assert (await _desk(store).results(MIA, "winter")).whole.sums.people == 0


async def test_without_a_holdout_nothing_is_claimed(store: SqlStore) -> None:
    await _sent(store, "aa")
    results = await _desk(store).results(MIA, "winter")
    assert (results.whole.uplift, results.whole.differs, results.brought_minor, results.returned) == (
        None,
        False,
        None,
        None,
    )


async def test_a_reckoning_is_kept_and_made_anew_when_it_is_old(store: SqlStore) -> None:
    who = await _sent(store, "ah")
    clock = SetClock(START + timedelta(days=1))
    desk = _desk(store, clock)
    assert (await desk.results(MIA, "winter")).whole.sums.successes == 0
    await _do(store, _order(who[0], "1"))
    assert (await desk.results(MIA, "winter")).whole.sums.successes == 0
    clock.advance(minutes=11)
    again = await desk.results(MIA, "winter")
    assert (again.whole.sums.successes, again.share) == (1, pytest.approx(1 / 14, rel=0.02))


async def test_harm_is_counted_on_both_sides(store: SqlStore) -> None:
    who = await _sent(store, "aahh")
    at = START + timedelta(hours=2)
    gone = {"purpose": "promotion", "channel": "telegram", "source": "chat", "granted": False, "at": at}
    await _do(store, insert(consents).values(customer_id=who[0], **gone), _complaint(who[2], at))
    results = await _desk(store).results(MIA, "winter")
    assert (results.whole.sums.withdrew, results.whole.sums.complained) == (1, 0)
    assert (results.held_out.withdrew, results.held_out.complained) == (0, 1)
    assert results.whole.withdrawn is not None


def _complaint(customer: int, at: datetime) -> Any:
    case = {"number": f"C-{customer}", "customer_id": customer, "kind": "complaint", "category": "x", "subject": ""}
    rest = {"severity": 1, "status": "received", "summary": "", "details": {}, "is_open": True}
    return insert(cases).values(**case, **rest, opened_at=at, updated_at=at)


async def test_several_are_compared_side_by_side(store: SqlStore) -> None:
    await _sent(store, "ah")
    (line,) = await _desk(store).compare(MIA, ["winter"])
    assert (line.name, line.title, line.results.whole.sums.people) == ("winter", "Winter check", 1)


async def test_the_export_has_a_line_for_each_recipient(store: SqlStore) -> None:
    who = await _sent(store, "aah")
    text = "".join([piece async for piece in await _desk(store).export(ANALYST, "winter")])
    lines = list(csv.DictReader(io.StringIO(text)))
    assert tuple(lines[0]) == COLUMNS
    assert [int(line["customer_id"]) for line in lines] == who
    assert [line["arm"] for line in lines] == ["a", "a", "holdout"]
    assert lines[0]["sent_at"] == START.isoformat()


# --- answers --------------------------------------------------------------------------------------------------------


async def _noted(store: SqlStore, after: Callable[[list[int]], list[Any]], arms: str = "ab") -> Mapping[int, Any]:
    """What is noted of each person once these statements are carried out."""
    who = await _sent(store, arms)
    now = START + timedelta(days=10)
    await store.database.run(lambda conn: broadcast_answers.note_on(conn, START - timedelta(days=1)) and None)
    await _do(store, *after(who))
    while await store.database.run(lambda conn: broadcast_answers.note_on(conn, now)):
        pass
    found = select(broadcast_recipients).order_by(broadcast_recipients.c.id)
    rows = await store.database.run(lambda conn: conn.execute(found).all(), read=True)
    return dict(zip(who, rows, strict=True))


def _says(customer: int, hours: float, direction: str = "in") -> Any:
    talk = select(conversations.c.id).where(conversations.c.customer_id == customer).scalar_subquery()
    at = START + timedelta(hours=hours)
    row = {"direction": direction, "author": "customer", "kind": "text", "text": "hi", "at": at}
    return insert(messages).values(conversation_id=talk, **row)


async def test_the_first_reply_within_three_days_is_noted(store: SqlStore) -> None:
    rows = await _noted(
        store, lambda who: [_says(who[0], 5), _says(who[0], 2), _says(who[1], 80), _says(who[1], 1, "out")]
    )
    assert [row.replied_at for row in rows.values()] == [START + timedelta(hours=2), None]


async def test_whoever_blocks_or_takes_consent_back_has_left(store: SqlStore) -> None:
    at = START + timedelta(hours=3)

    def after(who: list[int]) -> list[Any]:
        gone = {"purpose": "promotion", "channel": "telegram", "source": "chat", "granted": False, "at": at}
        blocked = update(identities).where(identities.c.customer_id == who[1]).values(unreachable_at=at)
        return [insert(consents).values(customer_id=who[0], **gone), blocked]

    rows = await _noted(store, after, "abh")
    assert [row.left_at for row in rows.values()] == [at, at, None]


async def test_a_complaint_within_a_week_is_noted(store: SqlStore) -> None:
    at = START + timedelta(days=2)
    rows = await _noted(store, lambda who: [_complaint(who[0], at), _complaint(who[1], START + timedelta(days=8))])
    assert [row.complained_at for row in rows.values()] == [at, None]


async def test_what_is_noted_is_not_looked_at_again(store: SqlStore) -> None:
    many = broadcast_answers.CHUNK + 1  # a chunk of our own words must not hold up what comes behind it
    rows = await _noted(store, lambda who: [*(_says(who[1], 1, "out") for _ in range(many)), _says(who[0], 1)])
    assert [row.replied_at for row in rows.values()] == [START + timedelta(hours=1), None]
    now = START + timedelta(days=10)
    assert not await store.database.run(lambda conn: broadcast_answers.note_on(conn, now))


# --- talking about it -----------------------------------------------------------------------------------------------


async def test_the_bot_knows_what_was_sent_and_which_code_came_with_it(store: SqlStore) -> None:
    who = await _sent(store, "ab")

    def unit(conn: Connection) -> list[int]:
        pool = coupons.create(conn, "winter", {"terms": {"en": "One check."}}, by="mia", now=START)
        coupons.add(conn, pool.id, ["W-1", "W-2"])
        row = conn.execute(select(broadcast_recipients).where(broadcast_recipients.c.customer_id == who[0])).one()
        coupons.draw(conn, pool.id, row.broadcast_id, [who[0]], START)
        said = {"direction": "out", "author": "bot", "kind": "text", "text": "Half price", "at": START}
        made = conn.execute(insert(messages).values(conversation_id=row.conversation_id, **said)).inserted_primary_key
        assert made is not None
        mine = broadcast_recipients.c.id == row.id
        conn.execute(update(broadcast_recipients).where(mine).values(message_id=made[0]))
        other = broadcast_recipients.c.customer_id == who[1]
        return [
            row.conversation_id,
            conn.execute(select(broadcast_recipients.c.conversation_id).where(other)).scalar_one(),
        ]

    mine, theirs = await store.database.run(unit)

    async def asked(talk: int, **later: float) -> BroadcastSent | None:
        now = START + timedelta(**later)
        return await store.database.run(lambda conn: last_sent(conn, str(talk), now), read=True)

    sent = await asked(mine, days=1)
    assert sent is not None
    assert (sent.title, sent.text, sent.coupon, sent.terms) == (
        "Winter check",
        "Half price",
        "W-1",
        {"en": "One check."},
    )
    assert await asked(mine, days=15) is None
    assert await asked(theirs, days=1) is None  # nobody knows what it said
