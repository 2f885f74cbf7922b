"""Conversation tests as YAML files.

    conversations:
    - name: order status, then a complaint        # required; each starts with a customer nobody has met
      language: en                                # optional, only a remark for readers
      now: 2026-03-02T10:00:00+08:00              # optional: the clock stands here and moves by `later` alone
      seed: [customers, assets, visits, sites]    # optional: what sample/make.py writes and is imported before
      as: c-0007                                  # optional: the customer of the seed (by key) who is writing
      codes: true                                 # optional: one-time codes can be sent, as texts that go nowhere
      steps:
      - user: where is my order?                  # what the customer types
      - bot: order number                         # what was said since the step before holds this text
      - user: "2391"
      - bot: {contains: [2391, cannot find]}      # … all of these
      - press: Talk to a person                   # a button of the last answer, by its label
      - location: [31.2, 121.5]                   # where the customer is
      - code: right                               # types the one-time code sent last, or (wrong) another one
      - photo: the broken lamp                    # a picture, with this caption or none
      - bot: {matches: "(?i)colleague", excludes: sorry, buttons: [Yes, No]}
      - later: 26h                                # m, h or d; all that falls due meanwhile is done
      - staff: {solve: the lamp was replaced, cause: defect, remedy: replaced}   # on the newest open case
      - staff: {join: ""}                          # a colleague takes the chat; from then on the bot is silent
      - staff: {hand_back: continue}               # or solved; with `flow: …` the bot goes on with that one
      - staff: {care: missed_cycle}               # says what this care rule suggested
      - site: {accept: Mr Zhang}                  # on the newest task of a site
      - feed: {topic: price, en: Petrol rises.}   # news for those who subscribed; zh, en, match
      - outage: {key: o-1, area: Old Town, ends: 3h}    # is known from now on; starts, kind: planned, over

Under `bot`: `contains`, `excludes` (a text or a list; upper and lower case count as the same), `matches` (a regular
expression) and `buttons` (labels that are offered, in this order, perhaps among others). Several `bot` steps after one
other step look at the same words. What a customer says has to be answered; after `later`, `staff` and `site` the bot
may have nothing to say, and a `bot: {says: nothing}` makes sure of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from bot.located import invalid, line_of, only_keys, rows, table, text
from frontdesk.yaml_lines import read_yaml

_CHECKS = ("contains", "excludes", "matches", "buttons", "says")
_KINDS = ("user", "press", "location", "photo", "code", "later", "staff", "site", "feed", "outage", "bot")
ACTED = ("staff", "site", "feed", "outage")  # what others than the customer do
_KEYS = ("name", "language", "now", "seed", "as", "codes", "steps")
_LENGTH = re.compile(r"(\d{1,5})\s*([mhd])")


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a transcript: what somebody does, or what must have been said (`bot`)."""

    kind: str
    words: str = ""  # of user, press and photo; of code: right or wrong
    place: tuple[float, float] = (0.0, 0.0)  # latitude, longitude
    length: timedelta = timedelta(0)
    action: Mapping[str, str] = field(default_factory=dict)  # of staff and site: the verb first; of feed and outage
    contains: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    matches: re.Pattern[str] | None = None
    buttons: tuple[str, ...] = ()
    is_silence: bool = False
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Transcript:
    file: str
    name: str
    steps: tuple[Step, ...]
    folder: Path = Path()  # of the assistant it belongs to
    now: datetime | None = None
    seed: tuple[str, ...] = ()
    customer: str = ""  # key in the seed
    codes: bool = False  # whether one-time codes can be sent


def read_transcripts(path: Path) -> tuple[Transcript, ...]:
    """The conversations of one file. Raises: AssistantInvalid with file, line and reason."""
    document = table(read_yaml(path), "a transcript file", None)
    only_keys(document, ("version", "conversations"), "a transcript file")
    items = rows(document.get("conversations"), "conversations", document, "conversations")
    folder = path.parent.parent
    return tuple(
        transcript_of(table(item, "a conversation", items, at), file=path.name, folder=folder)
        for at, item in enumerate(items)
    )


def transcript_of(body: dict[str, Any], *, file: str, folder: Path) -> Transcript:
    """One conversation as it stands under `conversations`. Raises: AssistantInvalid with line and reason."""
    only_keys(body, _KEYS, "a conversation")
    name = text(body.get("name"), "name", body, "name")
    items = rows(body.get("steps"), f"steps of {name!r}", body, "steps")
    steps = tuple(_step(table(item, "a step", items, at)) for at, item in enumerate(items))
    if not steps or steps[0].kind in ("bot", "press", "code", "later", "staff", "site"):
        raise invalid(f"conversation {name!r} must begin with user, photo or location", body, "steps")
    return Transcript(
        file=file,
        name=name,
        steps=steps,
        folder=folder,
        now=_moment(body) if "now" in body else None,
        seed=_texts(body, "seed"),
        customer=str(body.get("as", "")),
        codes=body.get("codes") is True,
    )


def _moment(body: dict[str, Any]) -> datetime:
    try:
        moment = datetime.fromisoformat(str(body["now"]))
    except ValueError as exc:
        raise invalid(f"{body['now']!r} is no time such as 2026-03-02T10:00:00+08:00", body, "now") from exc
    if moment.tzinfo is None:
        raise invalid("now needs a time zone, e.g. +08:00", body, "now")
    return moment


def _step(body: dict[str, Any]) -> Step:
    if len(body) != 1 or next(iter(body)) not in _KINDS:
        raise invalid(f"a step is exactly one of {', '.join(_KINDS)}", body)
    kind, value = next(iter(body.items()))
    line = line_of(body)
    match kind:
        case "user" | "photo":
            return Step(kind, words="" if value is None else str(value), line=line)
        case "code":
            if value not in ("right", "wrong"):
                raise invalid("code is right or wrong", body, "code")
            return Step(kind, words=value, line=line)
        case "press":
            return Step(kind, words=text(value, "press", body, "press"), line=line)
        case "location":
            return Step(kind, place=_place(value, body), line=line)
        case "later":
            return Step(kind, length=_length(value, body), line=line)
        case "staff" | "site" | "feed" | "outage":
            action = table(value, kind, body, kind)
            if not action:
                raise invalid(f"{kind} needs something to do", body, kind)
            return Step(
                kind, action={name: "" if said is None else str(said) for name, said in action.items()}, line=line
            )
    return _check(value, body, line)


def _place(value: Any, body: dict[str, Any]) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2 or not all(isinstance(part, int | float) for part in value):
        raise invalid("location is [latitude, longitude]", body, "location")
    return float(value[0]), float(value[1])


def _length(value: Any, body: dict[str, Any]) -> timedelta:
    found = length_of(str(value))
    if found is None:
        raise invalid(f"{value!r} is no length such as 30m, 26h or 3d", body, "later")
    return found


def length_of(words: str) -> timedelta | None:
    """The length in words such as 30m, 26h or 3d; None when they are none."""
    found = _LENGTH.fullmatch(words.strip())
    if found is None:
        return None
    return int(found[1]) * {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}[found[2]]


def _check(value: Any, body: dict[str, Any], line: int | None) -> Step:
    if not isinstance(value, dict):
        return Step("bot", contains=(str(value),), line=line)
    checks = table(value, "bot", body, "bot")
    only_keys(checks, _CHECKS, "bot")
    if "says" in checks and (checks["says"] != "nothing" or len(checks) > 1):
        raise invalid("says is `nothing`, and then the only check", checks, "says")
    try:
        pattern = re.compile(str(checks["matches"])) if "matches" in checks else None
    except re.error as exc:
        raise invalid(f"bad pattern: {exc}", checks, "matches") from exc
    return Step(
        "bot",
        contains=_texts(checks, "contains"),
        excludes=_texts(checks, "excludes"),
        matches=pattern,
        buttons=_texts(checks, "buttons"),
        is_silence="says" in checks,
        line=line,
    )


def _texts(checks: dict[str, Any], key: str) -> tuple[str, ...]:
    value = checks.get(key, [])
    return tuple(str(item) for item in value) if isinstance(value, list) else (str(value),)
