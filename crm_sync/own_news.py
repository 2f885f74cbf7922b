"""News that arises here: an order that moves on, an outage, a new article; its subscribers are told once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, and_, func, or_, select
from sqlalchemy.sql.elements import ColumnElement

from bot.service_types import Notice
from crm_sync import timers
from crm_sync.notices import plan_notice
from crm_sync.service_tables import subscriptions
from crm_sync.subscriptions import tell_next
from crm_sync.tables import conversations, customers
from crm_sync.timers import Timer

KIND: Final = "own_news"


@dataclass(frozen=True, slots=True)
class Audience:
    """Who of a topic's subscribers: those of all of it, and those of one of the `matches`.

    `languages`: only who reads one of these, or has not shown yet which they read; empty: everybody.
    """

    topic: str
    matches: Sequence[str] = ()
    languages: Sequence[str] = ()


def publish(conn: Connection, audience: Audience, notice: Notice, key: str, now: datetime) -> bool:
    """Each of them will be told once; False when this was published before.

    A customer's notice goes by the key `<key>:<customer id>`: whoever was told by that key already is not told again.
    """
    return _plan_step(conn, {"audience": asdict(audience), "notice": asdict(notice), "key": key}, 0, now)


def hand_out(conn: Connection, due: Sequence[Timer], now: datetime) -> None:
    """The next subscribers of each due piece are told; the rest in a transaction of their own. For the scheduler."""
    for timer in due:
        news = timer.details
        fits, notice = _fits(Audience(**news["audience"])), Notice(**news["notice"])
        _, following = tell_next(conn, fits, notice, prefix=f"{news['key']}:", first=news["next"], now=now)
        if following is not None:
            _plan_step(conn, news, following, now)


def _plan_step(conn: Connection, news: Mapping[str, Any], first: int, now: datetime) -> bool:
    return timers.plan(conn, KIND, now, now, key=f"news:{news['key']}:{first}", details={**news, "next": first})


def _fits(audience: Audience) -> list[ColumnElement[bool]]:
    fits = [subscriptions.c.topic == audience.topic, subscriptions.c.match.in_(["", *audience.matches])]
    if audience.languages:
        named = func.coalesce(func.nullif(conversations.c.language, ""), func.lower(customers.c.language), "")
        shown = func.substr(named, 1, 2)  # a device says zh-cn
        fits.append(or_(shown == "", shown.in_(list(audience.languages))))
    return fits


@dataclass(frozen=True, slots=True)
class OrderNews:
    """An order whose status has changed."""

    order_id: int
    number: str
    status: str
    customer_id: int
    expected_at: datetime | None


def tell_of_orders(conn: Connection, topic: str, moved: Mapping[OrderNews, Notice], now: datetime) -> None:
    """Owners who asked for the order, or for all of theirs, are told once per order and status; nobody else is."""
    owners = {news.customer_id for news in moved}
    if not owners:
        return
    mine = and_(
        subscriptions.c.topic == topic,
        subscriptions.c.ended_at.is_(None),
        subscriptions.c.customer_id.in_(sorted(owners)),
    )
    found = conn.execute(select(subscriptions).where(mine).order_by(subscriptions.c.id)).all()
    for news, notice in moved.items():
        for row in found:
            if row.customer_id == news.customer_id and _bare(row.match) in ("", _bare(news.number)):
                key = f"order:{news.order_id}:{news.status}:{row.customer_id}"
                plan_notice(
                    conn, row.customer_id, notice, at=now, now=now, key=key, conversation_id=row.conversation_id
                )


def _bare(number: str) -> str:
    """The number as any of its spellings writes it: `so-77`, `SO77` and `77` are one order."""
    return number.strip().upper().removeprefix("SO").removeprefix("-")
