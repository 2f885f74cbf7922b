"""`task`: what somebody of the staff is to do, and what came of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from config.settings import Settings
from crm_sync.store import SqlStore
from crm_sync.tasks import OpenTask, end_task, open_tasks
from frontdesk.commands.output import print_json, print_table, say
from frontdesk.commands.record_view import local_time
from frontdesk.commands.records import JsonFlag, with_store

app = typer.Typer(help="What staff are to do: calls, orders for parts, escalations, follow-ups.", no_args_is_help=True)


@app.command("list")
def task_list(
    assignee: Annotated[str, typer.Option(help="Only those of this person or team.")] = "",
    kind: Annotated[str, typer.Option(help="Only those of this kind, e.g. callback.")] = "",
    json_: JsonFlag = False,
) -> None:
    """Open tasks, those due first at the top."""

    async def work(store: SqlStore) -> list[OpenTask]:
        now = datetime.now(UTC)
        return await store.database.run(lambda conn: open_tasks(conn, now, assignee=assignee, kind=kind), read=True)

    found, zone = with_store(work), ZoneInfo(Settings().timezone)
    if json_:
        print_json(found)
    elif not found:
        say("Nothing is to be done.")
    else:
        rows = (
            (
                task.id,
                task.kind,
                task.customer_id,
                task.case_number,
                task.assignee,
                local_time(task.due_at, zone) + (" late" if task.is_late else ""),
                task.summary,
            )
            for task in found
        )
        print_table("Tasks", ("id", "kind", "customer", "case", "for", "due", "what"), rows)


@app.command("done")
def task_done(
    task: Annotated[int, typer.Argument(help="Id of the task, as in the list.")],
    outcome: Annotated[str, typer.Option(help="What came of it, e.g. reached, not_reached, done.")],
    by: Annotated[str, typer.Option(help="Who did it.")],
    note: Annotated[str, typer.Option(help="In a few words.")] = "",
    json_: JsonFlag = False,
) -> None:
    """End a task with its outcome; what was promised about it is kept with that."""
    end(task, outcome=outcome, note=note, by=by)
    if json_:
        print_json({"task": task, "outcome": outcome})
    else:
        say(f"Task {task} is done: {outcome}.")


def end(task: int, *, outcome: str, note: str, by: str) -> None:
    """The task is done with this outcome. Raises: NotFound; StaleState when it was ended before."""

    async def work(store: SqlStore) -> None:
        now = datetime.now(UTC)
        await store.database.run(lambda conn: end_task(conn, task, outcome=outcome, note=note, by=by, now=now))

    with_store(work)
