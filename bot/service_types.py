"""What the service desk is about, as values: sites, assets, visits, appointments, promises with a clock.

Split from `types.py` by subject; the rules are the same: frozen, aware UTC times, money in minor units.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from typing import Any, Final, Literal

from bot.frozen import value

LookupKind = Literal["order", "case"]
IN_ZONE: Final = "@"  # between the name of a calendar and the zone it is counted in

# --- the customer's record --------------------------------------------------------------------------------------


@value
class Asset:
    """Something of the customer's that service is about: vehicle, meter, policy, room stay …"""

    id: int
    kind: str
    key: str  # number plate, meter number …
    name: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    since: datetime | None = None
    until: datetime | None = None  # past: no longer the customer's


@value
class Visit:
    """The customer was at one of our sites. `site` is its key; names are of the site, by language."""

    at: datetime
    kind: str = ""
    site: str = ""
    site_names: Mapping[str, str] = field(default_factory=dict)
    items: str = ""
    amount_minor: int | None = None
    currency: str = ""
    asset_key: str = ""


@value
class Preference:
    topic: str
    value: str  # in the customer's words
    at: datetime


@value
class Due:
    """A bill or another payment with a day by which it is due (ISO date in the business's zone)."""

    key: str
    kind: str
    amount_minor: int
    currency: str
    due_on: str
    paid_on: str = ""
    asset_key: str = ""


@value
class Appointment:
    id: int
    site: str  # key
    site_names: Mapping[str, str]
    service: str
    starts_at: datetime
    ends_at: datetime
    state: str = "booked"
    case_number: str = ""


@value
class OpenSurvey:
    """A question about satisfaction that was asked and not answered yet."""

    reference: str
    kind: str  # csat | nps
    case_number: str = ""


# --- places -----------------------------------------------------------------------------------------------------


@value
class Site:
    """Where service happens. `open_tasks`: how much it has to do now; `distance_m`: filled where it was asked for."""

    id: int
    key: str
    names: Mapping[str, str]
    kind: str = ""
    latitude: float | None = None
    longitude: float | None = None
    address: str = ""
    phone: str = ""
    timezone: str = ""
    calendar: str = ""
    skills: frozenset[str] = frozenset()
    languages: frozenset[str] = frozenset()
    capacity: int = 0  # open tasks at a time; 0: no limit
    open_tasks: int = 0
    distance_m: int | None = None

    @property
    def hours(self) -> str:
        """Name of its calendar, in its own zone where it has one."""
        return in_zone(self.calendar, self.timezone)


def in_zone(calendar: str, timezone: str) -> str:
    """The name by which `Calendars.get` gives this calendar in this zone; "" for either: the business's."""
    return f"{calendar}{IN_ZONE}{timezone}" if timezone else calendar


@value
class FreeSlot:
    """A time at a site that can still be booked."""

    site: str
    service: str
    starts_at: datetime
    ends_at: datetime
    left: int  # parallel places


@value
class CaseNews:
    """Words about a case that staff or the site gave its customer."""

    at: datetime
    words: str


@value
class Outage:
    """A known fault or planned work. `expected_end_at` None: not known yet; no `radius_m`: known by its area alone."""

    id: int
    key: str
    kind: str
    area: str
    starts_at: datetime
    expected_end_at: datetime | None
    latitude: float | None = None
    longitude: float | None = None
    radius_m: int | None = None


# --- promises ---------------------------------------------------------------------------------------------------


@value
class ClockStart:
    """A promise begins to count: `budget_s` working seconds of `calendar`; `due_at` follows from both.

    `next_at` is when the scheduler looks first: at the warning.
    """

    kind: str  # first_response | update | solution | callback | followup
    calendar: str
    budget_s: int
    due_at: datetime
    next_at: datetime
    warn_share: float = 0.75


@value
class Notice:
    """Something the customer is told unasked, as content of an inbound row of our own: it takes a turn like a message.

    So it is said in order, once, in the customer's language, and by the rules of whoever owns the conversation.
    `args` hold plain text, or a value put into words when it is said: `@time:<ISO 8601>`, `@day:<ISO date>`,
    `@word:<group>:<key>`, `@service:<key>` for one that can be booked, `@money:<minor units>:<currency>`,
    `@zh:<text>|@en:<text>` for words there are in both.
    Text of people goes through `as_is`, so that it is never read as one of these.
    `flow` is started after it with `slots` filled, e.g. to ask how satisfied they are; not while a person is waited for
    or there, and not while another flow is under way (then it waits for that one's end).
    """

    template: str
    args: Mapping[str, str] = field(default_factory=dict)
    flow: str = ""
    slots: Mapping[str, str] = field(default_factory=dict)
    lane: Literal["service", "reply"] = "service"
    is_vital: bool = False  # a complaint's status: may use the last reply of a window
    # What becomes of the flows put aside while a person was awaited: solved (they are over), continue (they go on).
    frozen: Literal["", "solved", "continue"] = ""  # "": as it was


def as_is(text: str) -> str:
    """`text`, e.g. of a customer, as a value of a notice's `args` that is said exactly so."""
    return f"@{text}" if text.startswith("@") else text


# --- effects ----------------------------------------------------------------------------------------------------


@value
class RecordScore:
    """The answer to a question about satisfaction. Ignored for one that was never asked or is answered."""

    reference: str
    score: int
    reason: str = ""


@value
class RecordPreference:
    """Kept until it is ended; the same value of a topic is not kept twice. `ended`: no longer true."""

    topic: str
    value: str
    source: str  # e.g. "chat"
    ended: bool = False


@value
class SetAttribute:
    """A fact of the customer's record beside name, phone and e-mail; typed by the policy. None removes it."""

    name: str
    value: str | int | float | bool | None
    source: str


@value
class SubscribeTopic:
    """Told about this topic (where `match` fits) in this conversation from now on, or no longer.

    `topic` "*" with wanted False ends all of the customer's. Consent with purpose `topic:<topic>` is kept with it.
    """

    topic: str
    wanted: bool
    source: str
    match: str = ""


@value
class EndConsents:
    """Nothing the customer agreed to be sent holds any more, on any channel, whatever it is called."""

    source: str


@value
class AnswerConsent:
    """What the customer was asked to confirm (double opt-in) is in force from now on, or refused."""

    granted: bool
    source: str


@value
class WishContact:
    """How the customer wants to be written to. `per_week` None: as the business does; `quiet` empty: likewise."""

    topics_off: tuple[str, ...] = ()
    per_week: int | None = None
    quiet: tuple[str, str] = ("", "")  # HH:MM where the customer is
    source: str = ""


@value
class BookAppointment:
    """One place of the slot is the customer's.

    When the last one went meanwhile, a notice says so and offers to choose again; nothing is booked then.
    """

    site: str
    service: str
    starts_at: datetime
    ends_at: datetime
    places: int  # parallel places of the slot, as the policy says
    details: Mapping[str, str] = field(default_factory=dict)
    moves: int | None = None  # id of the customer's appointment this one replaces
    case_number: str = ""
    remind_at: datetime | None = None  # None: no reminder
    reminder: Notice | None = None


@value
class Instalment:
    amount_minor: int
    due_on: str  # ISO date in the business's zone


@value
class AgreePayPlan:
    """These payments of the customer (by key) are due in instalments instead; not one that is paid or in a plan."""

    parts: Mapping[str, tuple[Instalment, ...]]
    plan: str
    case_number: str = ""


@value
class CancelAppointment:
    appointment_id: int
    reason: str = ""


@value
class ReportOutage:
    """The customer has no supply. Kept with the outage it belongs to, if one is known; they hear of its end."""

    outage_id: int | None
    asset_key: str = ""
    latitude: float | None = None
    longitude: float | None = None
    address: str = ""
    note: str = ""


@value
class PlanNotice:
    """A notice at a later time, planned once under its `key`. `at` None cancels it."""

    key: str
    at: datetime | None
    notice: Notice | None = None


@value
class RequestErasure:
    """The customer wants to be forgotten: carried out after the time the policy leaves for a change of mind.

    Until then the record's attribute `erasure_at` (ISO 8601) tells when. `at` None: they have changed their mind.
    """

    at: datetime | None
    source: str


@value
class SendCode:
    """A one-time code goes to a contact on the record of this order or case, if there is such a record and a way to it.

    What the customer who asks is told is the same either way (bot/actions/lookups.py).
    """

    kind: LookupKind
    number: str
    language: str  # of who asks


@value
class TryCode:
    """What the customer typed as the code counts as a try, and is taken out of what is kept of their message.

    `is_right`: it was the code, so that this order or case may be looked at in this conversation for a while.
    """

    kind: LookupKind
    number: str
    is_right: bool


ServiceEffect = (
    RecordScore
    | RecordPreference
    | SetAttribute
    | SubscribeTopic
    | EndConsents
    | AnswerConsent
    | WishContact
    | BookAppointment
    | AgreePayPlan
    | CancelAppointment
    | ReportOutage
    | PlanNotice
    | RequestErasure
    | SendCode
    | TryCode
)


# --- the life of a case -----------------------------------------------------------------------------------------

CaseParty = Literal["customer", "staff", "site", "system"]
_ANYONE = frozenset[CaseParty]({"customer", "staff", "site", "system"})
_STAFF = frozenset[CaseParty]({"staff", "system"})
_AT_WORK = frozenset[CaseParty]({"staff", "site", "system"})
_CUSTOMER = frozenset[CaseParty]({"customer", "staff", "system"})

# status -> the statuses that may follow it -> who may say so. `assigned` after itself is another owner.
CASE_MOVES: Mapping[str, Mapping[str, frozenset[CaseParty]]] = {
    "received": {
        "assigned": _STAFF,
        "in_progress": _AT_WORK,
        "waiting_customer": _STAFF,
        "solved": _AT_WORK,
        "withdrawn": _CUSTOMER,
    },
    "assigned": {
        "assigned": _STAFF,
        "in_progress": _AT_WORK,
        "waiting_customer": _STAFF,
        "solved": _AT_WORK,
        "withdrawn": _CUSTOMER,
    },
    "in_progress": {
        "assigned": _STAFF,
        "in_progress": _AT_WORK,
        "waiting_customer": _STAFF,
        "solved": _AT_WORK,
        "withdrawn": _CUSTOMER,
    },
    "waiting_customer": {
        "assigned": _STAFF,
        "in_progress": _ANYONE,
        "waiting_customer": _STAFF,
        "solved": _AT_WORK,
        "withdrawn": _CUSTOMER,
    },
    "solved": {"confirmed": _CUSTOMER, "reopened": _CUSTOMER},
    "reopened": {
        "assigned": _STAFF,
        "in_progress": _AT_WORK,
        "waiting_customer": _STAFF,
        "solved": _AT_WORK,
        "withdrawn": _CUSTOMER,
    },
    "confirmed": {"reopened": _CUSTOMER},
    "withdrawn": {"reopened": _CUSTOMER},
}
CLOSED_STATUSES = frozenset({"confirmed", "withdrawn"})


def may_become(status: str, following: str, by: CaseParty) -> bool:
    """Whether a case of this status may get the following one by whoever asks for it."""
    return by in CASE_MOVES.get(status, {}).get(following, frozenset())
