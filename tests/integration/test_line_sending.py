"""LINE against its stand-in: what is free, what is never said twice, what the vendor would refuse, what doctor sees."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import given
from linebot.v3.messaging.models import PushMessageRequest
from pydantic import SecretStr
from sqlalchemy import select
from starlette.applications import Starlette

from bot.errors import Misconfigured, NotFound, PayloadInvalid, RateLimited, RecipientUnreachable, ServiceUnavailable
from bot.types import Card, Lane, OutMedia, OutPart, RenderedReply, ReplyButton
from channels.delivery import Sender
from channels.line.adapter import LineAdapter
from channels.line.messages import messages_of
from channels.pacing import LocalRateTokens
from channels.simulators.faults import Fault
from channels.simulators.line import LineSimulator
from channels.simulators.line_customer import LineCustomer
from channels.simulators.line_rules import Refused, check_messages
from config.settings import LineSettings
from crm_sync.store import SqlStore
from crm_sync.tables import outbox
from tests.channel_contract import line_routes
from tests.channel_doubles import MemoryInbox, NoSignals, an_outbound
from tests.replies import replies
from tests.store_steps import SetClock, said, take_turn

USER = "U" + "7" * 32
PUSH, REPLY = "/message/push", "/message/reply"


class Desk:
    """The adapter and its webhook before one LINE."""

    def __init__(self, line: LineSimulator, **settings: Any) -> None:
        self.line, self.inbox = line, MemoryInbox()
        self.adapter = LineAdapter(
            "main",
            LineSettings(
                secret=SecretStr(line.secret),
                token=SecretStr(settings.pop("token", line.token)),
                api_base_url=line.url,
                data_base_url=line.url,
                **settings,
            ),
        )
        self.app = Starlette(routes=list(line_routes({"main": self.adapter}, self.inbox, 100_000)))
        self.customer = line.user(USER)

    async def hears(self, text: str) -> None:
        """The customer says it, and the webhook takes it (in process)."""
        message = {"type": "text", "id": "1", "text": text, "quoteToken": "q"}
        body = orjson.dumps({"events": [self.customer.event("message", message=message)]})
        headers = {"Content-Type": "application/json", "X-Line-Signature": self.line.sign(body)}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://desk") as client:
            response = await client.post("/channels/line/main", content=body, headers=headers)
        assert response.status_code == 200

    async def says(self, text: str, number: int = 1, *, attempt: int = 1, lane: Lane = Lane.REPLY) -> str:
        outbound = replace(an_outbound(number, text=text, lane=lane), chat_id=USER, attempt=attempt)
        return (await self.adapter.send(outbound)).vendor_message_id

    def ways(self) -> list[str]:
        """How what arrived was sent."""
        return [entry["how"] for entry in self.line.ledger.entries("message")]


@pytest.fixture
async def line() -> AsyncIterator[LineSimulator]:
    async with LineSimulator() as simulator:
        yield simulator


@pytest.fixture
async def desk(line: LineSimulator) -> AsyncIterator[Desk]:
    desk = Desk(line)
    yield desk
    await desk.adapter.close()


# --- what is free ---------------------------------------------------------------------------------------------------


async def test_the_first_answer_is_free_and_the_second_a_push(desk: Desk) -> None:
    await desk.hears("几点开门？")

    assert await desk.says("十点", 1)
    assert await desk.says("还有什么？", 2)

    assert desk.customer.texts == ["十点", "还有什么？"]
    assert (desk.ways(), desk.line.used) == (["reply", "push"], 1)


async def test_a_token_past_its_time_is_left_alone(line: LineSimulator) -> None:
    desk = Desk(line, reply_token_s=0)
    await desk.hears("几点开门？")

    await desk.says("十点")
    await desk.adapter.close()

    assert desk.ways() == ["push"]


async def test_a_token_line_no_longer_takes_costs_a_push_and_loses_nothing(desk: Desk) -> None:
    await desk.hears("几点开门？")
    desk.line.reply_tokens.clear()

    await desk.says("十点")

    assert (desk.ways(), desk.customer.texts) == (["push"], ["十点"])


async def test_a_broadcast_does_not_take_the_token_of_an_answer(desk: Desk) -> None:
    await desk.hears("几点开门？")

    await desk.says("秋季新品", 1, lane=Lane.BROADCAST)
    await desk.says("十点", 2)

    assert desk.ways() == ["push", "reply"]


# --- never twice ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["drop_answer", "error_502"])
async def test_a_push_whose_answer_was_lost_is_not_shown_twice(desk: Desk, fault: str) -> None:
    desk.line.faults.plan(Fault(fault))
    with pytest.raises(ServiceUnavailable) as caught:
        await desk.says("十点")

    assert caught.value.happened == "unknown"
    assert await desk.says("十点", attempt=2)
    assert desk.customer.texts == ["十点"]
    assert [entry["status"] for entry in desk.line.ledger.entries("call", path=PUSH)] == [200, 409]


async def test_a_free_answer_whose_receipt_was_lost_is_not_pushed_after_it(desk: Desk) -> None:
    await desk.hears("几点开门？")
    desk.line.faults.plan(Fault("drop_answer"))
    with pytest.raises(ServiceUnavailable):
        await desk.says("十点")

    await desk.says("十点", attempt=2)

    assert (desk.customer.texts, desk.ways()) == (["十点"], ["reply"])


async def test_a_free_answer_that_never_arrived_is_said_with_the_same_token(desk: Desk) -> None:
    await desk.hears("几点开门？")
    desk.line.faults.plan(Fault("drop_request"))
    with pytest.raises(ServiceUnavailable):
        await desk.says("十点")

    await desk.says("十点", attempt=2)

    assert (desk.customer.texts, desk.ways()) == (["十点"], ["reply"])


async def test_after_a_refused_token_a_lost_push_is_pushed_again(desk: Desk) -> None:
    """Not taken for a lost reply: then the customer would never see it."""
    await desk.hears("几点开门？")
    desk.line.reply_tokens.clear()
    desk.line.faults.plan(Fault("drop_request", method=PUSH))
    with pytest.raises(ServiceUnavailable):
        await desk.says("十点")

    await desk.says("十点", attempt=2)

    assert (desk.customer.texts, desk.ways()) == (["十点"], ["push"])


async def test_a_later_message_s_token_is_not_used_for_a_send_that_may_have_been_pushed(desk: Desk) -> None:
    desk.line.faults.plan(Fault("drop_answer"))
    with pytest.raises(ServiceUnavailable):
        await desk.says("十点")
    await desk.hears("喂？")

    await desk.says("十点", attempt=2)

    assert desk.customer.texts == ["十点"]


async def test_the_sender_tries_a_lost_push_again_with_its_key_and_notes_it_as_sent(
    desk: Desk, sqlite_url: str
) -> None:
    """Through the real outbox: the row keeps one key, LINE's 409 counts as sent, nothing is marked as repeated."""
    clock = SetClock()
    store = await SqlStore.open(sqlite_url, clock=clock)
    store.know({"line": desk.adapter.capabilities})
    await store.accept([said("几点开门？", user=USER, channel="line", account="main")])
    await take_turn(store, "十点")
    adapters = {("line", "main"): desk.adapter}
    sender = Sender(store.outbox, adapters, NoSignals(), LocalRateTokens(), clock)
    desk.line.faults.plan(Fault("drop_answer"))

    await sender.run_once()
    clock.advance(seconds=11)
    await sender.run_once()

    rows = await store.database.run(lambda conn: conn.execute(select(outbox)).mappings().all(), read=True)
    await store.close()
    assert desk.customer.texts == ["十点"]
    assert [entry["status"] for entry in desk.line.ledger.entries("call", path=PUSH)] == [200, 409]
    assert [(row["state"], bool(row["maybe_repeated"])) for row in rows] == [("sent", False)]


# --- what LINE says no to -------------------------------------------------------------------------------------------


async def test_a_stranger_is_unreachable(desk: Desk) -> None:
    outbound = replace(an_outbound(), chat_id="U" + "9" * 32)

    with pytest.raises(RecipientUnreachable):
        await desk.adapter.send(outbound)


async def test_a_used_up_month_is_for_the_operator_and_too_fast_is_for_the_clock(desk: Desk) -> None:
    desk.line.monthly_limit = 0
    with pytest.raises(Misconfigured, match="month"):
        await desk.says("十点")
    desk.line.faults.plan(Fault("rate_limited"))
    with pytest.raises(RateLimited):
        await desk.says("十点")


async def test_the_months_pushes_are_told_with_what_was_used(desk: Desk) -> None:
    assert await desk.adapter.quota("") is None

    desk.line.monthly_limit = 200
    await desk.says("十点")

    quota = await desk.adapter.quota("")
    assert quota is not None
    assert (quota.kind, quota.limit, quota.used, quota.per) == ("push", 200, 1, "month")


async def test_a_free_answer_leaves_when_the_month_is_used_up(desk: Desk) -> None:
    desk.line.monthly_limit = 0
    await desk.hears("几点开门？")

    await desk.says("十点")

    assert desk.customer.texts == ["十点"]


async def test_what_somebody_who_blocked_us_is_sent_is_taken_and_not_shown(desk: Desk) -> None:
    desk.customer.has_blocked = True

    await desk.says("十点")

    assert desk.customer.texts == []


def accepted(adapter: LineAdapter, reply: RenderedReply) -> list[dict[str, Any]]:
    """The messages of all parts, if LINE would take each call. Raises: Refused."""
    shown = []
    for part in adapter.encode(reply):
        messages = [message.to_dict() for message in messages_of(part, str)]
        shown += check_messages({"to": USER, "messages": messages}, PushMessageRequest)
    return shown


@given(reply=replies)
def test_line_takes_whatever_a_reply_becomes(reply: RenderedReply) -> None:
    adapter = LineAdapter("main", LineSettings(secret=SecretStr("s"), token=SecretStr("t")))

    shown = orjson.dumps(accepted(adapter, reply)).decode()

    assert all(card.url in shown and card.image_url in shown for card in reply.cards)


def test_what_the_stand_in_must_refuse_it_refuses() -> None:
    long_label = {"type": "action", "action": {"type": "postback", "label": "x" * 21, "data": "1"}}
    text = {"type": "text", "text": "hi"}
    for messages in (
        [],
        [text] * 6,
        [{"type": "text", "text": " "}],
        [{"type": "text", "text": "😀" * 2501}],
        [{"type": "hologram"}],
        [{**text, "quickReply": {"items": [long_label]}}],
        [{"type": "image", "originalContentUrl": "http://x/1", "previewImageUrl": "http://x/1"}],
    ):
        with pytest.raises(Refused):
            check_messages({"to": USER, "messages": messages}, PushMessageRequest)


async def test_a_reply_with_everything_arrives_in_line_s_own_forms(desk: Desk) -> None:
    reply = RenderedReply(
        "看看这些",
        buttons=(ReplyButton("要", "yes"), ReplyButton("不要", "no")),
        image_url="https://shop.example/a.jpg",
        cards=(
            Card("水壶", "1.7 L", "https://shop.example/k.jpg", "https://shop.example/k", (ReplyButton("买", "buy"),)),
        ),
        ask="date",
    )
    for number, part in enumerate(desk.adapter.encode(reply), start=1):
        await desk.adapter.send(replace(an_outbound(number), chat_id=USER, part=part))

    kinds = [message["type"] for message in desk.customer.received]
    assert kinds == ["image", "text", "flex"]
    items = [item["action"] for item in desk.customer.received[1]["quickReply"]["items"]]
    assert [(action["type"], action["label"]) for action in items] == [
        ("postback", "要"),
        ("postback", "不要"),
        ("datetimepicker", "📅"),
    ]


def test_a_file_of_ours_leaves_as_its_public_address_and_keeps_its_caption() -> None:
    part = OutPart("", media=(OutMedia("image", media_id="m1", caption="正面"),))

    with_https = [message.to_dict() for message in messages_of(part, lambda media_id: f"https://d.example/{media_id}")]
    without = [message.to_dict() for message in messages_of(part, lambda media_id: f"http://localhost/{media_id}")]

    assert [message.get("originalContentUrl") or message["text"] for message in with_https] == [
        "https://d.example/m1",
        "正面",
    ]
    assert [message["text"] for message in without] == ["http://localhost/m1", "正面"]


def test_words_nobody_can_see_are_no_message_of_their_own() -> None:
    """LINE refuses a blank text, and with it the picture in the same call."""
    part = OutPart("\u200b", media=(OutMedia("image", "https://x.example/1", caption=" "),), cards=(Card(" ", "\n"),))

    messages = [message.to_dict() for message in messages_of(part, str)]

    assert [message["type"] for message in messages] == ["image", "flex"]
    assert check_messages({"to": USER, "messages": messages}, PushMessageRequest) == messages


# --- the rest -------------------------------------------------------------------------------------------------------


async def test_typing_is_shown_to_people_and_not_in_groups(desk: Desk) -> None:
    await desk.adapter.send_typing(USER)
    await desk.adapter.send_typing("C" + "7" * 32)

    assert [entry["status"] for entry in desk.line.ledger.entries("call", path="/chat/loading/start")] == [200]


async def test_a_customer_s_file_is_fetched_within_its_limit(desk: Desk) -> None:
    desk.line.contents["123"] = (b"\xff\xd8jpeg", "image/jpeg")

    found = await desk.adapter.fetch_media("123", max_bytes=100)

    assert (found.content, found.mime) == (b"\xff\xd8jpeg", "image/jpeg")
    with pytest.raises(PayloadInvalid):
        await desk.adapter.fetch_media("123", max_bytes=3)
    for gone in ("456", "../info", "", "é?x=1"):
        with pytest.raises(NotFound):
            await desk.adapter.fetch_media(gone, max_bytes=100)


async def findings(desk: Desk, *, repair: bool = False, public_url: str = "https://desk.example") -> dict[str, str]:
    """What is broken -> its repair."""
    found = await desk.adapter.examine(public_url=public_url, repair=repair)
    return {finding.check: finding.repair for finding in found if finding.is_broken}


async def test_doctor_sets_the_webhook_and_is_content(desk: Desk) -> None:
    assert list(await findings(desk)) == ["line/main webhook"]
    assert await findings(desk, repair=True) == {}
    assert desk.line.endpoint == "https://desk.example/channels/line/main"
    assert await findings(desk) == {}


async def test_doctor_names_a_wrong_token_a_switched_off_webhook_and_a_low_quota(line: LineSimulator) -> None:
    desk, stranger = Desk(line), Desk(line, token="wrong")
    line.endpoint, line.is_active = "https://desk.example/channels/line/main", False
    line.monthly_limit, line.used = 200, 190

    broken = await findings(desk)
    refused = await findings(stranger)
    plain = await findings(desk, public_url="http://desk.example")
    await desk.adapter.close()
    await stranger.adapter.close()

    assert list(broken) == ["line/main webhook", "line/main quota"]
    assert "Use webhook" in broken["line/main webhook"]
    assert list(refused) == ["line/main token"]
    assert "https" in plain["line/main webhook"]


async def test_a_refused_delivery_comes_again_marked_and_is_stored_once(line: LineSimulator) -> None:
    """The stand-in does what LINE does: same event id, isRedelivery."""
    customer: LineCustomer = line.user(USER)
    event = customer.event("message", message={"type": "text", "id": "1", "text": "hi", "quoteToken": "q"})
    line.endpoint = "http://127.0.0.1:9/nobody"

    assert await line.deliver([event]) == 0
    assert event["deliveryContext"] == {"isRedelivery": True}
    assert [entry["attempt"] for entry in line.ledger.entries("delivery")] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("token", ["a\nb", "é"])
def test_a_token_no_header_can_carry_is_named_at_start(token: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        LineAdapter("main", LineSettings(secret=SecretStr("s"), token=SecretStr(token)))

    assert token not in str(caught.value)
