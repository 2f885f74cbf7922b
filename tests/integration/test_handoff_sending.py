"""What really leaves: the stand-in vendor hears the operator, and no reply the bot decided before."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

from sqlalchemy import insert, select

from bot.service.policy import ServicePolicy
from bot.types import Lane, RequestHandoff
from channels.delivery import Sender
from channels.simulators.telegram import TelegramSimulator
from channels.telegram import TelegramAdapter
from config.settings import TelegramSettings
from crm_sync.invariants import check
from crm_sync.store import SqlStore
from crm_sync.tables import outbox, staff_users
from desk.actors import Actor
from desk.handoff import HandoffDesk
from frontdesk.clock import SystemClock
from frontdesk.pacing import StoreRateTokens
from tests.channel_doubles import NoSignals
from tests.store_steps import AUDIT_KEYS, decided, said

LI = Actor("li", "operator")
CHAT = 1001


async def test_after_a_takeover_only_the_operator_s_words_reach_the_vendor(store_url: str) -> None:
    async with AsyncExitStack() as opened:
        telegram = await opened.enter_async_context(TelegramSimulator("1000001:test"))
        telegram.user(CHAT).has_started = True
        adapter = TelegramAdapter("main", TelegramSettings(token=telegram.token, api_base_url=telegram.url))
        opened.push_async_callback(adapter.close)
        store = await SqlStore.open(store_url, audit_keys=AUDIT_KEYS)
        opened.push_async_callback(store.close)
        store.know({"telegram": adapter.capabilities})
        sender = Sender(
            store.outbox, {("telegram", "main"): adapter}, NoSignals(), StoreRateTokens(store), SystemClock(), name="s"
        )
        clock = SystemClock()
        account = {"name": "li", "role": "operator", "password_hash": "", "created_at": clock.now()}
        row = {**account, "password_changed_at": clock.now()}
        await store.database.run(lambda conn: conn.execute(insert(staff_users), row) and None)
        desk = HandoffDesk(store.database, ServicePolicy, clock, NoSignals())

        await turn(store, "told before", effects=[RequestHandoff("customer_asked")])
        await sender.run_once()
        await turn(store, "decided too late")
        await store.accept([said("hello?", user=str(CHAT), channel="telegram", account="main")])
        (thinking,) = await store.claim("worker", 1)
        moved = await desk.take(LI, thinking.conversation.id)
        (committed,) = await store.commit([decided(thinking, "still thinking then", direct=False)])
        assert committed.ok
        # The operator's own words go through the lane of operators, whose rows no fence holds back.
        await store.accept([said("please", user=str(CHAT), channel="telegram", account="main")])
        (claimed,) = await store.claim("worker", 1)
        assert claimed.conversation.fence == moved.fence
        await store.commit([decided(claimed, "a person here", lane=Lane.OPERATOR, direct=False)])
        async with asyncio.timeout(30):
            while await sender.run_once():
                pass
        heard = [shown.text for shown in telegram.user(CHAT).received]
        ends = await store.database.run(lambda conn: list(conn.execute(select(outbox.c.state))), read=True)
        assert await check(store.database) == []
    assert heard == ["told before", "a person here"]
    assert sorted(row.state for row in ends) == ["dropped", "dropped", "sent", "sent"]


async def turn(store: SqlStore, reply: str, **more: Any) -> None:
    await store.accept([said("hi", user=str(CHAT), channel="telegram", account="main")])
    (claimed,) = await store.claim("worker", 1)
    (done,) = await store.commit([decided(claimed, reply, direct=False, **more)])
    assert done.ok
