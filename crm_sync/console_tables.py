"""Tables of the staff: who may do what, what they did, what they wrote for themselves, and what goes out of the API.

Accounts are in `tables.py` (`staff_users`); the same rules hold here. Teams, queues and business hours are part of the
business's rules (`policies`), not of a table.
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
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from crm_sync.columns import Document, Id, UtcDateTime, Words
from crm_sync.tables import metadata, only_where

# --- signing in ---------------------------------------------------------------------------------------------------

staff_roles = Table(  # roles of the business beside the built-in ones
    "staff_roles",
    metadata,
    Column("name", Text, primary_key=True),
    Column("title", Words, nullable=False, server_default=""),
    Column("permissions", Document, nullable=False),  # names of desk.permissions
    Column("version", Integer, nullable=False, server_default="0"),
    Column("updated_at", UtcDateTime, nullable=False),
)

staff_sessions = Table(
    "staff_sessions",
    metadata,
    Column("id", Id, primary_key=True),
    Column("key", Text, nullable=False, unique=True),  # digest of the token in the cookie
    Column("user_id", Id, ForeignKey("staff_users.id"), nullable=False, index=True),
    Column("is_complete", Boolean, nullable=False, server_default=text("false")),  # the second factor, where one is due
    Column("method", Text, nullable=False),  # password | oidc
    Column("device", Words, nullable=False, server_default=""),  # as the browser calls itself
    Column("created_at", UtcDateTime, nullable=False),
    Column("last_seen_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("locked_at", UtcDateTime),  # until whoever it is proves who they are
    Column("ended_at", UtcDateTime),
    Column("ended_by", Words, nullable=False, server_default=""),
)

sign_in_failures = Table(  # throttles guessing; rows older than an hour go with the housekeeping
    "sign_in_failures",
    metadata,
    Column("id", Id, primary_key=True),
    Column("key", Text, nullable=False),  # digest of the account's name, or of the address it came from
    Column("at", UtcDateTime, nullable=False),
    Index("ix_sign_in_failures_key", "key", "at"),
    Index("ix_sign_in_failures_at", "at"),
)

audit_log = Table(  # append-only; each line holds the hash of the one before, so that none can be changed unseen
    "audit_log",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),  # 1, 2, 3 without a gap
    Column("actor", Words, nullable=False),  # name of the staff user, "token:NAME", or "system"
    Column("action", Text, nullable=False),  # e.g. conversation.take, customer.view, user.disable
    Column("object", Text, nullable=False, server_default=""),  # kind:id, never a name
    Column("details", Document, nullable=False, server_default="{}"),  # names of fields and ids, never personal data
    Column("at", UtcDateTime, nullable=False),
    Column("previous", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Index("ix_audit_log_object", "object", "id"),
    Index("ix_audit_log_actor", "actor", "id"),
)

audit_head = Table(  # one row: where the audit log ends, so that a cut is seen; locked while a line is added
    "audit_head",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("lines", Id, nullable=False),
    Column("hash", Text, nullable=False),
    Column("seal", Text, nullable=False),
)

# --- conversations as staff see them --------------------------------------------------------------------------------

handoff_events = Table(  # how a conversation came to whom
    "handoff_events",
    metadata,
    Column("id", Id, primary_key=True),
    Column("conversation_id", Id, ForeignKey("conversations.id"), nullable=False, index=True),
    Column("handoff_id", Id, ForeignKey("handoffs.id")),
    Column(
        "kind", Text, nullable=False
    ),  # requested | assigned | taken | transferred | overflowed | expired | returned …
    Column("by", Words, nullable=False, server_default=""),  # name of the staff user; "": the rules
    Column("to", Words, nullable=False, server_default=""),  # staff user or team
    Column("note", Words, nullable=False, server_default=""),
    Column("fence", Integer, nullable=False),
    Column("at", UtcDateTime, nullable=False),
)

conversation_notes = Table(
    "conversation_notes",
    metadata,
    Column("id", Id, primary_key=True),
    Column("conversation_id", Id, ForeignKey("conversations.id"), nullable=False, index=True),
    Column("by", Words, nullable=False),
    Column("text", Words, nullable=False),
    Column("mentions", Document, nullable=False, server_default="[]"),  # names of staff users
    Column("at", UtcDateTime, nullable=False),
    Column("edited_at", UtcDateTime),
)

conversation_seen = Table(  # how far each of the staff has read
    "conversation_seen",
    metadata,
    Column("user_id", Id, ForeignKey("staff_users.id"), primary_key=True, autoincrement=False),
    Column("conversation_id", Id, ForeignKey("conversations.id"), primary_key=True, autoincrement=False),
    Column("message_id", Id, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Index("ix_conversation_seen_conversation_id", "conversation_id"),
)

staff_notices = Table(  # what somebody of the staff should look at: a mention, an assignment, a promise at risk
    "staff_notices",
    metadata,
    Column("id", Id, primary_key=True),
    Column("user_id", Id, ForeignKey("staff_users.id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("conversation_id", Id, ForeignKey("conversations.id"), index=True),
    Column("reference", Words, nullable=False, server_default=""),
    Column("by", Words, nullable=False, server_default=""),
    Column("at", UtcDateTime, nullable=False),
    Column("read_at", UtcDateTime),
    Index("ix_staff_notices_user_id", "user_id", "id"),
)

canned_replies = Table(
    "canned_replies",
    metadata,
    Column("id", Id, primary_key=True),
    Column("shortcut", Text, nullable=False, unique=True),  # what follows the slash
    Column("texts", Document, nullable=False),  # language -> words with {variables}
    Column("team", Text, nullable=False, server_default=""),  # "": everybody's
    Column("used", Integer, nullable=False, server_default="0"),
    Column("version", Integer, nullable=False, server_default="0"),
    Column("updated_by", Words, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)

scheduled_messages = Table(  # an operator's words that leave later; a timer hands them to the outbox
    "scheduled_messages",
    metadata,
    Column("id", Id, primary_key=True),
    Column("conversation_id", Id, ForeignKey("conversations.id"), nullable=False, index=True),
    Column("by", Words, nullable=False),
    Column("text", Words, nullable=False),
    Column("content", Document),  # attachments
    Column("send_at", UtcDateTime, nullable=False),
    Column("state", Text, nullable=False, server_default="waiting"),  # waiting | handed_over | cancelled | refused
    Column("reason", Words, nullable=False, server_default=""),
    Column("message_id", Id),
    Column("created_at", UtcDateTime, nullable=False),
    CheckConstraint("state IN ('waiting', 'handed_over', 'cancelled', 'refused')", name="state"),
)

operator_sends = Table(  # the same send asked for twice is done once
    "operator_sends",
    metadata,
    Column("key", Text, primary_key=True),  # digest of the staff user and the client's id
    Column("digest", Text, nullable=False),  # of what was to be sent
    Column("message_id", Id, ForeignKey("messages.id"), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Index("ix_operator_sends_at", "at"),
)

saved_views = Table(
    "saved_views",
    metadata,
    Column("id", Id, primary_key=True),
    Column("user_id", Id, ForeignKey("staff_users.id"), nullable=False),
    Column("screen", Text, nullable=False),  # inbox | cases | customers | reports
    Column("title", Words, nullable=False),
    Column("filter", Document, nullable=False),
    Column("is_shared", Boolean, nullable=False, server_default=text("false")),
    Column("at", UtcDateTime, nullable=False),
    UniqueConstraint("user_id", "screen", "title", name="uq_saved_views_user_id_screen_title"),
)

# --- what the bot says and understands, as staff change it ------------------------------------------------------------

article_versions = Table(  # `articles` holds what is published
    "article_versions",
    metadata,
    Column("id", Id, primary_key=True),
    Column("assistant", Text, nullable=False),
    Column("article_id", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("state", Text, nullable=False),  # draft | review | published | superseded | withdrawn
    Column("title", Words, nullable=False),
    Column("answer", Words, nullable=False),
    Column("questions", Document, nullable=False),
    Column("by", Words, nullable=False),
    Column("reviewed_by", Words, nullable=False, server_default=""),
    Column("note", Words, nullable=False, server_default=""),
    Column("at", UtcDateTime, nullable=False),
    Column("published_at", UtcDateTime),
    Column("details", Document, nullable=False, server_default="{}"),  # bot/article_details.py
    UniqueConstraint("assistant", "article_id", "language", "version", name="uq_article_versions_version"),
    Index("ix_article_versions_state", "assistant", "state", "id"),
)

response_versions = Table(  # edits of what the bot says win over the files
    "response_versions",
    metadata,
    Column("id", Id, primary_key=True),
    Column("assistant", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("texts", Document, nullable=False),  # the variants; []: the file's again
    Column("is_current", Boolean, nullable=False, server_default=text("true")),
    Column("by", Words, nullable=False),
    Column("note", Words, nullable=False, server_default=""),
    Column("at", UtcDateTime, nullable=False),
    UniqueConstraint("assistant", "name", "language", "version", name="uq_response_versions_version"),
    Index("ix_response_versions_current", "assistant", **only_where("is_current")),
)

message_labels = Table(  # what a message meant, said by somebody who read it
    "message_labels",
    metadata,
    Column("inbox_id", Id, ForeignKey("inbox.id"), primary_key=True, autoincrement=False),
    Column("intent", Text, nullable=False),  # "": not worth learning from
    Column("by", Words, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Index("ix_message_labels_at", "at"),
)

conversation_tests = Table(  # transcripts made into tests of the assistant, without personal data
    "conversation_tests",
    metadata,
    Column("id", Id, primary_key=True),
    Column("assistant", Text, nullable=False),
    Column("name", Words, nullable=False),
    Column("document", Document, nullable=False),
    Column("conversation_id", Id, ForeignKey("conversations.id"), index=True),
    Column("by", Words, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    UniqueConstraint("assistant", "name", name="uq_conversation_tests_assistant_name"),
)

# --- what reports count -----------------------------------------------------------------------------------------------

report_days = Table(  # one conversation on one day of the business's zone; worked out from messages, never by hand
    "report_days",
    metadata,
    Column("day", Text, primary_key=True),  # ISO date
    Column("conversation_id", Id, ForeignKey("conversations.id"), primary_key=True, autoincrement=False),
    Column("channel", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("messages_in", Integer, nullable=False),
    Column("bot_out", Integer, nullable=False),
    Column("staff_out", Integer, nullable=False),
    Column("first_in_at", UtcDateTime),
    Column("bot_s", Float),  # from the day's first words of the customer to the bot's first answer
    Column("unclear", Integer, nullable=False),  # answers of the bot that only say it did not understand
    Column("handoffs", Integer, nullable=False),
    Index("ix_report_days_conversation_id", "conversation_id"),
    sqlite_with_rowid=False,  # read by ranges of days
)

report_marks = Table(  # what else is counted of it: each intent understood, each operator who wrote
    "report_marks",
    metadata,
    Column("day", Text, primary_key=True),
    Column("conversation_id", Id, ForeignKey("conversations.id"), primary_key=True, autoincrement=False),
    Column("kind", Text, primary_key=True),  # intent | operator
    Column("name", Words, primary_key=True),
    Column("count", Integer, nullable=False),
    Index("ix_report_marks_named", "kind", "day", "name", "conversation_id", "count"),
    Index("ix_report_marks_conversation_id", "conversation_id"),
    sqlite_with_rowid=False,
)

# --- the API ----------------------------------------------------------------------------------------------------------

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Words, nullable=False, unique=True),
    Column("key", Text, nullable=False, unique=True),  # digest of the token, which is shown once
    Column("role", Text, nullable=False),
    Column("per_minute", Integer, nullable=False),
    Column("created_by", Words, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("last_used_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
)

api_answers = Table(  # what a write with an Idempotency-Key was answered, kept 24 h
    "api_answers",
    metadata,
    Column("key", Text, primary_key=True),  # digest of who asks, route and the client's key
    Column("digest", Text, nullable=False),  # of the request's body
    Column("status", Integer),  # null: still being worked on
    Column("headers", Document, nullable=False, server_default="{}"),
    Column("body", LargeBinary),
    Column("at", UtcDateTime, nullable=False),
    Index("ix_api_answers_at", "at"),
)

hooks = Table(  # subscribers of what happens: signed POSTs with retries
    "hooks",
    metadata,
    Column("id", Id, primary_key=True),
    Column("url", Words, nullable=False),
    Column("secret", Text, nullable=False),  # sealed with the secret key
    Column("events", Document, nullable=False),  # names of events
    Column("is_active", Boolean, nullable=False, server_default=text("true")),
    Column("failing_since", UtcDateTime),
    Column("version", Integer, nullable=False, server_default="0"),
    Column("created_by", Words, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

hook_deliveries = Table(
    "hook_deliveries",
    metadata,
    Column("id", Id, primary_key=True),
    Column("hook_id", Id, ForeignKey("hooks.id"), nullable=False),
    Column("event", Text, nullable=False),
    Column("customer_id", Id, index=True),  # whom it names, so that an erasure finds it
    Column("payload", Document, nullable=False),
    Column("state", Text, nullable=False, server_default="pending"),  # pending | delivered | failed
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("next_at", UtcDateTime),
    Column("status", Integer),
    Column("reason", Words, nullable=False, server_default=""),
    Column("created_at", UtcDateTime, nullable=False),
    Column("done_at", UtcDateTime),
    CheckConstraint("state IN ('pending', 'delivered', 'failed')", name="state"),
    Index("ix_hook_deliveries_due", "next_at", "id", **only_where("state = 'pending'")),
    Index("ix_hook_deliveries_hook_id", "hook_id", "id"),
)
