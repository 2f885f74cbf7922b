"""Which list of the inbox, and which of its conversations, as addresses and saved views name them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from bot.errors import InputError
from console.frame import Visit
from console.inbox_view import LISTS
from desk.inbox import InboxFilter
from desk.views import SavedView, inbox_filter


@dataclass(frozen=True, slots=True)
class ViewTab:
    id: int
    title: str
    query: str


_IN_ADDRESS: Final = ("list", "channel", "account", "team", "operator", "owner", "language")


def filter_of(visit: Visit) -> InboxFilter:
    """The list and filter that the address names; what makes no sense there is left out."""
    named: dict[str, Any] = {name: visit.text(name)[:60] for name in _IN_ADDRESS}
    if named["list"] not in LISTS:
        named["list"] = "all"
    return InboxFilter(**named, is_vip=visit.text("vip") == "1")


def written(which: InboxFilter) -> dict[str, str]:
    """The filter as an address has it."""
    named = {name: getattr(which, name) for name in _IN_ADDRESS if getattr(which, name)}
    return {**named, "vip": "1"} if which.is_vip else named


def kept(which: InboxFilter) -> dict[str, Any]:
    """The filter as a saved view keeps it."""
    named = {name: getattr(which, name) for name in _IN_ADDRESS if getattr(which, name)}
    return {**named, "is_vip": True} if which.is_vip else named


def view_tabs(views: Sequence[SavedView]) -> list[ViewTab]:
    """Saved views with their addresses; one whose filter is no longer understood is left out."""
    shown = []
    for view in views:
        try:
            shown.append(ViewTab(view.id, view.title, urlencode(written(inbox_filter(view.filter)))))
        except InputError:
            continue
    return shown
