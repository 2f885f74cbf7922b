"""One customer: everything shown, everything handed over, everything taken out."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from sqlalchemy import Connection, LargeBinary, insert, select

from bot.errors import CustomerNotFound
from bot.ports import Claimed
from bot.types import (
    AddTimeline,
    CreateTask,
    CustomerId,
    Media,
    OpenCase,
    RecordConsent,
    RequestHandoff,
    UpdateCustomer,
)
from crm_sync.console_tables import hook_deliveries, hooks
from crm_sync.customers import customer_record, find_customers
from crm_sync.erasure import IMPERSONAL, PERSONAL, erase_customer, export_customer
from crm_sync.invariants import check
from crm_sync.store import SqlStore
from crm_sync.tables import (
    conversations,
    identity_links,
    lookup_codes,
    media,
    metadata,
    orders,
    passive_replies,
    reply_windows,
    web_uploads,
)
from tests.broadcast_rows import broadcast_rows
from tests.console_rows import console_rows
from tests.service_rows import service_rows
from tests.store_steps import START, converse, said, send_all

SECRET = "Secret"  # in everything the person said or that names them


async def _full_life(store: SqlStore, user: str = "SecretUser") -> CustomerId:
    """A customer with a row in every personal table."""
    effects = [
        OpenCase("C-1024-7", "complaint", "SecretCategory", "SecretOrder", 2, "SecretSummary", {"wish": "SecretWish"}),
        RequestHandoff("SecretReason"),
        RecordConsent("news", True, "SecretSource"),
        CreateTask("callback", "SecretTask", START, {"phone": "SecretPhone"}),
        UpdateCustomer(name="SecretName", phone="+8613800000001", phone_is_verified=True, email="Secret@x.cn"),
        AddTimeline("praise", "SecretPraise"),
    ]
    claimed = await converse(store, "SecretWords", "SecretReply", user=user, channel="telegram", effects=effects)
    await send_all(store)
    picture = Media("image", "SecretFile", caption="SecretCaption")
    extra = {"sender_name": "SecretNick", "language_hint": "zz", "vendor_message_id": "SecretId"}
    await store.accept([said(picture, user=user, channel="telegram", key="SecretKey", **extra)])
    customer = claimed.conversation.customer.customer_id
    rows = [
        {"number": "1", "customer_id": customer, "phone": "", "status": "paid", "tracking_number": "SecretTrack"},
        {"number": "2", "customer_id": None, "phone": "+8613800000001", "status": "paid", "tracking_number": ""},
    ]
    await store.database.run(
        lambda conn: conn.execute(insert(orders), [{**row, "updated_at": START} for row in rows]) and None
    )
    await store.database.run(lambda conn: _channel_rows(conn, claimed))
    await store.database.run(lambda conn: service_rows(conn, customer))
    await store.database.run(lambda conn: _told_subscriber(conn, customer))
    await store.database.run(lambda conn: console_rows(conn, customer))
    await store.database.run(lambda conn: broadcast_rows(conn, customer))
    return customer


def _told_subscriber(conn: Connection, customer: CustomerId) -> None:
    """What a subscriber of the business's own was told of them."""
    hook = {"url": "https://erp.example", "secret": "x", "events": ["message.received"], "created_by": "admin"}
    hook_id = conn.execute(insert(hooks).values(**hook, created_at=START)).inserted_primary_key[0]  # type: ignore[index]
    told = {"hook_id": hook_id, "event": "message.received", "payload": {"text": "SecretWords"}, "created_at": START}
    conn.execute(insert(hook_deliveries).values(**told, customer_id=customer))


def _channel_rows(conn: Connection, claimed: Claimed) -> None:
    """What channels keep about this conversation."""
    conversation_id, inbox_id = claimed.conversation.id, claimed.messages[0].inbox_id
    identity_id = conn.execute(
        select(conversations.c.identity_id).where(conversations.c.id == conversation_id)
    ).scalar_one()
    until = START + timedelta(days=36500)
    window = {"quota": 5, "opened_at": START, "closes_at": until, "kind": "message", "identity_id": identity_id}
    conn.execute(insert(reply_windows), [window])
    conn.execute(insert(passive_replies), [{"inbox_id": inbox_id, "body": b"SecretReply", "at": START}])
    file = {
        "key": f"k{inbox_id}",
        "state": "stored",
        "file_name": "SecretName",
        "file_id": "SecretFile",
        "created_at": START,
    }
    conn.execute(insert(media), [{**file, "conversation_id": conversation_id}])
    upload = {"key": f"u{inbox_id}", "media_key": f"k{inbox_id}", "sha256": "SecretHash", "at": START}
    conn.execute(insert(web_uploads), [{**upload, "conversation_id": conversation_id}])
    link = {"key": f"l{inbox_id}", "channel": "telegram", "created_at": START, "expires_at": START}
    moved = {"profile": {"name": "SecretName"}}
    code = {"kind": "order", "number": "SecretNumber", "language": "en", "asked_at": START}
    conn.execute(insert(lookup_codes), [{**code, "conversation_id": conversation_id}])
    conn.execute(insert(identity_links), [{**link, "identity_id": identity_id, "source": "SecretWay", "moved": moved}])


async def _everything(store: SqlStore) -> str:
    """Every value of every table as one text; raw payloads are looked at apart."""

    def unit(conn: object) -> str:
        values = []
        for table in metadata.sorted_tables:
            columns = [column for column in table.columns if not isinstance(column.type, LargeBinary)]
            values += [repr(tuple(row)) for row in conn.execute(select(*columns))]  # type: ignore[attr-defined]
        return "\n".join(values)

    return await store.database.run(unit, read=True)


async def test_every_table_is_known_as_personal_or_not() -> None:
    assert {table.name for table in IMPERSONAL} == {
        "staff_users",
        "models",
        "model_activations",
        "trainings",
        "active_models",
        "articles",
        "cursors",
        "rate_buckets",
        "counters",
        "vendor_tokens",
        "channel_health",
        "policies",
        "sites",
        "case_alerts",
        "feed_items",
        "outages",
        "import_jobs",
        "import_errors",
        "staff_roles",
        "staff_sessions",
        "sign_in_failures",
        "audit_log",
        "canned_replies",
        "saved_views",
        "article_versions",
        "response_versions",
        "api_tokens",
        "api_answers",
        "hooks",
        "report_marks",
        "report_days",
        "audit_head",
        "audience_lists",
        "broadcast_counts",
        "broadcast_links",
        "broadcast_results",
        "broadcasts",
        "coupon_pools",
        "segments",
        "vendor_quotas",
    }
    assert set(PERSONAL) | IMPERSONAL == set(metadata.tables.values())


async def test_a_customer_is_found_by_id_phone_and_identity(store: SqlStore) -> None:
    customer = await _full_life(store, user="Secret/User")
    for key in (str(customer), "138 0000 0001", "+86 138-0000-0001", "telegram/default/Secret/User"):
        assert await find_customers(store.database, key) == [customer]
    for key in ("999999", "+8613800000009", "telegram/default/nobody", "", "\x00", "9" * 40, "Ａ", "١٢"):
        assert await find_customers(store.database, key) == []


async def test_the_record_shows_messages_with_their_delivery_and_what_was_understood(store: SqlStore) -> None:
    customer = await _full_life(store)
    record = await customer_record(store.database, customer)
    first, reply, picture = record["messages"]
    assert (first["direction"], first["text"], first["intent"], first["delivery"]) == (
        "in",
        "SecretWords",
        "greet",
        None,
    )
    assert (reply["direction"], reply["delivery"], reply["attempts"]) == ("out", "sent", 1)
    assert (picture["kind"], picture["content"]["file_id"]) == ("media", "SecretFile")
    assert {order["number"] for order in record["orders"]} == {"1", "2"}
    assert all(record[section] for section in record)
    json.dumps(record)


async def test_an_unknown_customer_is_said_so(store: SqlStore) -> None:
    for work in (customer_record, export_customer, erase_customer):
        with pytest.raises(CustomerNotFound):
            await work(store.database, CustomerId(404))


async def test_the_export_has_a_row_of_every_personal_table(store: SqlStore) -> None:
    document = await export_customer(store.database, await _full_life(store))
    assert {name for name, rows in document.items() if rows} == {table.name for table in PERSONAL}
    assert document["inbox"][1]["raw"] == "raw:SecretKey"
    json.dumps(document)


async def test_the_export_says_nothing_about_anybody_else(store: SqlStore) -> None:
    other = await converse(store, "other words", "other reply", user="other")
    await _full_life(store)
    document = await export_customer(store.database, other.conversation.customer.customer_id)
    assert SECRET not in json.dumps(document)


async def test_nothing_of_an_erased_person_is_left(store: SqlStore) -> None:
    customer = await _full_life(store)
    assert SECRET in await _everything(store)
    receipt = await erase_customer(store.database, customer)
    left = await _everything(store)
    assert SECRET not in left
    assert "13800000001" not in left
    assert set(receipt["tables"]) == {table.name for table in PERSONAL}
    assert all(receipt["tables"].values())
    document = await export_customer(store.database, customer)
    assert SECRET not in json.dumps(document)
    assert all(row["raw"] == "" for row in document["inbox"])


async def test_erasing_leaves_everybody_else_and_every_promise_alone(store: SqlStore) -> None:
    other = await converse(store, "other words", "other reply", user="other")
    customer = await _full_life(store)
    await erase_customer(store.database, customer)
    record = await customer_record(store.database, other.conversation.customer.customer_id)
    assert [message["text"] for message in record["messages"]] == ["other words", "other reply"]
    assert await check(store.database) == []


async def test_a_late_redelivery_after_erasure_is_still_a_redelivery(store: SqlStore) -> None:
    customer = await _full_life(store)
    await erase_customer(store.database, customer)
    (again,) = await store.accept([said("x", user="SecretUser", channel="telegram", key="SecretKey")])
    assert not again.is_new


async def test_a_turn_in_progress_during_erasure_writes_nothing(store: SqlStore) -> None:
    from tests.store_steps import decided

    await store.accept([said("SecretWords", user="SecretUser")])
    (claimed,) = await store.claim("w", 1)
    await erase_customer(store.database, claimed.conversation.customer.customer_id)
    (committed,) = await store.commit([decided(claimed, "SecretReply")])
    assert not committed.ok
    assert SECRET not in await _everything(store)
    assert await store.claim("w", 1) == []


async def test_the_person_writing_again_is_a_new_customer(store: SqlStore) -> None:
    customer = await _full_life(store)
    await erase_customer(store.database, customer)
    again = await converse(store, "hello", "hi", user="SecretUser", channel="telegram")
    assert again.conversation.customer.customer_id != customer
    assert again.conversation.state == {}


async def test_erasing_twice_is_harmless(store: SqlStore) -> None:
    customer = await _full_life(store)
    await erase_customer(store.database, customer)
    await erase_customer(store.database, customer)
    assert await check(store.database) == []
