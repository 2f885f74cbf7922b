"""`db`, `customer`, `user`: the store from the command line."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
import uvloop

from bot.errors import CustomerNotFound, NotFound
from bot.types import CustomerId
from config.logging import configure_logging
from config.settings import Settings
from crm_sync import customers, erasure, staff
from crm_sync.links import CustomerLink
from crm_sync.media.library import SqlMediaLibrary
from crm_sync.store import SqlStore
from frontdesk.commands.output import print_json, print_table, say
from frontdesk.commands.record_view import show_links, show_record
from frontdesk.customer_files import erase_with_files, save_files, with_links
from frontdesk.media import build_media
from frontdesk.secret_key import load_secret_keys, sqlite_path

T = TypeVar("T")
JsonFlag = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]

db_app = typer.Typer(help="The store.", no_args_is_help=True)
customer_app = typer.Typer(help="Customer records.", no_args_is_help=True)
user_app = typer.Typer(help="Staff accounts.", no_args_is_help=True)


def with_store(work: Callable[[SqlStore], Awaitable[T]], *, migrate: bool | None = None) -> T:
    """`work` on the configured store; an SQLite store is created and migrated when needed."""
    settings = Settings()
    configure_logging(settings.log_format, "warning")

    async def run() -> T:
        store = await SqlStore.open(
            settings.database_url.get_secret_value(),
            migrate=sqlite_path(settings) is not None if migrate is None else migrate,
            release_leases=False,
        )
        try:
            return await work(store)
        finally:
            await store.close()

    return uvloop.run(run())


def with_media(work: Callable[[SqlStore, SqlMediaLibrary], Awaitable[T]]) -> T:
    """`work` on the configured store and its media library."""
    settings = Settings()

    async def opened(store: SqlStore) -> T:
        media = build_media(settings, store, load_secret_keys(settings))
        try:
            return await work(store, media)
        finally:
            await media.close()

    return with_store(opened)


@db_app.command("upgrade")
def db_upgrade(json_: JsonFlag = False) -> None:
    """Bring the store to this version's schema."""

    async def current(store: SqlStore) -> bool:
        return await store.is_current()

    is_current = with_store(current, migrate=True)
    if json_:
        print_json({"up_to_date": is_current})
    else:
        say("The store is up to date.")


@customer_app.command("show")
def customer_show(
    key: Annotated[str, typer.Argument(help="Customer id, phone number, or channel/account/external id.")],
    json_: JsonFlag = False,
) -> None:
    """Everything known about a customer: identities, messages, complaints, orders, consents, timeline."""

    async def work(store: SqlStore, media: SqlMediaLibrary) -> Any:
        record = await customers.customer_record(store.database, await _one_customer(store, key))
        return {**record, "files": with_links(record["files"], media, key="media_id")}

    record = with_media(work)
    if json_:
        print_json(record)
        return
    show_record(record, Settings().timezone)


@customer_app.command("export")
def customer_export(
    key: Annotated[str, typer.Argument(help="As for show.")],
    files: Annotated[Path | None, typer.Option(help="Folder to which the person's files are copied.")] = None,
) -> None:
    """One JSON document with every row that names the person; files with signed links, and as copies if asked for."""

    async def work(store: SqlStore, media: SqlMediaLibrary) -> Any:
        document = await erasure.export_customer(store.database, await _one_customer(store, key))
        listed = with_links(document["media"], media, key="key")
        return {**document, "media": listed if files is None else await save_files(listed, media, files)}

    print_json(with_media(work))


@customer_app.command("erase")
def customer_erase(
    key: Annotated[str, typer.Argument(help="As for show.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Erase a person from every table and from the media store; prints a receipt."""

    async def find(store: SqlStore) -> CustomerId:
        return await _one_customer(store, key)

    customer_id = with_store(find)
    if not yes:
        typer.confirm(f"Erase customer {customer_id} from every table? This cannot be undone", abort=True)

    async def work(store: SqlStore, media: SqlMediaLibrary) -> Any:
        return await erase_with_files(store, media, customer_id)

    print_json(with_media(work))


@customer_app.command("unlink")
def customer_unlink(
    key: Annotated[str, typer.Argument(help="As for show.")],
    link: Annotated[int | None, typer.Argument(help="The link to undo; left out, they are listed.")] = None,
    json_: JsonFlag = False,
) -> None:
    """Take apart what "continue on …" made one customer: what the link moved goes back to where it was."""

    async def work(store: SqlStore) -> list[CustomerLink]:
        customer_id = await _one_customer(store, key)
        found = await store.links_of(customer_id)
        if link is not None:
            if link not in {item.id for item in found}:
                raise NotFound(f"customer {customer_id} has no link {link}; without a number the links are listed")
            await store.unlink(link)
            found = [item for item in await store.links_of(customer_id) if item.id == link]
        return found

    found = with_store(work)
    if json_:
        print_json(found)
    elif link is None:
        show_links(found, Settings().timezone)
    else:
        (undone,) = found
        say(f"Link {undone.id} is undone: {undone.taken_up_by} is customer {undone.merged_customer_id} again.")


@user_app.command("add")
def user_add(
    name: str,
    role: Annotated[str, typer.Option(help=f"One of {', '.join(staff.ROLES)}.")] = "operator",
    json_: JsonFlag = False,
) -> None:
    """Add a staff account; prints its generated password once."""

    async def work(store: SqlStore) -> str:
        return await staff.add_user(store.database, name, role)

    _tell_password(name, with_store(work), json_)


@user_app.command("list")
def user_list(json_: JsonFlag = False) -> None:
    """Staff accounts, without secrets."""

    async def work(store: SqlStore) -> Any:
        return await staff.list_users(store.database)

    users = with_store(work)
    if json_:
        print_json(users)
    else:
        print_table(
            "Staff",
            ("name", "role", "created", "disabled"),
            ((user["name"], user["role"], user["created_at"], user["disabled_at"] or "") for user in users),
        )


@user_app.command("disable")
def user_disable(name: str, json_: JsonFlag = False) -> None:
    """The account can no longer sign in; its history stays."""

    async def work(store: SqlStore) -> None:
        await staff.disable_user(store.database, name)

    with_store(work)
    if json_:
        print_json({"name": name, "disabled": True})
    else:
        say(f"{name} is disabled.")


@user_app.command("reset-password")
def user_reset_password(name: str, json_: JsonFlag = False) -> None:
    """Give an account a new generated password, printed once."""

    async def work(store: SqlStore) -> str:
        return await staff.reset_password(store.database, name)

    _tell_password(name, with_store(work), json_)


def _tell_password(name: str, password: str, as_json: bool) -> None:
    if as_json:
        print_json({"name": name, "password": password})
    else:
        say(f"Password for {name}: {password}")


async def _one_customer(store: SqlStore, key: str) -> CustomerId:
    """Raises: CustomerNotFound, also when the key fits several (then it names them)."""
    found = await customers.find_customers(store.database, key)
    if not found:
        raise CustomerNotFound(f"no customer for {key!r}; use an id, a phone number or channel/account/external-id")
    if len(found) > 1:
        raise CustomerNotFound(f"{key!r} fits customers {', '.join(str(item) for item in found)}; use the id")
    return found[0]
