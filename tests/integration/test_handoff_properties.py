"""Whatever several people do at once in any order: one owner each, nobody stranded, no fence that falls."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, insert, select

from bot.errors import BotError, StaleState
from bot.service.handoff import HandoffRules, Overflow
from bot.service.policy import ServicePolicy
from bot.service.routing import RoutingRules, Team
from bot.types import ReleaseHandoff, RequestHandoff
from crm_sync.console_tables import handoff_events
from crm_sync.handoffs import answered
from crm_sync.invariants import check
from crm_sync.store import SqlStore
from crm_sync.tables import conversations, staff_users
from desk.actors import Actor
from desk.assigning import step
from desk.handoff import HandoffDesk
from frontdesk.signals import LocalSignals
from tests.store_steps import AUDIT_KEYS, START, SetClock, decided, said, send_all

PEOPLE = tuple(Actor(name, "operator", frozenset({"care", "workshop"})) for name in ("li", "wang"))
LEAD = Actor("lena", "lead")
CUSTOMERS = ("ann", "bob", "cem")
RULES = HandoffRules(assignment="automatic", overflow=(Overflow(timedelta(minutes=20), "workshop"),))
POLICY = ServicePolicy(
    routing=RoutingRules(
        teams={"care": Team("care", members=("li", "wang")), "workshop": Team("workshop", members=("wang",))}
    ),
    handoff=RULES,
)
# The examples share a database: each begins when the one before is long over, as no clock goes back.
EXAMPLE = timedelta(days=3)
_LATER = count()

_PERSON = st.sampled_from((*PEOPLE, LEAD))
_PLACE = st.integers(0, len(CUSTOMERS) - 1)
_ACT = st.one_of(
    st.tuples(st.just("asks"), _PLACE),
    st.tuples(st.just("writes"), _PLACE),
    st.tuples(st.just("leaves"), _PLACE),
    st.tuples(st.just("take"), _PERSON, _PLACE),
    st.tuples(st.just("assign"), st.sampled_from(("li", "wang")), _PLACE),
    st.tuples(st.just("team"), _PERSON, _PLACE),
    st.tuples(st.just("colleague"), _PERSON, _PLACE),
    st.tuples(st.just("back"), _PERSON, _PLACE),
    st.tuples(st.just("answer"), _PERSON, _PLACE),
    st.tuples(st.just("presence"), _PERSON, st.sampled_from(("online", "away", "off"))),
    st.tuples(st.just("renew"), _PERSON),
    st.tuples(st.just("step")),
    st.tuples(st.just("wait"), st.integers(1, 40)),
)


class Floor:
    """Customers and staff on one store."""

    def __init__(self, store: SqlStore, clock: SetClock) -> None:
        self.store, self.clock = store, clock
        self.desk = HandoffDesk(store.database, lambda: POLICY, clock, LocalSignals())
        self.chats: list[int] = []

    async def open(self) -> None:
        common = {"role": "operator", "password_hash": "", "created_at": self.clock.at}
        rows = [
            {"name": name, **common, "password_changed_at": self.clock.at, "capacity": 2}
            for name in ("li", "wang", "lena")
        ]
        accounts = {row["name"] for row in rows}

        def add(conn: Connection) -> None:
            known = set(conn.execute(select(staff_users.c.name)).scalars())
            if accounts - known:
                conn.execute(insert(staff_users), rows)

        await self.store.database.run(add)
        tag = f"{id(self)}-"
        for user in CUSTOMERS:
            await self.store.accept([said(user=tag + user, channel="telegram")])
        claims = await self.store.claim("worker", 10)
        await self.store.commit([decided(claimed, direct=False) for claimed in claims])
        self.chats = sorted(claimed.conversation.id for claimed in claims)
        self.users = {claimed.conversation.id: claimed.conversation.chat_id for claimed in claims}

    async def writes(self, place: int, *effects: Any) -> None:
        """The customer writes and the bot answers; if somebody took over while it thought, it thinks again."""
        chat = self.chats[place]
        await self.store.accept([said(user=self.users[chat], channel="telegram")])
        await self.answer_all(*effects)

    async def answer_all(self, *effects: Any) -> None:
        """The bot has answered what it can claim: a conversation somebody works on at the moment is left for later."""
        while claims := await self.store.claim("worker", 10):
            commits = [
                decided(claimed, f"fence {claimed.conversation.fence}", effects=effects, direct=False)
                for claimed in claims
            ]
            for done in await self.store.commit(commits):
                if not done.ok:
                    self.clock.advance(seconds=11)

    async def act(self, act: tuple[Any, ...]) -> None:
        match act:
            case ("asks", place):
                await self.writes(place, RequestHandoff("customer_asked", team="care", priority=10))
            case ("writes", place):
                await self.writes(place)
            case ("leaves", place):
                await self.writes(place, ReleaseHandoff())
            case ("take", who, place):
                await self.desk.take(who, self.chats[place])
            case ("assign", name, place):
                await self.desk.assign(LEAD, self.chats[place], name)
            case ("team", who, place):
                await self.desk.transfer(who, self.chats[place], team="workshop", note="please")
            case ("colleague", who, place):
                await self.desk.transfer(who, self.chats[place], operator="wang")
            case ("back", who, place):
                await self.desk.hand_back(who, self.chats[place], summary="done")
            case ("answer", who, place):
                await self.store.database.run(lambda conn: self.answer(conn, who.name, self.chats[place]))
            case ("presence", who, state):
                await self.desk.set_presence(who, state)
            case ("renew", who):
                await self.desk.renew(who)
            case ("step",):
                await self.store.database.run(lambda conn: step(conn, POLICY, self.clock.at))
            case ("wait", minutes):
                self.clock.advance(minutes=minutes)

    def answer(self, conn: Connection, name: str, chat: int) -> None:
        mine = select(conversations.c.operator).where(conversations.c.id == chat).with_for_update()
        if conn.execute(mine).scalar() == name:
            answered(conn, chat, self.clock.at)

    async def rows(self) -> list[Any]:
        found = select(conversations).where(conversations.c.id.in_(self.chats)).order_by(conversations.c.id)
        return await self.store.database.run(lambda conn: list(conn.execute(found)), read=True)


async def _try(floor: Floor, act: tuple[Any, ...]) -> None:
    try:
        await floor.act(act)
    except BotError:
        return  # refused: nothing may have changed, which the checks below would tell


@pytest.mark.slow
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rounds=st.lists(st.lists(_ACT, min_size=1, max_size=3), min_size=1, max_size=12))
async def test_any_acts_at_once_leave_one_owner_each_and_nobody_stranded(
    store_url: str, rounds: list[list[tuple[Any, ...]]]
) -> None:
    clock = SetClock(START + next(_LATER) * EXAMPLE)
    store = await SqlStore.open(store_url, clock=clock, migrate=False, audit_keys=AUDIT_KEYS)
    try:
        floor = Floor(store, clock)
        await floor.open()
        for acts in rounds:
            await asyncio.gather(*(_try(floor, act) for act in acts))
            await floor.answer_all()  # what a worker passed over while somebody held it
            assert await check(store.database, now=clock.at) == []
            for row in await floor.rows():
                is_theirs = row.owner == "operator" and row.operator in ("li", "wang", "lena")
                assert is_theirs or row.operator == ""
        # Everybody goes home: whoever waits is in the queue, for all to see, and nobody's replies are stuck.
        clock.advance(hours=2)
        await store.database.run(lambda conn: step(conn, POLICY, clock.at))
        for row in await floor.rows():
            assert row.owner in ("bot", "queue")
            assert (row.owner == "queue") == (row.waiting_since is not None)
        await floor.answer_all()
        await send_all(store)
        assert await check(store.database, now=clock.at) == []
        for row in await floor.rows():
            if row.owner == "queue":
                await floor.desk.hand_back(LEAD, row.id)
    finally:
        await store.close()


async def test_of_many_who_act_on_the_same_fence_exactly_one_wins(store_url: str) -> None:
    clock = SetClock()
    store = await SqlStore.open(store_url, clock=clock, audit_keys=AUDIT_KEYS)
    try:
        floor = Floor(store, clock)
        await floor.open()
        for _ in range(5):
            await floor.act(("asks", 0))
            chat = floor.chats[0]
            fence = (await floor.rows())[0].fence
            ends = await asyncio.gather(
                floor.desk.take(PEOPLE[0], chat, fence=fence),
                floor.desk.take(PEOPLE[1], chat, fence=fence),
                floor.desk.assign(LEAD, chat, "li", fence=fence),
                floor.desk.transfer(LEAD, chat, team="workshop", fence=fence),
                floor.desk.hand_back(LEAD, chat, fence=fence),
                return_exceptions=True,
            )
            assert [type(end) for end in ends].count(StaleState) == 4
            won = [end for end in ends if not isinstance(end, BaseException)]
            assert len(won) == 1
            assert won[0].fence == fence + 1
            await floor.act(("back", LEAD, 0)) if won[0].owner.value != "bot" else None
        told = select(handoff_events.c.fence).order_by(handoff_events.c.id)
        fences = await store.database.run(lambda conn: list(conn.execute(told).scalars()), read=True)
        assert fences == sorted(fences)
    finally:
        await store.close()
