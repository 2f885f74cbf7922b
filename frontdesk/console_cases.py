"""What the console's screens of cases and customers work with, put together from the store and the rules."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from bot.ports import Clock
from bot.service.cases import CaseRules
from bot.service.policy import ServicePolicy
from bot.types import Language
from console.case_acts import CaseServices
from console.customers import CustomerServices
from crm_sync.database import Database
from crm_sync.site_tasks import Offered
from desk import learning
from desk.case_board import CaseBoard
from desk.cases import CaseDesk
from desk.compensation import CompensationDesk
from desk.customer_records import CustomerRecords
from desk.customers import CustomerDesk
from desk.handoff import HandoffDesk
from desk.pay_plans import PayPlanDesk
from desk.site_offers import SiteOffers
from desk.tasks import TaskDesk

Export = Callable[[int], Awaitable[Mapping[str, Any]]]


def case_services(
    database: Database,
    policy: Callable[[], ServicePolicy],
    clock: Clock,
    handoff: HandoffDesk,
    teams: Callable[[str], Sequence[tuple[str, str]]],
    *,
    link: Callable[[Offered], str],
) -> CaseServices:
    """The services over this store; codes are called as the policy of the moment calls them."""

    def categories(language: str) -> dict[str, str]:
        lang = _language(language)
        found: dict[str, str] = {}
        for rules in reversed(policy().each):  # where two of them have the same code, the default one's title is shown
            for category in rules.cases.categories.by_key.values():
                found |= {kind.key: kind.names.get(lang, kind.key) for kind in category.quality_types.values()}
                found[category.key] = category.names.get(lang, category.key)
        return found

    def titles(codes: Callable[[CaseRules], Mapping[str, Mapping[Language, str]]], language: str) -> dict[str, str]:
        return {
            code: names.get(_language(language), code)
            for rules in reversed(policy().each)
            for code, names in codes(rules.cases).items()
        }

    return CaseServices(
        cases=CaseDesk(database, policy, clock),
        board=CaseBoard(database),
        money=CompensationDesk(database, policy, clock),
        plans=PayPlanDesk(database, policy, clock),
        sites=SiteOffers(database, policy, clock, link),
        alerts=lambda actor: learning.open_alerts(database, actor),
        see_alert=lambda actor, alert: learning.see_alert(database, actor, alert, clock.now()),
        handoff=handoff,
        teams=teams,
        categories=categories,
        causes=partial(titles, lambda rules: rules.causes),
        remedies=partial(titles, lambda rules: rules.remedies),
    )


def customer_services(
    database: Database, policy: Callable[[], ServicePolicy], clock: Clock, export: Export, erase: Export
) -> CustomerServices:
    """The services over this store. `export` and `erase` take the person's files along."""
    return CustomerServices(
        records=CustomerRecords(database, clock, policy),
        desk=CustomerDesk(database, policy, clock),
        tasks=TaskDesk(database, clock),
        cases=CaseDesk(database, policy, clock),
        attributes=lambda language: [
            (name, kept.names.get(_language(language)) or name.replace("_", " "))
            for name, kept in policy().record.attributes.items()
        ],
        export=export,
        erase=erase,
    )


def _language(language: str) -> Language:
    return "zh" if language.startswith("zh") else "en"
