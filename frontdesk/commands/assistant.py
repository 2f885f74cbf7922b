"""`frontdesk assistant`: check a folder before it serves, write edits back into its files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Connection

from bot.edited_texts import EditedResponse
from config.settings import Settings
from crm_sync.store import SqlStore
from frontdesk.commands.output import print_json, print_table, say
from frontdesk.commands.records import with_store

app = typer.Typer(help="Assistants.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Assistants."""


@app.command("check")
def check(
    folder: Annotated[Path | None, typer.Argument(help="Assistant folder; without it, the configured one.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Thin intents, near-duplicates, missing languages, unused parts; exit 1 on an error."""
    from frontdesk.assistant_check import assistant_check

    findings = assistant_check(folder or Settings().assistant)
    if json_:
        print_json(findings)
    elif findings:
        print_table("Findings", ("", "where", "what"), ((f.level, f.where, f.message) for f in findings))
    else:
        say("Nothing to report.")
    raise typer.Exit(1 if any(finding.level == "error" for finding in findings) else 0)


@app.command("export")
def export(
    to: Annotated[
        Path | None, typer.Option("--to", help="A new folder; without it, the assistant's own files.")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Write articles and responses that were edited in the store back into files."""
    from crm_sync import models, response_versions
    from desk.responses import edited_responses
    from frontdesk.assistant_export import export_assistant
    from frontdesk.policies import model_name

    folder = Settings().assistant
    name = model_name(folder)

    async def work(store: SqlStore) -> tuple[Sequence[models.StoredArticle], list[EditedResponse]]:
        def unit(conn: Connection) -> tuple[Sequence[models.StoredArticle], list[EditedResponse]]:
            return models.edited_articles(conn, name), edited_responses(response_versions.current(conn, name))

        return await store.database.run(unit, read=True)

    articles, responses = with_store(work)
    done = export_assistant(folder, to, articles, responses)
    if json_:
        print_json({"files": done.files, "left": done.left})
        return
    say(
        f"{len(done.files)} files were written in {to or folder}." if done.files else "Nothing was edited in the store."
    )
    for line in done.left:
        say(line)
