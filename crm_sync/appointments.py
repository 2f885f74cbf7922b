"""Appointments in the store: a place of a slot belongs to one customer, whoever asks for it at the same moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, Literal

from sqlalchemy import Connection, and_, insert, select, update

from bot.errors import NotFound, RuleError
from bot.service_types import BookAppointment, CancelAppointment, Notice
from crm_sync import timers
from crm_sync.notices import plan_notice, tell
from crm_sync.service_tables import appointments, sites
from crm_sync.subjects import Subject, note
from crm_sync.tables import cases, timeline
from crm_sync.timers import Timer

END_KIND: Final = "appointment_end"
KEPT_OPEN: Final = timedelta(hours=24)  # after its end: so long staff can say that nobody came
MOST_DAYS: Final = 400


def taken_slots(conn: Connection, key: str) -> tuple[datetime, ...]:
    """The starts of a site's booked places for a service, one entry per place; `key` as `bot.types.Need` says.

    Days are taken generously, because they begin at another moment in every zone.
    """
    site, service, first, days = key.split("|")
    begins = datetime.combine(date.fromisoformat(first), datetime.min.time(), UTC) - timedelta(days=1)
    ends = begins + timedelta(days=min(int(days), MOST_DAYS) + 2)
    found = conn.execute(
        select(appointments.c.starts_at)
        .join_from(appointments, sites, sites.c.id == appointments.c.site_id)
        .where(
            sites.c.key == site,
            appointments.c.service == service,
            appointments.c.state == "booked",
            appointments.c.starts_at >= begins,
            appointments.c.starts_at < ends,
        )
        .order_by(appointments.c.starts_at, appointments.c.place)
    )
    return tuple(found.scalars())


# --- by the customer, in a turn -----------------------------------------------------------------------------------


def book(conn: Connection, effect: BookAppointment, subject: Subject) -> None:
    """One place of the slot is the customer's, and they will be reminded; one that is moved is theirs no longer.

    When no place is left, nothing has changed and a notice says so and offers the next times.
    """
    if effect.moves is not None and _own(conn, effect.moves, subject.customer_id) is None:
        return  # moved or cancelled meanwhile: the same wish sent twice
    if take_place(conn, effect, subject.customer_id, subject.conversation_id, subject.now) is None:
        _tell_gone(conn, effect, subject)
        return
    note(conn, subject, happened(effect), effect.service, effect.site)


def happened(effect: BookAppointment) -> str:
    """What the timeline calls it."""
    return "appointment_booked" if effect.moves is None else "appointment_moved"


def take_place(
    conn: Connection, effect: BookAppointment, customer_id: int, conversation_id: int | None, now: datetime
) -> int | None:
    """The appointment that has a place of the slot now; None when none is left, and nothing has changed then.

    The appointment that is moved is the customer's and still booked: that is the caller's to know.
    """
    # Bookings at a site go one after the other: slots may overlap, which no unique index can see.
    site = conn.execute(select(sites).where(sites.c.key == effect.site, sites.c.is_active).with_for_update()).first()
    place = None if site is None else _free_place(conn, site.id, effect)
    if site is None or place is None:
        return None
    if effect.moves is not None:  # first, because it may hold the very place it is moved to
        _end(conn, effect.moves, "moved", now)
    appointment_id: int = conn.execute(
        insert(appointments).values(
            site_id=site.id,
            customer_id=customer_id,
            conversation_id=conversation_id,
            case_id=_own_case(conn, effect.case_number, customer_id),
            service=effect.service,
            starts_at=effect.starts_at,
            ends_at=effect.ends_at,
            place=place,
            state="booked",
            details=dict(effect.details),
            created_at=now,
            updated_at=now,
        )
    ).inserted_primary_key[0]  # type: ignore[index]  # an insert of one row always has a key
    if effect.remind_at is not None and effect.reminder is not None:
        plan_notice(
            conn,
            customer_id,
            effect.reminder,
            at=effect.remind_at,
            now=now,
            key=_key(appointment_id, "remind"),
            conversation_id=conversation_id,
        )
    timers.plan(
        conn,
        END_KIND,
        effect.ends_at + KEPT_OPEN,
        now,
        key=_key(appointment_id, "end"),
        customer_id=customer_id,
        details={"appointment_id": appointment_id},
    )
    return appointment_id


def cancel(conn: Connection, effect: CancelAppointment, subject: Subject) -> None:
    """The place is free again and nobody is reminded. Somebody else's appointment, or one that is over, stays."""
    mine = _own(conn, effect.appointment_id, subject.customer_id)
    if mine is not None:
        _end(conn, mine.id, "cancelled", subject.now)
        note(conn, subject, "appointment_cancelled", mine.service)


def _own(conn: Connection, appointment_id: int, customer_id: int) -> Any:
    mine = and_(
        appointments.c.id == appointment_id,
        appointments.c.customer_id == customer_id,
        appointments.c.state == "booked",
    )
    return conn.execute(select(appointments).where(mine).with_for_update()).first()


def _own_case(conn: Connection, number: str, customer_id: int) -> int | None:
    if not number:
        return None
    mine = and_(cases.c.number == number, cases.c.customer_id == customer_id)
    return conn.execute(select(cases.c.id).where(mine)).scalar()


def _free_place(conn: Connection, site_id: int, effect: BookAppointment) -> int | None:
    """The lowest place that nothing booked for the service overlaps; the moved appointment is no obstacle to itself."""
    taken = conn.execute(
        select(appointments.c.place).where(
            appointments.c.site_id == site_id,
            appointments.c.service == effect.service,
            appointments.c.state == "booked",
            appointments.c.starts_at < effect.ends_at,
            appointments.c.ends_at > effect.starts_at,
            appointments.c.id != (effect.moves or 0),
        )
    )
    used = set(taken.scalars())
    return next((place for place in range(effect.places) if place not in used), None)


def _tell_gone(conn: Connection, effect: BookAppointment, subject: Subject) -> None:
    words = effect.reminder.args if effect.reminder is not None else {}
    slots = {"appointment_service": effect.service, "appointment_site": effect.site}
    if effect.moves is not None:
        slots["appointment_moves"] = str(effect.moves)
    notice = Notice(
        "utter_appointment_gone" if effect.moves is None else "utter_appointment_kept_earlier",
        {"time": words.get("time", f"@time:{effect.starts_at.isoformat()}")},
        flow="appointment",
        slots=slots,
        lane="reply",
    )
    tell(conn, subject.customer_id, notice, now=subject.now, conversation_id=subject.conversation_id)


@dataclass(frozen=True, slots=True)
class Kept:
    """An appointment that has just become `done`."""

    id: int
    customer_id: int
    ends_at: datetime
    conversation_id: int | None = None  # where it was booked


@dataclass(frozen=True, slots=True)
class AppointmentLine:
    """An appointment as staff see it in a list."""

    id: int
    site: str
    service: str
    customer_id: int
    starts_at: datetime
    ends_at: datetime
    state: str
    wishes: str = ""  # what the customer likes, in their words


def on_day(conn: Connection, first: datetime, last: datetime, site: str = "") -> list[AppointmentLine]:
    """What begins from `first` until before `last`, in order; moved and cancelled ones are left out."""
    wanted = [appointments.c.starts_at >= first, appointments.c.starts_at < last]
    wanted += [appointments.c.state.in_(("booked", "done", "missed"))] + ([sites.c.key == site] if site else [])
    rows = conn.execute(
        select(appointments, sites.c.key.label("site"))
        .join_from(appointments, sites, sites.c.id == appointments.c.site_id)
        .where(*wanted)
        .order_by(appointments.c.starts_at, appointments.c.id)
    )
    return [
        AppointmentLine(
            row.id,
            row.site,
            row.service,
            row.customer_id,
            row.starts_at,
            row.ends_at,
            row.state,
            str(row.details.get("wishes", "")),
        )
        for row in rows
    ]


# --- by staff and by time -----------------------------------------------------------------------------------------


def booked_of(conn: Connection, appointment_id: int) -> Any:
    """The appointment as a row with the key and names of its site, locked. Raises: NotFound, RuleError (not booked)."""
    row = conn.execute(
        select(appointments, sites.c.key.label("site"), sites.c.names)
        .join_from(appointments, sites, sites.c.id == appointments.c.site_id)
        .where(appointments.c.id == appointment_id)
        .with_for_update(of=appointments)
    ).first()
    if row is None:
        raise NotFound(f"there is no appointment {appointment_id}")
    if row.state != "booked":
        raise RuleError(f"appointment {appointment_id} is {row.state} already")
    return row


def free(conn: Connection, appointment_id: int, now: datetime) -> None:
    """The place is free again and nobody is reminded."""
    _end(conn, appointment_id, "cancelled", now)


def finish(
    conn: Connection, appointment_id: int, state: Literal["done", "missed"], by: str, now: datetime
) -> Kept | None:
    """The customer came (what they kept), or did not; then they are told, and can book again.

    The same answer again changes nothing and gives None.

    Raises: NotFound; RuleError for an appointment that was moved or cancelled, or has not begun.
    """
    row = conn.execute(select(appointments).where(appointments.c.id == appointment_id).with_for_update()).first()
    if row is None:
        raise NotFound(f"there is no appointment {appointment_id}")
    if row.state == state:
        return None
    if row.state != "booked":
        raise RuleError(f"appointment {appointment_id} is {row.state}; it cannot become {state}")
    if row.starts_at > now:
        raise RuleError(f"appointment {appointment_id} has not begun; it can be moved or cancelled")
    _end(conn, row.id, state, now)
    conn.execute(
        insert(timeline),
        {
            "customer_id": row.customer_id,
            "conversation_id": row.conversation_id,
            "kind": f"appointment_{state}",
            "summary": row.service,
            "reference": by,
            "author": "operator",
            "at": now,
        },
    )
    if state == "missed":
        notice = Notice(
            "utter_appointment_missed",
            {"service": f"@service:{row.service}", "time": f"@time:{row.starts_at.isoformat()}"},
        )
        tell(conn, row.customer_id, notice, now=now, key=_key(row.id, "missed"), conversation_id=row.conversation_id)
        return None
    return Kept(row.id, row.customer_id, row.ends_at, row.conversation_id)


def end_passed(conn: Connection, due: Sequence[Timer], now: datetime) -> list[Kept]:
    """Appointments nobody said anything about are taken as done; those that became it."""
    found = []
    for timer in due:
        over = and_(appointments.c.id == timer.details["appointment_id"], appointments.c.state == "booked")
        row = conn.execute(select(appointments).where(over).with_for_update()).first()
        if row is not None:
            conn.execute(update(appointments).where(appointments.c.id == row.id).values(state="done", updated_at=now))
            found.append(Kept(row.id, row.customer_id, row.ends_at, row.conversation_id))
    return found


def what_and_where(conn: Connection, appointment_id: int) -> Any:
    """Service, time, customer, conversation, key and names of the site of an appointment; None when there is none."""
    return conn.execute(
        select(
            appointments.c.service,
            appointments.c.starts_at,
            appointments.c.customer_id,
            appointments.c.conversation_id,
            sites.c.key.label("site"),
            sites.c.names,
        )
        .join_from(appointments, sites, sites.c.id == appointments.c.site_id)
        .where(appointments.c.id == appointment_id)
    ).first()


def _end(conn: Connection, appointment_id: int, state: str, now: datetime) -> None:
    conn.execute(update(appointments).where(appointments.c.id == appointment_id).values(state=state, updated_at=now))
    for what in ("remind", "end"):
        timers.cancel(conn, _key(appointment_id, what), now)


def _key(appointment_id: int, what: str) -> str:
    return f"appointment:{appointment_id}:{what}"
