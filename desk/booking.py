"""Appointments that staff book, move and cancel for customers, by the same rules and places as the bot does.

The customer is told in their chat, and reminded, in the words of the assistant.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Final

from sqlalchemy import Connection, insert

from bot.actions.appointments import reminder
from bot.actions.sites import in_both, say_slot
from bot.errors import NotFound, RuleError
from bot.ports import Clock
from bot.service.appointments import BookableService, free_slots
from bot.service.places import map_link, position
from bot.service.policy import ServicePolicy
from bot.service.sites import calendar_of, name_of
from bot.service_types import BookAppointment, FreeSlot, Notice, Site
from bot.types import Language
from crm_sync import appointments, sites
from crm_sync.database import Database
from crm_sync.merging import root_of
from crm_sync.notices import tell
from crm_sync.tables import timeline
from desk.actors import Actor
from desk.audit import record

MOST_FREE: Final = 200


@dataclass(frozen=True, slots=True)
class Booking:
    """Whose time at which site. `moves`: the customer's appointment it takes the place of; `case_number`: theirs."""

    customer_id: int = 0
    service: str = ""
    site: str = ""
    starts_at: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    moves: int | None = None
    case_number: str = ""


class BookingDesk:
    """`policy` gives the rules as they are now: what can be booked, where, and in which opening hours."""

    def __init__(self, database: Database, policy: Callable[[], ServicePolicy], clock: Clock) -> None:
        self._database, self._policy, self._clock = database, policy, clock

    async def free(self, actor: Actor, site: str, service: str, *, limit: int = MOST_FREE) -> Sequence[FreeSlot]:
        """The next times that can be booked there, in order. Raises: NotPermitted, NotFound (site or service)."""
        actor.require("appointments.write")
        offered, now = self._service(service), self._clock.now()

        def unit(conn: Connection) -> Sequence[FreeSlot]:
            return list(islice(self._slots(conn, _site(conn, site), offered, now), min(limit, MOST_FREE)))

        return await self._database.run(unit, read=True)

    async def book(self, actor: Actor, wanted: Booking) -> int:
        """The time is the customer's, who is told; the id of the appointment.

        Raises: NotPermitted, CustomerNotFound, NotFound (site, service, or the appointment to be moved), RuleError for
        a time that is not free.
        """
        actor.require("appointments.write")
        service, now, policy = self._service(wanted.service), self._clock.now(), self._policy()

        def unit(conn: Connection) -> int:
            customer_id, site = root_of(conn, wanted.customer_id), _site(conn, wanted.site)
            if wanted.moves is not None and appointments.booked_of(conn, wanted.moves).customer_id != customer_id:
                raise NotFound(f"the customer has no appointment {wanted.moves}")
            slots = self._slots(conn, site, service, now)
            slot = next((slot for slot in slots if slot.starts_at == wanted.starts_at), None)
            effect = _effect(policy, service, site, wanted, now)
            found = None if slot is None else appointments.take_place(conn, effect, customer_id, None, now)
            if found is None:
                raise RuleError(f"{wanted.starts_at.isoformat()} is not free at {site.key} for {service.name}")
            assert effect.reminder is not None  # noqa: S101 - `_effect` always writes one
            deed = appointments.happened(effect)
            _note(conn, customer_id, deed, (service.name, site.key), now)
            told = replace(effect.reminder, template=f"utter_{deed}")
            tell(conn, customer_id, told, now=now, key=f"appointment:{found}:told")
            details = {"customer": customer_id, "site": site.key}
            action = "appointment.book" if wanted.moves is None else "appointment.move"
            record(conn, actor, action, f"appointment:{found}", details, now=now)
            return found

        return await self._database.run(unit)

    async def cancel(self, actor: Actor, appointment_id: int) -> None:
        """The place is free again; the customer is told. Raises: NotPermitted, NotFound, RuleError (not booked)."""
        actor.require("appointments.write")
        now, policy = self._clock.now(), self._policy()

        def unit(conn: Connection) -> None:
            row = appointments.booked_of(conn, appointment_id)
            appointments.free(conn, row.id, now)
            _note(conn, row.customer_id, "appointment_cancelled", (row.service, row.site), now)
            told = Notice("utter_appointment_cancelled", {"appointment": _in_words(conn, policy, row)})
            tell(conn, row.customer_id, told, now=now, key=f"appointment:{row.id}:cancelled")
            details = {"customer": row.customer_id, "site": row.site}
            record(conn, actor, "appointment.cancel", f"appointment:{row.id}", details, now=now)

        await self._database.run(unit)

    def _service(self, name: str) -> BookableService:
        found = self._policy().appointments.services.get(name)
        if found is None:
            raise NotFound(f"there is no service {name!r} to be booked")
        return found

    def _slots(self, conn: Connection, site: Site, service: BookableService, now: datetime) -> Any:
        """Free times; none where the site does not offer the service."""
        if not service.is_for(site.kind) or not service.skills <= site.skills:
            return iter(())
        calendar = calendar_of(site, self._policy().calendars)
        first = (now - timedelta(days=1)).date().isoformat()
        taken = appointments.taken_slots(conn, f"{site.key}|{service.name}|{first}|{service.days_ahead + 2}")
        return free_slots(service, site.key, calendar, taken, now)


def _site(conn: Connection, key: str) -> Site:
    row = sites.find_site(conn, key)
    if row is None:
        raise NotFound(f"there is no site {key!r}")
    return sites.site_of(row)


def _effect(
    policy: ServicePolicy, service: BookableService, site: Site, wanted: Booking, now: datetime
) -> BookAppointment:
    zone, place = calendar_of(site, policy.calendars).timezone, position(site.latitude, site.longitude)
    link = map_link(place, name_of(site.names, "zh", site.key), template=policy.routing.map_link) if place else ""
    return BookAppointment(
        site=site.key,
        service=service.name,
        starts_at=wanted.starts_at,
        ends_at=wanted.starts_at + timedelta(minutes=service.minutes),
        places=service.places,
        moves=wanted.moves,
        case_number=wanted.case_number,
        remind_at=service.remind_at(wanted.starts_at, now),
        reminder=reminder(service, site, wanted.starts_at, zone, link),
    )


def _in_words(conn: Connection, policy: ServicePolicy, row: Any) -> str:
    """When, what and where, as the bot says it of an appointment."""
    service = policy.appointments.services.get(row.service) or BookableService(row.service)
    found = sites.kept_site(conn, row.site)
    zone = calendar_of(sites.site_of(found), policy.calendars).timezone

    def said(language: Language) -> str:
        words = (
            say_slot(row.starts_at, zone, language),
            service.title(language),
            name_of(row.names, language, row.site),
        )
        return " · ".join(words)

    return in_both({"zh": said("zh"), "en": said("en")})


def _note(conn: Connection, customer_id: int, kind: str, about: tuple[str, str], now: datetime) -> None:
    """`about`: the service, and the key of the site."""
    line = {"kind": kind, "summary": about[0], "reference": about[1], "author": "operator"}
    conn.execute(insert(timeline), {**line, "customer_id": customer_id, "at": now})
