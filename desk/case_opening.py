"""A case that a member of staff opens for a customer, e.g. for one who has called."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final

from sqlalchemy import Connection, select

from bot.errors import CustomerNotFound, InputError, NotFound, RuleError
from bot.ports import Clock
from bot.service.policy import ServicePolicy
from bot.service.routing import Matter
from bot.types import OpenCase
from crm_sync.cases import By, open_by_staff
from crm_sync.customer_lists import line_of
from crm_sync.database import Database
from crm_sync.merging import root_of
from crm_sync.numbers import next_case_number
from crm_sync.service_tables import sites
from crm_sync.sites import HOURS
from desk.actors import Actor
from desk.audit import record
from desk.rules import rules_of
from desk.sight import visible

KINDS: Final[Sequence[str]] = ("complaint", "return", "exchange", "repair", "suggestion")
LONGEST: Final = 4000  # characters of what happened
_SUMMARY: Final = 200
_SUBJECT: Final = 200


@dataclass(frozen=True, slots=True)
class NewCase:
    """What staff know of it. `severity` None, `category` and `team` empty: as the rules find them in the words.

    `subject`: what it is about (an order, a device); empty: each such case by itself. `site`: key.
    """

    kind: str
    words: str
    category: str = ""
    subject: str = ""
    severity: int | None = None
    team: str = ""
    site: str = ""
    conversation_id: int | None = None


class CaseOpening:
    """`policy` gives the rules as they are now."""

    def __init__(self, database: Database, policy: Callable[[], ServicePolicy], clock: Clock) -> None:
        self._database, self._policy, self._clock = database, policy, clock

    async def open(self, actor: Actor, customer_id: int, wanted: NewCase) -> Any:
        """The case is open, its promises run; its row. The customer is not told: `CaseDesk.tell` does that.

        Raises: NotPermitted, CustomerNotFound; NotFound for a conversation the actor does not see, a team or a site
        there is none of; InputError for a kind, category or severity there is none of and without words; RuleError when
        the customer has an open case about the same thing, or for a conversation of somebody else.
        """
        actor.require("cases.work")
        desk, now = self._policy(), self._clock.now()
        words = wanted.words.strip()[:LONGEST]
        if not words:
            raise InputError("say in a few words what happened")
        if wanted.kind not in KINDS:
            raise InputError(f"{wanted.kind!r} is no kind of case; there are: {', '.join(KINDS)}")
        if wanted.severity not in (None, 1, 2, 3, 4):
            raise InputError("severity is a number from 1 to 4")

        def unit(conn: Connection) -> Any:
            person = root_of(conn, customer_id)
            line = line_of(conn, person)
            if line is None:
                raise CustomerNotFound(f"no customer {customer_id}")
            if wanted.conversation_id is not None:
                talk = visible(conn, actor, wanted.conversation_id)
                if talk.customer_id != person:
                    raise RuleError(f"conversation {wanted.conversation_id} is of another customer")
            came = SimpleNamespace(conversation_id=wanted.conversation_id, customer_id=person)
            policy = rules_of(conn, came, desk)
            _check_codes(wanted, policy)
            calendar = _calendar(conn, wanted.site) if wanted.site else ""
            finding = policy.cases.find(words)
            category = wanted.category or finding.category
            quality = finding.quality_type if category == finding.category else ""
            level = wanted.severity or finding.severity or 2
            language = line.language
            matter = Matter(category, quality, language, line.value_class, line.credit_class, level)
            number = next_case_number(conn)
            effect = OpenCase(
                number=number,
                kind=wanted.kind,
                category=category,
                subject=wanted.subject.strip()[:_SUBJECT].casefold() or number.casefold(),
                severity=level,
                summary=words[:_SUMMARY],
                details={"what_happened": words},
                quality_type=quality,
                language=language,
                team=wanted.team or policy.routing.route(matter).team or finding.team,
                site=wanted.site,
                clocks=policy.clocks_for(level, now, site_calendar=calendar),
                policy_version=policy.version,
            )
            row = open_by_staff(conn, effect, person, wanted.conversation_id, By("operator", now, actor.name))
            details = {"kind": row.kind, "severity": row.severity, "team": row.team}
            record(conn, actor, "case.open", f"case:{row.number}", details, now=now)
            return row

        return await self._database.run(unit)


def _check_codes(wanted: NewCase, policy: ServicePolicy) -> None:
    """Raises: NotFound for a team there is none of, InputError for a category there is none of."""
    if wanted.team and wanted.team not in policy.routing.teams:
        raise NotFound(f"there is no team {wanted.team!r}")
    known = policy.cases.categories.by_key
    if wanted.category and known and wanted.category not in known:
        raise InputError(f"{wanted.category!r} is no category; there are: {', '.join(sorted(known))}")


def _calendar(conn: Connection, key: str) -> str:
    """The hours of the active site of this key. Raises: NotFound."""
    found = conn.execute(select(HOURS).where(sites.c.key == key, sites.c.is_active)).scalar()
    if found is None:
        raise NotFound(f"there is no site {key!r}")
    return str(found)
