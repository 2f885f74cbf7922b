"""What the console did and the API did not: sessions, cases opened by staff, files, learning, uncertain sends."""

from __future__ import annotations

from base64 import b64encode
from copy import deepcopy
from datetime import timedelta
from typing import Any

from sqlalchemy import insert, select, update

from bot.types import Received, RequestHandoff
from crm_sync.broadcast_tables import broadcast_recipients
from crm_sync.console_tables import staff_sessions
from crm_sync.tables import conversations, staff_users
from tests.api.api_under_test import NUMBER, ApiUnderTest, a_complaint
from tests.broadcast_steps import DOCUMENT, agreed
from tests.store_steps import START

DAYS = {"since": "2026-11-01", "until": "2026-11-20"}


def base64(text: str) -> str:
    return b64encode(text.encode()).decode()


async def test_sessions_of_an_account_are_listed_and_one_of_them_ended(api: ApiUnderTest) -> None:
    client = api.client()
    for name in ("li", "eve"):
        await client.post("/users", json={"name": name, "role": "operator"})
    of_li = select(staff_users.c.id).where(staff_users.c.name == "li")

    def open_two(conn: Any) -> None:
        user = conn.execute(of_li).scalar_one()
        for key in ("a", "b"):
            times = {"created_at": START, "last_seen_at": START, "expires_at": START + timedelta(hours=2)}
            conn.execute(
                insert(staff_sessions).values(
                    key=key, user_id=user, method="password", device=f"browser {key}", **times
                )
            )

    await api.store.database.run(open_two)
    items = (await client.get("/users/li/sessions")).json()["items"]
    assert [item["device"] for item in items] == ["browser b", "browser a"]
    path = f"/users/li/sessions/{items[0]['id']}"
    assert (await client.delete(path.replace("/li/", "/eve/"))).status_code == 404
    assert (await api.client("supervisor").delete(path)).status_code == 403
    assert (await client.delete(path)).status_code == 204
    assert (await client.delete(path)).status_code == 404
    assert [item["device"] for item in (await client.get("/users/li/sessions")).json()["items"]] == ["browser a"]


async def test_staff_open_a_case_once_about_the_same_thing(api: ApiUnderTest) -> None:
    customer = await api.says(RequestHandoff("asked"))
    client = api.client("operator")
    wanted = {"customer_id": customer, "kind": "complaint", "words": "the parcel 2391 is late", "subject": "2391"}
    made = await client.post("/cases", json=wanted)
    assert made.status_code == 201, made.text
    assert made.headers["location"].endswith(made.json()["number"])
    case = (await client.get(f"/cases/{made.json()['number']}")).json()
    assert (case["status"], case["subject"], case["details"]["what_happened"]) == ("received", "2391", wanted["words"])
    assert [(event["kind"], event["by"]) for event in case["events"]] == [("opened", "token:operator")]
    assert {clock["state"] for clock in case["clocks"]} == {"running"}
    assert (await client.post("/cases", json=wanted)).status_code == 409
    other = {**wanted, "subject": "", "customer_id": 999}
    assert (await client.post("/cases", json=other)).status_code == 404
    assert (await client.post("/cases", json={**wanted, "site": "nowhere"})).status_code == 404
    assert (await api.client("viewer").post("/cases", json=wanted)).status_code == 403


async def test_many_cases_at_once_and_each_says_what_became_of_it(api: ApiUnderTest) -> None:
    await api.says(a_complaint())
    client = api.client("operator")
    done = await client.post("/cases/bulk", json={"numbers": [NUMBER, "C-1-1"], "act": "take"})
    results = {item["number"]: item["error"] is None for item in done.json()["items"]}
    assert results == {NUMBER: True, "C-1-1": False}
    assert [(column["status"], column["count"]) for column in (await client.get("/case-board")).json()["items"]][1] == (
        "assigned",
        1,
    )
    times = {"since": "2026-01-01T00:00:00Z", "until": "2027-12-31T00:00:00Z"}
    assert (await client.get("/case-promises", params=times)).status_code == 200


async def test_words_of_a_search_are_in_the_body_and_refused_in_the_address(api: ApiUnderTest) -> None:
    customer = await api.says(RequestHandoff("asked"))
    client = api.client()
    found = await client.post("/customers/search", json={"words": str(customer)})
    assert [item["id"] for item in found.json()["items"]] == [customer], found.text
    refused = await client.get("/customers", params={"q": "ann"})
    assert (refused.status_code, "POST /customers/search" in refused.json()["detail"]) == (422, True)
    assert (await client.get("/search", params={"q": "ann"})).status_code == 405


async def test_a_field_somebody_else_has_changed_is_not_overwritten(api: ApiUnderTest) -> None:
    customer = await api.says()
    client = api.client()
    assert (await client.patch(f"/customers/{customer}", json={"name": "Ann", "seen": {"name": ""}})).status_code == 200
    late = await client.patch(f"/customers/{customer}", json={"name": "Anna", "seen": {"name": ""}})
    assert late.status_code == 409


async def test_a_customer_is_changed_only_as_they_were_read(api: ApiUnderTest) -> None:
    customer = await api.says()
    client = api.client()
    read = (await client.get(f"/customers/{customer}")).headers["etag"]
    seen = {"If-Match": read}
    first = await client.patch(f"/customers/{customer}", json={"name": "Ann", "add_tags": ["vip"]}, headers=seen)
    assert (first.status_code, first.json()["changed"]) == (200, ["name", "tags"]), first.text
    for late in ({"email": "a@example.com"}, {"add_tags": ["late"]}, {"credit_class": "A"}):
        assert (await client.patch(f"/customers/{customer}", json=late, headers=seen)).status_code == 412
    now = await client.get(f"/customers/{customer}")
    assert (now.json()["email"], now.json()["tags"], now.json()["credit_class"]) == ("", ["vip"], "")
    assert (await client.get(f"/customers/{customer}", headers={"If-None-Match": read})).status_code == 200
    again = {"If-None-Match": now.headers["etag"]}
    assert (await client.get(f"/customers/{customer}", headers=again)).status_code == 304
    matching = {"If-Match": now.headers["etag"]}
    done = await client.patch(f"/customers/{customer}", json={"remove_tags": ["vip"]}, headers=matching)
    assert done.status_code == 200


async def test_conversation_becomes_a_test_and_helps_are_at_hand(api: ApiUnderTest) -> None:
    await api.says(RequestHandoff("asked"), text="when are you open")
    client = api.client("supervisor")
    made = await client.post("/conversations/1/regression-tests", json={"name": "hours"})
    assert (made.status_code, made.json()["name"]) == (201, "hours"), made.text
    assert "hours" in (await client.get("/regression-tests.yml")).text
    assert (await client.delete(f"/regression-tests/{made.json()['id']}")).status_code == 204
    assert (await client.get("/conversations/1/suggestion")).json()["article_id"] == "opening"
    hits = await client.post("/conversations/1/article-search", json={"words": "money back"})
    assert hits.json()["items"][0]["article_id"] == "refunds", hits.text
    assert (await client.put("/conversations/1/activity", json={"doing": "typing"})).status_code == 204
    near = await client.get("/conversations/1/messages/1/nearest-examples")
    assert near.json()["items"] == [{"text": "opening times", "intent": "hours", "likeness": 0.5}]
    nobody = await client.post("/conversations/1/messages/1/translation", json={"to": "zh"})
    assert nobody.status_code == 409
    assert (await client.post("/presence/renewal")).json() == {"count": 0}
    taken = await client.post("/conversations/1/take")
    back = {"outcome": "continue", "flow": "order_status"}
    returned = await client.post("/conversations/1/return", json=back, headers={"If-Match": taken.headers["etag"]})
    assert returned.status_code == 200, returned.text


async def test_conversation_of_another_team_is_not_there_for_any_of_it(api: ApiUnderTest) -> None:
    await api.says(RequestHandoff("asked"))
    await api.store.database.run(lambda conn: conn.execute(update(conversations).values(team="night")))
    client = api.client("operator")
    asked = (
        ("GET", "suggestion", None),
        ("POST", "article-search", {"words": "x"}),
        ("GET", "messages/1/nearest-examples", None),
        ("POST", "regression-tests", {}),
        ("PUT", "activity", {"doing": "typing"}),
    )
    for method, path, body in asked:
        answer = await client.request(method, f"/conversations/1/{path}", json=body)
        assert answer.status_code == 404, (path, answer.text)


async def test_a_site_is_added_and_put_right_as_it_was_read(api: ApiUnderTest) -> None:
    client = api.client("manager")
    wanted = {
        "names": {"en": "Baoding Road", "zh": "保定路站"},
        "latitude": 31.26,
        "longitude": 121.5,
        "skills": ["brakes"],
    }
    assert (await client.get("/sites/baoding")).status_code == 404
    added = await client.put("/sites/baoding", json={**wanted, "phone": "021 6541 0000", "capacity": 2})
    assert (added.status_code, added.json()["names"]["zh"]) == (200, "保定路站"), added.text
    assert [site["key"] for site in (await client.get("/sites")).json()["items"]] == ["baoding"]
    read = await client.get("/sites/baoding")
    assert (read.json(), read.headers["etag"]) == (added.json(), added.headers["etag"])
    seen = {"If-Match": read.headers["etag"]}
    closed = await client.put("/sites/baoding", json={**wanted, "is_active": False}, headers=seen)
    assert (closed.status_code, closed.json()["phone"]) == (200, ""), closed.text
    assert (await client.put("/sites/baoding", json=wanted, headers=seen)).status_code == 412
    assert (await client.put("/sites/elsewhere", json=wanted, headers=seen)).status_code == 412
    assert (await client.get("/sites")).json()["items"] == []
    wrong = (
        {"longitude": None},
        {"phone": "abc"},
        {"timezone": "Mars/Olympus"},
        {"names": {"fr": "x"}},
        {"contact": "x"},
    )
    for change in wrong:
        assert (await client.put("/sites/baoding", json={**wanted, **change})).status_code == 422, change
    assert (await api.client("supervisor").put("/sites/baoding", json=wanted)).status_code == 403
    log = (await api.client("auditor").get("/audit", params={"object": "site:baoding"})).json()["items"]
    assert [line["action"] for line in log] == ["site.change", "site.add"]
    assert log[0]["details"] == {"fields": ["capacity", "is_active", "phone"]}


async def test_what_nobody_could_read_and_what_waits_for_a_label_are_counted(api: ApiUnderTest) -> None:
    await api.store.accept([Received("telegram", "main", "k1", b"<odd", None, reason="no update")])
    found = (await api.client("auditor").get("/unreadable-payloads")).json()["items"]
    assert [(one["channel"], one["reason"], one["size"]) for one in found] == [("telegram", "no update", 4)]
    assert "odd" not in str(found)
    assert (await api.client("operator").get("/unreadable-payloads")).status_code == 403
    counts = (await api.client("operator").get("/unclear-counts")).json()
    assert (counts["waiting"]["unclear"], counts["labelled"]) == (0, {})


async def test_training_is_asked_for_once_followed_and_given_up(api: ApiUnderTest) -> None:
    client = api.client("supervisor")
    first, second = await client.post("/training"), await client.post("/training")
    assert (first.status_code, first.json()["id"]) == (202, second.json()["id"]), first.text
    assert (await client.get("/training")).json()["newest"]["state"] == "queued"
    assert (await client.get(f"/training/{first.json()['id']}/differences")).json()["items"] == []
    assert (await client.delete("/training")).status_code == 204
    assert (await client.delete("/training")).status_code == 404
    assert (await client.post("/training/promotion", json={"version": "v9", "seen": ""})).status_code == 404
    assert (await client.post("/training/rollback", json={"seen": ""})).status_code == 409
    assert (await client.get("/training", params={"assistant": "nobody"})).status_code == 404
    assert (await api.client("operator").post("/training")).status_code == 403


async def test_article_and_words_are_tried_before_customers_read_them(api: ApiUnderTest) -> None:
    client = api.client("supervisor")
    draft = {"title": "Refunds", "answer": "Money comes back in a week.", "questions": ["where is my money"]}
    shown = await client.post("/articles/refunds/en/preview", json={**draft, "channel": "narrow"})
    assert "".join(part["text"] for part in shown.json()["items"]).replace(" ", ""), shown.text
    tried = await client.post("/articles/refunds/en/trial", json={**draft, "ask": ["where is my money"]})
    assert tried.json()["items"][0]["question"] == "where is my money", tried.text
    assert (await client.post("/articles/refunds/en/preview", json={**draft, "channel": "fax"})).status_code == 404
    assert (await client.get("/unanswered-questions")).json()["items"] == []
    made = await client.post("/unanswered-questions/draft", json={"questions": ["do you deliver"], "language": "en"})
    assert (made.status_code, made.json()["state"]) == (201, "draft"), made.text
    back = await client.post("/articles/refunds/en/restoration", json={"version": 0, "seen": 0})
    assert back.json()["note"] == "restored version 0", back.text
    words = {"text": "Hello", "channel": "narrow"}
    assert (await client.post("/responses/utter_greet/en/preview", json=words)).status_code == 200
    flows = (await client.get("/flows")).json()["items"]
    picture = await client.get(f"/flows/{flows[0]['id']}/picture.svg")
    assert (picture.headers["content-type"], "<svg" in picture.text) == ("image/svg+xml", True)


async def test_report_leaves_as_a_file_and_leads_to_what_it_counts(api: ApiUnderTest) -> None:
    client = api.client("analyst")
    file = await client.get("/reports/volume/file", params={**DAYS, "form": "csv", "language": "zh"})
    assert (file.status_code, file.headers["content-type"]) == (200, "text/csv; charset=utf-8"), file.text
    assert 'filename="volume-2026-11-01.csv"' in file.headers["content-disposition"]
    sheet = await client.get("/reports/volume/file", params={**DAYS, "form": "xlsx"})
    assert sheet.content.startswith(b"PK")
    behind = {**DAYS, "kind": "conversation", "what": "nothing"}
    assert (await client.get("/reports/volume/behind", params=behind)).status_code == 422
    early = await client.get("/reports/volume", params={"since": "0001-01-01", "until": "0002-01-01"})
    assert early.status_code == 422
    assert (await api.client("auditor").get("/reports/volume/file", params=DAYS)).status_code == 403


async def test_list_is_uploaded_looked_at_and_archived(api: ApiUnderTest) -> None:
    people = await agreed(api.store, 2)
    client = api.client("marketer")
    given = {"name": "fair", "file_name": "fair.csv", "content": base64("customer_id\n1\n1\n999\n")}
    made = await client.post("/audience-lists/upload", json=given)
    assert (made.status_code, made.json()["made"]["members"]) == (201, 1), made.text
    assert len(made.json()["errors"]) == 2
    assert made.json()["encoding"] == "UTF-8"
    assert len((await client.get("/audience-lists/fair/errors")).json()["items"]) == 2
    assert [row["id"] for row in (await client.get("/audience-lists/fair/people")).json()["items"]] == [1]
    put = await client.put("/audience-lists/fair/people/2", json={"listed": True})
    assert put.json()["members"] == 2, put.text
    assert (await client.post("/audience-lists/upload", json=given)).status_code == 422
    assert (await client.post("/audience-lists/upload", json={**given, "content": "!"})).status_code == 422
    assert (await client.delete("/audience-lists/fair")).status_code == 204
    definition = {"all": [{"field": "channel", "has": "telegram"}]}
    kept = await client.put("/segments/chatting", json={"definition": definition})
    await client.put("/segments/chatting", json={"definition": definition}, headers={"If-Match": kept.headers["etag"]})
    late = await client.delete("/segments/chatting", headers={"If-Match": kept.headers["etag"]})
    assert late.status_code == 412
    assert (await client.delete("/segments/chatting")).json()["archived_at"] is not None
    summed = (await client.get("/consents/summary")).json()["items"]
    assert sum(line["yes"] for line in summed) >= len(people)


async def test_a_person_decides_about_sends_nobody_knows_the_end_of(api: ApiUnderTest) -> None:
    await agreed(api.store, 1)
    client = api.client("marketer")
    await client.post("/broadcasts", json={"document": deepcopy(dict(DOCUMENT))})
    previews = await client.post("/broadcasts/preview", json={"document": deepcopy(dict(DOCUMENT))})
    assert previews.json()["items"][0]["channel"] == "telegram", previews.text
    compared = await client.get("/broadcast-comparison", params={"name": ["winter"]})
    assert [line["name"] for line in compared.json()["items"]] == ["winter"], compared.text
    row = broadcast_recipients.c

    def lost(conn: Any) -> int:
        talk = conn.execute(select(conversations)).first()
        values = {"broadcast_id": 1, "customer_id": talk.customer_id, "conversation_id": talk.id, "channel": "telegram"}
        more = {"account": "main", "arm": "a", "state": "uncertain", "reason": "lost"}
        found = conn.execute(insert(broadcast_recipients).values(**values, **more)).inserted_primary_key
        return int(found[0])

    recipient = await api.store.database.run(lost)
    (line,) = (await client.get("/broadcasts/winter/uncertain-sends")).json()["items"]
    assert (line["id"], line["reason"]) == (recipient, "lost")
    decision = {"send_again": True, "ids": [recipient]}
    path = "/broadcasts/winter/uncertain-sends/decision"
    assert (await api.client("analyst").post(path, json=decision)).status_code == 403
    assert (await client.post(path, json={**decision, "ids": [999]})).status_code == 404
    assert (await client.post(path, json=decision)).json() == {"recipients": 1}
    state = select(row.state).where(row.id == recipient)
    assert await api.store.database.run(lambda conn: conn.execute(state).scalar(), read=True) == "pending"
    assert (await client.post(path, json=decision)).status_code == 409
    assert (await client.post(path, json={"send_again": False})).json() == {"recipients": 0}


async def test_file_is_as_long_as_a_file_and_other_bodies_are_not(api: ApiUnderTest) -> None:
    await agreed(api.store, 1)
    api.rebuild(max_body_bytes=200)
    client = api.client("marketer")
    given = {"name": "fair", "file_name": "fair.csv", "content": base64("customer_id\n1\n" * 30)}
    assert (await client.post("/audience-lists/upload", json=given)).status_code == 201
    assert (await client.post("/search", json={"words": "x" * 300})).status_code == 413
