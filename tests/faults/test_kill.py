"""SIGKILL at every named point, on both databases, while browsers and Telegram users talk: nothing lost or doubled."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from frontdesk.faults import MESSAGE_POINTS
from tests.faults.customers import numbers_in
from tests.faults.harness import stage
from tests.faults.judge import end_leases, query, repeated_numbers

UNCERTAIN = {"send.after_call", "outbox.before_finish"}  # the vendor was called, its answer was not stored
STORES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]
# On the way in up to the turn, and from the turn on the way out: each point's death hits what the one before left.
WAY_IN, WAY_OUT = MESSAGE_POINTS[:7], MESSAGE_POINTS[7:]
# One poll takes all updates that wait, so a scene may confirm only once.
PASSED_AGAIN = [point for point in MESSAGE_POINTS if point != "telegram.before_confirm"]


@pytest.mark.slow
@pytest.mark.parametrize("desk_url", STORES, indirect=True)
@pytest.mark.parametrize("point", MESSAGE_POINTS)
async def test_killed_at_a_point_everything_acknowledged_is_answered_once_and_in_order(
    desk_url: str, tmp_path: Path, point: str
) -> None:
    await killed_and_restarted(desk_url, tmp_path, [point])


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "points",
    [
        pytest.param(["inbox.after_commit", "turn.before_commit"], id="everyday"),
        pytest.param(WAY_IN, id="way in", marks=pytest.mark.slow),
        pytest.param(WAY_OUT, id="way out", marks=pytest.mark.slow),
    ],
)
async def test_killed_at_one_point_after_the_other(sqlite_desk_url: str, tmp_path: Path, points: list[str]) -> None:
    await killed_and_restarted(sqlite_desk_url, tmp_path, points, messages=1)


@pytest.mark.slow
async def test_killed_again_right_after_each_restart(sqlite_desk_url: str, tmp_path: Path) -> None:
    points = ["turn.before_commit:2", "claim.after_commit", "outbox.claimed"]
    await killed_and_restarted(sqlite_desk_url, tmp_path, points)


@pytest.mark.slow
@pytest.mark.parametrize("desk_url", STORES, indirect=True)
@pytest.mark.parametrize("point", PASSED_AGAIN)
async def test_killed_at_a_later_pass(desk_url: str, tmp_path: Path, point: str) -> None:
    await killed_and_restarted(desk_url, tmp_path, [f"{point}:2"], messages=5)


async def killed_and_restarted(url: str, folder: Path, faults: Sequence[str], *, messages: int = 3) -> None:
    async with stage(url, folder) as scene:
        talking = []
        for fault in faults:
            await scene.desk.start(fault=fault)
            talking.append(asyncio.create_task(scene.everybody_talks(messages)))
            await scene.desk.until_killed(within_s=30)
            await end_leases(url)
        await scene.desk.start()
        await asyncio.gather(*talking)
        await asyncio.gather(*(visitor.until_answered(40) for visitor in scene.visitors))
        await scene.until_settled()
        await scene.desk.stop()
        await scene.judge(deaths=len(faults))
        if {fault.partition(":")[0] for fault in faults} & UNCERTAIN:
            # The policy really was needed: somebody got a reply twice, and the store says that it may be so.
            repeated = repeated_numbers(scene.texters)
            rows = await query(
                url, "SELECT m.text FROM outbox o JOIN messages m ON m.id = o.message_id WHERE o.maybe_repeated"
            )
            # In a chain of deaths the second copy may be the one that died, too: then nobody saw it twice.
            assert repeated or len(faults) > 1
            assert rows
            assert repeated <= set(numbers_in([text for (text,) in rows]))
