"""A group chat that got a new id at the vendor: its conversations go on there."""

from __future__ import annotations

from sqlalchemy import Connection, and_, select, update

from crm_sync.addressing import Address
from crm_sync.columns import digest_key, is_state
from crm_sync.tables import conversations, identities, outbox


def move_chat(conn: Connection, channel: str, account: str, old: str, new: str) -> int:
    """Conversations of chat `old` are in chat `new` from now on, and what still waits to be sent goes there too.

    Returns how many moved; repeated, none. Where the person has written in the new chat already, the older of the two
    conversations goes on: it holds the history. The other one keeps its messages and is not continued.
    """
    here = and_(conversations.c.channel == channel, conversations.c.account == account, conversations.c.chat_id == old)
    moving = conn.execute(
        select(conversations.c.id, conversations.c.topic, identities.c.external_id)
        .join_from(conversations, identities, identities.c.id == conversations.c.identity_id)
        .where(here)
        .order_by(conversations.c.id)
        .with_for_update(of=conversations)
    ).all()
    for row in moving:
        key = Address(channel, account, row.external_id, new, row.topic).conversation_key()
        other = conn.execute(select(conversations.c.id).where(conversations.c.key == key).with_for_update()).scalar()
        if other is not None:
            key = _make_way(conn, key, mine=row.id, other=other)
        conn.execute(update(conversations).where(conversations.c.id == row.id).values(key=key, chat_id=new))
    waiting = and_(outbox.c.channel == channel, outbox.c.account == account, outbox.c.chat_id == old)
    conn.execute(update(outbox).where(waiting, is_state(outbox.c.state, "pending", "sending")).values(chat_id=new))
    return len(moving)


def _make_way(conn: Connection, key: str, *, mine: int, other: int) -> str:
    """The key for conversation `mine`; whichever of the two is not continued gets one that nobody looks up."""
    aside = digest_key("not continued", str(max(mine, other)))
    if mine > other:
        return aside
    conn.execute(update(conversations).where(conversations.c.id == other).values(key=aside))
    return key
