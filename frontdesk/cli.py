"""`frontdesk`: every command exits 0 on success, 2 on wrong usage, 1 on failure, with one plain sentence on stderr."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from pydantic import ValidationError
from pydantic_settings import SettingsError

from bot.errors import BotError
from frontdesk.commands import (
    appointments,
    assistant,
    audience,
    backups,
    broadcast,
    broadcast_effect,
    care,
    case_sites,
    cases,
    desk,
    imports,
    inbox,
    knowledge,
    nlu,
    outbox,
    records,
    rules,
    staff,
    tasks,
    telegram,
    wechat,
)

app = typer.Typer(
    name="frontdesk",
    help="Self-hosted customer-engagement bot.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Self-hosted customer-engagement bot."""


desk.register(app)
backups.register(app)
app.add_typer(nlu.app, name="nlu")
app.add_typer(knowledge.app, name="knowledge")
app.add_typer(assistant.app, name="assistant")
app.add_typer(inbox.app, name="inbox")
app.add_typer(outbox.app, name="outbox")
app.add_typer(records.db_app, name="db")
app.add_typer(imports.import_app, name="import")
app.add_typer(imports.export_app, name="export")
app.add_typer(care.care_app, name="care")
app.add_typer(tasks.app, name="task")
app.add_typer(records.customer_app, name="customer")
app.add_typer(staff.user_app, name="user")
app.add_typer(staff.token_app, name="token")
app.add_typer(staff.audit_app, name="audit")
app.add_typer(rules.app, name="rules")
app.add_typer(telegram.telegram_app, name="telegram")
app.add_typer(wechat.wechat_app, name="wechat")
case_sites.register(cases.app)
app.add_typer(cases.app, name="case")
app.add_typer(appointments.app, name="appointment")
broadcast_effect.register(broadcast.app)
app.add_typer(broadcast.app, name="broadcast")
app.add_typer(broadcast.coupons_app, name="coupons")
app.add_typer(audience.segment_app, name="segment")
app.add_typer(audience.audience_app, name="audience")
app.add_typer(audience.consent_app, name="consent")


def main() -> None:
    """Entry point; turns what we raise on purpose into one sentence and exit code 1."""
    debug = "--debug" in sys.argv
    try:
        app()
    except (BotError, ValidationError, SettingsError, OSError, ValueError) as error:
        if debug:
            raise
        sys.stderr.write(f"frontdesk: {sentence(error)}\n")
        raise SystemExit(1) from None
    except Exception as error:
        if debug:
            raise
        kind = type(error).__name__  # not its text, which may quote a customer
        sys.stderr.write(f"frontdesk: internal error ({kind}); run it again with --debug before the command\n")
        raise SystemExit(1) from None


def sentence(error: Exception) -> str:
    """What went wrong and where, without values: a setting's value may be a secret."""
    if isinstance(error, ValidationError):
        first = error.errors(include_input=False, include_url=False)[0]
        name = "FRONTDESK_" + "__".join(str(part).upper() for part in first["loc"])
        return f"{name}: {first['msg']}"
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__
