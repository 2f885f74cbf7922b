"""Links of broadcasts: where they lead, and who followed them when."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, bindparam, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from crm_sync.broadcast_tables import broadcast_clicks, broadcast_links, broadcast_recipients
from crm_sync.columns import is_postgres

_TARGET: Final = (
    select(broadcast_links.c.url, broadcast_recipients.c.clicked_at, broadcast_recipients.c.state)
    .join_from(
        broadcast_recipients, broadcast_links, broadcast_links.c.broadcast_id == broadcast_recipients.c.broadcast_id
    )
    .where(broadcast_recipients.c.id == bindparam("recipient"), broadcast_links.c.id == bindparam("link"))
)


def keep_links(conn: Connection, broadcast_id: int, links: Mapping[str, str]) -> dict[str, int]:
    """The ids of the broadcast's links by name; each leads where `links` says. Those no longer named stay as they are,
    because they may have been sent.
    """
    known = {
        row.name: row
        for row in conn.execute(select(broadcast_links).where(broadcast_links.c.broadcast_id == broadcast_id))
    }
    for name, url in links.items():
        if name not in known:
            conn.execute(insert(broadcast_links).values(broadcast_id=broadcast_id, name=name, url=url))
        elif known[name].url != url:
            conn.execute(update(broadcast_links).where(broadcast_links.c.id == known[name].id).values(url=url))
    rows = conn.execute(select(broadcast_links.c.name, broadcast_links.c.id).where(
        broadcast_links.c.broadcast_id == broadcast_id
    ))  # fmt: skip
    return {row.name: row.id for row in rows}


def target(conn: Connection, recipient_id: int, link_id: int) -> str | None:
    """Where the link leads; None when it is none of this recipient's."""
    row = conn.execute(_TARGET, {"recipient": recipient_id, "link": link_id}).first()
    return None if row is None else str(row.url)


def follow(conn: Connection, recipient_id: int, link_id: int, now: datetime) -> str | None:
    """As `target`, and that it was followed is kept: when first, when last, how often."""
    url = target(conn, recipient_id, link_id)
    if url is None:
        return None
    dialect = postgresql if is_postgres(conn) else sqlite
    row = {"recipient_id": recipient_id, "link_id": link_id, "first_at": now, "last_at": now}
    conn.execute(
        dialect.insert(broadcast_clicks)
        .values(**row)
        .on_conflict_do_update(
            index_elements=["recipient_id", "link_id"],
            set_={"last_at": now, "times": broadcast_clicks.c.times + 1},
        )
    )
    first = (broadcast_recipients.c.id == recipient_id) & broadcast_recipients.c.clicked_at.is_(None)
    conn.execute(update(broadcast_recipients).where(first).values(clicked_at=now))
    return url
