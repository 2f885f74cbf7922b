"""Writes the sample of Wayhouse Fuel: 260 drivers, their cars and cards, last fill-ups, accounts due, and 12 stations.

    python config/assistants/fuel/sample/make.py <folder>

Everybody fills up in a rhythm of their own; some broke it lately, which is what the care rules are to notice. The first
dozen are written out, because the transcripts in ../tests tell of them; the rest is drawn with a fixed seed.
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

COUNT = 260
SITES = read(Path(__file__).with_name("sites.csv"))
PRICES = {"92#": 7.28, "95#": 7.79, "98#": 8.79, "0#": 6.97}  # CNY per litre, for members
WASHES = (("机洗", 25), ("人工精洗", 68))
KNOWN = {
    "c-0001": Person("c-0001", "周敏", phone(1), credit_class="A", tags="gold"),
    "c-0002": Person("c-0002", "Hannah Brooks", phone(2, "en"), language="en", credit_class="A", tags="silver"),
    "c-0003": Person("c-0003", "刘志强", phone(3), tags="taxi"),
    "c-0004": Person("c-0004", "韩雪梅", phone(4), credit_class="A", tags="silver"),
    "c-0005": Person("c-0005", "马建国", phone(5), credit_class="B", tags="truck"),
    "c-0006": Person("c-0006", "Daniel Mercer", phone(6, "en"), language="en"),
    "c-0007": Person("c-0007", "陈立群", phone(7), credit_class="A"),
    "c-0008": Person("c-0008", "宋雨桐", phone(8)),
    "c-0009": Person("c-0009", "吴永强", phone(9), credit_class="D", tags="fleet"),
    "c-0010": Person("c-0010", "许佳宁", phone(10)),
}


@dataclass(frozen=True, slots=True)
class Driver:
    """A customer, the car, and the rhythm: days between two fill-ups, and days since the last one."""

    person: Person
    plate: str
    grade: str
    tank: int  # litres
    site: str
    every: float
    since_last: float


DRIVERS = {  # plate, grade, tank, station, days between fill-ups, days since the last
    "c-0001": ("冀F5C208", "95#", 55, "s-01", 7, 2),
    "c-0002": ("冀FD58213", "95#", 60, "s-02", 9, 4),
    "c-0003": ("冀F3B18A", "92#", 50, "s-04", 2, 1),
    "c-0004": ("冀F2K907", "95#", 52, "s-05", 10, 27),  # missed
    "c-0005": ("冀F8R114", "0#", 400, "s-07", 4, 2),
    "c-0006": ("冀F20771", "92#", 48, "s-09", 12, 33),  # missed
    "c-0007": ("冀F7K26N", "95#", 50, "s-03", 8, 9),
    "c-0008": ("冀F30925", "92#", 45, "s-02", 11, 5),
    "c-0009": ("冀F1V660", "0#", 350, "s-10", 3, 3),
    "c-0010": ("冀F5C20K", "95#", 50, "s-06", 9, 3),
}
FILL_UPS = 6  # of each driver at most; the transcripts import them all
NEW = ("c-0010",)  # who has been here once


def main(folder: Path) -> None:
    random = Random(20260302)  # noqa: S311 -- a sample, no secret
    drivers = list(_drivers(random, people(random, COUNT, KNOWN)))
    names = {site["key"]: site["name_zh"] for site in SITES}
    write(
        folder,
        "customers",
        (*CUSTOMER_COLUMNS, "attr:level", "attr:grade", "attr:home_site"),
        [
            driver.person.row()
            | {"attr:level": _level(driver), "attr:grade": driver.grade, "attr:home_site": names[driver.site]}
            for driver in drivers
        ],
    )
    write(folder, "assets", (*ASSET_COLUMNS, "attr:grade", "attr:tank_l", "attr:limit"), list(_assets(random, drivers)))
    write(folder, "visits", VISIT_COLUMNS, list(_visits(random, drivers)))
    write(folder, "dues", DUE_COLUMNS, list(_dues(random, drivers)))
    write(folder, "sites", SITE_COLUMNS, SITES)


def _level(driver: Driver) -> str:
    """gold, silver or basic, by the tag where it is written out, else by how much is bought in a year."""
    for level in ("gold", "silver"):
        if level in driver.person.tags.split(";"):
            return level
    spent = 365 / driver.every * driver.tank * 0.7 * PRICES[driver.grade]
    return "gold" if spent > 15_000 else "silver" if spent > 6_000 else "basic"


def _drivers(random: Random, customers: list[Person]) -> Iterator[Driver]:
    """One car each; every plate once. One in eight has been away for longer than usual."""
    plates = {plate for plate, *_ in DRIVERS.values()}
    for person in customers:
        if person.key in DRIVERS:
            yield Driver(person, *DRIVERS[person.key])
            continue
        plate = ""
        while not plate or plate in plates:
            plate = "冀F" + "".join(random.choice("0123456789") for _ in range(5))
        plates.add(plate)
        grade = random.choices(tuple(PRICES), weights=(48, 36, 6, 10))[0]
        tank = random.choice((45, 50, 52, 55, 60, 70)) if grade != "0#" else random.choice((80, 300, 400))
        every = random.choice((3, 5, 7, 8, 10, 12, 14, 20)) + random.random()
        away = random.random() < 0.125
        since = every * (random.uniform(1.7, 4.0) if away else random.uniform(0.1, 1.2))
        yield Driver(person, plate, grade, tank, random.choice(SITES)["key"], every, since)


def _assets(random: Random, drivers: list[Driver]) -> Iterator[dict[str, object]]:
    """Every car, and a fuel card for those who have one."""
    for at, driver in enumerate(drivers, start=1):
        is_truck = driver.tank > 100
        yield {
            "key": driver.plate, "customer_key": driver.person.key, "kind": "vehicle",
            "name": "货车" if is_truck else "小客车", "since": f"{TODAY - timedelta(days=400 + at):%Y-%m-%d}",
            "attr:grade": driver.grade, "attr:tank_l": driver.tank,
        }  # fmt: skip
        if is_truck or driver.person.key in ("c-0001", "c-0007") or random.random() < 0.25:
            yield {
                "key": f"QY{100_000 + at}", "customer_key": driver.person.key, "kind": "fuel_card",
                "name": "青驿卡", "since": f"{TODAY - timedelta(days=300 + at):%Y-%m-%d}",
                "attr:limit": 2_000 if is_truck else 600,
            }  # fmt: skip


def _visits(random: Random, drivers: list[Driver]) -> Iterator[dict[str, object]]:
    """The last fill-ups, each about `every` days before the next; a wash now and then."""
    rows: list[tuple[datetime, Driver, str, str, float, str]] = []
    for driver in drivers:
        days = driver.since_last
        for _ in range(1 if driver.person.key in NEW else FILL_UPS):
            site = driver.site if random.random() < 0.85 else random.choice(SITES)["key"]
            when = _moment(random, days)
            litres = round(driver.tank * random.uniform(0.55, 0.9), 1)
            amount = round(litres * PRICES[driver.grade], 2)
            rows.append((when, driver, site, "refuel", amount, f"{driver.grade} {litres} L"))
            if random.random() < 0.08 and driver.tank < 100:
                what, price = random.choice(WASHES)
                rows.append((when + timedelta(minutes=15), driver, "s-02", "wash", price, what))
            days += driver.every * random.uniform(0.8, 1.2)
    rows.append((datetime(2026, 3, 1, 17, 40, tzinfo=ZONE), _of(drivers, "c-0007"), "s-03", "refuel", 327.18,
                 "95# 42.0 L"))  # fmt: skip
    rows.append((datetime(2026, 3, 1, 10, 30, tzinfo=ZONE), _of(drivers, "c-0008"), "s-02", "wash", 25, "机洗"))
    rows.sort(key=lambda row: (row[0], row[1].person.key, row[3]))
    for at, (when, driver, site, kind, amount, items) in enumerate(rows, start=1):
        yield {
            "key": f"v-{at:05d}", "customer_key": driver.person.key, "site": site, "kind": kind, "at": when.isoformat(),
            "amount": f"{amount:.2f}", "currency": "CNY", "items": items, "asset_key": driver.plate,
        }  # fmt: skip


def _moment(random: Random, days: float) -> datetime:
    day = TODAY - timedelta(days=days)
    return day.replace(hour=random.randint(6, 21), minute=random.randrange(0, 60, 5), second=0, microsecond=0)


def _of(drivers: list[Driver], key: str) -> Driver:
    return next(driver for driver in drivers if driver.person.key == key)


def _dues(random: Random, drivers: list[Driver]) -> Iterator[dict[str, object]]:
    """Monthly accounts of lorries and fleets: February's is due on 10 March, January's was on 10 February."""
    for driver in drivers:
        if driver.tank <= 100:
            continue
        monthly = 30 / driver.every * driver.tank * 0.7 * PRICES[driver.grade]
        for month, due_on, is_paid in (
            ("01", "2026-02-10", driver.person.credit_class in "AB" or random.random() < 0.5),
            ("02", "2026-03-10", False),
        ):
            is_open = driver.person.key == "c-0009" or not is_paid
            yield {
                "key": f"2026-{month}-{driver.plate}", "customer_key": driver.person.key, "kind": "fleet_account",
                "amount": f"{monthly * random.uniform(0.9, 1.1):.2f}", "currency": "CNY", "due_on": due_on,
                "paid_on": "" if is_open else "2026-02-09", "asset_key": driver.plate,
            }  # fmt: skip


if __name__ == "__main__":
    main(folder_from_command_line(__doc__ or ""))
