"""`frontdesk assistant`: check a folder before it serves."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from config.settings import Settings
from frontdesk.commands.output import print_json, print_table, say

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
