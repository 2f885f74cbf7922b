"""`user`, `token`, `audit`: who may sign in, what calls the API, and who did what, from the command line.

Whoever can run these on the machine has the store and its key; they act as `cli`, with the rights of an admin.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypeVar

import typer

from bot.errors import InputError, NotFound
from config.settings import Settings
from crm_sync.store import SqlStore
from desk.accounts import Account, AccountChange, AccountDesk, NewPassword
from desk.actors import Actor
from desk.audit import AuditDesk, AuditFilter, Verdict
from desk.tokens import PER_MINUTE, NewToken, TokenDesk, TokenLine
from frontdesk.clock import SystemClock
from frontdesk.commands.output import print_json, print_table, say
from frontdesk.commands.records import JsonFlag, with_store
from frontdesk.policies import desk_policy_in_force

T = TypeVar("T")
CLI = Actor("cli", "admin")

user_app = typer.Typer(help="Staff accounts.", no_args_is_help=True)
token_app = typer.Typer(help="Tokens of the API.", no_args_is_help=True)
audit_app = typer.Typer(help="Who of the staff did and saw what.", no_args_is_help=True)

Role = Annotated[str, typer.Option(help="admin, manager, supervisor, operator … or one of your own.")]
Shown = Annotated[str | None, typer.Option("--display-name", help="What customers see; without it, the name.")]
Email = Annotated[str | None, typer.Option(help="Where notices may go.")]


def _accounts(work: Callable[[AccountDesk], Awaitable[T]]) -> T:
    async def run(store: SqlStore) -> T:
        policy = await desk_policy_in_force(store.database, Settings())
        return await work(AccountDesk(store.database, SystemClock(), lambda: policy))

    return with_store(run)


@user_app.command("add")
def user_add(
    name: str, role: Role = "operator", display_name: Shown = None, email: Email = None, json_: JsonFlag = False
) -> None:
    """Add a staff account; prints its generated password once."""
    values = AccountChange(display_name=display_name, email=email)
    _tell_password(_accounts(lambda desk: desk.add(CLI, name, role=role, values=values)), json_)


@user_app.command("change")
def user_change(
    name: str,
    role: Annotated[str | None, typer.Option(help="As for add; ends the sessions of the account.")] = None,
    display_name: Shown = None,
    email: Email = None,
    json_: JsonFlag = False,
) -> None:
    """Change role, shown name or e-mail of an account."""
    change = AccountChange(role=role, display_name=display_name, email=email)
    _tell_account(_accounts(lambda desk: desk.change(CLI, name, change)), "is changed", json_)


@user_app.command("list")
def user_list(json_: JsonFlag = False) -> None:
    """Staff accounts, without secrets."""
    accounts = _accounts(lambda desk: desk.list(CLI))
    if json_:
        print_json(accounts)
        return
    print_table(
        "Staff",
        ("name", "role", "shown as", "teams", "second factor", "created", "disabled"),
        (
            (
                each.name,
                each.role,
                each.display_name,
                ", ".join(each.teams),
                "yes" if each.has_second_factor else "",
                _at(each.created_at),
                _at(each.disabled_at),
            )
            for each in accounts
        ),
    )


@user_app.command("disable")
def user_disable(name: str, json_: JsonFlag = False) -> None:
    """The account can no longer sign in and is signed out everywhere; its history stays."""
    _tell_account(_accounts(lambda desk: desk.disable(CLI, name)), "is disabled", json_)


@user_app.command("enable")
def user_enable(name: str, json_: JsonFlag = False) -> None:
    """A disabled account can sign in again."""
    _tell_account(_accounts(lambda desk: desk.enable(CLI, name)), "can sign in again", json_)


@user_app.command("reset-password")
def user_reset_password(name: str, json_: JsonFlag = False) -> None:
    """Give an account a new generated password, printed once; it is signed out everywhere."""
    _tell_password(_accounts(lambda desk: desk.reset_password(CLI, name)), json_)


@user_app.command("second-factor-off")
def user_second_factor_off(name: str, json_: JsonFlag = False) -> None:
    """For somebody who lost both the app and the recovery codes: the password is enough until they set it up anew."""
    _tell_account(_accounts(lambda desk: desk.second_factor_off(CLI, name)), "signs in with the password alone", json_)


def _tell_account(account: Account, what: str, as_json: bool) -> None:
    if as_json:
        print_json(account)
    else:
        say(f"{account.name} {what}.")


def _tell_password(made: NewPassword, as_json: bool) -> None:
    if as_json:
        print_json({"name": made.account.name, "password": made.password})
    else:
        say(f"Password for {made.account.name}: {made.password}")
        say("It has to be changed when signing in.")


# --- tokens -----------------------------------------------------------------------------------------------------------


def _tokens(work: Callable[[TokenDesk], Awaitable[T]]) -> T:
    return with_store(lambda store: work(TokenDesk(store.database, SystemClock())))


@token_app.command("create")
def token_create(
    name: str,
    role: Role = "viewer",
    per_minute: Annotated[int, typer.Option(help="Calls a minute.")] = PER_MINUTE,
    days: Annotated[int | None, typer.Option(help="How long it works; without it, until it is revoked.", min=1)] = None,
    json_: JsonFlag = False,
) -> None:
    """A token for the API, printed once."""
    expires_at = None if days is None else datetime.now(UTC) + timedelta(days=days)

    async def work(desk: TokenDesk) -> NewToken:
        return await desk.create(CLI, name, role=role, per_minute=per_minute, expires_at=expires_at)

    made = _tokens(work)
    if json_:
        print_json({"id": made.line.id, "name": name, "token": made.token})
    else:
        say(f"Token {name}: {made.token}")


@token_app.command("list")
def token_list(json_: JsonFlag = False) -> None:
    """Tokens, without what they are."""
    found = _tokens(lambda desk: desk.list(CLI))
    if json_:
        print_json(found)
        return
    print_table(
        "Tokens",
        ("id", "name", "role", "a minute", "by", "created", "last used", "over"),
        (
            (
                each.id,
                each.name,
                each.role,
                each.per_minute,
                each.created_by,
                _at(each.created_at),
                _at(each.last_used_at),
                _at(each.revoked_at or each.expires_at),
            )
            for each in found
        ),
    )


@token_app.command("revoke")
def token_revoke(name: str, json_: JsonFlag = False) -> None:
    """The token opens nothing any more."""

    async def work(desk: TokenDesk) -> TokenLine:
        found = next((each for each in await desk.list(CLI) if each.name == name), None)
        if found is None:
            raise NotFound(f"no token {name!r}")
        return await desk.revoke(CLI, found.id)

    revoked = _tokens(work)
    if json_:
        print_json(revoked)
    else:
        say(f"{name} is revoked.")


# --- the audit log ----------------------------------------------------------------------------------------------------


def _audit(work: Callable[[AuditDesk], Awaitable[T]]) -> T:
    async def opened(store: SqlStore) -> T:
        return await work(AuditDesk(store.database))

    return with_store(opened)


@audit_app.command("list")
def audit_list(
    *,
    actor: Annotated[str, typer.Option(help="A staff account, or token:NAME.")] = "",
    on: Annotated[str, typer.Option("--object", help="For example case:12 or user:3.")] = "",
    action: Annotated[str, typer.Option(help="For example session.start, or session. for all of that kind.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=200)] = 50,
    cursor: Annotated[str, typer.Option(help="Go on where a page ended.")] = "",
    json_: JsonFlag = False,
) -> None:
    """The newest lines first."""
    which = AuditFilter(actor=actor, object=on, action=action)

    page = _audit(lambda desk: desk.lines(CLI, which, cursor=cursor, limit=limit))
    if json_:
        print_json(page)
        return
    rows = ((_at(each.at), each.id, each.actor, each.action, each.object, _words(each.details)) for each in page.items)
    print_table("Audit log", ("at", "line", "who", "did", "on", "with"), rows)
    if page.next:
        say(f"More with --cursor {page.next}")


@audit_app.command("verify")
def audit_verify(
    noted: Annotated[str, typer.Option(help="COUNT:HASH of an earlier run, kept outside the store.")] = "",
    json_: JsonFlag = False,
) -> None:
    """Check that no line was changed, taken out or cut off; exit code 1 when one was."""
    verdict = _audit(lambda desk: desk.verify(CLI, noted=noted))
    if json_:
        print_json(verdict)
    elif verdict.broken_at is None:
        say(f"{verdict.lines} lines, all as they were written. Keep this outside the store: {_note(verdict)}")
    if verdict.broken_at is not None:
        raise InputError(f"the audit log is broken at line {verdict.broken_at}: {verdict.reason}")


def _note(verdict: Verdict) -> str:
    return f"{verdict.lines}:{verdict.hash}"


def _words(details: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in details.items())


def _at(moment: datetime | None) -> str:
    return "" if moment is None else moment.isoformat(timespec="seconds")
