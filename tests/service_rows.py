"""A row about one customer in every table of the service desk, with "Secret" in all that is kept in words."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Boolean, Column, Connection, Float, Integer, Table, insert, select

from crm_sync import service_tables
from crm_sync.columns import Document, Id, UtcDateTime, Words
from crm_sync.rows import insert_if_absent
from crm_sync.service_tables import audit, compensations, customer_merges, points, surveys
from crm_sync.tables import cases, conversations, customers, metadata
from tests.store_steps import START

ABOUT: Final = tuple(
    table
    for table in metadata.sorted_tables
    if vars(service_tables).get(table.name) is table
    and ({"customer_id", "case_id"} & set(table.c.keys()) or table is customer_merges)
    and table.name != "case_alerts"
)
_STATES: Final = {"clocks": "running", "compensations": "proposed", "site_tasks": "offered", "appointments": "booked"}
# Names of fields and of staff, and our own references, which say nothing about a person.
_NO_WORDS: Final[dict[Table, dict[str, Any]]] = {
    audit: {"author": "ann", "fields": ["name"]},
    compensations: {"proposed_by": "ann", "decided_by": "bob"},
    points: {"reference": "suggestion C-1024-7"},
    surveys: {"reference": "case C-1024-7"},
}


def service_rows(conn: Connection, customer_id: int) -> None:
    """One row of each table that can be about a customer, and a second customer for those that join two."""
    case_id = conn.execute(select(cases.c.id).where(cases.c.customer_id == customer_id)).scalar_one()
    conversation_id = conn.execute(
        select(conversations.c.id).where(conversations.c.customer_id == customer_id)
    ).scalar_one()
    other_id = conn.execute(insert(customers).values(created_at=START)).inserted_primary_key[0]  # type: ignore[index]
    site = {"key": f"site-{customer_id}", "names": {}, "updated_at": START}
    site_id = conn.execute(insert(service_tables.sites).values(site)).inserted_primary_key[0]  # type: ignore[index]
    known: dict[str, Any] = {
        "customer_id": customer_id,
        "case_id": case_id,
        "conversation_id": conversation_id,
        "site_id": site_id,
        "kept_customer_id": customer_id,
        "merged_customer_id": other_id,
        "other_customer_id": other_id,
        "asset_id": None,
        "task_id": None,
        "outage_id": None,
    }
    for table in ABOUT:
        values = {column.name: _value(table, column, known) for column in table.columns if column.name != "id"}
        if table is service_tables.case_links:  # a case that was opened in a conversation is linked with it already
            insert_if_absent(conn, table, values, key=("case_id", "conversation_id"))
            continue
        conn.execute(insert(table).values({**values, **_NO_WORDS.get(table, {})}))


def _value(table: Table, column: Column[Any], known: dict[str, Any]) -> Any:
    if column.name in known:
        return known[column.name]
    if column.name == "state":
        return _STATES.get(table.name, "open")
    match column.type:
        case Words():
            return f"Secret-{known['customer_id']}-{column.name}"
        case Document():
            return {"said": "SecretWords"}
        case UtcDateTime():
            return START
        case Boolean():
            return False
        case Integer() | Float():
            return 1
    if column.type is Id:
        return 1
    return f"{table.name}-{known['customer_id']}"
