"""What feeders bring in a transcript: news on a topic, and outages; read and written as the API does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from bot.errors import InputError
from bot.service.topics import TopicRules
from crm_sync.database import Database
from crm_sync.subscriptions import accept_item
from frontdesk.clock import MovableClock
from frontdesk.feed_routes import Refused, item_of, outage_of, write_outage
from frontdesk.transcripts import length_of

_FEED = frozenset({"topic", "zh", "en", "match"})
_OUTAGE = frozenset({"key", "area", "kind", "starts", "ends", "over", "latitude", "longitude", "radius_m"})


class ReplayFeeds:
    """Brings news and outages as of the transcript's clock. Raises: InputError for what the API would refuse."""

    def __init__(self, database: Database, rules: Callable[[], TopicRules], clock: MovableClock) -> None:
        self._database, self._rules, self._clock = database, rules, clock
        self._told = 0

    async def feed(self, action: Mapping[str, str]) -> None:
        """One piece of news, new each time."""
        _only(action, _FEED, "feed")
        self._told += 1
        now, topic = self._clock.now(), action.get("topic", "")
        if topic not in self._rules().topics:
            raise InputError(f"there is no topic {topic!r} in service.yml")
        words = {language: action[language] for language in ("zh", "en") if language in action}
        document = {"key": f"replay-{self._told}", "words": words, "match": action.get("match", "")}
        try:
            item = item_of(topic, document, now)
        except Refused as refused:
            raise InputError(refused.message) from refused
        await self._database.run(lambda conn: accept_item(conn, item, now))

    async def outage(self, action: Mapping[str, str]) -> None:
        """The outage as it is known now; `over` (empty) ends it. `starts` and `ends` are lengths from now."""
        _only(action, _OUTAGE, "outage")
        now = self._clock.now()
        document: dict[str, Any] = {name: action[name] for name in ("key", "area", "kind") if name in action}
        for name, field in (("starts", "starts_at"), ("ends", "expected_end_at")):
            if name in action:
                document[field] = _moment(action[name], now)
        try:
            document |= {name: float(action[name]) for name in ("latitude", "longitude") if name in action}
            document |= {"radius_m": int(action["radius_m"])} if "radius_m" in action else {}
            line, ended_at = outage_of(document | ({"ended_at": now.isoformat()} if "over" in action else {}))
        except Refused as refused:
            raise InputError(refused.message) from refused
        except ValueError as exc:
            raise InputError("latitude, longitude and radius_m are numbers") from exc
        await self._database.run(partial(write_outage, line, ended_at, self._rules(), now))


def _only(action: Mapping[str, str], known: frozenset[str], what: str) -> None:
    if unknown := sorted(set(action) - known):
        raise InputError(f"{what} has no {', '.join(unknown)}; it has {', '.join(sorted(known))}")


def _moment(words: str, now: datetime) -> str:
    length = length_of(words)
    if length is None:
        raise InputError(f"{words!r} is no length such as 30m, 26h or 3d")
    return (now + length).isoformat()
