"""`frontdesk telegram link`: a signed link that opens a chat with the bot and says who sent the customer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated

import typer
import uvloop

from channels.deep_links import DeepLink, sign_link
from config.logging import configure_logging
from config.settings import Settings, TelegramSettings
from frontdesk.commands.output import print_json, say
from frontdesk.secret_key import load_secret_keys

telegram_app = typer.Typer(no_args_is_help=True, help="Telegram accounts.")


class Kind(StrEnum):
    CAMPAIGN = "campaign"
    CUSTOMER = "customer"


@telegram_app.callback()
def telegram() -> None:
    """Telegram accounts."""


@telegram_app.command("link")
def link(
    kind: Annotated[Kind, typer.Argument(help="What the id names.")],
    name: Annotated[str, typer.Argument(metavar="ID", help="The campaign's name or the customer's number.")],
    account: Annotated[str, typer.Option(help="The Telegram account it opens.")] = "main",
    days: Annotated[int, typer.Option(min=1, max=3650, help="How long it works.")] = 30,
    json_: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Print a link t.me/<bot>?start=… that nobody else can make; whoever follows it is known to come from there."""
    settings = Settings()
    configure_logging(settings.log_format, "error")
    section = settings.channels.telegram.get(account)
    if section is None:
        known = ", ".join(settings.channels.telegram) or "none is configured"
        raise typer.BadParameter(f"no Telegram account {account!r}; there is {known}", param_hint="--account")
    expires_at = datetime.now(UTC) + timedelta(days=days)
    keys = load_secret_keys(settings)
    payload = sign_link(DeepLink(kind.value, name, expires_at), keys, account=f"telegram/{account}")
    url = uvloop.run(_address(account, section, payload, expires_at))
    if json_:
        print_json({"url": url, "payload": payload, "expires_at": expires_at.isoformat(timespec="seconds")})
    else:
        say(url)


async def _address(account: str, section: TelegramSettings, payload: str, expires_at: datetime) -> str:
    """Where the link leads; Telegram says what the bot is called. Raises: Misconfigured, ServiceUnavailable."""
    from channels.telegram import TelegramAdapter

    adapter = TelegramAdapter(account, section)
    try:
        return await adapter.opening_address(payload, expires_at)
    finally:
        await adapter.close()
