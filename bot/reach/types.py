"""A broadcast as its author wrote it, checked: whom, what, when, how fast, and how its effect is measured.

`document.py` reads it from YAML or JSON and writes it back. Texts are per language (`en`, `zh`); money is in minor
units; shares are 0 to 1; times of day are HH:MM.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final, Literal

Words = Mapping[str, str]  # language -> text with {variables}
NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
Split = Literal["equal", "bandit"]


@dataclass(frozen=True, slots=True)
class Audience:
    """Whom a broadcast means. Exactly one of `segment`, `where`, `list` is filled."""

    segment: str = ""  # name of a stored segment
    where: Mapping[str, Any] = field(default_factory=lambda: NOTHING)  # a definition of its own; see segments.py
    list: str = ""  # name of a snapshot or an upload
    exclude: tuple[str, ...] = ()  # names of lists


@dataclass(frozen=True, slots=True)
class BroadcastButton:
    """Opens a link of the broadcast, or answers with a payload as a button of a reply does."""

    label: Words
    link: str = ""
    payload: str = ""


@dataclass(frozen=True, slots=True)
class Piece:
    """What one channel shows. Empty parts are left out."""

    text: Words = field(default_factory=lambda: NOTHING)
    image_url: str = ""
    media: tuple[Mapping[str, str], ...] = ()  # kind, url or media_id, caption
    cards: tuple[Mapping[str, Any], ...] = ()  # title, text, image_url, link
    buttons: tuple[BroadcastButton, ...] = ()
    kind: str = ""  # of the vendor where it has several: mass | template | subscribe (WeChat); "": a plain message
    by: str = ""  # of a mass send, how the vendor is told whom: list | tag; "": as the account can
    template_id: str = ""  # of the vendor's template, with its fields:
    template_fields: Mapping[str, Words] = field(default_factory=lambda: NOTHING)


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to say it. `channels` overrides `piece` where a channel needs its own."""

    name: str
    piece: Piece
    channels: Mapping[str, Piece] = field(default_factory=lambda: NOTHING)


@dataclass(frozen=True, slots=True)
class Content:
    variants: tuple[Variant, ...]
    fallbacks: Mapping[str, Words] = field(default_factory=lambda: NOTHING)  # variable -> words where it is unknown
    links: Mapping[str, str] = field(default_factory=lambda: NOTHING)  # name -> https address
    coupons: str = ""  # name of a pool; {coupon} in a text draws one
    split: Split = "equal"


@dataclass(frozen=True, slots=True)
class Trigger:
    """Something that happens to a customer, and how long after it the message leaves."""

    event: Literal["visit", "order", "birthday", "care", "due", "joined"]
    after: timedelta = timedelta()
    name: str = ""  # of a care rule, a kind of visit …; "": any


@dataclass(frozen=True, slots=True)
class Step:
    """One message of a journey, and where it goes from there."""

    name: str
    variant: str
    after: timedelta = timedelta()  # since the step before
    when: Mapping[str, str] = field(default_factory=lambda: NOTHING)  # replied | clicked | bought | else -> next step


@dataclass(frozen=True, slots=True)
class Plan:
    """When it leaves. At most one of `at`, `every`, `on`; none: as soon as it is started."""

    at: datetime | None = None  # aware, or naive when `in_each_zone`
    in_each_zone: bool = False  # at that wall time where each customer is
    every: Mapping[str, Any] = field(default_factory=lambda: NOTHING)  # day | week | month, at, until; see plan.py
    on: Trigger | None = None
    until: datetime | None = None  # nothing leaves after it
    quiet: tuple[str, str] = ("21:00", "09:00")  # in the customer's zone; equal: none
    steps: tuple[Step, ...] = ()  # of a journey; empty: one message


@dataclass(frozen=True, slots=True)
class StopRules:
    """The run stops by itself when one of these shares is passed, once `after` were tried."""

    failures: float = 0.2
    blocks: float = 0.03
    complaints: float = 0.01
    after: int = 100


@dataclass(frozen=True, slots=True)
class EffectRules:
    window: timedelta = timedelta(days=14)
    counts: tuple[str, ...] = ("orders", "visits")
    cost_minor: int = 0  # of one message
    currency: str = ""


@dataclass(frozen=True, slots=True)
class Broadcast:
    """The checked document."""

    name: str  # [a-z0-9-]{1,60}
    purpose: str  # of the consent it needs
    audience: Audience
    channels: tuple[str, ...]  # in the order they are preferred: each person gets one message
    content: Content
    title: str = ""
    topic: str = ""  # what the preference page calls it; "": none
    plan: Plan = Plan()
    holdout: float = 0.1
    per_s: float | None = None  # slower than the account could
    per_person: tuple[int, int] | None = None  # at most so many broadcasts in so many days; None: the business's cap
    stop: StopRules = StopRules()
    effect: EffectRules = EffectRules()
