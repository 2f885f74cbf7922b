"""Conversations through the API: listed, taken, answered once, given on, set aside, closed."""

from __future__ import annotations

from typing import Any

from bot.types import RequestHandoff
from tests.api.api_under_test import ApiUnderTest
from tests.staff import an_account


async def waiting(api: ApiUnderTest) -> dict[str, Any]:
    """Ann's conversation, which waits for a person."""
    await an_account(api.store, "li", "operator")
    await api.says(RequestHandoff("asked"), text="a person please")
    found: dict[str, Any] = (await api.client("supervisor").get("/conversations")).json()["items"][0]
    return found


async def test_conversation_is_taken_answered_once_and_returned(api: ApiUnderTest) -> None:
    row, client = await waiting(api), api.client("supervisor")
    path = f"/conversations/{row['id']}"
    opened = await client.get(path)
    assert opened.json()["history"]["entries"][0]["message"]["text"] == "a person please"
    assert (await client.get("/conversation-counts")).json()["counts"]["queue"] == 1
    taken = await client.post(f"{path}/take", headers={"If-Match": opened.headers["etag"]})
    assert (taken.status_code, taken.json()["owner"]) == (200, "operator"), taken.text
    late = await client.post(f"{path}/take", headers={"If-Match": opened.headers["etag"]})
    assert late.status_code == 412
    headers = {"Idempotency-Key": "m1", "If-Match": taken.headers["etag"]}
    sent = await client.post(f"{path}/messages", json={"text": "I am here"}, headers=headers)
    again = await client.post(f"{path}/messages", json={"text": "I am here"}, headers=headers)
    assert (sent.status_code, again.json()) == (201, sent.json()), sent.text
    once = {"text": "by its own id", "client_id": "c1"}
    first, second = [await client.post(f"{path}/messages", json=once) for _ in range(2)]
    assert first.json()["message_ids"] == second.json()["message_ids"]
    assert (first.json()["is_new"], second.json()["is_new"]) == (True, False)
    assert (await client.post(f"{path}/messages", json={"text": "no id"})).status_code == 422
    updates = await client.get(f"{path}/updates", params={"newest": opened.json()["history"]["newest"]})
    said = [entry["message"]["text"] for entry in updates.json()["entries"] if entry["message"]]
    assert said == ["I am here", "by its own id"]
    back = await client.post(f"{path}/return", json={"outcome": "solved", "summary": "told them"})
    assert back.json()["owner"] == "bot"


async def test_what_is_not_visible_is_not_there(api: ApiUnderTest) -> None:
    row = await waiting(api)
    assert (await api.client("auditor").get("/conversations")).status_code == 403
    assert (await api.client("viewer").post(f"/conversations/{row['id']}/take")).status_code == 403
    for path in ("/conversations/999", "/conversations/999/history"):
        assert (await api.client().get(path)).status_code == 404
    assert (await api.client().post("/conversations/999/take")).status_code == 404


async def test_conversation_is_planned_for_snoozed_and_closed(api: ApiUnderTest) -> None:
    row, client = await waiting(api), api.client("supervisor")
    path = f"/conversations/{row['id']}"
    await client.post(f"{path}/take")
    plan = {"text": "good morning", "send_at": "2026-11-23T09:00:00+08:00"}
    planned = await client.post(f"{path}/scheduled-messages", json=plan)
    assert planned.status_code == 201, planned.text
    assert [item["text"] for item in (await client.get(f"{path}/scheduled-messages")).json()["items"]] == [plan["text"]]
    assert (await client.delete(f"{path}/scheduled-messages/{planned.json()['id']}")).status_code == 204
    for until, status in (("2026-11-25T09:00:00Z", 204), ("2020-01-01T00:00:00Z", 422), ("soon", 422), (1e300, 422)):
        answer = await client.post(f"{path}/snooze", json={"until": until})
        assert answer.status_code == status, answer.text
    assert [item["id"] for item in (await client.get("/conversations?list=snoozed")).json()["items"]] == [row["id"]]
    assert (await client.post(f"{path}/reopen")).status_code == 204
    assert (await client.post(f"{path}/close")).status_code == 204
    assert (await client.get("/conversations?list=closed")).json()["items"][0]["status"] == "closed"


async def test_conversation_is_given_on_and_presence_told(api: ApiUnderTest) -> None:
    row, client = await waiting(api), api.client("supervisor")
    path = f"/conversations/{row['id']}"
    assert (await client.post(f"{path}/transfer", json={"team": "nowhere"})).status_code == 404
    moved = await client.post(f"{path}/transfer", json={"team": "care", "note": "yours"})
    assert (moved.status_code, moved.json()["team"]) == (200, "care"), moved.text
    nobody = await client.post(f"{path}/assignment", json={"operator": "nobody"})
    assert nobody.status_code == 404
    given = await client.post(f"{path}/assignment", json={"operator": "li"})
    assert given.json()["operator"] == "li", given.text
    assert "li" in {item["name"] for item in (await client.get("/presence")).json()["items"]}
    token = await api.client("operator").put("/presence", json={"state": "online"})
    assert token.status_code == 404  # only people are there or not
    assert (await api.client("operator").post("/conversations/next")).status_code == 404
