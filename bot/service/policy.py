"""`service.yml` as a value: the rules a business sets for its service desk. Data with a history, never an `if`.

Each section is read by the module that applies it. A section that is missing has that module's defaults, so that an
assistant without a service.yml still takes complaints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from bot.located import invalid, only_keys, table
from bot.service.appointments import AppointmentRules, read_appointments
from bot.service.broadcasts import BroadcastRules, read_broadcasts
from bot.service.calendars import ALWAYS, Calendar, Calendars, read_calendars
from bot.service.care import CareRules, read_care
from bot.service.cases import CaseRules, read_cases
from bot.service.editing import EditingRules, read_editing
from bot.service.handoff import HandoffRules
from bot.service.handoff_reading import read_handoff
from bot.service.promises import PromiseRules, read_promises, start
from bot.service.record import RecordRules, read_record
from bot.service.report_rules import ReportRules, read_reports
from bot.service.routing import RoutingRules, Team, read_routing
from bot.service.topics import TopicRules, read_topics
from bot.service_types import IN_ZONE, ClockStart, in_zone

CASE_CLOCKS = ("first_response", "update", "solution")
Account = tuple[str, str]  # channel, and the name of the account there; ("", ""): none, the default assistant's


@dataclass(frozen=True)
class ServicePolicy:
    """What `service.yml` says. `version` 0 is the file's; those changed in the store count up from 1."""

    version: int = 0
    calendars: Calendars = field(default_factory=Calendars)  # calendars: opening hours, holidays, make-up working days
    promises: PromiseRules = field(default_factory=PromiseRules)  # promises: clocks by severity, ladder
    cases: CaseRules = field(default_factory=CaseRules)  # cases: categories, severity, compensation, satisfaction
    routing: RoutingRules = field(default_factory=RoutingRules)  # routing: teams and sites
    appointments: AppointmentRules = field(default_factory=AppointmentRules)
    record: RecordRules = field(default_factory=RecordRules)  # record: attributes, assets, credit classes, value
    care: CareRules = field(default_factory=CareRules)  # care: signals and their follow-up
    topics: TopicRules = field(default_factory=TopicRules)  # topics: subscriptions, reminders, outages
    broadcasts: BroadcastRules = field(default_factory=BroadcastRules)  # broadcasts: purposes, cap, quiet hours
    knowledge: EditingRules = field(default_factory=EditingRules)  # knowledge: who publishes what
    reports: ReportRules = field(default_factory=ReportRules)  # reports: scheduled summaries
    handoff: HandoffRules = field(default_factory=HandoffRules)  # handoff: why, how urgent, to whom, for how long

    def calendar_for(self, severity: int, site_calendar: str = "") -> Calendar:
        """The calendar a case of this severity counts in: every hour where the rules say so, else its site's.

        `site_calendar`: as `Site.hours` names it; "" without a site.
        """
        if severity in self.promises.around_the_clock:
            return self.calendars.get(ALWAYS)
        name, _, timezone = site_calendar.partition(IN_ZONE)
        return self.calendars.get(in_zone(name or self.promises.calendar, timezone))

    def clocks_for(
        self, severity: int, now: datetime, *, site_calendar: str = "", kinds: Sequence[str] = CASE_CLOCKS
    ) -> tuple[ClockStart, ...]:
        """The promises that begin when a case of this severity is opened (or reopened) now."""
        calendar = self.calendar_for(severity, site_calendar)
        started = (
            start(kind, self.promises.budget(kind, severity), calendar, now, warn_share=self.promises.warn_share)
            for kind in kinds
        )
        return tuple(clock for clock in started if clock is not None)

    def of(self, account: Account) -> ServicePolicy:
        """The rules of the assistant that answers on this account (channel and its name)."""
        return self

    @property
    def each(self) -> tuple[ServicePolicy, ...]:
        """The rules of every assistant of the desk, each once, the default one's first."""
        return (self,)

    @property
    def teams(self) -> Mapping[str, Team]:
        """Teams of the desk, whichever assistant's rules name them; what the default one says of a team wins."""
        found: dict[str, Team] = {}
        for policy in self.each:
            found |= {name: team for name, team in policy.routing.teams.items() if name not in found}
        return found

    def teams_of(self, name: str) -> frozenset[str]:
        """The teams that any assistant's rules put a staff user in."""
        return frozenset(team for policy in self.each for team in policy.routing.teams_of(name))

    def person(self, to: str, *, owner: str, team: str) -> str:
        """Who a rung of the ladder means: a staff user, or the team whose queue it is; "" when there is nobody."""
        if to == "owner":
            return owner or team
        return self.routing.head(to, team)


@dataclass(frozen=True)
class DeskPolicy(ServicePolicy):
    """The rules of a desk with several assistants: the default one's, and those of accounts bound to another.

    What belongs to no account (people's records, broadcasts, the queue's order) goes by the default one's.
    """

    by_account: Mapping[Account, ServicePolicy] = field(default_factory=dict)

    def of(self, account: Account) -> ServicePolicy:
        return self.by_account.get(account, self)

    @property
    def each(self) -> tuple[ServicePolicy, ...]:
        others = {id(policy): policy for policy in self.by_account.values()}
        return (self, *others.values())


def desk_policy(default: ServicePolicy, by_account: Mapping[Account, ServicePolicy]) -> DeskPolicy:
    """The rules of the whole desk. `by_account`: of accounts that another assistant than the default one answers on."""
    own = {each.name: getattr(default, each.name) for each in fields(ServicePolicy)}
    return DeskPolicy(**own, by_account=dict(by_account))


def read_policy(document: Any, *, version: int = 0) -> ServicePolicy:
    """The policy in the parsed content of a service.yml. Raises: AssistantInvalid with file, line and reason."""
    root = table(document, "service.yml", document)
    readers = {
        "calendars": read_calendars,
        "promises": read_promises,
        "cases": read_cases,
        "routing": read_routing,
        "appointments": read_appointments,
        "record": read_record,
        "care": read_care,
        "topics": read_topics,
        "broadcasts": read_broadcasts,
        "knowledge": read_editing,
        "reports": read_reports,
        "handoff": read_handoff,
    }
    only_keys(root, readers, "service.yml")
    sections = {name: reader(table(root[name], name, root, name)) for name, reader in readers.items() if name in root}
    policy = ServicePolicy(version=version, **sections)  # type: ignore[arg-type]  # each reader gives its section's type
    for team in policy.handoff.teams_named:
        if team not in policy.routing.teams:
            raise invalid(f"handoff names a team {team!r} that routing does not know", root, "handoff")
    return policy
