"""Writes the sample of Quiet Crane Hotels: 220 guests, their stays, reservations, open bills, and the ten hotels.

    python config/assistants/hotel/sample/make.py <folder>

The first ten are written out, because the transcripts in ../tests tell of them; the rest is drawn with a fixed seed.
A stay is an asset (kind room_stay), and the visit that was paid for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

from config.assistants.sampling import (
    ASSET_COLUMNS,
    CUSTOMER_COLUMNS,
    DUE_COLUMNS,
    ORDER_COLUMNS,
    SITE_COLUMNS,
    TODAY,
    VISIT_COLUMNS,
    ZONE,
    Person,
    folder_from_command_line,
    people,
    phone,
    read,
    write,
)

COUNT = 220
SITES = read(Path(__file__).with_name("sites.csv"))
ROOMS = {  # kind -> name in Chinese, price of a night
    "double room": ("大床房", 468),
    "twin room": ("双床房", 468),
    "lake view room": ("湖景房", 588),
    "family room": ("家庭房", 688),
    "suite": ("套房", 980),
}
LEVELS = ((40, "platinum"), (15, "gold"), (5, "silver"), (0, "feather"))  # nights within 12 months, at least
KNOWN = {
    "c-0001": Person("c-0001", "周敏", phone(1), credit_class="A", tags="regular"),
    "c-0002": Person("c-0002", "Hannah Brooks", phone(2, "en"), language="en", credit_class="A"),
    "c-0003": Person("c-0003", "刘志强", phone(3)),
    "c-0004": Person("c-0004", "韩雪梅", phone(4)),
    "c-0005": Person("c-0005", "马建国", phone(5)),
    "c-0006": Person("c-0006", "Daniel Mercer", phone(6, "en"), language="en"),
    "c-0007": Person("c-0007", "陈立群", phone(7), credit_class="A", tags="regular"),
    "c-0008": Person("c-0008", "宋雨桐", phone(8)),
    "c-0009": Person("c-0009", "吴永强", phone(9), credit_class="C"),
    "c-0010": Person("c-0010", "Grace Okafor", phone(10, "en"), language="en"),
}


@dataclass(frozen=True, slots=True)
class Stay:
    guest: Person
    site: str
    room: str
    kind: str
    arrives: datetime
    nights: int

    @property
    def leaves(self) -> datetime:
        return (self.arrives + timedelta(days=self.nights)).replace(hour=12, minute=0)

    @property
    def amount(self) -> int:
        return ROOMS[self.kind][1] * self.nights

    @property
    def room_name(self) -> str:
        return f"{self.kind} {self.room}" if self.guest.language == "en" else f"{ROOMS[self.kind][0]} {self.room}"


STAYS = (  # guest, hotel, room, kind, arrives, nights: those in the house on 2 March, and earlier ones
    ("c-0001", "h-01", "1208", "lake view room", "2026-03-01", 3),
    ("c-0001", "h-01", "0906", "lake view room", "2025-11-20", 2),
    ("c-0001", "h-02", "0512", "double room", "2025-08-03", 2),
    ("c-0002", "h-03", "0711", "double room", "2026-02-28", 4),
    ("c-0003", "h-05", "0803", "twin room", "2026-03-01", 2),
    ("c-0004", "h-08", "0315", "family room", "2026-02-20", 5),
    ("c-0006", "h-01", "0620", "suite", "2026-03-01", 5),
    ("c-0007", "h-07", "0418", "double room", "2026-02-26", 3),
    ("c-0007", "h-07", "0422", "double room", "2025-12-12", 4),
    ("c-0008", "h-06", "0209", "twin room", "2026-02-28", 3),
    ("c-0009", "h-10", "0507", "double room", "2026-01-15", 1),
    ("c-0010", "h-04", "0312", "lake view room", "2026-03-01", 3),
)
RESERVATIONS = (  # number, guest, hotel, kind, arrives, nights, status
    ("BK-30518", "c-0004", "h-01", "family room", "2026-03-20", 2, "confirmed"),
    ("BK-30522", "c-0007", "h-02", "double room", "2026-03-12", 2, "confirmed"),
    ("BK-30531", "c-0005", "h-01", "double room", "2026-03-06", 1, "unpaid"),
)


def main(folder: Path) -> None:
    random = Random(20260302)  # noqa: S311 -- a sample, no secret
    guests = people(random, COUNT, KNOWN, english=0.2)
    stays = sorted(_stays(random, guests), key=lambda stay: (stay.arrives, stay.guest.key))
    write(
        folder,
        "customers",
        (*CUSTOMER_COLUMNS, "attr:member_level", "attr:points", "attr:nights"),
        [guest.row() | _membership(guest, stays) for guest in guests],
    )
    write(
        folder,
        "assets",
        (*ASSET_COLUMNS, "attr:site", "attr:room", "attr:room_type"),
        [_asset(at, stay) for at, stay in enumerate(stays, start=1)],
    )
    write(folder, "visits", VISIT_COLUMNS, [_visit(at, stay) for at, stay in enumerate(stays, start=1)])
    write(folder, "orders", ORDER_COLUMNS, list(_reservations(random, guests)))
    write(folder, "dues", DUE_COLUMNS, list(_dues(random, stays)))
    write(folder, "sites", SITE_COLUMNS, SITES)


def _stays(random: Random, guests: list[Person]) -> Iterator[Stay]:
    """The stays of the transcripts, then for everybody else one to six; some have not come for long."""
    known = {guest.key: guest for guest in guests}
    for customer, site, room, kind, day, nights in STAYS:
        yield Stay(known[customer], site, room, kind, _afternoon(day), nights)
    for guest in guests:
        if guest.key in KNOWN:
            continue
        days_ago = random.choices((random.randint(1, 120), random.randint(200, 700)), weights=(75, 25))[0]
        home = random.choice(SITES)["key"]
        for _ in range(random.choices((1, 2, 3, 4, 6), weights=(30, 25, 20, 15, 10))[0]):
            site = home if random.random() < 0.6 else random.choice(SITES)["key"]
            room = f"{random.randint(2, 12):02d}{random.randint(1, 24):02d}"
            kind = random.choices(tuple(ROOMS), weights=(40, 25, 18, 11, 6))[0]
            arrives = (TODAY - timedelta(days=days_ago)).replace(hour=random.randint(15, 22))
            yield Stay(guest, site, room, kind, arrives, random.randint(1, 4))
            days_ago += random.randint(35, 180)


def _afternoon(day: str) -> datetime:
    return datetime.fromisoformat(f"{day}T15:30").replace(tzinfo=ZONE)


def _membership(guest: Person, stays: list[Stay]) -> dict[str, object]:
    """Level by the nights of the last twelve months, points by what was paid in the last 24."""
    own = [stay for stay in stays if stay.guest == guest]
    nights = sum(stay.nights for stay in own if stay.arrives > TODAY - timedelta(days=365))
    points = sum(stay.amount for stay in own if stay.arrives > TODAY - timedelta(days=730))
    level = next(name for least, name in LEVELS if nights >= least)
    return {"attr:member_level": level, "attr:points": points, "attr:nights": nights}


def _asset(at: int, stay: Stay) -> dict[str, object]:
    return {
        "key": f"st-{at:05d}", "customer_key": stay.guest.key, "kind": "room_stay", "name": stay.room_name,
        "since": stay.arrives.isoformat(), "until": stay.leaves.isoformat(), "attr:site": stay.site,
        "attr:room": stay.room, "attr:room_type": stay.kind,
    }  # fmt: skip


def _visit(at: int, stay: Stay) -> dict[str, object]:
    return {
        "key": f"v-{at:05d}", "customer_key": stay.guest.key, "site": stay.site, "kind": "stay",
        "at": stay.arrives.isoformat(), "amount": f"{stay.amount}.00", "currency": "CNY", "items": stay.room_name,
        "asset_key": f"st-{at:05d}",
    }  # fmt: skip


def _reservations(random: Random, guests: list[Person]) -> Iterator[dict[str, object]]:
    """Rooms booked for the coming weeks."""
    names = {site["key"]: site["name_en"] for site in SITES}
    known = {guest.key: guest for guest in guests}
    rows = list(RESERVATIONS)
    for at, guest in enumerate(random.sample([guest for guest in guests if guest.key not in KNOWN], 40)):
        day = f"{TODAY + timedelta(days=random.randint(2, 45)):%Y-%m-%d}"
        status = random.choices(("confirmed", "unpaid", "cancelled"), weights=(75, 15, 10))[0]
        site, kind = random.choice(SITES)["key"], random.choice(tuple(ROOMS))
        rows.append((f"BK-{30600 + at}", guest.key, site, kind, day, random.randint(1, 4), status))
    for number, customer, site, kind, day, nights, status in rows:
        guest, (chinese, price) = known[customer], ROOMS[kind]
        yield {
            "order_number": number, "name": guest.name, "phone": guest.phone, "status": status,
            "placed_at": (TODAY - timedelta(days=random.randint(1, 20))).isoformat(),
            "expected_at": _afternoon(day).isoformat(),
            "items": f"{kind}, {nights} nights" if guest.language == "en" else f"{chinese}，{nights} 晚",
            "amount": f"{price * nights}.00", "currency": "CNY", "store": names[site],
        }  # fmt: skip


def _dues(random: Random, stays: list[Stay]) -> Iterator[dict[str, object]]:
    """The bills of guests still in the house, and a few that companies have not paid yet."""
    for at, stay in enumerate(stays, start=1):
        is_here = stay.leaves > TODAY + timedelta(days=1)
        if is_here or (stay.arrives > TODAY - timedelta(days=60) and random.random() < 0.08):
            due = stay.leaves if is_here else stay.leaves + timedelta(days=30)
            yield {
                "key": f"d-{at:05d}", "customer_key": stay.guest.key, "kind": "bill", "amount": f"{stay.amount}.00",
                "currency": "CNY", "due_on": f"{due:%Y-%m-%d}", "paid_on": "", "asset_key": f"st-{at:05d}",
            }  # fmt: skip


if __name__ == "__main__":
    main(folder_from_command_line(__doc__ or ""))
