"""A segment as one SELECT of customers' ids: set-based, every value bound, the same on both databases."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Select,
    Text,
    and_,
    func,
    literal,
    not_,
    or_,
    select,
    true,
    type_coerce,
)

from bot.reach.segment_fields import ATTRIBUTE, CONSENT
from bot.reach.segments import Condition, Did, Group, Node, Not
from crm_sync.broadcast_tables import audience_lists, audience_members, contact_wishes
from crm_sync.columns import UtcDateTime, dump_json
from crm_sync.eligibility import agreement, there_is
from crm_sync.merging import is_merged
from crm_sync.segment_columns import OPPOSITES, OWN, ROWS, VALUES, Moment, compared, compared_attribute, compared_member
from crm_sync.service_tables import customer_attributes, customer_tags, customer_values, points
from crm_sync.tables import conversations, customers, identities


def members(segment: Node, now: datetime) -> Select[tuple[int]]:
    """The ids of everybody it means now, in no order: a caller that pages adds `id > …`, ORDER BY and LIMIT.

    Days are those of the zone of `now`. Records that were erased, or are part of another, are nobody.
    """
    fits = _Conditions(Moment(now)).of(segment)
    return select(customers.c.id).where(customers.c.erased_at.is_(None), ~is_merged(customers.c.id), fits)


def count(conn: Connection, segment: Node, now: datetime) -> int:
    """How many people it means now."""
    found = members(segment, now).subquery()
    return conn.execute(select(func.count()).select_from(found)).scalar_one()


def sample(conn: Connection, segment: Node, now: datetime, size: int, *, start: float = 0.0) -> list[int]:
    """The ids of some of them, at most `size`: those behind a place in the list (`start`, 0 to 1), then its first."""
    last: int = conn.execute(select(func.coalesce(func.max(customers.c.id), 0))).scalar_one()
    place, found = int(last * start), members(segment, now).order_by(customers.c.id).limit(size)
    ids = [row.id for row in conn.execute(found.where(customers.c.id > place))]
    if len(ids) < size and place:
        before = found.where(customers.c.id <= place).limit(size - len(ids))
        ids += [row.id for row in conn.execute(before)]
    return ids


class _Conditions:
    """Conditions on a row of `customers`."""

    def __init__(self, moment: Moment) -> None:
        self._moment = moment

    def of(self, node: Node) -> ColumnElement[bool]:
        return self._joined(node, self._leaf)

    def _joined(self, node: Node, leaf: Callable[[Condition | Did], ColumnElement[bool]]) -> ColumnElement[bool]:
        if isinstance(node, Group):
            parts = [self._joined(part, leaf) for part in node.parts]
            return and_(true(), *parts) if node.how == "all" else or_(*parts)
        if isinstance(node, Not):
            return not_(self._joined(node.part, leaf))
        return leaf(node)

    def _leaf(self, node: Condition | Did) -> ColumnElement[bool]:
        if isinstance(node, Did):
            return self._did(node)
        name = node.field.name
        if node.field.kind == "set":
            return self._set(node)
        if name in OWN:
            return compared(node, OWN[name], self._moment)
        if name in _COMPUTED:
            return compared(node, _COMPUTED[name], self._moment)
        table, row = (customer_values, VALUES.get(name)) if name in VALUES else (customer_attributes, None)
        # Where there is no row at all, what is asked does not hold, and its opposite does.
        if node.operator in OPPOSITES:
            return not_(self._leaf(Condition(node.field, OPPOSITES[node.operator], node.value)))
        if node.operator == "is_filled" and not node.value:
            return not_(self._leaf(Condition(node.field, "is_filled", True)))
        mine = table.c.customer_id == customers.c.id
        if row is not None:
            return there_is([table], mine, compared(node, row, self._moment))
        named = customer_attributes.c.name == name.removeprefix(ATTRIBUTE)
        if node.operator == "is_filled":
            return there_is([table], mine, named)
        return there_is([table], mine, named, compared_attribute(node, customer_attributes.c.value, self._moment))

    def _did(self, node: Did) -> ColumnElement[bool]:
        rows = ROWS[node.thing.name]
        conditions = [rows.person == customers.c.id, *rows.only]
        if node.where is not None:
            conditions.append(self._joined(node.where, partial(self._of_thing, rows.fields)))
        wanted: list[ColumnElement[bool]] = []
        if node.times is None:
            wanted.append(there_is(rows.tables, *conditions))
        else:
            wanted.append(compared(node.times, _reckoned(func.count(), rows.tables, conditions), self._moment))
        if node.total is not None:
            total = func.coalesce(func.sum(rows.fields["amount"]), 0)
            wanted.append(compared(node.total, _reckoned(total, rows.tables, conditions), self._moment))
        return and_(*wanted)

    def _of_thing(self, fields: Mapping[str, ColumnElement[Any]], leaf: Condition | Did) -> ColumnElement[bool]:
        if isinstance(leaf, Did):
            raise TypeError("a thing has no things of its own")
        if leaf.field.name.startswith(ATTRIBUTE):
            return compared_member(leaf, fields["attributes"], self._moment)
        return compared(leaf, fields[leaf.field.name], self._moment)

    def _set(self, node: Condition) -> ColumnElement[bool]:
        if node.operator == "has_none":
            return not_(self._set(Condition(node.field, "has_any", node.value)))
        wanted = None if node.operator == "is_filled" else (node.value,) if node.operator == "has" else node.value
        if node.field.name == "topic_off":
            found = self._topics_off(wanted)
        elif wanted is None:
            found = self._has(node.field.name, lambda column: true())
        else:
            named = [each.lower() for each in wanted] if node.field.name == "tag" else wanted  # as tags are kept
            found = self._has(node.field.name, lambda column: column.in_(named))
        return not_(found) if node.value is False else found

    def _has(self, name: str, fits: Callable[[Any], ColumnElement[bool]]) -> ColumnElement[bool]:
        person = customers.c.id
        if name.startswith(CONSENT):
            now = literal(self._moment.now, UtcDateTime())
            return agreement(person, name.removeprefix(CONSENT), lambda grant: fits(grant.c.channel), now)
        if name == "tag":
            return there_is([customer_tags], customer_tags.c.customer_id == person, fits(customer_tags.c.tag))
        if name == "list":
            member = audience_members
            named = and_(
                audience_lists.c.id == member.c.list_id,
                audience_lists.c.filling_since.is_(None),
                fits(audience_lists.c.name),
            )
            return there_is([member, audience_lists], member.c.customer_id == person, named)
        if name == "channel":
            talk, them = conversations, identities
            reachable = and_(them.c.id == talk.c.identity_id, them.c.unreachable_at.is_(None))
            return there_is([talk, them], talk.c.customer_id == person, reachable, fits(talk.c.channel))
        raise KeyError(name)

    def _topics_off(self, fits: Sequence[str] | None) -> ColumnElement[bool]:
        """True where they want none of these topics; of None: where there is any they do not want."""
        listed = type_coerce(contact_wishes.c.topics_off, Text)
        named = [listed.contains(dump_json(topic), autoescape=True) for topic in fits or ()]
        unwanted = listed != "[]" if fits is None else or_(*named)
        return there_is([contact_wishes], contact_wishes.c.customer_id == customers.c.id, unwanted)


def _reckoned(
    what: ColumnElement[Any], tables: Sequence[FromClause], conditions: Sequence[ColumnElement[bool]]
) -> ColumnElement[Any]:
    return select(what).select_from(*tables).where(*conditions).correlate_except(*tables).scalar_subquery()


_MINE: Final = conversations.c.customer_id == customers.c.id
_COMPUTED: Final[Mapping[str, ColumnElement[Any]]] = {
    "last_contact": _reckoned(func.max(conversations.c.last_message_at), [conversations], [_MINE]),
    "last_wrote": _reckoned(func.max(conversations.c.last_inbound_at), [conversations], [_MINE]),
    "points": _reckoned(
        func.coalesce(func.sum(points.c.change), 0), [points], [points.c.customer_id == customers.c.id]
    ),
}
