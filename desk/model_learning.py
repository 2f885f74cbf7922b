"""The model learns from what staff have labelled: a candidate is trained beside it, compared, promoted or left.

What serves goes on serving until somebody promotes, and every process follows within a second; a message that is being
understood meanwhile is answered by whichever model it began with.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from sqlalchemy import Connection

from bot.errors import InputError, NotFound, RuleError
from bot.ports import Clock
from crm_sync import models, trainings, unclear
from crm_sync.database import Database
from crm_sync.models import Activation
from crm_sync.traffic import Spoken, of_messages
from crm_sync.trainings import Training
from desk import audit
from desk.actors import Actor
from desk.library import AssistantLibrary

LISTED = 100


@dataclass(frozen=True, slots=True)
class Learning:
    """How far an assistant is. `active`: version that serves; `labels`: what there is to learn from, by intent."""

    active: str
    newest: Training | None  # the last one asked for
    candidate: Training | None  # the last one with a candidate, where that does not serve already
    activations: tuple[Activation, ...]
    labels: int

    @property
    def previous(self) -> str:
        """What a rollback goes back to; "" for nothing."""
        return self.activations[0].previous if self.activations and self.activations[0].version == self.active else ""


@dataclass(frozen=True, slots=True)
class Difference:
    """One message, before and after. `spoken`: None where its words are gone."""

    inbox_id: int
    verdict: str
    before: tuple[str, float]
    after: tuple[str, float]
    truth: str
    is_learnt: bool
    spoken: Spoken | None


class ModelDesk:
    """Each change is one transaction."""

    def __init__(self, database: Database, library: AssistantLibrary, clock: Clock) -> None:
        self._database, self._library, self._clock = database, library, clock

    async def state(self, actor: Actor, assistant: str) -> Learning:
        """Raises: NotPermitted, NotFound."""
        actor.require("understanding.read")
        self._library.assistant(assistant)
        return await self._database.run(partial(_state, assistant=assistant), read=True)

    async def train(self, actor: Actor, assistant: str) -> Training:
        """A candidate is trained in the background; the one that is waiting or under way already, if any.

        Raises: NotPermitted, NotFound.
        """
        actor.require("understanding.train")
        self._library.assistant(assistant)
        now = self._clock.now()
        return await self._database.run(lambda conn: trainings.ask(conn, assistant, actor.name, now))

    async def stop(self, actor: Actor, assistant: str) -> None:
        """The training that waits or is under way is given up. Raises: NotPermitted, NotFound when there is none."""
        actor.require("understanding.train")
        now = self._clock.now()

        def unit(conn: Connection) -> bool:
            newest = trainings.newest(conn, assistant)
            return newest is not None and trainings.end(conn, newest.id, trainings.CANCELLED, now)

        if not await self._database.run(unit):
            raise NotFound("no training is under way")

    async def differences(
        self, actor: Actor, assistant: str, training_id: int, verdict: str = "", *, limit: int = LISTED
    ) -> list[Difference]:
        """What the candidate takes otherwise, message by message, what matters most first.

        Raises: NotPermitted, NotFound.
        """
        actor.require("understanding.read")

        def unit(conn: Connection) -> list[Difference]:
            training = trainings.find(conn, training_id)
            if training is None or training.assistant != assistant:
                raise NotFound(f"there is no training {training_id}")
            rows = [row for row in training.comparison.get("rows", ()) if not verdict or row["verdict"] == verdict][
                :limit
            ]
            words = of_messages(conn, [row["id"] for row in rows])
            return [
                Difference(
                    row["id"], row["verdict"], (row["before"][0], row["before"][1]),
                    (row["after"][0], row["after"][1]), row["truth"], row["learnt"], words.get(row["id"]),
                )
                for row in rows
            ]  # fmt: skip

        return await self._database.run(unit, read=True)

    async def promote(self, actor: Actor, assistant: str, version: str, *, seen: str) -> None:
        """The candidate serves everywhere within a second. `seen`: the version that served when it was looked at.

        Raises: NotPermitted, NotFound, StaleState when another one serves by now, InputError for a model that cannot be
        read here (of another version of Frontdesk, or damaged).
        """
        await self._activate(actor, assistant, version, seen=seen, action="model.promote")

    async def roll_back(self, actor: Actor, assistant: str, *, seen: str) -> str:
        """The version that served before serves again: which. Raises: as `promote`, RuleError when there was none."""
        actor.require("understanding.train")
        state = await self.state(actor, assistant)
        if not state.previous:
            raise RuleError("no other model has served before")
        await self._activate(actor, assistant, state.previous, seen=seen, action="model.roll_back")
        return state.previous

    async def _activate(self, actor: Actor, assistant: str, version: str, *, seen: str, action: str) -> None:
        actor.require("understanding.train")
        found = await self._database.run(lambda conn: models.find_version(conn, assistant, version), read=True)
        if found is None:
            raise NotFound(f"there is no version {version} of the model")
        reason = await self._library.why_unreadable(found.packed)
        if reason:
            raise InputError(f"version {version} {reason}")
        files, now = await self._library.files_hash(assistant), self._clock.now()

        def unit(conn: Connection) -> None:
            models.activate(conn, assistant, version, now, by=actor.name, training_hash=files, seen=seen)
            details = {"version": version, "before": seen}
            audit.record(conn, actor, action, f"model:{assistant}", details, now=now)

        await self._database.run(unit)


def _state(conn: Connection, assistant: str) -> Learning:
    active = models.active_version(conn, assistant)
    done = trainings.newest_done(conn, assistant)
    learnt = {intent: count for intent, count in unclear.label_counts(conn).items() if intent}
    return Learning(
        active,
        trainings.newest(conn, assistant),
        done if done is not None and done.candidate != active else None,
        tuple(models.activations(conn, assistant)),
        sum(learnt.values()),
    )
