"""What a customer is worth and how things stand with them: usual interval, stage of life, what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median

from bot.service.record import RecordRules

YEAR = timedelta(days=365)
FEWEST_VISITS = 3  # for an interval to be usual


@dataclass(frozen=True, slots=True)
class Purchase:
    """A visit or an order. `amount_minor` 0 where nothing was paid."""

    at: datetime
    amount_minor: int = 0
    currency: str = ""


@dataclass(frozen=True, slots=True)
class Worth:
    """What follows from a customer's own history. Amounts are in the currency they spent most in."""

    visits: int
    last_at: datetime | None
    usual_interval: timedelta | None  # None below three days on which they came
    amount_year: int
    amount_before: int  # of the year before
    currency: str
    lifecycle: str
    next_action: str


def worth(history: Sequence[Purchase], rules: RecordRules, now: datetime, *, has_open_complaint: bool = False) -> Worth:
    """The figures of one customer; the order of `history` does not matter, what lies in the future does not count."""
    past = sorted((item for item in history if item.at <= now), key=lambda item: item.at)
    days = [item.at for place, item in enumerate(past) if not place or item.at.date() != past[place - 1].at.date()]
    usual = usual_interval(days)
    totals: dict[str, int] = {}
    for item in past:
        if item.currency:
            totals[item.currency] = totals.get(item.currency, 0) + item.amount_minor
    currency = max(totals, key=lambda name: (totals[name], name)) if totals else ""
    spent = [item for item in past if item.currency == currency]
    year = sum(item.amount_minor for item in spent if item.at > now - YEAR)
    before = sum(item.amount_minor for item in spent if now - 2 * YEAR < item.at <= now - YEAR)
    stage = lifecycle(days, usual, year, before, rules=rules, now=now)
    return Worth(
        visits=len(days),
        last_at=days[-1] if days else None,
        usual_interval=usual,
        amount_year=year,
        amount_before=before,
        currency=currency,
        lifecycle=stage,
        next_action=next_action(stage, has_open_complaint=has_open_complaint),
    )


def usual_interval(days: Sequence[datetime]) -> timedelta | None:
    """The median of the customer's own intervals, which one long holiday does not change."""
    if len(days) < FEWEST_VISITS:
        return None
    return timedelta(seconds=median((later - earlier).total_seconds() for earlier, later in pairwise(days)))


def lifecycle(
    days: Sequence[datetime], usual: timedelta | None, year: int, before: int, *, rules: RecordRules, now: datetime
) -> str:
    """One of `record.STAGES`; "" for somebody who never came."""
    if not days:
        return ""
    lost = max(usual * rules.lost_after, timedelta(days=1)) if usual else timedelta(days=rules.lost_days)
    away = now - days[-1]
    if away >= lost:
        return "lost"
    if usual and away >= usual * rules.fading_after:
        return "fading"
    returns = [later for earlier, later in pairwise(days) if later - earlier >= lost]
    if returns and now - returns[-1] < timedelta(days=rules.new_days):
        return "won_back"
    if now - days[0] < timedelta(days=rules.new_days):
        return "new"
    return "growing" if before and year > before * (1 + rules.growing_by) else "stable"


def next_action(stage: str, *, has_open_complaint: bool) -> str:
    """What is best done next: first what is broken, then who is about to go, then who has just come."""
    if has_open_complaint:
        return "solve_complaint"
    return {
        "lost": "win_back",
        "fading": "ask_how_it_is",
        "new": "welcome",
        "won_back": "welcome_back",
        "growing": "thank",
    }.get(stage, "")


def value_class(share_before: float, amount: int) -> str:
    """A, B or C by the share of turnover that all better customers bring together."""
    if amount <= 0 or share_before >= 0.95:
        return "C"
    return "A" if share_before < 0.8 else "B"
