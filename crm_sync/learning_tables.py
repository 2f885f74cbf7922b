"""Tables of the learning loop: how what was understood turned out, candidates in training, and who made which active.

The same rules hold as in `tables.py`. Words are nowhere here: rows name messages by their inbox id.
"""

from __future__ import annotations

from sqlalchemy import Column, Float, ForeignKey, Index, Integer, Table, Text

from crm_sync.columns import Document, Id, UtcDateTime, Words
from crm_sync.tables import metadata, only_where

turn_outcomes = (
    Table(  # worked out behind the conversations from what happened next; a label of the staff goes before it
        "turn_outcomes",
        metadata,
        Column("inbox_id", Id, ForeignKey("inbox.id"), primary_key=True, autoincrement=False),
        Column("outcome", Text, nullable=False),  # confirmed | corrected | handed_over | unhelpful
        Column(
            "meant", Text, nullable=False, server_default=""
        ),  # an intent, "article:ID", or "": none that was offered
        Column("at", UtcDateTime, nullable=False),
        Index("ix_turn_outcomes_outcome", "outcome", "inbox_id"),
    )
)

trainings = Table(
    "trainings",
    metadata,
    Column("id", Id, primary_key=True),
    Column("assistant", Text, nullable=False),
    Column("state", Text, nullable=False),  # queued | running | done | failed | cancelled
    Column("step", Text, nullable=False, server_default=""),  # reading | training | comparing | replaying
    Column("progress", Float, nullable=False, server_default="0"),
    Column("by", Words, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime),
    Column("beat_at", UtcDateTime),  # the worker is alive; one that is not loses it to another
    Column("ended_at", UtcDateTime),
    Column("worker", Text, nullable=False, server_default=""),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("baseline", Text, nullable=False, server_default=""),  # version that served when it was compared
    Column("candidate", Text, nullable=False, server_default=""),
    Column("comparison", Document, nullable=False, server_default="{}"),  # message by message; see nlu/shadow.py
    Column("reason", Words, nullable=False, server_default=""),  # why it failed
    Index("ix_trainings_assistant", "assistant", "id"),
    Index("ix_trainings_open", "id", **only_where("state IN ('queued', 'running')")),
)

model_activations = Table(
    "model_activations",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("previous", Text, nullable=False, server_default=""),
    Column("by", Words, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Index("ix_model_activations_name", "name", "id"),
)
