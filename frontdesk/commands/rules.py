"""`rules`: the rules of the service desk, their history, and what other rules would have made of last month."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from bot.service.what_if import WhatIf
from config.settings import Settings
from crm_sync.policies import StoredPolicy
from crm_sync.store import SqlStore
from desk.policies import history, put_policy, what_if
from frontdesk.commands.output import print_json, print_table, say
from frontdesk.commands.record_view import local_time
from frontdesk.commands.records import with_store
from frontdesk.policies import desk_policy_in_force, model_name, tried_policy
from frontdesk.yaml_lines import read_yaml

app = typer.Typer(help="Rules of the service desk: calendars, promises, routing, care.", no_args_is_help=True)
JsonFlag = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]
RulesFile = Annotated[Path, typer.Argument(help="A service.yml.", exists=True, dir_okay=False)]


@app.command("set")
def rules_set(
    file: RulesFile,
    note: Annotated[str, typer.Option(help="Why, for the history.")] = "",
    author: Annotated[str, typer.Option("--as", help="Who changes them.")] = "admin",
) -> None:
    """Put rules in force, in place of the assistant's service.yml; running clocks are counted anew."""
    folder = Settings().assistant
    document = read_yaml(file)

    async def work(store: SqlStore) -> int:
        now = datetime.now(UTC)
        return await put_policy(store.database, model_name(folder), document, note=note, author=author, now=now)

    say(f"Version {with_store(work)} of the rules is in force.")


@app.command("history")
def rules_history(json_: JsonFlag = False) -> None:
    """Every version that was put in force, the newest first."""
    settings = Settings()

    async def work(store: SqlStore) -> list[StoredPolicy]:
        return await history(store.database, model_name(settings.assistant))

    versions = with_store(work)
    if json_:
        print_json([asdict(version) for version in versions])
    elif not versions:
        say("The rules are those of the assistant's service.yml; none were put in force from elsewhere.")
    else:
        zone = ZoneInfo(settings.timezone)
        rows = ((each.version, local_time(each.at, zone), each.author, each.note) for each in versions)
        print_table("Rules", ("version", "since", "by", "why"), rows)


@app.command("try")
def rules_try(
    file: RulesFile,
    days: Annotated[int, typer.Option(min=1, max=3660, help="Complaints opened in the last so many days.")] = 30,
    json_: JsonFlag = False,
) -> None:
    """Show what the complaints of the last days would have looked like under these rules. Changes nothing."""
    settings = Settings()
    tried = tried_policy(read_yaml(file), settings.assistant)

    async def work(store: SqlStore) -> WhatIf:
        current = await desk_policy_in_force(store.database, settings)
        return await what_if(store.database, current, tried, days=days, now=datetime.now(UTC))

    found = with_store(work)
    if json_:
        print_json(asdict(found))
        return
    say(f"{found.cases} complaints of the last {days} days")
    rows = (
        (kind, before.promised, f"{before.breached} → {found.after[kind].breached}",
         f"{before.warned} → {found.after[kind].warned}", f"{before.escalated} → {found.after[kind].escalated}")
        for kind, before in found.before.items()
    )  # fmt: skip
    print_table("Now → under these rules", ("promise", "times", "broken", "warned of", "passed up"), rows)
    for what, numbers in (("Newly broken", found.newly_broken), ("No longer broken", found.no_longer_broken)):
        if numbers:
            say(f"{what}: {', '.join(numbers[:20])}{' …' if len(numbers) > 20 else ''}")
