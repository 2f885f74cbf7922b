"""Notes, canned replies, search, views and the bot's texts through the API."""

from __future__ import annotations

from bot.types import RequestHandoff
from tests.api.api_under_test import ApiUnderTest


async def test_notes_and_canned_replies(api: ApiUnderTest) -> None:
    await api.says(RequestHandoff("asked"))
    client = api.client("supervisor")
    note = await client.post("/conversations/1/notes", json={"text": "knows the carrier"})
    assert (note.status_code, note.json()["text"]) == (201, "knows the carrier"), note.text
    assert (await client.post("/conversations/9/notes", json={"text": "x"})).status_code == 404
    path = f"/conversations/1/notes/{note.json()['id']}"
    assert (await client.patch(path, json={"text": "knows them all"})).status_code == 204
    reply = {"shortcut": "hi", "texts": {"en": "Hello {name}"}}
    made = await client.post("/canned-replies", json=reply)
    assert made.status_code == 201, made.text
    path = f"/canned-replies/{made.json()['id']}"
    headers = {"If-Match": f'"v{made.json()["version"]}"'}
    changed = await client.put(path, json={**reply, "texts": {"en": "Good day"}}, headers=headers)
    assert changed.json()["texts"] == {"en": "Good day"}, changed.text
    assert (await client.put(path, json=reply, headers=headers)).status_code == 412
    assert (await client.post(f"{path}/filled", json={"conversation_id": 1})).json()["text"] == "Good day"
    assert [item["shortcut"] for item in (await client.get("/canned-replies?q=h")).json()["items"]] == ["hi"]
    assert (await api.client("operator").post("/canned-replies", json=reply)).status_code == 403
    assert (await client.delete(path)).status_code == 204


async def test_search_and_the_words_of_the_bot(api: ApiUnderTest) -> None:
    client = api.client("supervisor")
    found = await client.post("/search", json={"words": "nobody"})
    assert (found.status_code, found.json()["people"]) == (200, []), found.text
    assert (await client.get("/views", params={"screen": "attic"})).status_code == 422
    lines = (await client.get("/responses")).json()["items"]
    shown = await client.get(f"/responses/{lines[0]['name']}")
    assert shown.json()["line"]["name"] == lines[0]["name"], shown.text
    wanted = {"texts": ["Hello, this is the shop."], "seen": 0}
    checked = await client.post("/responses/utter_greet/en/check", json={"texts": wanted["texts"]})
    assert checked.status_code == 200, checked.text
    saved = await client.put("/responses/utter_greet/en", json=wanted)
    assert saved.status_code in (204, 422), saved.text
    assert (await client.get("/responses/utter_nothing")).status_code == 404
