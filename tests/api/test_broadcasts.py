"""Broadcasts through the API: written, decided on by two, followed; segments, lists, coupons, consents."""

from __future__ import annotations

from copy import deepcopy

from tests.api.api_under_test import ApiUnderTest
from tests.broadcast_steps import DOCUMENT, MIA, agreed


async def test_a_broadcast_is_written_approved_by_another_and_started_once(api: ApiUnderTest) -> None:
    await agreed(api.store, 3)
    client, other = api.client("marketer"), api.client("admin")
    made = await client.post("/broadcasts", json={"document": deepcopy(dict(DOCUMENT))})
    assert (made.status_code, made.json()["state"]) == (201, "draft"), made.text
    looked = (await client.get("/broadcasts/winter/preflight")).json()
    assert (looked["may_start"], looked["reached"]) == (
        True,
        [{"channel": "telegram", "account": "main", "people": 3}],
    )
    assert (looked["quotas"], looked["asleep"]) == ([], 0)
    own = await client.post("/broadcasts/winter/approval", headers={"If-Match": made.headers["etag"]})
    assert own.status_code in (409, 422), own.text
    approved = await other.post("/broadcasts/winter/approval", headers={"If-Match": made.headers["etag"]})
    assert approved.json()["approved_by"] == "token:admin", approved.text
    late = await other.post("/broadcasts/winter/start", headers={"If-Match": made.headers["etag"]})
    assert late.status_code == 412
    key = {"Idempotency-Key": "once", "If-Match": approved.headers["etag"]}
    started = await other.post("/broadcasts/winter/start", headers=key)
    assert started.status_code == 200, started.text
    again = await other.post("/broadcasts/winter/start", headers=key)
    assert again.headers["idempotency-replayed"] == "true"
    assert (await client.post("/broadcasts/winter/pause")).json()["state"] == "paused"
    status = (await client.get("/broadcasts/winter/status")).json()
    assert (status["state"], status["total"], status["done"]) == ("paused", 0, 0)
    assert (await client.post("/broadcasts/winter/cancel")).json()["state"] == "cancelled"
    brought = (await client.get("/broadcasts/winter/results")).json()
    assert brought["whole"]["sums"]["blocked"] == 0
    assert (brought["whole"]["uplift"], brought["whole"]["differs"], brought["returned"]) == (None, False, None)
    file = await client.get("/broadcasts/winter/recipients.csv")
    assert file.text.startswith("customer_id,"), file.text
    assert (await api.client("operator").get("/broadcasts")).status_code == 403


async def test_a_wrong_document_is_refused_with_its_place_and_pages_follow_each_other(api: ApiUnderTest) -> None:
    client = api.client("marketer")
    wrong = await client.post("/broadcasts", json={"document": {**DOCUMENT, "channels": []}})
    assert (wrong.status_code, "at least one channel" in wrong.text) == (422, True)
    for name in ("one", "two", "three"):
        await api.desk.reach.broadcasts.create(MIA, {**DOCUMENT, "name": name})
    first = (await client.get("/broadcasts", params={"limit": 2})).json()
    second = (await client.get("/broadcasts", params={"limit": 2, "cursor": first["next"]})).json()
    assert [row["name"] for row in first["items"] + second["items"]] == ["three", "two", "one"]
    assert second["next"] is None


async def test_segments_lists_coupons_and_consents(api: ApiUnderTest) -> None:
    await agreed(api.store, 2)
    client = api.client("marketer")
    definition = {"all": [{"field": "channel", "has": "telegram"}]}
    assert (await client.post("/segments/count", json={"definition": definition})).json()["count"] == 2
    kept = await client.put("/segments/chatting", json={"definition": definition})
    assert kept.status_code == 200, kept.text
    assert (await client.put("/segments/x", json={"definition": {"field": "nothing", "is": 1}})).status_code == 422
    made = await client.post("/audience-lists", json={"name": "now", "segment": "chatting"})
    assert (made.status_code, made.json()["members"]) == (201, 2), made.text
    assert (await client.post("/coupon-pools", json={"name": "winter"})).status_code == 201
    added = await client.post("/coupon-pools/winter/codes", json={"codes": "A-1\nA-2"})
    assert added.json()["pool"]["left"] == 2, added.text
    assert (await client.post("/coupon-redemptions", json={"code": "A-1"})).status_code == 422
    lines = (await client.get("/consents", params={"purpose": "promotion"})).json()["items"]
    assert [(line["purpose"], line["granted"]) for line in lines] == [("promotion", True)] * 2
