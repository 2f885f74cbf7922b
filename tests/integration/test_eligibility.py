"""Who may be sent a broadcast: the first reason against it is told, before it starts and again at each claim."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select, update

from bot.reach.states import SKIP_REASONS
from crm_sync import broadcast_audience, merging
from crm_sync.broadcast_tables import (
    audience_lists,
    audience_members,
    broadcast_recipients,
    contact_wishes,
)
from crm_sync.eligibility import EVERYTHING, SendRules, judged, moments, rechecked
from crm_sync.store import SqlStore
from crm_sync.tables import conversations, customers, identities, reply_windows
from tests.audience_rows import a_broadcast, a_complaint, a_consent, a_person, a_recipient, a_talk, add
from tests.store_steps import AUDIT_KEYS, START

DAY = timedelta(days=1)
RULES = SendRules("news", ("telegram", "wechat"))


def reasons(conn: Connection, rules: SendRules = RULES) -> dict[int, str]:
    rows = conn.execute(judged(select(customers.c.id), rules), moments(rules, START))
    return {row.customer_id: row.reason for row in rows}


def again(conn: Connection, rules: SendRules = RULES) -> dict[int, str]:
    """What the claim says, by recipient."""
    pending = rechecked(rules).where(broadcast_recipients.c.state == "pending")
    return {row.id: row.reason for row in conn.execute(pending, moments(rules, START))}


async def test_the_first_channel_that_will_do_is_a_persons_place(store: SqlStore) -> None:
    def unit(conn: Connection) -> None:
        both = a_person(conn, "telegram", "wechat")
        second = a_person(conn, "wechat")
        older, newer = a_person(conn, agreed=""), START - DAY
        a_consent(conn, older, "telegram")
        places = [a_talk(conn, older, "telegram", last_inbound_at=at) for at in (None, newer, newer - DAY)]
        blocked = a_person(conn, "wechat")
        a_consent(conn, blocked, "telegram")
        a_talk(conn, blocked, "telegram", unreachable_at=START)
        rows = conn.execute(judged(select(customers.c.id), RULES), moments(RULES, START)).all()
        assert [(row.customer_id, row.reason, row.channel) for row in rows] == [
            (both, "", "telegram"),
            (second, "", "wechat"),
            (older, "", "telegram"),
            (blocked, "", "wechat"),
        ]
        assert rows[2].conversation_id == places[1]

    await store.database.run(unit)


def _excluded(conn: Connection, person: int) -> None:
    left_out = conn.execute(select(audience_lists.c.id)).scalar_one()
    conn.execute(insert(audience_members).values(list_id=left_out, customer_id=person))


def _wish(conn: Connection, person: int, **wish: Any) -> None:
    conn.execute(insert(contact_wishes).values(customer_id=person, updated_at=START, **wish))


def _sent(conn: Connection, person: int, state: str = "sent", **more: Any) -> None:
    talk = conn.execute(select(conversations.c.id).where(conversations.c.customer_id == person)).scalars().first()
    a_recipient(conn, a_broadcast(conn), person, talk, state, **more)


def _set(conn: Connection, table: Any, person: int, **values: Any) -> None:
    who = table.c.id if table is customers else table.c.customer_id
    conn.execute(update(table).where(who == person).values(**values))


HOLD_BACK: dict[str, Callable[[Connection, int], Any]] = {
    "erased": lambda conn, person: _set(conn, customers, person, erased_at=START),
    "excluded": _excluded,
    "no_consent": lambda conn, person: a_consent(conn, person, "telegram", granted=False, at=START),
    "topic_off": lambda conn, person: _wish(conn, person, topics_off=["sales", "offers"]),
    "unreachable": lambda conn, person: _set(conn, identities, person, unreachable_at=START),
    "open_case": a_complaint,
    "live_chat": lambda conn, person: _set(conn, conversations, person, owner="queue"),
    "capped": lambda conn, person: _sent(conn, person, sent_at=START - 2 * DAY),
    "out_of_window": lambda conn, person: conn.execute(
        update(reply_windows).values(used=5)  # the only window there is
    ),
    "quota": lambda conn, person: _sent(conn, person, sent_at=START - 8 * DAY, batch="1-1-x"),
}


@pytest.mark.sql_per_case
@pytest.mark.parametrize("reason", HOLD_BACK)
async def test_each_reason_is_told_before_the_start_and_at_the_claim(store: SqlStore, reason: str) -> None:
    def unit(conn: Connection) -> None:
        left_out = add(conn, audience_lists, name="no", kind="exclusion", created_at=START)
        rules = SendRules(
            "news",
            ("telegram",),
            topic="offers",
            exclude=(left_out,),
            cap=(1, 7),
            windowed=frozenset({"telegram"}),
            monthly=(("telegram", "main", 1),),
        )
        person = a_person(conn, "telegram")
        talk = conn.execute(select(conversations)).one()
        window = {"quota": 5, "opened_at": START, "closes_at": START + DAY}
        add(conn, reply_windows, identity_id=talk.identity_id, kind="message", **window)
        recipient = a_recipient(conn, a_broadcast(conn), person, talk.id, "pending")
        assert (reasons(conn, rules), again(conn, rules)) == ({person: ""}, {recipient: ""})
        HOLD_BACK[reason](conn, person)
        assert (reasons(conn, rules), again(conn, rules)) == ({person: reason}, {recipient: reason})
        # Everything that comes before it in the order is told instead.
        for earlier in reversed([name for name in SKIP_REASONS[: SKIP_REASONS.index(reason)] if name in HOLD_BACK]):
            if {earlier, reason} == {"topic_off", "capped"}:
                continue
            HOLD_BACK[earlier](conn, person)
            assert reasons(conn, rules) == {person: earlier}
            assert again(conn, rules) == {recipient: earlier}

    await store.database.run(unit)


async def test_somebody_without_a_conversation_has_no_channel(store: SqlStore) -> None:
    def unit(conn: Connection) -> None:
        nowhere = a_person(conn, agreed="")
        a_consent(conn, nowhere, "telegram")
        elsewhere = a_person(conn, "web")
        assert reasons(conn) == {nowhere: "no_channel", elsewhere: "no_consent"}

    await store.database.run(unit)


async def test_a_consent_counts_for_its_purpose_channel_and_time_only(store: SqlStore) -> None:
    def unit(conn: Connection) -> None:
        people = [a_person(conn, "telegram", agreed="") for _ in range(9)]
        a_consent(conn, people[0], "telegram", purpose="offers")
        a_consent(conn, people[1], "wechat")
        a_consent(conn, people[2], "telegram", until=START)
        a_consent(conn, people[3], "telegram", until=START + DAY)
        a_consent(conn, people[4], "telegram", at=START + DAY)
        for person in people[5:]:
            a_consent(conn, person, "telegram")
        a_consent(conn, people[5], EVERYTHING, purpose=EVERYTHING, granted=False, at=START - DAY)
        a_consent(conn, people[6], EVERYTHING, purpose=EVERYTHING, granted=False, at=START - 60 * DAY)
        a_consent(conn, people[7], "wechat", granted=False, at=START - DAY)
        a_consent(conn, people[8], "telegram", granted=False, at=START - 60 * DAY, until=START - 40 * DAY)
        found = reasons(conn)
        # The second agreed where they have no conversation: there is a consent, but no way to use it.
        said = ["no_consent", "no_channel", "no_consent", "", "no_consent", "no_consent", "", "", ""]
        assert [found[person] for person in people] == said

    await store.database.run(unit)


async def test_only_complaints_that_are_open_hold_promotion_back(store: SqlStore) -> None:
    def unit(conn: Connection) -> None:
        closed, wish = a_person(conn, "telegram"), a_person(conn, "telegram")
        upset = a_person(conn, "telegram")
        a_complaint(conn, closed, is_open=False)
        a_complaint(conn, wish, kind="request")
        a_complaint(conn, upset)
        assert reasons(conn) == {closed: "", wish: "", upset: "open_case"}
        assert set(reasons(conn, SendRules("news", ("telegram",), is_promotion=False)).values()) == {""}

    await store.database.run(unit)


async def test_the_cap_counts_what_was_or_may_have_been_heard_in_its_days(store: SqlStore) -> None:
    def unit(conn: Connection) -> None:
        rules = SendRules("news", ("telegram",), cap=(2, 7))
        people = [a_person(conn, "telegram") for _ in range(6)]
        for person in people:
            _sent(conn, person, sent_at=START - DAY)
        _sent(conn, people[1], sent_at=START - 8 * DAY)
        _sent(conn, people[2], state="uncertain", sent_at=START - DAY)
        _sent(conn, people[3], state="sending")
        for state in ("held_out", "skipped", "failed"):
            _sent(conn, people[4], state=state)
        _wish(conn, people[5], per_week=1)
        found = reasons(conn, rules)
        assert [found[person] for person in people] == ["", "", "capped", "capped", "", "capped"]

    await store.database.run(unit)


async def test_two_records_that_became_one_get_one_message_and_one_cap(store: SqlStore) -> None:
    def unit(conn: Connection) -> None:
        one, other = a_person(conn, "telegram"), a_person(conn, "telegram")
        places = {row.customer_id: row.id for row in conn.execute(select(conversations))}
        broadcast = a_broadcast(conn)
        mine, theirs = (a_recipient(conn, broadcast, who, places[who], "pending") for who in (one, other))
        merging.merge(conn, one, other, evidence="staff", author="ann", now=START)
        assert again(conn) == {mine: "", theirs: "capped"}
        conn.execute(
            update(broadcast_recipients).where(broadcast_recipients.c.id == theirs).values(state="sent", sent_at=START)
        )
        assert again(conn) == {mine: "capped"}
        assert reasons(conn, SendRules("news", ("telegram",), cap=(1, 7))) == {one: "capped", other: "erased"}

    await store.database.run(unit)


async def test_what_was_said_last_counts_whichever_record_it_was_said_to(store: SqlStore) -> None:
    def unit(conn: Connection) -> None:
        agreed, refused = a_person(conn, "telegram"), a_person(conn, "telegram", agreed="")
        a_consent(conn, refused, "telegram", granted=False, at=START - DAY)
        merging.merge(conn, agreed, refused, evidence="staff", author="ann", now=START)
        assert reasons(conn)[agreed] == "no_consent"
        a_consent(conn, agreed, "telegram", at=START)
        assert reasons(conn)[agreed] == ""

    await store.database.run(unit)


async def test_counting_a_range_reads_what_is_kept_of_its_people_and_not_of_all(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the steps of SQLite's machine, which depend on nothing but what is read."""
    monkeypatch.setattr(broadcast_audience, "RANGE", 20)

    def steps(conn: Connection) -> int:
        taken = 0

        def step() -> int:
            nonlocal taken
            taken += 1
            return 0

        raw: Any = conn.connection.dbapi_connection
        raw.set_progress_handler(step, 100)
        counted, through = broadcast_audience.count_range(conn, select(customers.c.id), RULES, 0, START)
        raw.set_progress_handler(None, 0)
        assert (through, sum(counted.reached.values())) == (20, 20)
        return taken

    store = await SqlStore.open(sqlite_url, audit_keys=AUDIT_KEYS)

    def grow(conn: Connection, people: int) -> int:
        for _ in range(people):
            a_person(conn, "telegram")
        return steps(conn)

    try:
        few = await store.database.run(lambda conn: grow(conn, 40))
        many = await store.database.run(lambda conn: grow(conn, 800))
        assert few > 0
        assert many < 2 * few
    finally:
        await store.close()
