"""`care`: who needs a follow-up, what came of it, and which rules help."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from config.settings import Settings
from crm_sync import care
from crm_sync.store import SqlStore
from frontdesk.caring import look_after
from frontdesk.commands import tasks
from frontdesk.commands.output import print_json, print_table, say
from frontdesk.commands.record_view import local_time
from frontdesk.commands.records import JsonFlag, with_store
from frontdesk.policies import desk_policy_in_force

care_app = typer.Typer(help="Following up on customers.", no_args_is_help=True)


@care_app.command("list")
def care_list(
    assignee: Annotated[str, typer.Option("--for", help="Only those of this person or team.")] = "",
    json_: JsonFlag = False,
) -> None:
    """Open follow-ups, those due first at the top, each with words to say."""

    async def work(store: SqlStore) -> list[dict[str, Any]]:
        return await store.database.run(lambda conn: care.open_care(conn, assignee=assignee), read=True)

    found, zone = with_store(work), ZoneInfo(Settings().timezone)
    if json_:
        print_json(found)
        return
    print_table(
        "Follow-ups",
        ("id", "rule", "customer", "name", "for", "due", "suggestion"),
        (
            (
                row["id"],
                row["rule"],
                row["customer_id"],
                row["name"],
                row["assignee"],
                local_time(row["due_at"], zone),
                row["suggestion"],
            )
            for row in found
        ),
    )


@care_app.command("done")
def care_done(
    task: int,
    outcome: Annotated[str, typer.Argument(help="What came of it, e.g. reached, not_reached, coming_back.")],
    note: Annotated[str, typer.Option(help="In a few words.")] = "",
    by: Annotated[str, typer.Option(help="Who did it.")] = "cli",
    json_: JsonFlag = False,
) -> None:
    """End a follow-up with its outcome."""
    tasks.end(task, outcome=outcome, note=note, by=by)
    if json_:
        print_json({"task": task, "outcome": outcome})
    else:
        say(f"Follow-up {task} is done: {outcome}.")


@care_app.command("run")
def care_run(json_: JsonFlag = False) -> None:
    """Look for signals now; the scheduler does it every night. Each occasion is taken up once."""

    async def work(store: SqlStore) -> int:
        policy = await desk_policy_in_force(store.database, Settings())
        return await look_after(store.database, policy, datetime.now(UTC))

    count = with_store(work)
    if json_:
        print_json({"new": count})
    else:
        say(f"{count} new follow-ups.")


@care_app.command("report")
def care_report(json_: JsonFlag = False) -> None:
    """How often each rule was followed, how it ended, and how often it helped."""

    async def work(store: SqlStore) -> list[care.CareResult]:
        rules = (await desk_policy_in_force(store.database, Settings())).care

        def unit(conn: Any) -> list[care.CareResult]:
            return [care.report(conn, name, rules.helped_days(name)) for name in care.rules_seen(conn)]

        return await store.database.run(unit, read=True)

    found = with_store(work)
    if json_:
        print_json(found)
        return
    print_table(
        "Care rules",
        ("rule", "asked for", "done", "helped", "outcomes"),
        (
            (
                item.rule,
                item.tasks,
                item.done,
                f"{item.helped} ({item.helped / item.done:.0%})" if item.done else "",
                ", ".join(f"{name or 'none'} {count}" for name, count in sorted(item.outcomes.items())),
            )
            for item in found
        ),
    )
