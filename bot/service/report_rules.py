"""The scheduled summary of the figures, as section `reports` of service.yml asks for it.

reports:
  summaries:
    weekly:
      to: [lena, care]           # staff users or teams: they find it among their notices and tasks
      chats: [telegram/main/42]  # channel/account/external id of people of the business who wrote to the bot once
      every: week                # day, week or month: the whole one that has just ended
      weekday: 1                 # of a week: 1 is Monday
      at: "08:00"                # in the business's zone
      language: zh
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any, Literal

from bot.located import invalid, only_keys, rows, table, text
from bot.types import Language

_KEYS = ("to", "chats", "every", "weekday", "at", "language")
_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
Every = Literal["day", "week", "month"]


@dataclass(frozen=True, slots=True)
class Summary:
    """One scheduled summary and who gets it. `chats` are (channel, account, external id)."""

    name: str
    to: tuple[str, ...] = ()
    chats: tuple[tuple[str, str, str], ...] = ()
    every: Every = "week"
    weekday: int = 1
    at: time = time(8)
    language: Language = "zh"

    def period(self, now: datetime) -> tuple[date, date] | None:
        """The days (the last one left out) the summary due at `now` is about; None before its hour or on other days.

        `now` is local time.
        """
        today = now.date()
        if now.time() < self.at:
            return None
        if self.every == "day":
            return today - timedelta(days=1), today
        if self.every == "week":
            return (today - timedelta(days=7), today) if today.isoweekday() == self.weekday else None
        if today.day != 1:
            return None
        return (today - timedelta(days=1)).replace(day=1), today


@dataclass(frozen=True, slots=True)
class ReportRules:
    """The section `reports`."""

    summaries: Mapping[str, Summary] = field(default_factory=dict)


def read_reports(document: dict[str, Any]) -> ReportRules:
    """The rules in this section. Raises: AssistantInvalid with file, line and reason."""
    only_keys(document, ("summaries",), "reports")
    named = table(document.get("summaries") or {}, "summaries", document, "summaries")
    return ReportRules({name: _summary(name, table(body, name, named, name)) for name, body in named.items()})


def _summary(name: str, body: dict[str, Any]) -> Summary:
    only_keys(body, _KEYS, f"summary {name}")
    to = tuple(text(item, "an entry of to", body, "to") for item in rows(body.get("to", []), "to", body, "to"))
    chats = tuple(_chat(item, body) for item in rows(body.get("chats", []), "chats", body, "chats"))
    if not to and not chats:
        raise invalid(f"summary {name} goes to nobody: name staff users or teams under to, or chats", body)
    every, language = body.get("every", "week"), body.get("language", "zh")
    if every not in ("day", "week", "month"):
        raise invalid("every is day, week or month", body, "every")
    if language not in ("zh", "en"):
        raise invalid("language is zh or en", body, "language")
    weekday = body.get("weekday", 1)
    if isinstance(weekday, bool) or not isinstance(weekday, int) or not 1 <= weekday <= 7:
        raise invalid("weekday is 1 (Monday) to 7", body, "weekday")
    return Summary(name, to, chats, every, weekday, _time(body.get("at", "08:00"), body), language)


def _chat(value: Any, body: dict[str, Any]) -> tuple[str, str, str]:
    channel, _, rest = str(value).partition("/")
    account, _, external_id = rest.partition("/")
    if not (channel and account and external_id):
        raise invalid(f"{value!r} is no chat: channel/account/external id", body, "chats")
    return channel, account, external_id


def _time(value: Any, body: dict[str, Any]) -> time:
    found = _TIME.fullmatch(str(value))
    if found is None:
        raise invalid(f"at is a time such as 08:00, in quotes, not {value!r}", body, "at")
    return time(int(found[1]), int(found[2]))
