"""`run`, `say`, `doctor`, `simulate`, `replay`, `check-invariants`: the desk itself."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from pathlib import Path
from typing import Annotated, cast

import typer
import uvloop

from bot.errors import InputError
from config.logging import configure_logging
from config.settings import Settings
from frontdesk.commands.output import print_json, print_table, say

JsonFlag = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]


def register(app: typer.Typer) -> None:
    app.command("run")(run)
    app.command("say")(say_command)
    app.command("doctor")(doctor)
    app.command("simulate")(simulate)
    app.command("replay")(replay)
    app.command("check-invariants")(check_invariants)


def run(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 picks a free one.")] = None,
    roles: Annotated[str, typer.Option(help="Comma list of web, worker, sender, scheduler, console.")] = "",
) -> None:
    """Serve everything in one process, or some roles on PostgreSQL."""
    # What is loaded from here on stays. Looking through it again and again while it grows costs half a second of the
    # start; `spare_what_stays` turns the collector on again.
    gc.disable()
    from frontdesk.app import ALL_ROLES, Role

    settings = Settings()
    chosen = tuple(part.strip() for part in roles.split(",") if part.strip()) or ALL_ROLES
    unknown = set(chosen) - set(ALL_ROLES)
    if unknown:
        raise typer.BadParameter(f"unknown role {', '.join(sorted(unknown))}; there are {', '.join(ALL_ROLES)}")
    configure_logging(settings.log_format, settings.log_level)
    uvloop.run(
        _run(settings, host or settings.host, settings.port if port is None else port, cast("tuple[Role, ...]", chosen))
    )


async def _run(settings: Settings, host: str, port: int, roles: tuple[str, ...]) -> None:
    from frontdesk.app import App, Role
    from frontdesk.faults import fault_from_environment
    from frontdesk.http import build_http
    from frontdesk.serving import HttpServer, listen, stop_requested

    wanted = cast("tuple[Role, ...]", roles)
    serves_http = "web" in roles or "console" in roles
    # The port is taken before anything is created: a second start by mistake must leave no trace.
    listener = listen(host, port) if serves_http else None
    app = await App.open(settings, roles=wanted, fault=fault_from_environment())
    http = HttpServer(build_http(app), listener) if listener is not None else None
    try:
        await app.serve(wanted, http)
        stopping = stop_requested()  # before the address is out: whoever reads it may ask us to stop at once
        if listener is not None:
            _announce(host, listener.getsockname()[1], app.admin_password)
        await stopping.wait()
    finally:
        await app.stop(http)


def _announce(host: str, port: int, admin_password: str | None) -> None:
    shown = f"[{host}]" if ":" in host else host
    say(f"Customer page   http://{shown}:{port}/")
    say(f"Staff console   http://{shown}:{port}/console")
    if admin_password is not None:
        say(f"Admin password  {admin_password}   (user admin, shown once; frontdesk user reset-password admin)")
    sys.stdout.flush()


def say_command(
    text: Annotated[str, typer.Argument(help="What the customer says.")],
    user: Annotated[str, typer.Option(help="Who says it.")] = "local",
    json_: JsonFlag = False,
) -> None:
    """One turn through the real engine and store, without a channel."""
    from frontdesk.saying import say_once

    settings = Settings()
    configure_logging(settings.log_format, "warning")
    turn = uvloop.run(say_once(settings, user, text))
    if json_:
        print_json(turn)
        return
    for reply in turn["replies"]:
        say(reply["text"])
        for index, button in enumerate(reply["buttons"], start=1):
            say(f"  [{index}] {button['label']}")


def doctor(
    repair: Annotated[bool, typer.Option("--repair", help="Mend what can be mended at the vendors from here.")] = False,
    json_: JsonFlag = False,
) -> None:
    """Check store, Redis, NLU and channels; one line each, exit 1 if any is broken."""
    from frontdesk.doctor import examine

    settings = Settings()
    configure_logging(settings.log_format, "error")
    findings = uvloop.run(examine(settings, repair=repair))
    if json_:
        print_json([finding.as_dict() for finding in findings])
    else:
        print_table(
            "Frontdesk doctor",
            ("", "check", "finding", "repair"),
            (
                ("✗" if finding.is_broken else "✓", finding.check, finding.finding, finding.repair)
                for finding in findings
            ),
        )
    raise typer.Exit(1 if any(finding.is_broken for finding in findings) else 0)


def simulate(
    vendor: Annotated[str, typer.Argument(help="Which vendor: telegram, wechat, wecom, line.")],
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8081,
    ledger: Annotated[Path | None, typer.Option(help="Append every call to this file, one JSON line each.")] = None,
) -> None:
    """Start a strict stand-in for a vendor on this machine, to try a channel without an account."""
    from frontdesk.simulating import VENDORS

    serve = VENDORS.get(vendor)
    if serve is None:
        raise typer.BadParameter(f"{vendor} cannot be simulated; there are {', '.join(VENDORS)}")
    configure_logging("auto", "info")
    asyncio.run(serve(port, ledger))


def replay(
    files: Annotated[list[Path] | None, typer.Argument(help="YAML transcripts.")] = None,
    stored: Annotated[bool, typer.Option("--stored", help="Also the tests staff made from conversations.")] = False,
    json_: JsonFlag = False,
) -> None:
    """Run conversation tests against the current assistant."""
    from frontdesk.replaying import replay_read, stored_transcripts
    from frontdesk.transcripts import read_transcripts

    if not files and not stored:
        raise typer.BadParameter("name the transcripts, or ask for the stored ones with --stored")
    settings = Settings()
    configure_logging(settings.log_format, "error")
    transcripts = [transcript for path in files or [] for transcript in read_transcripts(path)]
    if stored:
        transcripts += uvloop.run(stored_transcripts(settings))
    summary = uvloop.run(replay_read(settings, transcripts))
    if json_:
        print_json(summary.as_dict())
    else:
        for line in summary.lines():
            say(line)
    raise typer.Exit(0 if summary.passed else 1)


def check_invariants(
    ledger: Annotated[
        list[Path] | None, typer.Option(help="A channel's own ledger: JSON lines or a JSON list.")
    ] = None,
    acknowledged: Annotated[
        Path | None, typer.Option(help="JSON lines {channel, account, dedupe_key} of what was acknowledged.")
    ] = None,
    json_: JsonFlag = False,
) -> None:
    """Hold the store against what the channels say happened: lost, doubled, out of order, guessed?"""
    from frontdesk.checking import check_store

    settings = Settings()
    configure_logging(settings.log_format, "error")
    ledgers = [entry for path in ledger or [] for entry in _json_entries(path)]
    violations = uvloop.run(check_store(settings, ledgers, _json_entries(acknowledged) if acknowledged else None))
    if json_:
        print_json({"violations": violations})
    elif violations:
        print_table("Violations", ("rule", "what"), ((item.rule, item.detail) for item in violations))
    else:
        say("Nothing lost, nothing doubled, nothing out of order.")
    raise typer.Exit(1 if violations else 0)


def _json_entries(path: Path) -> list[dict[str, object]]:
    """Entries of a JSON list or of JSON lines. Raises: InputError naming the line."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    if text.lstrip().startswith("["):
        loaded: list[dict[str, object]] = json.loads(text)
        return loaded
    entries = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            entries.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise InputError(f"{path}:{number}: is not JSON") from error
    return entries
