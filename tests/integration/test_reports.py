"""Reports over a small history everybody can count: what is said, what it is compared with, what lies behind it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select, update

from bot.errors import InputError, NotFound, NotPermitted
from crm_sync.console_tables import report_days
from crm_sync.rows import new_ids
from crm_sync.service_tables import assets, clocks, sites, surveys, visits
from crm_sync.store import SqlStore
from crm_sync.tables import cases, conversations, customers, handoffs, identities, inbox, messages, tasks, turns
from desk.actors import Actor
from desk.report_types import REPORTS, Drill, Report, ReportQuery
from desk.reports import ReportDesk
from tests.store_steps import SetClock

LENA, LI, AUDIT = Actor("lena", "supervisor"), Actor("li", "operator"), Actor("aud", "auditor")
MONDAY = date(2026, 3, 2)
WEEK = ReportQuery(MONDAY, MONDAY + timedelta(days=7))
NOW = datetime(2026, 3, 10, 4, 0, tzinfo=UTC)


def at(day: int, hour: float = 2.0) -> datetime:
    """`day` days after Monday, at this hour of UTC; Shanghai is eight hours ahead."""
    return datetime(2026, 3, 2, tzinfo=UTC) + timedelta(days=day, hours=hour)


@dataclass
class History:
    """Writes what was said, as the store does, with times of its own."""

    store: SqlStore
    desk: ReportDesk
    timezone: list[str]
    talks: dict[str, int] = field(default_factory=dict)

    async def write(self, unit: Any) -> Any:
        return await self.store.database.run(unit)

    async def talk(self, user: str, channel: str = "web") -> int:
        def unit(conn: Connection) -> int:
            customer = conn.execute(insert(customers).values(created_at=at(0))).inserted_primary_key[0]  # type: ignore[index]
            who = {"key": user, "customer_id": customer, "channel": channel, "account": "main", "external_id": user}
            who_id = conn.execute(insert(identities).values(**who, created_at=at(0))).inserted_primary_key[0]  # type: ignore[index]
            row = {
                "key": user, "identity_id": who_id, "customer_id": customer, "channel": channel, "account": "main",
                "chat_id": user, "created_at": at(0),
            }  # fmt: skip
            return int(conn.execute(insert(conversations).values(row)).inserted_primary_key[0])  # type: ignore[index]

        if user not in self.talks:
            self.talks[user] = await self.write(unit)
        return self.talks[user]

    async def asks(
        self, user: str, moment: datetime, *, intent: str = "greet", answer_s: float | None = 2, template: str = "",
        channel: str = "web", parts: int = 1,
    ) -> None:  # fmt: skip
        """The customer says something and the bot answers after so many seconds; None: it does not."""
        talk = await self.talk(user, channel)

        def unit(conn: Connection) -> None:
            (inbox_id,) = new_ids(conn, inbox, 1)
            arrived = {
                "id": inbox_id, "dedupe": f"{user}{moment}", "channel": channel, "account": "main", "state": "done",
                "conversation_id": talk, "kind": "text", "wants_turn": True, "raw": b"", "digest": "",
                "received_at": moment,
            }  # fmt: skip
            conn.execute(insert(inbox), arrived)
            said = {"conversation_id": talk, "kind": "text", "text": "words", "inbox_id": inbox_id}
            conn.execute(insert(messages).values(**said, direction="in", author="customer", at=moment))
            if answer_s is None:
                return
            then = moment + timedelta(seconds=answer_s)
            versions = len(conn.execute(select(turns.c.version).where(turns.c.conversation_id == talk)).all())
            turn = {"inbox_id": inbox_id, "conversation_id": talk, "version": versions, "intent": intent}
            conn.execute(insert(turns).values(**turn, confidence=0.9, duration_ms=1, at=then))
            for _ in range(parts):
                conn.execute(insert(messages).values(**said, direction="out", author="bot", template=template, at=then))

        await self.write(unit)

    async def operator(self, user: str, moment: datetime, by: str) -> None:
        row = {
            "conversation_id": await self.talk(user), "direction": "out", "author": "operator", "kind": "text",
            "text": "hello", "by": by, "at": moment,
        }  # fmt: skip
        await self.write(lambda conn: conn.execute(insert(messages).values(row)) and None)

    async def handoff(self, user: str, moment: datetime, reason: str, **more: Any) -> None:
        row = {
            "conversation_id": await self.talk(user), "reason": reason, "urgency": 2, "fence": 1,
            "requested_at": moment, **more,
        }  # fmt: skip
        await self.write(lambda conn: conn.execute(insert(handoffs).values(row)) and None)

    async def case(self, number: str, opened: datetime, **more: Any) -> int:
        talk = await self.talk("ann")

        def unit(conn: Connection) -> int:
            customer = conn.execute(select(conversations.c.customer_id).where(conversations.c.id == talk)).scalar()
            row = {
                "number": number, "customer_id": customer, "conversation_id": talk, "kind": "complaint",
                "category": "fuel", "subject": number, "severity": 2, "status": "received", "summary": "",
                "details": {}, "is_open": False, "opened_at": opened, "updated_at": opened, **more,
            }  # fmt: skip
            return int(conn.execute(insert(cases).values(row)).inserted_primary_key[0])  # type: ignore[index]

        return int(await self.write(unit))

    async def score(self, case_id: int, score: int | None, moment: datetime, kind: str = "csat") -> None:
        talk = await self.talk("ann")

        def unit(conn: Connection) -> None:
            customer = conn.execute(select(conversations.c.customer_id).where(conversations.c.id == talk)).scalar()
            row = {
                "customer_id": customer, "case_id": case_id, "kind": kind, "reference": f"{case_id}{moment}{kind}",
                "asked_at": moment, "score": score, "answered_at": None if score is None else moment,
            }  # fmt: skip
            conn.execute(insert(surveys).values(row))

        await self.write(unit)

    async def clock(self, case_id: int, kind: str, state: str, started: datetime, **more: Any) -> None:
        row = {
            "case_id": case_id, "kind": kind, "state": state, "calendar": "default", "budget_s": 60,
            "started_at": started, **more,
        }  # fmt: skip
        await self.write(lambda conn: conn.execute(insert(clocks).values(row)) and None)

    async def report(self, name: str, query: ReportQuery = WEEK) -> Report:
        return await self.desk.report(LENA, name, query)

    async def behind(self, drill: Drill | None, query: ReportQuery = WEEK) -> list[Any]:
        assert drill is not None
        found, after = [], ""
        while True:
            page = await self.desk.drill(LENA, query, drill, after=after, limit=2)
            found += page.items
            after = page.next
            if not after:
                return found


def figures(report: Report) -> dict[str, tuple[float | None, float | None]]:
    return {figure.key: (figure.now, figure.before) for figure in report.figures}


@pytest.fixture
async def history(store: SqlStore) -> History:
    timezone = ["Asia/Shanghai"]
    desk = ReportDesk(store.database, SetClock(NOW), lambda: timezone[0])
    return History(store, desk, timezone)


async def test_volume_counts_conversations_and_messages_of_both_times(history: History) -> None:
    await history.asks("ann", at(0), parts=3)
    await history.asks("ann", at(1))
    await history.asks("bob", at(1))
    await history.operator("bob", at(1, 3), "li")
    await history.asks("bob", at(-3))
    await history.asks("eve", at(9))  # after the report's time
    report = await history.report("volume")
    assert figures(report) == {"conversations": (2, 1), "messages_in": (3, 1), "bot_out": (5, 1), "staff_out": (1, 0)}
    assert report.headline["en"] == "Conversations rose from 1 to 2."
    assert report.headline["zh"] == "会话从1上升到2。"
    assert [series.now for series in report.series][:2] == [(1, 2, 0, 0, 0, 0, 0), (1, 2, 0, 0, 0, 0, 0)]
    assert await history.behind(report.figure("conversations").drill) == [history.talks["bob"], history.talks["ann"]]
    assert await history.behind(report.figure("staff_out").drill) == [history.talks["bob"]]


async def test_a_day_is_one_of_the_business_s_zone_and_another_zone_counts_anew(history: History) -> None:
    await history.asks("ann", at(0, 17))  # Tuesday in Shanghai, Monday in London
    assert (await history.report("volume")).series[1].now[:2] == (0, 1)
    history.timezone[0] = "Europe/London"
    assert (await history.report("volume")).series[1].now[:2] == (1, 0)


async def test_counting_goes_on_where_it_stopped_and_counts_nothing_twice(history: History) -> None:
    for day in range(3):
        await history.asks("ann", at(day))
        await history.asks("bob", at(day), answer_s=600)
    assert await history.desk.count_on() == 12
    await history.asks("ann", at(2, 5), parts=2)
    assert await history.desk.count_on() == 3
    assert await history.desk.count_on() == 0
    report = await history.report("volume")
    assert figures(report)["messages_in"] == (7, 0)
    rows = await history.write(lambda conn: conn.execute(select(report_days)).all())
    assert sum(row.bot_out for row in rows) == 8


async def test_what_was_said_just_now_is_counted_when_it_has_settled(history: History) -> None:
    await history.asks("ann", NOW - timedelta(seconds=5), answer_s=0)
    today = ReportQuery(date(2026, 3, 10), date(2026, 3, 11))
    assert figures(await history.report("volume", today))["messages_in"] == (0, 0)
    history.desk._clock.advance(minutes=1)  # type: ignore[attr-defined]
    assert figures(await history.report("volume", today))["messages_in"] == (1, 0)


async def test_first_response_is_the_median_wait_for_the_bot_and_for_a_person(history: History) -> None:
    for user, seconds in (("ann", 2), ("bob", 4), ("eve", 30)):
        await history.asks(user, at(0), answer_s=seconds)
    await history.asks("ann", at(0, 4), answer_s=500)  # not the first of the day
    for user, minutes in (("ann", 5), ("bob", 13)):
        moment = at(0, 3)
        await history.handoff(user, moment, "anger", first_reply_at=moment + timedelta(minutes=minutes))
    await history.handoff("eve", at(-2), "anger", first_reply_at=at(-2) + timedelta(minutes=14))
    await history.handoff("eve", at(1), "anger")
    report = await history.report("first_response")
    assert figures(report) == {"person_s": (540.0, 840.0), "bot_s": (4.0, None)}
    assert report.headline["en"] == "First response of a person improved from 14 to 9 minutes."
    assert report.headline["zh"] == "人工首次响应有所改善，从14变为9分钟。"
    assert report.series[1].now == (4.0, None, None, None, None, None, None)
    assert len(await history.behind(report.figure("person_s").drill)) == 2
    assert len(await history.behind(report.figure("bot_s").drill)) == 3


async def test_containment_is_the_share_nobody_of_staff_had_to_do_with(history: History) -> None:
    for user in ("ann", "bob", "eve", "max"):
        await history.asks(user, at(0))
    await history.operator("bob", at(0, 3), "li")
    await history.handoff("eve", at(0, 3), "anger")
    await history.asks("zoe", at(0), answer_s=None)
    report = await history.report("containment")
    assert figures(report) == {"contained_share": (0.4, None), "contained": (2, 0)}
    talks = history.talks
    assert await history.behind(report.figure("contained").drill) == [talks["max"], talks["ann"]]
    assert await history.behind(report.figure("contained_share").drill) == [talks["zoe"], talks["eve"], talks["bob"]]


async def test_handoffs_are_counted_by_reason_with_the_wait(history: History) -> None:
    for user, reason in (("ann", "anger"), ("bob", "anger"), ("eve", "unclear_twice")):
        await history.asks(user, at(0))
        await history.handoff(user, at(0, 3), reason, operator="li", taken_at=at(0, 3) + timedelta(minutes=2))
    report = await history.report("handoffs")
    assert figures(report) == {"handoffs": (3, 0), "handoff_share": (1.0, None), "wait_s": (120.0, None)}
    assert [(row.key, row.cells["count"].now, row.titles["en"]) for row in report.rows] == [
        ("anger", 2, "Upset customer"),
        ("unclear_twice", 1, "Not understood twice"),
    ]
    assert await history.behind(report.rows[0].drill) == [history.talks["bob"], history.talks["ann"]]


async def test_who_is_handed_over_again_and_again_is_one_conversation_of_all(history: History) -> None:
    for day in range(3):
        await history.asks("ann", at(day))
        await history.handoff("ann", at(day, 3), "anger")
    await history.asks("bob", at(0))
    await history.handoff("tom", at(1), "taken")  # an operator took it, the customer had said nothing that week
    report = await history.report("handoffs")
    assert (report.figure("handoffs").now, report.figure("handoff_share").now) == (4, 0.5)


async def test_a_conversation_of_several_days_is_one_of_its_channel(history: History) -> None:
    for day in range(3):
        await history.asks("ann", at(day))
    await history.asks("tom", at(0), channel="telegram")
    rows = (await history.report("channels")).rows
    assert {row.key: row.cells["conversations"].now for row in rows} == {"web": 1, "telegram": 1}


async def test_intents_and_unanswered_messages_are_counted_once_per_message(history: History) -> None:
    await history.asks("ann", at(0), intent="order_status", parts=3)
    await history.asks("bob", at(0), intent="order_status")
    await history.asks("bob", at(1), intent="faq", template="utter_clarify", parts=2)
    report = await history.report("intents")
    assert [(row.key, row.cells["count"].now) for row in report.rows] == [("order_status", 2), ("faq", 1)]
    assert await history.behind(report.rows[1].drill) == [history.talks["bob"]]
    unanswered = await history.report("unanswered")
    assert figures(unanswered) == {"unclear_share": (pytest.approx(1 / 3), None), "unclear": (1, 0)}
    assert await history.behind(unanswered.figures[0].drill) == [history.talks["bob"]]


async def test_complaints_are_broken_down_and_lead_to_their_numbers(history: History) -> None:
    def unit(conn: Connection) -> int:
        row = {"key": "bd", "names": {}, "updated_at": at(0)}
        return int(conn.execute(insert(sites).values(row)).inserted_primary_key[0])  # type: ignore[index]

    site = await history.write(unit)
    await history.case("A1", at(0), cause="wear", site_id=site, solved_at=at(0, 12))
    await history.case("A2", at(1), cause="wear", category="brakes")
    await history.case("A3", at(-1), solved_at=at(1))
    report = await history.report("complaints")
    assert figures(report)["opened"] == (2, 1)
    assert figures(report)["solved"] == (2, 0)
    assert [row.key for row in report.rows] == ["brakes", "fuel"]
    assert await history.behind(report.figure("opened").drill) == ["A2", "A1"]
    by_cause = await history.report("complaints", ReportQuery(WEEK.since, WEEK.until, by="cause"))
    assert [(row.key, row.cells["count"].now, row.cells["case_s"].now) for row in by_cause.rows][:1] == [
        ("wear", 2, 36000)
    ]
    by_site = await history.report("complaints", ReportQuery(WEEK.since, WEEK.until, by="site"))
    behind = {row.key: await history.behind(row.drill) for row in by_site.rows}
    assert behind == {"": ["A2"], "bd": ["A1"]}
    assert figures(await history.report("resolution"))["case_s"] == (29 * 3600, None)


async def test_causes_that_come_back_are_counted_by_kind_site_and_product_and_lead_to_their_cases(
    history: History,
) -> None:
    def unit(conn: Connection) -> tuple[int, int]:
        row = {"key": "bd", "names": {"zh": "保定路站"}, "updated_at": at(0)}
        site = conn.execute(insert(sites).values(row)).inserted_primary_key
        owner = conn.execute(select(conversations.c.customer_id)).scalars().first()
        asset = {"customer_id": owner, "kind": "vehicle", "key": "A·1", "name": "Wave 3", "updated_at": at(0)}
        return int(site[0]), int(conn.execute(insert(assets).values(asset)).inserted_primary_key[0])  # type: ignore[index]

    await history.talk("ann")
    site, asset = await history.write(unit)
    noise = {"cause": "wear", "category": "brakes", "quality_type": "noise"}
    await history.case("A1", at(0), **noise, site_id=site, reopened=1, score=2)
    await history.case("A2", at(1), **noise, asset_id=asset, score=4)
    await history.case("A3", at(1), **noise, asset_id=asset)
    await history.case("A4", at(1), cause="wear", category="fuel")
    await history.case("A5", at(-1), **noise)

    report = await history.report("causes")
    assert figures(report) == {"repeated": (3, 0), "causes": (1, 0), "reopened": (1, 0)}
    (row,) = report.rows
    assert row.titles["en"] == "wear · brakes / noise"
    assert {key: (cell.now, cell.before) for key, cell in row.cells.items()} == {
        "count": (3, 1),
        "reopened": (1, 0),
        "score": (3.0, None),
    }
    assert await history.behind(row.drill) == ["A3", "A2", "A1"]
    (same,) = (await history.report("causes", ReportQuery(WEEK.since, WEEK.until, by="product"))).rows
    assert same.titles["en"] == "wear · brakes / noise · Wave 3"
    assert await history.behind(same.drill) == ["A3", "A2"]
    await history.case("A6", at(1), **noise, site_id=site)
    elsewhere, there = (await history.report("causes", ReportQuery(WEEK.since, WEEK.until, by="site"))).rows
    assert there.titles["en"] == "wear · brakes / noise · 保定路站", "what has no English name is called as it is"
    assert await history.behind(there.drill) == ["A6", "A1"]
    assert await history.behind(elsewhere.drill) == ["A3", "A2"], "those of no site are counted apart from the site's"
    by_product = await history.report("complaints", ReportQuery(WEEK.since, WEEK.until, by="product"))
    assert {row.key: await history.behind(row.drill) for row in by_product.rows} == {
        "": ["A6", "A4", "A1"],
        "Wave 3": ["A3", "A2"],
    }


async def test_care_says_how_often_each_rule_helped_of_what_it_asked_for_in_these_days(history: History) -> None:
    async def asked(
        rule: str, user: str, moment: datetime, *, came_after_days: float | None, done: bool = True
    ) -> None:
        talk = await history.talk(user)

        def unit(conn: Connection) -> None:
            who = conn.execute(select(conversations.c.customer_id).where(conversations.c.id == talk)).scalar_one()
            ended = {"is_open": False, "done_at": moment, "outcome": "reached"} if done else {"is_open": True}
            row = {
                "customer_id": who, "kind": f"{rule}{moment}", "rule": rule, "summary": "", "details": {},
                "created_at": moment, "updated_at": moment, **ended,
            }  # fmt: skip
            conn.execute(insert(tasks).values(row))
            if came_after_days is not None:
                conn.execute(insert(visits).values(customer_id=who, at=moment + timedelta(days=came_after_days)))

        await history.write(unit)

    await asked("missed", "ann", at(0), came_after_days=29)
    await asked("missed", "bob", at(1), came_after_days=31)
    await asked("missed", "cid", at(1), came_after_days=None, done=False)
    await asked("low", "dan", at(2), came_after_days=None)
    await asked("missed", "eve", at(-3), came_after_days=1)
    report = await history.report("care")
    assert figures(report) == {
        "helped_share": (pytest.approx(1 / 3), 1.0),
        "asked_for": (4, 1),
        "done": (3, 1),
        "helped": (1, 1),
    }
    assert [(row.key, row.cells["asked_for"].now, row.cells["helped_share"].now) for row in report.rows] == [
        ("missed", 3, 0.5),
        ("low", 1, 0.0),
    ]


async def test_promises_kept_and_missed_by_kind(history: History) -> None:
    case = await history.case("A1", at(0))
    late = await history.case("A2", at(0))
    await history.clock(case, "solution", "met", at(0), ended_at=at(1))
    await history.clock(late, "solution", "met", at(0), ended_at=at(1), breached_at=at(0, 3))
    await history.clock(late, "first_response", "running", at(0), due_at=at(0, 5))
    await history.clock(case, "update", "running", at(0), due_at=NOW + timedelta(days=1))
    report = await history.report("promises")
    assert figures(report)["kept_share"] == (pytest.approx(1 / 3), None)
    assert {
        row.key: (row.cells["kept"].now, row.cells["missed"].now, row.cells["running"].now) for row in report.rows
    } == {
        "first_response": (0, 1, 0),
        "solution": (1, 1, 0),
        "update": (0, 0, 1),
    }
    assert await history.behind(Drill("case", "missed", "solution")) == ["A2"]
    assert await history.behind(Drill("case", "kept", "solution")) == ["A1"]


async def test_satisfaction_is_the_mean_with_its_spread_and_the_net_promoters(history: History) -> None:
    for number, score in (("A1", 5), ("A2", 4), ("A3", 1), ("A4", None)):
        await history.score(await history.case(number, at(0)), score, at(1))
    for place, score in enumerate((10, 9, 3)):
        await history.score(await history.case(f"N{place}", at(0)), score, at(2), "nps")
    report = await history.report("csat")
    assert figures(report)["score"] == (pytest.approx(10 / 3), None)
    assert figures(report)["satisfied"] == (pytest.approx(2 / 3), None)
    assert figures(report)["answer_share"] == (0.75, None)
    assert figures(report)["nps"] == (pytest.approx(100 / 3), None)
    assert [row.cells["count"].now for row in report.rows] == [1, 1, 0, 0, 1]
    assert await history.behind(report.rows[4].drill) == ["A3"]


async def test_channels_and_operators_have_a_line_each(history: History) -> None:
    await history.asks("ann", at(0))
    await history.asks("tom", at(0), channel="telegram")
    await history.operator("ann", at(0, 3), "li")
    moment = at(0, 2)
    times = {
        "taken_at": moment,
        "first_reply_at": moment + timedelta(minutes=1),
        "ended_at": moment + timedelta(hours=1),
    }
    await history.handoff("ann", at(0, 2), "anger", operator="li", **times)
    await history.score(await history.case("A1", at(0), owner="li"), 4, at(1))
    channels = await history.report("channels")
    assert {row.key: (row.cells["conversations"].now, row.cells["contained_share"].now) for row in channels.rows} == {
        "web": (1, 0.0),
        "telegram": (1, 1.0),
    }
    (li,) = (await history.report("operators")).rows
    assert {key: cell.now for key, cell in li.cells.items()} == {
        "taken": 1, "replies": 1, "person_s": 60.0, "handle_s": 3600.0, "score": 4.0,
    }  # fmt: skip
    assert await history.behind(li.drill) == [history.talks["ann"]]


@pytest.mark.sql_per_case
@pytest.mark.parametrize("name", REPORTS)
async def test_every_report_can_be_told_of_nothing_and_of_one_channel(history: History, name: str) -> None:
    empty = await history.report(name)
    assert set(empty.headline) == {"zh", "en"}
    assert all(len(series.now) == 7 for series in empty.series)
    await history.asks("ann", at(0))
    await history.asks("tom", at(0), channel="telegram")
    await history.handoff("tom", at(0), "anger", operator="li", taken_at=at(0, 3))
    one = await history.report(name, ReportQuery(WEEK.since, WEEK.until, channel="web"))
    assert all(figure.now in (None, 0, 1, 2.0) for figure in one.figures)


async def test_who_may_see_figures_may_not_always_see_what_lies_behind_them(history: History) -> None:
    with pytest.raises(NotPermitted):
        await history.desk.report(LI, "volume", WEEK)
    assert (await history.desk.report(AUDIT, "volume", WEEK)).name == "volume"
    for drill in (Drill("conversation", "asked"), Drill("case", "opened")):
        with pytest.raises(NotPermitted):
            await history.desk.drill(AUDIT, WEEK, drill)


async def test_what_makes_no_sense_is_refused(history: History) -> None:
    with pytest.raises(NotFound):
        await history.report("weather")
    with pytest.raises(InputError):
        ReportQuery(MONDAY, MONDAY)
    with pytest.raises(InputError):
        ReportQuery(MONDAY, MONDAY + timedelta(days=900))
    for drill in (Drill("conversation", "drop table"), Drill("case", "drop table")):
        with pytest.raises(InputError):
            await history.desk.drill(LENA, WEEK, drill)
    with pytest.raises(InputError):
        await history.desk.drill(LENA, WEEK, Drill("conversation", "asked"), after="nonsense")


async def test_an_edited_message_is_not_another_one(history: History) -> None:
    await history.asks("ann", at(0))
    talk = history.talks["ann"]

    def unit(conn: Connection) -> None:
        first = conn.execute(select(messages.c.id).order_by(messages.c.id)).scalar()
        row = {"conversation_id": talk, "direction": "in", "author": "customer", "kind": "text", "text": "better"}
        conn.execute(insert(messages).values(**row, replaces=first, at=at(0, 3)))
        conn.execute(update(conversations).values(status="closed"))

    await history.write(unit)
    assert figures(await history.report("volume"))["messages_in"] == (1, 0)
