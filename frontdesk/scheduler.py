"""The scheduler role: what is due is done, each thing once, with any number of schedulers.

Timers and clocks are rows; a scheduler claims those that are due inside the transaction that does them. Work that takes
longer than a transaction should (a night's figures) is a periodic job, which holds up nothing that is due meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby
from types import MappingProxyType
from typing import Any, Protocol

import structlog
from sqlalchemy import Connection

from bot.assistant import Assistant
from bot.errors import ServiceError
from bot.ports import TOPIC_INBOX, TOPIC_TIMERS, Clock, Signals
from bot.service.escalation import move_on
from bot.service.policy import ServicePolicy
from bot.service.promises import clock_of, due
from bot.types import CustomerId
from bot.wakeup import Wakeup
from crm_sync import erasure, handovers, merge_evidence, merge_sweep, notices, own_news, record, subscriptions, timers
from crm_sync.appointments import END_KIND
from crm_sync.due_clocks import DueClock, Step, Task, is_clock_due, recount, step_due
from crm_sync.store import SqlStore
from crm_sync.timers import Timer
from desk import appointments, assigning, surveys
from desk.live import tell
from frontdesk.caring import nightly
from frontdesk.due_reminders import remind_of_dues
from frontdesk.outside_work import OutsideJobs, OutsideWork
from frontdesk.periodic import RENEW_S, Periodic, PeriodicJobs

log = structlog.get_logger()

BATCH = 200  # timers or clocks in one transaction: a few tens of milliseconds
SWEEP_S = 1.0


Hint = tuple[str, Mapping[str, Any]]  # topic and payload of a signal


@dataclass(frozen=True, slots=True)
class Context:
    """What a handler may know beside its timers."""

    now: datetime
    policy: ServicePolicy
    assistant: Assistant
    hints: list[Hint] = field(default_factory=list)  # published once what the handlers did is committed


class TimerHandler(Protocol):
    def __call__(self, conn: Connection, due: list[Timer], context: Context) -> list[Timer]:
        """Does all of them (one kind, in order) in this transaction; returns those that nobody can do now."""
        ...


def hand_out_notices(conn: Connection, due: list[Timer], context: Context) -> list[Timer]:
    return notices.hand_out(conn, due, context.now)


def release_waiting(conn: Connection, due: list[Timer], context: Context) -> list[Timer]:
    handovers.release_waiting(conn, [timer.case_id for timer in due if timer.case_id is not None], context.now)
    return []


def erase_people(conn: Connection, due: list[Timer], context: Context) -> list[Timer]:
    """Whoever wanted to be forgotten and has not changed their mind is; their files go with the next housekeeping."""
    for timer in due:
        if timer.customer_id is not None:
            erasure.erase(conn, CustomerId(timer.customer_id), context.now)
    return []


def by_time(work: Callable[[Connection, Sequence[Timer], datetime], None]) -> TimerHandler:
    """A handler that needs only the time, and does everything that is due."""

    def handle(conn: Connection, due: list[Timer], context: Context) -> list[Timer]:
        work(conn, due, context.now)
        return []

    return handle


def by_desk(work: Callable[[Connection, Sequence[Timer], ServicePolicy, datetime], None]) -> TimerHandler:
    """A handler of the desk: it needs the rules and the time, and does everything that is due."""

    def handle(conn: Connection, due: list[Timer], context: Context) -> list[Timer]:
        work(conn, due, context.policy, context.now)
        return []

    return handle


async def propose_same_people(store: SqlStore, context: Context) -> None:
    log.info("same_people_proposed", pairs=await merge_sweep.propose_all(store.database, context.now))


def find_same_people(conn: Connection, due: list[Timer], context: Context) -> list[Timer]:
    """People whose number somebody else has too are merged, or proposed to staff."""
    for timer in due:
        if timer.customer_id is not None:
            merge_evidence.check(conn, timer.customer_id, context.now)
    return []


# By kind of timer and by name: listed by hand, nothing is found by scanning.
TIMER_HANDLERS: Mapping[str, TimerHandler] = {
    handovers.RELEASE: release_waiting,
    notices.KIND: hand_out_notices,
    END_KIND: by_desk(appointments.end_passed),
    subscriptions.KIND: by_time(subscriptions.hand_out),
    own_news.KIND: by_time(own_news.hand_out),
    record.ERASURE: erase_people,
    surveys.ASK_CASE: by_desk(surveys.ask_about_cases),
    surveys.CLOSE_CASE: by_desk(surveys.close_cases),
    surveys.SURVEY: by_desk(surveys.send_surveys),
    merge_evidence.CHECK: find_same_people,
}
PERIODIC: tuple[Periodic, ...] = (
    Periodic("due_reminders", timedelta(hours=1), remind_of_dues),
    Periodic("values_and_care", timedelta(days=1), nightly),
    Periodic("same_people", timedelta(days=1), propose_same_people),
)


def what_is_due(conn: Connection, *, context: Context) -> tuple[bool, bool]:
    """Whether a timer or clock is, and whether a conversation is to change hands."""
    is_time = timers.is_due(conn, context.now) or is_clock_due(conn, context.now)
    return is_time, assigning.is_due(conn, context.policy, context.now)


class Scheduler:
    """One of possibly several; holds nothing that matters. `policy`: the desk's rules; None: those of `assistant`."""

    def __init__(
        self,
        store: SqlStore,
        signals: Signals,
        clock: Clock,
        assistant: Callable[[], Assistant],
        *,
        policy: Callable[[], ServicePolicy] | None = None,
        handlers: Mapping[str, TimerHandler] = TIMER_HANDLERS,
        periodic: tuple[Periodic, ...] = PERIODIC,
        outside: Mapping[str, OutsideWork] = MappingProxyType({}),
        renew_s: float = RENEW_S,
        fault: Callable[[str], None] = lambda point: None,
    ) -> None:
        self._store, self._signals, self._clock, self._assistant = store, signals, clock, assistant
        self._policy = policy or (lambda: assistant().service)
        self._handlers, self._fault = handlers, fault
        self._jobs = PeriodicJobs(store, clock, periodic, renew_s=renew_s)
        self._outside = OutsideJobs(store, clock, outside)
        self._counted_for: ServicePolicy | None = None

    async def run(self) -> None:
        """Do what is due, for ever; survives a store that is away."""
        await self.plan_periodic()
        try:
            with Wakeup(self._signals, TOPIC_TIMERS) as wakeup:
                while True:
                    try:
                        busy = await self.run_once()
                    except ServiceError as error:
                        log.warning("scheduler_store_failed", error=type(error).__name__)
                        busy = 0
                    if not busy:
                        await wakeup.wait(SWEEP_S)
        finally:
            await self._jobs.stop()
            await self._outside.stop()

    async def run_once(self) -> int:
        """One batch of what is due now; how much there was. Periodic jobs among it are begun."""
        context = self._context()
        if self._counted_for is not None and self._counted_for != context.policy:
            await self._recount(context)
        self._counted_for = context.policy
        # Nearly always nothing is due: a look that writes nothing holds up nobody's turn.
        look = partial(what_is_due, context=context)
        is_time, is_somebodys_turn = await self._store.database.run(look, read=True)
        done = await self._do_timers(context) + await self._do_clocks(context) if is_time else 0
        return done + (await self._look_after_handoffs(context) if is_somebodys_turn else 0)

    async def plan_periodic(self) -> None:
        """Every periodic job is planned; one that was planned before keeps its time."""
        await self._jobs.plan()

    async def do_periodic_jobs(self) -> None:
        """Every periodic job is done now, whenever it is planned: where time jumps, as in transcripts."""
        await self._jobs.do_all(self._context())

    async def settle(self) -> None:
        """Everything due now is done, what follows from it at once too."""
        while await self.run_once():
            await self._jobs.until_idle()
            await self._outside.until_idle()

    def _context(self) -> Context:
        return Context(self._clock.now(), self._policy(), self._assistant())

    async def _look_after_handoffs(self, context: Context) -> int:
        """Leases, silences and the queue, as the rules say; consoles hear of each conversation that moved."""
        unit = partial(assigning.step, policy=context.policy, now=context.now)
        stepped = await self._store.database.run(unit)
        for moved in stepped:
            tell(self._signals, moved.conversation_id, "owner")
        return len(stepped)

    # --- timers -------------------------------------------------------------------------------------------------

    async def _do_timers(self, context: Context) -> int:
        try:
            found = await self._store.database.run(partial(self._batch, context))
        except ServiceError:
            raise
        except Exception as error:  # noqa: BLE001 - one broken timer must not stop the others: found one by one
            log.warning("timers_failed_together", error=type(error).__name__)
            context.hints.clear()
            found = await self._one_by_one(context)
        self._fault("scheduler.after_commit")
        for topic, payload in context.hints:
            self._signals.publish(topic, payload)
        if any(timer.kind == notices.KIND for timer in found):
            self._signals.publish(TOPIC_INBOX)
        for timer in found:
            if timer.kind in self._jobs:
                self._jobs.begin(timer, context)
        self._outside.begin([timer for timer in found if timer.kind in self._outside], context)
        return len(found)

    def _batch(self, context: Context, conn: Connection) -> list[Timer]:
        """The timers that were due and are done."""
        found = timers.due(conn, context.now, BATCH)
        for kind, group in groupby(found, key=lambda timer: timer.kind):
            self._do(conn, kind, list(group), context)
        return found

    def _do(self, conn: Connection, kind: str, group: list[Timer], context: Context) -> None:
        if kind in self._jobs:
            self._jobs.lease(conn, group, context.now)
            return
        if kind in self._outside:
            self._outside.lease(conn, group, context.now)
            return
        handler = self._handlers.get(kind)
        undone = group if handler is None else handler(conn, group, context)
        reason = f"nobody here knows timers of kind {kind}" if handler is None else "nobody can be told now"
        for timer in undone:
            timers.failed(conn, timer, reason, context.now)
        left = {timer.id for timer in undone}
        timers.done(conn, [timer.id for timer in group if timer.id not in left], context.now)

    async def _one_by_one(self, context: Context) -> list[Timer]:
        """As a batch, each timer in a transaction of its own; those that fail come back later."""
        seen: list[Timer] = []
        found = await self._store.database.run(lambda conn: timers.due(conn, context.now, BATCH))
        for timer in found:
            try:
                seen += await self._store.database.run(partial(self._only, timer, context))
            except ServiceError:
                raise
            except Exception as error:  # noqa: BLE001 - kept with its reason, tried again, shown to staff
                log.error("timer_failed", timer_id=timer.id, kind=timer.kind, error=type(error).__name__)
                aside = partial(timers.failed, timer=timer, reason=type(error).__name__, now=context.now)
                await self._store.database.run(aside)
                seen.append(timer)
        return seen

    def _only(self, timer: Timer, context: Context, conn: Connection) -> list[Timer]:
        if not timers.hold(conn, timer.id, context.now):
            return []  # done by somebody else meanwhile
        self._do(conn, timer.kind, [timer], context)
        return [timer]

    # --- clocks -------------------------------------------------------------------------------------------------

    async def _do_clocks(self, context: Context) -> int:
        return await self._store.database.run(
            lambda conn: step_due(conn, context.now, BATCH, partial(decide_step, context=context))
        )

    async def _recount(self, context: Context) -> None:
        """The rules have changed: every running clock gets its times anew."""
        after: int | None = 0
        while after is not None:
            start = after
            after = await self._store.database.run(
                lambda conn: recount(conn, start, BATCH, partial(recounted, context=context))  # noqa: B023 - run at once
            )
        log.info("clocks_recounted", policy=context.policy.version)


def decide_step(clock: DueClock, *, context: Context) -> Step:
    """What the moment means for this clock, and who is asked to act on it."""
    policy = context.policy.of(clock.account)
    promise, calendar = clock_of(clock, clock.running_since), policy.calendars.get(clock.calendar)
    moved = move_on(promise, calendar, policy.promises.ladder, context.now)
    people = [
        policy.person(step.removeprefix("escalated:"), owner=clock.owner, team=clock.team)
        for step in moved.steps
        if step.startswith("escalated:")
    ]
    asked = tuple(
        Task(kind=f"escalation:{clock.number or clock.task_id}", assignee=person, summary=clock.summary)
        for person in people
        if person
    )
    return Step(
        due_at=moved.due_at,
        next_at=moved.next_at,
        warned_at=moved.clock.warned_at,
        breached_at=moved.clock.breached_at,
        escalated=moved.clock.escalated,
        events=tuple({"clock": clock.kind, "step": step} for step in moved.steps),
        tasks=asked[-1:],
        watchers=tuple(person for person in people if person and person != clock.owner),
    )


def recounted(clock: DueClock, *, context: Context) -> Step:
    """The clock with its times as the present rules give them; nothing has happened to it by that."""
    policy = context.policy.of(clock.account)
    times = due(clock_of(clock, clock.running_since), policy.calendars.get(clock.calendar), policy.promises.ladder)
    return Step(times.due_at, times.next_at, clock.warned_at, clock.breached_at, clock.escalated)
