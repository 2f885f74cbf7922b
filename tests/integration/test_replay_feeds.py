"""What a transcript's feeders bring is held to what the API takes."""

from __future__ import annotations

import pytest

from bot.errors import InputError
from bot.service.topics import Topic, TopicRules
from crm_sync.store import SqlStore
from frontdesk.clock import MovableClock
from frontdesk.replay_feeds import ReplayFeeds
from tests.builders import NOON

RULES = TopicRules(topics={"price": Topic("price", {"zh": "油价", "en": "prices"})})


@pytest.mark.parametrize(
    ("step", "action", "reason"),
    [
        ("feed", {"topic": "weather", "zh": "有雪"}, "no topic 'weather'"),
        ("feed", {"topic": "price"}, "words must be an object"),
        ("feed", {"topic": "price", "de": "Preis"}, "feed has no de"),
        ("outage", {"area": "平安里"}, "key must be a text"),
        ("outage", {"key": "o-1"}, "needs an area"),
        ("outage", {"key": "o-1", "area": "平安里", "ends": "soon"}, "no length such as"),
        ("outage", {"key": "o-1", "latitude": "north", "longitude": "1"}, "are numbers"),
    ],
)
async def test_what_the_api_would_refuse_is_refused_with_the_reason(
    store: SqlStore, step: str, action: dict[str, str], reason: str
) -> None:
    feeds = ReplayFeeds(store.database, lambda: RULES, MovableClock(NOON))
    with pytest.raises(InputError, match=reason):
        await (feeds.feed(action) if step == "feed" else feeds.outage(action))
