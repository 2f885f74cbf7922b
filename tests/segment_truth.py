"""Segments worked out by hand: random small stores, random definitions, and whom they mean, row by row in Python."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

from sqlalchemy import Connection, Table, insert, select

from bot.reach.segment_fields import ATTRIBUTE, CONSENT, OPERATORS, THINGS, Field, field_named, known_fields
from bot.reach.segments import Condition, Did, Group, Node, Not
from crm_sync.broadcast_tables import (
    audience_lists,
    audience_members,
    broadcast_recipients,
    broadcasts,
    contact_wishes,
)
from crm_sync.service_tables import (
    appointments,
    assets,
    customer_attributes,
    customer_merges,
    customer_tags,
    customer_values,
    dues,
    points,
    sites,
    surveys,
    visits,
)
from crm_sync.tables import cases, consents, conversations, customers, identities, orders
from tests.audience_rows import a_broadcast, a_complaint, a_consent, a_recipient, a_talk, add
from tests.store_steps import START

ATTRIBUTES = {
    "car": "text",
    "mileage": "whole",
    "weight": "number",
    "fleet": "yes_no",
    "birthday": "date",
    "floor": "choice",
}
WORDS = ("", "tyre", "Winter TYRE", "Öl", "油 change", "50%_off", "a\\b")
CHANNELS = ("telegram", "wechat")
TAGS = ("vip", "fleet", "new")
DAY = timedelta(days=1)


# --- a random store ---------------------------------------------------------------------------------------------------


def fill(conn: Connection, random: Random, people: int = 15) -> None:
    """So many customers about whom something or other is known."""
    here = [add(conn, sites, key=key, names={}, updated_at=START) for key in ("north", "south")]
    lists = [add(conn, audience_lists, name=name, kind="upload", created_at=START) for name in ("staff", "guests")]
    sent = [a_broadcast(conn) for _ in range(2)]
    ids = [_somebody(conn, random) for _ in range(people)]
    for person in ids:
        _facts(conn, random, person, lists)
        _things(conn, random, person, here, sent)
    kept, merged = random.sample(ids, 2)
    who = {"kept_customer_id": kept, "merged_customer_id": merged, "evidence": "staff"}
    add(conn, customer_merges, at=START, **who)


def _somebody(conn: Connection, random: Random) -> int:
    person = add(
        conn,
        customers,
        name=random.choice(WORDS),
        phone=random.choice(("", "+8613800000001")),
        phone_is_verified=random.random() < 0.5,
        language=random.choice(("", "zh", "en")),
        credit_class=random.choice(("", "A", "D")),
        created_at=_moment(random) or START,
        erased_at=START if random.random() < 0.1 else None,
    )
    for channel in CHANNELS:
        if random.random() < 0.5:
            last = {"last_message_at": _moment(random), "last_inbound_at": _moment(random)}
            a_talk(conn, person, channel, unreachable_at=_moment(random) if random.random() < 0.3 else None, **last)
        for _ in range(random.choice((0, 0, 1, 2))):
            purpose, until = random.choice(("news", "news", "*")), _moment(random) if random.random() < 0.3 else None
            granted = purpose != "*" and random.random() < 0.7
            a_consent(conn, person, channel, purpose=purpose, granted=granted, at=_moment(random) or START, until=until)
    return person


def _facts(conn: Connection, random: Random, person: int, lists: Sequence[int]) -> None:
    values = {
        "car": random.choice(WORDS[1:]),
        "mileage": random.choice((0, 60_000, 1.5)),
        "weight": random.choice((0, 1.5, "heavy")),
        "fleet": random.random() < 0.5,
        "birthday": random.choice(("1990-02-28", "1992-02-29", "1985-11-22", "1985-11-30")),
        "floor": random.choice(("low", "high")),
    }
    for name, value in values.items():
        if random.random() < 0.6:
            add(conn, customer_attributes, customer_id=person, name=name, value=value, updated_at=START)
    for tag in TAGS:
        if random.random() < 0.3:
            add(conn, customer_tags, customer_id=person, tag=tag, at=START)
    for each in lists:
        if random.random() < 0.3:
            conn.execute(insert(audience_members).values(list_id=each, customer_id=person))
    if random.random() < 0.5:
        off = random.sample(["offers", "events"], random.choice((0, 1, 2)))
        add(conn, contact_wishes, customer_id=person, topics_off=off, updated_at=START)
    if random.random() < 0.7:
        fifths = {name: random.choice((None, 1, 3, 5)) for name in ("recency", "frequency", "monetary")}
        stage = {"value_class": random.choice(("", "A", "B")), "lifecycle": random.choice(("", "new", "lost"))}
        turnover = {"amount_year_minor": random.choice((0, 5_000)), "amount_before_minor": random.choice((0, 9_000))}
        last = _moment(random)
        add(conn, customer_values, customer_id=person, last_at=last, computed_at=START, **fifths, **stage, **turnover)
    for number in range(random.choice((0, 0, 2))):
        change = random.choice((-5, 10))
        add(conn, points, customer_id=person, change=change, reason="x", reference=f"{person}-{number}", at=START)


def _things(conn: Connection, random: Random, person: int, here: Sequence[int], sent: Sequence[int]) -> None:
    def some() -> range:
        return range(random.choice((0, 0, 1, 2)))

    def bought() -> dict[str, Any]:
        amount = {"amount_minor": random.choice((None, 0, 5_000)), "currency": random.choice(("", "CNY"))}
        return {"customer_id": person, "items": random.choice(WORDS), **amount}

    for number in some():
        status = {"number": f"o{person}-{number}", "status": random.choice(("paid", "sent"))}
        add(conn, orders, placed_at=_moment(random), updated_at=START, **bought(), **status)
    for _ in some():
        site = random.choice([None, *here])
        add(conn, visits, at=_moment(random) or START, site_id=site, kind=random.choice(("", "stay")), **bought())
    for _ in some():
        case = a_complaint(conn, person, is_open=random.random() < 0.5, kind=random.choice(("complaint", "request")))
        score = random.choice((None, 1, 5))
        conn.execute(cases.update().where(cases.c.id == case).values(score=score, opened_at=_moment(random) or START))
    for number in some():
        what = {"kind": random.choice(("vehicle", "meter")), "key": f"{person}-{number}"}
        times = {"since": _moment(random), "until": _moment(random), "updated_at": START}
        add(conn, assets, customer_id=person, name=random.choice(WORDS), **what, **times)
    for number in some():
        at = (_moment(random) or START) + timedelta(seconds=number)
        state = {"service": "wash", "state": random.choice(("done", "missed")), "place": person * 10 + number}
        row = {"starts_at": at, "ends_at": at, "created_at": START, "updated_at": START, **state}
        add(conn, appointments, site_id=random.choice(here), customer_id=person, **row)
    for number in some():
        on = (START + timedelta(days=random.choice((-40, -10, 0, 10)))).date().isoformat()
        paid = {"due_on": on, "paid_on": random.choice(("", on)), "replaced_at": random.choice((None, None, START))}
        what = {"key": f"d{person}-{number}", "kind": "water", "amount_minor": 5_000, "currency": "CNY"}
        add(conn, dues, customer_id=person, updated_at=START, **what, **paid)
    for number in some():
        answer = {"answered_at": _moment(random), "score": random.choice((None, 1, 5)), "asked_at": START}
        add(conn, surveys, customer_id=person, kind="csat", reference=f"s{person}-{number}", **answer)
    talk = conn.execute(select(conversations.c.id).where(conversations.c.customer_id == person)).scalars().first()
    for number in some():
        state = {"state": random.choice(("sent", "uncertain", "skipped")), "occasion": str(number)}
        times = {name: _moment(random) for name in ("sent_at", "clicked_at", "replied_at")}
        a_recipient(conn, random.choice(sent), person, talk, **state, **times)


def _moment(random: Random) -> datetime | None:
    days = random.choice((None, -400, -90, -30, -30, -7, 0, 7))
    return None if days is None else START + days * DAY


# --- a random definition ----------------------------------------------------------------------------------------------


def definition(random: Random, depth: int = 3) -> dict[str, Any]:
    """Some definition, at most so many levels deep."""
    kind = random.choice(("field", "field", "did", "all", "any", "not")) if depth else random.choice(("field", "did"))
    if kind == "did":
        return _did(random)
    if kind == "not":
        return {"not": definition(random, depth - 1)}
    if kind != "field":
        return {kind: [definition(random, depth - 1) for _ in range(random.choice((1, 2, 3)))]}
    names = [name for name in known_fields(ATTRIBUTES) if not name.endswith("…")] + ["consent.news"]
    field = field_named(random.choice(names), ATTRIBUTES)
    assert field is not None
    return comparison(random, field)


def _did(random: Random) -> dict[str, Any]:
    thing = random.choice(list(THINGS.values()))
    found: dict[str, Any] = {"did": thing.name}
    if random.random() < 0.3:
        found["within_days"] = random.choice((8, 30, 100))
    if random.random() < 0.7:
        parts = [comparison(random, field) for field in random.sample(list(thing.fields.values()), 2)]
        found["where"] = random.choice(({"all": parts}, {"any": parts}, {"not": parts[0]}, parts[0]))
    if random.random() < 0.4:
        found["times"] = {random.choice(("at_least", "at_most", "is", "is_not", "less_than")): random.choice((0, 1, 2))}
    if thing.has_total and random.random() < 0.4:
        found["total"] = random.choice(({"more_than": 4_999}, {"at_most": 0}, {"between": [1, 6_000]}))
    return found


def comparison(random: Random, field: Field) -> dict[str, Any]:
    """Some operator of the field's kind with some value."""
    operator, takes = random.choice(list(OPERATORS[field.kind].items()))
    one = {
        "text": lambda: random.choice((*WORDS[1:], "T", "zh", "en", "north", "paid", "complaint", "vehicle", "CNY")),
        "choice": lambda: random.choice(field.values or ("low", "high")),
        "set": lambda: random.choice((*CHANNELS, "vip", "VIP", "staff", "offers", "new")),
    }.get(field.kind, lambda: random.choice((0, 1, 2, 3, 5, 5_000, 60_000)))
    value: Any = {
        "flag": lambda: random.random() < 0.5,
        "days": lambda: random.choice((0, 7, 8, 30, 60)),
        "when": lambda: random.choice(("2026-11-22", "2026-10-23", "1990-02-28")),
        "one": one,
        "many": lambda: [one(), one()],
        "pair": lambda: [0, one()],
    }[takes]()
    return {"field": field.name, operator: value}


# --- whom it means ----------------------------------------------------------------------------------------------------


class Truth:
    """Everything in the store, read once, and whom a segment means by it."""

    def __init__(self, conn: Connection, now: datetime) -> None:
        self.now = now
        self._tables = {
            table: [dict(row._mapping) for row in conn.execute(select(table))]
            for table in (
                customers, customer_merges, customer_values, customer_tags, customer_attributes, points, consents,
                conversations, identities, contact_wishes, audience_lists, audience_members, orders, visits, cases,
                assets, appointments, dues, surveys, broadcast_recipients, broadcasts, sites,
            )
        }  # fmt: skip

    def members(self, node: Node) -> set[int]:
        merged = {row["merged_customer_id"] for row in self._tables[customer_merges] if row["undone_at"] is None}
        there = [row for row in self._tables[customers] if row["erased_at"] is None and row["id"] not in merged]
        return {row["id"] for row in there if self._holds(node, row)}

    def _of(self, table: Table, person: int) -> list[dict[str, Any]]:
        return [row for row in self._tables[table] if row["customer_id"] == person]

    def _holds(self, node: Node, person: Mapping[str, Any]) -> bool:
        if isinstance(node, Group):
            return (all if node.how == "all" else any)(self._holds(part, person) for part in node.parts)
        if isinstance(node, Not):
            return not self._holds(node.part, person)
        if isinstance(node, Did):
            found = [row for row in self._rows(node.thing.name, person["id"]) if self._fits(node.where, row)]
            total = sum(row.get("amount") or 0 for row in found)
            enough = bool(found) if node.times is None else self._compared(node.times, len(found))
            return enough and (node.total is None or self._compared(node.total, total))
        if node.field.kind == "set":
            return self._has(node, self._set(node.field.name, person["id"]))
        return self._compared(node, self._value(node.field.name, person))

    def _fits(self, node: Node | None, row: Mapping[str, Any]) -> bool:
        if node is None:
            return True
        if isinstance(node, Group):
            return (all if node.how == "all" else any)(self._fits(part, row) for part in node.parts)
        if isinstance(node, Not):
            return not self._fits(node.part, row)
        assert isinstance(node, Condition)
        return self._compared(node, row[node.field.name])

    def _rows(self, thing: str, person: int) -> list[dict[str, Any]]:
        site = {row["id"]: row["key"] for row in self._tables[sites]}
        if thing == "broadcast":
            mine = {row["id"] for row in self._of(conversations, person)}
            names = {row["id"]: row["name"] for row in self._tables[broadcasts]}
            return [
                {
                    "at": row["sent_at"],
                    "name": names[row["broadcast_id"]],
                    "clicked": row["clicked_at"],
                    "replied": row["replied_at"],
                }
                for row in self._tables[broadcast_recipients]
                if row["conversation_id"] in mine
                and row["sent_at"]
                and row["state"] in ("sending", "sent", "uncertain")
            ]
        table, at = {
            "order": (orders, "placed_at"),
            "visit": (visits, "at"),
            "case": (cases, "opened_at"),
            "asset": (assets, "since"),
            "appointment": (appointments, "starts_at"),
            "due": (dues, "due_on"),
            "survey": (surveys, "answered_at"),
        }[thing]
        rows = [
            {
                **row,
                "at": row[at],
                "amount": row.get("amount_minor"),
                "site": site.get(row.get("site_id")),
                "is_paid": row.get("paid_on") != "",
            }
            for row in self._of(table, person)
        ]
        if thing == "survey":
            rows = [row for row in rows if row["at"] is not None]
        return [row for row in rows if thing != "due" or row["replaced_at"] is None]

    def _value(self, name: str, person: Mapping[str, Any]) -> Any:
        if name.startswith(ATTRIBUTE):
            wanted = name.removeprefix(ATTRIBUTE)
            found = [row["value"] for row in self._of(customer_attributes, person["id"]) if row["name"] == wanted]
            return found[0] if found else None
        if name in ("last_contact", "last_wrote"):
            column = {"last_contact": "last_message_at", "last_wrote": "last_inbound_at"}[name]
            return max((row[column] for row in self._of(conversations, person["id"]) if row[column]), default=None)
        if name == "points":
            return sum(row["change"] for row in self._of(points, person["id"]))
        column = {
            "joined": "created_at",
            "bought_last": "last_at",
            "turnover_year": "amount_year_minor",
            "turnover_before": "amount_before_minor",
        }.get(name, name)
        if column in person:
            return person[column]
        values = self._of(customer_values, person["id"])
        return values[0][column] if values else None

    def _set(self, name: str, person: int) -> set[str]:
        if name == "tag":
            return {row["tag"] for row in self._of(customer_tags, person)}
        if name == "list":
            names = {row["id"]: row["name"] for row in self._tables[audience_lists]}
            return {names[row["list_id"]] for row in self._of(audience_members, person)}
        if name == "channel":
            return {row["channel"] for row in self._of(identities, person) if row["unreachable_at"] is None}
        if name == "topic_off":
            return {topic for row in self._of(contact_wishes, person) for topic in row["topics_off"]}
        return {channel for channel in CHANNELS if self._agrees(person, name.removeprefix(CONSENT), channel)}

    def _agrees(self, person: int, purpose: str, channel: str) -> bool:
        """What was said last of those that hold now."""
        said = [
            (row["at"], row["id"], row["granted"])
            for row in self._of(consents, person)
            if row["channel"] == channel
            and (row["purpose"] == purpose or (row["purpose"] == "*" and not row["granted"]))
            and (row["until"] is None or row["until"] > self.now)
            and (row["at"] <= self.now or not row["granted"])
        ]
        return bool(said) and max(said)[2]

    def _has(self, node: Condition, found: set[str]) -> bool:
        if node.operator == "is_filled":
            return bool(found) is node.value
        wanted = {node.value} if node.operator == "has" else set(node.value)
        if node.field.name == "tag":
            wanted = {each.lower() for each in wanted}
        return bool(found & wanted) is (node.operator != "has_none")

    def _compared(self, node: Condition, value: Any) -> bool:
        operator = node.operator
        if operator in ("is_not", "none_of"):
            same = {"is_not": "is", "none_of": "one_of"}[operator]
            return not self._compared(Condition(node.field, same, node.value), value)
        if operator == "is_filled":
            return (value not in (None, "")) is node.value
        if node.field.kind in ("moment", "day"):
            return value not in (None, "") and self._in_time(node, value)
        if node.field.kind == "yes_no":
            return value is node.value
        if value is None or (isinstance(value, str) and node.field.kind in ("whole", "money", "number")):
            return False
        if operator in ("contains", "starts_with"):
            inside, part = _lowered(value), _lowered(node.value)
            return inside.startswith(part) if operator == "starts_with" else part in inside
        return _SIMPLE[operator](value, node.value)

    def _in_time(self, node: Condition, value: Any) -> bool:
        operator, wanted = node.operator, node.value
        if operator == "anniversary_days":
            days = [(self.now.date() + day * DAY) for day in range(wanted + 1)]
            return any(_has_anniversary(date.fromisoformat(value), day) for day in days)
        now: Any = self.now.date().isoformat() if node.field.kind == "day" else self.now
        if operator in ("after", "before", "is"):
            at = wanted.isoformat() if node.field.kind == "day" else _start_of(wanted)
            return {"after": value >= at, "before": value < at, "is": value == at}[operator]
        back, on = ((self.now - wanted * DAY), (self.now + wanted * DAY))
        if node.field.kind == "day":
            back, on = back.date().isoformat(), on.date().isoformat()  # type: ignore[assignment]  # days as text
        if operator == "next_days":
            return bool(now <= value <= on)
        return bool(back < value <= now) if operator == "within_days" else bool(value <= back)


def _start_of(day: Any) -> datetime:
    return day if isinstance(day, datetime) else datetime(day.year, day.month, day.day, tzinfo=UTC)


def _has_anniversary(born: date, day: date) -> bool:
    if (born.month, born.day) == (2, 29):
        is_leap = (date(day.year, 3, 1) - DAY).day == 29
        return (day.month, day.day) == ((2, 29) if is_leap else (2, 28))
    return (born.month, born.day) == (day.month, day.day)


def _lowered(text: str) -> str:
    return "".join(character.lower() if character.isascii() else character for character in text)


_SIMPLE: dict[str, Callable[[Any, Any], bool]] = {
    "is": lambda value, wanted: bool(value == wanted),
    "one_of": lambda value, wanted: value in wanted,
    "at_least": lambda value, wanted: bool(value >= wanted),
    "at_most": lambda value, wanted: bool(value <= wanted),
    "more_than": lambda value, wanted: bool(value > wanted),
    "less_than": lambda value, wanted: bool(value < wanted),
    "between": lambda value, wanted: bool(wanted[0] <= value <= wanted[1]),
}
