"""`case`: what staff do with cases, from the command line."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, TypeVar
from zoneinfo import ZoneInfo

import typer

from bot.ports import Clock
from config.settings import Settings
from crm_sync.case_lists import PAGE, BoardFilter
from crm_sync.store import SqlStore
from desk.actors import Actor, actor_named
from desk.cases import CaseDesk
from desk.compensation import CompensationDesk
from desk.pay_plans import PayPlanDesk
from frontdesk.clock import SystemClock
from frontdesk.commands.output import print_json, print_table, say
from frontdesk.commands.record_view import local_time
from frontdesk.commands.records import with_store
from frontdesk.policies import desk_policy_in_force

T = TypeVar("T")
app = typer.Typer(help="Cases: complaints and what else is tracked to its end.", no_args_is_help=True)
JsonFlag = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]
As = Annotated[str, typer.Option("--as", help="Staff account that acts; without it, whoever runs this as admin.")]
Number = Annotated[str, typer.Argument(help="Number of the case, e.g. C-1024-7.")]
Words = Annotated[str, typer.Argument(help="In a few words; the customer reads them unless it is a note.")]
Version = Annotated[int | None, typer.Option(help="The version you have seen; refused when it was changed since.")]


@dataclass(frozen=True)
class Session:
    """A member of staff at the desk."""

    actor: Actor
    cases: CaseDesk
    money: CompensationDesk
    plans: PayPlanDesk


def at_desk(name: str, work: Callable[[Session], Awaitable[T]]) -> T:
    """`work` at the desk of the configured store, as the named member of staff."""
    settings = Settings()
    clock: Clock = SystemClock()

    async def run(store: SqlStore) -> T:
        actor = await actor_named(store.database, name) if name else Actor("admin", "admin")
        policy = await desk_policy_in_force(store.database, settings)
        return await work(
            Session(
                actor,
                CaseDesk(store.database, lambda: policy, clock),
                CompensationDesk(store.database, lambda: policy, clock),
                PayPlanDesk(store.database, lambda: policy, clock),
            )
        )

    return with_store(run)


@app.command("list")
def case_list(
    *,
    status: Annotated[str, typer.Option(help="One status; without it all open cases.")] = "",
    team: Annotated[str, typer.Option(help="Only this team's.")] = "",
    owner: Annotated[str, typer.Option(help="Only this person's.")] = "",
    site: Annotated[str, typer.Option(help="Only those at this site (its key).")] = "",
    severity: Annotated[int | None, typer.Option(min=1, max=4, help="Only of this severity.")] = None,
    before: Annotated[int | None, typer.Option(help="Go on below this id (the last one shown).")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many.")] = PAGE,
    as_: As = "",
    json_: JsonFlag = False,
) -> None:
    """Cases, the newest first."""
    which = BoardFilter(status=status, team=team, owner=owner, site=site, severity=severity)
    lines = at_desk(as_, lambda desk: desk.cases.board(desk.actor, which, before=before, limit=limit))
    if json_:
        print_json(lines)
        return
    zone = ZoneInfo(Settings().timezone)
    print_table(
        "Cases",
        ("id", "number", "sev", "status", "what", "team", "owner", "due"),
        (
            (
                str(line.id),
                line.number,
                str(line.severity),
                line.status,
                line.summary[:40],
                line.team,
                line.owner,
                ("late: " if line.is_late else "") + (local_time(line.due_at, zone) if line.due_at else ""),
            )
            for line in lines
        ),
    )


@app.command("show")
def case_show(number: Number, as_: As = "", json_: JsonFlag = False) -> None:
    """A case with its history, clocks, conversations and compensations."""
    found = at_desk(as_, lambda desk: desk.cases.show(desk.actor, number))
    if json_:
        print_json(found)
        return
    zone = ZoneInfo(Settings().timezone)
    say(f"{found['number']}  {found['status']}  severity {found['severity']}  version {found['version']}")
    say(f"{found['category']} {found['quality_type']}  about {found['subject']}: {found['summary']}")
    say(f"team {found['team'] or '-'}  owner {found['owner'] or '-'}  customer {found['customer_id']}")
    print_table(
        "Promises",
        ("what", "state", "due"),
        ((clock["kind"], clock["state"], _time(clock["due_at"], zone)) for clock in found["clocks"]),
    )
    print_table(
        "History",
        ("when", "who", "what", "words"),
        (
            (
                _time(event["at"], zone),
                event["by"] or event["author"],
                event["changes"].get("status") or event["kind"],
                ("(internal) " if event["is_internal"] else "") + event["note"],
            )
            for event in found["events"]
        ),
    )
    for offer in found["compensations"]:
        say(f"compensation {offer['id']}: {offer['kind']} {offer['amount_minor']} {offer['currency']} {offer['state']}")


def _time(moment: datetime | None, zone: ZoneInfo) -> str:
    return local_time(moment, zone) if moment else ""


def _changed(row: Any, json_: bool) -> None:
    if json_:
        print_json({"number": row.number, "status": row.status, "owner": row.owner, "version": row.version})
    else:
        say(f"{row.number} is {row.status}{f', with {row.owner}' if row.owner else ''}.")


@app.command("take")
def case_take(number: Number, version: Version = None, as_: As = "", json_: JsonFlag = False) -> None:
    """The case is yours."""
    _changed(at_desk(as_, lambda desk: desk.cases.take(desk.actor, number, version=version)), json_)


@app.command("assign")
def case_assign(
    number: Number,
    *,
    to: Annotated[str, typer.Option(help="A staff account.")] = "",
    team: Annotated[str, typer.Option(help="A team's queue.")] = "",
    why: Annotated[str, typer.Option(help="For the history.")] = "",
    version: Version = None,
    as_: As = "",
    json_: JsonFlag = False,
) -> None:
    """Somebody else, or a team, has it."""
    _changed(
        at_desk(
            as_,
            lambda desk: desk.cases.assign(desk.actor, number, owner=to, team=team, why=why, version=version),
        ),
        json_,
    )


@app.command("progress")
def case_progress(number: Number, words: Words, version: Version = None, as_: As = "", json_: JsonFlag = False) -> None:
    """It is being worked on; the customer is told what is done."""
    _changed(at_desk(as_, lambda desk: desk.cases.progress(desk.actor, number, words, version=version)), json_)


@app.command("ask")
def case_ask(number: Number, words: Words, version: Version = None, as_: As = "", json_: JsonFlag = False) -> None:
    """Ask the customer; until they answer, promises stand still."""
    _changed(at_desk(as_, lambda desk: desk.cases.ask(desk.actor, number, words, version=version)), json_)


@app.command("solve")
def case_solve(
    number: Number,
    words: Words,
    *,
    cause: Annotated[str, typer.Option(help="Code of service.yml.")],
    remedy: Annotated[str, typer.Option(help="Code of service.yml.")],
    version: Version = None,
    as_: As = "",
    json_: JsonFlag = False,
) -> None:
    """It is solved; the customer is asked whether it is."""
    _changed(
        at_desk(
            as_,
            lambda desk: desk.cases.solve(desk.actor, number, words, cause=cause, remedy=remedy, version=version),
        ),
        json_,
    )


@app.command("note")
def case_note(number: Number, words: Words, as_: As = "", json_: JsonFlag = False) -> None:
    """Leave a note for colleagues; the customer never sees it."""
    _changed(at_desk(as_, lambda desk: desk.cases.note(desk.actor, number, words)), json_)


@app.command("reopen")
def case_reopen(number: Number, words: Words, version: Version = None, as_: As = "", json_: JsonFlag = False) -> None:
    """Open a solved case again, one severity higher."""
    _changed(at_desk(as_, lambda desk: desk.cases.reopen(desk.actor, number, words, version=version)), json_)


@app.command("offer")
def case_offer(
    number: Number,
    kind: Annotated[str, typer.Argument(help="refund, voucher, points or goods.")],
    amount: Annotated[int, typer.Argument(help="In minor units (分, cents); of points, how many.")],
    *,
    currency: Annotated[str, typer.Option(help="The policy's unless given.")] = "",
    reason: Annotated[str, typer.Option(help="For the history.")] = "",
    as_: As = "",
    json_: JsonFlag = False,
) -> None:
    """Offer compensation; above your limit it waits for somebody who may approve it."""
    row = at_desk(as_, lambda desk: desk.money.offer(desk.actor, number, kind, amount, currency, reason=reason))
    _decided(row, json_)


@app.command("decide")
def case_decide(
    compensation: Annotated[int, typer.Argument(help="Its id, as `case show` lists it.")],
    approve: Annotated[bool, typer.Option("--approve/--refuse", help="What becomes of it.")],
    why: Annotated[str, typer.Option(help="For the history.")] = "",
    as_: As = "",
    json_: JsonFlag = False,
) -> None:
    """Approve or refuse a compensation somebody else proposed."""
    _decided(at_desk(as_, lambda desk: desk.money.decide(desk.actor, compensation, approve=approve, why=why)), json_)


@app.command("plan")
def case_plan(
    number: Number,
    plan: Annotated[str, typer.Argument(help="Of the rules; without it, the one the customer asked for.")] = "",
    *,
    version: Version = None,
    as_: As = "",
    json_: JsonFlag = False,
) -> None:
    """Grant more time to pay: instalments take the place of what is owed, and the customer is told."""
    granted = at_desk(as_, lambda desk: desk.plans.grant(desk.actor, number, plan, version=version))
    if json_:
        print_json(granted)
        return
    for key, parts in granted.parts.items():
        days = ", ".join(f"{part.amount_minor} by {part.due_on}" for part in parts)
        say(f"{key} is due in its plan {granted.plan}: {days}.")


def _decided(row: Any, json_: bool) -> None:
    if json_:
        print_json(dict(row._mapping))
    else:
        say(f"Compensation {row.id} is {row.state}: {row.kind} {row.amount_minor} {row.currency}.")
