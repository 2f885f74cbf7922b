"""The service desk: clocks, sites, appointments, what customers own and did, surveys, subscriptions, merges, imports.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TIMESTAMP

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# What the column types were when this revision was written; a revision never imports the present ones.
ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.BigInteger().with_variant(TIMESTAMP(timezone=True), "postgresql")
WORDS = sa.Text()
DOCUMENT = sa.Text()


def _where(condition: str) -> dict[str, sa.TextClause]:
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("id", ID, nullable=False),
        sa.Column("author", WORDS, nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("customer_id", ID),
        sa.Column("reference", WORDS, server_default="", nullable=False),
        sa.Column("fields", DOCUMENT, server_default="[]", nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_index(op.f("ix_audit_customer_id"), "audit", ["customer_id"])
    op.create_table(
        "feed_items",
        sa.Column("id", ID, nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("key", WORDS, nullable=False),
        sa.Column("match", WORDS, server_default="", nullable=False),
        sa.Column("words", DOCUMENT, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("until", TIME),
        sa.Column("next_subscription", ID),
        sa.Column("told", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_feed_items")),
        sa.UniqueConstraint("topic", "key", name="uq_feed_items_topic_key"),
    )
    op.create_index("ix_feed_items_due", "feed_items", ["at"], **_where("next_subscription IS NOT NULL"))
    op.create_table(
        "import_jobs",
        sa.Column("id", ID, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("file_name", WORDS, nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("mapping", DOCUMENT, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("next_row", sa.Integer(), server_default="1", nullable=False),
        sa.Column("accepted", sa.Integer(), server_default="0", nullable=False),
        sa.Column("rejected", sa.Integer(), server_default="0", nullable=False),
        sa.Column("author", WORDS, server_default="", nullable=False),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("ended_at", TIME),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_import_jobs")),
    )
    op.create_index("ix_import_jobs_file", "import_jobs", ["kind", "sha256"])
    op.create_table(
        "outages",
        sa.Column("id", ID, nullable=False),
        sa.Column("key", WORDS, nullable=False),
        sa.Column("kind", sa.Text(), server_default="outage", nullable=False),
        sa.Column("area", WORDS, server_default="", nullable=False),
        sa.Column("latitude", sa.Float()),
        sa.Column("longitude", sa.Float()),
        sa.Column("radius_m", sa.Integer()),
        sa.Column("starts_at", TIME, nullable=False),
        sa.Column("expected_end_at", TIME),
        sa.Column("ended_at", TIME),
        sa.Column("updated_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outages")),
        sa.UniqueConstraint("key", name=op.f("uq_outages_key")),
    )
    op.create_index("ix_outages_open", "outages", ["id"], **_where("ended_at IS NULL"))
    op.create_table(
        "policies",
        sa.Column("assistant", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("document", DOCUMENT, nullable=False),
        sa.Column("note", WORDS, server_default="", nullable=False),
        sa.Column("author", WORDS, server_default="", nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("assistant", "version", name=op.f("pk_policies")),
    )
    op.create_table(
        "sites",
        sa.Column("id", ID, nullable=False),
        sa.Column("key", WORDS, nullable=False),
        sa.Column("names", DOCUMENT, nullable=False),
        sa.Column("kind", sa.Text(), server_default="", nullable=False),
        sa.Column("latitude", sa.Float()),
        sa.Column("longitude", sa.Float()),
        sa.Column("address", WORDS, server_default="", nullable=False),
        sa.Column("phone", WORDS, server_default="", nullable=False),
        sa.Column("timezone", sa.Text(), server_default="", nullable=False),
        sa.Column("calendar", sa.Text(), server_default="", nullable=False),
        sa.Column("skills", DOCUMENT, server_default="[]", nullable=False),
        sa.Column("languages", DOCUMENT, server_default="[]", nullable=False),
        sa.Column("capacity", sa.Integer(), server_default="0", nullable=False),
        sa.Column("is_active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sites")),
        sa.UniqueConstraint("key", name=op.f("uq_sites_key")),
    )
    op.create_table(
        "assets",
        sa.Column("id", ID, nullable=False),
        sa.Column("customer_id", ID),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", WORDS, nullable=False),
        sa.Column("name", WORDS, server_default="", nullable=False),
        sa.Column("attributes", DOCUMENT, server_default="{}", nullable=False),
        sa.Column("since", TIME),
        sa.Column("until", TIME),
        sa.Column("updated_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_assets_customer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_assets")),
        sa.UniqueConstraint("kind", "key", name="uq_assets_kind_key"),
    )
    op.create_index(op.f("ix_assets_customer_id"), "assets", ["customer_id"])
    op.create_table(
        "case_alerts",
        sa.Column("id", ID, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("category", WORDS, nullable=False),
        sa.Column("quality_type", WORDS, server_default="", nullable=False),
        sa.Column("product", WORDS, server_default="", nullable=False),
        sa.Column("site_id", ID),
        sa.Column("period_from", TIME, nullable=False),
        sa.Column("period_to", TIME, nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("expected", sa.Float(), nullable=False),
        sa.Column("sigma", sa.Float()),
        sa.Column("at", TIME, nullable=False),
        sa.Column("seen_by", WORDS, server_default="", nullable=False),
        sa.Column("seen_at", TIME),
        sa.ForeignKeyConstraint(["site_id"], ["sites.id"], name=op.f("fk_case_alerts_site_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_case_alerts")),
        sa.UniqueConstraint("key", name=op.f("uq_case_alerts_key")),
    )
    op.create_table(
        "customer_attributes",
        sa.Column("customer_id", ID, autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", DOCUMENT, nullable=False),
        sa.Column("source", WORDS, server_default="", nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_customer_attributes_customer_id")),
        sa.PrimaryKeyConstraint("customer_id", "name", name=op.f("pk_customer_attributes")),
    )
    op.create_table(
        "customer_merges",
        sa.Column("id", ID, nullable=False),
        sa.Column("kept_customer_id", ID, nullable=False),
        sa.Column("merged_customer_id", ID, nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("author", WORDS, server_default="", nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("moved", DOCUMENT),
        sa.Column("undone_at", TIME),
        sa.Column("undone_by", WORDS, server_default="", nullable=False),
        sa.ForeignKeyConstraint(
            ["kept_customer_id"], ["customers.id"], name=op.f("fk_customer_merges_kept_customer_id")
        ),
        sa.ForeignKeyConstraint(
            ["merged_customer_id"], ["customers.id"], name=op.f("fk_customer_merges_merged_customer_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_customer_merges")),
    )
    op.create_index(op.f("ix_customer_merges_kept_customer_id"), "customer_merges", ["kept_customer_id"])
    op.create_index(op.f("ix_customer_merges_merged_customer_id"), "customer_merges", ["merged_customer_id"])
    op.create_table(
        "customer_tags",
        sa.Column("customer_id", ID, autoincrement=False, nullable=False),
        sa.Column("tag", sa.Text(), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_customer_tags_customer_id")),
        sa.PrimaryKeyConstraint("customer_id", "tag", name=op.f("pk_customer_tags")),
    )
    op.create_index("ix_customer_tags_tag", "customer_tags", ["tag", "customer_id"])
    op.create_table(
        "customer_values",
        sa.Column("customer_id", ID, autoincrement=False, nullable=False),
        sa.Column("visits", sa.Integer(), server_default="0", nullable=False),
        sa.Column("last_at", TIME),
        sa.Column("usual_interval_s", sa.Float()),
        sa.Column("amount_year_minor", ID, server_default="0", nullable=False),
        sa.Column("amount_before_minor", ID, server_default="0", nullable=False),
        sa.Column("currency", sa.Text(), server_default="", nullable=False),
        sa.Column("recency", sa.Integer()),
        sa.Column("frequency", sa.Integer()),
        sa.Column("monetary", sa.Integer()),
        sa.Column("value_class", sa.Text(), server_default="", nullable=False),
        sa.Column("lifecycle", sa.Text(), server_default="", nullable=False),
        sa.Column("next_action", sa.Text(), server_default="", nullable=False),
        sa.Column("computed_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_customer_values_customer_id")),
        sa.PrimaryKeyConstraint("customer_id", name=op.f("pk_customer_values")),
    )
    op.create_index("ix_customer_values_class", "customer_values", ["value_class", "customer_id"])
    op.create_index("ix_customer_values_lifecycle", "customer_values", ["lifecycle", "customer_id"])
    op.create_table(
        "import_errors",
        sa.Column("job_id", ID, autoincrement=False, nullable=False),
        sa.Column("row", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("column", WORDS, server_default="", nullable=False),
        sa.Column("reason", WORDS, nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["import_jobs.id"], name=op.f("fk_import_errors_job_id")),
        sa.PrimaryKeyConstraint("job_id", "row", name=op.f("pk_import_errors")),
    )
    op.create_table(
        "merge_proposals",
        sa.Column("id", ID, nullable=False),
        sa.Column("customer_id", ID, nullable=False),
        sa.Column("other_customer_id", ID, nullable=False),
        sa.Column("evidence", DOCUMENT, nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("decided_by", WORDS, server_default="", nullable=False),
        sa.Column("decided_at", TIME),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_merge_proposals_customer_id")),
        sa.ForeignKeyConstraint(
            ["other_customer_id"], ["customers.id"], name=op.f("fk_merge_proposals_other_customer_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_merge_proposals")),
        sa.UniqueConstraint("customer_id", "other_customer_id", name="uq_merge_proposals_pair"),
    )
    op.create_index(op.f("ix_merge_proposals_customer_id"), "merge_proposals", ["customer_id"])
    op.create_index("ix_merge_proposals_open", "merge_proposals", ["id"], **_where("state = 'open'"))
    op.create_index(op.f("ix_merge_proposals_other_customer_id"), "merge_proposals", ["other_customer_id"])
    op.create_table(
        "points",
        sa.Column("id", ID, nullable=False),
        sa.Column("customer_id", ID, nullable=False),
        sa.Column("change", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("reference", WORDS, nullable=False),
        sa.Column("author", WORDS, server_default="", nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_points_customer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_points")),
        sa.UniqueConstraint("reference", name=op.f("uq_points_reference")),
    )
    op.create_index(op.f("ix_points_customer_id"), "points", ["customer_id"])
    op.create_table(
        "preferences",
        sa.Column("id", ID, nullable=False),
        sa.Column("customer_id", ID, nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("value", WORDS, nullable=False),
        sa.Column("source", WORDS, server_default="", nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("ended_at", TIME),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_preferences_customer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_preferences")),
    )
    op.create_index(op.f("ix_preferences_customer_id"), "preferences", ["customer_id"])
    op.create_table(
        "dues",
        sa.Column("id", ID, nullable=False),
        sa.Column("key", WORDS, nullable=False),
        sa.Column("customer_id", ID, nullable=False),
        sa.Column("asset_id", ID),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("amount_minor", ID, nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("due_on", sa.Text(), nullable=False),
        sa.Column("paid_on", sa.Text(), server_default="", nullable=False),
        sa.Column("details", DOCUMENT, server_default="{}", nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["asset_id"], ["assets.id"], name=op.f("fk_dues_asset_id")),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_dues_customer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dues")),
        sa.UniqueConstraint("key", name=op.f("uq_dues_key")),
    )
    op.create_index(op.f("ix_dues_customer_id"), "dues", ["customer_id"])
    op.create_index("ix_dues_open", "dues", ["due_on"], **_where("paid_on = ''"))
    op.create_index("ix_dues_customer_open", "dues", ["customer_id"], **_where("paid_on = ''"))
    op.create_table(
        "visits",
        sa.Column("id", ID, nullable=False),
        sa.Column("key", WORDS),
        sa.Column("customer_id", ID, nullable=False),
        sa.Column("site_id", ID),
        sa.Column("asset_id", ID),
        sa.Column("kind", sa.Text(), server_default="", nullable=False),
        sa.Column("items", WORDS, server_default="", nullable=False),
        sa.Column("amount_minor", ID),
        sa.Column("currency", sa.Text(), server_default="", nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["asset_id"], ["assets.id"], name=op.f("fk_visits_asset_id")),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_visits_customer_id")),
        sa.ForeignKeyConstraint(["site_id"], ["sites.id"], name=op.f("fk_visits_site_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_visits")),
        sa.UniqueConstraint("key", name=op.f("uq_visits_key")),
    )
    op.create_index("ix_visits_customer", "visits", ["customer_id", "at"])
    op.create_table(
        "subscriptions",
        sa.Column("id", ID, nullable=False),
        sa.Column("customer_id", ID, nullable=False),
        sa.Column("conversation_id", ID, nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("match", WORDS, server_default="", nullable=False),
        sa.Column("source", WORDS, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("ended_at", TIME),
        sa.ForeignKeyConstraint(
            ["conversation_id"], ["conversations.id"], name=op.f("fk_subscriptions_conversation_id")
        ),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_subscriptions_customer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscriptions")),
    )
    op.create_index(op.f("ix_subscriptions_customer_id"), "subscriptions", ["customer_id"])
    op.create_index("ix_subscriptions_topic", "subscriptions", ["topic", "match", "id"], **_where("ended_at IS NULL"))
    op.create_index(
        "uq_subscriptions_open",
        "subscriptions",
        ["conversation_id", "topic", "match"],
        unique=True,
        **_where("ended_at IS NULL"),
    )
    op.create_table(
        "appointments",
        sa.Column("id", ID, nullable=False),
        sa.Column("site_id", ID, nullable=False),
        sa.Column("customer_id", ID, nullable=False),
        sa.Column("conversation_id", ID),
        sa.Column("case_id", ID),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("starts_at", TIME, nullable=False),
        sa.Column("ends_at", TIME, nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("details", DOCUMENT, server_default="{}", nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.CheckConstraint(
            "state IN ('booked', 'moved', 'cancelled', 'done', 'missed')", name=op.f("ck_appointments_state")
        ),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_appointments_case_id")),
        sa.ForeignKeyConstraint(
            ["conversation_id"], ["conversations.id"], name=op.f("fk_appointments_conversation_id")
        ),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_appointments_customer_id")),
        sa.ForeignKeyConstraint(["site_id"], ["sites.id"], name=op.f("fk_appointments_site_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_appointments")),
    )
    op.create_index(op.f("ix_appointments_case_id"), "appointments", ["case_id"])
    op.create_index(op.f("ix_appointments_customer_id"), "appointments", ["customer_id"])
    op.create_index(
        "uq_appointments_place",
        "appointments",
        ["site_id", "service", "starts_at", "place"],
        unique=True,
        **_where("state = 'booked'"),
    )
    op.create_table(
        "case_links",
        sa.Column("case_id", ID, autoincrement=False, nullable=False),
        sa.Column("conversation_id", ID, autoincrement=False, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_case_links_case_id")),
        sa.ForeignKeyConstraint(["conversation_id"], ["conversations.id"], name=op.f("fk_case_links_conversation_id")),
        sa.PrimaryKeyConstraint("case_id", "conversation_id", name=op.f("pk_case_links")),
    )
    op.create_index("ix_case_links_conversation_id", "case_links", ["conversation_id"])
    op.create_table(
        "clocks",
        sa.Column("id", ID, nullable=False),
        sa.Column("case_id", ID),
        sa.Column("task_id", ID),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("calendar", sa.Text(), nullable=False),
        sa.Column("budget_s", sa.Integer(), nullable=False),
        sa.Column("used_s", sa.Integer(), server_default="0", nullable=False),
        sa.Column("running_since", TIME),
        sa.Column("due_at", TIME),
        sa.Column("warn_share", sa.Float(), server_default="0.75", nullable=False),
        sa.Column("warned_at", TIME),
        sa.Column("breached_at", TIME),
        sa.Column("escalated", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_at", TIME),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("ended_at", TIME),
        sa.CheckConstraint("state IN ('running', 'paused', 'met', 'stopped')", name=op.f("ck_clocks_state")),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_clocks_case_id")),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.id"], name=op.f("fk_clocks_task_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clocks")),
    )
    op.create_index("ix_clocks_case_id", "clocks", ["case_id"])
    op.create_index("ix_clocks_next", "clocks", ["next_at"], **_where("next_at IS NOT NULL"))
    op.create_index("ix_clocks_task_id", "clocks", ["task_id"], **_where("task_id IS NOT NULL"))
    op.create_index(
        "uq_clocks_case", "clocks", ["case_id", "kind"], unique=True, **_where("state IN ('running', 'paused')")
    )
    op.create_table(
        "compensations",
        sa.Column("id", ID, nullable=False),
        sa.Column("case_id", ID, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("amount_minor", ID, nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", WORDS, server_default="", nullable=False),
        sa.Column("proposed_by", WORDS, nullable=False),
        sa.Column("proposed_at", TIME, nullable=False),
        sa.Column("decided_by", WORDS, server_default="", nullable=False),
        sa.Column("decided_at", TIME),
        sa.CheckConstraint(
            "state IN ('proposed', 'approved', 'refused', 'given')", name=op.f("ck_compensations_state")
        ),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_compensations_case_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_compensations")),
    )
    op.create_index(op.f("ix_compensations_case_id"), "compensations", ["case_id"])
    op.create_table(
        "outage_reports",
        sa.Column("id", ID, nullable=False),
        sa.Column("outage_id", ID),
        sa.Column("customer_id", ID, nullable=False),
        sa.Column("conversation_id", ID),
        sa.Column("asset_id", ID),
        sa.Column("case_id", ID),
        sa.Column("latitude", sa.Float()),
        sa.Column("longitude", sa.Float()),
        sa.Column("address", WORDS, server_default="", nullable=False),
        sa.Column("note", WORDS, server_default="", nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["asset_id"], ["assets.id"], name=op.f("fk_outage_reports_asset_id")),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_outage_reports_case_id")),
        sa.ForeignKeyConstraint(
            ["conversation_id"], ["conversations.id"], name=op.f("fk_outage_reports_conversation_id")
        ),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_outage_reports_customer_id")),
        sa.ForeignKeyConstraint(["outage_id"], ["outages.id"], name=op.f("fk_outage_reports_outage_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outage_reports")),
    )
    op.create_index(op.f("ix_outage_reports_customer_id"), "outage_reports", ["customer_id"])
    op.create_index(op.f("ix_outage_reports_outage_id"), "outage_reports", ["outage_id"])
    op.create_table(
        "site_tasks",
        sa.Column("id", ID, nullable=False),
        sa.Column("case_id", ID, nullable=False),
        sa.Column("site_id", ID, nullable=False),
        sa.Column("customer_id", ID, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="0", nullable=False),
        sa.Column("link_serial", sa.Integer(), server_default="0", nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("worker", WORDS, server_default="", nullable=False),
        sa.Column("report", WORDS, server_default="", nullable=False),
        sa.Column("distance_m", sa.Integer()),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("accepted_at", TIME),
        sa.Column("ended_at", TIME),
        sa.CheckConstraint(
            "state IN ('offered', 'accepted', 'declined', 'closed', 'withdrawn')", name=op.f("ck_site_tasks_state")
        ),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_site_tasks_case_id")),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_site_tasks_customer_id")),
        sa.ForeignKeyConstraint(["site_id"], ["sites.id"], name=op.f("fk_site_tasks_site_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_site_tasks")),
    )
    op.create_index(op.f("ix_site_tasks_case_id"), "site_tasks", ["case_id"])
    op.create_index(op.f("ix_site_tasks_customer_id"), "site_tasks", ["customer_id"])
    op.create_index("ix_site_tasks_open", "site_tasks", ["site_id", "id"], **_where("state IN ('offered', 'accepted')"))
    op.create_index(
        "uq_site_tasks_open", "site_tasks", ["case_id"], unique=True, **_where("state IN ('offered', 'accepted')")
    )
    op.create_table(
        "surveys",
        sa.Column("id", ID, nullable=False),
        sa.Column("customer_id", ID, nullable=False),
        sa.Column("conversation_id", ID),
        sa.Column("case_id", ID),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("reference", WORDS, nullable=False),
        sa.Column("asked_at", TIME, nullable=False),
        sa.Column("score", sa.Integer()),
        sa.Column("reason", WORDS, server_default="", nullable=False),
        sa.Column("answered_at", TIME),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_surveys_case_id")),
        sa.ForeignKeyConstraint(["conversation_id"], ["conversations.id"], name=op.f("fk_surveys_conversation_id")),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_surveys_customer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_surveys")),
        sa.UniqueConstraint("reference", name=op.f("uq_surveys_reference")),
    )
    op.create_index(op.f("ix_surveys_case_id"), "surveys", ["case_id"])
    op.create_index(op.f("ix_surveys_customer_id"), "surveys", ["customer_id"])
    op.create_table(
        "timers",
        sa.Column("id", ID, nullable=False),
        sa.Column("key", sa.Text()),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("at", TIME),
        sa.Column("customer_id", ID),
        sa.Column("case_id", ID),
        sa.Column("details", DOCUMENT, server_default="{}", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("reason", WORDS, server_default="", nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("done_at", TIME),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_timers_case_id")),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_timers_customer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_timers")),
        sa.UniqueConstraint("key", name=op.f("uq_timers_key")),
    )
    op.create_index(op.f("ix_timers_case_id"), "timers", ["case_id"])
    op.create_index(op.f("ix_timers_customer_id"), "timers", ["customer_id"])
    op.create_index("ix_timers_due", "timers", ["at"], **_where("at IS NOT NULL"))
    op.add_column("case_events", sa.Column("by", WORDS, server_default="", nullable=False))
    op.add_column(
        "case_events", sa.Column("is_internal", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    op.add_column("cases", sa.Column("version", sa.Integer(), server_default="0", nullable=False))
    op.add_column("cases", sa.Column("quality_type", WORDS, server_default="", nullable=False))
    op.add_column("cases", sa.Column("wish", WORDS, server_default="", nullable=False))
    op.add_column("cases", sa.Column("language", sa.Text(), server_default="", nullable=False))
    op.add_column("cases", sa.Column("team", sa.Text(), server_default="", nullable=False))
    op.add_column("cases", sa.Column("owner", sa.Text(), server_default="", nullable=False))
    op.add_column("cases", sa.Column("watchers", DOCUMENT, server_default="[]", nullable=False))
    op.add_column("cases", sa.Column("site_id", ID))
    op.add_column("cases", sa.Column("asset_id", ID))
    op.add_column("cases", sa.Column("value_minor", ID))
    op.add_column("cases", sa.Column("currency", sa.Text(), server_default="", nullable=False))
    op.add_column("cases", sa.Column("cause", sa.Text(), server_default="", nullable=False))
    op.add_column("cases", sa.Column("remedy", sa.Text(), server_default="", nullable=False))
    op.add_column("cases", sa.Column("reopened", sa.Integer(), server_default="0", nullable=False))
    op.add_column("cases", sa.Column("score", sa.Integer()))
    op.add_column("cases", sa.Column("policy_version", sa.Integer(), server_default="0", nullable=False))
    op.add_column("cases", sa.Column("first_response_at", TIME))
    op.add_column("cases", sa.Column("solved_at", TIME))
    op.add_column("cases", sa.Column("closed_at", TIME))
    op.create_index("ix_customers_email", "customers", ["email"], **_where("email <> ''"))
    op.create_index("ix_cases_board", "cases", ["status", "id"], **_where("is_open"))
    op.create_index("ix_cases_open", "cases", ["id"], **_where("is_open"))
    op.create_index("ix_cases_open_site", "cases", ["site_id", "id"], **_where("is_open AND site_id IS NOT NULL"))
    op.create_index("ix_cases_team_severity", "cases", ["team", "severity", "id"], **_where("is_open"))
    op.create_index("ix_cases_team_status", "cases", ["team", "status", "id"], **_where("is_open"))
    op.create_index("ix_cases_severity", "cases", ["severity", "id"], **_where("is_open"))
    op.create_index("ix_cases_opened", "cases", ["kind", "opened_at"])
    op.create_index("ix_cases_owner", "cases", ["owner", "id"], **_where("is_open AND owner <> ''"))
    op.create_index("ix_cases_site", "cases", ["site_id", "opened_at"], **_where("site_id IS NOT NULL"))
    op.create_index("ix_cases_team", "cases", ["team", "id"], **_where("is_open"))
    op.add_column("customers", sa.Column("credit_class", sa.Text(), server_default="", nullable=False))
    op.add_column("tasks", sa.Column("assignee", sa.Text(), server_default="", nullable=False))
    op.add_column("tasks", sa.Column("rule", sa.Text(), server_default="", nullable=False))
    op.add_column("tasks", sa.Column("case_id", ID))
    op.add_column("tasks", sa.Column("suggestion", WORDS, server_default="", nullable=False))
    op.add_column("tasks", sa.Column("outcome", sa.Text(), server_default="", nullable=False))
    op.add_column("tasks", sa.Column("outcome_note", WORDS, server_default="", nullable=False))
    op.add_column("tasks", sa.Column("done_by", WORDS, server_default="", nullable=False))
    op.add_column("tasks", sa.Column("done_at", TIME))
    op.create_index("ix_tasks_assignee", "tasks", ["assignee", "id"], **_where("is_open AND assignee <> ''"))
    op.create_index("ix_tasks_due", "tasks", ["due_at", "id"], **_where("is_open AND due_at IS NOT NULL"))
    op.create_index("ix_tasks_rule", "tasks", ["rule", "id"], **_where("rule <> ''"))
