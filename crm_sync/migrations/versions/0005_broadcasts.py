"""Broadcasts: audiences, consent asked twice, wishes, coupons, recipients, links, results; where consent is shown by what.

And the learning loop: outcomes of what was understood, trainings of candidates, activations of models.

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TIMESTAMP

revision = "0005"
down_revision = "0004"
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
    _learning_tables()
    op.create_table('audience_lists',
    sa.Column('id', ID, nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('source', WORDS, server_default='', nullable=False),
    sa.Column('rows', sa.Integer(), server_default='0', nullable=False),
    sa.Column('members', sa.Integer(), server_default='0', nullable=False),
    sa.Column('duplicates', sa.Integer(), server_default='0', nullable=False),
    sa.Column('strangers', sa.Integer(), server_default='0', nullable=False),
    sa.Column('created_by', WORDS, server_default='', nullable=False),
    sa.Column('created_at', TIME, nullable=False),
    sa.Column('filling_since', TIME),
    sa.Column('archived_at', TIME),
    sa.CheckConstraint("kind IN ('snapshot', 'upload', 'exclusion')", name=op.f('ck_audience_lists_kind')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_audience_lists')),
    sa.UniqueConstraint('name', name=op.f('uq_audience_lists_name'))
    )
    op.create_table('broadcasts',
    sa.Column('id', ID, nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('state', sa.Text(), nullable=False),
    sa.Column('document', DOCUMENT, nullable=False),
    sa.Column('version', sa.Integer(), server_default='0', nullable=False),
    sa.Column('seed', sa.Integer(), nullable=False),
    sa.Column('created_by', WORDS, server_default='', nullable=False),
    sa.Column('created_at', TIME, nullable=False),
    sa.Column('updated_at', TIME, nullable=False),
    sa.Column('approved_by', WORDS, server_default='', nullable=False),
    sa.Column('approved_at', TIME),
    sa.Column('approved_digest', sa.Text(), server_default='', nullable=False),
    sa.Column('next_at', TIME),
    sa.Column('through_customer', ID, server_default='0', nullable=False),
    sa.Column('occasion', sa.Text(), server_default='', nullable=False),
    sa.Column('events_through', DOCUMENT, server_default='{}', nullable=False),
    sa.Column('reason', WORDS, server_default='', nullable=False),
    sa.Column('goes_on_as', sa.Text(), server_default='', nullable=False),
    sa.Column('started_at', TIME),
    sa.Column('ended_at', TIME),
    sa.CheckConstraint("state IN ('draft', 'waiting', 'approved', 'scheduled', 'preparing', 'running', 'paused', 'stopped', 'finished', 'cancelled')", name=op.f('ck_broadcasts_state')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_broadcasts')),
    sa.UniqueConstraint('name', name=op.f('uq_broadcasts_name'))
    )
    op.create_index('ix_broadcasts_active', 'broadcasts', ['id'], **_where("state IN ('preparing', 'running')"))
    op.create_index('ix_broadcasts_next', 'broadcasts', ['next_at'], **_where('next_at IS NOT NULL'))
    op.create_table('coupon_pools',
    sa.Column('id', ID, nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('title', WORDS, server_default='', nullable=False),
    sa.Column('terms', DOCUMENT, server_default='{}', nullable=False),
    sa.Column('valid_until', TIME),
    sa.Column('created_by', WORDS, server_default='', nullable=False),
    sa.Column('created_at', TIME, nullable=False),
    sa.Column('closed_at', TIME),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_coupon_pools')),
    sa.UniqueConstraint('name', name=op.f('uq_coupon_pools_name'))
    )
    op.create_table('segments',
    sa.Column('id', ID, nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('title', WORDS, server_default='', nullable=False),
    sa.Column('definition', DOCUMENT, nullable=False),
    sa.Column('version', sa.Integer(), server_default='0', nullable=False),
    sa.Column('created_by', WORDS, server_default='', nullable=False),
    sa.Column('created_at', TIME, nullable=False),
    sa.Column('updated_at', TIME, nullable=False),
    sa.Column('archived_at', TIME),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_segments')),
    sa.UniqueConstraint('name', name=op.f('uq_segments_name'))
    )
    op.create_table('vendor_quotas',
    sa.Column('channel', sa.Text(), nullable=False),
    sa.Column('account', sa.Text(), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('period', sa.Text(), nullable=False),
    sa.Column('used', sa.Integer(), server_default='0', nullable=False),
    sa.Column('is_known_used_up', sa.Boolean(), server_default=sa.text('false'), nullable=False),
    sa.PrimaryKeyConstraint('channel', 'account', 'kind', 'period', name=op.f('pk_vendor_quotas'))
    )
    op.create_table('audience_members',
    sa.Column('list_id', ID, autoincrement=False, nullable=False),
    sa.Column('customer_id', ID, autoincrement=False, nullable=False),
    sa.ForeignKeyConstraint(['customer_id'], ['customers.id'], name=op.f('fk_audience_members_customer_id')),
    sa.ForeignKeyConstraint(['list_id'], ['audience_lists.id'], name=op.f('fk_audience_members_list_id')),
    sa.PrimaryKeyConstraint('list_id', 'customer_id', name=op.f('pk_audience_members'))
    )
    op.create_index('ix_audience_members_customer_id', 'audience_members', ['customer_id'])
    op.create_table('broadcast_counts',
    sa.Column('broadcast_id', ID, autoincrement=False, nullable=False),
    sa.Column('arm', sa.Text(), nullable=False),
    sa.Column('state', sa.Text(), nullable=False),
    sa.Column('reason', sa.Text(), nullable=False),
    sa.Column('count', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['broadcast_id'], ['broadcasts.id'], name=op.f('fk_broadcast_counts_broadcast_id')),
    sa.PrimaryKeyConstraint('broadcast_id', 'arm', 'state', 'reason', name=op.f('pk_broadcast_counts'))
    )
    op.create_table('broadcast_links',
    sa.Column('id', ID, nullable=False),
    sa.Column('broadcast_id', ID, nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('url', WORDS, nullable=False),
    sa.ForeignKeyConstraint(['broadcast_id'], ['broadcasts.id'], name=op.f('fk_broadcast_links_broadcast_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_broadcast_links')),
    sa.UniqueConstraint('broadcast_id', 'name', name='uq_broadcast_links_broadcast_id_name')
    )
    op.create_table('broadcast_results',
    sa.Column('broadcast_id', ID, autoincrement=False, nullable=False),
    sa.Column('document', DOCUMENT, nullable=False),
    sa.Column('share', sa.Float(), server_default='0', nullable=False),
    sa.Column('at', TIME, nullable=False),
    sa.ForeignKeyConstraint(['broadcast_id'], ['broadcasts.id'], name=op.f('fk_broadcast_results_broadcast_id')),
    sa.PrimaryKeyConstraint('broadcast_id', name=op.f('pk_broadcast_results'))
    )
    op.create_table('broadcast_waits',
    sa.Column('broadcast_id', ID, autoincrement=False, nullable=False),
    sa.Column('customer_id', ID, autoincrement=False, nullable=False),
    sa.Column('occasion', sa.Text(), server_default='', nullable=False),
    sa.Column('step', sa.Text(), nullable=False),
    sa.Column('at', TIME),
    sa.Column('outcome', sa.Text(), server_default='', nullable=False),
    sa.ForeignKeyConstraint(['broadcast_id'], ['broadcasts.id'], name=op.f('fk_broadcast_waits_broadcast_id')),
    sa.ForeignKeyConstraint(['customer_id'], ['customers.id'], name=op.f('fk_broadcast_waits_customer_id')),
    sa.PrimaryKeyConstraint('broadcast_id', 'customer_id', 'occasion', name=op.f('pk_broadcast_waits'))
    )
    op.create_index('ix_broadcast_waits_due', 'broadcast_waits', ['at'], **_where('at IS NOT NULL'))
    op.create_table('contact_wishes',
    sa.Column('customer_id', ID, autoincrement=False, nullable=False),
    sa.Column('topics_off', DOCUMENT, server_default='[]', nullable=False),
    sa.Column('per_week', sa.Integer()),
    sa.Column('quiet_from', sa.Text(), server_default='', nullable=False),
    sa.Column('quiet_until', sa.Text(), server_default='', nullable=False),
    sa.Column('source', WORDS, server_default='', nullable=False),
    sa.Column('updated_at', TIME, nullable=False),
    sa.ForeignKeyConstraint(['customer_id'], ['customers.id'], name=op.f('fk_contact_wishes_customer_id')),
    sa.PrimaryKeyConstraint('customer_id', name=op.f('pk_contact_wishes'))
    )
    op.create_table('coupons',
    sa.Column('id', ID, nullable=False),
    sa.Column('pool_id', ID, nullable=False),
    sa.Column('code', WORDS, nullable=False),
    sa.Column('customer_id', ID),
    sa.Column('drawn_for', sa.Text()),
    sa.Column('drawn_at', TIME),
    sa.Column('redeemed_at', TIME),
    sa.ForeignKeyConstraint(['customer_id'], ['customers.id'], name=op.f('fk_coupons_customer_id')),
    sa.ForeignKeyConstraint(['pool_id'], ['coupon_pools.id'], name=op.f('fk_coupons_pool_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_coupons')),
    sa.UniqueConstraint('drawn_for', name='uq_coupons_drawn_for'),
    sa.UniqueConstraint('pool_id', 'code', name='uq_coupons_pool_id_code')
    )
    op.create_index(op.f('ix_coupons_customer_id'), 'coupons', ['customer_id'])
    op.create_index('ix_coupons_free', 'coupons', ['pool_id', 'id'], **_where('drawn_for IS NULL'))
    op.create_table('consent_requests',
    sa.Column('id', ID, nullable=False),
    sa.Column('customer_id', ID, nullable=False),
    sa.Column('identity_id', ID, nullable=False),
    sa.Column('purpose', sa.Text(), nullable=False),
    sa.Column('channel', sa.Text(), nullable=False),
    sa.Column('source', WORDS, nullable=False),
    sa.Column('asked_at', TIME, nullable=False),
    sa.Column('expires_at', TIME, nullable=False),
    sa.Column('answered_at', TIME),
    sa.Column('granted', sa.Boolean()),
    sa.ForeignKeyConstraint(['customer_id'], ['customers.id'], name=op.f('fk_consent_requests_customer_id')),
    sa.ForeignKeyConstraint(['identity_id'], ['identities.id'], name=op.f('fk_consent_requests_identity_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_consent_requests'))
    )
    op.create_index(op.f('ix_consent_requests_customer_id'), 'consent_requests', ['customer_id'])
    op.create_index('uq_consent_requests_open', 'consent_requests', ['identity_id', 'purpose'], unique=True, **_where('answered_at IS NULL'))
    op.create_table('broadcast_recipients',
    sa.Column('id', ID, nullable=False),
    sa.Column('broadcast_id', ID, nullable=False),
    sa.Column('customer_id', ID, nullable=False),
    sa.Column('occasion', sa.Text(), server_default='', nullable=False),
    sa.Column('step', sa.Text(), server_default='', nullable=False),
    sa.Column('conversation_id', ID),
    sa.Column('identity_id', ID),
    sa.Column('channel', sa.Text(), server_default='', nullable=False),
    sa.Column('account', sa.Text(), server_default='', nullable=False),
    sa.Column('arm', sa.Text(), server_default='', nullable=False),
    sa.Column('stratum', sa.Text(), server_default='', nullable=False),
    sa.Column('state', sa.Text(), nullable=False),
    sa.Column('reason', sa.Text(), server_default='', nullable=False),
    sa.Column('not_before', TIME),
    sa.Column('lease_owner', sa.Text()),
    sa.Column('lease_until', TIME),
    sa.Column('attempts', sa.Integer(), server_default='0', nullable=False),
    sa.Column('message_id', ID),
    sa.Column('vendor_message_id', WORDS, server_default='', nullable=False),
    sa.Column('batch', sa.Text(), server_default='', nullable=False),
    sa.Column('sent_at', TIME),
    sa.Column('delivered_at', TIME),
    sa.Column('read_at', TIME),
    sa.Column('clicked_at', TIME),
    sa.Column('replied_at', TIME),
    sa.Column('left_at', TIME),
    sa.Column('complained_at', TIME),
    sa.CheckConstraint("state IN ('pending', 'sending', 'sent', 'failed', 'uncertain', 'parked', 'dropped', 'skipped', 'held_out')", name=op.f('ck_broadcast_recipients_state')),
    sa.ForeignKeyConstraint(['broadcast_id'], ['broadcasts.id'], name=op.f('fk_broadcast_recipients_broadcast_id')),
    sa.ForeignKeyConstraint(['conversation_id'], ['conversations.id'], name=op.f('fk_broadcast_recipients_conversation_id')),
    sa.ForeignKeyConstraint(['customer_id'], ['customers.id'], name=op.f('fk_broadcast_recipients_customer_id')),
    sa.ForeignKeyConstraint(['identity_id'], ['identities.id'], name=op.f('fk_broadcast_recipients_identity_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_broadcast_recipients')),
    sa.UniqueConstraint('broadcast_id', 'customer_id', 'occasion', 'step', name='uq_broadcast_recipients_broadcast_id')
    )
    op.create_index('ix_broadcast_recipients_batch', 'broadcast_recipients', ['batch'], **_where("batch <> ''"))
    op.create_index('ix_broadcast_recipients_mass', 'broadcast_recipients', ['vendor_message_id'], **_where("batch <> ''"))
    op.create_index('ix_broadcast_recipients_due', 'broadcast_recipients', ['broadcast_id', 'channel', 'account', 'not_before', 'id'], **_where("state = 'pending'"))
    op.create_index('ix_broadcast_recipients_sending', 'broadcast_recipients', ['lease_until'], **_where("state = 'sending'"))
    op.create_index('ix_broadcast_recipients_heard', 'broadcast_recipients', ['conversation_id', 'sent_at'], **_where("state IN ('sending', 'sent', 'uncertain')"))
    op.create_index('ix_broadcast_recipients_sent', 'broadcast_recipients', ['customer_id', 'sent_at'], **_where('sent_at IS NOT NULL'))
    op.create_table('broadcast_clicks',
    sa.Column('recipient_id', ID, autoincrement=False, nullable=False),
    sa.Column('link_id', ID, autoincrement=False, nullable=False),
    sa.Column('first_at', TIME, nullable=False),
    sa.Column('last_at', TIME, nullable=False),
    sa.Column('times', sa.Integer(), server_default='1', nullable=False),
    sa.ForeignKeyConstraint(['link_id'], ['broadcast_links.id'], name=op.f('fk_broadcast_clicks_link_id')),
    sa.ForeignKeyConstraint(['recipient_id'], ['broadcast_recipients.id'], name=op.f('fk_broadcast_clicks_recipient_id')),
    sa.PrimaryKeyConstraint('recipient_id', 'link_id', name=op.f('pk_broadcast_clicks'))
    )
    op.add_column('consents', sa.Column('proof', DOCUMENT, server_default='{}', nullable=False))


def _learning_tables() -> None:
    op.create_table('turn_outcomes',
    sa.Column('inbox_id', ID, autoincrement=False, nullable=False),
    sa.Column('outcome', sa.Text(), nullable=False),
    sa.Column('meant', sa.Text(), server_default='', nullable=False),
    sa.Column('at', TIME, nullable=False),
    sa.ForeignKeyConstraint(['inbox_id'], ['inbox.id'], name=op.f('fk_turn_outcomes_inbox_id')),
    sa.PrimaryKeyConstraint('inbox_id', name=op.f('pk_turn_outcomes'))
    )
    op.create_index('ix_turn_outcomes_outcome', 'turn_outcomes', ['outcome', 'inbox_id'])
    op.create_table('trainings',
    sa.Column('id', ID, nullable=False),
    sa.Column('assistant', sa.Text(), nullable=False),
    sa.Column('state', sa.Text(), nullable=False),
    sa.Column('step', sa.Text(), server_default='', nullable=False),
    sa.Column('progress', sa.Float(), server_default='0', nullable=False),
    sa.Column('by', WORDS, nullable=False),
    sa.Column('at', TIME, nullable=False),
    sa.Column('started_at', TIME),
    sa.Column('beat_at', TIME),
    sa.Column('ended_at', TIME),
    sa.Column('worker', sa.Text(), server_default='', nullable=False),
    sa.Column('attempts', sa.Integer(), server_default='0', nullable=False),
    sa.Column('baseline', sa.Text(), server_default='', nullable=False),
    sa.Column('candidate', sa.Text(), server_default='', nullable=False),
    sa.Column('comparison', DOCUMENT, server_default='{}', nullable=False),
    sa.Column('reason', WORDS, server_default='', nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_trainings'))
    )
    op.create_index('ix_trainings_assistant', 'trainings', ['assistant', 'id'])
    op.create_index('ix_trainings_open', 'trainings', ['id'], **_where("state IN ('queued', 'running')"))
    op.create_table('model_activations',
    sa.Column('id', ID, nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('version', sa.Text(), nullable=False),
    sa.Column('previous', sa.Text(), server_default='', nullable=False),
    sa.Column('by', WORDS, nullable=False),
    sa.Column('at', TIME, nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_model_activations'))
    )
    op.create_index('ix_model_activations_name', 'model_activations', ['name', 'id'])
    op.add_column('active_models', sa.Column('training_hash', sa.Text(), server_default='', nullable=False))
    op.create_index('ix_messages_telling', 'messages', ['inbox_id'], **_where(
        "template IN ('utter_caption_unclear', 'utter_clarify', 'utter_offer_person', 'utter_out_of_scope', 'utter_rephrase', "
        "'utter_article', 'utter_articles_offer', 'utter_offer_person_article')"
    ))
    # Knowledge: what an article says of itself beside its words (audience, validity, tags, media, buttons).
    op.add_column('articles', sa.Column('details', DOCUMENT, server_default='{}', nullable=False))
    op.add_column('article_versions', sa.Column('details', DOCUMENT, server_default='{}', nullable=False))
    op.create_index('ix_articles_updated', 'articles', ['assistant', 'updated_at'])
