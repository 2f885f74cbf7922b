"""Customers through the API: found, put right, merged, handed out, erased."""

from __future__ import annotations

from sqlalchemy import select

from crm_sync.service_tables import audit
from tests.api.api_under_test import NUMBER, ApiUnderTest, a_complaint


async def test_customer_is_found_by_name_phone_channel_and_tag(api: ApiUnderTest) -> None:
    ann, bob = await api.says(user="ann"), await api.says(user="bob")
    client = api.client("operator")
    wanted = {"name": "Ann 李_100%", "phone": "+8613800138000", "email": "ann@shop.example", "add_tags": ["VIP"]}
    assert (await client.patch(f"/customers/{ann}", json=wanted)).json() == {
        "changed": ["email", "name", "phone", "tags"]
    }

    async def found(**params: str) -> list[int]:
        return [line["id"] for line in (await client.get("/customers", params=params)).json()["items"]]

    async def search(words: str) -> list[int]:
        return [line["id"] for line in (await client.post("/customers/search", json={"words": words})).json()["items"]]

    assert await found() == [bob, ann]
    for q in ("李_1", "100%", "ann@SHOP", "13800138000", str(ann), "web/default/ann"):
        assert await search(q) == [ann], q
    for q in ("%", "_", "x", "web/default/nobody", "李__"):
        assert await search(q) == [], q
    assert await found(tag="vip") == [ann]
    assert await found(credit_class="A") == []
    line = (await client.get(f"/customers/{ann}")).json()
    assert (line["phone_is_verified"], line["tags"]) == (False, ["vip"])


async def test_fields_nobody_may_set_are_refused_and_wrong_values_too(api: ApiUnderTest) -> None:
    ann = await api.says()
    for body in ({"phone_is_verified": True}, {"id": 7}, {"phone": "abc"}, {"attributes": {"nothing": "x"}}):
        assert (await api.client().patch(f"/customers/{ann}", json=body)).status_code == 422, body
    assert (await api.client("operator").patch(f"/customers/{ann}", json={"credit_class": "A"})).status_code == 403
    assert (await api.client("supervisor").patch(f"/customers/{ann}", json={"credit_class": "A"})).status_code == 200
    assert (await api.client("viewer").patch(f"/customers/{ann}", json={"name": "x"})).status_code == 403
    assert (await api.client().patch("/customers/999", json={"name": "x"})).status_code == 404


async def test_record_timeline_and_consents(api: ApiUnderTest) -> None:
    ann = await api.says(a_complaint(), text="my parcel is late")
    client, path = api.client("operator"), f"/customers/{ann}"
    record = (await client.get(f"{path}/record")).json()
    assert [message["text"] for message in record["messages"]] == ["my parcel is late", "ok"]
    assert record["cases"][0]["number"] == NUMBER
    consent = {"purpose": "news", "channel": "web", "granted": True}
    assert (await client.post(f"{path}/consents", json=consent)).status_code == 201
    given = await client.post(f"{path}/consents", json={**consent, "granted": False})
    assert [(item["granted"], item["until"] is None) for item in given.json()["items"]] == [
        (False, True),
        (True, False),
    ]
    assert (await client.get(f"{path}/consents")).json()["items"] == given.json()["items"]
    happened = (await client.get(f"{path}/timeline", params={"kind": ["consent_granted", "consent_withdrawn"]})).json()
    assert [line["kind"] for line in happened["items"]] == ["consent_withdrawn", "consent_granted"]
    first = (await client.get(f"{path}/timeline", params={"limit": 1})).json()
    rest = (await client.get(f"{path}/timeline", params={"cursor": first["next"]})).json()
    assert len(rest["items"]) == len((await client.get(f"{path}/timeline")).json()["items"]) - 1


async def test_two_records_are_merged_and_taken_apart(api: ApiUnderTest) -> None:
    ann, bob = await api.says(user="ann"), await api.says(user="bob")
    client = api.client("supervisor")
    merge = (await client.post(f"/customers/{ann}/merges", json={"other_customer_id": bob})).json()["merge_id"]
    assert (await client.get(f"/customers/{bob}")).json()["id"] == ann
    assert [item["id"] for item in (await client.get("/customers")).json()["items"]] == [ann]
    assert (await client.get(f"/customers/{ann}/merges")).json()["items"][0]["id"] == merge
    again = await client.post(f"/customers/{ann}/merges", json={"other_customer_id": bob})
    assert again.json() == {"merge_id": None}
    assert (await client.delete(f"/customer-merges/{merge}")).json()["undone_at"] is not None
    assert (await client.get(f"/customers/{bob}")).json()["id"] == bob
    assert (await client.delete(f"/customer-merges/{merge}")).status_code == 404
    assert (await client.get("/merge-proposals")).json()["items"] == []
    assert (await client.post("/merge-proposals/1/decision", json={"is_same": True})).status_code == 404


async def test_export_and_erasure_need_their_permission_and_are_noted(api: ApiUnderTest) -> None:
    ann = await api.says(text="my parcel is late")
    path = f"/customers/{ann}"
    assert (await api.client("operator").post(f"{path}/export")).status_code == 403
    document = (await api.client("supervisor").post(f"{path}/export")).json()
    assert document["messages"][0]["text"] == "my parcel is late"
    wanted = {"customer_id": ann, "confirm": "erase"}
    assert (await api.client("supervisor").post(f"{path}/erase", json=wanted)).status_code == 403
    other = await api.client("manager").post(f"{path}/erase", json={**wanted, "customer_id": ann + 1})
    assert other.status_code == 422
    receipt = (await api.client("manager").post(f"{path}/erase", json=wanted)).json()
    assert receipt["tables"]["messages"] == 2
    assert (await api.client("manager").get(path)).status_code == 404
    assert (await api.client("manager").get(f"{path}/record")).status_code == 404
    rows = await api.store.database.run(lambda conn: conn.execute(select(audit)).all(), read=True)
    assert [(row.author, row.action) for row in rows] == [("token:supervisor", "export"), ("token:manager", "erase")]
