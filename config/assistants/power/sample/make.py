"""Writes the sample of Millbrook Power: 250 customers, their meters, bills of half a year, visits, halls, repair bases.

    python config/assistants/power/sample/make.py <folder>

How punctually somebody pays follows from the credit class. The first dozen are written out, because the transcripts in
../tests tell of them; the rest is drawn with a fixed seed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from random import Random

from config.assistants.sampling import (
    ASSET_COLUMNS,
    CUSTOMER_COLUMNS,
    DUE_COLUMNS,
    SITE_COLUMNS,
    TODAY,
    VISIT_COLUMNS,
    Person,
    before,
    folder_from_command_line,
    people,
    phone,
    read,
    write,
)

COUNT = 250
SITES = read(Path(__file__).with_name("sites.csv"))
AREAS = {  # name -> in English, latitude, longitude, its feeder
    "平安里": ("Ping'an Lane", 38.8790, 115.5061, "东城 3 线"),
    "湖滨小区": ("Lakeside Estate", 38.8413, 115.4868, "南湖 1 线"),
    "建设新村": ("Jianshe New Village", 38.9160, 115.4655, "北环 2 线"),
    "望江苑": ("Riverview Court", 38.8655, 115.4812, "钟楼 4 线"),
    "柳河镇": ("Willow River Town", 38.7521, 115.6007, "柳河 1 线"),
    "石桥村": ("Stone Bridge Village", 38.9889, 115.3322, "石桥 1 线"),
    "工业园": ("Industrial Park", 38.8402, 115.4177, "园区 5 线"),
}
TARIFFS = ("steps", "time_of_use", "business")
SEASON = {"2025-09": 1.2, "2025-10": 0.8, "2025-11": 0.85, "2025-12": 1.1, "2026-01": 1.3, "2026-02": 1.15}
LATE = {"A": 0.0, "B": 0.06, "C": 0.35, "D": 0.75}  # share of bills paid after the day
KNOWN = {
    "c-0001": Person("c-0001", "周敏", phone(1), credit_class="A"),
    "c-0002": Person("c-0002", "Hannah Brooks", phone(2, "en"), language="en", credit_class="A"),
    "c-0003": Person("c-0003", "刘志强", phone(3), credit_class="B", tags="business"),
    "c-0004": Person("c-0004", "韩雪梅", phone(4), credit_class="B", tags="life_support"),
    "c-0005": Person("c-0005", "马建国", phone(5), credit_class="C"),
    "c-0006": Person("c-0006", "Daniel Mercer", phone(6, "en"), language="en", credit_class="B"),
    "c-0007": Person("c-0007", "陈立群", phone(7), credit_class="A"),
    "c-0008": Person("c-0008", "宋雨桐", phone(8), credit_class="B"),
    "c-0009": Person("c-0009", "吴永强", phone(9), credit_class="D"),
    "c-0010": Person("c-0010", "许佳宁", phone(10), credit_class="A"),
}
LIVES = {  # area, tariff, units in a usual month
    "c-0001": ("平安里", "steps", 210),
    "c-0002": ("湖滨小区", "time_of_use", 260),
    "c-0003": ("望江苑", "business", 900),
    "c-0004": ("平安里", "steps", 240),
    "c-0005": ("柳河镇", "steps", 180),
    "c-0006": ("平安里", "steps", 190),
    "c-0007": ("建设新村", "steps", 230),
    "c-0008": ("湖滨小区", "steps", 170),
    "c-0009": ("石桥村", "steps", 300),
    "c-0010": ("望江苑", "time_of_use", 220),
}


@dataclass(frozen=True, slots=True)
class Supply:
    """A customer's meter and what runs through it in a usual month."""

    person: Person
    meter: str
    area: str
    address: str
    tariff: str
    units: int

    @property
    def account(self) -> str:
        return "40" + self.meter[2:]


def main(folder: Path) -> None:
    random = Random(20260303)  # noqa: S311 -- a sample, no secret
    supplies = list(_supplies(random, people(random, COUNT, KNOWN)))
    write(
        folder,
        "customers",
        (*CUSTOMER_COLUMNS, "attr:account", "attr:area", "attr:address", "attr:feeder"),
        [
            supply.person.row()
            | {
                "attr:account": supply.account,
                "attr:area": supply.area,
                "attr:address": supply.address,
                "attr:feeder": AREAS[supply.area][3],
            }
            for supply in supplies
        ],
    )
    write(
        folder,
        "assets",
        (*ASSET_COLUMNS, "attr:tariff", "attr:address", "attr:latitude", "attr:longitude", "attr:feeder"),
        [_meter(random, supply) for supply in supplies],
    )
    write(folder, "visits", VISIT_COLUMNS, list(_visits(random, supplies)))
    write(folder, "dues", DUE_COLUMNS, list(_bills(random, supplies)))
    write(folder, "sites", SITE_COLUMNS, SITES)


def _supplies(random: Random, customers: list[Person]) -> Iterator[Supply]:
    for at, person in enumerate(customers, start=1):
        area, tariff, units = LIVES.get(person.key) or (
            random.choice(tuple(AREAS)),
            random.choices(TARIFFS, weights=(70, 20, 10))[0],
            random.randint(90, 420),
        )
        flat = f"{random.randint(1, 18)}{random.randint(1, 4):02d}"
        house = f"{random.randint(1, 24)} 号楼 {random.randint(1, 4)} 单元 {flat}"
        yield Supply(
            person,
            f"MB{2_000_000 + at * 37:08d}",
            area,
            f"{area} {house}",
            tariff,
            units * 4 if tariff == "business" and person.key not in LIVES else units,
        )


def _meter(random: Random, supply: Supply) -> dict[str, object]:
    _, latitude, longitude, feeder = AREAS[supply.area]
    name = "Electricity meter" if supply.person.language == "en" else "电表"
    return {
        "key": supply.meter, "customer_key": supply.person.key, "kind": "meter", "name": name,
        "since": f"{TODAY - timedelta(days=random.randint(60, 2_400)):%Y-%m-%d}", "attr:tariff": supply.tariff,
        "attr:address": supply.address, "attr:feeder": feeder,
        "attr:latitude": round(latitude + random.uniform(-0.003, 0.003), 5),
        "attr:longitude": round(longitude + random.uniform(-0.003, 0.003), 5),
    }  # fmt: skip


def _bills(random: Random, supplies: list[Supply]) -> Iterator[dict[str, object]]:
    """One bill a month, due on the 18th of the next; those of February are not due yet."""
    for supply in supplies:
        price = {"steps": 0.54, "time_of_use": 0.46, "business": 0.74}[supply.tariff]
        for month, factor in SEASON.items():
            year, number = (int(part) for part in month.split("-"))
            due = date(year + number // 12, number % 12 + 1, 18)
            amount = supply.units * factor * random.uniform(0.93, 1.07) * price
            if (supply.person.key, month) == ("c-0007", "2026-02"):
                amount *= 2.1  # what its transcript is about
            yield {
                "key": f"{month}-{supply.meter}", "customer_key": supply.person.key,
                "kind": "electricity", "amount": f"{amount:.2f}", "currency": "CNY", "due_on": due.isoformat(),
                "paid_on": _paid_on(random, supply, due), "asset_key": supply.meter,
            }  # fmt: skip


def _paid_on(random: Random, supply: Supply, due: date) -> str:
    """The day a bill was paid; "" while it is open: February's for everybody but the prompt, January's for some."""
    is_late = random.random() < LATE[supply.person.credit_class]
    paid = due + timedelta(days=random.randint(2, 25) if is_late else -random.randint(1, 12))
    if supply.person.key in KNOWN and due >= TODAY.date():
        return ""
    if supply.person.key in ("c-0005", "c-0009") and due.isoformat() == "2026-02-18":
        return ""
    return paid.isoformat() if paid < TODAY.date() else ""


def _visits(random: Random, supplies: list[Supply]) -> Iterator[dict[str, object]]:
    """Who came to a hall or was visited by a technician lately."""
    halls = [site["key"] for site in SITES if site["kind"] == "service_hall"]
    bases = [site["key"] for site in SITES if site["kind"] == "repair_base"]
    kinds = (("counter", "过户", halls), ("counter", "缴费", halls), ("repair", "入户线路检查", bases),
             ("meter", "更换智能电表", bases))  # fmt: skip
    rows = [
        (before(random, random.uniform(5, 300)), supply, *random.choice(kinds))
        for supply in supplies
        if supply.person.key not in KNOWN and random.random() < 0.6
    ]
    rows.append((before(random, 9), _of(supplies, "c-0008"), "repair", "低电压检查，紧固接线", ["s-09"]))
    rows.sort(key=lambda row: (row[0], row[1].person.key))
    for at, (when, supply, kind, items, places) in enumerate(rows, start=1):
        yield {
            "key": f"v-{at:05d}", "customer_key": supply.person.key, "site": random.choice(places), "kind": kind,
            "at": when.isoformat(), "items": items, "asset_key": supply.meter,
        }  # fmt: skip


def _of(supplies: list[Supply], key: str) -> Supply:
    return next(supply for supply in supplies if supply.person.key == key)


if __name__ == "__main__":
    main(folder_from_command_line(__doc__ or ""))
