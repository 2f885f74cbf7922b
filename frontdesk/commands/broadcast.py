"""`broadcast`, `coupons`: reaching those who agreed, from the command line. YAML in, JSON out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from bot.business_time import zone
from bot.errors import InputError
from config.settings import Settings
from config.text_files import NotText, decoded
from crm_sync.store import SqlStore
from desk.actors import Actor, actor_named
from desk.broadcasts import Preflight, Progress
from desk.coupons import Pool
from desk.outside import Outside
from frontdesk.broadcast_services import BroadcastServices, broadcast_services
from frontdesk.clock import SystemClock
from frontdesk.commands.output import print_json, print_table, say
from frontdesk.commands.records import with_store
from frontdesk.encoders import Encoders
from frontdesk.kits import build_kits
from frontdesk.policies import desk_policy_in_force
from frontdesk.signals import LocalSignals
from frontdesk.yaml_lines import read_yaml

T = TypeVar("T")
app = typer.Typer(help="Broadcasts: to those who agreed, at the vendor's pace.", no_args_is_help=True)
coupons_app = typer.Typer(help="Pools of coupon codes.", no_args_is_help=True)
As = Annotated[str, typer.Option("--as", help="Staff account that acts; without it, whoever runs this as admin.")]
Name = Annotated[str, typer.Argument(help="Name of the broadcast.")]
File = Annotated[Path, typer.Argument(help="A YAML file; docs/broadcasts.md shows one.")]
JsonFlag = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]


@dataclass(frozen=True)
class Session:
    """A member of staff at the desk."""

    actor: Actor
    services: BroadcastServices


def at_desk(name: str, work: Callable[[Session], Awaitable[T]]) -> T:
    """`work` at the desk of the configured store, beside a running one, as the named member of staff."""
    settings, clock = Settings(), SystemClock()

    async def run(store: SqlStore) -> T:
        actor = await actor_named(store.database, name) if name else Actor("admin", "admin")
        policy = await desk_policy_in_force(store.database, settings)
        adapters = {
            (kit.channel, account): adapter
            for kit in build_kits(settings, store)
            for account, adapter in kit.adapters.items()
        }
        can = {adapter.channel: adapter.capabilities for adapter in adapters.values()}
        outside = Outside(clock, LocalSignals(), Encoders(list(adapters.values())), channels=can)
        services = broadcast_services(
            store.database,
            outside,
            lambda: policy,
            lambda: zone(settings.timezone),
            adapters,
            allows_private=settings.hooks.allow_private,
        )
        try:
            return await work(Session(actor, services))
        finally:
            for adapter in adapters.values():
                await adapter.close()

    return with_store(run)


@app.command("create")
def create(
    file: File, *, replace: Annotated[bool, typer.Option(help="Change the draft of this name.")] = False, as_: As = ""
) -> None:
    """A draft from a YAML file; prints it as it was understood."""
    document = read_yaml(file)

    async def work(desk: Session) -> dict[str, Any]:
        broadcasts = desk.services.broadcasts
        if replace:
            name = broadcasts.read(document).name
            opened = await broadcasts.open(desk.actor, name)
            stored = await broadcasts.edit(desk.actor, name, document, version=opened.stored.version)
        else:
            stored = await broadcasts.create(desk.actor, document)
        return {"name": stored.name, "state": stored.state, "version": stored.version, "document": stored.document}

    print_json(at_desk(as_, work))


@app.command("list")
def list_(
    *, state: Annotated[str, typer.Option(help="Only in this state.")] = "", as_: As = "", json_: JsonFlag = False
) -> None:
    """The newest broadcasts."""
    page = at_desk(as_, lambda desk: desk.services.broadcasts.page(desk.actor, states=[state] if state else ()))
    if json_:
        print_json({"broadcasts": [asdict(row) for row in page.items], "next": page.next})
        return
    print_table(
        "Broadcasts",
        ("name", "state", "channels", "recipients", "by"),
        [
            (row.name, row.state.value, ", ".join(row.channels), str(row.recipients), row.created_by)
            for row in page.items
        ],
    )


@app.command("preflight")
def preflight(name: Name, *, as_: As = "") -> None:
    """What would happen if it started now: how many, who not and why, how long, what is wrong."""
    looked = at_desk(as_, lambda desk: desk.services.broadcasts.preflight(desk.actor, name))
    print_json(preflight_document(looked))
    if not looked.may_start:
        raise typer.Exit(1)


@app.command("show")
def show(name: Name, *, as_: As = "") -> None:
    """What it says, and how far it is."""

    async def work(desk: Session) -> dict[str, Any]:
        opened = await desk.services.broadcasts.open(desk.actor, name)
        by: dict[str, Any] = {"created_by": opened.stored.created_by, "edited_by": opened.stored.edited_by}
        by |= {"approved_by": opened.stored.approved_by, "version": opened.stored.version}
        return {**progress_document(name, opened.progress), **by, "document": opened.stored.document}

    print_json(at_desk(as_, work))


@app.command("ask-approval")
def ask_approval(name: Name, *, as_: As = "") -> None:
    """A second person is asked to look."""
    _act(name, as_, lambda desk, version: desk.services.broadcasts.ask_approval(desk.actor, name, version=version))


@app.command("approve")
def approve(name: Name, *, as_: As = "") -> None:
    """As a second person: it may be sent as it is."""
    _act(name, as_, lambda desk, version: desk.services.broadcasts.approve(desk.actor, name, version=version))


@app.command("start")
def start(name: Name, *, as_: As = "") -> None:
    """It begins now, or at its time."""
    _act(name, as_, lambda desk, version: desk.services.broadcasts.start(desk.actor, name, version=version))


@app.command("pause")
def pause(name: Name, *, as_: As = "") -> None:
    """Nothing more leaves within a second."""
    _act(name, as_, lambda desk, _: desk.services.broadcasts.pause(desk.actor, name))


@app.command("resume")
def resume(name: Name, *, as_: As = "") -> None:
    """It goes on with those not yet tried."""
    _act(name, as_, lambda desk, _: desk.services.broadcasts.resume(desk.actor, name))


@app.command("cancel")
def cancel(name: Name, *, as_: As = "") -> None:
    """Nothing more of it ever leaves."""
    _act(name, as_, lambda desk, _: desk.services.broadcasts.cancel(desk.actor, name))


@app.command("status")
def status(name: Name, *, as_: As = "") -> None:
    """How far it is."""
    print_json(progress_document(name, at_desk(as_, lambda desk: desk.services.broadcasts.status(desk.actor, name))))


def _act(name: str, as_: str, act: Callable[[Session, int], Awaitable[Any]]) -> None:
    async def work(desk: Session) -> Progress:
        opened = await desk.services.broadcasts.open(desk.actor, name)
        await act(desk, opened.stored.version)
        return await desk.services.broadcasts.status(desk.actor, name)

    print_json(progress_document(name, at_desk(as_, work)))


def progress_document(name: str, progress: Progress) -> dict[str, Any]:
    """JSON of how far a broadcast is."""
    return {
        "name": name,
        "state": progress.state,
        "reason": progress.reason,
        "recipients": progress.total,
        "done": progress.done,
        "counts": dict(progress.counts),
        "reasons": dict(progress.reasons),
        "arms": dict(progress.arms),
        "started_at": _time(progress.started_at),
        "ended_at": _time(progress.ended_at),
    }


def preflight_document(looked: Preflight) -> dict[str, Any]:
    """JSON of what a pre-flight found."""
    reached = {f"{channel}/{account}": people for (channel, account), people in looked.counted.reached.items()}
    return {
        "may_start": looked.may_start,
        "audience": looked.counted.total,
        "reached": sum(reached.values()),
        "reached_by_account": reached,
        "held_out": looked.held_out,
        "skipped": dict(looked.counted.skipped),
        "asleep": looked.counted.asleep,
        "starts_at": _time(looked.starts_at),
        "takes_s": round(looked.takes / timedelta(seconds=1), 1),
        "coupons_left": looked.coupons_left,
        "quotas": [{**asdict(quota), "left": quota.left} for quota in looked.quotas],
        "cost_minor": looked.cost_minor,
        "problems": [
            {"code": problem.code, "is_blocking": problem.is_blocking, **problem.details} for problem in looked.problems
        ],
    }


def _time(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


# --- coupons --------------------------------------------------------------------------------------------------------


@coupons_app.command("create")
def coupons_create(
    name: Annotated[str, typer.Argument(help="Name of the pool.")],
    *,
    title: Annotated[str, typer.Option(help="As staff see it.")] = "",
    zh: Annotated[str, typer.Option(help="What a code is good for, in Chinese.")] = "",
    en: Annotated[str, typer.Option(help="The same in English.")] = "",
    until: Annotated[str, typer.Option(help="Good until then: 2026-12-31T23:59+08:00.")] = "",
    as_: As = "",
) -> None:
    """An empty pool."""
    ends = _moment(until) if until else None
    pool = at_desk(
        as_,
        lambda desk: desk.services.coupons.create(
            desk.actor, name, title=title, terms={"zh": zh, "en": en}, valid_until=ends
        ),
    )
    print_json(_pool(pool))


@coupons_app.command("add")
def coupons_add(
    name: Annotated[str, typer.Argument(help="Name of the pool.")],
    file: Annotated[Path, typer.Argument(help="CSV with the codes in its first column, or one code a line.")],
    *,
    as_: As = "",
) -> None:
    """The codes of a file are in the pool."""
    try:
        found = decoded(file.read_bytes())
    except OSError as exc:
        raise InputError(f"{file} cannot be read: {exc.strerror}") from exc
    except NotText as wrong:
        raise InputError(f"{file}: {wrong}") from wrong
    added = at_desk(as_, lambda desk: desk.services.coupons.add(desk.actor, name, found.text))
    print_json({"new": added.new, "known": added.known, "encoding": found.encoding, **_pool(added.pool)})


@coupons_app.command("list")
def coupons_list(*, as_: As = "") -> None:
    """All pools with what is left."""
    print_json({"pools": [_pool(pool) for pool in at_desk(as_, lambda desk: desk.services.coupons.pools(desk.actor))]})


@coupons_app.command("redeem")
def coupons_redeem(code: Annotated[str, typer.Argument(help="The code.")], *, as_: As = "") -> None:
    """The code was used."""
    pool = at_desk(as_, lambda desk: desk.services.coupons.redeem(desk.actor, code))
    say(f"A code of {pool}; it cannot be used again.")


def _pool(pool: Pool) -> dict[str, Any]:
    return {**asdict(pool), "valid_until": _time(pool.valid_until), "closed_at": _time(pool.closed_at)}


def _moment(words: str) -> datetime:
    try:
        found = datetime.fromisoformat(words)
    except ValueError as exc:
        raise InputError("a time is written like 2026-12-31T23:59+08:00") from exc
    if found.tzinfo is None:
        raise InputError("a time needs its zone, like 2026-12-31T23:59+08:00")
    return found
