"""What staff wrote about one customer, and what the store keeps of their work on it, with "Secret" in all the words."""

from __future__ import annotations

from sqlalchemy import Connection, insert, select

from crm_sync.console_tables import (
    conversation_notes,
    conversation_seen,
    conversation_tests,
    handoff_events,
    message_labels,
    operator_sends,
    scheduled_messages,
    staff_notices,
)
from crm_sync.learning_tables import turn_outcomes
from crm_sync.rows import insert_if_absent
from crm_sync.tables import conversations, messages, staff_users
from tests.store_steps import START


def console_rows(conn: Connection, customer_id: int) -> None:
    """One row of each table that staff fill while they work with a customer's conversation."""
    mine = conversations.c.customer_id == customer_id
    conversation_id = conn.execute(select(conversations.c.id).where(mine)).scalars().first()
    message = conn.execute(select(messages).where(messages.c.conversation_id == conversation_id)).first()
    assert message is not None
    account = {"name": "li", "role": "operator", "password_hash": "-", "created_at": START}
    insert_if_absent(conn, staff_users, {**account, "password_changed_at": START}, key=("name",))
    user_id = conn.execute(select(staff_users.c.id).where(staff_users.c.name == "li")).scalar_one()
    here, by = {"conversation_id": conversation_id, "at": START}, {"by": "li"}
    conn.execute(insert(conversation_notes).values(**here, **by, text="SecretNote", mentions=["li"]))
    conn.execute(insert(conversation_seen).values(**here, user_id=user_id, message_id=message.id))
    document = {"steps": ["SecretWords"]}
    conn.execute(
        insert(conversation_tests).values(**here, **by, assistant="shop", name=f"t{customer_id}", document=document)
    )
    conn.execute(insert(handoff_events).values(**here, **by, kind="taken", note="SecretNote", fence=0))
    conn.execute(insert(staff_notices).values(**here, **by, user_id=user_id, kind="mention", reference="SecretPart"))
    conn.execute(
        insert(scheduled_messages).values(
            conversation_id=conversation_id,
            **by,
            text="SecretPlan",
            content={"files": [{"media_id": "SecretFile"}]},
            send_at=START,
            created_at=START,
        )
    )
    sent = {"key": f"s{customer_id}", "digest": "SecretDigest", "message_id": message.id, "at": START}
    conn.execute(insert(operator_sends).values(**sent))
    conn.execute(insert(message_labels).values(inbox_id=message.inbox_id, intent="greet", by="li", at=START))
    conn.execute(insert(turn_outcomes).values(inbox_id=message.inbox_id, outcome="confirmed", meant="greet", at=START))
