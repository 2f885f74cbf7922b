"""The connection breaks after the vendor carried a send out: repeated once, marked, and never a third time."""

from __future__ import annotations

from pathlib import Path

import pytest

from channels.simulators.faults import Fault
from tests.faults.harness import stage
from tests.faults.judge import query


@pytest.mark.slow
async def test_a_reply_whose_answer_is_lost_twice_is_seen_twice_and_left_uncertain(
    sqlite_desk_url: str, tmp_path: Path
) -> None:
    async with stage(sqlite_desk_url, tmp_path, visitors=0, texters=1) as scene:
        (user,) = scene.texters
        scene.simulator.faults.plan(Fault("drop_answer", method="sendMessage", times=2))
        await scene.desk.start()
        user.say("ticket 50001")
        user.say("ticket 50002")  # waits behind the first one until that is settled, and then leaves
        await scene.until_everybody_is_answered()
        await scene.desk.stop()
        assert await scene.check() == (0, [])
        assert user.replies == ["Ticket 50001 is noted."] * 2 + ["Ticket 50002 is noted."]
        rows = await query(sqlite_desk_url, "SELECT state, maybe_repeated, attempts FROM outbox ORDER BY id")
        assert rows == [("uncertain", 1, 2), ("sent", 0, 1)]


async def test_a_call_that_never_arrived_is_tried_again_without_a_mark(sqlite_desk_url: str, tmp_path: Path) -> None:
    async with stage(sqlite_desk_url, tmp_path, visitors=0, texters=1) as scene:
        (user,) = scene.texters
        scene.simulator.faults.plan(Fault("error_503", method="sendMessage", times=1))
        await scene.desk.start()
        user.say("ticket 50003")
        await scene.until_everybody_is_answered()
        await scene.desk.stop()
        await scene.judge()
        assert await query(sqlite_desk_url, "SELECT state, maybe_repeated, attempts FROM outbox") == [("sent", 0, 2)]
