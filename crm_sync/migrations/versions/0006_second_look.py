"""Promises that have run out are found by index; one-time codes for a look at what is somebody else's; counting the
queue and who is unanswered reads no row; who of many is talking with a person is found by index; who wrote a broadcast
last; recipients are written down without looking up what they name.

Revision ID: 0006
Revises: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TIMESTAMP

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# What the column types were when this revision was written; a revision never imports the present ones.
ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.BigInteger().with_variant(TIMESTAMP(timezone=True), "postgresql")
WORDS = sa.Text()


def _where(condition: str) -> dict[str, sa.TextClause]:
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def upgrade() -> None:
    op.create_index("ix_clocks_due", "clocks", ["due_at"], **_where("state = 'running'"))
    op.create_table(
        "lookup_codes",
        sa.Column("id", ID, nullable=False),
        sa.Column("conversation_id", ID, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("number", WORDS, nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), server_default="", nullable=False),
        sa.Column("target", sa.Text(), server_default="", nullable=False),
        sa.Column("way", sa.Text(), server_default="", nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("asked_at", TIME, nullable=False),
        sa.Column("opened_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(
            ["conversation_id"], ["conversations.id"], name=op.f("fk_lookup_codes_conversation_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lookup_codes")),
    )
    op.create_index("ix_lookup_codes_asked_at", "lookup_codes", ["asked_at"])
    op.create_index("ix_lookup_codes_conversation", "lookup_codes", ["conversation_id", "kind", "number", "id"])
    op.create_index("ix_lookup_codes_number", "lookup_codes", ["kind", "number", "asked_at"])
    op.create_index("ix_lookup_codes_target", "lookup_codes", ["target", "asked_at"], **_where("target <> ''"))
    who = ["team", "operator", "last_operator", "status"]
    op.drop_index("ix_conversations_queue", "conversations")
    op.create_index(
        "ix_conversations_queue",
        "conversations",
        ["priority", "waiting_since", "id", *who],
        **_where("owner = 'queue'"),
    )
    op.drop_index("ix_conversations_unanswered", "conversations")
    op.create_index(
        "ix_conversations_unanswered",
        "conversations",
        ["unanswered_since", "id", *who],
        **_where("unanswered_since IS NOT NULL"),
    )
    op.create_index(
        "ix_conversations_live", "conversations", ["customer_id"], **_where("owner IN ('queue', 'operator')")
    )
    op.add_column("broadcasts", sa.Column("edited_by", sa.Text(), server_default="", nullable=False))
    if op.get_context().dialect.name == "postgresql":
        op.drop_index("uq_clocks_case", "clocks")
        op.create_index(
            "uq_clocks_case",
            "clocks",
            ["case_id", "kind"],
            unique=True,
            postgresql_include=["due_at"],
            **_where("state IN ('running', 'paused')"),
        )
        for name in ("broadcast_id", "conversation_id", "customer_id", "identity_id"):
            op.drop_constraint(f"fk_broadcast_recipients_{name}", "broadcast_recipients", type_="foreignkey")
