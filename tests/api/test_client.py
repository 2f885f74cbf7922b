"""The Python client against the real app, over real HTTP."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from sqlalchemy import insert, select

from bot.types import RequestHandoff
from crm_sync.service_tables import dues
from crm_sync.tables import case_events
from frontdesk.serving import HttpServer, listen
from frontdesk_client import (
    BadSignature,
    Changed,
    Conflict,
    Frontdesk,
    Invalid,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    Unavailable,
    verify,
)
from tests.api.api_under_test import NUMBER, ApiUnderTest, a_complaint
from tests.store_steps import START


@pytest.fixture
async def url(api: ApiUnderTest) -> AsyncIterator[str]:
    listener = listen("127.0.0.1", 0)
    server = HttpServer(api.app, listener)
    running = asyncio.create_task(server.run())
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.stop()
    await running


async def test_case_is_read_changed_and_refused_when_stale(api: ApiUnderTest, url: str) -> None:
    await api.says(a_complaint())
    async with Frontdesk(url, "supervisor") as desk:
        case, etag = await desk.case(NUMBER)
        assert case["severity"] == 2
        state = await desk.set_case_status(NUMBER, "in_progress", "we look into it", if_match=etag)
        assert state["status"] == "in_progress"
        with pytest.raises(Changed):
            await desk.set_case_status(NUMBER, "waiting_customer", "which one?", if_match=etag)
        with pytest.raises(Conflict):
            await desk.set_case_status(NUMBER, "reopened", "it is open")
        with pytest.raises(Invalid):
            await desk.add_case_note(NUMBER, "")
        with pytest.raises(NotFound):
            await desk.case("C-9")
        assert [line["number"] async for line in desk.cases(severity=2)] == [NUMBER]
    async with Frontdesk(url, "viewer") as looking:
        with pytest.raises(NotPermitted) as refused:
            await looking.add_case_note(NUMBER, "x")
        assert refused.value.request_id
    async with Frontdesk(url, "nobody") as nobody:
        with pytest.raises(NotAuthenticated):
            await nobody.case(NUMBER)


async def test_more_time_to_pay_is_looked_at_and_granted_once_by_who_may(api: ApiUnderTest, url: str) -> None:
    customer = await api.says(a_complaint())
    bill = {"key": "b-1", "kind": "bill", "amount_minor": 900, "currency": "CNY", "due_on": "2026-12-01"}
    owed = insert(dues).values(customer_id=customer, updated_at=START, **bill)
    await api.store.database.run(lambda conn: conn.execute(owed) and None)
    async with Frontdesk(url, "operator") as worker:
        with pytest.raises(NotPermitted):
            await worker.payment_plans(NUMBER)
        with pytest.raises(NotPermitted):
            await worker.grant_payment_plan(NUMBER, "three_parts")
    async with Frontdesk(url, "supervisor") as desk:
        (choice,) = await desk.payment_plans(NUMBER)
        assert (choice["plan"], choice["is_asked"]) == ("three_parts", False)
        assert choice["parts"][0] == {"amount_minor": 300, "due_on": "2026-12-01"}
        with pytest.raises(Invalid):  # none was asked for, so one has to be named
            await desk.grant_payment_plan(NUMBER)
        with pytest.raises(Changed):
            await desk.grant_payment_plan(NUMBER, "three_parts", if_match='"7"')
        granted = await desk.grant_payment_plan(NUMBER, "three_parts")
        assert granted["parts"]["b-1"] == choice["parts"]
        assert await desk.payment_plans(NUMBER) == []
        with pytest.raises(Conflict):
            await desk.grant_payment_plan(NUMBER, "three_parts")


async def test_lists_are_read_to_their_end(api: ApiUnderTest, url: str) -> None:
    wanted = [await api.says(user=f"u{number}") for number in range(5)]
    async with Frontdesk(url, "admin") as desk:
        assert [customer["id"] async for customer in desk.customers(limit=2)] == wanted[::-1]
        assert await desk.change_customer(wanted[0], name="Ann", add_tags=["vip"]) == ["name", "tags"]
        assert (await desk.customer(wanted[0]))["tags"] == ["vip"]


async def test_conversation_is_taken_answered_and_returned(api: ApiUnderTest, url: str) -> None:
    await api.says(RequestHandoff("asked"))
    async with Frontdesk(url, "supervisor") as desk:
        opened, etag = await desk.conversation(1)
        assert opened["row"]["owner"] == "queue"
        moved, _ = await desk.take(1, if_match=etag)
        assert moved["owner"] == "operator"
        first = await desk.send(1, "hello", client_id="a")
        assert (await desk.send(1, "hello", client_id="a"))["message_ids"] == first["message_ids"]
        assert (await desk.hand_back(1, summary="said hello"))["owner"] == "bot"


async def test_write_whose_answer_was_lost_is_tried_again_and_done_once(api: ApiUnderTest, url: str) -> None:
    await api.says(a_complaint())
    lost = 0

    async def forward(request: web.Request) -> web.StreamResponse:
        """Passes the request on, and loses the first answer."""
        nonlocal lost
        async with (
            aiohttp.ClientSession() as session,
            session.request(
                request.method, url + request.path_qs, data=await request.read(),
                headers={name: request.headers[name] for name in ("Authorization", "Idempotency-Key", "Content-Type")},
            ) as answer,
        ):  # fmt: skip
            body = await answer.read()
            if lost == 0:
                lost += 1
                return web.Response(status=503, headers={"Retry-After": "0"})
            return web.Response(status=answer.status, body=body, content_type="application/json")

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", forward)
    runner = web.AppRunner(app)
    await runner.setup()
    listener = listen("127.0.0.1", 0)
    await web.SockSite(runner, listener).start()

    async def notes() -> int:
        rows = await api.store.database.run(lambda conn: conn.execute(select(case_events)).all(), read=True)
        return len([row for row in rows if row.note == "called them"])

    async with Frontdesk(f"http://127.0.0.1:{listener.getsockname()[1]}", "admin") as desk:
        assert (await desk.add_case_note(NUMBER, "called them"))["number"] == NUMBER
    assert (lost, await notes()) == (1, 1)
    await runner.cleanup()


async def test_server_that_is_not_there_is_unavailable() -> None:
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    listener.close()
    async with Frontdesk(f"http://127.0.0.1:{port}", "admin", tries=1) as desk:
        with pytest.raises(Unavailable):
            await desk.case(NUMBER)


def signed(secret: str, stamp: int, body: bytes) -> str:
    return f"t={stamp},v1={hmac.new(secret.encode(), b'%d.' % stamp + body, hashlib.sha256).hexdigest()}"


def test_receiver_believes_only_fresh_requests_with_its_secret() -> None:
    body = b'{"event":"ping"}'
    verify("whs_a", signed("whs_a", 1000, body), body, now=1200)
    wrong: list[tuple[str, bytes, Any]] = [
        (signed("whs_b", 1000, body), body, 1200),
        (signed("whs_a", 1000, body), b"{}", 1200),
        (signed("whs_a", 1000, body), body, 1400),
        ("", body, 1000),
        ("t=x,v1=y", body, 1000),
        ("t=1000", body, 1000),
    ]
    for header, given, now in wrong:
        with pytest.raises(BadSignature):
            verify("whs_a", header, given, now=now)


async def test_client_finds_people_opens_cases_uploads_lists_and_trains(api: ApiUnderTest, url: str) -> None:
    customer = await api.says(RequestHandoff("asked"))
    async with Frontdesk(url, "admin") as desk:
        assert [found["id"] async for found in desk.search_customers(str(customer))] == [customer]
        opened = await desk.open_case(customer, "complaint", "the parcel is late", severity=3)
        assert (opened["severity"], opened["status"]) == (3, "received")
        assert await desk.upload_list("fair", "fair.csv", b"customer_id\n1\n") == (1, [])
        run = await desk.start_training()
        assert (await desk.training())["newest"]["id"] == run["id"]
        with pytest.raises(NotFound):
            await desk.promote("v9", seen="")
        with pytest.raises(Conflict):
            await desk.attach(1, "note.txt", b"x")  # no files are kept here
        with pytest.raises(NotFound):
            await desk.uncertain_sends("nothing")
        with pytest.raises(NotFound):
            await desk.decide_uncertain_sends("nothing", send_again=False)
