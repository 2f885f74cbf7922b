"""The stand-in's page: play a LINE customer over HTTP, break something, read what LINE saw; and its own strictness."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from bot.errors import Misconfigured
from channels.simulators.line import LineSimulator, serve_simulator

USER = f"U{42:032x}"


@pytest.fixture
async def line() -> AsyncIterator[LineSimulator]:
    """With a desk behind its webhook that takes everything."""
    bodies: list[bytes] = []

    async def desk(request: web.Request) -> web.Response:
        bodies.append(await request.read())
        return web.Response(status=200 if request.headers["X-Line-Signature"] == line.sign(bodies[-1]) else 401)

    app = web.Application()
    app.router.add_post("/hook", desk)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with LineSimulator() as line:
        line.endpoint = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        yield line
    await runner.cleanup()


@pytest.fixture
async def page(line: LineSimulator) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(line.url) as session:
        yield session


async def act(page: aiohttp.ClientSession, action: str, **given: object) -> tuple[int, dict[str, object]]:
    async with page.post(f"/_sim/users/42/{action}", json=given) as response:
        return response.status, await response.json()


async def test_the_page_and_what_it_asks_for_are_there(page: aiohttp.ClientSession) -> None:
    async with page.get("/_sim/") as response:
        assert "LINE" in await response.text()
    async with page.get("/_sim/faults") as response:
        assert "drop_answer" in (await response.json())["kinds"]


async def test_everything_a_customer_can_do_reaches_the_webhook_signed(
    line: LineSimulator, page: aiohttp.ClientSession
) -> None:
    for action in ("follow", "text", "image", "location", "unsend", "block"):
        status, told = await act(page, action, text="hi", latitude=25.0, longitude=121.5)
        assert (action, status, told) == (action, 200, {"webhook_status": 200})

    assert len(line.ledger.entries("delivery", status=200)) == 6
    async with page.get("/_sim/users/42/messages") as response:
        shown = (await response.json())["messages"]
    assert [message["type"] for message in shown] == ["text", "image"]  # the place was taken back


async def test_a_quick_reply_can_be_pressed_once_it_was_sent(line: LineSimulator, page: aiohttp.ClientSession) -> None:
    assert (await act(page, "press", label="Yes"))[0] == 400
    item = {"type": "action", "action": {"type": "postback", "label": "Yes", "data": "yes", "displayText": "Yes"}}
    message = {"type": "text", "text": "Sure?", "quickReply": {"items": [item]}}
    headers = {"Authorization": f"Bearer {line.token}"}
    body = {"to": USER, "messages": [message]}
    async with page.post("/v2/bot/message/push", json=body, headers=headers) as response:
        assert response.status == 200

    assert await act(page, "press", label="Yes") == (200, {"webhook_status": 200})


@pytest.mark.parametrize(("action", "given"), [("dance", {}), ("text", {}), ("location", {"latitude": "north"})])
async def test_nonsense_is_told_and_breaks_nothing(
    page: aiohttp.ClientSession, action: str, given: dict[str, object]
) -> None:
    status, told = await act(page, action, **given)

    assert status in {400, 404}
    assert told["error"]


async def test_a_fault_planned_on_the_page_happens_once(line: LineSimulator, page: aiohttp.ClientSession) -> None:
    async with page.post("/_sim/faults", json={"kind": "rate_limited"}) as response:
        assert response.status == 200
    async with page.post("/_sim/faults", json={"kind": "earthquake"}) as response:
        assert response.status == 400
    headers = {"Authorization": f"Bearer {line.token}"}

    statuses = []
    for _ in range(2):
        async with page.get("/v2/bot/info", headers=headers) as response:
            statuses.append(response.status)

    assert statuses == [429, 200]
    async with page.get("/_sim/ledger?kind=call") as response:
        assert [entry["status"] for entry in (await response.json())["entries"]] == [429, 200]


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"Authorization": "Bearer guess"}, b"{}", 401),
        ({"Content-Type": "text/plain"}, b"{}", 415),
        ({}, b"{", 400),
        ({}, b"[]", 400),
        ({}, b'{"to":7,"messages":[{"type":"text","text":"hi"}]}', 400),
        ({"X-Line-Retry-Key": "not-a-uuid"}, b"{}", 400),
    ],
)
async def test_the_api_refuses_what_line_refuses(
    line: LineSimulator, page: aiohttp.ClientSession, headers: dict[str, str], body: bytes, status: int
) -> None:
    given = {"Authorization": f"Bearer {line.token}", "Content-Type": "application/json", **headers}

    async with page.post("/v2/bot/message/push", data=body, headers=given) as response:
        assert response.status == status


async def test_a_retry_key_names_the_request_that_was_accepted_for_a_day(page: aiohttp.ClientSession) -> None:
    now = 1_000_000.0
    async with LineSimulator(now=lambda: now) as line:
        line.user(USER)
        key = {"X-Line-Retry-Key": "123e4567-e89b-12d3-a456-426614174000", "Authorization": f"Bearer {line.token}"}
        push = {"to": USER, "messages": [{"type": "text", "text": "hi"}]}
        answers = []
        for wait_s in (0.0, 86_399.0, 1.0):
            now += wait_s
            async with page.post(f"{line.url}/v2/bot/message/push", json=push, headers=key) as response:
                is_named = "X-Line-Accepted-Request-Id" in response.headers
                answers.append((response.status, is_named, await response.json()))

    assert [answer[:2] for answer in answers] == [(200, False), (409, True), (200, False)]
    assert answers[1][2] == {"message": "The retry key is already accepted", **answers[0][2]}


async def test_a_port_that_is_taken_is_told_in_one_sentence(line: LineSimulator) -> None:
    port = int(line.url.rsplit(":", 1)[1])

    with capture_logs(), pytest.raises(Misconfigured, match=str(port)):
        await serve_simulator("127.0.0.1", port)
