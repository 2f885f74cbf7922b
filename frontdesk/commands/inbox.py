"""`inbox`: what came in and could not be read."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from crm_sync import unreadable
from crm_sync.store import SqlStore
from frontdesk.commands.output import print_json, print_table, say
from frontdesk.commands.records import JsonFlag, with_store

app = typer.Typer(help="Messages as they came in.", no_args_is_help=True)


@app.command("unreadable")
def list_unreadable(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, newest first.")] = 50,
    json_: JsonFlag = False,
) -> None:
    """Genuine payloads that could not be read: acknowledged, kept raw, waiting for somebody to look."""
    found = with_store(lambda store: store.newest_unreadable(limit))
    if json_:
        print_json(found)
    elif found:
        rows = ((item.inbox_id, f"{item.channel}/{item.account}", item.received_at, item.reason) for item in found)
        print_table("Unreadable", ("id", "account", "received", "reason"), rows)
        say("frontdesk inbox show ID prints one as it came.")
    else:
        say("Everything that came in could be read.")


@app.command("show")
def show(inbox_id: Annotated[int, typer.Argument(help="The number from frontdesk inbox unreadable.")]) -> None:
    """The raw bytes of one unreadable payload, on stdout. They may hold what a customer wrote."""

    async def raw(store: SqlStore) -> bytes:
        return await store.database.run(lambda conn: unreadable.raw(conn, inbox_id), read=True)

    sys.stdout.buffer.write(with_store(raw))
    sys.stdout.flush()
