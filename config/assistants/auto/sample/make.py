"""Writes the sample of Tern Motors: 240 owners, their cars, visits, work orders, dues, and the 14 service stations.

    python config/assistants/auto/sample/make.py <folder>

The first dozen are written out, because the transcripts in ../tests tell of them; the rest is drawn with a fixed seed.
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
    before,
    folder_from_command_line,
    people,
    phone,
    read,
    write,
)

COUNT = 240
MODELS = {  # name in English -> name in Chinese, power
    "Tide": ("潮汐", "petrol"),
    "Cove": ("海湾", "hybrid"),
    "Shoal": ("沙洲", "electric"),
    "Beacon": ("灯塔", "petrol"),
}
WARRANTY = timedelta(days=4 * 365)
SITES = read(Path(__file__).with_name("sites.csv"))
WORK = (  # kind of visit, what was done, amount from and to (0: under warranty)
    ("maintenance", "小保养：机油、机滤、28 项检查", 480, 560),
    ("maintenance", "大保养：机油、三滤、刹车油、火花塞", 1280, 1580),
    ("repair", "更换前刹车片", 620, 620),
    ("repair", "空调不制冷，补漏加制冷剂", 380, 720),
    ("repair", "更换 12V 电瓶", 480, 580),
    ("repair", "四轮定位", 260, 260),
    ("repair", "质保维修：车机重启", 0, 0),
    ("bodywork", "右前门补漆", 450, 900),
    ("recall", "召回：更换副驾驶安全气囊发生器", 0, 0),
)
KNOWN = {
    "c-0001": Person("c-0001", "周敏", phone(1), credit_class="A", tags="fleet"),
    "c-0002": Person("c-0002", "Hannah Brooks", phone(2, "en"), language="en", credit_class="A"),
    "c-0003": Person("c-0003", "刘志强", phone(3)),
    "c-0004": Person("c-0004", "韩雪梅", phone(4)),
    "c-0005": Person("c-0005", "马建国", phone(5), credit_class="C"),
    "c-0006": Person("c-0006", "Daniel Mercer", phone(6, "en"), language="en"),
    "c-0007": Person("c-0007", "陈立群", phone(7), credit_class="A"),
    "c-0008": Person("c-0008", "宋雨桐", phone(8)),
    "c-0009": Person("c-0009", "吴永强", phone(9), credit_class="D"),
    "c-0010": Person("c-0010", "许佳宁", phone(10)),
}
CITY = {  # of the owners written out
    "c-0001": "石家庄", "c-0002": "北京", "c-0003": "保定", "c-0004": "沧州", "c-0005": "衡水", "c-0006": "天津",
    "c-0007": "保定", "c-0008": "保定", "c-0009": "邢台", "c-0010": "北京",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Car:
    plate: str
    owner: Person
    model: str
    since: datetime
    mileage: int
    vin: str
    site: str

    def row(self) -> dict[str, object]:
        chinese, power = MODELS[self.model]
        name = self.model if self.owner.language == "en" else chinese
        return {
            "key": self.plate,
            "customer_key": self.owner.key,
            "kind": "vehicle",
            "name": f"{name} {self.since.year}",
            "since": f"{self.since:%Y-%m-%d}",
            "attr:model": self.model,
            "attr:power": power,
            "attr:vin": self.vin,
            "attr:mileage_km": self.mileage,
            "attr:warranty_until": f"{self.since + WARRANTY:%Y-%m-%d}",
        }


CARS = {  # plate, model, days since bought, kilometres, station
    "c-0001": (("冀A5C208", "Tide", 900, 61_000, "s-04"), ("冀A6D311", "Tide", 880, 58_500, "s-04")),
    "c-0002": (("京AD58213", "Shoal", 500, 24_300, "s-11"),),
    "c-0003": (("冀F3B18A", "Tide", 1_300, 88_000, "s-01"), ("冀F9M52C", "Beacon", 420, 19_800, "s-01")),
    "c-0004": (("冀J2K907", "Cove", 45, 1_900, "s-06"),),
    "c-0005": (("冀T8R114", "Tide", 1_750, 131_000, "s-07"),),
    "c-0006": (("津BD20771", "Shoal", 760, 41_200, "s-09"),),
    "c-0007": (("冀F7K26N", "Cove", 610, 32_400, "s-02"),),
    "c-0008": (("冀FD30925", "Shoal", 300, 15_600, "s-02"),),
    "c-0009": (("冀E1V660", "Tide", 1_100, 74_900, "s-14"),),
    "c-0010": (("京N5C20K", "Cove", 200, 9_700, "s-12"),),
}
VISITS = (  # customer, plate, station, kind, when, amount, what was done
    ("c-0001", "冀A5C208", "s-04", "maintenance", "2026-01-12T09:00", 1480, "大保养：机油、三滤、刹车油、火花塞"),
    ("c-0002", "京AD58213", "s-11", "maintenance", "2025-11-08T10:00", 320, "annual check, cabin filter"),
    ("c-0003", "冀F3B18A", "s-01", "repair", "2026-02-20T14:00", 720, "空调不制冷，补漏加制冷剂"),
    ("c-0003", "冀F9M52C", "s-01", "maintenance", "2026-02-06T09:30", 480, "小保养：机油、机滤、28 项检查"),
    ("c-0005", "冀T8R114", "s-07", "maintenance", "2025-04-18T09:00", 480, "小保养：机油、机滤、28 项检查"),
    ("c-0006", "津BD20771", "s-09", "repair", "2026-02-25T11:00", 0, "warranty: charge port replaced"),
    ("c-0007", "冀F7K26N", "s-02", "repair", "2025-12-14T10:00", 620, "更换前刹车片"),
    ("c-0007", "冀F7K26N", "s-02", "repair", "2026-02-27T15:00", 0, "刹车异响复查，打磨刹车片"),
    ("c-0008", "冀FD30925", "s-02", "recall", "2026-02-10T13:30", 0, "召回：更换副驾驶安全气囊发生器"),
    ("c-0009", "冀E1V660", "s-14", "bodywork", "2025-12-03T10:00", 900, "右前门补漆"),
    ("c-0010", "京N5C20K", "s-12", "maintenance", "2026-02-14T10:30", 0, "首保"),
)
ORDERS = (  # number, customer, status, placed, expected, items, amount, station
    ("WO-20391", "c-0003", "repairing", "02-28T09:00", "03-03T17:00", "冀F3B18A 变速箱油更换", 860, "Old Lotus"),
    ("WO-20402", "c-0006", "waiting_parts", "02-25T11:00", "03-06T16:00", "津BD20771 on-board charger", 0, "Haihe"),
    ("WO-20377", "c-0008", "delayed", "02-24T13:00", "02-28T17:00", "冀FD30925 电池检测", 0, "North Valley"),
)


def main(folder: Path) -> None:
    random = Random(20260301)  # noqa: S311 -- a sample, no secret
    owners = people(random, COUNT, KNOWN)
    cars = list(_cars(random, owners))
    towns = {site["key"]: _town(site) for site in SITES}
    homes = {car.owner.key: towns[car.site] for car in reversed(cars)}
    write(
        folder,
        "customers",
        (*CUSTOMER_COLUMNS, "attr:city", "attr:contact_by"),
        [
            owner.row()
            | {"attr:city": CITY.get(owner.key, homes[owner.key]), "attr:contact_by": random.choice(("chat", "phone"))}
            for owner in owners
        ],
    )
    attributes = ("attr:model", "attr:power", "attr:vin", "attr:mileage_km", "attr:warranty_until")
    write(folder, "assets", (*ASSET_COLUMNS, *attributes), [car.row() for car in cars])
    write(folder, "visits", VISIT_COLUMNS, list(_visits(random, cars)))
    write(folder, "orders", ORDER_COLUMNS, list(_orders(random, cars)))
    write(folder, "dues", DUE_COLUMNS, list(_dues(random, cars)))
    write(folder, "sites", SITE_COLUMNS, SITES)


def _town(site: dict[str, str]) -> str:
    """The town of a station's address."""
    return site["address"].split("市")[0] if "市" in site["address"] else "雄安"


def _cars(random: Random, owners: list[Person]) -> Iterator[Car]:
    """The cars of the transcripts, and one or two for everybody else; every plate and VIN once."""
    plates = {plate for cars in CARS.values() for plate, *_ in cars}
    for owner in owners:
        own = CARS.get(owner.key)
        if own is None:
            own = tuple(_drawn(random, plates) for _ in range(random.choices((1, 2), weights=(88, 12))[0]))
        for plate, model, days, mileage, site in own:
            vin = "LTN" + "".join(random.choice("0123456789ABCDEFGHJKLMNPRSTUVWXYZ") for _ in range(14))
            yield Car(plate, owner, model, TODAY - timedelta(days=days), mileage, vin, site)


def _drawn(random: Random, plates: set[str]) -> tuple[str, str, int, int, str]:
    site = random.choice(SITES)
    model = random.choices(tuple(MODELS), weights=(34, 30, 22, 14))[0]
    prefix = {"北京": "京N", "天津": "津B", "石家庄": "冀A", "唐山": "冀B", "邢台": "冀E", "沧州": "冀J", "廊坊": "冀R",
              "衡水": "冀T"}.get(_town(site), "冀F")  # fmt: skip
    plate = ""
    while not plate or plate in plates:
        digits = "".join(random.choice("0123456789") for _ in range(5))
        plate = f"{prefix}D{digits}" if model == "Shoal" else f"{prefix}{digits}"
    plates.add(plate)
    days = random.randint(20, 2_000)
    return plate, model, days, int(days * random.uniform(20, 75)) + 200, site["key"]


def _visits(random: Random, cars: list[Car]) -> Iterator[dict[str, object]]:
    """What the transcripts tell of, then a visit about every ten months for each car; some owners stayed away."""
    told = {row[0] for row in VISITS}
    rows = [
        (customer, plate, site, kind, datetime.fromisoformat(at).replace(tzinfo=ZONE), amount, items)
        for customer, plate, site, kind, at, amount, items in VISITS
    ]
    for car in cars:
        if car.owner.key in told or car.owner.key in CARS:
            continue
        age = (TODAY - car.since).days
        last = random.choices((random.uniform(10, 300), random.uniform(420, 900)), weights=(80, 20))[0]
        while last < age:
            kind, items, least, most = random.choice(WORK)
            amount = random.randrange(least, most + 10, 10) if most else 0
            rows.append((car.owner.key, car.plate, car.site, kind, before(random, last), amount, items))
            last += random.uniform(240, 380)
    rows.sort(key=lambda row: (row[4], row[0]))
    for at, (customer, plate, site, kind, when, amount, items) in enumerate(rows, start=1):
        yield {
            "key": f"v-{at:05d}", "customer_key": customer, "site": site, "kind": kind, "at": when.isoformat(),
            "amount": f"{amount}.00", "currency": "CNY", "items": items, "asset_key": plate,
        }  # fmt: skip


def _orders(random: Random, cars: list[Car]) -> Iterator[dict[str, object]]:
    """Work orders that are open now, and a few that were closed lately."""
    owners = {car.owner.key: car.owner for car in cars}
    names = {site["key"]: site["name_en"] for site in SITES}
    for number, customer, status, placed, expected, items, amount, store in ORDERS:
        owner = owners[customer]
        yield {
            "order_number": number, "name": owner.name, "phone": owner.phone, "status": status,
            "placed_at": f"2026-{placed}:00+08:00", "expected_at": f"2026-{expected}:00+08:00", "items": items,
            "amount": f"{amount}.00", "currency": "CNY", "store": store,
        }  # fmt: skip
    for at, car in enumerate(random.sample([car for car in cars if car.owner.key not in CARS], 45)):
        placed_at = before(random, random.uniform(1, 25))
        kind, items, least, _ = random.choice(WORK)
        is_done = placed_at < TODAY - timedelta(days=6)
        yield {
            "order_number": f"WO-{20500 + at}", "name": car.owner.name, "phone": car.owner.phone,
            "status": "completed" if is_done else random.choice(("repairing", "checking", "waiting_parts", "ready")),
            "placed_at": placed_at.isoformat(),
            "expected_at": (placed_at + timedelta(days=2 if kind == "bodywork" else 1)).isoformat(),
            "items": f"{car.plate} {items}", "amount": f"{least}.00", "currency": "CNY", "store": names[car.site],
        }  # fmt: skip


def _dues(random: Random, cars: list[Car]) -> Iterator[dict[str, object]]:
    """Insurance to renew within two months, and instalments of larger repairs."""
    for at, car in enumerate(cars, start=1):
        anniversary = car.since.replace(year=2026, day=min(car.since.day, 28))
        if TODAY < anniversary < TODAY + timedelta(days=60):
            yield {
                "key": f"d-{at:04d}", "customer_key": car.owner.key, "kind": "insurance",
                "amount": f"{random.randrange(2600, 5200, 50)}.00", "currency": "CNY",
                "due_on": f"{anniversary:%Y-%m-%d}", "paid_on": "", "asset_key": car.plate,
            }  # fmt: skip
        elif random.random() < 0.1:
            due = TODAY + timedelta(days=random.randint(-40, 25))
            is_paid = due < TODAY and car.owner.credit_class in "AB"
            yield {
                "key": f"d-{at:04d}", "customer_key": car.owner.key, "kind": "instalment",
                "amount": f"{random.randrange(400, 1500, 50)}.00", "currency": "CNY", "due_on": f"{due:%Y-%m-%d}",
                "paid_on": f"{due:%Y-%m-%d}" if is_paid else "", "asset_key": car.plate,
            }  # fmt: skip


if __name__ == "__main__":
    main(folder_from_command_line(__doc__ or ""))
