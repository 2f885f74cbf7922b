"""Roles as processes of their own, on PostgreSQL and Redis: the same guarantees, also when some of them die."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from tests.faults.harness import Scene, stage
from tests.faults.judge import query
from tests.faults.process import DeskProcess, run_to_end
from tests.faults.redis_server import OwnRedis

pytestmark = [pytest.mark.postgres, pytest.mark.redis]
STAFF = ("worker", "worker", "sender", "scheduler")


@asynccontextmanager
async def company(url: str, folder: Path, redis: OwnRedis) -> AsyncIterator[tuple[Scene, dict[str, DeskProcess]]]:
    """One web process, two workers, one sender, one scheduler; by name."""
    await redis.start()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(redis.stop)
        scene = await stack.enter_async_context(stage(url, folder, extra={"FRONTDESK_REDIS_URL": redis.url}))
        processes: dict[str, DeskProcess] = {}

        async def start(role: str, name: str) -> None:
            processes[name] = await DeskProcess.start(scene.desk.settings, folder, roles=role, name=name)

        try:
            await asyncio.gather(
                *(start(role, f"{role}-{index}") for index, role in enumerate(STAFF)), start("web", "web")
            )
            scene.desk.adopt(processes["web"])
            yield scene, processes
        finally:
            for process in processes.values():
                if process.is_running:
                    await process.kill()


@pytest.mark.slow
async def test_a_worker_dies_and_redis_goes_away_and_nothing_is_lost(
    postgres_desk_url: str, tmp_path: Path, redis_binary: str
) -> None:
    redis = OwnRedis(redis_binary, tmp_path)
    async with company(postgres_desk_url, tmp_path, redis) as (scene, processes):
        await scene.everybody_talks()
        await scene.until_everybody_is_answered()

        # A worker is killed from outside, another one dies with a conversation in its hands: the one that is left takes
        # it up when the lease is over.
        talking = asyncio.create_task(scene.everybody_talks())
        await processes.pop("worker-0").kill()
        await talking
        doomed = {**scene.desk.settings, "FRONTDESK_FAULT": "turn.thinking"}
        processes["doomed"] = await DeskProcess.start(doomed, tmp_path, roles="worker", name="doomed")
        while processes["doomed"].is_running:  # in rounds: a chat gets one reply a second, a heap would take minutes
            await scene.everybody_talks(1)
            await scene.until_everybody_is_answered()
        assert await processes.pop("doomed").until_dead(10) == -signal.SIGKILL
        await scene.until_everybody_is_answered()

        # Redis goes away in the middle: sweeps instead of signals, rate tokens from the store.
        talking = asyncio.create_task(scene.everybody_talks())
        await redis.stop()
        await talking
        await scene.everybody_talks(1)
        await scene.until_everybody_is_answered()

        # And comes back, empty.
        await redis.start()
        await scene.everybody_talks()
        await scene.until_everybody_is_answered()

        for process in processes.values():
            assert process.is_running, process.log()[-3000:]
            assert await process.stop() == 0, process.log()[-3000:]
        await scene.judge()
        assert await query(postgres_desk_url, "SELECT key FROM rate_buckets"), (
            "without Redis, the store gives the tokens"
        )


@pytest.mark.slow
async def test_a_sender_that_dies_between_call_and_answer_leaves_it_to_the_next_one(
    postgres_desk_url: str, tmp_path: Path, redis_binary: str
) -> None:
    redis = OwnRedis(redis_binary, tmp_path)
    async with company(postgres_desk_url, tmp_path, redis) as (scene, processes):
        await processes["sender-2"].stop()
        doomed = {**scene.desk.settings, "FRONTDESK_FAULT": "send.after_call"}
        sender = await DeskProcess.start(doomed, tmp_path, roles="sender", name="doomed")
        await scene.everybody_talks(1)
        assert await sender.until_dead(30) == -signal.SIGKILL, sender.log()[-3000:]
        await query(postgres_desk_url, "UPDATE outbox SET lease_until = now() WHERE state = 'sending'")
        processes["next"] = await DeskProcess.start(scene.desk.settings, tmp_path, roles="sender", name="next")
        await scene.until_everybody_is_answered()
        await scene.everybody_talks(1)
        await scene.until_everybody_is_answered()
        assert await processes["next"].stop() == 0
        await scene.judge()


async def test_roles_apart_are_refused_on_sqlite(sqlite_desk_url: str, tmp_path: Path) -> None:
    settings = {"FRONTDESK_DATABASE_URL": sqlite_desk_url}
    code, _, err = await run_to_end(["run", "--roles", "worker"], settings, tmp_path)
    assert code == 1
    assert "PostgreSQL" in err
    assert "Traceback" not in err


async def test_postgresql_without_a_secret_key_is_refused(postgres_desk_url: str, tmp_path: Path) -> None:
    settings = {"FRONTDESK_DATABASE_URL": postgres_desk_url}
    code, _, err = await run_to_end(["run", "--port", "0"], settings, tmp_path)
    assert code == 1
    assert "FRONTDESK_SECRET_KEY" in err
    assert postgres_desk_url not in err
