"""Two identities become one customer because the person said so: offered on one channel, confirmed on another.

The link carries a token that works once, on the channel it was made for, for a short time; the store keeps its digest.
Everything of the confirming identity's customer moves to the offering one's: a merge, which the link names.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, FromClause, and_, insert, or_, select, update
from sqlalchemy.sql.elements import ColumnElement

from bot.errors import NotFound
from bot.types import CustomerId, Identity, LinkIdentity, LinkOffer
from crm_sync import merging
from crm_sync.addressing import Address, find_or_create
from crm_sync.columns import digest_key
from crm_sync.subjects import Subject, note
from crm_sync.tables import (
    conversations,
    identities,
    identity_links,
    timeline,
)

LIFETIME: Final = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class CustomerLink:
    """Two identities that became one customer, as staff see it. Identities are channel/account/external id."""

    id: int
    offered_by: str
    taken_up_by: str
    source: str
    linked_at: datetime
    undone_at: datetime | None
    kept_customer_id: CustomerId
    merged_customer_id: CustomerId


def offer_link(conn: Connection, identity: Identity, channel: str, token: str, now: datetime) -> None:
    """Whoever presents `token` on `channel` within LIFETIME may say that they are this identity's customer."""
    address = Address(identity.channel, identity.account, identity.external_id, identity.external_id)
    place = find_or_create(conn, [address], now)[address]
    conn.execute(
        insert(identity_links),
        {
            "key": digest_key(token),
            "identity_id": place.identity_id,
            "channel": channel,
            "created_at": now,
            "expires_at": now + LIFETIME,
        },
    )


def find_offer(conn: Connection, token: str, now: datetime) -> LinkOffer | None:
    """What a token that still works offers, and how far the conversation it comes from had got."""
    row = conn.execute(
        select(identity_links.c.channel, conversations.c.state, conversations.c.language, conversations.c.account)
        .join_from(identity_links, conversations, conversations.c.identity_id == identity_links.c.identity_id)
        .where(_is_open(token, now))
        .order_by(conversations.c.last_message_at.desc(), conversations.c.id.desc())
        .limit(1)
    ).first()
    return None if row is None else LinkOffer(row.channel, row.account, row.state, row.language)


def link_identity(conn: Connection, effect: LinkIdentity, subject: Subject) -> None:
    """The subject's customer is the one the token was offered to; nothing when the token no longer works here."""
    link = conn.execute(
        select(identity_links.c.id, identity_links.c.identity_id, identities.c.customer_id)
        .join_from(identity_links, identities, identities.c.id == identity_links.c.identity_id)
        .where(_is_open(effect.token, subject.now), identity_links.c.channel == subject.channel)
        .with_for_update(of=identity_links)
    ).first()
    if link is None:
        return
    kept, merged = link.customer_id, subject.customer_id
    author = f"identity {subject.identity_id}"
    merge_id = merging.merge(conn, kept, merged, evidence="link", author=author, now=subject.now, keep=kept)
    conn.execute(
        update(identity_links)
        .where(identity_links.c.id == link.id)
        .values(
            linked_identity_id=subject.identity_id,
            linked_at=subject.now,
            source=effect.source,
            kept_customer_id=kept,
            merged_customer_id=merged,
            moved={"merge_id": merge_id},
        )
    )
    subject.customer_id = kept
    note(conn, subject, "identity_linked", effect.source, str(link.id))


def links_of(conn: Connection, customer_id: CustomerId) -> list[CustomerLink]:
    """Links that made others part of this customer, or this one part of another; undone ones too, oldest first."""
    offering, taking = identities.alias("offering"), identities.alias("taking")
    rows = conn.execute(
        select(identity_links, _name(offering).label("offered_by"), _name(taking).label("taken_up_by"))
        .join_from(identity_links, offering, offering.c.id == identity_links.c.identity_id)
        .join(taking, taking.c.id == identity_links.c.linked_identity_id)
        .where(
            or_(identity_links.c.kept_customer_id == customer_id, identity_links.c.merged_customer_id == customer_id)
        )
        .order_by(identity_links.c.linked_at, identity_links.c.id)
    )
    return [
        CustomerLink(
            id=row.id,
            offered_by=row.offered_by,
            taken_up_by=row.taken_up_by,
            source=row.source,
            linked_at=row.linked_at,
            undone_at=row.undone_at,
            kept_customer_id=row.kept_customer_id,
            merged_customer_id=row.merged_customer_id,
        )
        for row in rows
    ]


def unlink(conn: Connection, link_id: int, now: datetime) -> None:
    """What the link moved is where it was; what was written since stays with the customer it was written for.

    Raises: NotFound when there is no such link, or it was undone before; RuleError when a later link took the
    customer along, which must be undone first.
    """
    done = and_(
        identity_links.c.id == link_id, identity_links.c.linked_at.is_not(None), identity_links.c.undone_at.is_(None)
    )
    link = conn.execute(select(identity_links).where(done).with_for_update()).first()
    if link is None:
        raise NotFound(f"no link {link_id} to undo; it may have been undone before")
    merge_id = (link.moved or {}).get("merge_id")
    if merge_id is not None:
        merging.unmerge(conn, merge_id, author="operator", now=now)
    conn.execute(update(identity_links).where(identity_links.c.id == link_id).values(undone_at=now, moved=None))
    line = {"kind": "identity_unlinked", "summary": link.source, "reference": str(link_id), "author": "operator"}
    conn.execute(insert(timeline), {**line, "customer_id": link.kept_customer_id, "at": now})


def _is_open(token: str, now: datetime) -> ColumnElement[bool]:
    return and_(
        identity_links.c.key == digest_key(token),
        identity_links.c.linked_at.is_(None),
        identity_links.c.expires_at > now,
    )


def _name(identity: FromClause) -> ColumnElement[str]:
    name: ColumnElement[str] = identity.c.channel + "/" + identity.c.account + "/" + identity.c.external_id
    return name
