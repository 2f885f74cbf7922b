"""A broadcast's document read from YAML or JSON, every mistake named with its place; and written back as JSON.

```yaml
name: winter-check
title: Winter check at half price
purpose: promotion            # of the consent it needs
topic: offers                 # as the preference page calls it
audience: {segment: regulars, exclude: [staff]}      # or where: {...}, or list: name
channels: [wechat, telegram]  # in the order preferred; one message a person
content:
  variants:
  - name: a
    text:
      en: "Dear {name}, the winter check is half price until Sunday: {link_book} Your code: {coupon}"
      zh: "{name}，本周日前冬季检查半价：{link_book} 您的券码：{coupon}"
    image: https://shop.example/winter.jpg
    buttons: [{label: {en: Book, zh: 预约}, link: book}]
    channels: {telegram: {text: {en: …}}}            # what a channel needs otherwise
  fallbacks: {name: {en: customer, zh: 车主}}         # required for every variable that may be unknown
  links: {book: https://shop.example/book}
  coupons: winter-2026
  split: equal                # or bandit
plan: {at: 2026-12-01 10:00, in_each_zone: true, quiet: ["21:00", "09:00"], until: 2026-12-05 21:00}
holdout: 0.1
stop: {failures: 0.2, blocks: 0.03, complaints: 0.01, after: 100}
effect: {window_days: 14, counts: [orders], cost_minor: 5, currency: CNY}
```
"""

from __future__ import annotations

import re
from datetime import timedelta, tzinfo
from typing import Any, Final

from bot.located import invalid, only_keys, rows, table
from bot.reach.content_reading import read_content
from bot.reach.plan_reading import read_plan
from bot.reach.reading import line, name_of, names, number, share
from bot.reach.types import NOTHING, Audience, Broadcast, EffectRules, Plan, StopRules

COUNTS: Final = ("orders", "visits")
_CHANNEL: Final = re.compile(r"[a-z][a-z0-9_]{0,30}")


def read_broadcast(document: Any, zone: tzinfo, *, quiet: tuple[str, str] = Plan().quiet) -> Broadcast:
    """The broadcast a document describes; times without a zone are of `zone`, quiet hours `quiet`, the business's.

    Raises: AssistantInvalid, with file and line where the document has them.
    """
    root = table(document, "a broadcast", document)
    only_keys(
        root,
        (
            "name", "title", "purpose", "topic", "audience", "channels", "content", "plan", "holdout", "per_s",
            "per_person", "stop", "effect",
        ),
        "a broadcast",
    )  # fmt: skip
    content = read_content(root)
    plan = read_plan(root, content, zone, quiet)
    return Broadcast(
        name=name_of(root, "name", "a broadcast"),
        title=line(root, "title"),
        purpose=name_of(root, "purpose", "the purpose"),
        topic=name_of(root, "topic", "the topic") if root.get("topic") else "",
        audience=_audience(root),
        channels=_channels(root),
        content=content,
        plan=plan,
        holdout=share(root, "holdout", 0.1, most=0.9),
        per_s=_rate(root),
        per_person=_cap(root),
        stop=_stop(root),
        effect=_effect(root),
    )


def _audience(root: dict[str, Any]) -> Audience:
    body = table(root.get("audience"), "audience", root, "audience")
    only_keys(body, ("segment", "where", "list", "exclude"), "audience")
    if len([key for key in ("segment", "where", "list") if body.get(key)]) != 1:
        raise invalid("an audience is one of: a segment, a condition (where), a list", root, "audience")
    return Audience(
        segment=name_of(body, "segment", "a segment") if body.get("segment") else "",
        where=dict(table(body["where"], "where", body, "where")) if body.get("where") else NOTHING,
        list=name_of(body, "list", "a list") if body.get("list") else "",
        exclude=names(body, "exclude"),
    )


def _channels(root: dict[str, Any]) -> tuple[str, ...]:
    listed = names(root, "channels")
    if not listed:
        raise invalid("a broadcast needs at least one channel", root, "channels")
    for name in listed:
        if not _CHANNEL.fullmatch(name):
            raise invalid(f"{name!r} is no name of a channel", root, "channels")
    return listed


def _rate(root: dict[str, Any]) -> float | None:
    value = root.get("per_s")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 10_000:
        raise invalid("per_s must be a number above 0: messages a second on each account", root, "per_s")
    return float(value)


def _cap(root: dict[str, Any]) -> tuple[int, int] | None:
    if root.get("per_person") is None:
        return None
    pair = rows(root["per_person"], "per_person", root, "per_person")
    if len(pair) != 2 or any(isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= 366 for n in pair):
        raise invalid("per_person is a pair [messages, days], each 1 to 366", root, "per_person")
    return pair[0], pair[1]


def _stop(root: dict[str, Any]) -> StopRules:
    body = table(root.get("stop", {}), "stop", root, "stop")
    only_keys(body, ("failures", "blocks", "complaints", "after"), "stop")
    usual = StopRules()
    shares = {key: share(body, key, getattr(usual, key)) for key in ("failures", "blocks", "complaints")}
    return StopRules(**shares, after=number(body, "after", usual.after, least=1, most=1_000_000))


def _effect(root: dict[str, Any]) -> EffectRules:
    body = table(root.get("effect", {}), "effect", root, "effect")
    only_keys(body, ("window_days", "counts", "cost_minor", "currency"), "effect")
    counts = names(body, "counts") if "counts" in body else EffectRules().counts
    if not counts or set(counts) - set(COUNTS):
        raise invalid(f"counts names what a success is: {', '.join(COUNTS)}", body, "counts")
    currency = body.get("currency", "")
    if not isinstance(currency, str) or (currency and not re.fullmatch(r"[A-Z]{3}", currency)):
        raise invalid("currency is three capital letters, like CNY", body, "currency")
    days = number(body, "window_days", 14, least=1, most=366)
    return EffectRules(timedelta(days=days), counts, number(body, "cost_minor", 0, least=0, most=10**9), currency)
