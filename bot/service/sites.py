"""The nearest site able to do it: every site that can, in an order that explains itself.

A site's score is a sum of metres: the way to it, and what each of its drawbacks is worth in metres of way
(`routing.weights`). The smallest sum comes first; the parts of the sum are the reasons.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from bot.service.calendars import Calendar, Calendars, NoWorkingTime
from bot.service.places import Position, distance_m, position, position_in, position_of
from bot.service.routing import RoutingRules
from bot.service_types import Site
from bot.types import CustomerSnapshot


@dataclass(frozen=True, slots=True)
class SiteWish:
    """What a site is looked for. `known`: keys of sites the customer was at or bought at, the latest first."""

    origin: Position | None = None
    skills: frozenset[str] = frozenset()
    language: str = ""
    kind: str = ""
    known: tuple[str, ...] = ()
    excluding: frozenset[str] = frozenset()  # keys, e.g. of those that declined


@dataclass(frozen=True, slots=True)
class Reason:
    """One part of a site's score, in metres; `kind`: distance | closed | language | load | known."""

    kind: str
    metres: int


@dataclass(frozen=True, slots=True)
class RankedSite:
    """A site able to do it. `site.distance_m` is filled where the customer's place is known, `opens_at` while it is
    closed."""

    site: Site
    reasons: tuple[Reason, ...] = ()
    opens_at: datetime | None = None
    score: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "score", sum(reason.metres for reason in self.reasons))


def calendar_of(site: Site, calendars: Calendars) -> Calendar:
    """The site's opening hours, in its own zone where it names one."""
    return calendars.get(site.hours)


def why_not(site: Site, wish: SiteWish, farthest_m: int) -> str:
    """What keeps the site from doing it: excluded | kind | skills | full | far; "" when nothing does."""
    if site.key in wish.excluding:
        return "excluded"
    if wish.kind and site.kind != wish.kind:
        return "kind"
    if not wish.skills <= site.skills:
        return "skills"
    if 0 < site.capacity <= site.open_tasks:
        return "full"
    way = _way(site, wish.origin)
    return "far" if way is not None and way > farthest_m else ""


def rank_sites(
    sites: Iterable[Site], wish: SiteWish, rules: RoutingRules, calendars: Calendars, now: datetime
) -> tuple[RankedSite, ...]:
    """The sites able to do it, the best first; equals in the order of their keys."""
    sites = tuple(sites)
    origin = wish.origin or _origin_of_known(sites, wish.known)
    able = (site for site in sites if not why_not(site, wish, rules.farthest_m))
    ranked = [_ranked(site, wish, origin, rules, _opens_in(calendar_of(site, calendars), now)) for site in able]
    # One whose place nobody entered cannot be called near: where the way counts it comes last.
    return tuple(sorted(ranked, key=lambda item: (_is_nowhere(item.site, origin), item.score, item.site.key)))


def origin_of(customer: CustomerSnapshot, told: str = "") -> Position | None:
    """Where the customer is, as far as known: told now, else in the record, else where what they own is."""
    return (
        position_in(told)
        or position_of(customer.attributes)
        or next((found for asset in customer.assets if (found := position_of(asset.attributes))), None)
    )


def known_sites(customer: CustomerSnapshot, store: str = "") -> tuple[str, ...]:
    """Keys of the sites the customer bought at or was at, the latest first, each once."""
    visited = (visit.site for visit in customer.visits if visit.site)
    return tuple(dict.fromkeys((*((store,) if store else ()), *visited)))


def name_of(names: Mapping[str, str], language: str, default: str = "") -> str:
    """A site's name in this language, else in any it has."""
    return names.get(language) or next(iter(names.values()), default)


def _origin_of_known(sites: Iterable[Site], known: tuple[str, ...]) -> Position | None:
    """Somebody whose place we do not know is taken to be near where they were last."""
    places = {site.key: position(site.latitude, site.longitude) for site in sites if site.key in known}
    return next((place for key in known if (place := places.get(key))), None)


def _way(site: Site, origin: Position | None) -> int | None:
    place = position(site.latitude, site.longitude)
    return distance_m(origin, place) if origin and place else None


def _is_nowhere(site: Site, origin: Position | None) -> bool:
    return origin is not None and position(site.latitude, site.longitude) is None


def _ranked(
    site: Site, wish: SiteWish, origin: Position | None, rules: RoutingRules, opens: tuple[datetime, float] | None
) -> RankedSite:
    """`opens`: when it opens next, and in how many hours; None: it is open."""
    weights, reasons = rules.weights, []
    if (way := _way(site, origin)) is not None:
        reasons.append(Reason("distance", way))
    if opens is not None:
        reasons.append(Reason("closed", min(weights.closed_most_m, round(opens[1] * weights.closed_per_h_m))))
    if wish.language and site.languages and wish.language not in site.languages:
        reasons.append(Reason("language", weights.language_m))
    if site.capacity > 0 and site.open_tasks > 0:
        reasons.append(Reason("load", round(weights.load_m * site.open_tasks / site.capacity)))
    if site.key in wish.known:
        reasons.append(Reason("known", weights.known_m))
    placed = replace(site, distance_m=_way(site, wish.origin))
    return RankedSite(placed, tuple(reasons), opens[0] if opens else None)


def _opens_in(calendar: Calendar, now: datetime) -> tuple[datetime, float] | None:
    """When it opens next and in how many hours; None: it is open. One that never opens does so in ten years."""
    if calendar.is_open(now):
        return None
    try:
        opens_at = calendar.next_open(now)
    except NoWorkingTime:
        opens_at = now + timedelta(days=3660)
    return opens_at, (opens_at - now) / timedelta(hours=1)
