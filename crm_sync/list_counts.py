"""How long the lists of many members of staff are, counted once for all who see the same.

What somebody sees is what their teams see and what is, or was, their own in other teams: the first is counted once for
each set of teams, the second is read for all of them together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, Select, select, union

from crm_sync.columns import is_filled, is_state, key_in
from crm_sync.conversation_lists import MOST_COUNTED, InboxFilter, Sight, count
from crm_sync.list_membership import is_listed, sees
from crm_sync.statements import Statement
from crm_sync.tables import conversations

_c = conversations.c
_SHOWN: Final = (
    _c.id,
    _c.team,
    _c.status,
    _c.owner,
    _c.operator,
    _c.last_operator,
    _c.last_message_at,
    _c.waiting_since,
    _c.unanswered_since,
    _c.snoozed_until,
    _c.closed_at,
)


def _own(column: Any) -> Select[Any]:
    alive = is_state(_c.status, "open", "snoozed")
    return select(*_SHOWN).where(key_in(column, "names"), is_filled(column), alive)


_both: Any = union(_own(_c.operator), _own(_c.last_operator)).subquery()
_OWN: Final = Statement(select(_both))


def counts_of(conn: Connection, sights: Sequence[Sight], lists: Sequence[str]) -> dict[str, dict[str, int]]:
    """By name and list, for lists of what is not closed; MOST_COUNTED stands for that many or more."""
    shared: dict[frozenset[str] | None, dict[str, int]] = {}
    for teams in {sight.teams for sight in sights}:
        others = Sight("", teams)
        shared[teams] = {name: count(conn, others, InboxFilter(list=name)) for name in lists if name != "mine"}
    own: dict[str, list[Any]] = defaultdict(list)
    for row in _OWN.rows(conn, {"names": sorted({sight.name for sight in sights})}):
        for name in {row.operator, row.last_operator}:
            own[name].append(row)
    return {sight.name: _with_own(sight, shared[sight.teams], own[sight.name], lists) for sight in sights}


def _with_own(sight: Sight, shared: dict[str, int], own: Sequence[Any], lists: Sequence[str]) -> dict[str, int]:
    others = Sight("", sight.teams)
    beyond = [row for row in own if not sees(others, row)]
    counts = {}
    for name in lists:
        more = own if name == "mine" else beyond
        found = shared.get(name, 0) + sum(is_listed(sight.name, name, row) for row in more)
        counts[name] = min(found, MOST_COUNTED)
    return counts
