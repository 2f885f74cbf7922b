"""What broadcasts know of one customer, with "Secret" in all the words."""

from __future__ import annotations

from sqlalchemy import Connection, insert, select

from crm_sync.broadcast_tables import (
    audience_lists,
    audience_members,
    broadcast_clicks,
    broadcast_counts,
    broadcast_links,
    broadcast_recipients,
    broadcast_waits,
    broadcasts,
    consent_requests,
    contact_wishes,
    coupon_pools,
    coupons,
)
from crm_sync.tables import conversations, messages
from tests.store_steps import START


def broadcast_rows(conn: Connection, customer_id: int) -> None:
    """One row of each table that a broadcast to the customer, and their answer, fill."""
    mine = conversations.c.customer_id == customer_id
    talk = conn.execute(select(conversations).where(mine)).first()
    assert talk is not None
    name, who, made = f"spring-{customer_id}", {"customer_id": customer_id}, {"created_at": START}
    people = _made(conn, audience_lists, name=name, kind="upload", **made)
    conn.execute(insert(audience_members).values(list_id=people, **who))
    here = {"identity_id": talk.identity_id, "channel": talk.channel}
    asked = {"purpose": "news", "source": "SecretSource", "asked_at": START, "expires_at": START}
    conn.execute(insert(consent_requests).values(**who, **here, **asked))
    conn.execute(insert(contact_wishes).values(**who, topics_off=["offers"], source="SecretWish", updated_at=START))
    pool = _made(conn, coupon_pools, name=name, **made)
    conn.execute(insert(coupons).values(**who, pool_id=pool, code="SecretCode", drawn_for=f"1:{customer_id}"))
    sent = _made(conn, broadcasts, name=name, state="running", document={}, seed=1, updated_at=START, **made)
    said = conn.execute(select(messages.c.id).where(messages.c.conversation_id == talk.id)).scalars().first()
    row = {"conversation_id": talk.id, "account": talk.account, "state": "sent", "vendor_message_id": "SecretId"}
    row |= {"message_id": said, "sent_at": START}
    conn.execute(insert(broadcast_counts).values(broadcast_id=sent, arm="", state="sent", reason="", count=1))
    recipient = _made(conn, broadcast_recipients, broadcast_id=sent, **who, **here, **row)
    conn.execute(insert(broadcast_waits).values(broadcast_id=sent, **who, step="second"))
    link = _made(conn, broadcast_links, broadcast_id=sent, name="shop", url="https://shop.example")
    conn.execute(insert(broadcast_clicks).values(recipient_id=recipient, link_id=link, first_at=START, last_at=START))


def _made(conn: Connection, table: object, **values: object) -> int:
    key: int = conn.execute(insert(table).values(**values)).inserted_primary_key[0]  # type: ignore[arg-type,index]
    return key
