"""A broadcast's document: read, refused with the place, written back as the same."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from bot.errors import AssistantInvalid
from bot.reach.content_reading import languages_of, variables_of
from bot.reach.document import read_broadcast
from bot.reach.types import Broadcast
from bot.reach.writing import document_of
from frontdesk.yaml_lines import parse_yaml

ZONE = ZoneInfo("Asia/Shanghai")


def document(**changes: Any) -> dict[str, Any]:
    """A broadcast with everything in it; `changes` replace top-level parts."""
    whole = {
        "name": "winter-check",
        "title": "Winter check",
        "purpose": "promotion",
        "topic": "offers",
        "audience": {"segment": "regulars", "exclude": ["staff"]},
        "channels": ["wechat", "telegram"],
        "content": {
            "variants": [
                {
                    "name": "a",
                    "text": {"en": "Dear {name}: {link_book} {coupon}", "zh": "{name}：{link_book} {coupon}"},
                    "image": "https://shop.example/winter.jpg",
                    "buttons": [
                        {"label": {"en": "Book", "zh": "预约"}, "link": "book"},
                        {"label": {"en": "Not now", "zh": "以后再说"}, "payload": "/later"},
                    ],
                    "channels": {"telegram": {"text": {"en": "Hello {name}", "zh": "{name}您好"}}},
                },
                {"name": "b", "text": {"en": "Short {coupon}", "zh": "简短 {coupon}"}},
            ],
            "fallbacks": {"name": {"en": "customer", "zh": "车主"}},
            "links": {"book": "https://shop.example/book?a=1"},
            "coupons": "winter-2026",
            "split": "bandit",
        },
        "plan": {"at": "2026-12-01 10:00", "until": "2026-12-05 21:00", "quiet": ["20:00", "10:00"]},
        "holdout": 0.2,
        "per_s": 20,
        "per_person": [2, 30],
        "stop": {"blocks": 0.05},
        "effect": {"window_days": 7, "counts": ["orders"], "cost_minor": 5, "currency": "CNY"},
    }
    return {**whole, **changes}


def read(body: Any) -> Broadcast:
    return read_broadcast(body, ZONE)


def test_times_without_a_zone_are_of_the_business() -> None:
    assert read(document()).plan.at == datetime(2026, 12, 1, 2, 0, tzinfo=UTC)


def test_a_channels_piece_keeps_what_it_does_not_say_otherwise() -> None:
    first = read(document()).content.variants[0]
    assert first.channels["telegram"].image_url == first.piece.image_url
    assert first.channels["telegram"].text["en"] == "Hello {name}"


@pytest.mark.parametrize(
    "plan",
    [
        {"at": "2026-12-01 10:00", "quiet": ["20:00", "10:00"]},
        {"at": "2026-12-01 10:00", "in_each_zone": True},
        {"every": {"unit": "week", "at": "09:30", "weekdays": [1, 5], "from": "2026-12-01 00:00"}},
        {"every": {"unit": "month", "at": "09:30", "day": 31}, "in_each_zone": True},
        {"on": {"event": "visit", "after": "2d", "name": "refuel"}},
        {
            "on": {"event": "birthday"},
            "steps": [
                {"name": "first", "variant": "a", "when": {"clicked": "end", "else": "second"}},
                {"name": "second", "variant": "b", "after": "90m"},
            ],
        },
        {},
    ],
)
def test_what_is_written_back_is_read_as_the_same(plan: dict[str, Any]) -> None:
    broadcast = read(document(plan=plan))
    assert read(document_of(broadcast)) == broadcast


def test_what_it_needs_is_known() -> None:
    content = read(document()).content
    assert variables_of(content) == {"name", "coupon", "link_book"}
    assert languages_of(content) == ("en", "zh")


def test_a_mistake_in_a_file_is_named_with_its_line() -> None:
    content = b"content:\n  variants: [{name: a, text: {en: Hello}}]\n"
    raw = b"name: x\npurpose: p\naudience:\n  segment: a\n  sement: b\n" + content
    with pytest.raises(AssistantInvalid, match="sement") as failed:
        read(parse_yaml(raw, name="x.yml"))
    assert (failed.value.file, failed.value.line) == ("x.yml", 5)


def _variant(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda body: body["content"]["variants"][0].update(changes)


def _content(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda body: body["content"].update(changes)


def _whole(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda body: body.update(changes)


STEPS = [{"name": "one", "variant": "a", "when": {"else": "two"}}, {"name": "two", "variant": "b"}]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_whole(name="Winter Check!"), "a-z, 0-9"),
        (_whole(name=""), "name must be"),
        (_whole(audience={}), "one of: a segment"),
        (_whole(audience={"segment": "a", "list": "b"}), "one of: a segment"),
        (_whole(audience={"list": "b", "exclude": ["x", "x"]}), "twice"),
        (_whole(channels=[]), "at least one channel"),
        (_whole(channels="telegram"), "must be a list"),
        (_whole(holdout=1.0), "share from 0 to 0.9"),
        (_whole(holdout=True), "share"),
        (_whole(per_s=0), "above 0"),
        (_whole(per_s=float("nan")), "above 0"),
        (_whole(per_person=[0, 7]), "pair"),
        (_whole(effect={"window_days": 0}), "from 1 to 366"),
        (_whole(effect={"counts": ["likes"]}), "orders, visits"),
        (_whole(effect={"currency": "yuan"}), "three capital letters"),
        (_whole(stop={"after": 0}), "whole number"),
        (_whole(plan={"at": "soon"}), "a day and a time"),
        (_whole(plan={"at": "2026-12-01 10:00", "every": {"unit": "day", "at": "10:00"}}), "one of: at, every, on"),
        (_whole(plan={"at": "2026-12-01T10:00+08:00", "in_each_zone": True}), "leave the zone out"),
        (_whole(plan={"in_each_zone": True}), "needs a time"),
        (_whole(plan={"quiet": ["25:00", "09:00"]}), "time of day"),
        (_whole(plan={"quiet": ["21:00"]}), "pair of times"),
        (_whole(plan={"every": {"unit": "week", "at": "10:00"}}), "weekdays"),
        (_whole(plan={"every": {"unit": "month", "at": "10:00", "day": 32}}), "1 to 31"),
        (_whole(plan={"on": {"event": "full_moon"}}), "event must be one of"),
        (_whole(plan={"on": {"event": "visit", "after": "2 weeks"}}), "45m, 3h or 2d"),
        (_whole(plan={"at": "2026-12-01 10:00", "until": "2026-12-01 09:00"}), "not later"),
        (_whole(plan={"steps": [{**STEPS[0], "when": {"else": "three"}}, STEPS[1]]}), "'three', which is not there"),
        (_whole(plan={"steps": [STEPS[0], {**STEPS[1], "when": {"replied": "one"}}]}), "circle: one → two → one"),
        (_whole(plan={"steps": [{**STEPS[0], "when": {"else": "one"}}]}), "circle: one → one"),
        (_whole(plan={"steps": [STEPS[0], {**STEPS[1], "name": "one"}]}), "names of their own"),
        (_whole(plan={"steps": [{**STEPS[1], "variant": "z"}]}), "variant 'z'"),
        (_content(variants=[]), "1 to 6 variants"),
        (_content(variants=[{"name": "holdout", "text": {"en": "x"}}]), "none is called 'holdout'"),
        (_content(variants=[{"name": "a"}]), "needs words"),
        (_content(fallbacks={}), r"\{name\} needs words in en"),
        (_content(fallbacks={"name": {"en": "you"}}), "needs words in zh"),
        (_content(links={}), "no link 'book'"),
        (_content(links={"book": "http://shop.example"}), "https://"),
        (_content(links={"book": "javascript:alert(1)"}), "https://"),
        (_content(links={"book": "https://user@shop.example/"}), "https://"),
        (_content(coupons=""), "no pool"),
        (_content(split="fair"), "equal or bandit"),
        (_variant(text={"en": "Dear {name"}), "brace is not closed"),
        (_variant(text={"en": "Dear {na me}"}), "no name of a variable"),
        (_variant(text={"fr": "Cher"}), "words by language"),
        (_variant(text={}), "words by language"),
        (_variant(text={"en": "x" * 4001}), "more than 4000"),
        (_variant(image="ftp://x"), "https://"),
        (_variant(buttons=[{"label": {"en": "x"}, "link": "nowhere"}]), "no link 'nowhere'"),
        (_variant(buttons=[{"label": {"en": "x"}}]), "either opens a link"),
        (_variant(buttons=[{"label": {"en": "x"}, "payload": "x" * 65}]), "64 bytes"),
        (_variant(kind="template"), "a template is named"),
        (_variant(by="tag"), "of a mass send only"),
        (_variant(kind="mass", by="phone"), "by is list or tag"),
        (_variant(media=[{"kind": "image"}]), "either an address"),
    ],
)
def test_what_is_wrong_is_said(change: Callable[[dict[str, Any]], None], said: str) -> None:
    body = deepcopy(document())
    change(body)
    with pytest.raises(AssistantInvalid, match=said):
        read(body)


@pytest.mark.parametrize("body", [None, [], "x", 7, {}, {1: 2}])
def test_what_is_no_document_is_refused(body: Any) -> None:
    with pytest.raises(AssistantInvalid):
        read(body)


def test_a_length_is_kept_to_the_minute() -> None:
    trigger = read(document(plan={"on": {"event": "order", "after": "36h"}})).plan.on
    assert trigger is not None
    assert trigger.after == timedelta(hours=36)
