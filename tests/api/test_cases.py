"""A case travels the board through the API, and its customer hears of it."""

from __future__ import annotations

from sqlalchemy import insert, select

from crm_sync.numbers import written
from crm_sync.service_tables import sites, timers
from tests.api.api_under_test import NUMBER, ApiUnderTest, a_complaint
from tests.store_steps import START

CASE = f"/cases/{NUMBER}"


async def test_case_is_taken_worked_on_solved_and_reopened(api: ApiUnderTest) -> None:
    await api.says(a_complaint())
    client = api.client("operator")
    taken = (await client.post(f"{CASE}/assignment", json={})).json()
    assert (taken["status"], taken["owner"]) == ("assigned", "token:operator")
    going = await client.post(f"{CASE}/status", json={"status": "in_progress", "words": "we asked the carrier"})
    assert going.json()["status"] == "in_progress"
    bad = await client.post(f"{CASE}/status", json={"status": "solved", "words": "done", "cause": "x", "remedy": "y"})
    assert (bad.status_code, bad.json()["code"]) == (422, "invalid")
    codes = {"cause": "delay", "remedy": "delivered"}
    solved = await client.post(f"{CASE}/status", json={"status": "solved", "words": "sent again", **codes})
    assert solved.json()["status"] == "solved", solved.text
    wrong = await client.post(f"{CASE}/status", json={"status": "waiting_customer", "words": "and now"})
    assert (wrong.status_code, wrong.json()["code"]) == (409, "conflict")
    assert (await client.post(f"{CASE}/status", json={"status": "reopened", "words": "not yet"})).status_code == 200
    shown = (await client.get(CASE)).json()
    assert (shown["status"], shown["severity"], shown["reopened"]) == ("reopened", 3, 1)
    assert [event["changes"].get("status") for event in shown["events"]][-2:] == ["solved", "reopened"]
    rows = await api.store.database.run(lambda conn: conn.execute(select(timers)).all(), read=True)
    assert any(row.kind == "notice" for row in rows)


async def test_board_is_read_page_by_page_and_filtered(api: ApiUnderTest) -> None:
    numbers = [written(1000 + n) for n in range(5)]
    for place, number in enumerate(numbers):
        await api.says(a_complaint(number, subject=str(place)), user=f"u{place}")
    seen: list[str] = []
    cursor = ""
    while True:
        page = await api.client().get("/cases", params={"limit": 2, "cursor": cursor})
        seen += [line["number"] for line in page.json()["items"]]
        cursor = page.json()["next"]
        assert ("link" in page.headers) == bool(cursor)
        if not cursor:
            break
    assert seen == numbers[::-1]
    await api.client().patch(f"/cases/{numbers[2]}", json={"severity": 4, "why": "it burns"})
    severe = (await api.client().get("/cases", params={"severity": 4})).json()
    assert [line["number"] for line in severe["items"]] == [numbers[2]]
    assert (await api.client().get("/cases", params={"site": "nowhere"})).status_code == 404


async def test_link_header_leads_to_the_next_page(api: ApiUnderTest) -> None:
    for user in ("ann", "bob", "cid"):
        await api.says(user=user)
    first = await api.client().get("/customers", params={"limit": 1})
    address = first.headers["link"].partition(">")[0][1:]
    assert address.startswith("/api/v1/customers?")
    second = await api.client().get(f"https://desk.example{address}")
    assert first.json()["items"][0]["id"] > second.json()["items"][0]["id"]


async def test_compensation_above_the_limit_waits_for_somebody_else(api: ApiUnderTest) -> None:
    await api.says(a_complaint())
    offer = {"kind": "refund", "amount_minor": 10**9, "reason": "late"}
    offered = await api.client("operator").post(f"{CASE}/compensations", json=offer)
    assert (offered.status_code, offered.json()["state"]) == (201, "proposed")
    (waiting,) = (await api.client("manager").get("/compensations")).json()["items"]
    assert waiting["number"] == NUMBER
    path, refused = f"/compensations/{waiting['id']}/decision", {"approve": False, "why": "too much"}
    assert (await api.client("operator").post(path, json=refused)).status_code == 403
    decided = await api.client("manager").post(path, json=refused)
    assert decided.json()["state"] == "refused"
    assert (await api.client("admin").post(path, json=refused)).status_code == 409


async def test_notes_watching_and_conversations(api: ApiUnderTest) -> None:
    await api.says(a_complaint())
    client = api.client("operator")
    assert (await client.post(f"{CASE}/notes", json={"words": "carrier knows"})).status_code == 201
    assert (await client.post(f"{CASE}/notes", json={"words": "soon", "is_internal": False})).status_code == 201
    assert (await client.put(f"{CASE}/watching", json={"wanted": True})).status_code == 204
    shown = (await client.get(CASE)).json()
    assert [event["is_internal"] for event in shown["events"]][-3:] == [True, False, True]
    assert shown["watchers"] == ["token:operator"]
    assert (await client.post(f"{CASE}/conversations", json={"conversation_id": 999})).status_code == 404
    first = shown["conversations"][0]["id"]
    assert (await client.post(f"{CASE}/conversations", json={"conversation_id": first})).status_code == 204


async def test_causes_and_alerts_are_listed(api: ApiUnderTest) -> None:
    times = {"since": "2026-11-01T00:00:00+08:00", "until": "2026-12-01T00:00:00Z"}
    assert (await api.client("viewer").get("/case-causes", params=times)).json() == {"items": [], "next": None}
    assert (await api.client("viewer").get("/case-causes", params={**times, "until": "1"})).status_code == 422
    assert (await api.client("viewer").get("/case-alerts")).json()["items"] == []
    assert (await api.client("viewer").post("/case-alerts/1/seen")).status_code == 403
    assert (await api.client("operator").post("/case-alerts/1/seen")).status_code == 204


async def test_a_case_is_given_to_a_site_that_can_solve_it(api: ApiUnderTest) -> None:
    await api.says(a_complaint())
    site = {"key": "s1", "names": {"en": "Baoding Road"}, "updated_at": START}
    await api.store.database.run(lambda conn: conn.execute(insert(sites).values(**site)) and None)
    client = api.client("operator")
    (choice,) = (await client.get(f"{CASE}/site-choices")).json()["items"]
    assert (choice["key"], choice["distance_m"], choice["open_tasks"]) == ("s1", None, 0)
    given = (await client.post(f"{CASE}/site", json={"site": "s1"})).json()
    assert (given["site"], given["link"]) == ("s1", "https://desk.example/site/1")
    assert (await client.post(f"{CASE}/site", json={"site": "s9"})).status_code == 404
    assert (await api.client("viewer").post(f"{CASE}/site", json={"site": "s1"})).status_code == 403
    await client.post(f"{CASE}/status", json={"status": "withdrawn", "words": "a mistake"})
    assert (await client.post(f"{CASE}/site", json={"site": "s1"})).status_code == 409
    assert (await client.get(f"{CASE}/site-choices")).json()["items"] == []
