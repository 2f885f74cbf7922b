"""`import` and `export`: the business's own lists in and out, as CSV or XLSX."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from config.settings import Settings
from config.text_files import UTF_8
from crm_sync import import_jobs
from crm_sync.exports import EXPORTS, export_to
from crm_sync.import_kinds import KINDS
from crm_sync.imported_consents import consents_kind
from crm_sync.imported_orders import ORDERS
from crm_sync.imports import How, ImportReport, Preview, import_file, preview
from crm_sync.store import SqlStore
from frontdesk.assistant_service import read_policy_of
from frontdesk.commands.output import print_json, print_table, say
from frontdesk.commands.records import JsonFlag, with_store
from frontdesk.own_news import orders_kind
from frontdesk.policies import policy_in_force

SHOWN = 20  # wrong rows printed; all of them are kept with the job

import_app = typer.Typer(help="Bring data in from CSV or XLSX.", no_args_is_help=True)
export_app = typer.Typer(help="Take data out as CSV or XLSX.", no_args_is_help=True)

File = Annotated[Path, typer.Argument(help="CSV or XLSX.")]
Map = Annotated[
    list[str] | None, typer.Option("--map", help="field=column, where the file names a column differently.")
]
OnlyPreview = Annotated[bool, typer.Option("--preview", help="Show the first rows as they would be read.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check and count every row, write nothing.")]
Again = Annotated[bool, typer.Option("--again", help="Also when this very file was imported before.")]


def _command(name: str) -> Callable[..., None]:
    def command(
        file: File,
        *,
        map_: Map = None,
        preview_: OnlyPreview = False,
        dry_run: DryRun = False,
        again: Again = False,
        json_: JsonFlag = False,
    ) -> None:
        kind, settings, mapping = KINDS[name], Settings(), _mapping(map_ or [])
        zone = ZoneInfo(settings.timezone)
        if preview_:  # without a store, so by what the files say
            types = read_policy_of(settings.assistant).record.types() if settings.assistant.is_dir() else {}
            _show_preview(preview(kind, file, mapping=mapping, how=How(zone, types)), json_=json_)
            return

        async def work(store: SqlStore) -> ImportReport:
            policy = await policy_in_force(store.database, settings.assistant)
            how = How(zone, policy.record.types())
            told = orders_kind(policy.topics, zone) if kind is ORDERS else kind
            return await import_file(
                store.database, told, file, mapping=mapping, how=how, dry_run=dry_run, again=again, author="cli"
            )

        show_import(with_store(work), json_=json_, dry_run=dry_run)

    command.__doc__ = f"Import {name}; known ones are updated, wrong rows are reported and left out. " + (
        f"Columns: {', '.join('attr:NAME' if column == 'attr:' else column for column in KINDS[name].columns)}."
    )
    return command


for _name in KINDS:
    import_app.command(_name)(_command(_name))


@import_app.command("consents")
def import_consents(
    file: File,
    *,
    source: Annotated[str, typer.Option(help="Where the consents come from, for rows that do not say so.")] = "",
    map_: Map = None,
    dry_run: DryRun = False,
    again: Again = False,
    json_: JsonFlag = False,
) -> None:
    """Import consents collected elsewhere; rows that do not show where they come from are refused.

    Columns: phone, customer_id, key, external_id with channel and account: who; channel, purpose, at: what and when;
    granted, until, confirmed_at, source.
    """
    settings, mapping = Settings(), _mapping(map_ or [])
    how = How(ZoneInfo(settings.timezone))

    async def work(store: SqlStore) -> ImportReport:
        purposes = (await policy_in_force(store.database, settings.assistant)).broadcasts.purposes.values()
        kind = consents_kind(file.name, source, [purpose.name for purpose in purposes if purpose.needs_confirming])
        return await import_file(
            store.database, kind, file, mapping=mapping, how=how, dry_run=dry_run, again=again, author="cli"
        )

    show_import(with_store(work), json_=json_, dry_run=dry_run)


@import_app.command("show")
def import_show(
    job: Annotated[int | None, typer.Argument(help="An import's number; left out, they are listed.")] = None,
    json_: JsonFlag = False,
) -> None:
    """Earlier imports; with a number every row that was left out, and why."""

    async def work(store: SqlStore) -> Any:
        if job is None:
            return await store.database.run(import_jobs.jobs, read=True)
        return await store.database.run(lambda conn: import_jobs.all_errors(conn, job), read=True)

    shown = with_store(work)
    if json_:
        print_json(shown)
    elif job is None:
        print_table(
            "Imports",
            ("number", "what", "file", "state", "taken", "wrong", "next row"),
            (
                (item.id, item.kind, item.file_name, item.state, item.accepted, item.rejected, item.next_row)
                for item in shown
            ),
        )
    else:
        for error in shown:
            say(f"line {error.line}: {error.reason}")


def _export(name: str) -> Callable[..., None]:
    def command(
        file: Annotated[Path, typer.Argument(help="File to write; it ends in .csv or .xlsx.")], json_: JsonFlag = False
    ) -> None:
        async def work(store: SqlStore) -> int:
            return await export_to(store.database, EXPORTS[name], file, ZoneInfo(Settings().timezone))

        count = with_store(work)
        if json_:
            print_json({"rows": count, "file": str(file)})
        else:
            say(f"{count} {name} are in {file}.")

    command.__doc__ = f"Write all {name} to a file that only you can read; erased people are left out."
    return command


for _name in EXPORTS:
    export_app.command(_name)(_export(_name))


def show_import(report: ImportReport, *, json_: bool, dry_run: bool = False) -> None:
    """What an import did; the command fails when rows were left out."""
    if json_:
        print_json(report)
    elif report.was_done:
        say("This file was imported before; nothing was done. --again imports it once more.")
    else:
        if report.resumed_at is not None:
            say(f"Went on at line {report.resumed_at}, where the import before had stopped.")
        say(
            f"{'Would be: ' if dry_run else ''}{report.inserted} added, {report.updated} updated, "
            f"{report.unchanged} unchanged, {len(report.errors)} wrong"
        )
        if report.encoding not in ("", UTF_8):
            say(f"The file was read as {report.encoding}.")
        for error in report.errors[:SHOWN]:
            say(f"  line {error.line}: {error.reason}")
        if (more := len(report.errors) - SHOWN) > 0:
            say(f"  and {more} more" + (f"; frontdesk import show {report.job_id}" if report.job_id else ""))
    raise typer.Exit(1 if report.errors else 0)


def _mapping(pairs: list[str]) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for pair in pairs:
        field, sign, column = pair.partition("=")
        if not sign or not field.strip() or not column.strip():
            raise typer.BadParameter(f"--map takes field=column, not {pair!r}")
        found[field.strip().lower()] = column.strip()
    return found


def _show_preview(shown: Preview, *, json_: bool) -> None:
    if json_:
        print_json(shown)
        return
    if shown.encoding not in ("", UTF_8):
        say(f"The file is read as {shown.encoding}.")
    print_table(
        "Columns", ("in the file", "read as"), ((name, field or "not used") for name, field in shown.columns.items())
    )
    fields = [field for field in shown.columns.values() if field]
    print_table(
        "First rows",
        ("line", *fields, "wrong"),
        ((line, *(cells.get(field, "") for field in fields), wrong) for line, cells, wrong in shown.rows),
    )
