"""What staff have to do for customers, and that it is done."""

from __future__ import annotations

from sqlalchemy import Connection, select

from bot.errors import NotFound
from bot.ports import Clock
from crm_sync.database import Database
from crm_sync.merging import root_of
from crm_sync.tables import tasks
from crm_sync.tasks import OpenTask, end_task, open_tasks
from desk.actors import Actor
from desk.audit import record

__all__ = ["OUTCOMES", "OpenTask", "TaskDesk"]
OUTCOMES = ("reached", "not_reached", "not_needed")
LONGEST = 2000  # characters of a note


class TaskDesk:
    """Open tasks, as a member of staff may see and end them: of one customer, or all there are."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def open(self, actor: Actor, *, assignee: str = "", kind: str = "") -> list[OpenTask]:
        """What is to be done, what is due first at the top. Raises: NotPermitted."""
        actor.require("cases.read")
        now = self._clock.now()
        return await self._database.run(lambda conn: open_tasks(conn, now, assignee=assignee, kind=kind), read=True)

    async def of(self, actor: Actor, customer_id: int) -> tuple[OpenTask, ...]:
        """What is to be done for this customer, what is due first at the top. Raises: NotPermitted."""
        actor.require("customers.read")
        now = self._clock.now()
        return await self._database.run(
            lambda conn: tuple(open_tasks(conn, now, customer_id=root_of(conn, customer_id))), read=True
        )

    async def end(
        self, actor: Actor, task_id: int, *, customer_id: int | None = None, outcome: str = "", note: str = ""
    ) -> None:
        """The task is done; the customer's timeline says so. `customer_id`: only if it is a task of theirs.

        Raises: NotPermitted; NotFound, also for a task of somebody else; StaleState when it was ended before.
        """
        actor.require("cases.work")
        now = self._clock.now()

        def unit(conn: Connection) -> None:
            whose = conn.execute(select(tasks.c.customer_id).where(tasks.c.id == task_id)).scalar()
            is_theirs = customer_id is None or whose is None or root_of(conn, whose) == root_of(conn, customer_id)
            if not is_theirs:
                raise NotFound(f"no task {task_id}")
            end_task(conn, task_id, outcome=outcome[:40], note=note.strip()[:LONGEST], by=actor.name, now=now)
            record(conn, actor, "task.end", f"task:{task_id}", {"fields": ["outcome"]}, now=now)

        await self._database.run(unit)
