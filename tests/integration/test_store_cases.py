"""Cases in the store: one at a time changes them, nothing is lost, their clocks follow, lists stay in order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, event, insert, select, update

from bot.errors import CaseNotFound, NotFound, RuleError, StaleState
from bot.service_types import ClockStart
from bot.types import OpenCase, Owner, UpdateCase
from crm_sync import case_lists
from crm_sync.case_lists import BoardFilter, case_view, list_cases
from crm_sync.cases import By, CaseChange, Clockwork, change_case, locked_case, open_case, watch
from crm_sync.erasure import erase_customer
from crm_sync.service_tables import clocks, sites
from crm_sync.store import SqlStore
from crm_sync.subjects import Subject
from crm_sync.tables import case_events, cases, conversations
from tests.store_steps import START, SetClock, converse

NUMBER = "C-1024-7"
# Every hour counts, so that what is expected can be seen.
AROUND = Clockwork(
    spent=lambda row, now: row.used_s + int((now - row.running_since).total_seconds()),
    again=lambda row, now: (
        now + timedelta(seconds=row.budget_s - row.used_s),
        now + timedelta(seconds=row.budget_s - row.used_s),
    ),
)


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[SqlStore]:
    """An open store whose clock stands at START."""
    opened = await SqlStore.open(store_url, clock=SetClock())
    yield opened
    await opened.close()


def _clock(kind: str, hours: float = 4, at: datetime = START) -> ClockStart:
    due = at + timedelta(hours=hours)
    return ClockStart(kind, "always", int(hours * 3600), due, at + timedelta(hours=hours * 0.75))


def _complaint(number: str = NUMBER, *, subject: str = "2391", **more: Any) -> OpenCase:
    given: dict[str, Any] = {"details": {}, "clocks": (_clock("first_response"), _clock("solution", 24)), **more}
    return OpenCase(number, "complaint", "delivery", subject, 2, "parcel late", **given)


async def _with_case(store: SqlStore, *effects: Any, user: str = "ann") -> None:
    await converse(store, "hi", "ok", effects=effects or (_complaint(),), user=user)


async def _change(
    store: SqlStore,
    change: CaseChange,
    *,
    at: datetime = START,
    version: int | None = None,
    author: Any = "operator",
    number: str = NUMBER,
) -> Any:
    def unit(conn: Connection) -> Any:
        case = locked_case(conn, number, version)
        return change_case(conn, case, change, By(author, at, "li"), AROUND)

    return await store.database.run(unit)


async def _run(store: SqlStore, unit: Callable[[Connection], Any]) -> Any:
    return await store.database.run(unit)


async def _states(store: SqlStore) -> dict[str, str]:
    rows = await _run(store, lambda conn: conn.execute(select(clocks).order_by(clocks.c.id)).all())
    return {row.kind: row.state for row in rows}


async def test_an_opened_case_keeps_what_routing_and_promises_decided(store: SqlStore) -> None:
    await _run(
        store,
        lambda conn: conn.execute(insert(sites).values(key="bd", names={"zh": "保定"}, updated_at=START)) and None,
    )
    effect = _complaint(team="care", site="bd", quality_type="late", wish="refund", value_minor=900, policy_version=3)
    await _with_case(store, effect)
    view = await _run(store, lambda conn: case_view(conn, "c1024"))
    assert (view["team"], view["site"], view["quality_type"], view["wish"]) == ("care", "bd", "late", "refund")
    assert (view["value_minor"], view["policy_version"], view["version"]) == (900, 3, 0)
    assert [clock["kind"] for clock in view["clocks"]] == ["first_response", "solution"]
    assert len(view["conversations"]) == 1


async def test_an_asset_of_somebody_else_is_not_linked(store: SqlStore) -> None:
    await _with_case(store, _complaint(asset=4711))
    assert (await _run(store, lambda conn: case_view(conn, NUMBER)))["asset_id"] is None


async def test_of_two_who_change_it_at_once_the_second_is_told(store: SqlStore) -> None:
    await _with_case(store)
    await _change(store, CaseChange(status="assigned", owner="li"), version=0)
    with pytest.raises(StaleState, match="look at it again"):
        await _change(store, CaseChange(status="assigned", owner="wang"), version=0)
    view = await _run(store, lambda conn: case_view(conn, NUMBER))
    assert (view["owner"], view["version"]) == ("li", 1)
    assert [event["kind"] for event in view["events"]] == ["opened", "status"]


async def test_the_customers_own_words_also_make_what_staff_saw_old(store: SqlStore) -> None:
    await _with_case(store)
    await _with_case(store, UpdateCase(NUMBER, note="and it was wet"))
    with pytest.raises(StaleState):
        await _change(store, CaseChange(status="solved"), version=0)


async def test_history_says_who_when_and_why(store: SqlStore) -> None:
    await _with_case(store)
    await _change(store, CaseChange(status="in_progress", note="asked the carrier"), at=START + timedelta(hours=1))
    (event,) = (await _run(store, lambda conn: case_view(conn, NUMBER)))["events"][1:]
    assert (event["author"], event["by"], event["note"], event["at"]) == (
        "operator",
        "li",
        "asked the carrier",
        START + timedelta(hours=1),
    )
    assert event["changes"] == {"status": "in_progress", "was": "received"}


@pytest.mark.parametrize("author", ["operator", "customer", "site"])
async def test_a_status_that_may_not_follow_changes_nothing(store: SqlStore, author: str) -> None:
    await _with_case(store)
    with pytest.raises(RuleError, match="cannot become confirmed"):
        await _change(store, CaseChange(status="confirmed", note="fine"), author=author)
    view = await _run(store, lambda conn: case_view(conn, NUMBER))
    assert (view["status"], len(view["events"])) == ("received", 1)


async def test_a_customer_cannot_confirm_what_nobody_solved_but_the_words_are_kept(store: SqlStore) -> None:
    await _with_case(store)
    await _with_case(store, UpdateCase(NUMBER, note="all fine", status="confirmed"))
    view = await _run(store, lambda conn: case_view(conn, NUMBER))
    assert (view["status"], view["events"][-1]["note"]) == ("received", "all fine")


async def test_the_first_answer_meets_the_first_promise_and_the_solution_the_others(store: SqlStore) -> None:
    await _with_case(store)
    await _change(store, CaseChange(status="assigned", owner="li"))
    assert (await _states(store))["first_response"] == "running"
    row = await _change(store, CaseChange(status="in_progress"), at=START + timedelta(minutes=5))
    assert row.first_response_at == START + timedelta(minutes=5)
    assert await _states(store) == {"first_response": "met", "solution": "running"}
    row = await _change(store, CaseChange(status="solved", cause="delay", remedy="delivered"))
    assert (row.cause, row.remedy, row.solved_at, row.is_open) == ("delay", "delivered", START, True)
    assert await _states(store) == {"first_response": "met", "solution": "met"}


async def test_clocks_stand_still_while_the_customer_is_waited_for(store: SqlStore) -> None:
    await _with_case(store)
    await _change(store, CaseChange(status="waiting_customer", note="which door?"), at=START + timedelta(hours=2))
    (clock,) = [
        row for row in await _run(store, lambda conn: conn.execute(select(clocks)).all()) if row.kind == "solution"
    ]
    assert (clock.state, clock.used_s, clock.due_at, clock.next_at) == ("paused", 7200, None, None)
    await _change(store, CaseChange(status="in_progress"), at=START + timedelta(hours=50))
    (clock,) = [
        row for row in await _run(store, lambda conn: conn.execute(select(clocks)).all()) if row.kind == "solution"
    ]
    assert (clock.state, clock.due_at) == ("running", START + timedelta(hours=72))


async def test_a_customer_who_answers_starts_the_clocks_and_the_scheduler_counts_them(store: SqlStore) -> None:
    await _with_case(store)
    await _change(store, CaseChange(status="waiting_customer"))
    await _with_case(store, UpdateCase(NUMBER, note="the blue one", status="in_progress"))
    rows = await _run(store, lambda conn: conn.execute(select(clocks)).all())
    solution = next(row for row in rows if row.kind == "solution")
    assert (solution.state, solution.due_at, solution.next_at) == ("running", None, solution.running_since)


async def test_a_reopened_case_promises_anew_and_weighs_more(store: SqlStore) -> None:
    await _with_case(store)
    await _change(store, CaseChange(status="solved"))
    await _with_case(
        store, UpdateCase(NUMBER, note="no", severity=3, status="reopened", clocks=(_clock("solution", 8),))
    )
    view = await _run(store, lambda conn: case_view(conn, NUMBER))
    assert (view["status"], view["severity"], view["reopened"], view["solved_at"]) == ("reopened", 3, 1, None)
    assert [(clock["kind"], clock["state"]) for clock in view["clocks"]][-1] == ("solution", "running")


async def test_words_that_weigh_more_bring_the_promise_forward_never_back(store: SqlStore) -> None:
    await _with_case(store)
    sooner = (_clock("first_response", 1), _clock("solution", 99))
    await _with_case(store, UpdateCase(NUMBER, note="it burns", severity=4, clocks=sooner))
    rows = await _run(store, lambda conn: conn.execute(select(clocks).where(clocks.c.state == "running")).all())
    assert {row.kind: row.budget_s for row in rows} == {"first_response": 3600, "solution": 24 * 3600}


async def test_an_internal_note_answers_nobody_and_disturbs_nobody(store: SqlStore) -> None:
    await _with_case(store)
    row = await _change(store, CaseChange(note="looks like fraud", is_internal=True))
    assert (row.version, row.first_response_at) == (0, None)
    events = await _run(store, lambda conn: conn.execute(select(case_events).order_by(case_events.c.id)).all())
    assert [(event.kind, event.is_internal) for event in events] == [("opened", False), ("note", True)]


async def test_watching_is_kept_once_and_ends(store: SqlStore) -> None:
    await _with_case(store)
    for wanted in (True, True, False):
        await _run(
            store, lambda conn, wanted=wanted: watch(conn, locked_case(conn, NUMBER), "wang", wanted=wanted, now=START)
        )
    view = await _run(store, lambda conn: case_view(conn, NUMBER))
    assert view["watchers"] == []
    assert [event["changes"] for event in view["events"][1:]] == [{"watching": True}, {"watching": False}]


async def test_reopening_beside_an_open_one_about_the_same_thing_names_it(store: SqlStore) -> None:
    await _with_case(store)
    await _with_case(store, UpdateCase(NUMBER, status="withdrawn"))
    await _with_case(store, _complaint("C-1025-4"))
    with pytest.raises(RuleError, match="C-1025-4"):
        await _change(store, CaseChange(status="reopened"))


async def test_a_case_that_changed_hands_by_a_merge_is_found_by_its_number(store: SqlStore) -> None:
    await _with_case(store)
    await _with_case(store, _complaint("C-1025-4", subject="lamp"), user="bob")
    anns, bobs = await _run(
        store, lambda conn: conn.execute(select(cases.c.customer_id).order_by(cases.c.id)).scalars().all()
    )
    await _run(
        store,
        lambda conn: conn.execute(update(cases).where(cases.c.customer_id == anns).values(customer_id=bobs)) and None,
    )
    await _change(store, CaseChange(status="in_progress"), version=0)
    await _with_case(store, UpdateCase(NUMBER, note="from the old chat"))  # Ann's chat is not merged: no longer hers
    await _with_case(store, UpdateCase(NUMBER, note="from the new one"), user="bob")
    view = await _run(store, lambda conn: case_view(conn, NUMBER))
    assert [event["note"] for event in view["events"]] == ["parcel late", "", "from the new one"]
    assert view["customer_id"] == bobs


async def test_nothing_is_done_for_a_customer_who_was_erased(store: SqlStore) -> None:
    await _with_case(store)
    customer_id = await _run(store, lambda conn: conn.execute(select(cases.c.customer_id)).scalar_one())
    await erase_customer(store.database, customer_id)
    with pytest.raises(RuleError, match="erased"):
        await _change(store, CaseChange(status="solved"))


@pytest.mark.parametrize("number", ["C-9999-9", "nonsense", ""])
async def test_a_number_there_is_none_of_is_said_so(store: SqlStore, number: str) -> None:
    with pytest.raises(CaseNotFound):
        await _change(store, CaseChange(status="solved"), number=number)


async def test_opening_a_case_takes_few_round_trips(store: SqlStore) -> None:
    sent: list[str] = []

    def opened(conn: Connection) -> None:
        event.listen(conn, "before_cursor_execute", lambda *args: sent.append(args[2]))
        row = conn.execute(select(conversations)).one()
        del sent[:]
        subject = Subject(row.id, row.customer_id, row.identity_id, "web", Owner.BOT, 0, START)
        open_case(conn, _complaint("C-1025-5", subject="kettle", site="bd"), subject)

    await _with_case(store)
    await store.database.run(lambda conn: conn.execute(insert(sites).values(key="bd", names={}, updated_at=START)))
    await store.database.run(opened)
    assert sum(name.startswith("UPDATE") for name in sent) == 0, "nothing of a new case has to be ended first"
    # the site, the case, its history with the timeline, the link and its clocks, the site's task
    assert len(sent) <= 4, sent


@pytest.mark.parametrize("few", [0, 1000])
async def test_late_cases_are_found_whether_they_are_rare_or_many(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(case_lists, "FEW_LATE", few)
    await _with_case(store, _complaint(), _complaint("C-1025-5", subject="kettle", clocks=(_clock("solution", 48),)))

    async def late(hours: float) -> list[str]:
        which = BoardFilter(late_at=START + timedelta(hours=hours))
        return [line.number for line in await store.database.run(lambda conn: list_cases(conn, which), read=True)]

    assert [await late(hours) for hours in (3, 4, 48)] == [[], [NUMBER], ["C-1025-5", NUMBER]]
    await _change(store, CaseChange(status="withdrawn"), author="customer")
    assert await late(48) == ["C-1025-5"]


async def test_pages_of_the_board_hold_each_open_case_once_newest_first(store: SqlStore) -> None:
    for place in range(7):
        await _with_case(store, _complaint(f"C-{place}-0", subject=str(place), team="care" if place % 2 else ""))
    await _with_case(store, UpdateCase("C-3-0", status="withdrawn"))

    def pages(conn: Connection) -> list[str]:
        found, before = [], None
        while lines := list_cases(conn, BoardFilter(), before=before, limit=2):
            found += [line.number for line in lines]
            before = lines[-1].id
        return found

    assert await _run(store, pages) == [f"C-{place}-0" for place in (6, 5, 4, 2, 1, 0)]
    team = await _run(store, lambda conn: list_cases(conn, BoardFilter(team="care")))
    assert [line.number for line in team] == ["C-5-0", "C-1-0"]
    assert team[0].due_at == START + timedelta(hours=4)
    gone = await _run(store, lambda conn: list_cases(conn, BoardFilter(status="withdrawn")))
    assert [line.number for line in gone] == ["C-3-0"]
    assert await _run(store, lambda conn: list_cases(conn, BoardFilter(severity=4, kind="complaint", owner="li"))) == []
    with pytest.raises(NotFound, match="no site"):
        await _run(store, lambda conn: list_cases(conn, BoardFilter(site="nowhere")))


async def test_a_case_is_linked_with_each_conversation_it_was_spoken_about_in(store: SqlStore) -> None:
    await _with_case(store)
    await _with_case(store, UpdateCase(NUMBER, note="more"))
    view = await _run(store, lambda conn: case_view(conn, NUMBER))
    ids = await _run(store, lambda conn: conn.execute(select(conversations.c.id)).scalars().all())
    assert [talk["id"] for talk in view["conversations"]] == ids
