"""What channels keep count of: reply windows, passive replies, files, vendor tokens.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TIMESTAMP

revision = "0002"
down_revision = "0001"
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
    op.create_index("ix_inbox_parked", "inbox", ["id"], **_where("state = 'parked'"))
    op.add_column("identities", sa.Column("source", WORDS, nullable=False, server_default=""))
    op.add_column("messages", sa.Column("status_key", sa.Text(), nullable=False, server_default=""))
    op.create_index(
        "ix_messages_status", "messages", ["conversation_id", "status_key", "id"], **_where("status_key <> ''")
    )
    op.add_column("outbox", sa.Column("is_vital", sa.Boolean(), nullable=False, server_default=sa.text("false")))
    op.add_column("outbox", sa.Column("is_held", sa.Boolean(), nullable=False, server_default=sa.text("false")))
    op.add_column("outbox", sa.Column("merged_into", ID))
    op.add_column("outbox", sa.Column("set_aside_at", TIME))
    op.create_index("ix_outbox_held", "outbox", ["conversation_id"], **_where("is_held"))
    op.create_index("ix_outbox_unsent", "outbox", ["id"], **_where("state IN ('parked', 'failed', 'uncertain')"))
    op.add_column("handoffs", sa.Column("passed_on_at", TIME))
    op.create_index("ix_handoffs_waiting", "handoffs", ["id"], **_where("ended_at IS NULL"))
    op.create_table(
        "reply_windows",
        sa.Column("identity_id", ID, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("quota", sa.Integer(), nullable=False),
        sa.Column("used", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("opened_at", TIME, nullable=False),
        sa.Column("closes_at", TIME, nullable=False),
        sa.Column("taken_for", DOCUMENT, nullable=False, server_default="{}"),
        sa.ForeignKeyConstraint(["identity_id"], ["identities.id"], name=op.f("fk_reply_windows_identity_id")),
        sa.PrimaryKeyConstraint("identity_id", "kind", name=op.f("pk_reply_windows")),
    )
    op.create_table(
        "channel_health",
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("last_inbound_at", TIME),
        sa.Column("last_outbound_at", TIME),
        sa.Column("failing_since", TIME),
        sa.Column("reason", WORDS, nullable=False, server_default=""),
        sa.Column("updated_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("channel", "account", name=op.f("pk_channel_health")),
    )
    op.create_table(
        "passive_replies",
        sa.Column("inbox_id", ID, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["inbox_id"], ["inbox.id"], name=op.f("fk_passive_replies_inbox_id")),
        sa.PrimaryKeyConstraint("inbox_id", name=op.f("pk_passive_replies")),
    )
    op.create_index("ix_passive_replies_at", "passive_replies", ["at"])
    op.create_table(
        "media",
        sa.Column("id", ID, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("conversation_id", ID),
        sa.Column("message_id", ID),
        sa.Column("channel", sa.Text(), nullable=False, server_default=""),
        sa.Column("account", sa.Text(), nullable=False, server_default=""),
        sa.Column("file_id", WORDS, nullable=False, server_default=""),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("is_kept", sa.Boolean(), nullable=False, server_default=sa.text("false")),
        sa.Column("is_upload", sa.Boolean(), nullable=False, server_default=sa.text("false")),
        sa.Column("reason", WORDS, nullable=False, server_default=""),
        sa.Column("kind", sa.Text(), nullable=False, server_default=""),
        sa.Column("mime", sa.Text(), nullable=False, server_default=""),
        sa.Column("size", ID),
        sa.Column("sha256", sa.Text(), nullable=False, server_default=""),
        sa.Column("file_name", WORDS, nullable=False, server_default=""),
        sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("not_before", TIME),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("stored_at", TIME),
        sa.Column("expires_at", TIME),
        sa.CheckConstraint("state IN ('wanted', 'storing', 'stored', 'refused', 'gone')", name=op.f("ck_media_state")),
        sa.ForeignKeyConstraint(
            ["conversation_id"], ["conversations.id"], name=op.f("fk_media_conversation_id")
        ),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"], name=op.f("fk_media_message_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_media")),
        sa.UniqueConstraint("key", name=op.f("uq_media_key")),
    )
    op.create_index(op.f("ix_media_conversation_id"), "media", ["conversation_id"])
    op.create_index(op.f("ix_media_message_id"), "media", ["message_id"])
    op.create_index("ix_media_wanted", "media", ["id"], **_where("state = 'wanted'"))
    op.create_index("ix_media_storing", "media", ["created_at"], **_where("state = 'storing'"))
    op.create_index("ix_media_expires", "media", ["expires_at"], **_where("state = 'stored'"))
    op.create_index("ix_media_gone", "media", ["id"], **_where("state = 'gone' AND is_kept"))
    op.create_table(
        "vendor_tokens",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False, server_default=""),
        sa.Column("fetched_at", TIME),
        sa.Column("expires_at", TIME),
        sa.Column("lease_owner", sa.Text()),
        sa.Column("lease_until", TIME),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_vendor_tokens")),
    )
    op.create_table(
        "web_uploads",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("media_key", sa.Text(), nullable=False),
        sa.Column("conversation_id", ID, nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("used_by", sa.Text(), nullable=False, server_default=""),
        sa.Column("at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["conversation_id"], ["conversations.id"], name=op.f("fk_web_uploads_conversation_id")
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_web_uploads")),
        sa.UniqueConstraint("media_key", name=op.f("uq_web_uploads_media_key")),
    )
    op.create_index(op.f("ix_web_uploads_conversation_id"), "web_uploads", ["conversation_id"])
    op.create_table(
        "identity_links",
        sa.Column("id", ID, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("identity_id", ID, nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("linked_identity_id", ID),
        sa.Column("linked_at", TIME),
        sa.Column("source", WORDS, nullable=False, server_default=""),
        sa.Column("kept_customer_id", ID),
        sa.Column("merged_customer_id", ID),
        sa.Column("moved", DOCUMENT),
        sa.Column("undone_at", TIME),
        sa.ForeignKeyConstraint(["identity_id"], ["identities.id"], name=op.f("fk_identity_links_identity_id")),
        sa.ForeignKeyConstraint(
            ["linked_identity_id"], ["identities.id"], name=op.f("fk_identity_links_linked_identity_id")
        ),
        sa.ForeignKeyConstraint(
            ["kept_customer_id"], ["customers.id"], name=op.f("fk_identity_links_kept_customer_id")
        ),
        sa.ForeignKeyConstraint(
            ["merged_customer_id"], ["customers.id"], name=op.f("fk_identity_links_merged_customer_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identity_links")),
        sa.UniqueConstraint("key", name=op.f("uq_identity_links_key")),
    )
    op.create_index(op.f("ix_identity_links_identity_id"), "identity_links", ["identity_id"])
    op.create_index(op.f("ix_identity_links_linked_identity_id"), "identity_links", ["linked_identity_id"])
