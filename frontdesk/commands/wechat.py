"""`frontdesk wechat …`: what an operator manages at WeChat: the menu, QR codes with a scene, tags of followers."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
import uvloop

from bot.errors import InputError
from config.logging import configure_logging
from config.settings import Settings
from frontdesk.commands.output import print_json, print_table, say

if TYPE_CHECKING:
    from channels.wechat.api import WechatApi

T = TypeVar("T")
DAY_S = 86_400

wechat_app = typer.Typer(no_args_is_help=True, help="WeChat Official Accounts.")
menu_app = typer.Typer(no_args_is_help=True, help="The menu below the chat.")
wechat_app.add_typer(menu_app, name="menu")

AccountOption = Annotated[str, typer.Option(help="The WeChat account.")]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]


@menu_app.command("show")
def show_menu(account: AccountOption = "main") -> None:
    """Print the menu as JSON, in the form that `menu set` takes."""
    print_json(_asked(account, lambda api: api.menu()))


@menu_app.command("set")
def set_menu(
    file: Annotated[Path, typer.Argument(help='WeChat\'s own JSON: {"button": [{"type": "click", …}]}.')],
    account: AccountOption = "main",
) -> None:
    """Give the account this menu. A key such as intent:order_status or flow:complaint works as a button of ours."""
    try:
        menu = json.loads(file.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{file}: is no JSON in UTF-8") from error
    if not isinstance(menu, dict) or not isinstance(menu.get("button"), list):
        raise InputError(f'{file}: holds no menu; it begins with {{"button": [')
    _asked(account, lambda api: api.create_menu({"button": menu["button"]}))
    say("The menu is set; followers see it within a day, new ones at once.")


@menu_app.command("delete")
def delete_menu(account: AccountOption = "main") -> None:
    """Take the menu away."""
    _asked(account, lambda api: api.delete_menu())
    say("The menu is gone.")


@wechat_app.command("qr")
def qr(
    scene: Annotated[str, typer.Argument(help="1 to 64 characters; the record of whoever follows by it names it.")],
    days: Annotated[int | None, typer.Option(min=1, max=30, help="How long it works; without: for ever.")] = None,
    account: AccountOption = "main",
    json_: JsonOption = False,
) -> None:
    """Make a QR code and print the address of its picture. An account has 100,000 permanent ones."""
    lasts_s = None if days is None else days * DAY_S
    code = _asked(account, lambda api: api.create_qr(scene, lasts_s=lasts_s))
    if json_:
        print_json({"scene": scene, "image_url": code.image_url, "url": code.url, "lasts_s": code.lasts_s})
    else:
        say(code.image_url)


@wechat_app.command("tags")
def tags(account: AccountOption = "main", json_: JsonOption = False) -> None:
    """List the tags of followers."""
    found = _asked(account, lambda api: api.tags())
    if json_:
        print_json(found)
    else:
        print_table("Tags", ("id", "name", "followers"), ((tag.id, tag.name, tag.count) for tag in found))


@wechat_app.command("tag")
def tag(
    name: Annotated[str, typer.Argument(help="The tag; made when there is none.")],
    openids: Annotated[list[str], typer.Argument(help="Followers, by openid.")],
    account: AccountOption = "main",
) -> None:
    """Give followers a tag."""

    async def give(api: WechatApi) -> None:
        known = {each.name: each for each in await api.tags()}
        chosen = known.get(name) or await api.create_tag(name)
        await api.tag_followers(chosen.id, openids)

    _asked(account, give)
    say(f"{len(openids)} tagged {name}.")


def _asked(account: str, ask: Callable[[WechatApi], Awaitable[T]]) -> T:
    """What the account's API answers. Raises: what its calls raise; a BadParameter for an unknown account."""
    settings = Settings()
    configure_logging(settings.log_format, "error")
    section = settings.channels.wechat.get(account)
    if section is None:
        known = ", ".join(settings.channels.wechat) or "none is configured"
        raise typer.BadParameter(f"no WeChat account {account!r}; there is {known}", param_hint="--account")

    async def run() -> Any:
        from channels.wechat.api import WechatApi

        # Its own token: stable_token gives every process the same one.
        api = WechatApi(account, section, None)
        try:
            return await ask(api)
        finally:
            await api.close()

    answer: T = uvloop.run(run())
    return answer
