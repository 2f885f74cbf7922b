"""What staff do with cases: who may, what the customer is told of it, and what follows by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, event, select, update

from bot.errors import InputError, NotFound, NotPermitted, RuleError, StaleState
from bot.service.policy import ServicePolicy
from bot.service_types import RecordScore
from bot.types import CustomerId, Need, OpenCase, RequestHandoff, UpdateCase
from crm_sync.case_lists import BoardFilter
from crm_sync.console_tables import staff_notices
from crm_sync.handovers import RELEASE, release_waiting
from crm_sync.service_tables import clocks, compensations, points, surveys
from crm_sync.service_tables import timers as timer_rows
from crm_sync.staff import add_user
from crm_sync.store import SqlStore
from crm_sync.tables import cases, conversations, customers, handoffs, staff_users, timeline
from crm_sync.timers import done, due
from desk.actors import Actor, actor_named
from desk.audit import AuditDesk
from desk.cases import CaseDesk
from desk.compensation import CompensationDesk
from desk.surveys import ask_about_cases, close_cases, plan_survey, send_surveys
from tests.service_assistant import service_assistant
from tests.staff import disable_user
from tests.staff_steps import staff
from tests.store_steps import AUDIT_KEYS, START, SetClock, converse

NUMBER = "C-1024-7"
LI, WANG = Actor("li", "operator"), Actor("wang", "operator")
LEAD, MANAGER = Actor("lena", "lead"), Actor("max", "manager")


@dataclass
class Desk:
    """A store with one open case of Ann's, and the desk on it."""

    store: SqlStore
    clock: SetClock
    policy: ServicePolicy

    def __post_init__(self) -> None:
        self.cases = CaseDesk(self.store.database, lambda: self.policy, self.clock)
        self.money = CompensationDesk(self.store.database, lambda: self.policy, self.clock)

    async def says(self, *effects: Any, user: str = "ann") -> None:
        await converse(self.store, "hi", "ok", effects=effects, user=user)

    async def told(self) -> list[str]:
        """Templates of the notices planned so far, in order."""
        rows = await self.rows(timer_rows)
        return [row.details["notice"]["template"] for row in rows if row.kind == "notice"]

    async def notice(self) -> dict[str, Any]:
        rows = await self.rows(timer_rows)
        found: dict[str, Any] = [row for row in rows if row.kind == "notice"][-1].details["notice"]
        return found

    async def rows(self, table: Any) -> list[Any]:
        return await self.store.database.run(lambda conn: list(conn.execute(select(table).order_by(table.c.id))))

    async def has_credit(self, credit: str) -> None:
        """Ann is of this credit class."""
        put = update(customers).values(credit_class=credit)
        await self.store.database.run(lambda conn: conn.execute(put) and None)

    async def case(self) -> dict[str, Any]:
        return await self.cases.show(LI, NUMBER)

    async def fall_due(self, **length: float) -> None:
        """Time passes and what follows a solution by itself is done."""
        self.clock.advance(**length)

        def unit(conn: Connection) -> None:
            found = due(conn, self.clock.at, 100)
            for kind, work in (
                ("case_satisfaction", ask_about_cases),
                ("case_close", close_cases),
                ("survey", send_surveys),
            ):
                work(conn, [timer for timer in found if timer.kind == kind], self.policy, self.clock.at)
            done(conn, [timer.id for timer in found if timer.kind != "notice"], self.clock.at)

        await self.store.database.run(unit)


@pytest.fixture
async def desk(store_url: str) -> AsyncIterator[Desk]:
    clock = SetClock()
    store = await SqlStore.open(store_url, clock=clock, audit_keys=AUDIT_KEYS)
    policy = service_assistant().service
    found = Desk(store, clock, policy)
    opened = OpenCase(
        NUMBER,
        "complaint",
        "brakes",
        "car",
        2,
        "brakes squeak",
        {},
        team="workshop",
        clocks=policy.clocks_for(2, START),
    )
    await found.says(opened)
    yield found
    await store.close()


async def test_the_whole_way_tells_the_customer_of_each_status_once(desk: Desk) -> None:
    await desk.cases.take(LI, NUMBER)
    await desk.cases.progress(LI, NUMBER, "the pads are ordered")
    await desk.cases.ask(LI, NUMBER, "which model year?")
    await desk.says(UpdateCase(NUMBER, note="2021", status="in_progress"))
    await desk.cases.solve(LI, NUMBER, "new pads", cause="wear", remedy="replaced")
    assert await desk.told() == [
        "utter_notice_assigned",
        "utter_notice_in_progress",
        "utter_notice_waiting_customer",
        "utter_notice_solved",
    ]
    events = [(event["author"], event["by"], event["changes"].get("status")) for event in (await desk.case())["events"]]
    assert events == [
        ("customer", "", None),
        ("operator", "li", "assigned"),
        ("operator", "li", "in_progress"),
        ("operator", "li", "waiting_customer"),
        ("customer", "", "in_progress"),
        ("operator", "li", "solved"),
    ]


async def test_what_staff_change_in_a_case_is_in_the_audit_log_by_names_of_fields(desk: Desk) -> None:
    await desk.cases.take(LI, NUMBER)
    await desk.cases.classify(LI, NUMBER, severity=3, why="they cannot drive")
    await desk.cases.note(LI, NUMBER, "the wife called")
    await desk.cases.solve(LI, NUMBER, "new pads", cause="wear", remedy="replaced")
    await desk.money.offer(LI, NUMBER, "voucher", 5000, "CNY", reason="the wait")
    lines = list(reversed((await AuditDesk(desk.store.database).lines(Actor("ada", "admin"))).items))
    assert [(line.actor, line.action, line.details) for line in lines] == [
        ("li", "case.take", {"fields": ["status", "owner"], "status": "assigned"}),
        ("li", "case.classify", {"fields": ["severity", "note"], "status": "assigned"}),
        ("li", "case.note", {"fields": ["note"], "status": "assigned"}),
        ("li", "case.solve", {"fields": ["status", "cause", "remedy", "note"], "status": "solved"}),
        ("li", "case.offer", {"compensation": 1, "state": "approved"}),
    ]
    assert {line.object for line in lines} == {f"case:{NUMBER}"}


async def test_what_caused_a_case_that_is_over_is_named_by_staff_and_nobody_else_hears_of_it(desk: Desk) -> None:
    with pytest.raises(InputError, match="'magic' is no cause"):
        await desk.cases.explain(LI, NUMBER, cause="magic")
    with pytest.raises(InputError, match="name a cause"):
        await desk.cases.explain(LI, NUMBER)
    await desk.cases.solve(LI, NUMBER, "new pads", cause="wear", remedy="replaced")
    await desk.says(UpdateCase(NUMBER, status="confirmed"))
    told = await desk.told()
    version = (await desk.case())["version"]
    await desk.cases.explain(LI, NUMBER, cause="material", version=version)
    case = await desk.case()
    assert (case["cause"], case["remedy"], case["status"]) == ("material", "replaced", "confirmed")
    assert case["events"][-1]["is_internal"]
    assert await desk.told() == told
    with pytest.raises(StaleState):
        await desk.cases.explain(LI, NUMBER, cause="wear", version=version)


async def test_a_notice_names_number_person_next_step_and_time(desk: Desk) -> None:
    await desk.cases.take(LI, NUMBER)
    notice = await desk.notice()
    assert notice["args"]["number"] == NUMBER
    assert notice["args"]["who"] == "li"
    assert notice["args"]["next_at"] == f"@time:{(await desk.rows(clocks))[0].due_at.isoformat()}"
    await desk.cases.ask(LI, NUMBER, "@zh:which?|@en:x")
    assert (await desk.notice())["args"]["note"] == "@@zh:which?|@en:x"  # words of people are never read as a form
    assert (await desk.notice())["flow"] == "complaint_answer"


async def test_of_two_who_act_at_once_one_is_told_to_look_again(desk: Desk) -> None:
    outcomes = await asyncio.gather(
        desk.cases.take(LI, NUMBER, version=0), desk.cases.take(WANG, NUMBER, version=0), return_exceptions=True
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Row", "StaleState"]
    assert len(await desk.told()) == 1


@pytest.mark.parametrize("role", ["viewer", "marketer", "nobody"])
async def test_who_may_not_work_on_cases_changes_nothing(desk: Desk, role: str) -> None:
    for attempt in (
        desk.cases.take(Actor("x", role), NUMBER),
        desk.cases.note(Actor("x", role), NUMBER, "hm"),
        desk.money.offer(Actor("x", role), NUMBER, "refund", 1),
    ):
        with pytest.raises(NotPermitted):
            await attempt
    assert (await desk.case())["version"] == 0


async def test_an_operator_passes_on_only_what_is_theirs_a_lead_anything(desk: Desk) -> None:
    for name in ("li", "wang"):
        await add_user(desk.store.database, name, "operator")
    await desk.cases.take(LI, NUMBER)
    with pytest.raises(NotPermitted, match="li's"):
        await desk.cases.assign(WANG, NUMBER, owner="wang")
    await desk.cases.assign(LEAD, NUMBER, owner="wang", why="knows the model")
    assert (await desk.case())["owner"] == "wang"
    with pytest.raises(NotFound, match="staff account"):
        await desk.cases.assign(LEAD, NUMBER, owner="ghost")
    with pytest.raises(NotFound, match="team"):
        await desk.cases.assign(LEAD, NUMBER, team="ghosts")
    await desk.cases.assign(LEAD, NUMBER, team="care")
    assert ((await desk.case())["owner"], (await desk.case())["team"]) == ("", "care")


@pytest.mark.parametrize(("cause", "remedy"), [("magic", "replaced"), ("wear", "magic")])
async def test_codes_are_those_of_the_policy(desk: Desk, cause: str, remedy: str) -> None:
    with pytest.raises(InputError, match="magic"):
        await desk.cases.solve(LI, NUMBER, "done", cause=cause, remedy=remedy)


async def test_nothing_is_told_without_words(desk: Desk) -> None:
    with pytest.raises(InputError):
        await desk.cases.progress(LI, NUMBER, "  ")
    assert await desk.told() == []


async def test_notes_and_watching_are_never_told(desk: Desk) -> None:
    await desk.cases.note(LI, NUMBER, "looks staged")
    await desk.cases.watch(WANG, NUMBER)
    await desk.cases.classify(LI, NUMBER, severity=4, why="brakes")
    assert await desk.told() == []
    case = await desk.case()
    assert (case["severity"], case["watchers"]) == (4, ["wang"])
    assert {event["is_internal"] for event in case["events"][1:]} == {True}


async def test_reopening_by_staff_weighs_more_and_promises_anew(desk: Desk) -> None:
    await desk.cases.solve(LI, NUMBER, "done", cause="wear", remedy="replaced")
    await desk.cases.reopen(LI, NUMBER, "he called: it is back")
    case = await desk.case()
    assert (case["status"], case["severity"], case["reopened"]) == ("reopened", 3, 1)
    assert [clock["kind"] for clock in case["clocks"] if clock["state"] == "running"] == [
        "first_response",
        "update",
        "solution",
    ]
    assert (await desk.told())[-1] == "utter_notice_reopened"


async def test_an_update_begins_the_next_promise_of_one(desk: Desk) -> None:
    desk.clock.advance(hours=2)
    await desk.cases.progress(LI, NUMBER, "still at it")
    running = [row for row in await desk.rows(clocks) if row.kind == "update" and row.state == "running"]
    assert [row.started_at for row in running] == [START + timedelta(hours=2)]


async def test_a_step_of_work_takes_few_round_trips(desk: Desk) -> None:
    sent: list[str] = []

    def note(*args: Any) -> None:
        sent.append(args[2])

    await desk.cases.take(LI, NUMBER)  # the audit log has begun
    await desk.store.database.run(lambda conn: event.listen(conn.engine, "before_cursor_execute", note))
    await desk.cases.progress(LI, NUMBER, "the pads are ordered")
    await desk.store.database.run(lambda conn: event.remove(conn.engine, "before_cursor_execute", note))
    # the case with its site's hours, whether its customer is there, clocks ended, history with timeline and the clock
    # that begins, the case, the notice, the end of the audit log, its line
    assert len(sent) <= 8, sent
    ended = {row.kind: row.state for row in await desk.rows(clocks) if row.ended_at is not None}
    assert ended == {"first_response": "met", "update": "stopped"}
    assert (await desk.rows(timeline))[-1].kind == "complaint_in_progress"
    assert (await AuditDesk(desk.store.database).verify(Actor("ada", "admin"))).broken_at is None


async def test_who_waited_for_a_person_because_of_it_waits_no_longer_once_it_is_solved(desk: Desk) -> None:
    await desk.says(RequestHandoff("complaint", urgency=3))

    async def solved() -> str:
        await desk.cases.solve(LI, NUMBER, "the pads were replaced", cause="wear", remedy="replaced")

        def unit(conn: Connection) -> str:
            due_now = [timer for timer in due(conn, desk.clock.at, 100) if timer.kind == RELEASE]
            release_waiting(conn, [timer.case_id or 0 for timer in due_now], desk.clock.at)
            return str(conn.execute(select(conversations.c.owner)).scalar_one())

        return await desk.store.database.run(unit)

    assert (await desk.rows(conversations))[0].owner == "queue"
    assert await solved() == "bot"
    assert [(row.ended_at, row.ended_by) for row in await desk.rows(handoffs)] == [(desk.clock.at, "solved")]


async def test_who_asked_for_a_person_or_has_one_keeps_them_when_the_case_is_solved(desk: Desk) -> None:
    await desk.says(RequestHandoff("customer_asked"))
    number = (await desk.rows(cases))[0].id
    assert await desk.store.database.run(lambda conn: release_waiting(conn, [number], desk.clock.at)) == 0
    assert (await desk.rows(conversations))[0].owner == "queue"


async def test_only_conversations_of_the_same_customer_are_linked(desk: Desk) -> None:
    await desk.says(user="bob")
    anns, bobs = [row.id for row in await desk.rows(conversations)]
    with pytest.raises(RuleError, match="another customer"):
        await desk.cases.link(LI, NUMBER, bobs)
    with pytest.raises(NotFound):
        await desk.cases.link(LI, NUMBER, 999)
    await desk.cases.link(LI, NUMBER, anns)
    assert [talk["id"] for talk in (await desk.case())["conversations"]] == [anns]


async def test_the_board_shows_what_is_late_and_may_be_looked_at_by_all(desk: Desk) -> None:
    (line,) = await desk.cases.board(Actor("v", "viewer"), BoardFilter(team="workshop"))
    assert (line.number, line.is_late, line.due_at) == (NUMBER, False, START + timedelta(hours=4))
    with pytest.raises(NotPermitted):
        await desk.cases.board(Actor("v", "robot"), BoardFilter())


# --- compensation -------------------------------------------------------------------------------------------------


async def test_within_the_limit_it_is_given_and_told(desk: Desk) -> None:
    row = await desk.money.offer(LI, NUMBER, "voucher", 5_000, reason="for the trouble")
    assert (row.state, row.decided_by) == ("approved", "")
    assert await desk.told() == ["utter_notice_compensation"]
    assert (await desk.notice())["args"]["amount"] == "@money:5000:CNY"


async def test_a_limit_is_not_got_round_by_giving_twice(desk: Desk) -> None:
    await desk.money.offer(LI, NUMBER, "voucher", 4_000)
    assert (await desk.money.offer(LI, NUMBER, "voucher", 1_001)).state == "proposed"


async def test_above_the_limit_somebody_of_a_higher_role_decides(desk: Desk) -> None:
    row = await desk.money.offer(LI, NUMBER, "refund", 60_000)
    assert row.state == "proposed"
    assert await desk.told() == []
    with pytest.raises(NotPermitted, match=r"cases\.compensate"):
        await desk.money.decide(WANG, row.id, approve=True)
    with pytest.raises(NotPermitted, match="higher role"):
        await desk.money.decide(LEAD, row.id, approve=True)
    assert (await desk.money.proposed(LEAD))[0]["number"] == NUMBER
    assert (await desk.money.decide(MANAGER, row.id, approve=True)).decided_by == "max"
    with pytest.raises(StaleState, match="by max"):
        await desk.money.decide(MANAGER, row.id, approve=False)
    assert await desk.told() == ["utter_notice_compensation"]


@pytest.mark.parametrize(
    ("credit", "amount", "state"),
    [("A", 7_500, "approved"), ("A", 7_501, "proposed"), ("B", 5_000, "approved"), ("C", 2_501, "proposed")],
)
async def test_a_credit_class_widens_or_narrows_what_is_given_without_asking(
    desk: Desk, credit: str, amount: int, state: str
) -> None:
    await desk.has_credit(credit)
    assert (await desk.money.offer(LI, NUMBER, "voucher", amount)).state == state


async def test_what_the_class_gives_nobody_alone_is_decided_by_a_second_person_within_their_limit(desk: Desk) -> None:
    await desk.has_credit("D")
    row = await desk.money.offer(MANAGER, NUMBER, "voucher", 1)
    assert row.state == "proposed"
    assert (await desk.money.decide(LEAD, row.id, approve=True)).state == "approved"


async def test_who_leads_the_team_is_called_to_decide_and_who_proposed_hears_of_it(desk: Desk) -> None:
    await staff(desk.store, LI, WANG)

    async def called() -> list[tuple[str, str, str]]:
        joined = select(staff_users.c.name, staff_notices.c.kind, staff_notices.c.reference).join_from(
            staff_notices, staff_users, staff_users.c.id == staff_notices.c.user_id
        )
        lines = await desk.store.database.run(lambda conn: conn.execute(joined.order_by(staff_notices.c.id)).all())
        return [(row.name, row.kind, row.reference) for row in lines]

    assert (await desk.money.offer(LI, NUMBER, "voucher", 1)).state == "approved"
    assert await called() == []
    row = await desk.money.offer(LI, NUMBER, "voucher", 20_000)
    assert await called() == [("wang", "compensation_proposed", NUMBER)]
    await desk.money.decide(MANAGER, row.id, approve=False)
    assert (await called())[1:] == [("li", "compensation_decided", NUMBER)]


async def test_nobody_approves_what_they_proposed(desk: Desk) -> None:
    row = await desk.money.offer(MANAGER, NUMBER, "refund", 600_000)
    with pytest.raises(NotPermitted, match="somebody else"):
        await desk.money.decide(MANAGER, row.id, approve=True)


async def test_what_is_refused_is_not_told(desk: Desk) -> None:
    row = await desk.money.offer(LI, NUMBER, "refund", 6_000)
    assert (await desk.money.decide(LEAD, row.id, approve=False, why="was given before")).state == "refused"
    assert await desk.told() == []


async def test_of_two_who_decide_at_once_one_counts(desk: Desk) -> None:
    row = await desk.money.offer(LI, NUMBER, "points", 6_000)
    outcomes = await asyncio.gather(
        desk.money.decide(LEAD, row.id, approve=True),
        desk.money.decide(MANAGER, row.id, approve=True),
        return_exceptions=True,
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Row", "StaleState"]
    assert [row.change for row in await desk.rows(points)] == [6_000]
    assert [row.state for row in await desk.rows(compensations)] == ["approved"]


@pytest.mark.parametrize(("kind", "amount"), [("cash", 1), ("refund", 0), ("refund", -5), ("refund", 10**15)])
async def test_offers_that_make_no_sense_are_refused(desk: Desk, kind: str, amount: int) -> None:
    with pytest.raises(InputError):
        await desk.money.offer(LI, NUMBER, kind, amount)


async def test_an_idea_taken_up_is_rewarded_once(desk: Desk) -> None:
    await desk.says(OpenCase("C-1025-6", "suggestion", "other", "idea", 1, "self-service printer", {}))
    assert [await desk.money.reward(LI, "C-1025-6", amount=50) for _ in range(2)] == [50, 50]
    assert [row.change for row in await desk.rows(points)] == [50]
    with pytest.raises(RuleError, match="no suggestion"):
        await desk.money.reward(LI, NUMBER, amount=50)


# --- after it -----------------------------------------------------------------------------------------------------


async def test_who_has_not_said_anything_is_asked_after_a_day_and_once(desk: Desk) -> None:
    await desk.cases.solve(LI, NUMBER, "done", cause="wear", remedy="replaced")
    await desk.fall_due(hours=24)
    await desk.fall_due(minutes=1)
    assert (await desk.told()).count("utter_satisfaction_intro") == 1
    assert (await desk.notice())["slots"]["survey_reference"] == f"case:{NUMBER}:0"
    await desk.says(RecordScore(f"case:{NUMBER}:0", 4, "fast"))
    await desk.says(RecordScore(f"case:{NUMBER}:0", 1, "changed my mind"))
    await desk.says(RecordScore(f"case:{NUMBER}:0", 1), user="mallory")
    assert [(row.score, row.reason) for row in await desk.rows(surveys)] == [(4, "fast")]
    assert (await desk.case())["score"] == 4


async def test_a_score_nobody_asked_for_is_not_kept(desk: Desk) -> None:
    await desk.says(RecordScore("case:C-1-1:0", 5))
    assert await desk.rows(surveys) == []


async def test_confirming_in_the_chat_asks_at_once_and_not_again(desk: Desk) -> None:
    await desk.cases.solve(LI, NUMBER, "done", cause="wear", remedy="replaced")
    await desk.says(UpdateCase(NUMBER, status="confirmed"))
    assert [row.reference for row in await desk.rows(surveys)] == [f"case:{NUMBER}:0"]
    await desk.fall_due(hours=24)
    assert "utter_satisfaction_intro" not in await desk.told()


async def test_a_customer_reads_what_they_were_told_and_nothing_that_is_for_colleagues(desk: Desk) -> None:
    await desk.cases.take(LI, NUMBER)
    await desk.cases.progress(LI, NUMBER, "the pads are ordered")
    await desk.cases.tell(LI, NUMBER, "they arrive on Friday")
    await desk.cases.note(LI, NUMBER, "he shouts")
    await desk.cases.classify(LI, NUMBER, severity=3, why="a loud one")
    await desk.cases.assign(LI, NUMBER, owner="", team="workshop", why="too much for me")
    await desk.says(UpdateCase(NUMBER, note="please hurry"))
    need, customer = Need("case_events", NUMBER), (await desk.rows(cases))[0].customer_id
    told = (await desk.store.fetch([need], customer))[need]
    assert [news.words for news in told] == ["they arrive on Friday", "the pads are ordered"]
    assert told[0].at == desk.clock.at
    assert await desk.store.fetch([need], CustomerId(customer + 1)) == {need: ()}


async def test_a_reopened_case_is_neither_asked_about_nor_closed_by_an_old_timer(desk: Desk) -> None:
    await desk.cases.solve(LI, NUMBER, "done", cause="wear", remedy="replaced")
    await desk.says(UpdateCase(NUMBER, note="no", status="reopened"))
    await desk.fall_due(days=30)
    assert (await desk.case())["status"] == "reopened"
    assert await desk.rows(surveys) == []


async def test_what_nobody_contests_is_closed_and_said_so(desk: Desk) -> None:
    await desk.cases.solve(LI, NUMBER, "done", cause="wear", remedy="replaced")
    await desk.fall_due(days=8)
    case = await desk.case()
    assert (case["status"], case["is_open"]) == ("confirmed", False)
    assert "utter_notice_confirmed" in await desk.told()
    assert (await desk.rows(cases))[0].closed_at == desk.clock.at


async def test_a_customer_is_asked_about_service_once_per_period_and_not_while_waiting_for_us(desk: Desk) -> None:
    customer = (await desk.rows(cases))[0].customer_id

    async def survey(reference: str) -> None:
        await desk.store.database.run(
            lambda conn: plan_survey(conn, customer, "csat", reference, at=desk.clock.at, now=desk.clock.at) and None
        )
        await desk.fall_due(minutes=1)

    await survey("visit:1")
    assert await desk.rows(surveys) == []
    await desk.cases.withdraw(LI, NUMBER, "he said so on the telephone")
    await survey("visit:2")
    await survey("visit:3")
    assert [row.reference for row in await desk.rows(surveys)] == ["visit:2"]
    desk.clock.advance(days=8)
    await survey("visit:4")
    assert [row.reference for row in await desk.rows(surveys)] == ["visit:2", "visit:4"]


# --- who they are -------------------------------------------------------------------------------------------------


async def test_a_disabled_account_acts_no_more(desk: Desk) -> None:
    await add_user(desk.store.database, "li", "lead")
    assert await actor_named(desk.store.database, "li") == Actor("li", "lead")
    await disable_user(desk.store.database, "li")
    with pytest.raises(NotPermitted):
        await actor_named(desk.store.database, "li")
    with pytest.raises(NotFound):
        await actor_named(desk.store.database, "ghost")
