"""The process dies while WeChat waits for its answer: delivered again, and the follower reads the reply once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from channels.simulators.wechat import WechatSimulator
from tests.faults.harness import basic_settings
from tests.faults.judge import query
from tests.faults.process import Desk

# Where it dies -> how often the reply is seen. Flushed and not written down, nobody can know that it was: said again.
POINTS = {
    "inbox.after_commit": 1,
    "turn.before_commit": 1,
    "turn.after_commit": 1,
    "passive.taken": 1,
    "outbox.before_finish": 2,
}


@pytest.mark.slow
@pytest.mark.parametrize("point", list(POINTS))
async def test_a_reply_in_wechats_own_request_survives_a_death(
    sqlite_desk_url: str, tmp_path: Path, point: str
) -> None:
    revived = asyncio.Event()

    async def until_revived(_: float) -> None:
        await revived.wait()  # WeChat tries again, and finds the desk that was started meanwhile

    async with WechatSimulator(sleep=until_revived) as simulator:
        account = {
            f"FRONTDESK_CHANNELS__WECHAT__MAIN__{name.upper()}": str(value)
            for name, value in simulator.settings().items()
        }
        desk = Desk({**basic_settings(sqlite_desk_url), **account}, tmp_path)

        async def start(fault: str = "") -> None:
            await desk.start(fault)
            simulator.callbacks.url = f"{await desk.url()}/channels/wechat/main"

        await start(point)
        simulator.account.write("o1", "ticket 50001")
        await desk.until_killed(30)
        await start()
        revived.set()
        follower = simulator.account.follower("o1")
        assert await simulator.account.pulse.until(lambda: bool(follower.received), 30)
        await simulator.callbacks.settled()
        async with asyncio.timeout(60):
            while True:
                if await query(sqlite_desk_url, "SELECT state FROM outbox") == [("sent",)]:
                    break
                await asyncio.sleep(0.1)
        await desk.stop()

    assert [shown.text for shown in follower.received] == ["Ticket 50001 is noted."] * POINTS[point]
    assert await query(sqlite_desk_url, "SELECT count(*) FROM turns") == [(1,)]
    if POINTS[point] > 1:
        assert await query(sqlite_desk_url, "SELECT maybe_repeated FROM outbox") == [(1,)]
