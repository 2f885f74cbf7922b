"""The staff: accounts, sessions, roles, audit, handoffs, notes, drafts of what the bot says, and the API's own tables.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TIMESTAMP

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# What the column types were when this revision was written; a revision never imports the present ones.
ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.BigInteger().with_variant(TIMESTAMP(timezone=True), "postgresql")
WORDS = sa.Text()
DOCUMENT = sa.Text()


def _where(condition: str) -> dict[str, sa.TextClause]:
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def _search_tables() -> None:
    """Words by id; the only tables that the two databases make in ways of their own."""
    for name in ("message_search", "people_search"):
        if op.get_bind().dialect.name == "postgresql":
            op.execute(f"CREATE TABLE {name} (rowid BIGINT PRIMARY KEY, words TSVECTOR NOT NULL)")
            op.execute(f"CREATE INDEX ix_{name}_words ON {name} USING GIN (words)")
        else:
            op.execute(f"CREATE VIRTUAL TABLE {name} USING fts5(words, tokenize='ascii', detail='none')")


def upgrade() -> None:
    _search_tables()
    op.create_table('api_answers',
    sa.Column('key', sa.Text(), nullable=False),
    sa.Column('digest', sa.Text(), nullable=False),
    sa.Column('status', sa.Integer()),
    sa.Column('headers', DOCUMENT, server_default='{}', nullable=False),
    sa.Column('body', sa.LargeBinary()),
    sa.Column('at', TIME, nullable=False),
    sa.PrimaryKeyConstraint('key', name=op.f('pk_api_answers'))
    )
    op.create_index('ix_api_answers_at', 'api_answers', ['at'])
    op.create_table('api_tokens',
    sa.Column('id', ID, nullable=False),
    sa.Column('name', WORDS, nullable=False),
    sa.Column('key', sa.Text(), nullable=False),
    sa.Column('role', sa.Text(), nullable=False),
    sa.Column('per_minute', sa.Integer(), nullable=False),
    sa.Column('created_by', WORDS, nullable=False),
    sa.Column('created_at', TIME, nullable=False),
    sa.Column('expires_at', TIME),
    sa.Column('last_used_at', TIME),
    sa.Column('revoked_at', TIME),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_api_tokens')),
    sa.UniqueConstraint('key', name=op.f('uq_api_tokens_key')),
    sa.UniqueConstraint('name', name=op.f('uq_api_tokens_name'))
    )
    op.create_table('article_versions',
    sa.Column('id', ID, nullable=False),
    sa.Column('assistant', sa.Text(), nullable=False),
    sa.Column('article_id', sa.Text(), nullable=False),
    sa.Column('language', sa.Text(), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('state', sa.Text(), nullable=False),
    sa.Column('title', WORDS, nullable=False),
    sa.Column('answer', WORDS, nullable=False),
    sa.Column('questions', DOCUMENT, nullable=False),
    sa.Column('by', WORDS, nullable=False),
    sa.Column('reviewed_by', WORDS, server_default='', nullable=False),
    sa.Column('note', WORDS, server_default='', nullable=False),
    sa.Column('at', TIME, nullable=False),
    sa.Column('published_at', TIME),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_article_versions')),
    sa.UniqueConstraint('assistant', 'article_id', 'language', 'version', name='uq_article_versions_version')
    )
    op.create_index('ix_article_versions_state', 'article_versions', ['assistant', 'state', 'id'])
    op.create_table('audit_head',
    sa.Column('id', ID, autoincrement=False, nullable=False),
    sa.Column('lines', ID, nullable=False),
    sa.Column('hash', sa.Text(), nullable=False),
    sa.Column('seal', sa.Text(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_audit_head'))
    )
    op.create_table('audit_log',
    sa.Column('id', ID, autoincrement=False, nullable=False),
    sa.Column('actor', WORDS, nullable=False),
    sa.Column('action', sa.Text(), nullable=False),
    sa.Column('object', sa.Text(), server_default='', nullable=False),
    sa.Column('details', DOCUMENT, server_default='{}', nullable=False),
    sa.Column('at', TIME, nullable=False),
    sa.Column('previous', sa.Text(), nullable=False),
    sa.Column('hash', sa.Text(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_audit_log'))
    )
    op.create_index('ix_audit_log_actor', 'audit_log', ['actor', 'id'])
    op.create_index('ix_audit_log_object', 'audit_log', ['object', 'id'])
    op.create_table('canned_replies',
    sa.Column('id', ID, nullable=False),
    sa.Column('shortcut', sa.Text(), nullable=False),
    sa.Column('texts', DOCUMENT, nullable=False),
    sa.Column('team', sa.Text(), server_default='', nullable=False),
    sa.Column('used', sa.Integer(), server_default='0', nullable=False),
    sa.Column('version', sa.Integer(), server_default='0', nullable=False),
    sa.Column('updated_by', WORDS, nullable=False),
    sa.Column('updated_at', TIME, nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_canned_replies')),
    sa.UniqueConstraint('shortcut', name=op.f('uq_canned_replies_shortcut'))
    )
    op.create_table('hooks',
    sa.Column('id', ID, nullable=False),
    sa.Column('url', WORDS, nullable=False),
    sa.Column('secret', sa.Text(), nullable=False),
    sa.Column('events', DOCUMENT, nullable=False),
    sa.Column('is_active', sa.Boolean(), server_default=sa.text('(true)'), nullable=False),
    sa.Column('failing_since', TIME),
    sa.Column('version', sa.Integer(), server_default='0', nullable=False),
    sa.Column('created_by', WORDS, nullable=False),
    sa.Column('created_at', TIME, nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_hooks'))
    )
    op.create_table('response_versions',
    sa.Column('id', ID, nullable=False),
    sa.Column('assistant', sa.Text(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('language', sa.Text(), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('texts', DOCUMENT, nullable=False),
    sa.Column('is_current', sa.Boolean(), server_default=sa.text('(true)'), nullable=False),
    sa.Column('by', WORDS, nullable=False),
    sa.Column('note', WORDS, server_default='', nullable=False),
    sa.Column('at', TIME, nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_response_versions')),
    sa.UniqueConstraint('assistant', 'name', 'language', 'version', name='uq_response_versions_version')
    )
    op.create_index('ix_response_versions_current', 'response_versions', ['assistant'], **_where('is_current'))
    op.create_table('sign_in_failures',
    sa.Column('id', ID, nullable=False),
    sa.Column('key', sa.Text(), nullable=False),
    sa.Column('at', TIME, nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_sign_in_failures'))
    )
    op.create_index('ix_sign_in_failures_at', 'sign_in_failures', ['at'])
    op.create_index('ix_sign_in_failures_key', 'sign_in_failures', ['key', 'at'])
    op.create_table('staff_roles',
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('title', WORDS, server_default='', nullable=False),
    sa.Column('permissions', DOCUMENT, nullable=False),
    sa.Column('version', sa.Integer(), server_default='0', nullable=False),
    sa.Column('updated_at', TIME, nullable=False),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_staff_roles'))
    )
    op.create_table('hook_deliveries',
    sa.Column('id', ID, nullable=False),
    sa.Column('hook_id', ID, nullable=False),
    sa.Column('event', sa.Text(), nullable=False),
    sa.Column('customer_id', ID),
    sa.Column('payload', DOCUMENT, nullable=False),
    sa.Column('state', sa.Text(), server_default='pending', nullable=False),
    sa.Column('attempts', sa.Integer(), server_default='0', nullable=False),
    sa.Column('next_at', TIME),
    sa.Column('status', sa.Integer()),
    sa.Column('reason', WORDS, server_default='', nullable=False),
    sa.Column('created_at', TIME, nullable=False),
    sa.Column('done_at', TIME),
    sa.CheckConstraint("state IN ('pending', 'delivered', 'failed')", name=op.f('ck_hook_deliveries_state')),
    sa.ForeignKeyConstraint(['hook_id'], ['hooks.id'], name=op.f('fk_hook_deliveries_hook_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_hook_deliveries'))
    )
    op.create_index(op.f('ix_hook_deliveries_customer_id'), 'hook_deliveries', ['customer_id'])
    op.create_index('ix_hook_deliveries_due', 'hook_deliveries', ['next_at', 'id'], **_where("state = 'pending'"))
    op.create_index('ix_hook_deliveries_hook_id', 'hook_deliveries', ['hook_id', 'id'])
    op.create_table('saved_views',
    sa.Column('id', ID, nullable=False),
    sa.Column('user_id', ID, nullable=False),
    sa.Column('screen', sa.Text(), nullable=False),
    sa.Column('title', WORDS, nullable=False),
    sa.Column('filter', DOCUMENT, nullable=False),
    sa.Column('is_shared', sa.Boolean(), server_default=sa.text('(false)'), nullable=False),
    sa.Column('at', TIME, nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['staff_users.id'], name=op.f('fk_saved_views_user_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_saved_views')),
    sa.UniqueConstraint('user_id', 'screen', 'title', name='uq_saved_views_user_id_screen_title')
    )
    op.create_table('staff_sessions',
    sa.Column('id', ID, nullable=False),
    sa.Column('key', sa.Text(), nullable=False),
    sa.Column('user_id', ID, nullable=False),
    sa.Column('is_complete', sa.Boolean(), server_default=sa.text('(false)'), nullable=False),
    sa.Column('method', sa.Text(), nullable=False),
    sa.Column('device', WORDS, server_default='', nullable=False),
    sa.Column('created_at', TIME, nullable=False),
    sa.Column('last_seen_at', TIME, nullable=False),
    sa.Column('expires_at', TIME, nullable=False),
    sa.Column('locked_at', TIME),
    sa.Column('ended_at', TIME),
    sa.Column('ended_by', WORDS, server_default='', nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['staff_users.id'], name=op.f('fk_staff_sessions_user_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_staff_sessions')),
    sa.UniqueConstraint('key', name=op.f('uq_staff_sessions_key'))
    )
    op.create_index(op.f('ix_staff_sessions_user_id'), 'staff_sessions', ['user_id'])
    op.create_table('conversation_notes',
    sa.Column('id', ID, nullable=False),
    sa.Column('conversation_id', ID, nullable=False),
    sa.Column('by', WORDS, nullable=False),
    sa.Column('text', WORDS, nullable=False),
    sa.Column('mentions', DOCUMENT, server_default='[]', nullable=False),
    sa.Column('at', TIME, nullable=False),
    sa.Column('edited_at', TIME),
    sa.ForeignKeyConstraint(['conversation_id'], ['conversations.id'], name=op.f('fk_conversation_notes_conversation_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_conversation_notes'))
    )
    op.create_index(op.f('ix_conversation_notes_conversation_id'), 'conversation_notes', ['conversation_id'])
    op.create_table('conversation_seen',
    sa.Column('user_id', ID, autoincrement=False, nullable=False),
    sa.Column('conversation_id', ID, autoincrement=False, nullable=False),
    sa.Column('message_id', ID, nullable=False),
    sa.Column('at', TIME, nullable=False),
    sa.ForeignKeyConstraint(['conversation_id'], ['conversations.id'], name=op.f('fk_conversation_seen_conversation_id')),
    sa.ForeignKeyConstraint(['user_id'], ['staff_users.id'], name=op.f('fk_conversation_seen_user_id')),
    sa.PrimaryKeyConstraint('user_id', 'conversation_id', name=op.f('pk_conversation_seen'))
    )
    op.create_index('ix_conversation_seen_conversation_id', 'conversation_seen', ['conversation_id'])
    op.create_table('conversation_tests',
    sa.Column('id', ID, nullable=False),
    sa.Column('assistant', sa.Text(), nullable=False),
    sa.Column('name', WORDS, nullable=False),
    sa.Column('document', DOCUMENT, nullable=False),
    sa.Column('conversation_id', ID),
    sa.Column('by', WORDS, nullable=False),
    sa.Column('at', TIME, nullable=False),
    sa.ForeignKeyConstraint(['conversation_id'], ['conversations.id'], name=op.f('fk_conversation_tests_conversation_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_conversation_tests')),
    sa.UniqueConstraint('assistant', 'name', name='uq_conversation_tests_assistant_name')
    )
    op.create_index(op.f('ix_conversation_tests_conversation_id'), 'conversation_tests', ['conversation_id'])
    op.create_table('scheduled_messages',
    sa.Column('id', ID, nullable=False),
    sa.Column('conversation_id', ID, nullable=False),
    sa.Column('by', WORDS, nullable=False),
    sa.Column('text', WORDS, nullable=False),
    sa.Column('content', DOCUMENT),
    sa.Column('send_at', TIME, nullable=False),
    sa.Column('state', sa.Text(), server_default='waiting', nullable=False),
    sa.Column('reason', WORDS, server_default='', nullable=False),
    sa.Column('message_id', ID),
    sa.Column('created_at', TIME, nullable=False),
    sa.CheckConstraint("state IN ('waiting', 'handed_over', 'cancelled', 'refused')", name=op.f('ck_scheduled_messages_state')),
    sa.ForeignKeyConstraint(['conversation_id'], ['conversations.id'], name=op.f('fk_scheduled_messages_conversation_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_scheduled_messages'))
    )
    op.create_index(op.f('ix_scheduled_messages_conversation_id'), 'scheduled_messages', ['conversation_id'])
    op.create_table('staff_notices',
    sa.Column('id', ID, nullable=False),
    sa.Column('user_id', ID, nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('conversation_id', ID),
    sa.Column('reference', WORDS, server_default='', nullable=False),
    sa.Column('by', WORDS, server_default='', nullable=False),
    sa.Column('at', TIME, nullable=False),
    sa.Column('read_at', TIME),
    sa.ForeignKeyConstraint(['conversation_id'], ['conversations.id'], name=op.f('fk_staff_notices_conversation_id')),
    sa.ForeignKeyConstraint(['user_id'], ['staff_users.id'], name=op.f('fk_staff_notices_user_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_staff_notices'))
    )
    op.create_index(op.f('ix_staff_notices_conversation_id'), 'staff_notices', ['conversation_id'])
    op.create_index('ix_staff_notices_user_id', 'staff_notices', ['user_id', 'id'])
    op.create_table('handoff_events',
    sa.Column('id', ID, nullable=False),
    sa.Column('conversation_id', ID, nullable=False),
    sa.Column('handoff_id', ID),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('by', WORDS, server_default='', nullable=False),
    sa.Column('to', WORDS, server_default='', nullable=False),
    sa.Column('note', WORDS, server_default='', nullable=False),
    sa.Column('fence', sa.Integer(), nullable=False),
    sa.Column('at', TIME, nullable=False),
    sa.ForeignKeyConstraint(['conversation_id'], ['conversations.id'], name=op.f('fk_handoff_events_conversation_id')),
    sa.ForeignKeyConstraint(['handoff_id'], ['handoffs.id'], name=op.f('fk_handoff_events_handoff_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_handoff_events'))
    )
    op.create_index(op.f('ix_handoff_events_conversation_id'), 'handoff_events', ['conversation_id'])
    op.create_table('message_labels',
    sa.Column('inbox_id', ID, autoincrement=False, nullable=False),
    sa.Column('intent', sa.Text(), nullable=False),
    sa.Column('by', WORDS, nullable=False),
    sa.Column('at', TIME, nullable=False),
    sa.ForeignKeyConstraint(['inbox_id'], ['inbox.id'], name=op.f('fk_message_labels_inbox_id')),
    sa.PrimaryKeyConstraint('inbox_id', name=op.f('pk_message_labels'))
    )
    op.create_index('ix_message_labels_at', 'message_labels', ['at'])
    op.create_table('operator_sends',
    sa.Column('key', sa.Text(), nullable=False),
    sa.Column('digest', sa.Text(), nullable=False),
    sa.Column('message_id', ID, nullable=False),
    sa.Column('at', TIME, nullable=False),
    sa.ForeignKeyConstraint(['message_id'], ['messages.id'], name=op.f('fk_operator_sends_message_id')),
    sa.PrimaryKeyConstraint('key', name=op.f('pk_operator_sends'))
    )
    op.create_index('ix_operator_sends_at', 'operator_sends', ['at'])
    op.create_table('report_days',
    sa.Column('day', sa.Text(), nullable=False),
    sa.Column('conversation_id', ID, autoincrement=False, nullable=False),
    sa.Column('channel', sa.Text(), nullable=False),
    sa.Column('account', sa.Text(), nullable=False),
    sa.Column('messages_in', sa.Integer(), nullable=False),
    sa.Column('bot_out', sa.Integer(), nullable=False),
    sa.Column('staff_out', sa.Integer(), nullable=False),
    sa.Column('first_in_at', TIME),
    sa.Column('bot_s', sa.Float()),
    sa.Column('unclear', sa.Integer(), nullable=False),
    sa.Column('handoffs', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['conversation_id'], ['conversations.id'], name=op.f('fk_report_days_conversation_id')),
    sa.PrimaryKeyConstraint('day', 'conversation_id', name=op.f('pk_report_days')),
    sqlite_with_rowid=False,
    )
    op.create_index('ix_report_days_conversation_id', 'report_days', ['conversation_id'])
    op.create_table('report_marks',
    sa.Column('day', sa.Text(), nullable=False),
    sa.Column('conversation_id', ID, autoincrement=False, nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('name', WORDS, nullable=False),
    sa.Column('count', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['conversation_id'], ['conversations.id'], name=op.f('fk_report_marks_conversation_id')),
    sa.PrimaryKeyConstraint('day', 'conversation_id', 'kind', 'name', name=op.f('pk_report_marks')),
    sqlite_with_rowid=False,
    )
    op.create_index('ix_report_marks_conversation_id', 'report_marks', ['conversation_id'])
    op.create_index('ix_report_marks_named', 'report_marks', ['kind', 'day', 'name', 'conversation_id', 'count'])
    op.add_column('articles', sa.Column('is_withdrawn', sa.Boolean(), server_default=sa.text('(false)'), nullable=False))
    op.add_column('conversations', sa.Column('operator', sa.Text(), server_default='', nullable=False))
    op.add_column('conversations', sa.Column('owner_until', TIME))
    op.add_column('conversations', sa.Column('team', sa.Text(), server_default='', nullable=False))
    op.add_column('conversations', sa.Column('priority', sa.Integer(), server_default='0', nullable=False))
    op.add_column('conversations', sa.Column('waiting_since', TIME))
    op.add_column('conversations', sa.Column('unanswered_since', TIME))
    op.add_column('conversations', sa.Column('last_operator', sa.Text(), server_default='', nullable=False))
    op.add_column('conversations', sa.Column('answered_at', TIME))
    op.add_column('conversations', sa.Column('snoozed_until', TIME))
    op.add_column('conversations', sa.Column('closed_at', TIME))
    op.create_index('ix_conversations_leases', 'conversations', ['owner_until'], **_where('owner_until IS NOT NULL'))
    op.create_index('ix_conversations_operator', 'conversations', ['operator', 'last_message_at', 'id'], **_where("operator <> ''"))
    op.create_index('ix_conversations_before', 'conversations', ['last_operator', 'last_message_at', 'id'], **_where("last_operator <> ''"))
    op.create_index('ix_conversations_team', 'conversations', ['team', 'last_message_at', 'id'], **_where("status = 'open' AND team <> ''"))
    op.create_index('ix_conversations_closed', 'conversations', ['closed_at', 'id'], **_where("status = 'closed' AND closed_at IS NOT NULL"))
    op.create_index('ix_conversations_closed_before', 'conversations', ['last_operator', 'closed_at', 'id'], **_where("status = 'closed' AND closed_at IS NOT NULL AND last_operator <> ''"))
    op.create_index('ix_conversations_closed_team', 'conversations', ['team', 'closed_at', 'id'], **_where("status = 'closed' AND closed_at IS NOT NULL"))
    op.create_index('ix_conversations_queue', 'conversations', ['priority', 'waiting_since', 'id'], **_where("owner = 'queue'"))
    op.create_index('ix_conversations_recent', 'conversations', ['last_message_at', 'id'], **_where("status = 'open'"))
    op.create_index('ix_conversations_snoozed', 'conversations', ['snoozed_until', 'id'], **_where("status = 'snoozed'"))
    op.create_index('ix_conversations_unanswered', 'conversations', ['unanswered_since', 'id'], **_where('unanswered_since IS NOT NULL'))
    op.add_column('handoffs', sa.Column('team', sa.Text(), server_default='', nullable=False))
    op.add_column('handoffs', sa.Column('priority', sa.Integer(), server_default='0', nullable=False))
    op.add_column('handoffs', sa.Column('topic', sa.Text(), server_default='', nullable=False))
    op.add_column('handoffs', sa.Column('operator', sa.Text(), server_default='', nullable=False))
    op.add_column('handoffs', sa.Column('taken_at', TIME))
    op.add_column('handoffs', sa.Column('first_reply_at', TIME))
    op.add_column('handoffs', sa.Column('summary', WORDS, server_default='', nullable=False))
    op.add_column('handoffs', sa.Column('queued_at', TIME))
    op.create_index('ix_handoffs_requested', 'handoffs', ['requested_at'])
    op.add_column('messages', sa.Column('by', WORDS, server_default='', nullable=False))
    op.add_column('messages', sa.Column('deleted_at', TIME))
    op.create_index('ix_outbox_trouble', 'outbox', ['conversation_id'], **_where("state IN ('parked', 'failed', 'uncertain')"))
    op.create_index('ix_messages_replaces', 'messages', ['replaces'], **_where('replaces IS NOT NULL'))
    op.create_index('ix_messages_conversation', 'messages', ['conversation_id', 'id'])
    op.create_index('ix_messages_unclear', 'messages', ['id'], **_where(
        "template IN ('utter_caption_unclear', 'utter_clarify', 'utter_offer_person', 'utter_out_of_scope', 'utter_rephrase')"
    ))
    op.create_index('ix_customer_attributes_birthday', 'customer_attributes', ['value'], **_where("name = 'birthday'"))
    op.add_column('dues', sa.Column('plan_of', ID))
    op.add_column('dues', sa.Column('replaced_at', TIME))
    op.create_index(op.f('ix_dues_plan_of'), 'dues', ['plan_of'])
    op.add_column('sites', sa.Column('email', WORDS, server_default='', nullable=False))
    op.add_column('sites', sa.Column('contact', WORDS, server_default='', nullable=False))
    op.add_column('staff_users', sa.Column('display_name', WORDS, server_default='', nullable=False))
    op.add_column('staff_users', sa.Column('email', WORDS, server_default='', nullable=False))
    op.add_column('staff_users', sa.Column('languages', DOCUMENT, server_default='[]', nullable=False))
    op.add_column('staff_users', sa.Column('topics', DOCUMENT, server_default='[]', nullable=False))
    op.add_column('staff_users', sa.Column('channels', DOCUMENT, server_default='[]', nullable=False))
    op.add_column('staff_users', sa.Column('capacity', sa.Integer(), server_default='5', nullable=False))
    op.add_column('staff_users', sa.Column('presence', sa.Text(), server_default='off', nullable=False))
    op.add_column('staff_users', sa.Column('presence_at', TIME))
    op.add_column('staff_users', sa.Column('last_seen_at', TIME))
    op.add_column('staff_users', sa.Column('assigned_at', TIME))
    op.add_column('staff_users', sa.Column('must_change_password', sa.Boolean(), server_default=sa.text('(false)'), nullable=False))
    op.add_column('staff_users', sa.Column('totp_secret', sa.Text(), server_default='', nullable=False))
    op.add_column('staff_users', sa.Column('totp_since', TIME))
    op.add_column('staff_users', sa.Column('totp_step', ID, server_default='0', nullable=False))
    op.add_column('staff_users', sa.Column('recovery_hashes', DOCUMENT, server_default='[]', nullable=False))
    op.add_column('staff_users', sa.Column('oidc_key', sa.Text(), server_default='', nullable=False))
    op.add_column('staff_users', sa.Column('settings', DOCUMENT, server_default='{}', nullable=False))
    op.add_column('staff_users', sa.Column('version', sa.Integer(), server_default='0', nullable=False))
    op.create_index('uq_staff_users_oidc_key', 'staff_users', ['oidc_key'], unique=True, **_where("oidc_key <> ''"))

    # Who waits or is answered now keeps place and name; somebody at a vendor is known by the channel.
    waiting = "SELECT min(requested_at) FROM handoffs WHERE conversation_id = conversations.id AND ended_at IS NULL"
    op.execute(
        f"UPDATE conversations SET waiting_since = coalesce(({waiting}), last_inbound_at, created_at) "  # noqa: S608 - ours
        "WHERE owner = 'queue'"
    )
    op.execute("UPDATE conversations SET unanswered_since = waiting_since WHERE owner = 'queue'")
    op.execute("UPDATE conversations SET operator = channel || ':' WHERE owner = 'operator'")
    op.execute("UPDATE handoffs SET queued_at = requested_at WHERE ended_at IS NULL")
