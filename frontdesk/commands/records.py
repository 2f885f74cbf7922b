"""`db`, `customer`: the store from the command line."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
import uvloop
from sqlalchemy import Connection

from bot.errors import CustomerNotFound, NotFound
from bot.types import CustomerId
from config.logging import configure_logging
from config.settings import Settings
from crm_sync import customers, erasure, merge_evidence, merging
from crm_sync.links import CustomerLink
from crm_sync.media.library import SqlMediaLibrary
from crm_sync.store import SqlStore
from desk.actors import Actor, actor_named
from desk.customers import CustomerDesk, RecordChange
from desk.sealing import AUDIT, purpose_keys
from frontdesk.clock import SystemClock
from frontdesk.commands.output import print_json, print_table, say
from frontdesk.commands.record_view import show_links, show_record
from frontdesk.customer_files import erase_with_files, save_files, with_links
from frontdesk.media import build_media
from frontdesk.policies import desk_policy_in_force
from frontdesk.secret_key import load_secret_keys, sqlite_path

T = TypeVar("T")
JsonFlag = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]

db_app = typer.Typer(help="The store.", no_args_is_help=True)
customer_app = typer.Typer(help="Customer records.", no_args_is_help=True)


def with_store(work: Callable[[SqlStore], Awaitable[T]], *, migrate: bool | None = None) -> T:
    """`work` on the configured store; an SQLite store is created and migrated when needed."""
    settings = Settings()
    configure_logging(settings.log_format, "warning")

    async def run() -> T:
        store = await SqlStore.open(
            settings.database_url.get_secret_value(),
            migrate=sqlite_path(settings) is not None if migrate is None else migrate,
            release_leases=False,
            audit_keys=purpose_keys(load_secret_keys(settings), AUDIT),
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


@customer_app.command("merge")
def customer_merge(
    keys: Annotated[list[str], typer.Argument(help="Two or more customers, each as for show.")], json_: JsonFlag = False
) -> None:
    """Make one record of several; the oldest is kept, and each merge can be undone."""
    if len(keys) < 2:
        raise typer.BadParameter("name two or more customers")

    async def work(store: SqlStore) -> list[merging.Merge]:
        first, *others = [await _one_customer(store, key) for key in keys]
        now = datetime.now(UTC)

        def unit(conn: Connection) -> list[merging.Merge]:
            ids = [
                merging.merge(conn, first, other, evidence="staff", author="cli", now=now)
                for other in dict.fromkeys(others)
            ]
            return [item for item in merging.merges_of(conn, merging.root_of(conn, first)) if item.id in ids]

        return await store.database.run(unit)

    done = with_store(work)
    if json_:
        print_json(done)
    elif not done:
        say("They are one record already.")
    for item in () if json_ else done:
        say(f"Merge {item.id}: customer {item.merged_customer_id} is part of customer {item.kept_customer_id} now.")


@customer_app.command("unmerge")
def customer_unmerge(
    key: Annotated[str, typer.Argument(help="As for show.")],
    merge: Annotated[int | None, typer.Argument(help="The merge to undo; left out, they are listed.")] = None,
    json_: JsonFlag = False,
) -> None:
    """Take merged records apart again: what was moved goes back, what came since stays with whoever said it."""

    async def work(store: SqlStore) -> list[merging.Merge]:
        customer_id = await _one_customer(store, key)
        found = await store.database.run(lambda conn: merging.merges_of(conn, customer_id), read=True)
        if merge is None:
            return found
        if merge not in {item.id for item in found}:
            raise NotFound(f"customer {customer_id} has no merge {merge}; without a number they are listed")
        now = datetime.now(UTC)
        return [await store.database.run(lambda conn: merging.unmerge(conn, merge, author="cli", now=now))]

    found = with_store(work)
    if json_:
        print_json(found)
    elif merge is None:
        print_table(
            "Merges",
            ("id", "kept", "merged", "evidence", "by", "at", "undone"),
            (
                (
                    item.id,
                    item.kept_customer_id,
                    item.merged_customer_id,
                    item.evidence,
                    item.author,
                    item.at,
                    item.undone_at,
                )
                for item in found
            ),
        )
    else:
        say(f"Merge {found[0].id} is undone: customer {found[0].merged_customer_id} is a record of its own again.")


@customer_app.command("proposals")
def customer_proposals(
    merge: Annotated[int | None, typer.Option(help="Proposal to follow: they are one person.")] = None,
    refuse: Annotated[int | None, typer.Option(help="Proposal to refuse: it is not made again.")] = None,
    json_: JsonFlag = False,
) -> None:
    """Records that may be one person, the most likely first; decide on one with --merge or --refuse."""
    if merge is not None and refuse is not None:
        raise typer.BadParameter("choose one of --merge and --refuse")

    async def work(store: SqlStore) -> list[merge_evidence.Proposal]:
        chosen = merge if merge is not None else refuse
        if chosen is not None:
            now = datetime.now(UTC)
            await store.database.run(
                lambda conn: merge_evidence.decide(conn, chosen, is_same=merge is not None, author="cli", now=now)
            )
        return await store.database.run(merge_evidence.proposals, read=True)

    found = with_store(work)
    if json_:
        print_json(found)
    else:
        print_table(
            "Perhaps one person",
            ("id", "customer", "customer", "what agrees", "score"),
            (
                (item.id, item.customer_id, item.other_customer_id, ", ".join(item.evidence), f"{item.score:.2f}")
                for item in found
            ),
        )


@customer_app.command("set")
def customer_set(
    key: Annotated[str, typer.Argument(help="As for show.")],
    changes: Annotated[list[str], typer.Argument(help="field=value; credit_class=B, tag=vip and untag=vip too.")],
    *,
    as_: Annotated[
        str, typer.Option("--as", help="Staff account that acts; without it, whoever runs this as admin.")
    ] = "",
    json_: JsonFlag = False,
) -> None:
    """Put a record right, as far as the role of the account allows; it is kept who changed which fields."""
    wanted: dict[str, str] = {}
    for change in changes:
        name, sign, value = change.partition("=")
        if not sign:
            raise typer.BadParameter(f"write field=value, not {change!r}")
        wanted[name.strip().lower()] = value

    async def work(store: SqlStore) -> list[str]:
        customer_id = await _one_customer(store, key)
        actor = await actor_named(store.database, as_) if as_ else Actor("admin", "admin")
        policy = await desk_policy_in_force(store.database, Settings())
        desk = CustomerDesk(store.database, lambda: policy, SystemClock())
        fields = {name: value for name, value in wanted.items() if name not in ("credit_class", "tag", "untag")}
        tags = {name: [wanted[name]] if name in wanted else [] for name in ("tag", "untag")}
        change = RecordChange(fields, wanted.get("credit_class"), add_tags=tags["tag"], remove_tags=tags["untag"])
        return await desk.change(actor, customer_id, change)

    changed = with_store(work)
    if json_:
        print_json({"changed": changed})
    else:
        say(f"Changed: {', '.join(changed)}." if changed else "Nothing was different.")


@customer_app.command("values")
def customer_values(json_: JsonFlag = False) -> None:
    """Compute now what customers are worth and how things stand with them; the scheduler does it every night."""
    from frontdesk.caring import compute

    async def work(store: SqlStore) -> int:
        policy = await desk_policy_in_force(store.database, Settings())
        return await compute(store.database, policy, datetime.now(UTC))

    count = with_store(work)
    if json_:
        print_json({"customers": count})
    else:
        say(f"{count} customers have figures of now; frontdesk customer show tells them.")


async def _one_customer(store: SqlStore, key: str) -> CustomerId:
    """Raises: CustomerNotFound, also when the key fits several (then it names them)."""
    found = await customers.find_customers(store.database, key)
    if not found:
        raise CustomerNotFound(f"no customer for {key!r}; use an id, a phone number or channel/account/external-id")
    if len(found) > 1:
        raise CustomerNotFound(f"{key!r} fits customers {', '.join(str(item) for item in found)}; use the id")
    return found[0]
