"""Tables of broadcasts: who is meant, who agreed, what is sent, to whom exactly, what became of it.

The rules of `tables.py` hold here. A broadcast's document is the checked JSON of `bot/reach/document.py`; a recipient
is one message to one person, planned, held out, sent or skipped for a reason, and is never deleted while its broadcast
is there.
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from crm_sync.columns import Document, Id, UtcDateTime, Words
from crm_sync.tables import metadata, only_where

# --- who is meant -----------------------------------------------------------------------------------------------------

segments = Table(  # a condition over the record, evaluated anew at each use
    "segments",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("title", Words, nullable=False, server_default=""),
    Column("definition", Document, nullable=False),  # see bot/reach/segments.py
    Column("version", Integer, nullable=False, server_default="0"),
    Column("created_by", Words, nullable=False, server_default=""),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("archived_at", UtcDateTime),
)

audience_lists = Table(  # people by name: a snapshot of a segment, an upload, or those who are left out
    "audience_lists",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),  # snapshot | upload | exclusion
    Column("source", Words, nullable=False, server_default=""),  # the segment, or the file's name
    Column("rows", Integer, nullable=False, server_default="0"),  # lines read
    Column("members", Integer, nullable=False, server_default="0"),
    Column("duplicates", Integer, nullable=False, server_default="0"),
    Column("strangers", Integer, nullable=False, server_default="0"),  # lines that name nobody we know
    Column("created_by", Words, nullable=False, server_default=""),
    Column("created_at", UtcDateTime, nullable=False),
    Column("filling_since", UtcDateTime),  # not ready, perhaps never finished: nobody's list; null: it can be used
    Column("archived_at", UtcDateTime),
    CheckConstraint("kind IN ('snapshot', 'upload', 'exclusion')", name="kind"),
)

audience_members = Table(
    "audience_members",
    metadata,
    Column("list_id", Id, ForeignKey("audience_lists.id"), primary_key=True, autoincrement=False),
    Column("customer_id", Id, ForeignKey("customers.id"), primary_key=True, autoincrement=False),
    Index("ix_audience_members_customer_id", "customer_id"),
)

# --- who agreed, and how they want it ---------------------------------------------------------------------------------

consent_requests = Table(  # double opt-in: asked, not yet confirmed; a confirmation makes a row of `consents`
    "consent_requests",
    metadata,
    Column("id", Id, primary_key=True),
    Column("customer_id", Id, ForeignKey("customers.id"), nullable=False, index=True),
    Column("identity_id", Id, ForeignKey("identities.id"), nullable=False),
    Column("purpose", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("source", Words, nullable=False),
    Column("asked_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("answered_at", UtcDateTime),
    Column("granted", Boolean),  # null: not answered
    Index("uq_consent_requests_open", "identity_id", "purpose", unique=True, **only_where("answered_at IS NULL")),
)

contact_wishes = Table(  # how often and when a person wants to hear from us; what they say in chat wins over rules
    "contact_wishes",
    metadata,
    Column("customer_id", Id, ForeignKey("customers.id"), primary_key=True, autoincrement=False),
    Column("topics_off", Document, nullable=False, server_default="[]"),  # topics of broadcasts not wanted
    Column("per_week", Integer),  # promotions at most in any 7 days; null: the business's cap
    Column("quiet_from", Text, nullable=False, server_default=""),  # HH:MM in the person's zone; "": the business's
    Column("quiet_until", Text, nullable=False, server_default=""),
    Column("source", Words, nullable=False, server_default=""),
    Column("updated_at", UtcDateTime, nullable=False),
)

# --- what is given away -----------------------------------------------------------------------------------------------

coupon_pools = Table(
    "coupon_pools",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("title", Words, nullable=False, server_default=""),
    Column("terms", Document, nullable=False, server_default="{}"),  # language -> what it is good for
    Column("valid_until", UtcDateTime),
    Column("created_by", Words, nullable=False, server_default=""),
    Column("created_at", UtcDateTime, nullable=False),
    Column("closed_at", UtcDateTime),
)

coupons = Table(  # one code, drawn at most once; one person draws one per broadcast (`drawn_for`)
    "coupons",
    metadata,
    Column("id", Id, primary_key=True),
    Column("pool_id", Id, ForeignKey("coupon_pools.id"), nullable=False),
    Column("code", Words, nullable=False),
    Column("customer_id", Id, ForeignKey("customers.id"), index=True),
    Column("drawn_for", Text),  # "<broadcast id>:<customer id>"; null: still in the pool
    Column("drawn_at", UtcDateTime),
    Column("redeemed_at", UtcDateTime),
    UniqueConstraint("pool_id", "code", name="uq_coupons_pool_id_code"),
    UniqueConstraint("drawn_for", name="uq_coupons_drawn_for"),
    Index("ix_coupons_free", "pool_id", "id", **only_where("drawn_for IS NULL")),
)

# --- what is sent -----------------------------------------------------------------------------------------------------

broadcasts = Table(
    "broadcasts",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("state", Text, nullable=False),
    Column("document", Document, nullable=False),
    Column("version", Integer, nullable=False, server_default="0"),  # of document and state; checked on write
    Column("seed", Integer, nullable=False),  # decides who is held out and who gets which variant
    Column("created_by", Words, nullable=False, server_default=""),
    Column("edited_by", Words, nullable=False, server_default=""),  # who wrote it last; "": whoever made it
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("approved_by", Words, nullable=False, server_default=""),
    Column("approved_at", UtcDateTime),
    Column("approved_digest", Text, nullable=False, server_default=""),  # of the document that was approved
    Column("next_at", UtcDateTime),  # when the scheduler has to look: a start, a next run, events to take in
    Column("through_customer", Id, nullable=False, server_default="0"),  # recipients are made up to this customer id
    Column("occasion", Text, nullable=False, server_default=""),  # of the run under way; "": the only one
    Column(
        "events_through", Document, nullable=False, server_default="{}"
    ),  # cursors of what triggers, vendors' reports
    Column("reason", Words, nullable=False, server_default=""),  # why it is paused or was stopped
    Column("goes_on_as", Text, nullable=False, server_default=""),  # of a paused or stopped one: the state to resume
    Column("started_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    CheckConstraint(
        "state IN ('draft', 'waiting', 'approved', 'scheduled', 'preparing', 'running', 'paused', 'stopped', "
        "'finished', 'cancelled')",
        name="state",
    ),
    Index("ix_broadcasts_next", "next_at", **only_where("next_at IS NOT NULL")),
    Index("ix_broadcasts_active", "id", **only_where("state IN ('preparing', 'running')")),
)

broadcast_recipients = Table(  # one message to one person; the only queue of the broadcast lane
    "broadcast_recipients",
    metadata,
    Column("id", Id, primary_key=True),
    Column("broadcast_id", Id, nullable=False),
    Column("customer_id", Id, nullable=False),
    Column("occasion", Text, nullable=False, server_default=""),  # run of a recurring one, or the event that triggered
    Column("step", Text, nullable=False, server_default=""),  # of a journey
    Column("conversation_id", Id),  # null: nowhere to send (held out or skipped)
    Column("identity_id", Id),
    Column("channel", Text, nullable=False, server_default=""),
    Column("account", Text, nullable=False, server_default=""),
    Column("arm", Text, nullable=False, server_default=""),  # variant; "holdout": watched, never sent to
    Column("stratum", Text, nullable=False, server_default=""),  # value class the draw was made within
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False, server_default=""),  # a word of bot/reach/states.py
    Column("not_before", UtcDateTime),
    Column("lease_owner", Text),
    Column("lease_until", UtcDateTime),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("message_id", Id),  # of messages, once it was sent or may have been
    Column("vendor_message_id", Words, nullable=False, server_default=""),
    Column("batch", Text, nullable=False, server_default=""),  # clientmsgid of the mass send it is part of
    Column("sent_at", UtcDateTime),
    Column("delivered_at", UtcDateTime),
    Column("read_at", UtcDateTime),
    Column("clicked_at", UtcDateTime),
    Column("replied_at", UtcDateTime),
    Column("left_at", UtcDateTime),  # unsubscribed or blocked us within the window
    Column("complained_at", UtcDateTime),
    # PostgreSQL would look up each of these for every row: half of what a million of them cost. What they name is
    # taken from those tables in the same statement, and is never deleted; `frontdesk check-invariants` looks.
    *(
        ForeignKeyConstraint([name], [f"{table}.id"]).ddl_if(dialect="sqlite")
        for name, table in (
            ("broadcast_id", "broadcasts"),
            ("customer_id", "customers"),
            ("conversation_id", "conversations"),
            ("identity_id", "identities"),
        )
    ),
    CheckConstraint(
        "state IN ('pending', 'sending', 'sent', 'failed', 'uncertain', 'parked', 'dropped', 'skipped', 'held_out')",
        name="state",
    ),
    UniqueConstraint("broadcast_id", "customer_id", "occasion", "step", name="uq_broadcast_recipients_broadcast_id"),
    Index(
        "ix_broadcast_recipients_due",
        "broadcast_id",
        "channel",
        "account",
        "not_before",
        "id",
        **only_where("state = 'pending'"),
    ),
    Index("ix_broadcast_recipients_sending", "lease_until", **only_where("state = 'sending'")),
    Index("ix_broadcast_recipients_sent", "customer_id", "sent_at", **only_where("sent_at IS NOT NULL")),
    Index(  # what somebody had lately, whichever record was theirs then: conversations go with the person
        "ix_broadcast_recipients_heard",
        "conversation_id",
        "sent_at",
        **only_where("state IN ('sending', 'sent', 'uncertain')"),
    ),
    Index("ix_broadcast_recipients_batch", "batch", **only_where("batch <> ''")),
    Index("ix_broadcast_recipients_mass", "vendor_message_id", **only_where("batch <> ''")),  # as its report names it
)

broadcast_counts = Table(  # how many recipients are in which state; kept by the transactions that move them
    "broadcast_counts",
    metadata,
    Column("broadcast_id", Id, ForeignKey("broadcasts.id"), primary_key=True, autoincrement=False),
    Column("arm", Text, primary_key=True),
    Column("state", Text, primary_key=True),
    Column("reason", Text, primary_key=True),
    Column("count", Integer, nullable=False),
)

# --- links and what came of it ----------------------------------------------------------------------------------------

broadcast_links = Table(  # where a link of a broadcast leads; only these are redirected to
    "broadcast_links",
    metadata,
    Column("id", Id, primary_key=True),
    Column("broadcast_id", Id, ForeignKey("broadcasts.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("url", Words, nullable=False),
    UniqueConstraint("broadcast_id", "name", name="uq_broadcast_links_broadcast_id_name"),
)

broadcast_clicks = Table(
    "broadcast_clicks",
    metadata,
    Column("recipient_id", Id, ForeignKey("broadcast_recipients.id"), primary_key=True, autoincrement=False),
    Column("link_id", Id, ForeignKey("broadcast_links.id"), primary_key=True, autoincrement=False),
    Column("first_at", UtcDateTime, nullable=False),
    Column("last_at", UtcDateTime, nullable=False),
    Column("times", Integer, nullable=False, server_default="1"),
)

broadcast_waits = Table(  # where somebody is in a journey between two steps
    "broadcast_waits",
    metadata,
    Column("broadcast_id", Id, ForeignKey("broadcasts.id"), primary_key=True, autoincrement=False),
    Column("customer_id", Id, ForeignKey("customers.id"), primary_key=True, autoincrement=False),
    Column("occasion", Text, primary_key=True, server_default=""),
    Column("step", Text, nullable=False),  # the one that comes next
    Column("at", UtcDateTime),  # when to look; null: over
    Column("outcome", Text, nullable=False, server_default=""),  # why it is over: done, replied, complained, withdrawn
    Index("ix_broadcast_waits_due", "at", **only_where("at IS NOT NULL")),
)

broadcast_results = Table(  # the last reckoning of its effect, so that a screen need not add up a million rows
    "broadcast_results",
    metadata,
    Column("broadcast_id", Id, ForeignKey("broadcasts.id"), primary_key=True, autoincrement=False),
    Column("document", Document, nullable=False),
    Column("share", Float, nullable=False, server_default="0"),  # of the window that is over: 1 is final
    Column("at", UtcDateTime, nullable=False),
)

vendor_quotas = Table(  # what a vendor allows per month or day of a kind of send, and what was used of it
    "vendor_quotas",
    metadata,
    Column("channel", Text, primary_key=True),
    Column("account", Text, primary_key=True),
    Column("kind", Text, primary_key=True),  # mass | template …
    Column("period", Text, primary_key=True),  # 2026-11 or 2026-11-26, in the vendor's zone
    Column("used", Integer, nullable=False, server_default="0"),
    Column("is_known_used_up", Boolean, nullable=False, server_default=text("false")),
)
