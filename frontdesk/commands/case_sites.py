"""`case site`: a site is asked to solve a case; prints the link it works with."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from config.settings import Settings
from crm_sync.cases import By
from crm_sync.site_links import SiteLinks
from crm_sync.site_tasks import Offered
from crm_sync.store import SqlStore
from desk.site_work import offer_site
from frontdesk.commands.output import print_json, say
from frontdesk.commands.records import with_store
from frontdesk.policies import desk_policy_in_force
from frontdesk.secret_key import load_secret_keys

JsonFlag = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]


def register(app: typer.Typer) -> None:
    """The command is one of `case`."""
    app.command("site")(case_site)


def case_site(
    number: Annotated[str, typer.Argument(help="Number of the case.")],
    site: Annotated[str, typer.Argument(help="Key of the site, as in frontdesk import sites.")],
    author: Annotated[str, typer.Option("--as", help="Who asks for it.")] = "admin",
    json_: JsonFlag = False,
) -> None:
    """Ask a site to solve a case; prints a link that needs no account. Links given out before stop working."""
    settings = Settings()
    links = SiteLinks(load_secret_keys(settings), base_url=settings.own_url)

    async def work(store: SqlStore) -> Offered:
        policy = await desk_policy_in_force(store.database, settings)
        return await offer_site(store.database, number, site, policy, By("operator", datetime.now(UTC), author))

    offered = with_store(work)
    link = links.link(offered.task_id, offered.serial, offered.expires_at)
    if json_:
        print_json({"link": link, "expires_at": offered.expires_at.isoformat()})
    else:
        say(link)
