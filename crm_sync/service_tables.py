"""Tables of the service desk: sites, clocks, what a customer owns and did, surveys, subscriptions, merges, imports.

Cases, tasks and customers themselves are in `tables.py`; the same rules hold here.
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from crm_sync.columns import Document, Id, UtcDateTime, Words
from crm_sync.tables import metadata, only_where

# --- rules of the business, with their history -----------------------------------------------------------------------

policies = Table(  # service.yml seeds the first version; what was changed in the store wins
    "policies",
    metadata,
    Column("assistant", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("document", Document, nullable=False),
    Column("note", Words, nullable=False, server_default=""),
    Column("author", Words, nullable=False, server_default=""),
    Column("at", UtcDateTime, nullable=False),
)

# --- cases: what has to happen by when --------------------------------------------------------------------------------

case_links = Table(  # conversations a case was spoken about in, on any channel
    "case_links",
    metadata,
    Column("case_id", Id, ForeignKey("cases.id"), primary_key=True, autoincrement=False),
    Column("conversation_id", Id, ForeignKey("conversations.id"), primary_key=True, autoincrement=False),
    Column("at", UtcDateTime, nullable=False),
    Index("ix_case_links_conversation_id", "conversation_id"),
)

clocks = Table(  # a promise in working time; stands still while paused
    "clocks",
    metadata,
    Column("id", Id, primary_key=True),
    Column("case_id", Id, ForeignKey("cases.id")),  # exactly one of case_id and task_id is filled
    Column("task_id", Id, ForeignKey("tasks.id")),
    Column("kind", Text, nullable=False),  # first_response | update | solution | callback | followup
    Column("state", Text, nullable=False),  # running | paused | met | stopped
    Column("calendar", Text, nullable=False),  # name of the business calendar it counts in
    Column("budget_s", Integer, nullable=False),  # working seconds promised
    Column("used_s", Integer, nullable=False, server_default="0"),  # of them spent before `running_since`
    Column("running_since", UtcDateTime),
    Column("due_at", UtcDateTime),  # null while paused
    Column("warn_share", Float, nullable=False, server_default="0.75"),  # of the budget: warned from there on
    Column("warned_at", UtcDateTime),
    Column("breached_at", UtcDateTime),
    Column("escalated", Integer, nullable=False, server_default="0"),  # rungs of the ladder climbed
    Column("next_at", UtcDateTime),  # when the scheduler has to look again; null: never
    Column("started_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    CheckConstraint("state IN ('running', 'paused', 'met', 'stopped')", name="state"),
    Index("ix_clocks_next", "next_at", **only_where("next_at IS NOT NULL")),
    Index("ix_clocks_due", "due_at", **only_where("state = 'running'")),  # which promises have run out
    Index("ix_clocks_case_id", "case_id"),
    Index("ix_clocks_task_id", "task_id", **only_where("task_id IS NOT NULL")),
    Index(  # with when each runs out, so that PostgreSQL tells which cases are late without looking at the rows
        "uq_clocks_case",
        "case_id",
        "kind",
        unique=True,
        postgresql_include=["due_at"],
        **only_where("state IN ('running', 'paused')"),
    ),
)

timers = Table(  # one thing to be done once, at or after a moment
    "timers",
    metadata,
    Column("id", Id, primary_key=True),
    Column("key", Text, unique=True),  # the same thing is not planned twice; null: no such check
    Column("kind", Text, nullable=False),
    Column("at", UtcDateTime),  # null once done or cancelled
    Column("customer_id", Id, ForeignKey("customers.id"), index=True),
    Column("case_id", Id, ForeignKey("cases.id"), index=True),
    Column("details", Document, nullable=False, server_default="{}"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("reason", Words, nullable=False, server_default=""),  # why it was set aside, if it was
    Column("created_at", UtcDateTime, nullable=False),
    Column("done_at", UtcDateTime),
    Index("ix_timers_due", "at", **only_where("at IS NOT NULL")),
)

compensations = Table(
    "compensations",
    metadata,
    Column("id", Id, primary_key=True),
    Column("case_id", Id, ForeignKey("cases.id"), nullable=False, index=True),
    Column("kind", Text, nullable=False),  # refund | voucher | points | goods
    Column("amount_minor", Id, nullable=False),
    Column("currency", Text, nullable=False),
    Column("state", Text, nullable=False),  # proposed | approved | refused | given
    Column("reason", Words, nullable=False, server_default=""),
    Column("proposed_by", Words, nullable=False),
    Column("proposed_at", UtcDateTime, nullable=False),
    Column("decided_by", Words, nullable=False, server_default=""),
    Column("decided_at", UtcDateTime),
    CheckConstraint("state IN ('proposed', 'approved', 'refused', 'given')", name="state"),
)

case_alerts = Table(  # more of one cause than usual, said before anybody reads a report
    "case_alerts",
    metadata,
    Column("id", Id, primary_key=True),
    Column("key", Text, nullable=False, unique=True),  # digest of what is counted, and the period
    Column("category", Words, nullable=False),
    Column("quality_type", Words, nullable=False, server_default=""),
    Column("product", Words, nullable=False, server_default=""),
    Column("site_id", Id, ForeignKey("sites.id")),
    Column("period_from", UtcDateTime, nullable=False),
    Column("period_to", UtcDateTime, nullable=False),
    Column("count", Integer, nullable=False),
    Column("expected", Float, nullable=False),
    Column("sigma", Float),  # null where a set count was passed
    Column("at", UtcDateTime, nullable=False),
    Column("seen_by", Words, nullable=False, server_default=""),
    Column("seen_at", UtcDateTime),
)

# --- where service happens --------------------------------------------------------------------------------------------

sites = Table(
    "sites",
    metadata,
    Column("id", Id, primary_key=True),
    Column("key", Words, nullable=False, unique=True),  # the business's own code
    Column("names", Document, nullable=False),  # language -> name
    Column("kind", Text, nullable=False, server_default=""),  # station, workshop, hotel …
    Column("latitude", Float),
    Column("longitude", Float),
    Column("address", Words, nullable=False, server_default=""),
    Column("phone", Words, nullable=False, server_default=""),
    Column("email", Words, nullable=False, server_default=""),  # where links to its tasks go
    Column("contact", Words, nullable=False, server_default=""),  # channel:account:chat, where they go too
    Column("timezone", Text, nullable=False, server_default=""),
    Column("calendar", Text, nullable=False, server_default=""),  # name in the policy; "": the default one
    Column("skills", Document, nullable=False, server_default="[]"),
    Column("languages", Document, nullable=False, server_default="[]"),
    Column("capacity", Integer, nullable=False, server_default="0"),  # open tasks at a time; 0: no limit
    Column("is_active", Boolean, nullable=False, server_default=text("true")),
    Column("updated_at", UtcDateTime, nullable=False),
)

site_tasks = Table(  # what a site is asked to do for a case; its link needs no account
    "site_tasks",
    metadata,
    Column("id", Id, primary_key=True),
    Column("case_id", Id, ForeignKey("cases.id"), nullable=False, index=True),
    Column("site_id", Id, ForeignKey("sites.id"), nullable=False),
    Column("customer_id", Id, ForeignKey("customers.id"), nullable=False, index=True),
    Column("state", Text, nullable=False),  # offered | accepted | declined | closed | withdrawn
    Column("version", Integer, nullable=False, server_default="0"),
    Column("link_serial", Integer, nullable=False, server_default="0"),  # raised: links given out before stop working
    Column("expires_at", UtcDateTime, nullable=False),  # of the link
    Column("worker", Words, nullable=False, server_default=""),  # who at the site took it
    Column("report", Words, nullable=False, server_default=""),
    Column("distance_m", Integer),
    Column("created_at", UtcDateTime, nullable=False),
    Column("accepted_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    CheckConstraint("state IN ('offered', 'accepted', 'declined', 'closed', 'withdrawn')", name="state"),
    Index("ix_site_tasks_open", "site_id", "id", **only_where("state IN ('offered', 'accepted')")),
    Index("uq_site_tasks_open", "case_id", unique=True, **only_where("state IN ('offered', 'accepted')")),
)

appointments = Table(
    "appointments",
    metadata,
    Column("id", Id, primary_key=True),
    Column("site_id", Id, ForeignKey("sites.id"), nullable=False),
    Column("customer_id", Id, ForeignKey("customers.id"), nullable=False, index=True),
    Column("conversation_id", Id, ForeignKey("conversations.id")),
    Column("case_id", Id, ForeignKey("cases.id"), index=True),
    Column("service", Text, nullable=False),
    Column("starts_at", UtcDateTime, nullable=False),
    Column("ends_at", UtcDateTime, nullable=False),
    Column("place", Integer, nullable=False),  # which of the parallel places of the slot, from 0
    Column("state", Text, nullable=False),  # booked | moved | cancelled | done | missed
    Column("details", Document, nullable=False, server_default="{}"),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    CheckConstraint("state IN ('booked', 'moved', 'cancelled', 'done', 'missed')", name="state"),
    Index(
        "uq_appointments_place",
        "site_id",
        "service",
        "starts_at",
        "place",
        unique=True,
        **only_where("state = 'booked'"),
    ),
)

# --- what a customer owns, did and told us ----------------------------------------------------------------------------

assets = Table(
    "assets",
    metadata,
    Column("id", Id, primary_key=True),
    Column("customer_id", Id, ForeignKey("customers.id"), index=True),
    Column("kind", Text, nullable=False),  # vehicle | meter | policy | room_stay …
    Column("key", Words, nullable=False),  # number plate, meter number …
    Column("name", Words, nullable=False, server_default=""),
    Column("attributes", Document, nullable=False, server_default="{}"),
    Column("since", UtcDateTime),
    Column("until", UtcDateTime),
    Column("updated_at", UtcDateTime, nullable=False),
    UniqueConstraint("kind", "key", name="uq_assets_kind_key"),
)

visits = Table(
    "visits",
    metadata,
    Column("id", Id, primary_key=True),
    Column("key", Words, unique=True),  # the business's own number of it; null: none
    Column("customer_id", Id, ForeignKey("customers.id"), nullable=False),
    Column("site_id", Id, ForeignKey("sites.id")),
    Column("asset_id", Id, ForeignKey("assets.id")),
    Column("kind", Text, nullable=False, server_default=""),  # refuel, service, stay …
    Column("items", Words, nullable=False, server_default=""),
    Column("amount_minor", Id),
    Column("currency", Text, nullable=False, server_default=""),
    Column("at", UtcDateTime, nullable=False),
    Index("ix_visits_customer", "customer_id", "at"),
)

dues = Table(  # bills and other payments that fall due
    "dues",
    metadata,
    Column("id", Id, primary_key=True),
    Column("key", Words, nullable=False, unique=True),
    Column("customer_id", Id, ForeignKey("customers.id"), nullable=False, index=True),
    Column("asset_id", Id, ForeignKey("assets.id")),
    Column("kind", Text, nullable=False),
    Column("amount_minor", Id, nullable=False),
    Column("currency", Text, nullable=False),
    Column("due_on", Text, nullable=False),  # ISO date in the business's zone
    Column("paid_on", Text, nullable=False, server_default=""),
    Column("details", Document, nullable=False, server_default="{}"),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("plan_of", Id, index=True),  # id of the payment this is an instalment of
    Column("replaced_at", UtcDateTime),  # by its instalments: nobody is reminded of it any more
    Index("ix_dues_open", "due_on", **only_where("paid_on = ''")),
    Index("ix_dues_customer_open", "customer_id", **only_where("paid_on = ''")),
)

customer_attributes = Table(  # typed by the policy's `record`; the value is a JSON scalar
    "customer_attributes",
    metadata,
    Column("customer_id", Id, ForeignKey("customers.id"), primary_key=True, autoincrement=False),
    Column("name", Text, primary_key=True),
    Column("value", Document, nullable=False),
    Column("source", Words, nullable=False, server_default=""),
    Column("updated_at", UtcDateTime, nullable=False),
    Index("ix_customer_attributes_birthday", "value", **only_where("name = 'birthday'")),
)

customer_tags = Table(
    "customer_tags",
    metadata,
    Column("customer_id", Id, ForeignKey("customers.id"), primary_key=True, autoincrement=False),
    Column("tag", Text, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Index("ix_customer_tags_tag", "tag", "customer_id"),
)

preferences = Table(  # "I'm allergic to feathers": kept in the customer's words, offered next time
    "preferences",
    metadata,
    Column("id", Id, primary_key=True),
    Column("customer_id", Id, ForeignKey("customers.id"), nullable=False, index=True),
    Column("topic", Text, nullable=False),
    Column("value", Words, nullable=False),
    Column("source", Words, nullable=False, server_default=""),
    Column("at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
)

customer_values = Table(  # what follows from orders, visits and cases; recomputed, never edited
    "customer_values",
    metadata,
    Column("customer_id", Id, ForeignKey("customers.id"), primary_key=True, autoincrement=False),
    Column("visits", Integer, nullable=False, server_default="0"),
    Column("last_at", UtcDateTime),  # of a visit or an order
    Column("usual_interval_s", Float),  # median of this customer's own; null below three visits
    Column("amount_year_minor", Id, nullable=False, server_default="0"),
    Column("amount_before_minor", Id, nullable=False, server_default="0"),  # of the year before
    Column("currency", Text, nullable=False, server_default=""),
    Column("recency", Integer),  # fifths, 5 best, of all customers; likewise:
    Column("frequency", Integer),
    Column("monetary", Integer),
    Column("value_class", Text, nullable=False, server_default=""),  # A | B | C by share of turnover
    Column("lifecycle", Text, nullable=False, server_default=""),  # new | growing | stable | fading | lost | won_back
    Column("next_action", Text, nullable=False, server_default=""),
    Column("computed_at", UtcDateTime, nullable=False),
    Index("ix_customer_values_class", "value_class", "customer_id"),
    Index("ix_customer_values_lifecycle", "lifecycle", "customer_id"),
)

points = Table(
    "points",
    metadata,
    Column("id", Id, primary_key=True),
    Column("customer_id", Id, ForeignKey("customers.id"), nullable=False, index=True),
    Column("change", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("reference", Words, nullable=False, unique=True),  # the same reward is not given twice
    Column("author", Words, nullable=False, server_default=""),
    Column("at", UtcDateTime, nullable=False),
)

surveys = Table(
    "surveys",
    metadata,
    Column("id", Id, primary_key=True),
    Column("customer_id", Id, ForeignKey("customers.id"), nullable=False, index=True),
    Column("conversation_id", Id, ForeignKey("conversations.id")),
    Column("case_id", Id, ForeignKey("cases.id"), index=True),
    Column("kind", Text, nullable=False),  # csat (1 to 5) | nps (0 to 10)
    Column("reference", Words, nullable=False, unique=True),  # what it is about, or the period it belongs to
    Column("asked_at", UtcDateTime, nullable=False),
    Column("score", Integer),
    Column("reason", Words, nullable=False, server_default=""),
    Column("answered_at", UtcDateTime),
)

# --- what a customer wants to be told ---------------------------------------------------------------------------------

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("id", Id, primary_key=True),
    Column("customer_id", Id, ForeignKey("customers.id"), nullable=False, index=True),
    Column("conversation_id", Id, ForeignKey("conversations.id"), nullable=False),
    Column("topic", Text, nullable=False),  # of the policy: price, outage, weather …
    Column("match", Words, nullable=False, server_default=""),  # region, order, article topic …; "": all of the topic
    Column("source", Words, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Index("ix_subscriptions_topic", "topic", "match", "id", **only_where("ended_at IS NULL")),
    Index("uq_subscriptions_open", "conversation_id", "topic", "match", unique=True, **only_where("ended_at IS NULL")),
)

feed_items = Table(  # what the feeder API was given to tell subscribers
    "feed_items",
    metadata,
    Column("id", Id, primary_key=True),
    Column("topic", Text, nullable=False),
    Column("key", Words, nullable=False),  # the feeder's own; the same key again changes nothing
    Column("match", Words, nullable=False, server_default=""),
    Column("words", Document, nullable=False),  # language -> text
    Column("at", UtcDateTime, nullable=False),  # not before
    Column("until", UtcDateTime),  # worth nothing after
    Column("next_subscription", Id),  # how far it has been handed out; null: done
    Column("told", Integer, nullable=False, server_default="0"),
    Column("created_at", UtcDateTime, nullable=False),
    UniqueConstraint("topic", "key", name="uq_feed_items_topic_key"),
    Index("ix_feed_items_due", "at", **only_where("next_subscription IS NOT NULL")),
)

outages = Table(
    "outages",
    metadata,
    Column("id", Id, primary_key=True),
    Column("key", Words, nullable=False, unique=True),
    Column("kind", Text, nullable=False, server_default="outage"),  # outage | planned
    Column("area", Words, nullable=False, server_default=""),
    Column("latitude", Float),
    Column("longitude", Float),
    Column("radius_m", Integer),
    Column("starts_at", UtcDateTime, nullable=False),
    Column("expected_end_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    Column("updated_at", UtcDateTime, nullable=False),
    Index("ix_outages_open", "id", **only_where("ended_at IS NULL")),
)

outage_reports = Table(
    "outage_reports",
    metadata,
    Column("id", Id, primary_key=True),
    Column("outage_id", Id, ForeignKey("outages.id"), index=True),  # null: none known there yet
    Column("customer_id", Id, ForeignKey("customers.id"), nullable=False, index=True),
    Column("conversation_id", Id, ForeignKey("conversations.id")),
    Column("asset_id", Id, ForeignKey("assets.id")),
    Column("case_id", Id, ForeignKey("cases.id")),
    Column("latitude", Float),
    Column("longitude", Float),
    Column("address", Words, nullable=False, server_default=""),
    Column("note", Words, nullable=False, server_default=""),
    Column("at", UtcDateTime, nullable=False),
)

# --- who is who -------------------------------------------------------------------------------------------------------

customer_merges = Table(  # what was put together, by which evidence, and what undoes it
    "customer_merges",
    metadata,
    Column("id", Id, primary_key=True),
    Column("kept_customer_id", Id, ForeignKey("customers.id"), nullable=False, index=True),
    Column("merged_customer_id", Id, ForeignKey("customers.id"), nullable=False, index=True),
    Column("evidence", Text, nullable=False),  # verified_phone | signed_login | link | staff
    Column("author", Words, nullable=False, server_default=""),
    Column("at", UtcDateTime, nullable=False),
    Column("moved", Document),  # rows by table, and fields that were filled
    Column("undone_at", UtcDateTime),
    Column("undone_by", Words, nullable=False, server_default=""),
)

merge_proposals = Table(
    "merge_proposals",
    metadata,
    Column("id", Id, primary_key=True),
    Column("customer_id", Id, ForeignKey("customers.id"), nullable=False, index=True),  # the lower id of the two
    Column("other_customer_id", Id, ForeignKey("customers.id"), nullable=False, index=True),
    Column("evidence", Document, nullable=False),  # what agrees: names of fields, never their values
    Column("score", Float, nullable=False),  # 0 to 1
    Column("state", Text, nullable=False),  # open | merged | refused
    Column("at", UtcDateTime, nullable=False),
    Column("decided_by", Words, nullable=False, server_default=""),
    Column("decided_at", UtcDateTime),
    UniqueConstraint("customer_id", "other_customer_id", name="uq_merge_proposals_pair"),
    Index("ix_merge_proposals_open", "id", **only_where("state = 'open'")),
)

audit = Table(  # who changed what in a record: names of fields and ids, never what they hold
    "audit",
    metadata,
    Column("id", Id, primary_key=True),
    Column("author", Words, nullable=False),
    Column("action", Text, nullable=False),
    Column("customer_id", Id, index=True),
    Column("reference", Words, nullable=False, server_default=""),
    Column("fields", Document, nullable=False, server_default="[]"),
    Column("at", UtcDateTime, nullable=False),
)

import_jobs = Table(  # goes on where it stopped
    "import_jobs",
    metadata,
    Column("id", Id, primary_key=True),
    Column("kind", Text, nullable=False),  # customers | orders | visits | sites | assets | dues
    Column("file_name", Words, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("mapping", Document, nullable=False),  # column of the file -> field
    Column("state", Text, nullable=False),  # running | done | stopped
    Column("next_row", Integer, nullable=False, server_default="1"),
    Column("accepted", Integer, nullable=False, server_default="0"),
    Column("rejected", Integer, nullable=False, server_default="0"),
    Column("author", Words, nullable=False, server_default=""),
    Column("started_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Index("ix_import_jobs_file", "kind", "sha256"),
)

import_errors = Table(
    "import_errors",
    metadata,
    Column("job_id", Id, ForeignKey("import_jobs.id"), primary_key=True, autoincrement=False),
    Column("row", Integer, primary_key=True, autoincrement=False),  # as a person counts them: the header is 1
    Column("column", Words, nullable=False, server_default=""),
    Column("reason", Words, nullable=False),
)
