"""微信客服 pulled from the stand-in: nothing lost, nothing doubled, whatever the callbacks and the position do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from typing import Any

import pytest

from bot.errors import Misconfigured, RateLimited, ServiceUnavailable, StoreUnavailable
from bot.types import Event, Received, RenderedReply, Text
from channels.simulators.faults import Fault
from channels.simulators.wecom import OPEN_KFID
from channels.simulators.wecom_methods import WITHOUT_TOKEN_PER_MIN
from channels.wecom import KfFollowups, KfPuller
from channels.wecom.app_decode import KfNotice
from tests.channel_doubles import MemoryHealth, MemoryInbox
from tests.wecom_company import World, a_world


class Crash(BaseException):
    """The process dies here."""


class WithPeople:
    """Which sessions the store believes to be with people."""

    def __init__(self) -> None:
        self.places: set[tuple[str, str]] = set()

    async def with_the_vendor(self, places: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
        return self.places & set(places)


class Desk:
    def __init__(self, world: World) -> None:
        self.world, self.inbox, self.people = world, MemoryInbox(), WithPeople()
        self.fresh: list[Received] = []
        self.dies = False
        self.health = MemoryHealth()
        self.puller = self.new_puller()

    def new_puller(self, **changes: Any) -> KfPuller:
        """As after a restart."""
        world = self.world
        return KfPuller(
            world.kf,
            self.inbox,
            world.cursors,
            self.people,
            fresh=changes.pop("fresh", self.note),
            sleep=world.clock.sleep,
            monotonic=world.clock.monotonic,
            fault=self.fault,
            watch=self.health,
        )

    def note(self, pulled: Sequence[tuple[Any, Received]]) -> None:
        self.fresh += [received for _, received in pulled]

    def fault(self, point: str) -> None:
        if self.dies:
            raise Crash(point)

    def texts(self) -> list[str]:
        contents = [row.message.content for row in self.inbox.rows if row.message is not None]
        return [content.text for content in contents if isinstance(content, Text)]

    def write(self, *texts: str, customer: str = "wm1") -> None:
        for text in texts:
            self.world.company.write(OPEN_KFID, customer, content=text)

    def newest_token(self) -> str:
        return list(self.world.company.notices)[-1]


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with a_world() as world:
        yield Desk(world)


async def test_messages_come_in_order_and_only_once(desk: Desk) -> None:
    desk.write("one", "two")
    assert await desk.puller.pull(OPEN_KFID) == 2
    desk.write("three")
    assert await desk.puller.pull(OPEN_KFID) == 1

    assert desk.texts() == ["one", "two", "three"]
    assert await desk.puller.pull(OPEN_KFID) == 0


async def test_a_crash_before_the_position_is_stored_doubles_nothing(desk: Desk) -> None:
    desk.write("one")
    desk.dies = True
    with pytest.raises(Crash):
        await desk.puller.pull(OPEN_KFID)
    assert desk.texts() == ["one"]
    assert desk.world.cursors.values == {}

    desk.dies = False
    desk.write("two")
    await desk.new_puller().pull(OPEN_KFID)

    assert desk.texts() == ["one", "two"]
    assert len(desk.inbox.rows) == 2


async def test_a_store_that_cannot_commit_leaves_the_position_where_it_was(desk: Desk) -> None:
    desk.write("one")
    desk.inbox.failures = [StoreUnavailable("store", "disk full")]
    with pytest.raises(StoreUnavailable):
        await desk.puller.pull(OPEN_KFID)
    assert desk.world.cursors.values == {}

    await desk.puller.pull(OPEN_KFID)

    assert desk.texts() == ["one"]


async def test_more_than_a_page_is_pulled_to_its_end(desk: Desk) -> None:
    for number in range(2300):
        desk.write(f"{number}")

    assert await desk.puller.pull(OPEN_KFID) == 2300

    assert desk.texts() == [f"{number}" for number in range(2300)]
    assert desk.world.calls("kf/sync_msg") == 3


async def test_an_empty_page_with_more_behind_it_is_no_end(desk: Desk) -> None:
    desk.write("one")
    desk.world.simulator.faults.plan(Fault("empty_page", times=3))

    await desk.puller.pull(OPEN_KFID)

    assert desk.texts() == ["one"]


async def test_pages_that_stay_empty_for_ever_are_left_to_the_next_look(desk: Desk) -> None:
    desk.write("one")
    desk.puller.notice(KfNotice(OPEN_KFID, desk.newest_token()))
    desk.world.simulator.faults.plan(Fault("empty_page", times=1000))

    assert await desk.puller.pull(OPEN_KFID) == 0
    assert desk.world.calls("kf/sync_msg") <= 30

    desk.world.simulator.faults.clear()
    await desk.puller.pull(OPEN_KFID)
    assert desk.texts() == ["one"]


async def test_entries_given_twice_or_backwards_are_stored_once(desk: Desk) -> None:
    desk.write("one", "two", "three")
    desk.world.simulator.faults.plan(Fault("duplicate_update"))
    desk.world.simulator.faults.plan(Fault("reorder_updates"))

    await desk.puller.pull(OPEN_KFID)

    assert sorted(desk.texts()) == ["one", "three", "two"]


async def test_a_callbacks_token_is_used_while_fresh_and_left_out_later(desk: Desk) -> None:
    desk.write("one")
    desk.puller.notice(KfNotice(OPEN_KFID, desk.newest_token()))
    for _ in range(WITHOUT_TOKEN_PER_MIN + 5):  # the limit without a token does not count these
        await desk.puller.pull(OPEN_KFID)

    desk.world.clock.elapsed_s += 3600
    desk.write("two")
    await desk.puller.pull(OPEN_KFID)

    assert desk.texts() == ["one", "two"]
    assert desk.world.calls("kf/sync_msg", "refused") == 0


async def test_a_token_the_vendor_calls_expired_is_dropped_and_the_messages_come_all_the_same(desk: Desk) -> None:
    desk.write("one")
    desk.puller.notice(KfNotice(OPEN_KFID, "a token of another day"))

    await desk.puller.pull(OPEN_KFID)

    assert desk.texts() == ["one"]
    assert desk.world.calls("kf/sync_msg", "refused") == 1
    await desk.puller.pull(OPEN_KFID)
    assert desk.world.calls("kf/sync_msg", "refused") == 1


async def test_a_position_of_another_company_starts_over_and_doubles_nothing(desk: Desk) -> None:
    desk.write("one")
    await desk.puller.pull(OPEN_KFID)
    desk.world.cursors.values = {desk.world.kf.cursor_name(OPEN_KFID): "nonsense@1"}
    desk.write("two")

    await desk.puller.pull(OPEN_KFID)

    assert desk.texts() == ["one", "two"]


async def test_what_is_older_than_three_days_is_gone_and_nothing_breaks(desk: Desk) -> None:
    desk.write("old")
    desk.world.clock.elapsed_s += 3 * 86400 + 1
    desk.write("new")

    await desk.puller.pull(OPEN_KFID)

    assert desk.texts() == ["new"]


async def test_too_many_questions_without_a_token_are_told_as_a_limit(desk: Desk) -> None:
    for _ in range(WITHOUT_TOKEN_PER_MIN):
        await desk.puller.pull(OPEN_KFID)
    with pytest.raises(RateLimited) as limited:
        await desk.puller.pull(OPEN_KFID)

    assert limited.value.retry_after_s == 60


async def test_one_unreadable_half_emoji_does_not_hide_everybodys_messages(desk: Desk) -> None:
    desk.world.company.write(OPEN_KFID, "wm2", content="fine")
    body = b'{"errcode":0,"next_cursor":"c9","has_more":0,"msg_list":[{"msgid":"m1","msgtype":"text","origin":3,'
    body += b'"external_userid":"wm1","open_kfid":"wk","send_time":1,"text":{"content":"half \\ud83d emoji"}}]}'

    (received,) = desk.world.kf.decode(body)

    assert received.message is not None
    assert received.message.content == Text("half \ufffd emoji")


async def test_a_message_that_fits_no_column_is_parked_and_the_others_are_kept(desk: Desk) -> None:
    desk.write("one", "two", "three")
    second = desk.world.company.log[1].item["msgid"]
    desk.inbox.refuses = frozenset({second})

    await desk.puller.pull(OPEN_KFID)

    assert desk.texts() == ["one", "three"]
    assert [row.reason for row in desk.inbox.rows if row.message is None] == ["not storable: ValueError"]


# --- the loop -------------------------------------------------------------------------------------------


async def test_the_first_round_finds_the_accounts_and_what_waited_for_them(desk: Desk) -> None:
    desk.write("while we were away")

    await desk.puller.run_once()

    assert desk.texts() == ["while we were away"]


async def test_a_lost_callback_is_healed_within_a_minute(desk: Desk) -> None:
    await desk.puller.run_once()
    desk.write("nobody called")
    await desk.puller.run_once()
    assert desk.texts() == []

    desk.world.clock.elapsed_s += 60
    pause_s = await desk.puller.run_once()

    assert desk.texts() == ["nobody called"]
    assert pause_s <= 60


async def test_one_accounts_trouble_is_not_the_others(desk: Desk) -> None:
    desk.world.company.add_kf("wkZ", "second")
    desk.write("one")
    desk.world.company.write("wkZ", "wm2", content="two")
    desk.world.simulator.faults.plan(Fault("errcode", method="kf/sync_msg", code=95000))

    await desk.puller.run_once()
    assert desk.texts() == ["two"]

    await desk.puller.run_once()
    assert desk.texts() == ["two", "one"]


async def test_trouble_is_tried_again_soon_and_a_limit_is_obeyed(desk: Desk) -> None:
    await desk.puller.run_once()
    desk.puller.notice(KfNotice(OPEN_KFID, ""))
    desk.world.simulator.faults.plan(Fault("error_503", method="kf/sync_msg"))
    assert await desk.puller.run_once() <= 5

    desk.world.simulator.faults.plan(Fault("rate_limited", method="kf/sync_msg"))
    assert await desk.puller.run_once() >= 60


async def test_a_wecom_that_refuses_us_is_told_as_health_until_it_takes_us_again(desk: Desk) -> None:
    await desk.puller.run_once()
    desk.world.simulator.credentials.is_ip_allowed = False
    desk.puller.notice(KfNotice(OPEN_KFID, ""))
    await desk.puller.run_once()
    desk.world.simulator.credentials.is_ip_allowed = True
    await desk.puller.run_once()

    well, refused, again = desk.health.receiving
    assert (well, again) == (("kf", "main", "ok"),) * 2
    assert "IP" in refused[2]


async def test_neither_a_store_that_fails_nor_a_round_that_asks_nobody_says_anything_of_wecom(desk: Desk) -> None:
    await desk.puller.run_once()
    desk.health.receiving.clear()
    desk.write("one")
    desk.inbox.failures = [StoreUnavailable("store", "disk full")]
    desk.puller.notice(KfNotice(OPEN_KFID, ""))

    await desk.puller.run_once()
    assert desk.health.receiving == []
    await desk.puller.run_once()
    assert desk.health.receiving == [("kf", "main", "ok")]
    desk.health.receiving.clear()
    await desk.puller.run_once()  # nothing is due

    assert desk.texts() == ["one"]
    assert desk.health.receiving == []


async def test_a_notice_that_comes_while_pulling_is_not_forgotten(desk: Desk) -> None:
    await desk.puller.run_once()

    def meanwhile(pulled: Sequence[tuple[Any, Received]]) -> None:
        if pulled and not desk.fresh:
            desk.note(pulled)
            desk.write("two")
            puller.notice(KfNotice(OPEN_KFID, desk.newest_token()))

    puller = desk.new_puller(fresh=meanwhile)
    desk.write("one")
    await puller.run_once()
    await puller.run_once()

    assert desk.texts() == ["one", "two"]


# --- sessions that came back ----------------------------------------------------------------------------


async def test_a_session_that_ran_out_is_the_bots_before_the_customers_next_words(desk: Desk) -> None:
    desk.people.places = {("wm1", OPEN_KFID)}
    desk.write("hello again")

    await desk.puller.pull(OPEN_KFID)

    event, words = (row.message for row in desk.inbox.rows)
    assert event is not None
    assert isinstance(event.content, Event)
    assert (event.content.name, event.content.detail["owner"], event.author) == ("owner_changed", "bot", "system")
    assert words is not None
    assert words.content == Text("hello again")


async def test_a_session_still_with_a_colleague_stays_there(desk: Desk) -> None:
    desk.write("hi")
    desk.people.places = {("wm1", OPEN_KFID)}
    desk.world.company.take(OPEN_KFID, "wm1", "zhangsan")
    desk.write("and another thing")

    await desk.puller.pull(OPEN_KFID)

    owners = [
        row.message.content.detail["owner"]
        for row in desk.inbox.rows
        if row.message is not None and isinstance(row.message.content, Event)
    ]
    assert owners == ["operator"]  # the one event the vendor told


async def test_nobody_is_asked_about_sessions_the_bot_has(desk: Desk) -> None:
    desk.write("hi")

    await desk.puller.pull(OPEN_KFID)

    assert desk.world.calls("kf/service_state/get") == 0


# --- what follows ---------------------------------------------------------------------------------------


def a_greeting(entered: object) -> RenderedReply:
    return RenderedReply("欢迎光临")


async def test_whoever_opens_the_chat_is_greeted_once_and_it_is_recorded(desk: Desk) -> None:
    followups = KfFollowups(desk.world.kf, desk.inbox, a_greeting)
    desk.world.company.enter(OPEN_KFID, "wm1", "leaflet")
    for _ in range(2):
        await desk.new_puller(fresh=followups.note).pull(OPEN_KFID)
        desk.world.cursors.values.clear()  # all of it comes again
    await followups.settle()

    assert [shown.text for shown in desk.world.company.session(OPEN_KFID, "wm1").received] == ["欢迎光临"]
    said = [row.message for row in desk.inbox.rows if row.message is not None and row.message.author == "bot"]
    assert [message.content for message in said] == [Text("欢迎光临")]


async def test_a_greeting_that_would_come_too_late_is_not_tried(desk: Desk) -> None:
    followups = KfFollowups(desk.world.kf, desk.inbox, a_greeting)
    desk.world.company.enter(OPEN_KFID, "wm1")
    desk.world.clock.elapsed_s += 21

    await desk.new_puller(fresh=followups.note).pull(OPEN_KFID)
    await followups.settle()

    assert desk.world.simulator.ledger.entries("call", method="kf/send_msg_on_event") == []


async def test_names_are_asked_for_a_hundred_at_once_and_once_each(desk: Desk) -> None:
    followups = KfFollowups(desk.world.kf, desk.inbox, a_greeting)
    for number in range(250):
        desk.write("hi", customer=f"wm{number}")
    puller = desk.new_puller(fresh=followups.note)
    await puller.pull(OPEN_KFID)
    await followups.settle()
    desk.write("hi again", customer="wm7")
    await puller.pull(OPEN_KFID)
    await followups.settle()

    assert desk.world.calls("kf/customer/batchget") == 3
    named = [row.message for row in desk.inbox.rows if row.message is not None and row.message.sender_name]
    assert len(named) == 250
    assert {message.author for message in named} == {"system"}
    assert all(not message.wants_turn for message in named)


async def test_a_failed_courtesy_disturbs_nobody(desk: Desk) -> None:
    followups = KfFollowups(desk.world.kf, desk.inbox, a_greeting)
    desk.world.simulator.faults.plan(Fault("error_503", method="kf/customer/batchget"))
    desk.write("hi")

    await desk.new_puller(fresh=followups.note).pull(OPEN_KFID)
    await followups.settle()

    assert desk.texts() == ["hi"]


async def test_a_wrong_account_is_told_as_a_setting(desk: Desk) -> None:
    with pytest.raises(Misconfigured):
        await desk.puller.pull("wkUnknown")


async def test_a_vendor_that_does_not_answer_changes_nothing(desk: Desk) -> None:
    desk.write("one")
    desk.world.simulator.faults.plan(Fault("unreadable_answer", method="kf/sync_msg"))
    with pytest.raises(ServiceUnavailable):
        await desk.puller.pull(OPEN_KFID)
    assert desk.world.cursors.values == {}
