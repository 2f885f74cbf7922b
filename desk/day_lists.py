"""What staff look at all day beside conversations and cases: sites and the day's appointments."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Literal

from sqlalchemy import Connection

from bot.business_time import zone
from bot.ports import Clock
from bot.service.policy import ServicePolicy
from bot.service_types import Site
from crm_sync import appointments, sites
from crm_sync.appointments import AppointmentLine
from crm_sync.database import Database
from desk.actors import Actor
from desk.appointments import finish
from desk.audit import record


class DayDesk:
    """Lists with who may see them, and ending what is on them."""

    def __init__(
        self, database: Database, policy: Callable[[], ServicePolicy], clock: Clock, timezone: Callable[[], str]
    ) -> None:
        """`timezone`: IANA name of the business's zone, whose days these are."""
        self._database, self._policy, self._clock, self._timezone = database, policy, clock, timezone

    async def sites(self, actor: Actor, *, kind: str = "") -> tuple[Site, ...]:
        """Active sites, each with how much it has to do. Raises: NotPermitted."""
        actor.require("cases.read")
        return await self._database.run(lambda conn: sites.active_sites(conn, kind), read=True)

    async def appointments(self, actor: Actor, day: date | None = None, *, site: str = "") -> list[AppointmentLine]:
        """The appointments of a day (None: today), in order. Raises: NotPermitted."""
        actor.require("customers.read")
        local = zone(self._timezone())
        wanted = day or self._clock.now().astimezone(local).date()
        first = datetime.combine(wanted, datetime.min.time(), local)
        last = datetime.combine(wanted + timedelta(days=1), datetime.min.time(), local)
        return await self._database.run(lambda conn: appointments.on_day(conn, first, last, site), read=True)

    async def end_appointment(self, actor: Actor, appointment_id: int, state: Literal["done", "missed"]) -> None:
        """Whether the customer came. Raises: NotPermitted, NotFound, RuleError."""
        actor.require("appointments.write")
        policy, now = self._policy(), self._clock.now()

        def unit(conn: Connection) -> None:
            finish(conn, appointment_id, state, by=actor.name, policy=policy, now=now)
            record(conn, actor, "appointment.end", f"appointment:{appointment_id}", {"state": state}, now=now)

        await self._database.run(unit)
