"""The learning loop of one process: outcomes are worked out, and candidates trained beside what serves.

A training is a row that any process may ask for and follow; one worker at a time does it, in a process of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

import orjson
import structlog
from sqlalchemy import Connection

from bot.assistant import Assistant
from bot.errors import BotError, ServiceError
from bot.ports import Clock
from config.settings import Settings
from crm_sync import models, outcomes, trainings
from crm_sync.conversation_tests import stored_tests
from crm_sync.store import SqlStore
from crm_sync.traffic import Spoken, recent
from crm_sync.trainings import Training
from desk.understanding import UNCLEAR_REASONS, learnt_examples
from frontdesk.assistant import load_assistant
from frontdesk.runtimes import training_hash

log = structlog.get_logger()

SWEEP_S: Final = 1.0
OUTCOMES_EVERY: Final = 30  # sweeps
LATELY: Final = 2000  # messages that a candidate is tried on
BEAT_S: Final = 5.0
TRAINING_FAILED: Final = "the training process ended without a candidate"


class Taught(Protocol):
    """What the loop needs of a loaded assistant."""

    @property
    def folder(self) -> Path: ...
    @property
    def assistant(self) -> Assistant: ...


class LearningLoop:
    """`taught`: the assistants of this process by name."""

    def __init__(
        self, store: SqlStore, clock: Clock, settings: Settings, taught: Callable[[], Mapping[str, Taught]]
    ) -> None:
        self._store, self._clock, self._settings, self._taught = store, clock, settings, taught
        self._worker = f"learn-{secrets.token_hex(4)}"

    async def run(self) -> None:
        """For ever; survives a store that is away."""
        sweep = 0
        while True:
            try:
                if sweep % OUTCOMES_EVERY == 0:
                    await self.work_out_outcomes()
                await self.run_once()
            except ServiceError as error:
                log.warning("learning_store_failed", error=type(error).__name__)
            sweep += 1
            await asyncio.sleep(SWEEP_S)

    async def work_out_outcomes(self) -> int:
        """Everything that turned out since the last time is kept; how many turns were looked at for good."""
        done = 0
        while step := await self._store.database.run(
            lambda conn: outcomes.step(conn, self._clock.now()), durable=False
        ):
            done += step
        note = partial(outcomes.note_handovers, reasons=UNCLEAR_REASONS, now=self._clock.now())
        await self._store.database.run(note, durable=False)
        return done

    async def run_once(self) -> bool:
        """One training is done, if any waits; False when none does."""
        if not await self._store.database.run(trainings.is_any_open, read=True):
            return False
        taken = await self._store.database.run(lambda conn: trainings.take(conn, self._worker, self._clock.now()))
        if taken is None:
            return False
        log.info("training_started", training_id=taken.id, assistant=taken.assistant)
        try:
            await self._train(taken)
        except BotError as error:
            if isinstance(error, ServiceError):
                log.warning("training_broke_off", training_id=taken.id, error=type(error).__name__)
            await self._end(taken, trainings.FAILED, reason=str(error)[:500])
        return True

    async def _train(self, training: Training) -> None:
        taught = self._taught().get(training.assistant)
        active = await self._store.active_model(training.assistant)
        if taught is None or active is None:
            await self._end(training, trainings.FAILED, reason=f"no assistant {training.assistant} is loaded here")
            return
        gather = partial(_gather, name=training.assistant)
        heard, learnt, tests = await self._store.database.run(gather, read=True)
        cache = self._settings.nlu.model_dir
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix="candidate-") as out:
            served = Path(out) / "baseline.zip"
            served.write_bytes(active.packed)
            document = {
                "folder": str(taught.folder.resolve()),
                "timezone": self._settings.timezone,
                "language": self._settings.language,
                "model_dir": str(cache.resolve()),
                "baseline": str(served.resolve()),
                "baseline_version": active.version,
                "accept": taught.assistant.tuning.accept,
                "learnt": learnt,
                "heard": [_heard(each, taught.assistant) for each in heard],
                "transcripts": tests,
            }
            comparison = await self._in_a_process(training, document, out)
            if comparison is None:
                return
            packed = await asyncio.to_thread((Path(out) / "model.zip").read_bytes)
        version = str(comparison["version"])
        await self._store.put_model(
            training.assistant, version, packed,
            training_hash=await asyncio.to_thread(training_hash, taught.folder), manifest={"learnt": learnt},
        )  # fmt: skip
        await self._end(
            training, trainings.DONE, step="", progress=1.0, baseline=active.version, candidate=version,
            comparison=comparison,
        )  # fmt: skip
        await self._store.database.run(lambda conn: models.prune(conn, training.assistant, keep=[version]))
        log.info("training_done", training_id=training.id, assistant=training.assistant, candidate=version)

    async def _in_a_process(self, training: Training, document: Mapping[str, Any], out: str) -> dict[str, Any] | None:
        """The comparison; None when the training was taken back meanwhile. Raises: TrainingFailed."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "frontdesk.candidate", out,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            limit=64_000_000,
        )  # fmt: skip
        said = _Said()
        reading = asyncio.gather(
            said.follow(process.stdout), said.complaints(process.stderr), _hand_over(process.stdin, document)
        )
        try:
            while True:
                finished, _ = await asyncio.wait({reading}, timeout=BEAT_S if said.is_quiet() else 0.5)
                beat = partial(
                    trainings.beat, training_id=training.id, worker=self._worker, step=said.step,
                    progress=said.progress, now=self._clock.now(),
                )  # fmt: skip
                if not await self._store.database.run(beat, durable=False):
                    return None
                if finished:
                    break
            await reading
            if await process.wait() != 0 or said.comparison is None:
                raise TrainingFailed(said.complaint or TRAINING_FAILED)
            return said.comparison
        finally:
            reading.cancel()
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _end(self, training: Training, state: str, **columns: Any) -> None:
        end = partial(trainings.end, training_id=training.id, state=state, now=self._clock.now(), **columns)
        await self._store.database.run(end)


class TrainingFailed(BotError):
    """The training said why."""


class _Said:
    """What the training process has said so far."""

    def __init__(self) -> None:
        self.step, self.progress, self.complaint = "reading", 0.0, ""
        self.comparison: dict[str, Any] | None = None
        self._seen = -1.0

    def is_quiet(self) -> bool:
        """Nothing was heard since the last look."""
        quiet, self._seen = self.progress == self._seen, self.progress
        return quiet

    async def follow(self, stream: asyncio.StreamReader | None) -> None:
        while stream is not None and (line := await stream.readline()):
            said = orjson.loads(line)
            if "done" in said:
                self.comparison = said["done"]
            else:
                self.step, self.progress = said["step"], said["progress"]

    async def complaints(self, stream: asyncio.StreamReader | None) -> None:
        """The last sentence is the reason; what a library warned of before is not."""
        while stream is not None and (line := await stream.readline()):
            self.complaint = line.decode("utf-8", "replace").strip() or self.complaint


async def _hand_over(stream: asyncio.StreamWriter | None, document: Mapping[str, Any]) -> None:
    if stream is None:
        return
    with contextlib.suppress(ConnectionError):  # it ended already, and says why
        stream.write(orjson.dumps(document, default=str))
        await stream.drain()
    stream.close()


def _gather(conn: Connection, name: str) -> tuple[list[Spoken], list[tuple[str, str]], list[Mapping[str, Any]]]:
    """What a candidate is trained and tried on: messages, labelled examples, tests made from conversations."""
    return (
        recent(conn, LATELY),
        learnt_examples(conn),
        [test.document for test in stored_tests(conn, name)],
    )


def _heard(spoken: Spoken, assistant: Assistant) -> dict[str, Any]:
    truth = spoken.truth if spoken.truth in assistant.intents else ""
    return {
        "id": spoken.inbox_id,
        "text": spoken.text,
        "truth": truth,
        "is_learnt": bool(spoken.label),
        "acted_on": spoken.intent,
        "engine": spoken.engine,
    }


@dataclass(frozen=True, slots=True)
class AtHome:
    """An assistant read from its folder, for a command that trains without a running desk. Implements `Taught`."""

    folder: Path
    assistant: Assistant

    @classmethod
    def of(cls, folder: Path) -> AtHome:
        """Raises: AssistantInvalid."""
        return cls(folder, load_assistant(folder))
