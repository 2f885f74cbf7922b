"""The register of consents: what shows each, a stop word ends everything at once, asked twice where it has to be."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, select

from bot.service_types import AnswerConsent, EndConsents, WishContact
from bot.types import Effect, RecordConsent
from crm_sync import consent_register as register
from crm_sync.broadcast_tables import consent_requests
from crm_sync.eligibility import SendRules, judged, moments
from crm_sync.store import SqlStore
from crm_sync.tables import consents, customers, inbox
from tests.audience_rows import a_consent
from tests.store_steps import START, SetClock, converse

DAY = timedelta(days=1)


async def says(store: SqlStore, *effects: Effect) -> int:
    """One turn with these effects; the customer's id."""
    claimed = await converse(store, "words", "answer", effects=effects, channel="telegram", user="77")
    return int(claimed.conversation.customer.customer_id)


async def may_get(store: SqlStore, purpose: str, now: Any = START + DAY) -> str:
    def unit(conn: Connection) -> str:
        rules = SendRules(purpose, ("telegram",))
        return str(conn.execute(judged(select(customers.c.id), rules), moments(rules, now)).one().reason)

    return await store.database.run(unit, read=True)


@pytest.fixture
def quiet_store(store: SqlStore) -> SqlStore:
    return SqlStore(store.database, clock=SetClock())


async def test_what_was_said_in_chat_is_shown_by_its_message(quiet_store: SqlStore) -> None:
    await says(quiet_store, RecordConsent("news", True, "chat:subscribe_news"))
    assert await may_get(quiet_store, "news") == ""

    def unit(conn: Connection) -> tuple[Any, Any]:
        (line,) = register.page(conn, before=None, limit=9, purpose="news")
        return line, conn.execute(select(inbox.c.id)).scalar_one()

    line, message = await quiet_store.database.run(unit, read=True)
    assert (line.granted, line.source, line.proof) == (True, "chat:subscribe_news", {"inbox_id": message})


async def test_a_stop_word_ends_everything_on_every_channel_and_a_later_yes_counts_again(quiet_store: SqlStore) -> None:
    person = await says(quiet_store, RecordConsent("news", True, "chat"))

    def more(conn: Connection) -> None:
        a_consent(conn, person, "wechat", purpose="club")
        a_consent(conn, person, "telegram", purpose="club", until=START + 90 * DAY)
        identity = conn.execute(select(inbox.c.conversation_id)).scalars().first()
        asked = {"customer_id": person, "identity_id": identity, "purpose": "sales", "channel": "telegram"}
        assert register.ask(conn, **asked, source="form", now=START, expires_at=START + DAY)

    await quiet_store.database.run(more)
    await says(quiet_store, RecordConsent("news", False, "chat"), EndConsents("chat:stop_word"))
    assert [await may_get(quiet_store, purpose) for purpose in ("news", "club", "sales")] == ["no_consent"] * 3

    def left(conn: Connection) -> tuple[list[Any], Any]:
        granted = conn.execute(select(consents).where(consents.c.granted)).all()
        return [row.until for row in granted], conn.execute(select(consent_requests.c.granted)).scalar_one()

    untils, answered = await quiet_store.database.run(left, read=True)
    assert (set(untils), answered) == ({START}, False)
    await says(quiet_store, RecordConsent("club", True, "chat"))  # at the same moment, but after it
    assert await may_get(quiet_store, "club") == ""
    assert await may_get(quiet_store, "news") == "no_consent"


@pytest.mark.parametrize(("granted", "reason"), [(True, ""), (False, "no_consent")])
async def test_what_has_to_be_confirmed_holds_once_it_is(quiet_store: SqlStore, granted: bool, reason: str) -> None:
    person = await says(quiet_store)

    def asks(conn: Connection, now: Any = START) -> bool:
        identity = conn.execute(select(inbox.c.conversation_id)).scalars().first()
        who = {"customer_id": person, "identity_id": identity, "purpose": "club", "channel": "telegram"}
        return register.ask(conn, **who, source="form:fair", now=now, expires_at=now + DAY)

    assert await quiet_store.database.run(lambda conn: (asks(conn), asks(conn))) == (True, False)
    assert await may_get(quiet_store, "club") == "no_consent"
    await says(quiet_store, AnswerConsent(granted, "chat:consent_confirm"))
    assert await may_get(quiet_store, "club") == reason
    lines = await quiet_store.database.run(lambda conn: register.page(conn, before=None, limit=9), read=True)
    assert (lines[0].source, lines[0].granted) == ("form:fair", granted)
    assert set(lines[0].proof) == {"inbox_id", "request_id"}
    late = START + 2 * DAY
    assert await quiet_store.database.run(lambda conn: asks(conn, late))
    opened = await quiet_store.database.run(lambda conn: register.open_requests(conn, person, late + DAY), read=True)
    assert opened == ()


async def test_an_answer_that_comes_too_late_changes_nothing(store: SqlStore) -> None:
    clock = SetClock()
    store = SqlStore(store.database, clock=clock)
    person = await says(store)

    def asks(conn: Connection) -> None:
        identity = conn.execute(select(inbox.c.conversation_id)).scalars().first()
        who = {"customer_id": person, "identity_id": identity, "purpose": "club", "channel": "telegram"}
        register.ask(conn, **who, source="form", now=START, expires_at=START + DAY)

    await store.database.run(asks)
    clock.advance(days=2)
    await says(store, AnswerConsent(True, "chat:consent_confirm"))
    assert await may_get(store, "club", START + 3 * DAY) == "no_consent"


async def test_wishes_are_kept_and_the_last_ones_hold(quiet_store: SqlStore) -> None:
    first = WishContact(("offers",), 1, ("20:00", "10:00"), "chat:contact_wishes")
    person = await says(quiet_store, first)
    kept = await quiet_store.database.run(lambda conn: register.wishes_of(conn, person), read=True)
    await says(quiet_store, WishContact(source="chat:contact_wishes"))
    then = await quiet_store.database.run(lambda conn: register.wishes_of(conn, person), read=True)
    never = await quiet_store.database.run(lambda conn: register.wishes_of(conn, person + 1), read=True)
    assert (kept, then, never) == (first, WishContact(source="chat:contact_wishes"), WishContact())


async def test_the_register_says_how_many_agree_to_what(quiet_store: SqlStore) -> None:
    await says(quiet_store, RecordConsent("news", True, "chat"), RecordConsent("club", False, "chat"))
    found = await quiet_store.database.run(lambda conn: register.summary(conn, START), read=True)
    assert found == [("club", "telegram", 0, 1), ("news", "telegram", 1, 0)]
