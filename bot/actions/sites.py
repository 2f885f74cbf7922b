"""Finding a site: the nearest ones that can do what is wanted, with the way, the hours and a link to a map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from bot.actions.base import ActionContext, ActionResult
from bot.actions.first_words import first_words, site_in, skills_in
from bot.business_time import say_time, zone
from bot.service.places import map_link, position, position_in
from bot.service.sites import RankedSite, SiteWish, known_sites, name_of, origin_of, rank_sites
from bot.service_types import Site
from bot.types import Language, Need, Reply
from bot.values import plain

_SITES = Need("sites", "")
_WEEKDAYS = {"zh": "一二三四五六日", "en": ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")}
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def begin_find(context: ActionContext) -> ActionResult:
    """`site_step` is "ask" where nobody knows yet where the customer is; else they are shown the nearest at once.

    A site named in the first words is the place meant, and what it has to have is remembered (`site_skills`).
    """
    words, told = first_words(context), context.text("site_place")
    if words and not told:
        if _SITES not in context.turn.facts:
            return ActionResult(needs=(_SITES,))
        named = site_in(context.turn.facts[_SITES] or (), words)
        told = name_of(named.names, context.language, named.key) if named else ""
    knows = told or origin_of(context.customer) or known_sites(context.customer)
    return ActionResult(
        slots={
            "site_step": None if knows else "ask",
            "site_place": told or None,
            "site_skills": context.text("site_skills") or skills_in(context, words),
        }
    )


def find(context: ActionContext) -> ActionResult:
    """Names the nearest sites that fit, or those whose name or address holds what was said."""
    if _SITES not in context.turn.facts:
        return ActionResult(needs=(_SITES,))
    sites = context.turn.facts[_SITES] or ()
    wish = replace(wish_of(context), skills=frozenset(filter(None, context.text("site_skills").split(","))))
    found = ranked(context, sites, wish)
    said = plain(context.text("site_place"))
    if said and position_in(said) is None:
        # A site asked for by name is shown also where it is far away.
        everywhere = [*found, *ranked(context, sites, replace(wish, origin=None))]
        named = {item.site.key: item for item in reversed(everywhere) if _is_named(item.site, said)}
        found = list(reversed(named.values())) or found
    if not found:
        return ActionResult(replies=(Reply("utter_site_none"),))
    chosen = found[: context.assistant.service.routing.offered]
    lines = "\n\n".join(described(context, item, number) for number, item in enumerate(chosen, 1))
    return ActionResult(replies=(Reply("utter_site_found", {"sites": lines, "count": str(len(chosen))}),))


def wish_of(context: ActionContext) -> SiteWish:
    """What is looked for, from what was said and what the record knows."""
    return SiteWish(
        origin=origin_of(context.customer, context.text("site_place")),
        language=context.language,
        kind=context.text("site_kind"),
        known=known_sites(context.customer),
    )


def ranked(context: ActionContext, sites: Sequence[Site], wish: SiteWish) -> list[RankedSite]:
    service = context.assistant.service
    return list(rank_sites(sites, wish, service.routing, service.calendars, context.turn.now))


def described(context: ActionContext, item: RankedSite, number: int = 0) -> str:
    """A site in a few lines: name, way, hours, address, telephone, map."""
    site, language = item.site, context.language
    head = [name_of(site.names, language, site.key)]
    if site.distance_m is not None:
        head.append(way(site.distance_m, language))
    head.append(_hours(context, item))
    reach = [part for part in (site.address, site.phone) if part]
    lines = [" · ".join(head), *([" · ".join(reach)] if reach else [])]
    if link := link_to(context, site):
        lines.append(link)
    return (f"{number}. " if number else "") + "\n".join(lines)


def link_to(context: ActionContext, site: Site) -> str:
    """The address of a map that shows the site; "" when nobody knows where it is."""
    place = position(site.latitude, site.longitude)
    template = context.assistant.service.routing.map_link
    return map_link(place, name_of(site.names, context.language, site.key), template=template) if place else ""


def way(metres: int, language: Language) -> str:
    """A distance as people say it."""
    if metres < 1000:
        rounded = max(50, round(metres / 50) * 50)
        return f"约 {rounded} 米" if language == "zh" else f"about {rounded} m"
    km = f"{metres / 1000:.1f}" if metres < 10_000 else str(round(metres / 1000))
    return f"约 {km} 公里" if language == "zh" else f"about {km} km"


def say_slot(moment: datetime, timezone: str, language: Language) -> str:
    """A time that can be booked, with its weekday: "3月6日周五 15:00", "Fri 6 Mar, 15:00".

    An hour that comes twice because clocks go back says which one it is.
    """
    local = moment.astimezone(zone(timezone))
    is_twice = local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset()
    which = f" (UTC{local:%z})" if is_twice else ""
    if language == "zh":
        return f"{local.month}月{local.day}日周{_WEEKDAYS['zh'][local.weekday()]} {local:%H:%M}{which}"
    return f"{_WEEKDAYS['en'][local.weekday()]} {local.day} {_MONTHS[local.month - 1]}, {local:%H:%M}{which}"


def in_both(say: dict[Language, str]) -> str:
    """Words there are in both languages, as the argument of a notice."""
    return f"@zh:{say['zh']}|@en:{say['en']}"


def timezone_of(context: ActionContext, site: Site | None) -> str:
    """The zone in which times at the site are said."""
    if site is not None and site.timezone:
        return site.timezone
    calendars = context.assistant.service.calendars
    return calendars.get(site.calendar if site else "").timezone


def _hours(context: ActionContext, item: RankedSite) -> str:
    words = context.word
    if item.opens_at is None:
        return words("site", "open")
    opens = say_time(item.opens_at, context.turn.now, timezone_of(context, item.site), context.language)
    return words("site", "opens").replace("{}", opens)


def _is_named(site: Site, said: str) -> bool:
    named = [plain(name) for name in site.names.values()]
    return any(name and (name in said or said in name) for name in named) or said in plain(site.address)
