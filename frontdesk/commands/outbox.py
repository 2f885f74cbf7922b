"""`outbox`: what waits to leave or did not, and what staff decide about it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from config.settings import Settings
from crm_sync.outbox_staff import STATES, Unsent
from crm_sync.store import SqlStore
from frontdesk.commands.output import print_json, print_table, say
from frontdesk.commands.record_view import local_time
from frontdesk.commands.records import with_store

app = typer.Typer(help="Messages that wait to leave, or did not.", no_args_is_help=True)
JsonFlag = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]
Ids = Annotated[list[int], typer.Argument(help="Numbers of outbox rows, as listed.", min=1)]


@app.command("list")
def outbox_list(
    state: Annotated[list[str] | None, typer.Option(help=f"One of {', '.join(STATES)}; may be repeated.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, the newest.")] = 100,
    json_: JsonFlag = False,
) -> None:
    """Rows that need somebody (parked, failed, uncertain) or wait for the customer to write (held)."""

    async def work(store: SqlStore) -> list[Unsent]:
        return await store.outbox_desk.find(state or (), limit)

    rows = with_store(work)
    if json_:
        print_json([asdict(row) for row in rows])
        return
    if not rows:
        say("Nothing is waiting for anybody.")
        return
    zone = ZoneInfo(Settings().timezone)
    print_table(
        "Outbox",
        ("id", "since", "to", "customer", "lane", "state", "tries", "why"),
        (
            (
                row.id,
                local_time(row.created_at, zone),
                f"{row.channel}/{row.account}",
                row.customer_id,
                row.lane,
                row.state + (", possibly repeated" if row.maybe_repeated else ""),
                row.attempts,
                row.reason,
            )
            for row in rows
        ),
    )


@app.command("retry")
def outbox_retry(
    ids: Annotated[list[int] | None, typer.Argument(help="Numbers of outbox rows, as listed.", min=1)] = None,
    all_parked: Annotated[bool, typer.Option("--all-parked", help="Every parked row that is not held.")] = False,
    may_repeat: Annotated[
        bool, typer.Option("--yes-it-may-repeat", help="Also a broadcast of which nobody knows whether it left.")
    ] = False,
    json_: JsonFlag = False,
) -> None:
    """Send set-aside rows again, before what was decided after them."""
    if bool(ids) == all_parked:
        raise typer.BadParameter("name the rows to retry, or use --all-parked")

    async def work(store: SqlStore) -> int:
        if all_parked:
            return await store.outbox_desk.retry_parked()
        return await store.outbox_desk.retry(ids or (), may_repeat=may_repeat)

    _tell("due", with_store(work), json_)


@app.command("drop")
def outbox_drop(ids: Ids, json_: JsonFlag = False) -> None:
    """Give rows up: they are never sent."""

    async def work(store: SqlStore) -> int:
        return await store.outbox_desk.drop(ids)

    _tell("dropped", with_store(work), json_)


def _tell(what: str, count: int, as_json: bool) -> None:
    if as_json:
        print_json({what: count})
    else:
        say(f"{count} {'row is' if count == 1 else 'rows are'} {what}.")
