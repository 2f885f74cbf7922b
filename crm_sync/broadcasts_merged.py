"""What broadcasts know of two records that become one: it stays where it was, and holds for the kept one as well."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, Table, exists, insert, literal, select

from crm_sync.broadcast_tables import audience_members, broadcast_recipients, broadcast_waits, contact_wishes

# Rows of these stay with the record that was meant, or was sent to: `merging.family_of` finds them.
STAYING: Final[tuple[Table, ...]] = (broadcast_recipients, broadcast_waits)
# Rows of these are repeated for the kept record, so that a list that leaves somebody out still does. They are not taken
# back when the records come apart: whoever was left out, or asked for quiet, is not disturbed for having been two.
SHARED: Final[tuple[Table, ...]] = (audience_members, contact_wishes)


def share(conn: Connection, kept: int, merged: int) -> None:
    """The kept record is on every list the merged one is on, and has its wishes unless it has its own."""
    for table in SHARED:
        mine, theirs = table.alias("mine"), table.alias("theirs")
        keys = [column.name for column in table.primary_key if column.name != "customer_id"]
        has = exists().where(theirs.c.customer_id == kept, *(theirs.c[key] == mine.c[key] for key in keys))
        names = [column.name for column in table.columns]
        columns = [literal(kept) if name == "customer_id" else mine.c[name] for name in names]
        conn.execute(insert(table).from_select(names, select(*columns).where(mine.c.customer_id == merged, ~has)))
