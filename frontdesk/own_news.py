"""What subscribers are told of orders that move on and of new articles, in words the assistant has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, tzinfo
from functools import partial
from itertools import groupby
from pathlib import Path

from sqlalchemy import Connection

from bot.actions.orders import OVER
from bot.service.topics import TopicRules
from bot.service_types import Notice, as_is
from crm_sync import article_versions
from crm_sync.imported_orders import ORDERS, orders_told
from crm_sync.imports import Kind
from crm_sync.models import StoredArticle, put_article, put_new_articles
from crm_sync.own_news import Audience, OrderNews, publish
from crm_sync.store import SqlStore
from crm_sync.subscriptions import in_languages
from frontdesk.policies import policy_in_force
from nlu.article_fields import Article


async def topic_rules(store: SqlStore, folder: Path) -> TopicRules:
    """The rules of topics in force. Raises: AssistantInvalid."""
    return (await policy_in_force(store.database, folder)).topics


def orders_kind(rules: TopicRules, zone: tzinfo) -> Kind:
    """The import of orders, whose new statuses are told where the policy has a topic for them."""
    return orders_told(rules.own.orders, partial(order_notice, zone=zone)) if rules.own.orders else ORDERS


def order_notice(news: OrderNews, *, zone: tzinfo) -> Notice:
    """The status in words, and the expected day of an order that is still to come."""
    args = {"order_number": as_is(news.number), "status": f"@word:order_status:{news.status.strip().lower()}"}
    if news.expected_at is None or news.status.strip().lower() in OVER:
        return Notice("utter_order_news", args)
    day = news.expected_at.astimezone(zone).date()
    return Notice("utter_order_news_expected", {**args, "expected": f"@day:{day.isoformat()}"})


async def store_articles(
    store: SqlStore,
    assistant: str,
    articles: Iterable[Article],
    *,
    known: frozenset[str],
    rules: TopicRules,
    now: datetime,
) -> int:
    """The articles are in the store and subscribers will hear of the new ones; how many articles there were.

    `known`: ids of articles customers could read before, from the assistant's folder; these are edits.
    """
    count = 0
    for key, group in groupby(sorted(articles, key=lambda article: article.id), key=lambda article: article.id):
        versions = list(group)
        await store.database.run(
            partial(_store_one, assistant=assistant, versions=versions, is_known=key in known, rules=rules, now=now)
        )
        count += len(versions)
    return count


def _store_one(
    conn: Connection,
    *,
    assistant: str,
    versions: Sequence[Article],
    is_known: bool,
    rules: TopicRules,
    now: datetime,
) -> None:
    rows = [
        StoredArticle(each.id, each.language, each.title, each.answer, each.questions, details=each.details)
        for each in versions
    ]
    article_versions.record_published(conn, assistant, rows, by="import", note="", at=now)
    if is_known or not rules.own.articles:
        for row in rows:
            put_article(conn, assistant, row, now)
        return
    put_new_articles(
        conn, assistant, rows, partial(_publish, assistant=assistant, versions=versions, rules=rules, now=now), now
    )


def _publish(
    conn: Connection, *, assistant: str, versions: Sequence[Article], rules: TopicRules, now: datetime
) -> None:
    topic = rules.own.articles
    tags = [tag for article in versions for tag in article.tags]
    audience = Audience(topic, rules.matches(topic, *tags), tuple(article.language for article in versions))
    title = in_languages({article.language: article.title for article in versions})
    publish(
        conn, audience, Notice("utter_article_news", {"title": title}), f"article:{assistant}:{versions[0].id}", now
    )
