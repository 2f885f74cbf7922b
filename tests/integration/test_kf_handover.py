"""Customers handed to a person reach WeCom's people, and a person there silences the bot; on the real store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import select

from bot.types import RequestHandoff
from channels.simulators.faults import Fault
from channels.simulators.wecom import OPEN_KFID
from channels.simulators.wecom_world import BOT, CLOSED, NEW, POOL, SERVICER
from channels.wecom import KfHandover, KfPuller
from crm_sync.store import SqlStore
from crm_sync.tables import conversations, handoffs
from frontdesk.kits.wecom import StoreHandovers
from tests.store_steps import said, send_all, take_turn
from tests.wecom_company import World, a_world


class Desk:
    def __init__(self, world: World, store: SqlStore) -> None:
        self.world, self.store = world, store
        self.people = StoreHandovers(store, "main")
        self.handover = KfHandover(
            world.kf, self.people, store, sleep=world.clock.sleep, monotonic=world.clock.monotonic
        )
        self.puller = KfPuller(world.kf, store, store, self.people, monotonic=world.clock.monotonic)

    async def ask_for_a_person(self) -> None:
        self.world.company.write(OPEN_KFID, "wm1", content="a person!")
        where = {"channel": "kf", "account": "main", "user": "wm1", "topic": OPEN_KFID}
        await self.store.accept([said("a person!", **where)])
        await take_turn(self.store, "one moment", effects=(RequestHandoff("asked"),))
        await send_all(self.store)

    @property
    def session(self) -> Any:
        return self.world.company.session(OPEN_KFID, "wm1")

    async def owner(self) -> str:
        row = await self.store.database.run(lambda conn: conn.execute(select(conversations)).one(), read=True)
        return str(row.owner)

    async def handoff(self) -> Any:
        return await self.store.database.run(lambda conn: conn.execute(select(handoffs)).one(), read=True)


@pytest.fixture
async def desk(sqlite_url: str) -> AsyncIterator[Desk]:
    store = await SqlStore.open(sqlite_url)
    async with a_world() as world:
        yield Desk(world, store)
    await store.close()


async def test_whoever_asks_for_a_person_waits_in_wecoms_queue(desk: Desk) -> None:
    await desk.ask_for_a_person()

    assert await desk.handover.run_once() == 1

    assert desk.session.state == POOL
    assert await desk.owner() == "queue"
    assert (await desk.handoff()).passed_on_at is not None
    assert await desk.handover.run_once() == 0


async def test_a_named_colleague_gets_the_session_and_the_bot_is_silent(desk: Desk) -> None:
    desk.world.company.servicers["zhangsan"] = True
    desk.world.connection.settings = desk.world.connection.settings.model_copy(
        update={"kf_handoff": "servicer", "kf_servicer": "zhangsan"}
    )
    await desk.ask_for_a_person()

    await desk.handover.run_once()

    assert (desk.session.state, desk.session.servicer) == (SERVICER, "zhangsan")
    assert await desk.owner() == "operator"


@pytest.mark.parametrize("servicer", ["nobody", "lisi"])
async def test_a_colleague_who_takes_no_sessions_now_leaves_the_queue(desk: Desk, servicer: str) -> None:
    """Neither one who never takes any (95014) nor one who has paused (95019)."""
    desk.world.company.servicers["lisi"] = False
    desk.world.connection.settings = desk.world.connection.settings.model_copy(
        update={"kf_handoff": "servicer", "kf_servicer": servicer}
    )
    await desk.ask_for_a_person()

    await desk.handover.run_once()

    assert desk.session.state == POOL


async def test_a_session_a_colleague_has_already_is_passed_on_as_it_is(desk: Desk) -> None:
    await desk.ask_for_a_person()
    desk.session.state, desk.session.servicer = SERVICER, "zhangsan"

    assert await desk.handover.run_once() == 1

    assert await desk.owner() == "operator"
    assert (await desk.handoff()).ended_by == "kf:zhangsan"


async def test_a_session_that_is_over_is_the_bots_again(desk: Desk) -> None:
    await desk.ask_for_a_person()
    desk.session.state = CLOSED

    await desk.handover.run_once()

    assert await desk.owner() == "bot"


async def test_what_wecom_takes_nowhere_waits_here_and_is_tried_again_a_minute_later(desk: Desk) -> None:
    await desk.ask_for_a_person()
    desk.world.simulator.faults.plan(Fault("errcode", method="kf/service_state/trans", code=95016, times=2))

    assert await desk.handover.run_once() == 0
    assert await desk.owner() == "queue"
    assert await desk.handover.run_once() == 0
    assert len(desk.world.simulator.ledger.entries("call", method="kf/service_state/trans")) == 1

    desk.world.simulator.faults.clear()
    desk.world.clock.elapsed_s += 61
    assert await desk.handover.run_once() == 1
    assert desk.session.state == POOL


async def test_a_session_that_ran_out_with_people_is_the_bots_when_the_customer_returns(desk: Desk) -> None:
    await desk.ask_for_a_person()
    await desk.handover.run_once()
    desk.world.clock.elapsed_s += 49 * 3600  # nobody took it; the session ended, and no event says so
    desk.world.company.write(OPEN_KFID, "wm1", content="hello again")
    assert desk.session.state == NEW

    await desk.puller.pull(OPEN_KFID)

    assert await desk.owner() == "bot"


async def test_a_second_handoff_that_still_waits_here_is_not_taken_for_the_first(desk: Desk) -> None:
    await desk.ask_for_a_person()
    await desk.handover.run_once()
    desk.world.company.take(OPEN_KFID, "wm1", "zhangsan")
    desk.world.company.finish(OPEN_KFID, "wm1")
    await desk.puller.pull(OPEN_KFID)
    assert await desk.owner() == "bot"
    await desk.ask_for_a_person()

    desk.world.company.write(OPEN_KFID, "wm1", content="hello?")  # before it could be passed on
    await desk.puller.pull(OPEN_KFID)

    assert await desk.owner() == "queue"
    assert await desk.handover.run_once() == 1


async def test_the_vendors_events_move_the_owner_there_and_back(desk: Desk) -> None:
    company = desk.world.company
    company.write(OPEN_KFID, "wm1", content="hi")
    company.take(OPEN_KFID, "wm1", "zhangsan")
    await desk.puller.pull(OPEN_KFID)
    assert await desk.owner() == "operator"

    company.finish(OPEN_KFID, "wm1")
    await desk.puller.pull(OPEN_KFID)
    assert await desk.owner() == "bot"


async def test_a_person_of_our_own_is_not_overruled_by_a_session_that_is_the_bots_at_wecom(desk: Desk) -> None:
    """Staff in Frontdesk answer through the API: for WeCom that is the bot's session."""
    await desk.ask_for_a_person()  # not passed on: KF_HANDOFF=console
    desk.session.state = BOT
    desk.world.company.write(OPEN_KFID, "wm1", content="are you there?")

    await desk.puller.pull(OPEN_KFID)

    assert await desk.owner() == "queue"
