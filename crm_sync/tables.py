"""The tables of conversations, customers and cases, defined once; `migrations` writes the same out step by step.

Those of the service desk are in `service_tables.py`.

Text that comes from outside is `Words`; natural keys from outside are looked up by their digest (`digest_key`).
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from crm_sync.columns import Document, Id, UtcDateTime, Words

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)


def only_where(condition: str) -> dict[str, Any]:
    """Options of an index over just the rows for which this holds, on either database."""
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


# --- who ----------------------------------------------------------------------------------------------------------

customers = Table(
    "customers",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Words, nullable=False, server_default=""),
    Column("phone", Words, nullable=False, server_default=""),  # E.164 where it could be normalised
    Column("phone_is_verified", Boolean, nullable=False, server_default=text("false")),
    Column("email", Words, nullable=False, server_default=""),
    Column("language", Text, nullable=False, server_default=""),
    Column("timezone", Text, nullable=False, server_default=""),
    Column("credit_class", Text, nullable=False, server_default=""),  # A to D of the policy; "": none given
    Column("created_at", UtcDateTime, nullable=False),
    Column("erased_at", UtcDateTime),
    Index("ix_customers_phone", "phone", **only_where("phone <> ''")),
    Index("ix_customers_email", "email", **only_where("email <> ''")),
)

identities = Table(
    "identities",
    metadata,
    Column("id", Id, primary_key=True),
    Column("key", Text, nullable=False, unique=True),  # digest of channel, account, external_id
    Column("customer_id", Id, ForeignKey("customers.id"), nullable=False, index=True),
    Column("channel", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("external_id", Words, nullable=False),
    Column("display_name", Words, nullable=False, server_default=""),
    Column("language_hint", Words, nullable=False, server_default=""),
    Column("source", Words, nullable=False, server_default=""),  # where they came from first: QR scene, campaign …
    Column("unreachable_at", UtcDateTime),
    Column("unreachable_reason", Words, nullable=False, server_default=""),
    Column("created_at", UtcDateTime, nullable=False),
)

conversations = Table(
    "conversations",
    metadata,
    Column("id", Id, primary_key=True),
    Column("key", Text, nullable=False, unique=True),  # digest of channel, account, chat, topic, external_id
    Column("identity_id", Id, ForeignKey("identities.id"), nullable=False, index=True),
    Column("customer_id", Id, ForeignKey("customers.id"), nullable=False, index=True),
    Column("channel", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("chat_id", Words, nullable=False),
    Column("topic", Words, nullable=False, server_default=""),
    Column("language", Text),
    Column("status", Text, nullable=False, server_default="open"),  # open | snoozed | closed
    Column("owner", Text, nullable=False, server_default="bot"),  # bot | queue | operator
    Column("fence", Integer, nullable=False, server_default="0"),
    Column("version", Integer, nullable=False, server_default="0"),
    Column("state", Document, nullable=False, server_default="{}"),
    Column("web_seq", Integer, nullable=False, server_default="0"),
    Column("customer_read_seq", Integer, nullable=False, server_default="0"),
    Column("dirty_since", UtcDateTime),  # oldest unhandled message; null when nothing waits
    Column("lease_owner", Text),
    Column("lease_until", UtcDateTime),
    Column("retry_at", UtcDateTime),
    Column("last_inbound_at", UtcDateTime),
    Column("last_message_at", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    Column("operator", Text, nullable=False, server_default=""),  # staff user who holds it; at a vendor: channel:name
    Column("owner_until", UtcDateTime),  # when the operator's lease ends unless it is renewed
    Column("team", Text, nullable=False, server_default=""),  # whose queue it waits in
    Column("priority", Integer, nullable=False, server_default="0"),  # the higher the sooner
    Column("waiting_since", UtcDateTime),  # in the queue
    Column("unanswered_since", UtcDateTime),  # the customer's oldest words no person has answered, once one is wanted
    Column("last_operator", Text, nullable=False, server_default=""),
    Column("answered_at", UtcDateTime),  # when an operator answered last
    Column("snoozed_until", UtcDateTime),
    Column("closed_at", UtcDateTime),
    CheckConstraint("owner IN ('bot', 'queue', 'operator')", name="owner"),
    Index("ix_conversations_dirty", "dirty_since", **only_where("dirty_since IS NOT NULL")),
    Index("ix_conversations_recent", "last_message_at", "id", **only_where("status = 'open'")),
    Index(  # what is behind the time says who sees it: counting reads no row
        "ix_conversations_queue",
        "priority",
        "waiting_since",
        "id",
        "team",
        "operator",
        "last_operator",
        "status",
        **only_where("owner = 'queue'"),
    ),
    Index("ix_conversations_operator", "operator", "last_message_at", "id", **only_where("operator <> ''")),
    Index("ix_conversations_before", "last_operator", "last_message_at", "id", **only_where("last_operator <> ''")),
    Index("ix_conversations_team", "team", "last_message_at", "id", **only_where("status = 'open' AND team <> ''")),
    Index("ix_conversations_closed", "closed_at", "id", **only_where("status = 'closed' AND closed_at IS NOT NULL")),
    Index(
        "ix_conversations_closed_team",
        "team",
        "closed_at",
        "id",
        **only_where("status = 'closed' AND closed_at IS NOT NULL"),
    ),
    Index(
        "ix_conversations_closed_before",
        "last_operator",
        "closed_at",
        "id",
        **only_where("status = 'closed' AND closed_at IS NOT NULL AND last_operator <> ''"),
    ),
    Index(
        "ix_conversations_unanswered",
        "unanswered_since",
        "id",
        "team",
        "operator",
        "last_operator",
        "status",
        **only_where("unanswered_since IS NOT NULL"),
    ),
    Index("ix_conversations_snoozed", "snoozed_until", "id", **only_where("status = 'snoozed'")),
    Index("ix_conversations_leases", "owner_until", **only_where("owner_until IS NOT NULL")),
    Index("ix_conversations_live", "customer_id", **only_where("owner IN ('queue', 'operator')")),
)

# What the bot says when it did not understand (bot/at_rest.py); looked for by whoever teaches it.
UNCLEAR_TEMPLATES: Final = (
    "utter_caption_unclear",
    "utter_clarify",
    "utter_offer_person",
    "utter_out_of_scope",
    "utter_rephrase",
)
_UNCLEAR: Final = ", ".join(f"'{name}'" for name in UNCLEAR_TEMPLATES)
# What the bot says when the customer's next message tells how it had understood the one before.
TELLING_TEMPLATES: Final = (*UNCLEAR_TEMPLATES, "utter_article", "utter_articles_offer", "utter_offer_person_article")
_TELLING: Final = ", ".join(f"'{name}'" for name in TELLING_TEMPLATES)

# --- what was said --------------------------------------------------------------------------------------------------

inbox = Table(
    "inbox",
    metadata,
    Column("id", Id, primary_key=True),
    Column("dedupe", Text, nullable=False, unique=True),  # digest of channel, account, dedupe key
    Column("channel", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("conversation_id", Id, ForeignKey("conversations.id")),  # null: parked, nobody known to have written it
    Column("message_id", Id),
    Column("state", Text, nullable=False),  # pending | done | parked
    Column("kind", Text, nullable=False),
    Column("wants_turn", Boolean, nullable=False),
    Column("message", Document),  # the decoded message, see codec.py; null: unreadable
    Column("raw", LargeBinary, nullable=False),  # zlib
    Column("digest", Text, nullable=False),  # of the content, to tell a repeat from a different message
    Column("reason", Words, nullable=False, server_default=""),
    Column("sent_at", UtcDateTime),
    Column("received_at", UtcDateTime, nullable=False),
    Column("done_at", UtcDateTime),
    CheckConstraint("state IN ('pending', 'done', 'parked')", name="state"),
    Index("ix_inbox_pending", "conversation_id", "id", **only_where("state = 'pending'")),
    Index("ix_inbox_parked", "id", **only_where("state = 'parked'")),
)

messages = Table(
    "messages",
    metadata,
    Column("id", Id, primary_key=True),
    Column("conversation_id", Id, ForeignKey("conversations.id"), nullable=False),
    Column("direction", Text, nullable=False),  # in | out
    Column("author", Text, nullable=False),  # customer | bot | operator | system
    Column("kind", Text, nullable=False),
    Column("text", Words, nullable=False),
    Column("content", Document),  # what the text alone does not say: buttons, image, file, place …
    Column("language", Text),
    Column("template", Text, nullable=False, server_default=""),
    Column("seq", Integer),  # web sequence; null where the channel has none
    Column("inbox_id", Id, ForeignKey("inbox.id")),  # in: where it came from; out: what it answers
    Column("vendor_message_id", Words, nullable=False, server_default=""),
    Column("status_key", Text, nullable=False, server_default=""),  # one living message per key: see OutPart
    Column("replaces", Id, ForeignKey("messages.id")),  # an edit: its `content.was` keeps the words before
    Column("at", UtcDateTime, nullable=False),
    Column("edited_at", UtcDateTime),
    Column("by", Words, nullable=False, server_default=""),  # the staff user who wrote it
    Column("deleted_at", UtcDateTime),  # taken back where the channel allows it; the words stay for the record
    UniqueConstraint("conversation_id", "seq", name="uq_messages_conversation_id_seq"),
    Index("ix_messages_conversation", "conversation_id", "id"),
    Index("ix_messages_vendor", "conversation_id", "vendor_message_id", **only_where("vendor_message_id <> ''")),
    Index("ix_messages_replaces", "replaces", **only_where("replaces IS NOT NULL")),
    Index("ix_messages_status", "conversation_id", "status_key", "id", **only_where("status_key <> ''")),
    Index("ix_messages_unclear", "id", **only_where(f"template IN ({_UNCLEAR})")),
    Index("ix_messages_telling", "inbox_id", **only_where(f"template IN ({_TELLING})")),
)

turns = Table(
    "turns",
    metadata,
    Column("inbox_id", Id, ForeignKey("inbox.id"), primary_key=True, autoincrement=False),
    Column("conversation_id", Id, ForeignKey("conversations.id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("intent", Text, nullable=False, server_default=""),
    Column("confidence", Float),
    Column("engine", Text, nullable=False, server_default=""),
    Column("model", Text, nullable=False, server_default=""),
    Column("understanding", Document),
    Column("duration_ms", Float, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    UniqueConstraint("conversation_id", "version", name="uq_turns_conversation_id_version"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", Id, primary_key=True),
    Column("conversation_id", Id, ForeignKey("conversations.id"), nullable=False),
    Column("message_id", Id, ForeignKey("messages.id"), nullable=False, unique=True),  # the words are there
    Column("lane", Integer, nullable=False),  # rank: 0 operator, 1 reply, 2 service, 3 broadcast
    Column("channel", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("chat_id", Words, nullable=False),
    Column("topic", Words, nullable=False, server_default=""),
    Column("state", Text, nullable=False),
    Column("fence", Integer, nullable=False),
    Column("idempotency_key", Text, unique=True),  # null: nothing to send (direct channels)
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("maybe_repeated", Boolean, nullable=False, server_default=text("false")),
    Column("is_vital", Boolean, nullable=False, server_default=text("false")),
    Column("is_held", Boolean, nullable=False, server_default=text("false")),  # parked until the customer writes
    Column("merged_into", Id),  # the row whose send carries this one's words; it ends as that one does
    Column("set_aside_at", UtcDateTime),  # since when later rows may have overtaken it
    Column("not_before", UtcDateTime),
    Column("lease_owner", Text),
    Column("lease_until", UtcDateTime),
    Column("vendor_message_id", Words, nullable=False, server_default=""),
    Column("reason", Words, nullable=False, server_default=""),
    Column("created_at", UtcDateTime, nullable=False),
    Column("sent_at", UtcDateTime),
    Column("delivered_at", UtcDateTime),
    Column("read_at", UtcDateTime),
    CheckConstraint(
        "state IN ('pending', 'sending', 'sent', 'failed', 'uncertain', 'parked', 'dropped')",
        name="state",
    ),
    Index("ix_outbox_due", "lane", "id", **only_where("state IN ('pending', 'sending')")),
    Index("ix_outbox_unfinished", "conversation_id", "id", **only_where("state IN ('pending', 'sending')")),
    Index("ix_outbox_held", "conversation_id", **only_where("is_held")),
    Index("ix_outbox_trouble", "conversation_id", **only_where("state IN ('parked', 'failed', 'uncertain')")),
    Index("ix_outbox_unsent", "id", **only_where("state IN ('parked', 'failed', 'uncertain')")),  # what staff look at
)

# --- what channels keep count of ------------------------------------------------------------------------------------

reply_windows = Table(  # on channels that count free-form replies: what a customer's message allows
    "reply_windows",
    metadata,
    Column("identity_id", Id, ForeignKey("identities.id"), primary_key=True, autoincrement=False),
    Column("kind", Text, primary_key=True),  # message | follow | menu | scan …
    Column("quota", Integer, nullable=False),
    Column("used", Integer, nullable=False, server_default="0"),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("closes_at", UtcDateTime, nullable=False),
    Column("taken_for", Document, nullable=False, server_default="{}"),  # outbox id -> attempt it was counted for
)

channel_health = Table(  # of each account: last signs of life, written every few seconds at most
    "channel_health",
    metadata,
    Column("channel", Text, primary_key=True),
    Column("account", Text, primary_key=True),
    Column("last_inbound_at", UtcDateTime),
    Column("last_outbound_at", UtcDateTime),
    Column("failing_since", UtcDateTime),
    Column("reason", Words, nullable=False, server_default=""),
    Column("updated_at", UtcDateTime, nullable=False),
)

passive_replies = Table(  # what a webhook carried back, so that a redelivery gets the same bytes
    "passive_replies",
    metadata,
    Column("inbox_id", Id, ForeignKey("inbox.id"), primary_key=True, autoincrement=False),
    Column("body", LargeBinary, nullable=False),  # before encryption, which is new for each delivery
    Column("at", UtcDateTime, nullable=False),
    Index("ix_passive_replies_at", "at"),
)

media = Table(
    "media",
    metadata,
    Column("id", Id, primary_key=True),
    Column("key", Text, nullable=False, unique=True),  # random; name in the media store and in links
    Column("conversation_id", Id, ForeignKey("conversations.id"), index=True),
    Column("message_id", Id, ForeignKey("messages.id"), index=True),
    Column("channel", Text, nullable=False, server_default=""),
    Column("account", Text, nullable=False, server_default=""),
    Column("file_id", Words, nullable=False, server_default=""),  # the vendor's name for it
    Column("state", Text, nullable=False),  # wanted | storing | stored | refused | gone
    Column("is_kept", Boolean, nullable=False, server_default=text("false")),  # bytes may lie under `key`
    Column("is_upload", Boolean, nullable=False, server_default=text("false")),  # sent ahead of the message naming it
    Column("reason", Words, nullable=False, server_default=""),
    Column("kind", Text, nullable=False, server_default=""),
    Column("mime", Text, nullable=False, server_default=""),  # found in the content
    Column("size", Id),  # bytes
    Column("sha256", Text, nullable=False, server_default=""),
    Column("file_name", Words, nullable=False, server_default=""),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("not_before", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    Column("stored_at", UtcDateTime),
    Column("expires_at", UtcDateTime),
    CheckConstraint("state IN ('wanted', 'storing', 'stored', 'refused', 'gone')", name="state"),
    Index("ix_media_wanted", "id", **only_where("state = 'wanted'")),
    Index("ix_media_storing", "created_at", **only_where("state = 'storing'")),
    Index("ix_media_expires", "expires_at", **only_where("state = 'stored'")),
    Index("ix_media_gone", "id", **only_where("state = 'gone' AND is_kept")),
)

web_uploads = Table(  # whose a file is, until and after it is part of a message; one row per client id
    "web_uploads",
    metadata,
    Column("key", Text, primary_key=True),  # digest of account, visitor, the client's id
    Column("media_key", Text, nullable=False, unique=True),  # of the row in `media`
    Column("conversation_id", Id, ForeignKey("conversations.id"), nullable=False, index=True),
    Column("sha256", Text, nullable=False),  # of what was uploaded, to tell a repeat from another file
    Column("used_by", Text, nullable=False, server_default=""),  # digest of the message's client id; "": unattached
    Column("at", UtcDateTime, nullable=False),
)

vendor_tokens = Table(  # one access token per vendor account, shared by all processes
    "vendor_tokens",
    metadata,
    Column("name", Text, primary_key=True),  # e.g. wechat:main
    Column("token", Text, nullable=False, server_default=""),
    Column("fetched_at", UtcDateTime),
    Column("expires_at", UtcDateTime),
    Column("lease_owner", Text),  # who is fetching a new one
    Column("lease_until", UtcDateTime),
)

identity_links = Table(  # "continue on …": offered to one identity, taken up once by another; keeps what undoes it
    "identity_links",
    metadata,
    Column("id", Id, primary_key=True),
    Column("key", Text, nullable=False, unique=True),  # digest of the one-time token in the link
    Column("identity_id", Id, ForeignKey("identities.id"), nullable=False, index=True),
    Column("channel", Text, nullable=False),  # where it leads
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("linked_identity_id", Id, ForeignKey("identities.id"), index=True),
    Column("linked_at", UtcDateTime),
    Column("source", Words, nullable=False, server_default=""),  # how they agreed, e.g. "telegram:button"
    Column("kept_customer_id", Id, ForeignKey("customers.id")),
    Column("merged_customer_id", Id, ForeignKey("customers.id")),
    Column("moved", Document),  # rows by table, and fields that were filled
    Column("undone_at", UtcDateTime),
)

lookup_codes = Table(  # one-time codes for a look at an order or case of somebody else; a row for numbers of nobody too
    "lookup_codes",
    metadata,
    Column("id", Id, primary_key=True),
    Column("conversation_id", Id, ForeignKey("conversations.id"), nullable=False),  # the only one it counts in
    Column("kind", Text, nullable=False),  # order | case
    Column("number", Words, nullable=False),  # as asked, in one spelling
    Column("language", Text, nullable=False),  # of who asks
    Column("digest", Text, nullable=False, server_default=""),  # keyed, of the code; "": none was sent
    Column("target", Text, nullable=False, server_default=""),  # keyed digest of the contact it was sent to
    Column("way", Text, nullable=False, server_default=""),  # sms | email | chat
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("asked_at", UtcDateTime, nullable=False),
    Column("opened_at", UtcDateTime),  # the right code was typed
    Index("ix_lookup_codes_conversation", "conversation_id", "kind", "number", "id"),
    Index("ix_lookup_codes_number", "kind", "number", "asked_at"),
    Index("ix_lookup_codes_target", "target", "asked_at", **only_where("target <> ''")),
    Index("ix_lookup_codes_asked_at", "asked_at"),
)

# --- what is known and promised -------------------------------------------------------------------------------------

cases = Table(
    "cases",
    metadata,
    Column("id", Id, primary_key=True),
    Column("number", Text, nullable=False, unique=True),
    Column("customer_id", Id, ForeignKey("customers.id"), nullable=False),
    Column("conversation_id", Id, ForeignKey("conversations.id")),
    Column("kind", Text, nullable=False),
    Column("category", Words, nullable=False),
    Column("subject", Words, nullable=False),
    Column("severity", Integer, nullable=False),  # 1 low … 4 critical
    Column("status", Text, nullable=False),
    Column("summary", Words, nullable=False),
    Column("details", Document, nullable=False),
    Column("is_open", Boolean, nullable=False),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("version", Integer, nullable=False, server_default="0"),
    Column("quality_type", Words, nullable=False, server_default=""),
    Column("wish", Words, nullable=False, server_default=""),
    Column("language", Text, nullable=False, server_default=""),
    Column("team", Text, nullable=False, server_default=""),
    Column("owner", Text, nullable=False, server_default=""),  # name of a staff user; "": the team's queue
    Column("watchers", Document, nullable=False, server_default="[]"),  # names of staff users
    Column(
        "site_id", Id
    ),  # of sites; like the next, added to a table that was there, which SQLite can only do without a key
    Column("asset_id", Id),  # of assets
    Column("value_minor", Id),  # at stake, in minor units
    Column("currency", Text, nullable=False, server_default=""),
    Column("cause", Text, nullable=False, server_default=""),
    Column("remedy", Text, nullable=False, server_default=""),
    Column("reopened", Integer, nullable=False, server_default="0"),  # times
    Column("score", Integer),  # how satisfied, 1 to 5
    Column("policy_version", Integer, nullable=False, server_default="0"),
    Column("first_response_at", UtcDateTime),
    Column("solved_at", UtcDateTime),
    Column("closed_at", UtcDateTime),
    Index("ix_cases_customer", "customer_id", "updated_at"),
    Index("ix_cases_board", "status", "id", **only_where("is_open")),
    Index("ix_cases_team", "team", "id", **only_where("is_open")),
    Index("ix_cases_owner", "owner", "id", **only_where("is_open AND owner <> ''")),
    Index("ix_cases_open", "id", **only_where("is_open")),
    Index("ix_cases_open_site", "site_id", "id", **only_where("is_open AND site_id IS NOT NULL")),
    Index("ix_cases_team_severity", "team", "severity", "id", **only_where("is_open")),
    Index("ix_cases_team_status", "team", "status", "id", **only_where("is_open")),
    Index("ix_cases_severity", "severity", "id", **only_where("is_open")),
    Index("ix_cases_opened", "kind", "opened_at"),
    Index("ix_cases_site", "site_id", "opened_at", **only_where("site_id IS NOT NULL")),
    Index(
        "uq_cases_open",
        "customer_id",
        "kind",
        "category",
        "subject",
        unique=True,
        **only_where("is_open"),
    ),
)

case_events = Table(
    "case_events",
    metadata,
    Column("id", Id, primary_key=True),
    Column("case_id", Id, ForeignKey("cases.id"), nullable=False, index=True),
    Column("kind", Text, nullable=False),  # opened | updated | status | note | clock | …
    Column("author", Text, nullable=False),  # bot | customer | operator | site | system
    Column("by", Words, nullable=False, server_default=""),  # name of the staff user, or who at the site
    Column("note", Words, nullable=False, server_default=""),
    Column("is_internal", Boolean, nullable=False, server_default=text("false")),  # never shown to the customer
    Column("changes", Document, nullable=False, server_default="{}"),
    Column("at", UtcDateTime, nullable=False),
)

orders = Table(
    "orders",
    metadata,
    Column("id", Id, primary_key=True),
    Column("number", Words, nullable=False, unique=True),
    Column("customer_id", Id, ForeignKey("customers.id"), index=True),
    Column("phone", Words, nullable=False, server_default=""),
    Column("status", Words, nullable=False),
    Column("placed_at", UtcDateTime),
    Column("expected_at", UtcDateTime),
    Column("items", Words, nullable=False, server_default=""),
    Column("amount_minor", Id),
    Column("currency", Text, nullable=False, server_default=""),
    Column("carrier", Words, nullable=False, server_default=""),
    Column("tracking_number", Words, nullable=False, server_default=""),
    Column("store", Words, nullable=False, server_default=""),
    Column("updated_at", UtcDateTime, nullable=False),
    Index("ix_orders_phone", "phone", **only_where("phone <> ''")),
)

consents = Table(
    "consents",
    metadata,
    Column("id", Id, primary_key=True),
    Column("customer_id", Id, ForeignKey("customers.id"), nullable=False),
    Column("identity_id", Id, ForeignKey("identities.id"), index=True),
    Column("purpose", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("source", Words, nullable=False),
    Column("granted", Boolean, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("until", UtcDateTime),  # null: in force
    Column("proof", Document, nullable=False, server_default="{}"),  # ids of what shows it: message, import, request
    Index("ix_consents_customer", "customer_id", "channel", "purpose"),
)

timeline = Table(
    "timeline",
    metadata,
    Column("id", Id, primary_key=True),
    Column("customer_id", Id, ForeignKey("customers.id"), nullable=False, index=True),
    Column("conversation_id", Id, ForeignKey("conversations.id")),
    Column("kind", Text, nullable=False),
    Column("summary", Words, nullable=False),
    Column("reference", Words, nullable=False, server_default=""),  # case number, purpose …
    Column("author", Text, nullable=False, server_default="bot"),
    Column("at", UtcDateTime, nullable=False),
)

tasks = Table(
    "tasks",
    metadata,
    Column("id", Id, primary_key=True),
    Column("customer_id", Id, ForeignKey("customers.id"), nullable=False),
    Column("conversation_id", Id, ForeignKey("conversations.id")),
    Column("kind", Text, nullable=False),
    Column("summary", Words, nullable=False),
    Column("details", Document, nullable=False, server_default="{}"),
    Column("is_open", Boolean, nullable=False, server_default=text("true")),
    Column("due_at", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("assignee", Text, nullable=False, server_default=""),  # name of a staff user or team
    Column("rule", Text, nullable=False, server_default=""),  # the care rule that asked for it
    Column("case_id", Id),  # of cases
    Column("suggestion", Words, nullable=False, server_default=""),  # words to say, in the customer's language
    Column("outcome", Text, nullable=False, server_default=""),
    Column("outcome_note", Words, nullable=False, server_default=""),
    Column("done_by", Words, nullable=False, server_default=""),
    Column("done_at", UtcDateTime),
    Index("ix_tasks_due", "due_at", "id", **only_where("is_open AND due_at IS NOT NULL")),
    Index("ix_tasks_assignee", "assignee", "id", **only_where("is_open AND assignee <> ''")),
    Index("ix_tasks_rule", "rule", "id", **only_where("rule <> ''")),
    Index("uq_tasks_open", "customer_id", "kind", unique=True, **only_where("is_open")),
    Index("ix_tasks_customer", "customer_id"),
)

handoffs = Table(
    "handoffs",
    metadata,
    Column("id", Id, primary_key=True),
    Column("conversation_id", Id, ForeignKey("conversations.id"), nullable=False, index=True),
    Column("reason", Words, nullable=False),
    Column("urgency", Integer, nullable=False),  # 1 low … 4 critical
    Column("fence", Integer, nullable=False),
    Column("requested_at", UtcDateTime, nullable=False),
    Column("passed_on_at", UtcDateTime),  # the vendor's own queue or colleague has it (微信客服)
    Column("ended_at", UtcDateTime),
    Column("ended_by", Words, nullable=False, server_default=""),
    Column("team", Text, nullable=False, server_default=""),
    Column("priority", Integer, nullable=False, server_default="0"),
    Column("topic", Text, nullable=False, server_default=""),  # the flow or intent it was about
    Column("operator", Text, nullable=False, server_default=""),  # who took it first
    Column("taken_at", UtcDateTime),
    Column("first_reply_at", UtcDateTime),
    Column("summary", Words, nullable=False, server_default=""),  # what the operator says came of it
    Column("queued_at", UtcDateTime),  # its place in the queue, kept while an operator has it
    Index("ix_handoffs_waiting", "id", **only_where("ended_at IS NULL")),
    Index("ix_handoffs_requested", "requested_at"),
)

# --- the deployment -------------------------------------------------------------------------------------------------

staff_users = Table(
    "staff_users",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("role", Text, nullable=False),
    Column("password_hash", Text, nullable=False),  # argon2id
    Column("created_at", UtcDateTime, nullable=False),
    Column("password_changed_at", UtcDateTime, nullable=False),
    Column("disabled_at", UtcDateTime),
    Column("display_name", Words, nullable=False, server_default=""),  # as customers see it; "": the account's name
    Column("email", Words, nullable=False, server_default=""),
    Column("languages", Document, nullable=False, server_default="[]"),  # []: all
    Column("topics", Document, nullable=False, server_default="[]"),  # what they are good at; []: everything
    Column("channels", Document, nullable=False, server_default="[]"),  # []: all
    Column("capacity", Integer, nullable=False, server_default="5"),  # conversations at once
    Column("presence", Text, nullable=False, server_default="off"),  # online | busy | away | off
    Column("presence_at", UtcDateTime),
    Column("last_seen_at", UtcDateTime),  # a sign of life of the console
    Column("assigned_at", UtcDateTime),  # when the rules last gave them a conversation
    Column("must_change_password", Boolean, nullable=False, server_default=text("false")),
    Column("totp_secret", Text, nullable=False, server_default=""),  # sealed with the secret key
    Column("totp_since", UtcDateTime),  # null: no second factor, or not confirmed yet
    Column("totp_step", Id, nullable=False, server_default="0"),  # the last time step used: a code serves once
    Column("recovery_hashes", Document, nullable=False, server_default="[]"),
    Column("oidc_key", Text, nullable=False, server_default=""),  # digest of issuer and subject
    Column("settings", Document, nullable=False, server_default="{}"),  # language, theme, density, sounds …
    Column("version", Integer, nullable=False, server_default="0"),
    Index("uq_staff_users_oidc_key", "oidc_key", unique=True, **only_where("oidc_key <> ''")),
)

models = Table(
    "models",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("training_hash", Text, nullable=False, server_default=""),  # of the files it was trained from
    Column("manifest", Document, nullable=False, server_default="{}"),
    Column("created_at", UtcDateTime, nullable=False),
    UniqueConstraint("name", "version", name="uq_models_name_version"),
)

active_models = Table(
    "active_models",
    metadata,
    Column("name", Text, primary_key=True),
    Column("version", Text, nullable=False),
    Column("activated_at", UtcDateTime, nullable=False),
    # Of the files as they were then: when they change, a model is trained anew. "": the model's own training_hash.
    Column("training_hash", Text, nullable=False, server_default=""),
)

articles = Table(  # edited ones only: files seed, edits in the store win
    "articles",
    metadata,
    Column("assistant", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("language", Text, primary_key=True),
    Column("title", Words, nullable=False),
    Column("answer", Words, nullable=False),
    Column("questions", Document, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("is_withdrawn", Boolean, nullable=False, server_default=text("false")),  # answers nobody, also as a file
    Column("details", Document, nullable=False, server_default="{}"),  # bot/article_details.py
    Index("ix_articles_updated", "assistant", "updated_at"),
)

cursors = Table(
    "cursors",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Words, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)

rate_buckets = Table(
    "rate_buckets",
    metadata,
    Column("key", Text, primary_key=True),
    Column("tokens", Float, nullable=False),
    Column("at", UtcDateTime, nullable=False),
)

counters = Table(  # case numbers, and the epoch that tells processes of a new model or article
    "counters",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Id, nullable=False),
)
