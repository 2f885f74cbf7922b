"""Who wants to be told about what, and the hand-out of what feeders bring: each item once to each subscriber."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, and_, insert, or_, select, update

from bot.errors import DedupeMismatch
from bot.service_types import Notice, SubscribeTopic, as_is
from crm_sync import timers
from crm_sync.notices import plan_notice
from crm_sync.rows import insert_if_absent
from crm_sync.service_tables import feed_items, subscriptions
from crm_sync.subjects import Subject, note
from crm_sync.tables import consents
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


def hand_out(conn: Connection, due: Sequence[Timer], now: datetime) -> list[Timer]:
    """The next subscribers of each due item are told; the rest in a transaction of their own. For the scheduler."""
    for timer in due:
        item = conn.execute(
            select(feed_items).where(feed_items.c.id == timer.details["item_id"]).with_for_update()
        ).first()
        if item is None or item.next_subscription is None:
            continue
        found: Sequence[Any] = ()
        if item.until is None or item.until > now:
            found = _subscribers(conn, item)
            for row in found:
                _tell(conn, item, row, now)
        is_last = len(found) < CHUNK
        following = None if is_last else found[-1].id + 1
        told = item.told + len(found)
        conn.execute(
            update(feed_items).where(feed_items.c.id == item.id).values(next_subscription=following, told=told)
        )
        if not is_last:
            timers.plan(conn, KIND, now, now, key=f"feed:{item.id}:{following}", details={"item_id": item.id})
    return []


def _subscribers(conn: Connection, item: Any) -> Sequence[Any]:
    """The next ones who asked for it before it was there to be told, by id."""
    fits = [
        subscriptions.c.topic == item.topic,
        subscriptions.c.ended_at.is_(None),
        subscriptions.c.id >= item.next_subscription,
    ]
    if item.match:
        fits.append(or_(subscriptions.c.match == "", subscriptions.c.match == item.match))
    return conn.execute(select(subscriptions).where(*fits).order_by(subscriptions.c.id).limit(CHUNK)).all()


def told_key(item_id: int, customer_id: int) -> str:
    """Under this key a customer is told an item once, however many of their subscriptions it fits."""
    return f"feed:{item_id}:c{customer_id}"


def _tell(conn: Connection, item: Any, row: Any, now: datetime) -> None:
    plan_notice(
        conn,
        row.customer_id,
        Notice("utter_topic_news", {"topic": f"@word:topic:{item.topic}", "text": in_languages(item.words)}),
        at=now,
        now=now,
        key=told_key(item.id, row.customer_id),
        conversation_id=row.conversation_id,
    )


def in_languages(words: Mapping[str, str]) -> str:
    """Words there may be in both languages, as the argument of a notice."""
    chinese, english = words.get("zh", ""), words.get("en", "")
    if chinese and english and "|@en:" not in chinese:
        return f"@zh:{chinese}|@en:{english}"
    return as_is(chinese or english or next(iter(words.values()), ""))
