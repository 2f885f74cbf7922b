"""`POST /api/v1/feeds/{topic}` and `/api/v1/outages`: what others know reaches those who want to be told.

A feeder has a token of its own, compared in constant time before anything of the request is read.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from bot.assistant import Assistant
from bot.errors import DedupeMismatch
from bot.ports import TOPIC_TIMERS, Clock, Signals
from bot.service.places import position, wrong_with
from bot.service.topics import TopicRules
from bot.service_types import Outage
from channels.webhook import read_body
from config.settings import FeedSettings
from crm_sync.database import Database
from crm_sync.outages import OutageLine, Report, end_outage, put_outage
from crm_sync.own_news import Audience
from crm_sync.subscriptions import FeedItem, accept_item

MAX_BODY: Final = 64_000  # bytes
MAX_WORDS: Final = 2_000  # characters of one language
MAX_KEY: Final = 200
OUTAGE: Final = "outage"  # the topic of outages, and the name a feeder needs to tell them


class Refused(Exception):
    """What is wrong with the request, for whoever wrote the feeder."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


@dataclass(frozen=True, slots=True)
class FeedDesk:
    """What the routes work with."""

    database: Database
    feeds: Mapping[str, FeedSettings]
    clock: Clock
    signals: Signals
    assistant: Callable[[], Assistant]


def feed_routes(desk: FeedDesk) -> list[BaseRoute]:
    """The routes; none where nobody feeds."""
    if not desk.feeds:
        return []
    return [
        Route("/api/v1/feeds/{topic}", _answered(partial(_take_item, desk)), methods=["POST"]),
        Route("/api/v1/outages", _answered(partial(_take_outage, desk)), methods=["POST"]),
    ]


def _answered(work: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        try:
            return await work(request)
        except Refused as refused:
            error = {"code": refused.code, "message": refused.message}
            return JSONResponse({"error": error}, refused.status, headers={"Cache-Control": "no-store"})

    return answer


async def _take_item(desk: FeedDesk, request: Request) -> Response:
    topic = request.path_params["topic"]
    check_token(desk.feeds, request.headers.get("authorization", ""), topic)
    if topic not in desk.assistant().service.topics.topics:
        raise Refused(404, "unknown_topic", f"there is no topic {topic!r} in service.yml (topics: subscribe)")
    item = item_of(topic, await _document(request), desk.clock.now())
    try:
        item_id, is_new = await desk.database.run(lambda conn: accept_item(conn, item, desk.clock.now()))
    except DedupeMismatch as mismatch:
        raise Refused(409, "key_used", "this key was used before for something else") from mismatch
    desk.signals.publish(TOPIC_TIMERS)
    return JSONResponse({"id": item_id, "is_new": is_new}, 202 if is_new else 200)


async def _take_outage(desk: FeedDesk, request: Request) -> Response:
    check_token(desk.feeds, request.headers.get("authorization", ""), OUTAGE)
    now = desk.clock.now()
    line, ended_at = outage_of(await _document(request))
    rules = desk.assistant().service.topics
    outage, is_new = await desk.database.run(partial(write_outage, line, ended_at, rules, now))
    desk.signals.publish(TOPIC_TIMERS)
    return JSONResponse({"id": outage.id, "is_new": is_new, "ended": ended_at is not None}, 202 if is_new else 200)


def write_outage(
    line: OutageLine, ended_at: datetime | None, rules: TopicRules, now: datetime, conn: Connection
) -> tuple[Outage, bool]:
    """The outage with these facts, over where it has ended, and whether it is new; those it concerns hear of it."""

    def belongs(outage: Outage, report: Report) -> bool:
        place = position(report.latitude, report.longitude)
        return rules.outage_at((outage,), place, (report.address,)) is not None

    topic = rules.own.outages
    # Without a name there is nothing to say of where it is, and to whom it matters.
    audience = Audience(topic, rules.matches(topic, line.area)) if topic and line.area.strip() else None
    outage, is_new = put_outage(conn, line, belongs, now, audience if ended_at is None else None)
    if ended_at is not None:
        end_outage(conn, line.key, ended_at, now, audience)
    return outage, is_new


def check_token(feeds: Mapping[str, FeedSettings], header: str, topic: str) -> None:
    """The request comes from a feeder that may tell this topic. Raises: Refused."""
    kind, _, given = header.partition(" ")
    presented = given.strip().encode("utf-8", "surrogateescape") if kind.lower() == "bearer" else b""
    # Every token is compared, so that the time taken tells nothing about which one was nearly right.
    known = [feed for feed in feeds.values() if _is_same(presented, feed.token.get_secret_value().encode())]
    if not known:
        raise Refused(401, "not_verified", "the token is missing or wrong")
    if not any(not feed.topics or topic in feed.topics for feed in known):
        raise Refused(403, "not_permitted", f"this feed may not tell about {topic!r}")


def _is_same(presented: bytes, token: bytes) -> bool:
    return hmac.compare_digest(presented, token)


# --- reading ------------------------------------------------------------------------------------------------------


async def _document(request: Request) -> dict[str, Any]:
    body = await read_body(request, MAX_BODY)
    if body is None:
        raise Refused(413, "too_large", f"the body may hold at most {MAX_BODY} bytes")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise Refused(400, "bad_input", "the body is no JSON document") from exc
    if not isinstance(document, dict):
        raise Refused(422, "bad_input", "the body must be a JSON object")
    return document


def item_of(topic: str, document: Mapping[str, Any], now: datetime) -> FeedItem:
    """The item of a checked document. Raises: Refused with what is wrong."""
    words = document.get("words")
    if not isinstance(words, dict) or not words or not set(words) <= {"zh", "en"}:
        raise Refused(422, "bad_input", 'words must be an object such as {"zh": "…", "en": "…"}')
    if not all(isinstance(text, str) and 1 <= len(text.strip()) <= MAX_WORDS for text in words.values()):
        raise Refused(422, "bad_input", f"each text of words needs 1 to {MAX_WORDS} characters")
    at, until = _moment(document, "at") or now, _moment(document, "until")
    if until is not None and until <= at:
        raise Refused(422, "bad_input", "until must lie after at")
    match = document.get("match", "")
    if not isinstance(match, str) or len(match) > MAX_KEY:
        raise Refused(422, "bad_input", f"match must be a text of at most {MAX_KEY} characters")
    return FeedItem(topic, _key(document), words, at, match, until)


def outage_of(document: Mapping[str, Any]) -> tuple[OutageLine, datetime | None]:
    """The outage of a checked document, and when it ended. Raises: Refused with what is wrong."""
    kind, area = document.get("kind", "outage"), document.get("area", "")
    if kind not in ("outage", "planned"):
        raise Refused(422, "bad_input", "kind must be outage or planned")
    if not isinstance(area, str) or len(area) > MAX_KEY:
        raise Refused(422, "bad_input", f"area must be a text of at most {MAX_KEY} characters")
    latitude, longitude, radius = (document.get(name) for name in ("latitude", "longitude", "radius_m"))
    if (latitude is not None or longitude is not None) and (wrong := wrong_with(latitude, longitude)):
        raise Refused(422, "bad_place", f"latitude and longitude are {wrong.replace('_', ' ')}")
    if radius is not None and (isinstance(radius, bool) or not isinstance(radius, int) or not 1 <= radius <= 1_000_000):
        raise Refused(422, "bad_input", "radius_m must be a whole number from 1 to 1000000")
    place = position(latitude, longitude)
    if place is None and not area:
        raise Refused(422, "bad_input", "an outage needs an area, or latitude and longitude")
    line = OutageLine(
        key=_key(document),
        kind=kind,
        area=area,
        latitude=place.latitude if place else None,
        longitude=place.longitude if place else None,
        radius_m=radius,
        starts_at=_moment(document, "starts_at"),
        expected_end_at=_moment(document, "expected_end_at"),
    )
    return line, _moment(document, "ended_at")


def _key(document: Mapping[str, Any]) -> str:
    key = document.get("key")
    if not isinstance(key, str) or not 1 <= len(key) <= MAX_KEY:
        raise Refused(422, "bad_input", f"key must be a text of 1 to {MAX_KEY} characters, the same for the same news")
    return key


def _moment(document: Mapping[str, Any], name: str) -> datetime | None:
    value = document.get(name)
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError) as exc:
        raise Refused(422, "bad_input", f"{name} is no time such as 2026-03-02T10:00:00+08:00") from exc
    if moment.tzinfo is None:
        raise Refused(422, "bad_input", f"{name} needs a time zone, e.g. +08:00")
    return moment.astimezone(UTC)
