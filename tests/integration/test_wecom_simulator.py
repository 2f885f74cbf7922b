"""The stand-in for WeCom is as strict as the vendor: what tests and newcomers rely on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from channels.simulators.faults import Fault
from channels.simulators.wecom import AGENT_ID, CORP_ID, OPEN_KFID, SECRET, WecomSimulator, serve_simulator
from channels.simulators.wecom_world import BOT, CLOSED, NEW, POOL, SERVICER
from tests.channel_doubles import SteppedClock


class Vendor:
    """The stand-in, called as a program would."""

    def __init__(self, simulator: WecomSimulator, clock: SteppedClock, http: aiohttp.ClientSession) -> None:
        self.simulator, self.clock, self._http, self.token = simulator, clock, http, ""
        self.company = simulator.company

    async def get(self, path: str, **query: str) -> Any:
        async with self._http.get(f"{self.simulator.url}{path}", params=query) as response:
            return await response.json()

    async def post(self, path: str, body: Any = None) -> dict[str, Any]:
        query = {"access_token": self.token}
        async with self._http.post(f"{self.simulator.url}/cgi-bin/{path}", params=query, json=body or {}) as response:
            answer: dict[str, Any] = await response.json()
            return answer

    async def code(self, path: str, **body: Any) -> int:
        return int((await self.post(path, body))["errcode"])

    async def do(self, action: str, **body: Any) -> dict[str, Any]:
        async with self._http.post(f"{self.simulator.url}/_sim/do/{action}", json=body) as response:
            answer: dict[str, Any] = await response.json()
            return answer

    async def tell(self, what: str, **body: Any) -> dict[str, Any]:
        async with self._http.post(f"{self.simulator.url}/_sim/{what}", json=body) as response:
            answer: dict[str, Any] = await response.json()
            return answer

    async def log_in(self) -> None:
        answer = await self.get("/cgi-bin/gettoken", corpid=CORP_ID, corpsecret=SECRET)
        self.token = answer["access_token"]

    async def kf_send(self, msgid: str = "", **body: Any) -> int:
        where = {"touser": "wm1", "open_kfid": OPEN_KFID, "msgtype": "text", "text": {"content": "hi"}}
        return await self.code("kf/send_msg", **where, **({"msgid": msgid} if msgid else {}), **body)

    async def move(self, state: int, servicer: str = "") -> int:
        where = {"open_kfid": OPEN_KFID, "external_userid": "wm1"}
        return await self.code("kf/service_state/trans", **where, service_state=state, servicer_userid=servicer)


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    clock = SteppedClock()
    simulator = WecomSimulator(now=lambda: clock.now().timestamp(), sleep=clock.sleep)
    async with simulator, aiohttp.ClientSession() as http:
        found = Vendor(simulator, clock, http)
        await found.log_in()
        yield found


async def test_credentials_and_tokens_are_checked(vendor: Vendor) -> None:
    assert (await vendor.get("/cgi-bin/gettoken", corpid="x", corpsecret=SECRET))["errcode"] == 40013
    assert (await vendor.get("/cgi-bin/gettoken", corpid=CORP_ID, corpsecret="x"))["errcode"] == 40001
    first, vendor.token = vendor.token, ""
    assert await vendor.code("kf/account/list") == 41001
    vendor.token = "guess"
    assert await vendor.code("kf/account/list") == 40014
    vendor.token = first
    assert await vendor.code("kf/account/list") == 0
    await vendor.log_in()
    assert vendor.token == first  # the same one until it is over
    vendor.clock.elapsed_s += 7201
    assert await vendor.code("kf/account/list") == 42001
    vendor.simulator.credentials.is_ip_allowed = False
    assert await vendor.code("kf/account/list") == 60020


async def test_the_thousand_and_first_message_of_an_hour_is_dropped_silently(vendor: Vendor) -> None:
    vendor.company.member("lisi")
    for number in range(1001):
        vendor.clock.elapsed_s += 3.0  # below thirty a minute
        text = {"touser": "lisi", "agentid": AGENT_ID, "msgtype": "text", "text": {"content": f"{number}"}}
        assert await vendor.code("message/send", **text) == 0

    dropped = vendor.simulator.ledger.entries("send", outcome="dropped")
    assert [entry["text"] for entry in dropped] == ["1000"]


async def test_messages_are_checked_before_they_are_taken(vendor: Vendor) -> None:
    vendor.company.member("lisi")
    base = {"touser": "lisi", "agentid": AGENT_ID, "msgtype": "text", "text": {"content": "hi"}}
    assert await vendor.code("message/send", **{**base, "agentid": 1}) == 40056
    assert await vendor.code("message/send", **{**base, "touser": "nobody"}) == 81013
    assert await vendor.code("message/send", **{**base, "msgtype": "song"}) == 40008
    assert await vendor.code("message/send", **{**base, "text": {"content": " "}}) == 44004
    assert (await vendor.post("message/send", {**base, "touser": "lisi|nobody"}))["invaliduser"] == "nobody"


async def test_five_replies_within_two_days_of_the_customers_words(vendor: Vendor) -> None:
    assert await vendor.kf_send() == 40096  # nobody we know
    vendor.company.write(OPEN_KFID, "wm1", content="hi")
    assert [await vendor.kf_send() for _ in range(6)] == [0, 0, 0, 0, 0, 95001]
    vendor.company.write(OPEN_KFID, "wm1", content="hi")
    vendor.clock.elapsed_s += 48 * 3600 - 1
    await vendor.log_in()
    assert await vendor.kf_send() == 0
    vendor.clock.elapsed_s += 2
    assert await vendor.kf_send() == 95018  # the session ended with the two days


async def test_a_msgid_is_short_plain_and_used_once_for_each_account(vendor: Vendor) -> None:
    vendor.company.write(OPEN_KFID, "wm1", content="hi")
    assert await vendor.kf_send("a-b_C1" * 5) == 0
    assert await vendor.kf_send("a-b_C1" * 5) == 40058
    assert await vendor.kf_send("a" * 33) == 40058
    assert await vendor.kf_send("ä") == 40058


async def test_sessions_move_only_where_they_may(vendor: Vendor) -> None:
    vendor.company.write(OPEN_KFID, "wm1", content="hi")
    session = vendor.company.session(OPEN_KFID, "wm1")
    assert await vendor.move(CLOSED) == 95016
    assert await vendor.move(BOT) == 0
    assert await vendor.kf_send() == 0
    assert await vendor.move(POOL) == 0
    assert await vendor.kf_send() == 95018
    assert await vendor.move(BOT) == 95016
    assert await vendor.move(SERVICER, "nobody") == 95014
    vendor.company.servicers["zhangsan"] = False
    assert await vendor.move(SERVICER, "zhangsan") == 95019
    vendor.company.servicers["zhangsan"] = True
    assert await vendor.move(SERVICER, "zhangsan") == 0
    assert await vendor.move(CLOSED) == 0
    assert (session.state, session.servicer) == (CLOSED, "")
    assert await vendor.move(POOL) == 95016
    vendor.company.write(OPEN_KFID, "wm1", content="again")
    assert session.state == NEW


async def test_a_welcome_code_is_good_once_for_twenty_seconds(vendor: Vendor) -> None:
    code = vendor.company.enter(OPEN_KFID, "wm1")
    greeting = {"msgtype": "text", "text": {"content": "welcome"}}
    assert await vendor.code("kf/send_msg_on_event", code="guess", **greeting) != 0
    assert await vendor.code("kf/send_msg_on_event", code=code, **greeting) == 0
    assert await vendor.code("kf/send_msg_on_event", code=code, **greeting) != 0
    assert vendor.company.enter(OPEN_KFID, "wm1") == ""  # greeted within two days
    late = vendor.company.enter(OPEN_KFID, "wm2")
    vendor.clock.elapsed_s += 21
    assert await vendor.code("kf/send_msg_on_event", code=late, **greeting) != 0


async def test_sync_msg_keeps_its_limits(vendor: Vendor) -> None:
    for number in range(3):
        vendor.company.write(OPEN_KFID, "wm1", content=f"{number}")
    first = await vendor.post("kf/sync_msg", {"open_kfid": OPEN_KFID, "limit": 2})
    assert ([item["text"]["content"] for item in first["msg_list"]], first["has_more"]) == (["0", "1"], 1)
    rest = await vendor.post("kf/sync_msg", {"open_kfid": OPEN_KFID, "cursor": first["next_cursor"]})
    assert ([item["text"]["content"] for item in rest["msg_list"]], rest["has_more"]) == (["2"], 0)
    assert await vendor.code("kf/sync_msg", open_kfid="wkX") == 95000
    assert await vendor.code("kf/sync_msg", open_kfid=OPEN_KFID, limit=1001) == 40058
    assert await vendor.code("kf/sync_msg", open_kfid=OPEN_KFID, token="guess") == 95007
    token = list(vendor.company.notices)[-1]
    assert await vendor.code("kf/sync_msg", open_kfid=OPEN_KFID, token=token) == 0
    vendor.clock.elapsed_s += 601
    assert await vendor.code("kf/sync_msg", open_kfid=OPEN_KFID, token=token) == 95007


async def test_what_we_sent_is_not_among_what_is_pulled(vendor: Vendor) -> None:
    vendor.company.write(OPEN_KFID, "wm1", content="hi")
    await vendor.kf_send()

    page = await vendor.post("kf/sync_msg", {"open_kfid": OPEN_KFID})

    assert [item["origin"] for item in page["msg_list"]] == [3]


async def test_names_are_given_for_a_hundred_at_most(vendor: Vendor) -> None:
    assert await vendor.code("kf/customer/batchget", external_userid_list=["x"] * 101) == 40058
    answer = await vendor.post("kf/customer/batchget", {"external_userid_list": ["x"]})
    assert (answer["customer_list"], answer["invalid_external_userid"]) == ([], ["x"])


async def test_a_callback_nobody_answers_is_tried_three_times(vendor: Vendor) -> None:
    vendor.simulator.callbacks.url = "http://127.0.0.1:9/nobody"
    vendor.company.say("lisi", "hi")

    await vendor.company.pulse.until(lambda: len(vendor.simulator.ledger.entries("delivery")) == 3, 15)

    assert [entry["attempt"] for entry in vendor.simulator.ledger.entries("delivery")] == [1, 2, 3]


async def test_an_address_that_does_not_answer_is_not_verified(vendor: Vendor) -> None:
    callbacks = vendor.simulator.callbacks
    for address in ("", "http://127.0.0.1:9/nobody", vendor.simulator.url):
        callbacks.url = address
        assert not await callbacks.verify()


async def test_the_callback_address_is_set_over_http(vendor: Vendor) -> None:
    address = "http://127.0.0.1:9/channels/wecom/second"
    assert await vendor.tell("state", callback_url=address) == {"changed": True}
    assert (await vendor.get("/_sim/state"))["callback_url"] == address
    assert vendor.simulator.callbacks.url == address


async def test_planned_faults_happen_and_are_noted(vendor: Vendor) -> None:
    vendor.simulator.faults.plan(Fault("errcode", method="kf/account/list", code=-1))
    assert [await vendor.code("kf/account/list") for _ in range(2)] == [-1, 0]
    assert len(vendor.simulator.ledger.entries("call", outcome="fault errcode")) == 1


async def test_what_a_member_writes_can_come_twice_and_be_overtaken(vendor: Vendor) -> None:
    vendor.simulator.callbacks.url = "http://127.0.0.1:9/nobody"
    for fault, words in (("reorder_updates", "first"), ("duplicate_update", "second")):
        vendor.simulator.faults.plan(Fault(fault))
        vendor.company.say("lisi", words)
    await vendor.simulator.callbacks.settled()
    tries = [entry for entry in vendor.simulator.ledger.entries("delivery") if entry["attempt"] == 1]
    assert len(tries) == 3


async def test_the_page_shows_what_a_member_may_still_be_sent(vendor: Vendor) -> None:
    vendor.company.say("lisi", "hi")
    for number in range(31):
        body = {"msgtype": "text", "agentid": AGENT_ID, "text": {"content": f"{number}"}}
        assert await vendor.code("message/send", touser="lisi", **body) == 0
    assert (await vendor.get("/_sim/state"))["left"]["lisi"] == {"minute": 0, "hour": 970}


async def test_only_faults_that_can_happen_here_are_planned(vendor: Vendor) -> None:
    kinds = (await vendor.get("/_sim/faults"))["kinds"]
    assert "reorder_updates" in kinds
    assert "lost_reply" not in kinds
    assert "error" in await vendor.tell("faults", kind="lost_reply")
    assert "error" in await vendor.tell("faults", kind="late_answer", seconds="long")
    assert await vendor.tell("faults", kind="late_answer", seconds=15) == {"planned": True}


async def test_customers_members_and_colleagues_are_played_over_http(vendor: Vendor) -> None:
    assert (await vendor.do("write", kf=OPEN_KFID, user="wm1", text="hi"))["id"]
    await vendor.do("take", kf=OPEN_KFID, user="wm1")
    await vendor.do("answer", kf=OPEN_KFID, user="wm1", text="I am here")
    assert "error" in await vendor.do("press", kf=OPEN_KFID, user="wm1", label="no such")
    assert "error" in await vendor.do("fly")

    chat = await vendor.get("/_sim/messages", kf=OPEN_KFID, user="wm1", wait_s="1")
    state = await vendor.get("/_sim/state")

    assert [(one["by"], one["text"]) for one in chat["messages"]] == [("customer", "hi"), ("servicer", "I am here")]
    assert [(one["state"], one["servicer"], one["left"]) for one in state["sessions"]] == [("colleague", "zhangsan", 5)]
    page = vendor.simulator.url + "/_sim/"
    async with aiohttp.ClientSession() as http, http.get(page) as response:
        assert "企业微信模拟器" in await response.text()


async def test_served_as_a_process_it_tells_how_to_connect(tmp_path: Path) -> None:
    told: asyncio.Future[tuple[str, dict[str, Any]]] = asyncio.get_running_loop().create_future()
    ledger = tmp_path / "ledger.jsonl"
    serving = asyncio.create_task(
        serve_simulator("127.0.0.1", 0, ledger, started=lambda url, settings: told.set_result((url, dict(settings))))
    )
    url, settings = await told

    assert settings["api_base_url"] == url
    assert settings["kf"] is True
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
