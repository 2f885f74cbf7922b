"""Broadcasts as marketers make them."""

from __future__ import annotations

import asyncio
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from bot.errors import AssistantInvalid, InputError, NotFound, RuleError, StaleState
from bot.reach.preflight import Allowed
from bot.reach.states import BroadcastState as S
from crm_sync import coupons
from crm_sync.broadcast_quotas import use_quotas
from crm_sync.broadcast_tables import audience_lists, contact_wishes
from crm_sync.service_tables import customer_tags
from crm_sync.store import SqlStore
from crm_sync.tables import cases, customers, messages
from desk.broadcast_preflight import Decisions, PreflightDesk
from desk.broadcasts import BroadcastDesk
from tests.broadcast_steps import BO, DOCUMENT, MIA, agreed, decisions
from tests.staff_steps import an_outside
from tests.store_steps import START, SetClock


def desk(
    store: SqlStore, decided: Decisions | None = None, clock: SetClock | None = None, **alive: Any
) -> BroadcastDesk:
    outside = an_outside(clock or SetClock())
    found = decided or decisions()
    return BroadcastDesk(
        store.database, outside, PreflightDesk(store.database, outside, lambda: found, **alive), lambda: found
    )


def document(**changes: Any) -> dict[str, Any]:
    return {**deepcopy(dict(DOCUMENT)), **changes}


def content(text: str, **more: Any) -> dict[str, Any]:
    return {"variants": [{"name": "a", "text": {"en": text}}], "fallbacks": {"name": {"en": "you"}}, **more}


def mass(text: str = "Half price", links: Any = None, **piece: Any) -> dict[str, Any]:
    return {"variants": [{"name": "a", "kind": "mass", "text": {"en": text}, **piece}], "links": links or {}}


# --- pre-flight -----------------------------------------------------------------------------------------------------


async def test_preflight_says_how_many_and_why_not(store: SqlStore) -> None:
    who = await agreed(store, 4)
    case = {"number": "C-1", "customer_id": who[0], "kind": "complaint", "category": "x", "subject": "", "severity": 1}
    opened = {
        "status": "received",
        "summary": "",
        "details": {},
        "is_open": True,
        "opened_at": START,
        "updated_at": START,
    }
    await store.database.run(lambda conn: conn.execute(insert(cases).values(**case, **opened)) and None)
    broadcasts = desk(store)
    await broadcasts.create(MIA, document())
    looked = await broadcasts.preflight(MIA, "winter")
    assert (looked.counted.reached, looked.counted.skipped) == ({("telegram", "main"): 3}, {"open_case": 1})
    assert looked.takes == timedelta(seconds=3 * 0.9 / 30)
    assert looked.may_start
    assert {problem.code for problem in looked.problems} == {"small_holdout"}


@pytest.mark.parametrize(
    ("until", "reached", "skipped", "asleep"),
    [(None, 4, {}, 3), ("2026-11-23 08:00", 1, {"quiet_hours": 3}, 0), ("2026-11-23 09:30", 3, {"quiet_hours": 1}, 2)],
)
async def test_preflight_counts_whom_quiet_hours_hold_up_and_whom_they_keep_out(
    store: SqlStore, until: str | None, reached: int, skipped: dict[str, int], asleep: int
) -> None:
    who = await agreed(store, 4)
    zones = {who[0]: "Asia/Shanghai", who[1]: "Europe/Berlin"}  # the others: the business's

    def wishes(conn: Any) -> None:
        for customer, zone in zones.items():
            conn.execute(update(customers).where(customers.c.id == customer).values(timezone=zone))
        hours = {"quiet_from": "00:00", "quiet_until": "10:00", "updated_at": START}
        conn.execute(insert(contact_wishes).values(customer_id=who[2], **hours))

    await store.database.run(wishes)
    broadcasts = desk(store, clock=SetClock(datetime(2026, 11, 22, 16, 30, tzinfo=UTC)))  # half past midnight there
    plan = {"quiet": ["21:00", "09:00"], **({"until": until} if until else {})}
    await broadcasts.create(MIA, document(plan=plan))
    counted = (await broadcasts.preflight(MIA, "winter")).counted
    assert (sum(counted.reached.values()), counted.skipped, counted.asleep) == (reached, skipped, asleep)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"audience": {"list": "strangers"}}, "no_such_audience"),
        ({"audience": {"segment": "nobody"}}, "no_such_audience"),
        ({"audience": {"list": "regulars", "exclude": ["staff"]}}, "no_such_audience"),
        ({"channels": ["wechat"]}, "no_such_channel"),
        ({"purpose": "news"}, "nobody_reached"),
        ({"content": content("Hi {nmae}", fallbacks={"nmae": {"en": "you"}})}, "unknown_variable"),
        ({"content": content("Code {coupon}", coupons="spring")}, "no_such_pool"),
        ({"content": content("Code {coupon}", coupons="winter")}, "too_few_coupons"),
        ({"content": content("Code {coupon}", coupons="autumn")}, "coupons_over"),
        ({"content": content("x" * 2001)}, "too_long"),
        ({"content": mass(image="https://shop.example/a.jpg")}, "mass_is_plain"),
        ({"content": mass("See {link_a}", links={"a": "https://shop.example"})}, "mass_is_plain"),
        ({"plan": {"at": "2026-11-01 10:00"}}, "time_passed"),
        ({"plan": {"until": "2026-11-01 10:00"}}, "time_passed"),
    ],
)
async def test_what_would_go_wrong_is_said_before_and_nothing_starts(
    store: SqlStore, changes: dict[str, Any], code: str
) -> None:
    await agreed(store, 2)

    def pools(conn: Any) -> None:
        coupons.add(conn, coupons.create(conn, "winter", {}, by="mia", now=START).id, ["A"])
        over = coupons.create(conn, "autumn", {"valid_until": START}, by="mia", now=START)
        coupons.add(conn, over.id, ["A", "B"])

    await store.database.run(pools)
    broadcasts = desk(store)
    await broadcasts.create(MIA, document(**changes))
    looked = await broadcasts.preflight(MIA, "winter")
    assert code in {problem.code for problem in looked.problems if problem.is_blocking}
    with pytest.raises(InputError, match=code.replace("_", " ")):
        await broadcasts.start(MIA, "winter")
    assert (await broadcasts.status(MIA, "winter")).state is S.DRAFT


async def test_what_events_trigger_starts_with_fewer_coupons_than_there_are_people(store: SqlStore) -> None:
    await agreed(store, 2)
    await store.database.run(
        lambda conn: coupons.add(conn, coupons.create(conn, "winter", {}, by="mia", now=START).id, ["A"])
    )
    broadcasts = desk(store)
    words = content("Code {coupon}", coupons="winter")
    await broadcasts.create(MIA, document(content=words, plan={"on": {"event": "birthday"}}))
    looked = await broadcasts.preflight(MIA, "winter")
    assert ("too_few_coupons", False) in [(each.code, each.is_blocking) for each in looked.problems]
    assert looked.may_start


async def test_a_misspelt_variable_names_the_one_that_was_meant(store: SqlStore) -> None:
    await agreed(store, 1)
    broadcasts = desk(store, decisions(variables=["city"]))
    body = content("{cty} {city}", fallbacks={name: {"en": "you"} for name in ("cty", "city")})
    await broadcasts.create(MIA, document(content=body))
    (problem,) = [each for each in (await broadcasts.preflight(MIA, "winter")).problems if each.is_blocking]
    assert dict(problem.details) == {"variable": "cty", "nearest": "city"}


async def test_a_mass_send_with_names_in_it_is_worth_knowing(store: SqlStore) -> None:
    await agreed(store, 2)
    broadcasts = desk(store, decisions(kinds={("telegram", "main"): ("mass:tag",)}))
    await broadcasts.create(MIA, document(content={**mass("Dear {name}"), "fallbacks": {"name": {"en": "you"}}}))

    looked = await broadcasts.preflight(MIA, "winter")

    assert "mass_in_groups" in {problem.code for problem in looked.problems}
    assert looked.may_start


@pytest.mark.parametrize(
    ("piece", "kinds", "wrong"),
    [
        ({}, ("mass:tag",), ""),  # as the account can
        ({"by": "tag"}, ("mass:tag",), ""),
        ({"by": "list"}, ("mass:tag",), "mass:list"),  # a subscription account names nobody
        ({}, ("subscribe",), "mass"),
        ({"kind": "template", "template": "t1"}, ("subscribe", "mass:tag"), "template"),
        ({"kind": ""}, (), ""),  # not verified: whoever could be reached otherwise has no open window
    ],
)
async def test_what_the_account_may_not_send_is_said_before(
    store: SqlStore, piece: dict[str, Any], kinds: tuple[str, ...], wrong: str
) -> None:
    await agreed(store, 2)
    broadcasts = desk(store, decisions(kinds={("telegram", "main"): kinds}))
    await broadcasts.create(MIA, document(content=mass(**piece)))
    looked = await broadcasts.preflight(MIA, "winter")
    assert [each.details["kind"] for each in looked.problems if each.code == "kind_not_allowed"] == [wrong] * bool(
        wrong
    )
    assert looked.may_start is not bool(wrong)


async def test_where_one_variant_is_a_mass_send_all_are(store: SqlStore) -> None:
    await agreed(store, 2)
    broadcasts = desk(store, decisions(kinds={("telegram", "main"): ("mass:tag",)}))
    plain = {"name": "b", "text": {"en": "Half price"}}
    await broadcasts.create(MIA, document(content={"variants": [*mass()["variants"], plain]}))
    (problem,) = [each for each in (await broadcasts.preflight(MIA, "winter")).problems if each.is_blocking]
    assert (problem.code, problem.details["variant"]) == ("mass_is_all", "b")


async def test_a_link_that_does_not_answer_is_worth_knowing(store: SqlStore) -> None:
    await agreed(store, 1)

    async def alive(urls: Any) -> dict[str, bool]:
        return {url: "gone" not in url for url in urls}

    broadcasts = desk(store, alive=alive)
    links = {"a": "https://shop.example", "b": "https://gone.example"}
    await broadcasts.create(MIA, document(content=content("{link_a} {link_b}", links=links)))
    looked = await broadcasts.preflight(MIA, "winter")
    assert [each.details for each in looked.problems if each.code == "link_dead"] == [
        {"link": "b", "url": "https://gone.example"}
    ]
    assert looked.may_start


def allowing(*quotas: Allowed) -> Any:
    async def quotas_of(kinds: Any, now: Any) -> list[Allowed]:
        return list(quotas)

    return quotas_of


@pytest.mark.parametrize(
    ("allowed", "left", "may_start"),
    [
        (Allowed("telegram", "main", "push", "2026-11", 500, used=100), 400, True),
        (Allowed("telegram", "main", "push", "2026-11", 500, used=497), 3, False),
        (Allowed("telegram", "main", "template", "2026-11-22", 500, used=500), 0, True),  # the rest waits for tomorrow
        (Allowed("telegram", "main", "mass", "2026-11-22", 1), 0, True),  # used up, as the vendor said
        (Allowed("telegram", "main", "mass", "2026-11", 4, "person"), 4, True),
    ],
)
async def test_what_it_uses_of_the_vendors_quota_is_said_before(
    store: SqlStore, allowed: Allowed, left: int, may_start: bool
) -> None:
    await agreed(store, 10)
    said = ("telegram", "main", "mass", "2026-11-22")
    await store.database.run(lambda conn: use_quotas(conn, {}, [said]))
    other = Allowed("line", "main", "push", "2026-11", 1, used=1)  # nothing of this broadcast goes there
    broadcasts = desk(store, quotas=allowing(allowed, other))
    await broadcasts.create(MIA, document())

    looked = await broadcasts.preflight(MIA, "winter")

    (quota,) = looked.quotas
    assert (quota.needs, quota.left) == (1 if allowed.kind == "mass" else 9, left)
    assert looked.may_start is may_start
    assert ("quota_short" in {problem.code for problem in looked.problems}) is (quota.needs > left)


async def test_who_has_no_open_window_is_counted_before_as_the_sender_would(store: SqlStore) -> None:
    await agreed(store, 2)
    broadcasts = desk(store, decisions(asked={"counting": frozenset({"telegram"})}))
    await broadcasts.create(MIA, document())

    looked = await broadcasts.preflight(MIA, "winter")

    assert looked.counted.skipped == {"out_of_window": 2}


async def test_an_empty_list_starts_nothing(store: SqlStore) -> None:
    row = {"name": "regulars", "kind": "upload", "created_at": START}
    await store.database.run(lambda conn: conn.execute(insert(audience_lists).values(**row)) and None)
    broadcasts = desk(store)
    await broadcasts.create(MIA, document())
    with pytest.raises(InputError, match="nobody"):
        await broadcasts.start(MIA, "winter")


# --- approval, start, control ---------------------------------------------------------------------------------------


async def test_a_big_one_needs_a_second_person(store: SqlStore) -> None:
    await agreed(store, 3)
    broadcasts = desk(store)
    made = await broadcasts.create(MIA, document())
    with pytest.raises(RuleError, match="3 people would get it"):
        await broadcasts.start(MIA, "winter")
    waiting = await broadcasts.ask_approval(MIA, "winter", version=made.version)
    with pytest.raises(RuleError, match="whoever wrote"):
        await broadcasts.approve(MIA, "winter", version=waiting.version)
    await broadcasts.approve(BO, "winter", version=waiting.version)
    started = await broadcasts.start(MIA, "winter")
    assert (started.state, started.next_at) == (S.SCHEDULED, START)


async def test_words_changed_after_the_approval_are_approved_again(store: SqlStore) -> None:
    await agreed(store, 3)
    broadcasts = desk(store)
    await broadcasts.create(MIA, document())
    approved = await broadcasts.approve(BO, "winter", version=0)
    await broadcasts.edit(MIA, "winter", document(title="Other"), version=approved.version)
    with pytest.raises(RuleError, match="second person"):
        await broadcasts.start(MIA, "winter")


async def test_two_who_start_it_at_once_start_it_once(store: SqlStore) -> None:
    await agreed(store, 1)
    broadcasts = desk(store)
    await broadcasts.create(MIA, document())
    done = await asyncio.gather(*(broadcasts.start(who, "winter") for who in (MIA, BO)), return_exceptions=True)
    assert sum(not isinstance(each, Exception) for each in done) == 1
    assert {type(each) for each in done if isinstance(each, Exception)} <= {StaleState, RuleError}


async def test_a_planned_one_starts_at_its_time(store: SqlStore) -> None:
    await agreed(store, 1)
    broadcasts = desk(store)
    await broadcasts.create(MIA, document(plan={"at": "2026-11-23 10:00"}))
    started = await broadcasts.start(MIA, "winter")
    assert started.next_at == START + timedelta(hours=17)  # 02:00 UTC the next day


async def test_pausing_resuming_and_cancelling_say_who(store: SqlStore) -> None:
    await agreed(store, 1)
    broadcasts = desk(store)
    await broadcasts.create(MIA, document())
    await broadcasts.start(MIA, "winter")
    assert (await broadcasts.pause(BO, "winter")).reason == "paused by bo"
    assert (await broadcasts.resume(MIA, "winter")).state is S.SCHEDULED
    assert (await broadcasts.cancel(MIA, "winter")).state is S.CANCELLED
    with pytest.raises(RuleError):
        await broadcasts.resume(MIA, "winter")


# --- writing --------------------------------------------------------------------------------------------------------


async def test_what_cannot_be_read_is_not_kept(store: SqlStore) -> None:
    broadcasts = desk(store)
    with pytest.raises(AssistantInvalid):
        await broadcasts.create(MIA, document(channels=[]))
    with pytest.raises(NotFound):
        await broadcasts.open(MIA, "winter")


async def test_quiet_hours_are_the_business_s_unless_the_plan_names_others(store: SqlStore) -> None:
    broadcasts = desk(store, decisions(quiet=("20:00", "08:00")))
    own = {"quiet": ["22:00", "07:00"]}
    made = [await broadcasts.create(MIA, document()), await broadcasts.create(MIA, document(name="own", plan=own))]
    assert [each.document["plan"]["quiet"] for each in made] == [["20:00", "08:00"], ["22:00", "07:00"]]


async def test_a_broadcast_keeps_its_name(store: SqlStore) -> None:
    broadcasts = desk(store)
    await broadcasts.create(MIA, document())
    with pytest.raises(RuleError, match="keeps its name"):
        await broadcasts.edit(MIA, "winter", document(name="summer"), version=0)


async def test_the_list_is_read_page_by_page(store: SqlStore) -> None:
    broadcasts = desk(store)
    for name in ("a", "b", "c"):
        await broadcasts.create(MIA, document(name=name))
    first = await broadcasts.page(MIA, limit=2)
    second = await broadcasts.page(MIA, cursor=first.next, limit=2)
    assert [row.name for row in (*first.items, *second.items)] == ["c", "b", "a"]
    assert (first.items[0].title, first.items[0].channels, second.next) == ("Winter check", ("telegram",), "")


# --- previews and test sends ----------------------------------------------------------------------------------------


async def test_a_preview_shows_what_one_person_would_see(store: SqlStore) -> None:
    (who,) = await agreed(store, 1)
    shown = await desk(store).previews(MIA, document(), who)
    assert [(each.channel, each.variant, each.parts[0].text) for each in shown] == [
        ("telegram", "a", f"Hello Person {who}")
    ]
    (unknown,) = await desk(store).previews(MIA, document())
    assert unknown.parts[0].text == "Hello customer"
    with pytest.raises(NotFound):
        await desk(store).previews(MIA, document(), 999_999)


async def test_a_test_goes_to_staff_and_to_nobody_else(store: SqlStore) -> None:
    (who,) = await agreed(store, 1)
    broadcasts = desk(store)
    await broadcasts.create(MIA, document())
    with pytest.raises(RuleError, match="tagged"):
        await broadcasts.test(MIA, "winter", "a", who)
    tag = {"customer_id": who, "tag": "test", "at": START}
    await store.database.run(lambda conn: conn.execute(insert(customer_tags).values(**tag)) and None)
    message_id = await broadcasts.test(MIA, "winter", "a", who)
    text = select(messages.c.text).where(messages.c.id == message_id)
    assert await store.database.run(lambda conn: conn.execute(text).scalar(), read=True) == f"Hello Person {who}"
    with pytest.raises(NotFound):
        await broadcasts.test(MIA, "winter", "z", who)
