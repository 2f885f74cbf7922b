"""Whom a segment means: the same people in SQL as row by row in Python; counted, sampled, paged."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Any

import pytest
from sqlalchemy import Connection, select

from bot.reach.segment_fields import OPERATORS, THINGS, field_named, known_fields
from bot.reach.segments import EVERYBODY, read_segment
from crm_sync.segment_sql import count, members, sample
from crm_sync.service_tables import assets
from crm_sync.store import SqlStore
from crm_sync.tables import customers
from tests import segment_truth
from tests.audience_rows import a_person, add
from tests.segment_truth import ATTRIBUTES, Truth, definition
from tests.store_steps import START


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_segment_means_the_same_people_in_sql_as_by_hand(store: SqlStore, seed: int) -> None:
    random = Random(seed)

    def unit(conn: Connection) -> None:
        segment_truth.fill(conn, random)
        truth, sizes = Truth(conn, START), set()
        for _ in range(80):
            wanted = definition(random)
            segment = read_segment(wanted, ATTRIBUTES)
            found = {row.id for row in conn.execute(members(segment, START))}
            assert found == truth.members(segment), wanted
            sizes.add(len(found))
        assert len(sizes) > 8  # not always nobody, or everybody

    await store.database.run(unit)


async def test_every_field_and_operator_has_its_sql(store: SqlStore) -> None:
    random = Random(3)

    def unit(conn: Connection) -> None:
        segment_truth.fill(conn, random)
        truth = Truth(conn, START)
        fields = [field_named(name, ATTRIBUTES) for name in known_fields(ATTRIBUTES)]
        asked = [({}, field) for field in fields if field is not None and "…" not in field.name]
        asked += [({"did": thing.name}, field) for thing in THINGS.values() for field in thing.fields.values()]
        for thing, field in asked:
            conditions = [segment_truth.comparison(_Always(name), field) for name in OPERATORS[field.kind]]
            wanted = [{**thing, "where": condition} if thing else condition for condition in conditions]
            read = [read_segment(each, ATTRIBUTES) for each in wanted]
            # All operators of a field in one statement, which takes a fifth of the time of one for each.
            holds = [customers.c.id.in_(members(segment, START)).label(f"c{n}") for n, segment in enumerate(read)]
            rows = conn.execute(select(customers.c.id, *holds)).all()
            for n, segment in enumerate(read):
                assert {row.id for row in rows if row[n + 1]} == truth.members(segment), wanted[n]

    await store.database.run(unit)


class _Always(Random):
    """Chooses one operator, and anything else at random."""

    def __init__(self, operator: str) -> None:
        super().__init__(operator)
        self._operator = operator

    def choice(self, seq):  # type: ignore[no-untyped-def]  # of any kind
        named = [item for item in seq if isinstance(item, tuple) and item[0] == self._operator]
        return named[0] if named else super().choice(seq)


async def test_a_segment_is_counted_sampled_and_paged(store: SqlStore) -> None:
    def unit(conn: Connection) -> None:
        ids = [a_person(conn, language="zh" if number % 2 else "en") for number in range(20)]
        chinese = read_segment({"field": "language", "is": "zh"}, {})
        assert (count(conn, EVERYBODY, START), count(conn, chinese, START)) == (20, 10)
        assert sample(conn, chinese, START, 3) == ids[1:7:2]
        assert sample(conn, chinese, START, 4, start=0.8) == [ids[17], ids[19], ids[1], ids[3]]
        page = members(chinese, START).where(customers.c.id > ids[9]).order_by(customers.c.id).limit(2)
        assert list(conn.execute(page).scalars()) == [ids[11], ids[13]]
        assert conn.execute(select(customers.c.id).where(customers.c.id.in_(members(chinese, START)))).all()

    await store.database.run(unit)


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ({"field": "attribute.mileage", "at_least": 60000}, "a"),
        ({"field": "attribute.colour", "is": "蓝"}, "ab"),
        ({"field": "attribute.colour", "is_not": "蓝"}, "c"),
        ({"field": "attribute.colour", "one_of": ["red", "blue"]}, "c"),
        ({"field": "attribute.colour", "contains": "RE"}, "c"),
        ({"field": "attribute.inspected", "within_days": 30}, "a"),
        ({"field": "attribute.inspected", "is_filled": False}, "bc"),
        ({"all": [{"field": "kind", "is": "vehicle"}, {"field": "attribute.mileage", "less_than": 60000}]}, "b"),
    ],
)
async def test_what_is_kept_of_an_asset_can_be_asked(store: SqlStore, condition: dict[str, Any], found: str) -> None:
    cars = {
        "a": {"mileage": 70_000.0, "colour": "蓝", "inspected": (START - timedelta(days=3)).date().isoformat()},
        "b": {"mileage": 10_000.0, "colour": "蓝"},
        "c": {"colour": "red"},
    }

    def unit(conn: Connection) -> None:
        names: dict[int, str] = {}
        for name, kept in cars.items():
            person = a_person(conn, "web")
            names[person] = name
            add(conn, assets, customer_id=person, kind="vehicle", key=name, attributes=kept, updated_at=START)
        segment = read_segment({"did": "asset", "where": condition}, {"mileage": "number", "inspected": "date"})
        rows = conn.execute(members(segment, START)).scalars()
        assert sorted(names[row] for row in rows) == list(found)

    await store.database.run(unit)
