"""Staff give a case to a site: which ones can solve it, the nearest first, and the link the site then works with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from bot.ports import Clock
from bot.service.policy import ServicePolicy
from bot.service_types import CLOSED_STATUSES
from crm_sync.cases import By, found_case, locked_case
from crm_sync.database import Database
from crm_sync.site_tasks import Offered
from desk.actors import Actor
from desk.audit import record
from desk.rules import rules_of
from desk.site_work import offer, ranked

MOST = 10  # sites to choose from


@dataclass(frozen=True, slots=True)
class SiteChoice:
    """A site able to solve the case. `distance_m`: None where nobody knows where the customer is."""

    key: str
    names: Mapping[str, str]
    distance_m: int | None
    opens_at: datetime | None  # while it is closed
    open_tasks: int


@dataclass(frozen=True, slots=True)
class SiteLink:
    """What a site without e-mail and chat is to be given."""

    site: str
    link: str
    expires_at: datetime


class SiteOffers:
    """`link` makes the address of a task."""

    def __init__(
        self,
        database: Database,
        policy: Callable[[], ServicePolicy],
        clock: Clock,
        link: Callable[[Offered], str],
    ) -> None:
        self._database, self._policy, self._clock, self._link = database, policy, clock, link

    async def choices(self, actor: Actor, number: str) -> tuple[SiteChoice, ...]:
        """The best sites for it, best first; none for a case that is over. Raises: NotPermitted, CaseNotFound."""
        actor.require("cases.work")
        now, desk = self._clock.now(), self._policy()

        def unit(conn: Connection) -> tuple[SiteChoice, ...]:
            case = found_case(conn, number)
            if case.status in ("solved", *CLOSED_STATUSES):
                return ()
            best = ranked(conn, case, rules_of(conn, case, desk), now)[:MOST]
            return tuple(
                SiteChoice(one.site.key, one.site.names, one.site.distance_m, one.opens_at, one.site.open_tasks)
                for one in best
            )

        return await self._database.run(unit, read=True)

    async def offer(self, actor: Actor, number: str, site: str, *, version: int | None = None) -> SiteLink:
        """The site has the case, and is sent its link where it has an e-mail or a chat; earlier links stop working.

        Raises: NotPermitted, CaseNotFound, StaleState; NotFound when there is no such site; RuleError for a case that
        is over.
        """
        actor.require("cases.work")
        now, desk = self._clock.now(), self._policy()

        def unit(conn: Connection) -> Offered:
            case = locked_case(conn, number, version)
            offered = offer(conn, case, site, rules_of(conn, case, desk), By("operator", now, actor.name))
            record(conn, actor, "case.site", f"case:{case.number}", {"site": site}, now=now)
            return offered

        offered = await self._database.run(unit)
        return SiteLink(site, self._link(offered), offered.expires_at)
