"""What a complaint may be about, from the customer's own record: visits, orders, things they own, bills.

Looked up before anything is asked, so that the question can be "is it about your visit on Friday in Baoding Road?".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from bot.actions.base import ActionContext
from bot.business_time import find_date
from bot.service.sites import name_of
from bot.service_types import Asset, Visit
from bot.values import order_number, same_order

RECENT = timedelta(days=60)  # older visits and orders are offered only when they are named
LIKELY = timedelta(days=30)  # this recent, it is asked about by itself
MAX_OFFERED = 4
PASSING = timedelta(days=60)  # what is theirs no longer than this is what they are in the middle of
OTHER, YES, NO = "other", "yes", "no"
_OF_ORDERS = frozenset({"delivery", "refund"})


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something in the record. `key` is how a case names it, `label` how the customer reads it."""

    key: str
    kind: Literal["visit", "order", "asset", "due"]
    label: str
    at: datetime | None = None
    names: tuple[str, ...] = ()  # words that mean just this
    site: str = ""
    asset_id: int | None = None
    value_minor: int | None = None
    currency: str = ""


def candidates(context: ActionContext) -> tuple[Candidate, ...]:
    """Everything a complaint of this customer may well be about, the newest first; what has no date comes last."""
    customer, oldest = context.customer, context.turn.now - RECENT
    found = [_of_visit(context, visit) for visit in customer.visits if visit.at >= oldest]
    for order in customer.orders:
        label = " ".join(
            part for part in (context.word("subject", "order").replace("{}", order.number), order.items) if part
        )
        found.append(
            Candidate(
                order.number.casefold().removeprefix("so-"),
                "order",
                label[:60],
                order.placed_at,
                (order.number,),
                value_minor=order.amount_minor,
                currency=order.currency,
            )
        )
    for asset in customer.assets:
        if asset.until is None or asset.until > context.turn.now:
            found.append(_of_asset(context, asset))
    for due in customer.dues:
        label = context.word("subject", "due").replace("{}", due.key)
        found.append(
            Candidate(due.key.casefold(), "due", label, names=(due.key,), value_minor=due.amount_minor,
                      currency=due.currency)
        )  # fmt: skip
    never = datetime.min.replace(tzinfo=UTC)
    return tuple(sorted(found, key=lambda one: one.at or never, reverse=True))


def _of_asset(context: ActionContext, asset: Asset) -> Candidate:
    return Candidate(
        asset.key.casefold(),
        "asset",
        asset_label(context, asset)[:60],
        names=tuple(name for name in (asset.key, asset.name) if len(name) >= 2),
        site=str(asset.attributes.get("site", "")),
        asset_id=asset.id,
    )


def asset_label(context: ActionContext, asset: Asset) -> str:
    """What the customer reads for something of theirs: its name and number, or as the words `subject.asset` say."""
    template = context.word("subject", "asset", "{name} {key}")
    return template.replace("{name}", asset.name).replace("{key}", asset.key).strip()


def current(context: ActionContext) -> Candidate | None:
    """What is going on just now and ends by itself, such as a stay in the house; None when nothing or several do."""
    now = context.turn.now
    running = [
        asset
        for asset in context.customer.assets
        if asset.since and asset.until and asset.since <= now < asset.until <= asset.since + PASSING
    ]
    return _of_asset(context, running[0]) if len(running) == 1 else None


def _of_visit(context: ActionContext, visit: Visit) -> Candidate:
    day = visit.at.astimezone(context.zone).date()
    site = name_of(visit.site_names, context.language, visit.site)
    label = context.word("subject", "visit").replace("{day}", context.day(day)).replace("{site}", site)
    names = tuple(name for name in (*visit.site_names.values(), visit.asset_key) if name)
    return Candidate(
        f"{visit.site}@{day.isoformat()}".casefold(),
        "visit",
        label[:60],
        visit.at,
        names,
        site=visit.site,
        value_minor=visit.amount_minor,
        currency=visit.currency,
    )


def find(context: ActionContext, subject: str) -> Candidate | None:
    """What in the record this subject of a case is; None for words of the customer's own."""
    folded = subject.casefold()
    return next(
        (
            one
            for one in candidates(context)
            if one.key == folded or (one.kind == "order" and same_order(one.key, folded))
        ),
        None,
    )


def named(context: ActionContext, words: str) -> Candidate | None:
    """The one thing these words name: by its name or number, or by the day and the place; None when it stays open."""
    known = candidates(context)
    folded = words.casefold()
    day = find_date(words, context.today)
    number = order_number(words)
    of_day = [one for one in known if one.at and day and one.at.astimezone(context.zone).date() == day]
    by_name = [one for one in known if any(_says(folded, name) for name in one.names)]
    by_number = [one for one in known if one.kind == "order" and number and same_order(one.key, number)]
    for found in (by_number, [one for one in by_name if one in of_day], by_name, of_day):
        if len(found) == 1:
            return found[0]
    return None


def _says(folded: str, name: str) -> bool:
    name = name.casefold()
    if name.isascii():
        return re.search(rf"(?<![a-z0-9]){re.escape(name)}(?![a-z0-9])", folded) is not None
    return name in folded


def offered(context: ActionContext, category: str) -> tuple[Candidate, ...]:
    """What is offered to choose from: orders first where it is about orders, otherwise the newest first."""
    known = candidates(context)
    if category in _OF_ORDERS:
        known = tuple(sorted(known, key=lambda one: one.kind != "order"))
    return known[:MAX_OFFERED]


def guess(context: ActionContext, category: str) -> Candidate | None:
    """What it is most likely about: the first of those offered when it is recent, or all there is."""
    first = next(iter(offered(context, category)), None)
    if first is None:
        return None
    is_recent = first.at is not None and context.turn.now - first.at <= LIKELY
    return first if is_recent or len(candidates(context)) == 1 else None
