"""Booking a time at a site: what, where, when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice

from bot.actions.account import preferences_in_words
from bot.actions.base import ActionContext, ActionResult
from bot.actions.first_words import first_words, service_in, site_in, time_in
from bot.actions.sites import in_both, link_to, ranked, say_slot, timezone_of, way, wish_of
from bot.business_time import zone
from bot.service.appointments import BookableService, free_slots, spread
from bot.service.day_words import day_ahead, part_of_day, time_of_day
from bot.service.sites import RankedSite, calendar_of, known_sites, name_of, origin_of
from bot.service_types import BookAppointment, FreeSlot, Notice, Site, as_is
from bot.types import Need, Reply, ReplyButton
from bot.values import plain

MAX_SERVICES = 8
MAX_WISHES = 500
_SITES = Need("sites", "")


# --- what -----------------------------------------------------------------------------------------------------------


def begin(context: ActionContext) -> ActionResult:
    """`appointment_step` is "none" where nothing can be booked; the only service there is needs no question.

    What the first words name (a service, a site, a day or an hour) is taken over; what the customer told us before of
    what they like is said again, so that they need not.
    """
    services = context.assistant.service.appointments.services
    if not services:
        return ActionResult(slots={"appointment_step": "none"}, replies=(Reply("utter_appointment_none"),))
    only = next(iter(services)) if len(services) == 1 else None
    words = first_words(context)
    known = "" if context.text("appointment_moves") else preferences_in_words(context)
    if (words or known) and _SITES not in context.turn.facts:
        return ActionResult(needs=(_SITES,))
    named = site_in(context.turn.facts[_SITES] or (), words) if words else None
    return ActionResult(
        slots={
            "appointment_step": None,
            "appointment_service": context.text("appointment_service") or service_in(context, words) or only,
            "appointment_site": context.text("appointment_site") or (named.key if named else None),
            "appointment_slot": context.text("appointment_slot") or time_in(context, words),
        },
        replies=(Reply("utter_appointment_preferences", {"preferences": known}),) if known else (),
    )


def ask_service(context: ActionContext) -> ActionResult:
    """Asks what is to be done, with the services to choose from."""
    services = islice(context.assistant.service.appointments.services.values(), MAX_SERVICES)
    buttons = tuple(
        ReplyButton(item.title(context.language)[:30], f"slot:appointment_service={item.name}"[:60])
        for item in services
    )
    return ActionResult(replies=(Reply("utter_ask_appointment_service", buttons=buttons),))


def settle_service(context: ActionContext) -> ActionResult:
    """`appointment_service` is the service meant, or empty after a word about it.

    `appointment_step` is "where" when nobody knows yet where the customer is.
    """
    found = _service_named(context, context.text("appointment_service"))
    if found is None:
        return ActionResult(slots={"appointment_service": None}, replies=(Reply("utter_appointment_unknown_service"),))
    is_told = bool(context.text("appointment_site") or context.text("site_place"))
    knows = is_told or origin_of(context.customer) is not None or bool(known_sites(context.customer))
    return ActionResult(slots={"appointment_service": found.name, "appointment_step": None if knows else "where"})


def _service_named(context: ActionContext, words: str) -> BookableService | None:
    services = context.assistant.service.appointments.services
    if words in services:
        return services[words]
    said = plain(words)
    fitting = [
        item
        for item in services.values()
        if any(name and (name in said or said in name) for name in map(plain, (item.name, *item.titles.values())))
    ]
    return fitting[0] if said and len(fitting) == 1 else None


# --- where ----------------------------------------------------------------------------------------------------------


def settle_site(context: ActionContext) -> ActionResult:
    """`appointment_site` is the site chosen or the only one there is; empty while there are several.

    `appointment_step` is "full" where no site has a free time, and the customer was told.
    """
    service = _service_of(context)
    found, needs = _sites_with_times(context, service)
    if needs:
        return ActionResult(needs=needs)
    if not found:
        args = {"service": service.title(context.language), "days": str(service.days_ahead)}
        return ActionResult(slots={"appointment_step": "full"}, replies=(Reply("utter_appointment_full", args),))
    chosen = _site_named([item for item, _ in found], context.text("appointment_site"))
    if chosen is None and len(found) == 1:
        chosen = found[0][0]
    replies: tuple[Reply, ...] = ()
    if chosen is None and context.text("appointment_site"):
        replies = (Reply("utter_appointment_unknown_site"),)
    return ActionResult(
        slots={"appointment_site": chosen.site.key if chosen else None, "appointment_step": None}, replies=replies
    )


def ask_site(context: ActionContext) -> ActionResult:
    """Asks which of the nearest sites, each with the way to it and its next free time."""
    service = _service_of(context)
    found, needs = _sites_with_times(context, service)
    if needs:
        return ActionResult(needs=needs)
    lines, buttons = [], []
    for number, (item, slots) in enumerate(found, 1):
        name = name_of(item.site.names, context.language, item.site.key)
        first = say_slot(slots[0].starts_at, timezone_of(context, item.site), context.language)
        distance = [way(item.site.distance_m, context.language)] if item.site.distance_m is not None else []
        lines.append(
            f"{number}. " + " · ".join([name, *distance, context.word("site", "first_time").replace("{}", first)])
        )
        buttons.append(ReplyButton(name[:30], f"slot:appointment_site={item.site.key}"[:60]))
    return ActionResult(
        replies=(Reply("utter_ask_appointment_site", {"sites": "\n".join(lines)}, buttons=tuple(buttons)),)
    )


def _service_of(context: ActionContext) -> BookableService:
    name = context.text("appointment_service")
    return context.assistant.service.appointments.services.get(name) or BookableService(name)


def _sites_with_times(
    context: ActionContext, service: BookableService
) -> tuple[list[tuple[RankedSite, list[FreeSlot]]], tuple[Need, ...]]:
    """The nearest sites that offer the service and have a free time, with their times; or what has to be fetched.

    One site where the customer chose it, is known to want it, or moves an appointment there.
    """
    if _SITES not in context.turn.facts:
        return [], (_SITES,)
    wish = replace(wish_of(context), skills=service.skills, kind="")
    sites: Sequence[Site] = context.turn.facts[_SITES] or ()
    fitting = [
        # Booking has places of its own: how many tasks a site has open does not close its calendar.
        replace(site, capacity=0)
        for site in sites
        if service.is_for(site.kind)
    ]
    nearest = ranked(context, fitting, wish)
    chosen = _site_named(nearest, context.text("appointment_site"))  # also one that was not offered
    candidates = [chosen] if chosen else _liked_first(context, nearest)[: context.assistant.service.routing.offered]
    needs = {item.site.key: _slots_need(context, item.site, service) for item in candidates}
    missing = tuple(need for need in needs.values() if need not in context.turn.facts)
    if missing:
        return [], missing
    found = [
        (item, _free(context, item.site, service, context.turn.facts[needs[item.site.key]])) for item in candidates
    ]
    return [(item, slots) for item, slots in found if slots], ()


def _liked_first(context: ActionContext, nearest: Sequence[RankedSite]) -> list[RankedSite]:
    """These, but one that the customer told us they like before the others."""
    told = [item.value for item in context.customer.preferences]
    liked = {site.key for words in told if (site := site_in([item.site for item in nearest], words))}
    return sorted(nearest, key=lambda item: item.site.key not in liked)


def _slots_need(context: ActionContext, site: Site, service: BookableService) -> Need:
    today = context.turn.now.astimezone(zone(timezone_of(context, site))).date()
    return Need("slots", f"{site.key}|{service.name}|{today.isoformat()}|{service.days_ahead}")


def _free(
    context: ActionContext, site: Site, service: BookableService, taken: Sequence[datetime] | None
) -> list[FreeSlot]:
    calendar = calendar_of(site, context.assistant.service.calendars)
    return list(free_slots(service, site.key, calendar, taken or (), context.turn.now))


def _site_named(items: Sequence[RankedSite], words: str) -> RankedSite | None:
    """The one of these that is meant by its key or its name; None when that stays open."""
    said = plain(words)
    for item in items:
        if item.site.key == words:
            return item
    fitting = [
        item
        for item in items
        if said and any(name in said or said in name for name in map(plain, item.site.names.values()) if name)
    ]
    return fitting[0] if len(fitting) == 1 else None


# --- when -----------------------------------------------------------------------------------------------------------


def ask_slot(context: ActionContext) -> ActionResult:
    """Offers the next free times, or those of the day the customer named."""
    service = _service_of(context)
    found, needs = _sites_with_times(context, service)
    if needs:
        return ActionResult(needs=needs)
    if not found:
        return ActionResult(replies=(Reply("utter_appointment_time_gone"),))
    item, slots = found[0]
    calendar = calendar_of(item.site, context.assistant.service.calendars)
    most = context.assistant.service.appointments.offered
    wanted = _of_wish(context, item.site, slots)
    offered = wanted[:most] if wanted else spread(slots, calendar, most)
    timezone = timezone_of(context, item.site)
    buttons = tuple(
        ReplyButton(say_slot(slot.starts_at, timezone, context.language), f"slot:appointment_slot={_key(slot)}")
        for slot in offered
    )
    args = {
        "service": service.title(context.language),
        "site": name_of(item.site.names, context.language, item.site.key),
    }
    return ActionResult(replies=(Reply("utter_ask_appointment_slot", args, buttons=buttons),))


def settle_slot(context: ActionContext) -> ActionResult:
    """`appointment_slot` is the free time meant; empty, with a word about it, when there is none or several.

    `appointment_day` remembers the words about a day, so that its times are offered.
    """
    service = _service_of(context)
    found, needs = _sites_with_times(context, service)
    if needs:
        return ActionResult(needs=needs)
    words = context.text("appointment_slot")
    if not found:
        return ActionResult(slots={"appointment_slot": None, "appointment_site": None, "appointment_day": None})
    item, slots = found[0]
    if words in {_key(slot) for slot in slots}:
        return ActionResult(slots={"appointment_slot": words})
    if _moment(words) is not None:  # a button whose time has gone meanwhile
        return ActionResult(slots={"appointment_slot": None}, replies=(Reply("utter_appointment_time_gone"),))
    asking = replace(context, slots={**context.slots, "appointment_day": words})
    wanted = _of_wish(asking, item.site, slots)
    if len(wanted) == 1 and time_of_day(words) is not None:
        return ActionResult(slots={"appointment_slot": _key(wanted[0])})
    template = "utter_appointment_times" if wanted else "utter_appointment_no_such_time"
    return ActionResult(
        slots={"appointment_slot": None, "appointment_day": words if wanted else None}, replies=(Reply(template),)
    )


def book(context: ActionContext) -> ActionResult:
    """The time is the customer's, unless somebody was faster in this very moment: then a notice says so."""
    service, starts_at = _service_of(context), _moment(context.text("appointment_slot"))
    found, needs = _sites_with_times(context, service)
    if needs:
        return ActionResult(needs=needs)
    slot = next((slot for _, slots in found[:1] for slot in slots if slot.starts_at == starts_at), None)
    if slot is None:
        return ActionResult(replies=(Reply("utter_appointment_time_gone"),))
    site = found[0][0].site
    effect = BookAppointment(
        site=site.key,
        service=service.name,
        starts_at=slot.starts_at,
        ends_at=slot.ends_at,
        places=service.places,
        details={"wishes": known[:MAX_WISHES]} if (known := preferences_in_words(context)) else {},
        moves=appointment_id(context.text("appointment_moves")),
        case_number=context.text("appointment_case"),
        remind_at=service.remind_at(slot.starts_at, context.turn.now),
        reminder=reminder(service, site, slot.starts_at, timezone_of(context, site), link_to(context, site)),
    )
    args = {
        "service": service.title(context.language),
        "site": name_of(site.names, context.language, site.key),
        "time": say_slot(slot.starts_at, timezone_of(context, site), context.language),
        "address": site.address,
        "map": link_to(context, site),
    }
    template = "utter_appointment_moved" if effect.moves is not None else "utter_appointment_booked"
    return ActionResult(replies=(Reply(template, args),), effects=(effect,))


def reminder(service: BookableService, site: Site, starts_at: datetime, timezone: str, link: str) -> Notice:
    """What the customer is told before it. `timezone`: of the site; `link`: to a map, "" without one."""
    return Notice(
        "utter_appointment_reminder",
        {
            "service": in_both({"zh": service.title("zh"), "en": service.title("en")}),
            "site": in_both({"zh": name_of(site.names, "zh", site.key), "en": name_of(site.names, "en", site.key)}),
            "time": in_both({"zh": say_slot(starts_at, timezone, "zh"), "en": say_slot(starts_at, timezone, "en")}),
            "address": as_is(site.address),
            "map": link,
        },
    )


def _of_wish(context: ActionContext, site: Site, slots: Sequence[FreeSlot]) -> list[FreeSlot]:
    """The free times on the day, at the hour or in the part of the day that were named; none when nothing was."""
    words = context.text("appointment_day")
    local = zone(timezone_of(context, site))
    day = day_ahead(words, context.turn.now.astimezone(local).date())
    hour, part = time_of_day(words), part_of_day(words)
    if day is None and hour is None and part is None:
        return []
    fitting = []
    for slot in slots:
        begins = slot.starts_at.astimezone(local)
        fits = day is None or begins.date() == day
        if hour is not None:
            fits = fits and begins.time() == hour
        elif part is not None:
            fits = fits and part[0] <= begins.time() < part[1]
        if fits:
            fitting.append(slot)
    return fitting


def _key(slot: FreeSlot) -> str:
    return slot.starts_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%MZ")


def _moment(words: str) -> datetime | None:
    try:
        return datetime.strptime(words, "%Y-%m-%dT%H:%MZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def appointment_id(words: str) -> int | None:
    """The id in a slot; None when it holds none."""
    return int(words) if words.isascii() and words.isdecimal() and len(words) < 19 else None
