"""Subscribers through the API: registered, changed, looked at, told again."""

from __future__ import annotations

from desk.hooks import HookQueue
from tests.api.api_under_test import ApiUnderTest
from tests.store_steps import SECRET_KEYS

WANTED = {"url": "https://erp.example/in", "events": ["case.opened", "message.received"]}


async def test_subscriber_is_registered_changed_and_removed(api: ApiUnderTest) -> None:
    client = api.client()
    assert (await api.client("manager").post("/hooks", json=WANTED)).status_code == 403
    assert (await client.post("/hooks", json={**WANTED, "url": "http://10.0.0.1/x"})).status_code == 422
    assert (await client.post("/hooks", json={**WANTED, "events": ["nothing"]})).status_code == 422
    made = await client.post("/hooks", json=WANTED)
    assert made.json()["secret"].startswith("whs_")
    path = made.headers["location"].removeprefix("/api/v1")
    assert "secret" not in (await client.get(path)).json()
    changed = await client.patch(path, json={"is_active": False}, headers={"If-Match": made.headers["etag"]})
    assert (changed.json()["is_active"], changed.json()["events"]) == (False, WANTED["events"])
    late = await client.patch(path, json={"events": ["*"]}, headers={"If-Match": made.headers["etag"]})
    assert late.status_code == 412
    assert (await client.post(f"{path}/secret")).json()["secret"] != made.json()["secret"]
    assert [hook["url"] for hook in (await client.get("/hooks")).json()["items"]] == [WANTED["url"]]
    assert (await client.delete(path)).status_code == 204
    assert (await client.get(path)).status_code == 404


async def test_deliveries_are_listed_and_told_again(api: ApiUnderTest) -> None:
    client = api.client()
    path = (await client.post("/hooks", json=WANTED)).headers["location"].removeprefix("/api/v1")
    await api.says(text="hello")
    assert await HookQueue(api.store.database, api.clock, SECRET_KEYS).follow() == 1
    assert (await client.post(f"{path}/ping")).status_code == 202
    first = (await client.get(f"{path}/deliveries", params={"limit": 1})).json()
    second = (await client.get(f"{path}/deliveries", params={"cursor": first["next"]})).json()
    assert [item["event"] for item in (*first["items"], *second["items"])] == ["ping", "message.received"]
    assert second["items"][0]["payload"]["data"]["text"] == "hello"
    again = await client.post(f"{path}/deliveries/{second['items'][0]['id']}/replay")
    assert again.json()["state"] == "pending"
    assert (await client.post(f"{path}/deliveries/999/replay")).status_code == 404
    names = [item["name"] for item in (await client.get("/hook-events")).json()["items"]]
    assert set(WANTED["events"]) <= set(names)
