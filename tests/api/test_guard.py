"""What every request passes and every answer carries: token, pace, size, form, problems, versions, repeats."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
import structlog.testing
from sqlalchemy import select

from bot.errors import StoreUnavailable
from crm_sync.console_tables import api_answers
from crm_sync.tables import case_events
from desk.api_answers import ApiAnswers
from tests.api.api_under_test import NUMBER, ApiUnderTest, a_complaint


def is_problem(answer: httpx.Response, status: int, code: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == status
    assert document["code"] == code
    assert document["type"] == f"urn:frontdesk:problem:{code}"
    assert document["request_id"] == answer.headers["x-request-id"]
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("token", ["", "nobody", "admin,viewer"])
async def test_without_a_valid_token_nothing_is_read(api: ApiUnderTest, token: str) -> None:
    answer = await api.client(token).post("/cases/C-9/notes", content=b"{" * 60_000)
    is_problem(answer, 401, "not-authenticated")
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_specification_needs_no_token(api: ApiUnderTest) -> None:
    document = (await api.client("").get("/openapi.json")).json()
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names)) >= 30
    assert {"/feeds/{topic}", "/outages", "/cases/{number}"} <= set(document["paths"])
    assert all(operation.get("summary") or operation.get("description") for operation in operations)


@pytest.mark.parametrize(
    ("method", "path", "body", "media", "status", "code"),
    [
        ("GET", "/nothing", b"", "", 404, "not-found"),
        ("DELETE", "/cases", b"", "", 405, "method-not-allowed"),
        ("PATCH", f"/cases/{NUMBER}", b"x" * 50_001, "application/json", 413, "too-large"),
        ("PATCH", f"/cases/{NUMBER}", b"<a/>", "application/xml", 415, "not-json-type"),
        ("PATCH", f"/cases/{NUMBER}", b"{", "application/json", 400, "not-json"),
        ("PATCH", f"/cases/{NUMBER}", b"[" * 40_000, "application/json", 400, "not-json"),
        ("PATCH", f"/cases/{NUMBER}", b'{"severity":1%s}' % (b"0" * 5000), "application/json", 400, "not-json"),
        ("PATCH", f"/cases/{NUMBER}", b"", "", 422, "invalid"),
        ("GET", "/customers/99999999999999999999", b"", "", 422, "invalid"),
        ("GET", "/customers/0", b"", "", 422, "invalid"),
        ("GET", "/customers?cursor=x", b"", "", 422, "invalid"),
        ("GET", "/customers?limit=201", b"", "", 422, "invalid"),
        ("GET", "/cases/C-9", b"", "", 404, "not-found"),
        ("GET", "/cases/%00", b"", "", 404, "not-found"),
    ],
)
async def test_what_cannot_be_answered_is_a_problem(
    api: ApiUnderTest, method: str, path: str, body: bytes, media: str, status: int, code: str
) -> None:
    headers = {"Content-Type": media} if media else {}
    is_problem(await api.client().request(method, path, content=body, headers=headers), status, code)


@pytest.mark.parametrize(
    "body",
    [
        {"severity": 3, "why": "x", "status": "confirmed"},
        {"severity": 3, "why": "x", "version": 0},
        {"severity": 3, "why": "x\0"},
        {"severity": 3, "why": "x" * 4001},
        {"severity": 5, "why": "x"},
    ],
)
async def test_nothing_is_set_that_the_body_may_not_name(api: ApiUnderTest, body: dict[str, Any]) -> None:
    await api.says(a_complaint())
    is_problem(await api.client().patch(f"/cases/{NUMBER}", json=body), 422, "invalid")
    assert (await api.client().get(f"/cases/{NUMBER}")).json()["severity"] == 2


async def test_half_a_surrogate_pair_is_refused_on_the_way_in_and_harmless_on_the_way_out(api: ApiUnderTest) -> None:
    await api.says(a_complaint())
    asked = b'{"words": "half \\ud800"}'
    headers = {"Content-Type": "application/json"}
    is_problem(await api.client().post(f"/cases/{NUMBER}/notes", content=asked, headers=headers), 422, "invalid")
    customer = await api.says(user="bob", text="half \ud800 of it")
    record = await api.client().get(f"/customers/{customer}/record")
    assert record.status_code == 200
    assert record.json()["messages"][0]["text"] == "half ? of it"


async def test_permission_decides_and_the_problem_says_which(api: ApiUnderTest) -> None:
    await api.says(a_complaint())
    answer = await api.client("viewer").post(f"/cases/{NUMBER}/assignment", json={})
    is_problem(answer, 403, "not-permitted")
    assert "cases.work" in answer.json()["detail"]
    is_problem(await api.client("auditor").get("/cases"), 403, "not-permitted")


async def test_a_token_is_paced_and_told_when_to_come_back(api: ApiUnderTest) -> None:
    api.per_minute = 8
    answers = [await api.client().get("/case-alerts") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[0].headers["ratelimit-policy"] == '"token";q=8;w=60'
    assert int(answers[2].headers["retry-after"]) > 0
    assert answers[2].headers["ratelimit"].startswith('"token";r=0;t=')
    is_problem(answers[2], 429, "too-many-requests")
    assert (await api.client("manager").get("/case-alerts")).status_code == 200


async def test_request_id_is_the_clients_where_it_is_one(api: ApiUnderTest) -> None:
    asked = await api.client().get("/case-alerts", headers={"X-Request-Id": "abc-1"})
    assert asked.headers["x-request-id"] == "abc-1"
    forged = await api.client().get("/case-alerts", headers={"X-Request-Id": "<script>"})
    assert forged.headers["x-request-id"] not in ("", "<script>")


async def test_store_that_is_away_is_503_and_a_crash_is_500_without_details(api: ApiUnderTest) -> None:
    async def away(customer_id: int) -> Any:
        raise StoreUnavailable("store", "disk full at /secret")

    async def crash(customer_id: int) -> Any:
        raise RuntimeError("secret")

    customer = await api.says()
    api.rebuild(export=away, erase=crash)
    answer = await api.client("admin", {"x-a": "1"}).post(f"/customers/{customer}/export")
    is_problem(answer, 503, "unavailable")
    assert answer.headers["retry-after"] == "2"
    assert "secret" not in answer.text
    body = {"customer_id": customer, "confirm": "erase"}
    with structlog.testing.capture_logs() as logged:
        answer = await api.client("admin", {"x-a": "1"}).post(f"/customers/{customer}/erase", json=body)
    assert [line["event"] for line in logged if line["log_level"] == "error"] == ["api_request_crashed"]
    is_problem(answer, 500, "internal")
    assert "secret" not in answer.text


# --- versions -------------------------------------------------------------------------------------------------------


async def test_write_with_an_old_version_changes_nothing(api: ApiUnderTest) -> None:
    await api.says(a_complaint())
    client, path = api.client(), f"/cases/{NUMBER}"
    seen = (await client.get(path)).headers["etag"]
    first = await client.patch(path, json={"severity": 3, "why": "x"}, headers={"If-Match": seen})
    assert first.status_code == 200
    late = await client.patch(path, json={"severity": 4, "why": "x"}, headers={"If-Match": seen})
    is_problem(late, 412, "changed-since")
    assert (await client.get(path)).json()["severity"] == 3
    assert (await client.get(path)).headers["etag"] == first.headers["etag"]
    is_problem(
        await client.patch(path, json={"severity": 4, "why": "x"}, headers={"If-Match": '"other"'}),
        412,
        "changed-since",
    )


async def test_condition_that_cannot_be_checked_is_refused(api: ApiUnderTest) -> None:
    customer = await api.says()
    answer = await api.client().post(f"/customers/{customer}/export", headers={"If-Match": '"v1"'})
    is_problem(answer, 400, "not-versioned")


async def test_what_the_client_has_already_is_not_sent_again(api: ApiUnderTest) -> None:
    customer = await api.says()
    first = await api.client().get(f"/customers/{customer}")
    again = await api.client().get(f"/customers/{customer}", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    await api.client().patch(f"/customers/{customer}", json={"name": "Ann"})
    changed = await api.client().get(f"/customers/{customer}", headers={"If-None-Match": first.headers["etag"]})
    assert changed.status_code == 200


# --- the same request twice -----------------------------------------------------------------------------------------


async def events(api: ApiUnderTest) -> int:
    return len(await api.store.database.run(lambda conn: conn.execute(select(case_events)).all()))


async def test_the_same_write_is_done_once_and_answered_the_same(api: ApiUnderTest) -> None:
    await api.says(a_complaint())
    headers, before = {"Idempotency-Key": "k1"}, await events(api)
    first = await api.client().post(f"/cases/{NUMBER}/notes", json={"words": "called"}, headers=headers)
    again = await api.client().post(f"/cases/{NUMBER}/notes", json={"words": "called"}, headers=headers)
    assert first.status_code == again.status_code == 201
    assert again.content == first.content
    assert again.headers["etag"] == first.headers["etag"]
    assert again.headers["idempotency-replayed"] == "true"
    assert await events(api) == before + 1
    other = await api.client().post(f"/cases/{NUMBER}/notes", json={"words": "other"}, headers=headers)
    is_problem(other, 422, "key-reused")
    theirs = await api.client("manager").post(f"/cases/{NUMBER}/notes", json={"words": "other"}, headers=headers)
    assert theirs.status_code == 201


async def test_refusals_are_kept_too_and_a_days_old_key_is_free(api: ApiUnderTest) -> None:
    headers = {"Idempotency-Key": "k1"}
    refused = await api.client().post(f"/cases/{NUMBER}/notes", json={"words": "called"}, headers=headers)
    is_problem(refused, 404, "not-found")
    await api.says(a_complaint())
    again = await api.client().post(f"/cases/{NUMBER}/notes", json={"words": "called"}, headers=headers)
    assert again.status_code == 404
    api.clock.advance(hours=25)
    later = await api.client().post(f"/cases/{NUMBER}/notes", json={"words": "other words"}, headers=headers)
    assert later.status_code == 201


async def test_while_the_first_is_worked_on_the_second_is_told_to_wait(api: ApiUnderTest) -> None:
    customer = await api.says()
    entered, go = asyncio.Event(), asyncio.Event()

    async def slow(customer_id: int) -> Any:
        entered.set()
        await go.wait()
        return {"done": True}

    api.rebuild(export=slow)
    client, headers = api.client("admin", {"x-b": "1"}), {"Idempotency-Key": "k1"}
    first = asyncio.create_task(client.post(f"/customers/{customer}/export", headers=headers))
    await entered.wait()
    busy = await client.post(f"/customers/{customer}/export", headers=headers)
    is_problem(busy, 409, "in-progress")
    assert busy.headers["retry-after"] == "1"
    go.set()
    assert (await first).json() == {"done": True}
    assert (await client.post(f"/customers/{customer}/export", headers=headers)).json() == {"done": True}


async def test_what_failed_on_our_side_may_be_tried_again_under_its_key(api: ApiUnderTest) -> None:
    customer, tries = await api.says(), 0

    async def once(customer_id: int) -> Any:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise StoreUnavailable("store", "locked")
        return {"tries": tries}

    api.rebuild(export=once)
    client, headers = api.client("admin", {"x-c": "1"}), {"Idempotency-Key": "k1"}
    assert (await client.post(f"/customers/{customer}/export", headers=headers)).status_code == 503
    assert (await client.post(f"/customers/{customer}/export", headers=headers)).json() == {"tries": 2}


async def test_key_of_a_process_that_died_is_taken_over_after_a_while(api: ApiUnderTest) -> None:
    await api.says(a_complaint())
    answers = ApiAnswers(api.store.database, api.clock)
    name = ("token:admin", "POST", f"/cases/{NUMBER}/notes", "k1")
    assert await answers.begin(name, "digest") is None
    headers = {"Idempotency-Key": "k1"}
    is_problem(
        await api.client().post(f"/cases/{NUMBER}/notes", json={"words": "a"}, headers=headers), 422, "key-reused"
    )
    api.clock.advance(minutes=3)
    again = await api.client().post(f"/cases/{NUMBER}/notes", json={"words": "a"}, headers=headers)
    assert again.status_code == 201


@pytest.mark.parametrize("key", ["", "a b", "x" * 256])
async def test_key_that_is_none_is_refused(api: ApiUnderTest, key: str) -> None:
    answer = await api.client().post("/case-alerts/1/seen", headers={"Idempotency-Key": key})
    is_problem(answer, 422, "invalid")


async def test_old_answers_go_with_the_housekeeping(api: ApiUnderTest) -> None:
    await api.client().post("/case-alerts/1/seen", headers={"Idempotency-Key": "k1"})
    answers = ApiAnswers(api.store.database, api.clock)
    assert await answers.prune() == 0
    api.clock.advance(hours=25)
    assert await answers.prune() == 1
    left = await api.store.database.run(lambda conn: conn.execute(select(api_answers)).all(), read=True)
    assert left == []
