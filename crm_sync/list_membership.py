"""Which list a conversation is in and who sees it, decided on a line that was read already: what the statements of
`conversation_lists` ask of the store, for whoever reads a line once and hands it to many.
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from crm_sync.conversation_lists import InboxFilter, Sight


class Listed(Protocol):
    """What lists are made of: the columns of a conversation, or its line."""

    @property
    def team(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def owner(self) -> str: ...
    @property
    def operator(self) -> str: ...
    @property
    def last_operator(self) -> str: ...
    @property
    def last_message_at(self) -> datetime | None: ...
    @property
    def waiting_since(self) -> datetime | None: ...
    @property
    def unanswered_since(self) -> datetime | None: ...
    @property
    def snoozed_until(self) -> datetime | None: ...
    @property
    def closed_at(self) -> datetime | None: ...


class Line(Listed, Protocol):
    """What filters look at besides."""

    @property
    def channel(self) -> str: ...
    @property
    def account(self) -> str: ...
    @property
    def language(self) -> str: ...
    @property
    def priority(self) -> int: ...
    @property
    def is_vip(self) -> bool: ...


def sees(sight: Sight, row: Listed) -> bool:
    """As `conversation_lists.is_visible`."""
    if sight.teams is None or not row.team or row.team in sight.teams:
        return True
    return bool(sight.name) and sight.name in (row.operator, row.last_operator)


def is_listed(name: str, listed: str, row: Listed) -> bool:
    """Whether the list called `listed` has it, as the member of staff with this name has that list."""
    match listed:
        case "snoozed":
            return row.status == "snoozed" and row.snoozed_until is not None
        case "closed":
            return row.status == "closed" and row.closed_at is not None
    if row.status != "open":
        return False
    match listed:
        case "mine":
            return bool(name) and row.operator == name and row.last_message_at is not None
        case "queue":
            return row.owner == "queue" and row.waiting_since is not None
        case "unanswered":
            return row.unanswered_since is not None
    return row.last_message_at is not None


def fits(which: InboxFilter, row: Line) -> bool:
    """Whether the filter takes it, whatever the list."""
    named = (
        (which.channel, row.channel),
        (which.account, row.account),
        (which.team, row.team),
        (which.operator, row.operator),
        (which.owner, row.owner),
        (which.language, row.language),
    )
    if any(wanted and wanted != found for wanted, found in named):
        return False
    if which.min_priority is not None and row.priority < which.min_priority:
        return False
    return row.is_vip or not which.is_vip


def is_shown(sight: Sight, which: InboxFilter, row: Line) -> bool:
    """Whether this member of staff has it in this list now."""
    return is_listed(sight.name, which.list, row) and fits(which, row) and sees(sight, row)
