"""A desk with two assistants: each case goes by the rules of the one that answers where it came from."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select, update

from bot.assistant import Assistant
from bot.errors import InputError, NotFound
from bot.service.policy import desk_policy, read_policy
from bot.types import OpenCase
from crm_sync.accounts import accounts_of
from crm_sync.clocks import begin
from crm_sync.merging import merge
from crm_sync.numbers import written
from crm_sync.service_tables import clocks, sites, timers
from crm_sync.store import SqlStore
from crm_sync.tables import cases, conversations, staff_users, tasks
from desk.actors import Actor, actor_of
from desk.case_opening import CaseOpening, NewCase
from desk.cases import CaseDesk
from desk.compensation import CompensationDesk
from desk.policies import PolicyDesk, what_if
from desk.site_offers import SiteOffers
from desk.surveys import CLOSE_CASE
from frontdesk.scheduler import Scheduler
from frontdesk.signals import LocalSignals
from tests.builders import shop
from tests.store_steps import AUDIT_KEYS, START, SetClock, said, take_turn

LI = Actor("li", "operator")
ALWAYS_OPEN = {"timezone": "UTC", "week": {"mon-sun": ["00:00-24:00"]}}


def rules(**sections: Any) -> dict[str, Any]:
    return {"calendars": {"default": ALWAYS_OPEN}, **sections}


SHOP = read_policy(
    rules(
        promises={"first_response": 4, "update": 24, "solution": 48},
        cases={
            "causes": {"defect": {"en": "Defect"}},
            "remedies": {"replaced": {"en": "Replaced"}},
            "compensation": {"currency": "CNY", "limits": {"operator": 100}},
        },
        routing={"teams": {"workshop": {"members": ["li"]}}, "manager": "shop-head"},
    )
)
HOTEL = read_policy(
    rules(
        promises={"first_response": 1, "update": 2, "solution": 6, "ladder": [{"to": "manager", "after_h": 1}]},
        cases={
            "causes": {"noise": {"en": "Noise"}},
            "remedies": {"moved": {"en": "Another room"}},
            "compensation": {"currency": "USD", "limits": {"operator": 90_000}},
            "satisfaction": {"close_after_h": 5},
        },
        routing={"teams": {"night": {"members": ["li"]}}, "manager": "hotel-head"},
    )
)
DESK = desk_policy(SHOP, {("telegram", "hotel"): HOTEL})
IN_SHOP, IN_HOTEL = written(2001), written(2002)


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
async def desk(store_url: str, clock: SetClock) -> Any:
    """One complaint that came from the shop's account, one that came from the hotel's."""
    opened = await SqlStore.open(store_url, clock=clock, audit_keys=AUDIT_KEYS)
    for number, user, account in ((IN_SHOP, "ann", "main"), (IN_HOTEL, "bob", "hotel")):
        policy = DESK.of(("telegram", account))
        effect = OpenCase(number, "complaint", "other", number, 2, "noisy", {}, clocks=policy.clocks_for(2, START))
        await opened.accept([said("it is loud", user=user, channel="telegram", account=account)])
        await take_turn(opened, "sorry", effects=[effect])
    yield opened
    await opened.close()


def at(store: SqlStore, clock: SetClock) -> CaseDesk:
    return CaseDesk(store.database, lambda: DESK, clock)


async def rows(store: SqlStore, statement: Any) -> list[Any]:
    return await store.database.run(lambda conn: list(conn.execute(statement)), read=True)


async def due_in(store: SqlStore, number: str, kind: str) -> timedelta:
    """From the beginning to when the running promise of this kind runs out."""
    running = select(clocks.c.started_at, clocks.c.due_at).join(cases, cases.c.id == clocks.c.case_id)
    (row,) = await rows(
        store, running.where(cases.c.number == number, clocks.c.kind == kind, clocks.c.state == "running")
    )
    length: timedelta = row.due_at - row.started_at
    return length


async def test_promises_codes_and_limits_are_those_of_the_assistant_it_came_from(
    desk: SqlStore, clock: SetClock
) -> None:
    staff, money = at(desk, clock), CompensationDesk(desk.database, lambda: DESK, clock)
    for number, hours in ((IN_SHOP, 24), (IN_HOTEL, 2)):
        await staff.progress(LI, number, "we look into it")
        assert await due_in(desk, number, "update") == timedelta(hours=hours)
    assert (await staff.show(LI, IN_HOTEL))["choices"]["causes"] == {"noise": {"en": "Noise"}}
    states = [(await money.offer(LI, number, "refund", 50_000)) for number in (IN_SHOP, IN_HOTEL)]
    assert [(row.state, row.currency) for row in states] == [("proposed", "CNY"), ("approved", "USD")]
    with pytest.raises(NotFound, match="workshop"):
        await staff.assign(LI, IN_HOTEL, team="workshop")
    with pytest.raises(InputError, match="noise"):
        await staff.solve(LI, IN_HOTEL, "another room", cause="defect", remedy="replaced")
    await staff.solve(LI, IN_HOTEL, "another room", cause="noise", remedy="moved")
    await staff.solve(LI, IN_SHOP, "a new one", cause="defect", remedy="replaced")
    planned = {
        row.number: row.at - clock.now()
        for row in await rows(
            desk,
            select(cases.c.number, timers.c.at)
            .join(cases, cases.c.id == timers.c.case_id)
            .where(timers.c.kind == CLOSE_CASE),
        )
    }
    assert planned == {IN_SHOP: timedelta(hours=SHOP.cases.satisfaction.close_after_h), IN_HOTEL: timedelta(hours=5)}


async def test_broken_promises_are_passed_up_by_the_rules_of_where_the_case_came_from(
    desk: SqlStore, clock: SetClock
) -> None:
    scheduler = Scheduler(desk, LocalSignals(), clock, shop, policy=lambda: DESK)
    clock.advance(hours=100)
    await scheduler.settle()
    found = await rows(desk, select(tasks.c.assignee, cases.c.number).join(cases, cases.c.id == tasks.c.case_id))
    assert {row.number: row.assignee for row in found}[IN_HOTEL] == "hotel-head"


async def test_changed_rules_of_one_assistant_move_only_its_own_clocks(desk: SqlStore, clock: SetClock) -> None:
    in_force = [DESK]
    scheduler = Scheduler(desk, LocalSignals(), clock, shop, policy=lambda: in_force[0])
    await scheduler.settle()
    before = {number: await due_in(desk, number, "solution") for number in (IN_SHOP, IN_HOTEL)}
    shorter = read_policy({"calendars": {"default": {"timezone": "UTC", "week": {"mon-sun": ["06:00-09:00"]}}}})
    in_force[0] = desk_policy(SHOP, {("telegram", "hotel"): replace(HOTEL, calendars=shorter.calendars)})
    await scheduler.settle()
    assert await due_in(desk, IN_SHOP, "solution") == before[IN_SHOP]
    assert await due_in(desk, IN_HOTEL, "solution") > before[IN_HOTEL]


async def test_what_if_looks_only_at_cases_that_go_by_the_rules_in_question(desk: SqlStore) -> None:
    now = START + timedelta(days=3)
    strict = read_policy(rules(promises={"first_response": 1}))
    assert (await what_if(desk.database, DESK, strict, days=30, now=now)).cases == 1
    assert (await what_if(desk.database, SHOP, strict, days=30, now=now)).cases == 2, "one assistant has them all"


async def test_a_case_that_staff_open_goes_by_the_conversation_else_by_where_its_customer_first_wrote(
    desk: SqlStore, clock: SetClock
) -> None:
    opening = CaseOpening(desk.database, lambda: DESK, clock)
    bob = (await rows(desk, select(cases.c.customer_id).where(cases.c.number == IN_HOTEL)))[0].customer_id
    row = await opening.open(LI, bob, NewCase("complaint", "rang us: no towels", team="night"))
    assert await due_in(desk, row.number, "solution") == timedelta(hours=6)
    with pytest.raises(NotFound, match="workshop"):
        await opening.open(LI, bob, NewCase("complaint", "no soap", team="workshop"))


async def test_the_account_is_that_of_the_conversation_and_nobodys_without_any(desk: SqlStore) -> None:
    def unit(conn: Connection) -> list[tuple[str, str]]:
        talk, customer = conn.execute(select(conversations.c.id, conversations.c.customer_id)).first() or (0, 0)
        return accounts_of(conn, [(talk, None), (None, customer), (None, 999), (None, None)])

    assert await desk.database.run(unit) == [("telegram", "main"), ("telegram", "main"), ("", ""), ("", "")]


async def test_teams_of_every_assistant_make_somebodys_teams(desk: SqlStore) -> None:
    def unit(conn: Connection) -> frozenset[str]:
        account = {
            "name": "li",
            "role": "operator",
            "password_hash": "x",
            "created_at": START,
            "password_changed_at": START,
        }
        conn.execute(insert(staff_users).values(**account))
        return actor_of(conn, conn.execute(select(staff_users).where(staff_users.c.name == "li")).one(), DESK).teams

    assert await desk.database.run(unit) == {"workshop", "night"}
    assert list(DESK.teams) == ["workshop", "night"]


async def test_promises_that_begin_later_count_in_the_calendar_of_the_site_that_has_the_case(
    desk: SqlStore, clock: SetClock
) -> None:
    station = {"timezone": "UTC", "week": {"mon-fri": ["09:00-17:00"]}}
    policy = read_policy({"calendars": {"default": ALWAYS_OPEN, "station": station}})
    staff = CaseDesk(desk.database, lambda: policy, clock)

    def at_a_site(conn: Connection) -> None:
        site = {"key": "s1", "names": {}, "calendar": "station", "updated_at": START}
        site_id = conn.execute(insert(sites).values(**site)).inserted_primary_key[0]  # type: ignore[index]
        conn.execute(update(cases).values(site_id=site_id))

    await desk.database.run(at_a_site)
    await staff.progress(LI, IN_SHOP, "the station has it")
    await staff.classify(LI, IN_SHOP, severity=3, why="it smokes")
    await staff.solve(
        LI, IN_SHOP, "done", cause=next(iter(policy.cases.causes)), remedy=next(iter(policy.cases.remedies))
    )
    await staff.reopen(LI, IN_SHOP, "it is not")
    running = select(clocks.c.calendar).where(clocks.c.state == "running").join(cases, cases.c.id == clocks.c.case_id)
    found = await rows(desk, running.where(cases.c.number == IN_SHOP))
    assert {row.calendar for row in found} == {"station"}


async def test_rules_of_each_assistant_are_tried_and_put_by_its_name(desk: SqlStore, clock: SetClock) -> None:
    class Both:
        def assistant(self, name: str) -> Assistant:
            known = {"shop": SHOP, "hotel": HOTEL}
            if name not in known:
                raise NotFound(f"there is no assistant {name!r}")
            return replace(shop(), service=known[name])

    library: Any = Both()  # all that is asked of it
    chief, boards = Actor("ada", "admin"), PolicyDesk(desk.database, lambda: DESK, "shop", clock, library)
    document = rules(promises={"first_response": 1})
    for name, count in (("", 1), ("shop", 1), ("hotel", 1)):
        assert (await boards.what_if(chief, document, days=30, assistant=name)).cases == count, name
    assert await boards.put(chief, document, note="", version=0, assistant="hotel") == 1
    assert [len(await boards.history(chief, assistant=name)) for name in ("", "hotel")] == [0, 1]
    with pytest.raises(NotFound):
        await boards.put(chief, document, note="", assistant="nobody")


async def test_a_case_given_to_a_site_goes_on_in_its_hours_with_what_was_left(desk: SqlStore, clock: SetClock) -> None:
    """Over a holiday of the site and the day on which its clocks change; what has run out by then stays so."""
    holiday = {"like": "default", "week": {"mon-sun": ["09:00-17:00"]}, "holidays": ["2027-03-29"]}
    policy = read_policy(
        {"calendars": {"default": ALWAYS_OPEN, "station": holiday}, "promises": {"first_response": 4, "solution": 48}}
    )
    begun = START.replace(year=2027, month=3, day=26, hour=0)
    starts = policy.clocks_for(2, begun)

    def fill(conn: Connection) -> None:
        for key, zone in (("ber", "Europe/Berlin"), ("sha", "Asia/Shanghai")):
            row = {"key": key, "names": {"en": key}, "calendar": "station", "timezone": zone, "updated_at": START}
            conn.execute(insert(sites).values(row))
        begin(conn, starts, begun, case_id=conn.execute(select(cases.c.id).where(cases.c.number == IN_SHOP)).scalar())

    async def promise(kind: str) -> Any:
        mine = select(clocks).where(clocks.c.case_id == 1, clocks.c.kind == kind, clocks.c.state != "stopped")
        return (await rows(desk, mine))[0]

    await desk.database.run(fill)
    clock.at = begun + timedelta(hours=32)  # Saturday, 9 in Berlin: 16 of the 48 hours are left, the answer is late
    late = await promise("first_response")
    offers = SiteOffers(desk.database, lambda: policy, clock, lambda offered: "")
    await offers.offer(LI, IN_SHOP, "ber")
    moved = await promise("solution")
    assert moved.calendar == "station@Europe/Berlin"
    assert moved.due_at == datetime.fromisoformat("2027-03-28T17:00+02:00")  # 8 hours on each day, the next one shorter
    assert await promise("first_response") == late

    clock.at = datetime.fromisoformat("2027-03-28T13:00+02:00")
    await offers.offer(LI, IN_SHOP, "sha")  # where it is 19:00, and Monday is a holiday
    assert (await promise("solution")).due_at == datetime.fromisoformat("2027-03-30T13:00+08:00")
    staff = CaseDesk(desk.database, lambda: policy, clock)
    await staff.ask(LI, IN_SHOP, "which door?")
    await offers.offer(LI, IN_SHOP, "ber")
    clock.at = datetime.fromisoformat("2027-04-01T09:00+02:00")
    await staff.progress(LI, IN_SHOP, "the left one")
    assert (await promise("solution")).due_at == datetime.fromisoformat("2027-04-01T13:00+02:00")
    scheduler = Scheduler(desk, LocalSignals(), clock, shop, policy=lambda: policy)
    clock.at = datetime.fromisoformat("2027-04-01T12:59+02:00")
    await scheduler.settle()
    assert (await promise("solution")).breached_at is None
    clock.advance(minutes=1)
    await scheduler.settle()
    assert (await promise("solution")).breached_at is not None


async def test_a_turn_is_told_where_each_case_came_from_also_after_a_merge(desk: SqlStore) -> None:
    def merged(conn: Connection) -> None:
        ann, bob = conn.execute(select(cases.c.customer_id).order_by(cases.c.id)).scalars()
        merge(conn, ann, bob, evidence="staff", author="li", now=START)

    await desk.database.run(merged)
    await desk.accept([said("how is it", user="ann", channel="telegram", account="main")])
    (claimed,) = await desk.claim("worker", 1)
    came = {case.number: case.account for case in claimed.conversation.customer.cases}
    assert came == {IN_SHOP: ("telegram", "main"), IN_HOTEL: ("telegram", "hotel")}
    talking = replace(shop(), service=SHOP, desk=DESK)
    found = {case.number: talking.rules_of(case) for case in claimed.conversation.customer.cases}
    assert found[IN_HOTEL] is HOTEL
    assert found[IN_SHOP].promises == SHOP.promises
