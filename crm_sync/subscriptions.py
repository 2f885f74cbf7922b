"""Who wants to be told about what, and the hand-out of what feeders bring: each item once to each subscriber."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, and_, insert, select, update
from sqlalchemy.sql.elements import ColumnElement

from bot.errors import DedupeMismatch
from bot.service_types import Notice, SubscribeTopic, as_is
from crm_sync import timers
from crm_sync.notices import plan_notice
from crm_sync.rows import insert_if_absent
from crm_sync.service_tables import feed_items, subscriptions
from crm_sync.subjects import Subject, note
from crm_sync.tables import consents, conversations, customers
from crm_sync.timers import Timer

KIND: Final = "feed"
CHUNK: Final = 200  # subscribers told in one transaction
ALL: Final = "*"


@dataclass(frozen=True, slots=True)
class FeedItem:
    """What a feeder brings. `match` "": for all subscribers of the topic; `words`: language -> text."""

    topic: str
    key: str
    words: Mapping[str, str]
    at: datetime
    match: str = ""
    until: datetime | None = None


# --- by the customer, in a turn -----------------------------------------------------------------------------------


def subscribe(conn: Connection, effect: SubscribeTopic, subject: Subject) -> None:
    """The customer is told about the topic here from now on, or nowhere any more; consent is kept with it."""
    if effect.wanted:
        row = {
            "customer_id": subject.customer_id,
            "conversation_id": subject.conversation_id,
            "topic": effect.topic,
            "match": effect.match,
            "source": effect.source,
            "at": subject.now,
        }
        open_one = and_(
            subscriptions.c.conversation_id == subject.conversation_id,
            subscriptions.c.topic == effect.topic,
            subscriptions.c.match == effect.match,
            subscriptions.c.ended_at.is_(None),
        )
        if conn.execute(select(subscriptions.c.id).where(open_one).with_for_update()).first() is None:
            conn.execute(insert(subscriptions), row)
        _consent(conn, effect.topic, subject, effect.source, granted=True)
        note(conn, subject, "topic_subscribed", effect.match, effect.topic)
        return
    ended = [subscriptions.c.customer_id == subject.customer_id, subscriptions.c.ended_at.is_(None)]
    if effect.topic != ALL:
        ended.append(subscriptions.c.topic == effect.topic)
    if effect.match:
        ended.append(subscriptions.c.match == effect.match)
    gone = conn.execute(
        update(subscriptions).where(*ended).values(ended_at=subject.now).returning(subscriptions.c.topic)
    )
    still = set(
        conn.execute(
            select(subscriptions.c.topic).where(
                subscriptions.c.customer_id == subject.customer_id, subscriptions.c.ended_at.is_(None)
            )
        ).scalars()
    )
    for topic in sorted(set(gone.scalars()) - still):
        _consent(conn, topic, subject, effect.source, granted=False)
        note(conn, subject, "topic_unsubscribed", effect.match, topic)


def _consent(conn: Connection, topic: str, subject: Subject, source: str, *, granted: bool) -> None:
    """In force on this channel; a withdrawal ends what was agreed on any channel."""
    purpose = f"topic:{topic}"
    in_force = [
        consents.c.customer_id == subject.customer_id,
        consents.c.purpose == purpose,
        consents.c.until.is_(None),
    ]
    if granted:
        in_force.append(consents.c.channel == subject.channel)
    conn.execute(update(consents).where(*in_force).values(until=subject.now))
    conn.execute(
        insert(consents),
        {
            "customer_id": subject.customer_id,
            "identity_id": subject.identity_id,
            "purpose": purpose,
            "channel": subject.channel,
            "source": source,
            "granted": granted,
            "at": subject.now,
        },
    )


# --- by feeders ---------------------------------------------------------------------------------------------------


def accept_item(conn: Connection, item: FeedItem, now: datetime) -> tuple[int, bool]:
    """The item will be told at its time; its id, and whether it is new. The same key again changes nothing.

    Raises: DedupeMismatch when the key was used for other words.
    """
    same = and_(feed_items.c.topic == item.topic, feed_items.c.key == item.key)
    row = {
        "topic": item.topic,
        "key": item.key,
        "match": item.match,
        "words": dict(item.words),
        "at": item.at,
        "until": item.until,
        "next_subscription": 0,
        "created_at": now,
    }
    insert_if_absent(conn, feed_items, row, key=("topic", "key"))
    stored = conn.execute(select(feed_items).where(same).with_for_update()).one()
    if (stored.match, _plain(stored.words)) != (item.match, _plain(item.words)):
        raise DedupeMismatch(f"key {item.key!r} was used before for something else")
    is_new = timers.plan(conn, KIND, item.at, now, key=f"feed:{stored.id}:0", details={"item_id": stored.id})
    return stored.id, is_new


def _plain(words: Mapping[str, str]) -> str:
    return json.dumps(dict(words), sort_keys=True)


def hand_out(conn: Connection, due: Sequence[Timer], now: datetime) -> None:
    """The next subscribers of each due item are told; the rest in a transaction of their own. For the scheduler."""
    for timer in due:
        item = conn.execute(
            select(feed_items).where(feed_items.c.id == timer.details["item_id"]).with_for_update()
        ).first()
        if item is None or item.next_subscription is None:
            continue
        count, following = 0, None
        if item.until is None or item.until > now:
            notice = Notice(
                "utter_topic_news", {"topic": f"@word:topic:{item.topic}", "text": in_languages(item.words)}
            )
            fits = [subscriptions.c.topic == item.topic]
            fits += [subscriptions.c.match.in_(["", item.match])] if item.match else []
            prefix, first = f"feed:{item.id}:c", item.next_subscription
            count, following = tell_next(conn, fits, notice, prefix=prefix, first=first, now=now)
        handed_out = {"next_subscription": following, "told": item.told + count}
        conn.execute(update(feed_items).where(feed_items.c.id == item.id).values(handed_out))
        if following is not None:
            timers.plan(conn, KIND, now, now, key=f"feed:{item.id}:{following}", details={"item_id": item.id})


def tell_next(
    conn: Connection, fits: Sequence[ColumnElement[bool]], notice: Notice, *, prefix: str, first: int, now: datetime
) -> tuple[int, int | None]:
    """The next subscribers, from the subscription `first` on, are told; how many, and the first of the rest if any.

    `fits` says which, by subscription, conversation and customer. `prefix` and the customer's id are the key by which
    somebody is told once, however many of their subscriptions fit.
    """
    found = conn.execute(
        select(subscriptions.c.id, subscriptions.c.customer_id, subscriptions.c.conversation_id)
        .join(conversations, conversations.c.id == subscriptions.c.conversation_id)
        .join(customers, customers.c.id == subscriptions.c.customer_id)
        .where(subscriptions.c.ended_at.is_(None), subscriptions.c.id >= first, *fits)
        .order_by(subscriptions.c.id)
        .limit(CHUNK)
    ).all()
    for row in found:
        key = f"{prefix}{row.customer_id}"
        plan_notice(conn, row.customer_id, notice, at=now, now=now, key=key, conversation_id=row.conversation_id)
    return len(found), found[-1].id + 1 if len(found) == CHUNK else None


def in_languages(words: Mapping[str, str]) -> str:
    """Words there may be in both languages, as the argument of a notice."""
    chinese, english = words.get("zh", ""), words.get("en", "")
    if chinese and english and "|@en:" not in chinese:
        return f"@zh:{chinese}|@en:{english}"
    return as_is(chinese or english or next(iter(words.values()), ""))
