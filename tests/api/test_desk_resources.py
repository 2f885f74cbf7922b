"""Staff, rules, the day's lists, knowledge and reports through the API."""

from __future__ import annotations

from tests.api.api_under_test import ApiUnderTest


async def test_accounts_roles_and_tokens_are_managed(api: ApiUnderTest) -> None:
    client = api.client()
    made = await client.post("/users", json={"name": "li", "role": "operator", "languages": ["zh"], "capacity": 3})
    assert (made.status_code, len(made.json()["password"]) > 10) == (201, True), made.text
    seen = await client.get("/users/li")
    changed = await client.patch("/users/li", json={"capacity": 7}, headers={"If-Match": seen.headers["etag"]})
    assert changed.json()["capacity"] == 7
    late = await client.patch("/users/li", json={"capacity": 8}, headers={"If-Match": seen.headers["etag"]})
    assert late.status_code == 412
    assert (await client.patch("/users/li", json={"password_hash": "x"})).status_code == 422
    assert (await client.post("/users/li/password")).json()["password"] != made.json()["password"]
    assert (await client.post("/users/li/disable")).json()["disabled_at"] is not None
    assert (await client.post("/users/li/enable")).json()["disabled_at"] is None
    assert (await client.delete("/users/li/sessions")).json() == {"count": 0}
    assert (await api.client("supervisor").get("/users")).status_code == 200
    assert (await api.client("supervisor").post("/users", json={"name": "eve"})).status_code == 403
    role = await client.post("/roles", json={"name": "night", "permissions": ["cases.read"]})
    assert (role.status_code, role.json()["permissions"]) == (201, ["cases.read"]), role.text
    assert (await client.patch("/roles/night", json={"permissions": ["nothing"]})).status_code == 422
    assert (await client.delete("/roles/night")).status_code == 204
    token = await client.post("/tokens", json={"name": "erp", "role": "viewer", "per_minute": 60})
    assert token.json()["token"].startswith("fdk_")
    assert "token" not in (await client.get("/tokens")).json()["items"][0]
    assert (await client.delete(f"/tokens/{token.json()['line']['id']}")).json()["revoked_at"] is not None
    lines = (await client.get("/audit", params={"limit": 2})).json()
    assert [line["action"] for line in lines["items"]] == ["token.revoke", "token.create"]
    assert (await client.get("/audit", params={"cursor": lines["next"], "action": "user."})).status_code == 200
    assert (await client.post("/audit/verification")).json()["broken_at"] is None
    assert (await api.client("manager").get("/audit")).status_code == 403


async def test_rules_are_tried_put_and_kept_apart_by_version(api: ApiUnderTest) -> None:
    client = api.client("manager")
    none = await client.get("/policies")
    assert (none.json()["items"], none.headers["etag"]) == ([], '"v0"')
    of_file = await client.get("/policies/current")
    assert (of_file.json(), of_file.headers["etag"]) == ({"version": 0, "document": {"routing": {}}}, '"v0"')
    rules = {"document": {"routing": {"teams": {"night": {}}}}, "note": "nights"}
    tried = await client.post("/policies/trial", json={"document": rules["document"], "days": 7})
    assert tried.json()["cases"] == 0, tried.text
    bad = await client.put("/policies", json={"document": {"nothing": 1}})
    assert (bad.status_code, bad.json()["code"]) == (422, "invalid")
    put = await client.put("/policies", json=rules, headers={"If-Match": none.headers["etag"]})
    assert (put.status_code, put.json()["version"]) == (200, 1), put.text
    assert (await client.get("/policies/current")).json() == {"version": 1, "document": rules["document"]}
    late = await client.put("/policies", json=rules, headers={"If-Match": none.headers["etag"]})
    assert late.status_code == 412
    assert (await client.get("/policies")).json()["items"][0]["note"] == "nights"
    assert (await api.client("supervisor").put("/policies", json=rules)).status_code == 403


async def test_lists_of_the_day(api: ApiUnderTest) -> None:
    client = api.client("operator")
    for path in ("/sites", "/appointments", "/tasks"):
        assert (await client.get(path)).json()["items"] == [], path
    assert (await client.get("/appointments", params={"day": "2026-13-01"})).status_code == 422
    assert (await client.post("/appointments/1/end", json={"state": "done"})).status_code == 404
    assert (await client.post("/tasks/1/end", json={"outcome": "reached"})).status_code == 404
    assert (await api.client("viewer").post("/tasks/1/end", json={"outcome": "reached"})).status_code == 403
    assert (await client.get("/health")).status_code == 403
    (finding,) = (await api.client("manager").get("/health")).json()["items"]
    assert finding["ok"] is True


async def test_article_goes_from_draft_to_customers_and_back(api: ApiUnderTest) -> None:
    writer, editor = api.client("operator"), api.client("supervisor")
    words = {"title": "Opening hours", "answer": "From 8 to 22 now.", "questions": ["when are you open"]}
    draft = await writer.put("/articles/opening/en", json=words)
    assert (draft.status_code, draft.json()["state"]) == (200, "draft"), draft.text
    version = draft.json()["version"]
    late = await writer.put("/articles/opening/en", json=words)
    assert late.status_code == 409
    submitted = await writer.post("/articles/opening/en/submission", json={"seen": version})
    assert submitted.json()["state"] == "review", submitted.text
    assert (await writer.post("/articles/opening/publication", json={"seen": {"en": version}})).status_code == 403
    published = await editor.post("/articles/opening/publication", json={"seen": {"en": version}})
    assert published.status_code == 204, published.text
    article = (await writer.get("/articles/opening")).json()
    (side,) = [side for side in article["sides"] if side["language"] == "en"]
    assert side["published"]["answer"] == "From 8 to 22 now."
    assert "refunds" in {item["id"] for item in (await writer.get("/articles")).json()["items"]}
    withdrawn = await editor.post("/articles/opening/en/withdrawal", json={"seen": side["seen"]})
    assert withdrawn.status_code == 204, withdrawn.text


async def test_understanding_and_reports_are_read(api: ApiUnderTest) -> None:
    client = api.client("analyst")
    assert (await client.get("/unclear-messages")).json() == {"items": [], "next": None}
    assert (await client.put("/unclear-messages/1/label", json={"intent": "greet"})).status_code == 403
    assert (await api.client().put("/unclear-messages/1/label", json={"intent": "greet"})).status_code == 404
    assert (await api.client("operator").get("/training-examples")).headers["content-type"].startswith("text/csv")
    names = [item["name"] for item in (await client.get("/reports")).json()["items"]]
    days = {"since": "2026-11-01", "until": "2026-11-20"}
    for name in names:
        report = await client.get(f"/reports/{name}", params=days)
        assert report.status_code == 200, report.text
    assert (await client.get("/reports/nothing", params=days)).status_code == 404
    assert (await client.get(f"/reports/{names[0]}", params={**days, "since": "2027-01-01"})).status_code == 422
    assert (await api.client("operator").get("/reports")).status_code == 403
