"""What a form does to a case: one function for the page, the board and many cases at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Final

from bot.errors import InputError
from console.frame import Visit
from console.saying import digits_of
from desk.actors import Actor
from desk.case_board import CaseBoard
from desk.cases import CaseDesk
from desk.compensation import CompensationDesk
from desk.handoff import HandoffDesk
from desk.pay_plans import PayPlanDesk
from desk.site_offers import SiteOffers

NEEDS_WORDS: Final = frozenset({"progress", "ask", "solve", "reopen", "withdraw", "note", "tell", "classify"})
ACTS: Final = ("take", "assign", "watch", "unwatch", "link", "explain", *sorted(NEEDS_WORDS))
BULK: Final = ("take", "assign", "note", "tell", "progress", "ask", "solve", "withdraw")
MOST_MINOR: Final = 10**12


@dataclass(frozen=True, slots=True)
class CaseServices:
    """What the screens of cases work with; the names are codes of the rules with their titles in a language."""

    cases: CaseDesk
    board: CaseBoard
    money: CompensationDesk
    plans: PayPlanDesk
    sites: SiteOffers
    alerts: Callable[[Actor], Awaitable[list[dict[str, object]]]]
    see_alert: Callable[[Actor, int], Awaitable[bool]]
    handoff: HandoffDesk
    teams: Callable[[str], Sequence[tuple[str, str]]]
    categories: Callable[[str], Mapping[str, str]]
    causes: Callable[[str], Mapping[str, str]]
    remedies: Callable[[str], Mapping[str, str]]


async def do(services: CaseServices, visit: Visit, act: str, number: str, version: int | None) -> None:
    """The case is as the visit's form says.

    Raises: InputError for what is missing, NotFound for an act there is none of, and what `CaseDesk` raises.
    """
    desk, actor, words = services.cases, visit.actor, visit.text("words")
    if act in NEEDS_WORDS and not words.strip():
        raise InputError(visit.t("act.words.missing"))
    match act:
        case "take":
            await desk.take(actor, number, version=version)
        case "assign":
            owner, team = visit.text("owner"), visit.text("team")
            await desk.assign(actor, number, owner=owner, team=team, why=words, version=version)
        case "progress":
            await desk.progress(actor, number, words, version=version)
        case "ask":
            await desk.ask(actor, number, words, version=version)
        case "solve":
            cause, remedy = visit.text("cause"), visit.text("remedy")
            await desk.solve(actor, number, words, cause=cause, remedy=remedy, version=version)
        case "reopen":
            await desk.reopen(actor, number, words, version=version)
        case "withdraw":
            await desk.withdraw(actor, number, words, version=version)
        case "note":
            await desk.note(actor, number, words)
        case "tell":
            await desk.tell(actor, number, words, version=version)
        case "classify":
            severity = visit.number("severity") or 0
            await desk.classify(actor, number, severity=severity, why=words, version=version)
        case "explain":
            await desk.explain(actor, number, cause=visit.text("cause"), remedy=visit.text("remedy"), version=version)
        case "watch" | "unwatch":
            await desk.watch(actor, number, wanted=act == "watch")
        case "link":
            await desk.link(actor, number, visit.number("conversation") or 0)
        case _:
            raise InputError(f"there is no act {act!r}")


async def people(services: CaseServices, actor: Actor) -> list[str]:
    """Whom a case can be given to."""
    return [one.name for one in await services.handoff.colleagues(actor)] if actor.may("conversations.read") else []


def minor_of(text: str, currency: str) -> int:
    """An amount as people write it, in minor units; a whole number without a currency. Raises: InputError."""
    try:
        amount = Decimal(text.strip().replace(",", ""))
        scaled = amount.scaleb(digits_of(currency) if currency else 0)
    except (InvalidOperation, ValueError) as exc:
        raise InputError("the amount is no number") from exc
    if not scaled.is_finite() or scaled != scaled.to_integral_value() or not 0 < scaled <= MOST_MINOR:
        raise InputError("the amount is no number that can be given")
    return int(scaled)
