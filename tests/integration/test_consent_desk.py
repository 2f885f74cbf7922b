"""What staff enter of consents: in force at once, or asked in the chat first where it has to be confirmed."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, select

from bot.errors import InputError, RuleError
from bot.service.policy import read_policy
from crm_sync import consent_register
from crm_sync.service_tables import timers
from crm_sync.store import SqlStore
from desk.actors import Actor
from desk.consents import Agreed, ConsentDesk
from tests.audience_rows import a_person
from tests.staff_steps import LI, staff
from tests.store_steps import START, SetClock

MIA = Actor("mia", "marketer")
POLICY = read_policy({"broadcasts": {"purposes": {"club": {"double_opt_in": True}, "news": {}}}})


async def desk_of(store: SqlStore) -> tuple[ConsentDesk, int]:
    await staff(store, LI)
    person = await store.database.run(lambda conn: a_person(conn, "telegram", agreed=""))
    return ConsentDesk(store.database, lambda: POLICY, SetClock()), person


async def test_what_needs_no_confirming_is_in_force_and_shown_with_who_entered_it(store: SqlStore) -> None:
    desk, person = await desk_of(store)
    told = {"purpose": "news", "channel": "telegram", "told": "on the telephone"}
    assert await desk.enter(LI, person, granted=True, **told)
    (line,) = (await desk.page(MIA)).items
    assert (line.granted, line.source, line.proof) == (True, "staff:li on the telephone", {"staff": "li"})
    assert await desk.summary(MIA) == (Agreed("news", "telegram", 1, 0),)
    assert await desk.enter(LI, person, granted=False, **told)
    first = await desk.page(MIA, customer_id=person, limit=1)
    second = await desk.page(MIA, customer_id=person, limit=1, cursor=first.next)
    assert [line.granted for line in (*first.items, *second.items)] == [False, True]
    assert (await desk.page(MIA, purpose="club")).items == ()
    with pytest.raises(InputError, match="how the customer told us"):
        await desk.enter(LI, person, purpose="news", channel="telegram", granted=True, told=" ")


async def test_what_has_to_be_confirmed_is_asked_in_the_chat_once(store: SqlStore) -> None:
    desk, person = await desk_of(store)
    for _ in range(2):
        assert not await desk.enter(LI, person, purpose="club", channel="telegram", granted=True, told="at the fair")

    def left(conn: Connection) -> tuple[list[str], list[str]]:
        asked = [request.purpose for request in consent_register.open_requests(conn, person, START)]
        return asked, [row.details["notice"]["flow"] for row in conn.execute(select(timers))]

    assert await store.database.run(left, read=True) == (["club"], ["consent_confirm"])
    assert (await desk.page(MIA)).items == ()
    with pytest.raises(RuleError, match="cannot be asked on wechat"):
        await desk.enter(LI, person, purpose="club", channel="wechat", granted=True, told="at the fair")
