"""A person's data handed over, or taken out of every table. A table that is new here must be named in both."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Connection, String, Table, case, delete, func, select, update
from sqlalchemy.sql.elements import ColumnElement

from bot.errors import CustomerNotFound
from bot.types import CustomerId
from crm_sync import search_indexing
from crm_sync.broadcast_tables import (
    audience_members,
    broadcast_clicks,
    broadcast_recipients,
    broadcast_waits,
    consent_requests,
    contact_wishes,
    coupons,
)
from crm_sync.codec import plain
from crm_sync.columns import is_postgres
from crm_sync.console_tables import (
    api_answers,
    conversation_notes,
    conversation_seen,
    conversation_tests,
    handoff_events,
    hook_deliveries,
    message_labels,
    operator_sends,
    scheduled_messages,
    staff_notices,
)
from crm_sync.customers import conversations_of, orders_of, rows_as_dicts
from crm_sync.database import Database
from crm_sync.learning_tables import turn_outcomes
from crm_sync.service_tables import (
    appointments,
    assets,
    audit,
    case_links,
    clocks,
    compensations,
    customer_attributes,
    customer_merges,
    customer_tags,
    customer_values,
    dues,
    merge_proposals,
    outage_reports,
    points,
    preferences,
    site_tasks,
    subscriptions,
    surveys,
    timers,
    visits,
)
from crm_sync.tables import (
    case_events,
    cases,
    consents,
    conversations,
    customers,
    handoffs,
    identities,
    identity_links,
    inbox,
    lookup_codes,
    media,
    messages,
    metadata,
    orders,
    outbox,
    passive_replies,
    reply_windows,
    tasks,
    timeline,
    turns,
    web_uploads,
)

_Condition = Callable[[CustomerId], ColumnElement[bool]]


def identities_of(customer_id: CustomerId) -> Any:
    """The ids of the customer's identities, as a subquery."""
    return select(identities.c.id).where(identities.c.customer_id == customer_id)


def cases_of(customer_id: CustomerId) -> Any:
    """The ids of the customer's cases, as a subquery."""
    return select(cases.c.id).where(cases.c.customer_id == customer_id)


def tasks_of(customer_id: CustomerId) -> Any:
    """The ids of the customer's tasks, as a subquery."""
    return select(tasks.c.id).where(tasks.c.customer_id == customer_id)


# Every table that can name a person, and which of its rows do.
PERSONAL: Final[dict[Table, _Condition]] = {
    customers: lambda customer: customers.c.id == customer,
    identities: lambda customer: identities.c.customer_id == customer,
    conversations: lambda customer: conversations.c.customer_id == customer,
    inbox: lambda customer: inbox.c.conversation_id.in_(conversations_of(customer)),
    messages: lambda customer: messages.c.conversation_id.in_(conversations_of(customer)),
    turns: lambda customer: turns.c.conversation_id.in_(conversations_of(customer)),
    outbox: lambda customer: outbox.c.conversation_id.in_(conversations_of(customer)),
    cases: lambda customer: cases.c.customer_id == customer,
    case_events: lambda customer: case_events.c.case_id.in_(cases_of(customer)),
    orders: orders_of,
    consents: lambda customer: consents.c.customer_id == customer,
    timeline: lambda customer: timeline.c.customer_id == customer,
    tasks: lambda customer: tasks.c.customer_id == customer,
    handoffs: lambda customer: handoffs.c.conversation_id.in_(conversations_of(customer)),
    media: lambda customer: media.c.conversation_id.in_(conversations_of(customer)),
    web_uploads: lambda customer: web_uploads.c.conversation_id.in_(conversations_of(customer)),
    identity_links: lambda customer: (
        identity_links.c.identity_id.in_(identities_of(customer))
        | identity_links.c.linked_identity_id.in_(identities_of(customer))
    ),
    lookup_codes: lambda customer: lookup_codes.c.conversation_id.in_(conversations_of(customer)),
    reply_windows: lambda customer: reply_windows.c.identity_id.in_(identities_of(customer)),
    passive_replies: lambda customer: passive_replies.c.inbox_id.in_(
        select(inbox.c.id).where(inbox.c.conversation_id.in_(conversations_of(customer)))
    ),
    case_links: lambda customer: case_links.c.case_id.in_(cases_of(customer)),
    clocks: lambda customer: clocks.c.case_id.in_(cases_of(customer)) | clocks.c.task_id.in_(tasks_of(customer)),
    timers: lambda customer: timers.c.customer_id == customer,
    compensations: lambda customer: compensations.c.case_id.in_(cases_of(customer)),
    site_tasks: lambda customer: site_tasks.c.customer_id == customer,
    appointments: lambda customer: appointments.c.customer_id == customer,
    assets: lambda customer: assets.c.customer_id == customer,
    visits: lambda customer: visits.c.customer_id == customer,
    dues: lambda customer: dues.c.customer_id == customer,
    customer_attributes: lambda customer: customer_attributes.c.customer_id == customer,
    customer_tags: lambda customer: customer_tags.c.customer_id == customer,
    customer_values: lambda customer: customer_values.c.customer_id == customer,
    preferences: lambda customer: preferences.c.customer_id == customer,
    points: lambda customer: points.c.customer_id == customer,
    surveys: lambda customer: surveys.c.customer_id == customer,
    subscriptions: lambda customer: subscriptions.c.customer_id == customer,
    outage_reports: lambda customer: outage_reports.c.customer_id == customer,
    customer_merges: lambda customer: (
        (customer_merges.c.kept_customer_id == customer) | (customer_merges.c.merged_customer_id == customer)
    ),
    merge_proposals: lambda customer: (
        (merge_proposals.c.customer_id == customer) | (merge_proposals.c.other_customer_id == customer)
    ),
    audit: lambda customer: audit.c.customer_id == customer,
    hook_deliveries: lambda customer: hook_deliveries.c.customer_id == customer,
    **{
        table: lambda customer, table=table: table.c.conversation_id.in_(conversations_of(customer))  # type: ignore[misc]
        for table in (
            conversation_notes,
            conversation_seen,
            conversation_tests,
            handoff_events,
            scheduled_messages,
            staff_notices,
        )
    },
    operator_sends: lambda customer: operator_sends.c.message_id.in_(
        select(messages.c.id).where(messages.c.conversation_id.in_(conversations_of(customer)))
    ),
    audience_members: lambda customer: audience_members.c.customer_id == customer,
    consent_requests: lambda customer: consent_requests.c.customer_id == customer,
    contact_wishes: lambda customer: contact_wishes.c.customer_id == customer,
    coupons: lambda customer: coupons.c.customer_id == customer,
    broadcast_recipients: lambda customer: broadcast_recipients.c.customer_id == customer,
    broadcast_waits: lambda customer: broadcast_waits.c.customer_id == customer,
    broadcast_clicks: lambda customer: broadcast_clicks.c.recipient_id.in_(
        select(broadcast_recipients.c.id).where(broadcast_recipients.c.customer_id == customer)
    ),
    **{
        table: lambda customer, table=table: table.c.inbox_id.in_(  # type: ignore[misc]
            select(inbox.c.id).where(inbox.c.conversation_id.in_(conversations_of(customer)))
        )
        for table in (message_labels, turn_outcomes)
    },
}
# The others belong to the deployment and name nobody but its staff.
IMPERSONAL: Final = frozenset(set(metadata.tables.values()) - set(PERSONAL))

# What remains of a row: that something was, when, and how it ended; nothing of what was said or by whom.
_BLANK: Final[dict[Table, dict[str, Any]]] = {
    messages: {"text": "", "content": None, "vendor_message_id": ""},
    turns: {"understanding": None},
    cases: {
        "summary": "",
        "details": {},
        "subject": "",
        "category": "",
        "quality_type": "",
        "wish": "",
        "is_open": False,
    },
    case_events: {"note": "", "changes": {}, "by": ""},
    clocks: {"state": "stopped", "next_at": None, "due_at": None},
    timers: {"at": None, "details": {}, "reason": ""},
    compensations: {"reason": ""},
    site_tasks: {"report": "", "worker": "", "link_serial": site_tasks.c.link_serial + 1},
    # Nobody comes any more: the place is free again.
    appointments: {
        "details": {},
        "state": case((appointments.c.state == "booked", "cancelled"), else_=appointments.c.state),
    },
    assets: {"customer_id": None, "key": "erased-" + assets.c.id.cast(String), "name": "", "attributes": {}},
    visits: {"items": "", "key": None},
    dues: {"details": {}, "key": "erased-" + dues.c.id.cast(String)},
    surveys: {"reason": ""},
    points: {"author": ""},
    audit: {"reference": ""},
    outage_reports: {"address": "", "note": "", "latitude": None, "longitude": None},
    orders: {"customer_id": None, "phone": "", "tracking_number": ""},
    consents: {"source": ""},
    tasks: {"summary": "", "details": {}, "is_open": False, "suggestion": "", "outcome_note": ""},
    handoffs: {
        "reason": "",
        "ended_by": "",
        "summary": "",
        "ended_at": func.coalesce(handoffs.c.ended_at, handoffs.c.requested_at),  # nobody waits any more
    },
    handoff_events: {"note": ""},
    conversation_notes: {"text": "", "mentions": []},
    scheduled_messages: {
        "text": "",
        "content": None,
        "reason": "",
        "state": case((scheduled_messages.c.state == "waiting", "cancelled"), else_=scheduled_messages.c.state),
    },
    consent_requests: {
        "source": "",
        "answered_at": func.coalesce(consent_requests.c.answered_at, consent_requests.c.asked_at),
    },
    coupons: {"customer_id": None, "code": "erased-" + coupons.c.id.cast(String)},
    broadcast_recipients: {"vendor_message_id": ""},  # who still waits is skipped: nobody is left to send to
    # The key stays until the bytes are gone from the media store; housekeeping deletes what is `gone`.
    media: {"state": "gone", "reason": "erased", "file_id": "", "file_name": "", "sha256": "", "expires_at": None},
}
# Of these nothing remains.
_DELETED: Final = (
    timeline,
    reply_windows,
    passive_replies,
    web_uploads,
    identity_links,
    lookup_codes,
    case_links,
    customer_attributes,
    customer_tags,
    customer_values,
    preferences,
    subscriptions,
    customer_merges,
    merge_proposals,
    hook_deliveries,
    conversation_seen,
    conversation_tests,
    staff_notices,
    operator_sends,
    message_labels,
    audience_members,
    contact_wishes,
    broadcast_waits,
    broadcast_clicks,
    turn_outcomes,
)


async def export_customer(database: Database, customer_id: CustomerId) -> dict[str, Any]:
    """One JSON-safe document with every row of every table that names the person. Raises: CustomerNotFound."""
    return await database.run(lambda conn: _export(conn, customer_id), read=True)


async def erase_customer(database: Database, customer_id: CustomerId) -> dict[str, Any]:
    """Nothing in the store tells any more who the person was or what was said; a receipt with rows per table.

    Dedupe keys stay as hashes, so that a late redelivery is still known. The person writing again is a new customer.
    Raises: CustomerNotFound.
    """
    now = datetime.now(UTC)
    counts = await database.run(lambda conn: erase(conn, customer_id, now))
    return {
        "customer_id": customer_id,
        "erased_at": plain(now),
        "tables": counts,
        "kept": "dates, states and intents; dedupe keys as hashes",
    }


def _export(conn: Connection, customer_id: CustomerId) -> dict[str, Any]:
    document: dict[str, Any] = {
        table.name: rows_as_dicts(conn, table, belongs(customer_id)) for table, belongs in PERSONAL.items()
    }
    if not document[customers.name]:
        raise CustomerNotFound(f"no customer {customer_id}")
    for row in document[inbox.name]:
        row["raw"] = _readable(row["raw"])
    for row in document[passive_replies.name]:
        row["body"] = row["body"].decode(errors="replace")
    return document


def _readable(raw: bytes) -> str:
    """A raw payload as text; base64 when it is none."""
    body = zlib.decompress(raw) if raw else b""
    try:
        return body.decode()
    except UnicodeDecodeError:
        return base64.b64encode(body).decode()


def erase(conn: Connection, customer_id: CustomerId, now: datetime) -> dict[str, int]:
    """As `erase_customer`, inside a transaction. Raises: CustomerNotFound."""
    if not is_postgres(conn):
        conn.exec_driver_sql("PRAGMA secure_delete=ON").close()  # overwrites what is taken out of the file
    # The same order of locks as everybody else: conversations first.
    conn.execute(conversations_of(customer_id).order_by(conversations.c.id).with_for_update()).all()
    found = conn.execute(
        update(customers)
        .where(customers.c.id == customer_id)
        .values(erased_at=now, name="", email="", language="", timezone="")
    ).rowcount
    if not found:
        raise CustomerNotFound(f"no customer {customer_id}")
    counts = {customers.name: found}
    counts[inbox.name] = _inbox(conn, customer_id, now)
    counts[outbox.name] = _outbox(conn, customer_id)
    for table, values in _BLANK.items():
        counts[table.name] = conn.execute(update(table).where(PERSONAL[table](customer_id)).values(**values)).rowcount
    for table in _DELETED:
        counts[table.name] = conn.execute(delete(table).where(PERSONAL[table](customer_id))).rowcount
    # Answers of the API are found by their client's key only, and kept for a day: that something was done stays.
    conn.execute(update(api_answers).where(api_answers.c.status.is_not(None)).values(body=b"{}", headers={}))
    counts[conversations.name] = _conversations(conn, customer_id)
    counts[identities.name] = _identities(conn, customer_id)
    search_indexing.forget(conn, customer_id, now)
    # Last, because orders are found by the proven phone number.
    conn.execute(update(customers).where(customers.c.id == customer_id).values(phone="", phone_is_verified=False))
    if not is_postgres(conn):
        conn.exec_driver_sql("PRAGMA secure_delete=OFF").close()
    return dict(sorted(counts.items()))


def _inbox(conn: Connection, customer_id: CustomerId, now: datetime) -> int:
    mine = PERSONAL[inbox](customer_id)
    waiting = mine & (inbox.c.state == "pending")
    conn.execute(update(inbox).where(waiting).values(state="parked", done_at=now))
    return conn.execute(update(inbox).where(mine).values(message=None, raw=b"", digest="", reason="erased")).rowcount


def _outbox(conn: Connection, customer_id: CustomerId) -> int:
    mine = PERSONAL[outbox](customer_id)
    unsent = mine & outbox.c.state.in_(("pending", "sending"))
    conn.execute(update(outbox).where(unsent).values(state="dropped", lease_owner=None, lease_until=None))
    blank = {"chat_id": "", "topic": "", "vendor_message_id": "", "reason": "erased"}
    return conn.execute(update(outbox).where(mine).values(**blank)).rowcount


def _conversations(conn: Connection, customer_id: CustomerId) -> int:
    return conn.execute(
        update(conversations)
        .where(conversations.c.customer_id == customer_id)
        .values(
            key="erased-" + conversations.c.id.cast(String),
            chat_id="",
            topic="",
            state={},
            status="closed",
            owner="bot",  # nobody waits, and nobody of the staff has it
            operator="",
            owner_until=None,
            waiting_since=None,
            unanswered_since=None,
            snoozed_until=None,
            closed_at=None,
            dirty_since=None,
            lease_owner=None,  # a turn in progress finds its lease gone and writes nothing
            lease_until=None,
            retry_at=None,
        )
    ).rowcount


def _identities(conn: Connection, customer_id: CustomerId) -> int:
    return conn.execute(
        update(identities)
        .where(identities.c.customer_id == customer_id)
        .values(
            key="erased-" + identities.c.id.cast(String),
            external_id="",
            display_name="",
            language_hint="",
            source="",
            unreachable_reason="",
        )
    ).rowcount
