"""`backup`, `restore`: the whole store in one file, and back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from config.logging import configure_logging
from config.settings import Settings
from crm_sync import backups
from frontdesk.commands.output import print_json, print_table, say

JsonFlag = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]


def register(app: typer.Typer) -> None:
    """`app` has both commands."""
    app.command("backup")(backup)
    app.command("restore")(restore)


def backup(
    file: Annotated[Path, typer.Argument(help="The new file; one that is there is never written over.")],
    json_: JsonFlag = False,
) -> None:
    """Write the whole store into FILE, while the desk goes on working."""
    settings = _settings()
    made = uvloop.run(backups.save(settings.database_url.get_secret_value(), file))
    if json_:
        print_json({"file": str(file), "bytes": made.size, "rows": made.rows})
        return
    _show_rows(str(file), made.rows)
    say(
        f"{made.size / 1_000_000:.1f} MB. Not in it: files customers sent (FRONTDESK_MEDIA__FOLDER, or your bucket) "
        "and the secret key, without which second factors, links and the audit log cannot be read."
    )


def restore(
    file: Annotated[Path, typer.Argument(help="A file that `frontdesk backup` wrote, from either database.")],
    replace: Annotated[bool, typer.Option("--replace", help="Give up what the store holds now.")] = False,
    nothing_ran_since: Annotated[
        bool,
        typer.Option(
            "--nothing-ran-since",
            help="The desk was stopped before the backup was made (a move): what waits is sent, not held.",
        ),
    ] = False,
    json_: JsonFlag = False,
) -> None:
    """Fill the store with what FILE holds. Stop the desk first."""
    settings = _settings()
    url = settings.database_url.get_secret_value()
    now = datetime.now(UTC)
    done = uvloop.run(backups.load(file, url, now, replace=replace, nothing_ran_since=nothing_ran_since))
    if json_:
        print_json({"rows": done.rows, "held_messages": done.held_messages, "held_broadcasts": done.held_broadcasts})
        return
    _show_rows(f"Restored from {file}", done.rows)
    if done.held_messages:
        say(
            f"{done.held_messages} messages may have left since the backup was made; "
            "decide with frontdesk outbox list, retry, drop."
        )
    if done.held_broadcasts:
        say(
            f"{done.held_broadcasts} broadcasts are held for the same reason; "
            "decide with frontdesk broadcast resume, start, cancel."
        )


def _settings() -> Settings:
    settings = Settings()
    configure_logging(settings.log_format, "warning")
    return settings


def _show_rows(title: str, rows: Mapping[str, int]) -> None:
    print_table(title, ("table", "rows"), [(name.replace("_", " "), count) for name, count in sorted(rows.items())])
