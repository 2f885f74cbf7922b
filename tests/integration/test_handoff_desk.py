"""Taking, passing on and handing back conversations: who may, who wins, and what is left behind for whom."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, event, insert, select, update

from bot.errors import InputError, NotFound, NotPermitted, RuleError, StaleState
from bot.ports import TOPIC_DESK
from bot.service.handoff import HandoffRules, Overflow
from bot.service.policy import ServicePolicy
from bot.service.routing import RoutingRules, Team
from bot.types import Event, ReleaseHandoff, RequestHandoff
from crm_sync import handoffs as rows_of
from crm_sync import presence
from crm_sync.console_tables import handoff_events, staff_notices
from crm_sync.handoffs import Moved
from crm_sync.handovers import passed_on
from crm_sync.invariants import check
from crm_sync.store import SqlStore
from crm_sync.tables import conversations, handoffs, outbox, staff_users
from desk.actors import Actor
from desk.assigning import is_due, step
from desk.audit import AuditDesk
from desk.handoff import HandoffDesk
from frontdesk.scheduler import Scheduler
from tests.builders import shop
from tests.store_steps import AUDIT_KEYS, SetClock, converse, decided, said, send_all

LI, WANG = Actor("li", "operator", frozenset({"care"})), Actor("wang", "operator", frozenset({"care", "workshop"}))
ADMIN = Actor("ada", "admin")
LEAD, VIEWER = Actor("lena", "lead"), Actor("vera", "viewer")
ASKED = RequestHandoff("customer_asked", team="care", priority=10)


class Heard:
    """Signals that are only remembered."""

    def __init__(self) -> None:
        self.said: list[tuple[str, Any]] = []

    def publish(self, topic: str, payload: Any = None) -> None:
        self.said.append((topic, payload))

    def subscribe(self, topic: str) -> Any:
        raise NotImplementedError

    def kinds(self) -> list[str]:
        return [payload.get("kind", "") for topic, payload in self.said if topic == TOPIC_DESK]


@dataclass
class Floor:
    """A store, a clock and the desk, with people who may sign in."""

    store: SqlStore
    clock: SetClock
    policy: ServicePolicy
    store_url: str = ""
    signals: Heard = field(default_factory=Heard)

    def __post_init__(self) -> None:
        flows = frozenset({"order_status"})
        self.desk = HandoffDesk(self.store.database, lambda: self.policy, self.clock, self.signals, flows=lambda: flows)

    async def staff(self, *names: str, **values: Any) -> None:
        common = {"role": "operator", "password_hash": "", "created_at": self.clock.at}
        rows = [{"name": name, **common, "password_changed_at": self.clock.at, **values} for name in names]
        await self.store.database.run(lambda conn: conn.execute(insert(staff_users), rows) and None)

    async def asks(self, user: str = "ann", *, effect: RequestHandoff = ASKED, channel: str = "telegram") -> int:
        """The customer asks for a person and waits; the conversation's id."""
        claimed = await converse(self.store, "a person", "ok", user=user, channel=channel, effects=[effect])
        return claimed.conversation.id

    async def writes(self, user: str = "ann", channel: str = "telegram") -> None:
        """The customer writes, and the bot has nothing to say."""
        await converse(self.store, "hello?", user=user, channel=channel)

    async def now(self, conversation_id: int) -> Any:
        found = select(conversations).where(conversations.c.id == conversation_id)
        return await self.store.database.run(lambda conn: conn.execute(found).one(), read=True)

    async def rows(self, table: Any) -> list[Any]:
        found = select(table).order_by(table.c.id)
        return await self.store.database.run(lambda conn: list(conn.execute(found)), read=True)

    async def history(self) -> list[str]:
        return [row.kind for row in await self.rows(handoff_events)]

    async def step(self) -> list[Moved]:
        """One look of the scheduler; what it sees without writing is what it does."""
        database, policy, now = self.store.database, self.policy, self.clock.at
        expected = await database.run(lambda conn: is_due(conn, policy, now), read=True)
        moved = await database.run(lambda conn: step(conn, policy, now))
        assert bool(moved) == expected
        return moved

    async def answers(self, conversation_id: int) -> None:
        def unit(conn: Connection) -> None:
            rows_of.answered(conn, conversation_id, self.clock.at)

        await self.store.database.run(unit)


def teams() -> RoutingRules:
    return RoutingRules(
        teams={"care": Team("care", members=("li", "wang")), "workshop": Team("workshop", members=("wang",))}
    )


@pytest.fixture
async def floor(store_url: str) -> AsyncIterator[Floor]:
    clock = SetClock()
    store = await SqlStore.open(store_url, clock=clock, audit_keys=AUDIT_KEYS)
    found = Floor(store, clock, ServicePolicy(routing=teams()), store_url)
    await found.staff("li", "wang")
    await found.staff("lena", role="lead")
    yield found
    assert await check(store.database, now=clock.at) == []
    await store.close()


# --- taking -----------------------------------------------------------------------------------------------------------


async def test_whoever_takes_a_waiting_customer_holds_them_with_a_lease_and_a_higher_fence(floor: Floor) -> None:
    chat = await floor.asks()
    waiting = await floor.now(chat)
    assert (waiting.owner, waiting.team, waiting.priority) == ("queue", "care", 10)
    assert waiting.waiting_since == waiting.unanswered_since == floor.clock.at
    moved = await floor.desk.take(LI, chat, fence=waiting.fence)
    taken = await floor.now(chat)
    assert (taken.owner, taken.operator, taken.fence) == ("operator", "li", waiting.fence + 1)
    assert taken.owner_until == moved.until == floor.clock.at + timedelta(minutes=5)
    assert (taken.waiting_since, taken.unanswered_since) == (None, waiting.unanswered_since)
    (handoff,) = await floor.rows(handoffs)
    assert (handoff.operator, handoff.taken_at, handoff.ended_at) == ("li", floor.clock.at, None)
    assert await floor.history() == ["requested", "taken"]
    assert floor.signals.kinds() == ["taken"]


async def test_every_change_of_hands_by_staff_is_in_the_audit_log_without_their_words(floor: Floor) -> None:
    chat = await floor.asks()
    await floor.desk.take(LI, chat)
    await floor.desk.take(LI, chat)  # it is theirs already: nothing happens, and nothing is written
    await floor.desk.transfer(LI, chat, team="workshop", note="knows the brakes")
    await floor.desk.assign(LEAD, chat, "wang", note="please")
    await floor.desk.take(LEAD, chat)
    await floor.desk.hand_back(LEAD, chat, outcome="solved", summary="new pads")
    lines = [line for line in (await AuditDesk(floor.store.database).lines(ADMIN)).items if line.actor != "system"]
    assert [(line.actor, line.action, line.details) for line in reversed(lines)] == [
        ("li", "conversation.take", {"owner": "operator", "fence": 1, "operator": "li", "team": "care"}),
        ("li", "conversation.transfer", {"owner": "queue", "fence": 2, "team": "workshop"}),
        ("lena", "conversation.assign", {"owner": "operator", "fence": 3, "operator": "wang", "team": "workshop"}),
        ("lena", "conversation.pull", {"owner": "operator", "fence": 4, "operator": "lena", "team": "workshop"}),
        ("lena", "conversation.return", {"owner": "bot", "fence": 5, "team": "workshop"}),
    ]
    assert {line.object for line in lines} == {f"conversation:{chat}"}


async def test_of_two_who_take_at_once_exactly_one_wins(floor: Floor) -> None:
    chat = await floor.asks()
    fence = (await floor.now(chat)).fence
    taking = [floor.desk.take(who, chat, fence=fence) for who in (LI, WANG, LI, WANG)]
    ends = await asyncio.gather(*taking, return_exceptions=True)
    assert sum(isinstance(end, StaleState) for end in ends) == 3
    assert await floor.history() == ["requested", "taken"]


async def test_a_colleague_who_comes_late_without_having_looked_is_told_who_has_it(floor: Floor) -> None:
    chat = await floor.asks()
    await floor.desk.take(LI, chat)
    with pytest.raises(StaleState, match="li has this"):
        await floor.desk.take(WANG, chat)


async def test_taking_what_one_holds_changes_nothing(floor: Floor) -> None:
    chat = await floor.asks()
    first = await floor.desk.take(LI, chat)
    assert await floor.desk.take(LI, chat) == first
    assert await floor.history() == ["requested", "taken"]


async def test_a_supervisor_pulls_a_conversation_from_an_operator(floor: Floor) -> None:
    chat = await floor.asks()
    await floor.desk.take(LI, chat)
    moved = await floor.desk.take(LEAD, chat)
    assert moved.operator == "lena"
    assert await floor.history() == ["requested", "taken", "pulled"]


async def test_a_conversation_of_the_bot_is_taken_without_anybody_having_asked(floor: Floor) -> None:
    claimed = await converse(floor.store, "hi", "hello", channel="telegram")
    await floor.desk.take(LI, claimed.conversation.id)
    (handoff,) = await floor.rows(handoffs)
    assert (handoff.reason, handoff.operator) == ("taken", "li")


async def test_who_may_only_look_takes_nothing_and_another_team_s_conversation_is_not_there(floor: Floor) -> None:
    chat = await floor.asks(effect=RequestHandoff("customer_asked", team="workshop"))
    with pytest.raises(NotPermitted):
        await floor.desk.take(VIEWER, chat)
    with pytest.raises(NotFound):
        await floor.desk.take(LI, chat)
    with pytest.raises(NotFound):
        await floor.desk.take(LI, chat + 100)
    assert (await floor.desk.take(WANG, chat)).operator == "wang"


async def test_the_next_one_is_whoever_has_the_most_points_and_minutes(floor: Floor) -> None:
    old = await floor.asks("ann")
    floor.clock.advance(minutes=15)
    urgent = await floor.asks("bob", effect=RequestHandoff("anger", team="care", priority=35))
    newer = await floor.asks("cem")
    taken = [await floor.desk.take_next(LI) for _ in range(4)]
    assert [moved and moved.conversation_id for moved in taken] == [urgent, old, newer, None]


async def test_what_a_vendor_s_people_have_is_not_taken_here(floor: Floor) -> None:
    await floor.store.accept([said(channel="wecom_kf")])
    (claimed,) = await floor.store.claim("worker", 1)
    await floor.store.commit([decided(claimed, direct=False)])
    news = said(Event("owner_changed", {"owner": "operator", "by": "zhang"}), channel="wecom_kf")
    await floor.store.accept([news])
    (turn,) = await floor.store.claim("worker", 1)
    await floor.store.commit([decided(turn, direct=False)])
    there = await floor.now(claimed.conversation.id)
    assert (there.owner, there.operator, there.owner_until) == ("operator", "wecom_kf:zhang", None)
    with pytest.raises(RuleError, match="given back there"):
        await floor.desk.take(LEAD, claimed.conversation.id)


async def test_whoever_was_passed_on_to_a_vendor_s_queue_is_neither_taken_nor_given_out_here(floor: Floor) -> None:
    chat = await floor.asks(channel="wecom_kf")
    (handoff,) = await floor.rows(handoffs)
    await floor.store.database.run(lambda conn: passed_on(conn, handoff.id, floor.clock.at))
    with pytest.raises(RuleError, match="given back there"):
        await floor.desk.take(LEAD, chat)
    assert await floor.desk.take_next(LI) is None


# --- what the bot decided before --------------------------------------------------------------------------------------


async def test_a_reply_decided_before_somebody_took_over_is_dropped_and_never_sent(floor: Floor) -> None:
    chat = await floor.asks()
    await send_all(floor.store)
    await converse(floor.store, "and my order?", "it is on its way", channel="telegram")
    await floor.desk.take(LI, chat)
    assert await send_all(floor.store) == []
    assert [(row.state, row.reason) for row in await floor.rows(outbox)][-1] == ("dropped", "somebody else answers now")


async def test_a_turn_still_being_decided_when_somebody_takes_over_says_nothing(floor: Floor) -> None:
    chat = await floor.asks()
    await send_all(floor.store)
    await floor.store.accept([said("hello?", channel="telegram")])
    (claimed,) = await floor.store.claim("worker", 1)
    await floor.desk.take(LI, chat)
    (committed,) = await floor.store.commit([decided(claimed, "you are next", direct=False)])
    assert committed.ok
    assert committed.desk == "said"
    assert await send_all(floor.store) == []
    assert (await floor.now(chat)).operator == "li"


async def test_a_turn_decided_before_a_take_and_a_return_is_decided_again(floor: Floor) -> None:
    chat = await floor.asks()
    await floor.store.accept([said("hello?", channel="telegram")])
    (claimed,) = await floor.store.claim("worker", 1)
    await floor.desk.take(LI, chat)
    await floor.desk.hand_back(LI, chat)
    (committed,) = await floor.store.commit([decided(claimed, "you are next", direct=False)])
    assert (committed.ok, committed.reason) == (False, "the owner changed")
    floor.clock.advance(seconds=11)
    await converse_waiting(floor, "welcome back")
    assert "welcome back" in await send_all(floor.store)


async def converse_waiting(floor: Floor, reply: str) -> None:
    (claimed,) = await floor.store.claim("worker", 1)
    (committed,) = await floor.store.commit([decided(claimed, reply, direct=False)])
    assert committed.ok, committed.reason


async def test_what_the_bot_told_somebody_in_the_queue_leaves_although_a_lead_moved_them(floor: Floor) -> None:
    chat = await floor.asks()
    await floor.desk.transfer(LEAD, chat, team="workshop")
    assert await send_all(floor.store) == ["ok"]


# --- passing on -------------------------------------------------------------------------------------------------------


async def test_passed_to_a_colleague_with_a_note_they_are_told(floor: Floor) -> None:
    chat = await floor.asks()
    await floor.desk.take(LI, chat)
    moved = await floor.desk.transfer(LI, chat, operator="wang", note="knows the model")
    assert moved.operator == "wang"
    event = (await floor.rows(handoff_events))[-1]
    assert (event.kind, event.by, event.to, event.note) == ("transferred", "li", "wang", "knows the model")
    assert [(row.kind, row.by, row.conversation_id) for row in await floor.rows(staff_notices)] == [
        ("transferred", "li", chat)
    ]


async def test_passed_to_a_team_the_customer_waits_there_since_their_last_unanswered_words(floor: Floor) -> None:
    chat = await floor.asks()
    await floor.desk.take(LI, chat)
    await floor.answers(chat)
    floor.clock.advance(minutes=3)
    await floor.writes()
    asked_at = floor.clock.at
    floor.clock.advance(minutes=2)
    await floor.desk.transfer(LI, chat, team="workshop")
    waiting = await floor.now(chat)
    assert (waiting.owner, waiting.team, waiting.waiting_since) == ("queue", "workshop", asked_at)


async def test_a_transfer_while_the_customer_writes_loses_nothing(floor: Floor) -> None:
    chat = await floor.asks()
    await floor.desk.take(LI, chat)
    await floor.store.accept([said("one more thing", channel="telegram")])
    (claimed,) = await floor.store.claim("worker", 1)
    await floor.desk.transfer(LI, chat, team="workshop")
    (committed,) = await floor.store.commit([decided(claimed, direct=False)])
    assert not committed.ok
    floor.clock.advance(seconds=11)
    await converse_waiting(floor, "you are in the queue")
    now = await floor.now(chat)
    assert (now.owner, now.team, now.dirty_since) == ("queue", "workshop", None)


async def test_of_two_acts_on_what_was_seen_in_the_queue_one_is_stale(floor: Floor) -> None:
    chat = await floor.asks()
    fence = (await floor.now(chat)).fence
    ends = await asyncio.gather(
        floor.desk.transfer(LEAD, chat, team="workshop", fence=fence),
        floor.desk.assign(LEAD, chat, "li", fence=fence),
        return_exceptions=True,
    )
    assert sum(isinstance(end, StaleState) for end in ends) == 1


async def test_what_is_passed_on_needs_one_known_goal_and_is_one_s_own(floor: Floor) -> None:
    chat = await floor.asks()
    with pytest.raises(StaleState, match="take it first"):
        await floor.desk.transfer(LI, chat, team="workshop")
    await floor.desk.take(LI, chat)
    with pytest.raises(InputError):
        await floor.desk.transfer(LI, chat)
    with pytest.raises(NotFound, match="ghost"):
        await floor.desk.transfer(LI, chat, operator="ghost")
    with pytest.raises(NotFound, match="no team"):
        await floor.desk.transfer(LI, chat, team="ghosts")
    with pytest.raises(StaleState):
        await floor.desk.transfer(WANG, chat, team="workshop")
    with pytest.raises(NotPermitted):
        await floor.desk.assign(LI, chat, "wang")


# --- handing back -----------------------------------------------------------------------------------------------------


async def test_handed_back_solved_the_bot_says_so_and_the_summary_is_kept(floor: Floor) -> None:
    chat = await floor.asks()
    await floor.desk.take(LI, chat)
    await floor.desk.hand_back(LI, chat, outcome="solved", summary="sent a new lid")
    now = await floor.now(chat)
    assert (now.owner, now.operator, now.last_operator, now.unanswered_since) == ("bot", "", "li", None)
    (handoff,) = await floor.rows(handoffs)
    assert (handoff.ended_by, handoff.summary, handoff.ended_at) == ("li", "sent a new lid", floor.clock.at)


async def test_handing_back_needs_a_known_outcome_and_flow_and_happens_once(floor: Floor) -> None:
    chat = await floor.asks()
    await floor.desk.take(LI, chat)
    with pytest.raises(InputError):
        await floor.desk.hand_back(LI, chat, outcome="", flow="order_status")
    with pytest.raises(NotFound):
        await floor.desk.hand_back(LI, chat, outcome="continue", flow="nonsense")
    await floor.desk.hand_back(LI, chat, outcome="continue", flow="order_status")
    with pytest.raises(StaleState):
        await floor.desk.hand_back(LI, chat)


async def test_a_customer_who_no_longer_wants_a_person_leaves_no_trace_in_the_queue(floor: Floor) -> None:
    chat = await floor.asks()
    await converse(floor.store, "never mind", "all right", channel="telegram", effects=[ReleaseHandoff()])
    now = await floor.now(chat)
    assert (now.owner, now.waiting_since, now.unanswered_since, now.priority, now.team) == ("bot", None, None, 0, "")
    assert await floor.history() == ["requested", "left"]


async def test_what_was_closed_is_the_bot_s_when_its_operator_goes_and_what_is_set_aside_stays_so(floor: Floor) -> None:
    closed, snoozed = await floor.asks("ann"), await floor.asks("bob")

    def put(conn: Connection) -> None:
        conn.execute(update(conversations).where(conversations.c.id == closed).values(status="closed"))
        conn.execute(update(conversations).where(conversations.c.id == snoozed).values(status="snoozed"))

    await floor.desk.take(LI, closed)
    await floor.desk.take(LI, snoozed)
    await floor.store.database.run(put)
    await floor.desk.set_presence(LI, "off")
    there = [await floor.now(chat) for chat in (closed, snoozed)]
    assert [(row.owner, row.status) for row in there] == [("bot", "closed"), ("queue", "snoozed")]
    assert await floor.desk.take_next(LI) is None


# --- leases -----------------------------------------------------------------------------------------------------------


async def test_when_an_operator_s_console_falls_silent_the_customer_is_at_their_old_place(floor: Floor) -> None:
    first = await floor.asks("ann")
    asked_at = floor.clock.at
    floor.clock.advance(minutes=2)
    second = await floor.asks("bob")
    await floor.desk.set_presence(LI, "online")
    await floor.desk.take(LI, first)
    floor.clock.advance(minutes=6)
    await floor.step()
    back = await floor.now(first)
    assert (back.owner, back.operator, back.waiting_since) == ("queue", "", asked_at)
    assert (await floor.desk.take_next(WANG)).conversation_id == first  # type: ignore[union-attr]
    assert (await floor.desk.take_next(WANG)).conversation_id == second  # type: ignore[union-attr]
    assert {who.name: who.presence for who in await floor.desk.colleagues(LEAD)}["li"] == "off"


async def test_signs_of_life_keep_what_an_operator_holds(floor: Floor) -> None:
    chat = await floor.asks()
    await floor.desk.take(LI, chat)
    for _ in range(4):
        floor.clock.advance(minutes=4)
        assert await floor.desk.renew(LI) == 1
        await floor.step()
    assert (await floor.now(chat)).operator == "li"


async def test_an_operator_who_was_away_for_an_hour_no_longer_holds_it(floor: Floor) -> None:
    chat = await floor.asks()
    mine = await floor.desk.take(LI, chat)
    floor.clock.advance(hours=1)
    await floor.step()
    await floor.desk.take(WANG, chat)
    with pytest.raises(StaleState):
        await floor.desk.hand_back(LI, chat, fence=mine.fence)
    assert await floor.desk.renew(LI) == 0


async def test_whoever_goes_off_gives_all_back_to_the_queue(floor: Floor) -> None:
    chats = [await floor.asks(user) for user in ("ann", "bob")]
    for chat in chats:
        await floor.desk.take(LI, chat)
    moved = await floor.desk.set_presence(LI, "off")
    assert [item.conversation_id for item in moved] == chats
    assert {(await floor.now(chat)).owner for chat in chats} == {"queue"}


async def test_after_silence_with_nothing_to_answer_the_bot_takes_over_again(floor: Floor) -> None:
    chat = await floor.asks()
    floor.policy = ServicePolicy(routing=teams(), handoff=HandoffRules(lease=timedelta(hours=5)))
    await floor.desk.take(LI, chat)
    floor.clock.advance(minutes=61)
    await floor.step()
    assert (await floor.now(chat)).owner == "operator", "the customer still waits for an answer"
    await floor.answers(chat)
    await floor.step()
    now = await floor.now(chat)
    assert (now.owner, now.operator) == ("bot", "")
    assert await floor.history() == ["requested", "taken", "returned"]


async def test_who_waits_too_long_moves_to_another_team_and_keeps_the_place(floor: Floor) -> None:
    rules = HandoffRules(overflow=(Overflow(timedelta(minutes=10), "workshop", frozenset({"care"})),))
    floor.policy = ServicePolicy(routing=teams(), handoff=rules)
    chat = await floor.asks()
    since = floor.clock.at
    floor.clock.advance(minutes=9)
    await floor.step()
    assert (await floor.now(chat)).team == "care"
    floor.clock.advance(minutes=1)
    await floor.step()
    await floor.step()
    now = await floor.now(chat)
    assert (now.team, now.waiting_since, now.fence) == ("workshop", since, 0)
    assert await floor.history() == ["requested", "overflowed"]
    assert await send_all(floor.store) == ["ok"]


async def test_the_scheduler_takes_back_what_a_silent_console_held_and_tells_open_ones(floor: Floor) -> None:
    chat = await floor.asks()
    await floor.desk.take(LI, chat)
    floor.clock.advance(minutes=6)
    scheduler = Scheduler(floor.store, floor.signals, floor.clock, shop)
    await scheduler.run_once()
    assert (await floor.now(chat)).owner == "queue"
    assert (TOPIC_DESK, {"conversation_id": chat, "kind": "owner"}) in floor.signals.said


# --- giving out -------------------------------------------------------------------------------------------------------


async def test_a_customer_who_comes_back_is_given_to_the_operator_they_spoke_with(floor: Floor) -> None:
    chat = await floor.asks()
    for who in (LI, WANG):
        await floor.desk.set_presence(who, "online")
    await floor.desk.take(WANG, chat)
    await floor.desk.hand_back(WANG, chat)
    await floor.asks()
    await floor.step()
    assert (await floor.now(chat)).operator == "wang"
    await floor.asks("bob")
    assert await floor.step() == [], "by hand, unless somebody knows the customer"


async def test_whoever_comes_online_is_given_their_share_at_once_by_points_and_room(floor: Floor) -> None:
    floor.policy = ServicePolicy(routing=teams(), handoff=HandoffRules(assignment="automatic"))
    chats = [await floor.asks(f"user{number}") for number in range(7)]
    moved = await floor.desk.set_presence(LI, "online")
    assert [item.conversation_id for item in moved] == chats[:5]
    moved = await floor.desk.set_presence(WANG, "online")
    assert [(item.conversation_id, item.operator) for item in moved] == [(chat, "wang") for chat in chats[5:]]
    assert await floor.step() == []


async def test_a_thousand_waiting_are_given_out_fairly_with_few_statements(floor: Floor) -> None:
    rules = HandoffRules(assignment="automatic")
    names = [f"op{number:02}" for number in range(40)]
    care = Team("care", members=tuple(names))
    floor.policy = ServicePolicy(routing=RoutingRules(teams={"care": care}), handoff=rules)
    await floor.staff(*names, presence="online", last_seen_at=floor.clock.at, capacity=20)
    await thousand_waiting(floor)
    counted: list[str] = []

    def unit(conn: Connection) -> list[Moved]:
        event.listen(conn, "before_cursor_execute", lambda *args: counted.append(args[2]))
        return step(conn, floor.policy, floor.clock.at)

    moved = await floor.store.database.run(unit)
    assert len(moved) == 800
    assert len(counted) < 30
    waiting = [row for row in await floor.rows(conversations) if row.owner == "queue"]
    served = [row for row in await floor.rows(conversations) if row.owner == "operator"]
    queued_at = {row.conversation_id: row.queued_at for row in await floor.rows(handoffs)}
    worst = max(rules.rank(row.priority, queued_at[row.id]) for row in served)
    assert worst <= min(rules.rank(row.priority, row.waiting_since) for row in waiting)
    assert {name: sum(row.operator == name for row in served) for name in names} == dict.fromkeys(names, 20)


async def thousand_waiting(floor: Floor) -> None:
    for start in range(0, 1000, 250):
        users = [f"user{number}" for number in range(start, start + 250)]
        await floor.store.accept([said("a person", user=user, channel="telegram") for user in users])
        while claims := await floor.store.claim("worker", 50):
            commits = [
                decided(
                    claimed, effects=[RequestHandoff("anger", team="care", priority=claimed.conversation.id % 7 * 10)]
                )
                for claimed in claims
            ]
            assert all(done.ok for done in await floor.store.commit(commits))
        floor.clock.advance(seconds=40)


async def test_two_schedulers_at_once_give_each_customer_to_one_operator(floor: Floor) -> None:
    floor.policy = ServicePolicy(routing=teams(), handoff=HandoffRules(assignment="automatic"))
    for number in range(8):
        await floor.asks(f"user{number}")
    other = await SqlStore.open(floor.store_url, clock=floor.clock)
    await floor.store.database.run(lambda conn: presence.set_presence(conn, "li", "online", floor.clock.at))
    await floor.store.database.run(lambda conn: presence.set_presence(conn, "wang", "online", floor.clock.at))
    try:
        looks = [
            store.database.run(lambda conn: step(conn, floor.policy, floor.clock.at))
            for store in (floor.store, other, floor.store, other)
        ]
        moved = [item.conversation_id for look in await asyncio.gather(*looks) for item in look]
    finally:
        await other.close()
    assert len(moved) == len(set(moved)) == 8
    held = [row.operator for row in await floor.rows(conversations)]
    assert sorted(held) == ["li"] * 4 + ["wang"] * 4


async def test_who_may_not_answer_is_given_nobody_however_present_they_are(floor: Floor) -> None:
    await floor.staff("vera", role="viewer")
    routing = RoutingRules(teams={"care": Team("care", members=("vera", "li"))})
    floor.policy = ServicePolicy(routing=routing, handoff=HandoffRules(assignment="automatic"))
    waits = await floor.asks()
    assert await floor.desk.set_presence(VIEWER, "online") == []
    assert (await floor.now(waits)).owner == "queue"
    (moved,) = await floor.desk.set_presence(LI, "online")
    assert (moved.conversation_id, (await floor.now(waits)).operator) == (waits, "li")
