"""The figures of reports, read from the sums of `report_facts` and from handoffs, cases, clocks and surveys.

A span is [since, until) in days of the business's zone; `moments` are the same as instants. Every number has a list of
what it counts: the same conditions give its ids, page by page.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import Connection, Select, and_, case, func, or_, select
from sqlalchemy.sql.elements import ColumnElement

from crm_sync.columns import seconds_between
from crm_sync.console_tables import report_days, report_marks
from crm_sync.service_tables import assets, clocks, sites, surveys
from crm_sync.tables import cases, conversations, handoffs

COMPLAINT: Final = "complaint"
_DAYS: Final = report_days.c


@dataclass(frozen=True, slots=True)
class Span:
    """Days from `since` to before `until`, also as the instants they begin and end at; "" stands for every channel."""

    since: date
    until: date
    starts_at: datetime
    ends_at: datetime
    channel: str = ""

    def has_day(self, column: ColumnElement[Any]) -> ColumnElement[bool]:
        return and_(column >= self.since.isoformat(), column < self.until.isoformat())

    def has(self, column: ColumnElement[Any]) -> ColumnElement[bool]:
        return and_(column >= self.starts_at, column < self.ends_at)


# --- conversations ------------------------------------------------------------------------------------------------

_IS_ASKED: Final = _DAYS.messages_in > 0
_IS_CONTAINED: Final = and_(_DAYS.messages_in > 0, _DAYS.bot_out > 0, _DAYS.staff_out == 0, _DAYS.handoffs == 0)


def _in(span: Span) -> ColumnElement[bool]:
    here = span.has_day(_DAYS.day)
    return and_(here, _DAYS.channel == span.channel) if span.channel else here


@dataclass(frozen=True, slots=True)
class Volume:
    """Of a day, a channel or the whole span. `asked`: conversations in which the customer wrote, per day."""

    asked: int = 0
    contained: int = 0
    messages_in: int = 0
    bot_out: int = 0
    staff_out: int = 0
    unclear: int = 0


_VOLUME: Final = (
    func.sum(case((_IS_ASKED, 1), else_=0)).label("asked"),
    func.sum(case((_IS_CONTAINED, 1), else_=0)).label("contained"),
    func.sum(_DAYS.messages_in).label("messages_in"),
    func.sum(_DAYS.bot_out).label("bot_out"),
    func.sum(_DAYS.staff_out).label("staff_out"),
    func.sum(_DAYS.unclear).label("unclear"),
)


def volume_by_day(conn: Connection, span: Span) -> dict[str, Volume]:
    """Only days on which something was said."""
    return _volumes(conn, select(_DAYS.day.label("key"), *_VOLUME).where(_in(span)).group_by(_DAYS.day))


def volume_by_channel(conn: Connection, span: Span) -> dict[str, Volume]:
    return _volumes(conn, select(_DAYS.channel.label("key"), *_VOLUME).where(_in(span)).group_by(_DAYS.channel))


def _volumes(conn: Connection, statement: Select[Any]) -> dict[str, Volume]:
    names = Volume.__dataclass_fields__
    return {
        row.key: Volume(**{name: int(getattr(row, name) or 0) for name in names}) for row in conn.execute(statement)
    }


def conversation_count(conn: Connection, span: Span) -> int:
    """Different conversations in which the customer wrote."""
    counted = select(func.count(_DAYS.conversation_id.distinct())).where(_in(span), _IS_ASKED)
    return int(conn.execute(counted).scalar() or 0)


def conversations_by_channel(conn: Connection, span: Span) -> dict[str, int]:
    """As `conversation_count`, of each channel."""
    many = func.count(_DAYS.conversation_id.distinct()).label("many")
    counted = select(_DAYS.channel, many).where(_in(span), _IS_ASKED).group_by(_DAYS.channel)
    return {row.channel: int(row.many) for row in conn.execute(counted)}


def handed_over_count(conn: Connection, span: Span) -> int:
    """Of the conversations that `conversation_count` counts, those in which a person was wanted."""
    wanted = (
        select(_DAYS.conversation_id)
        .where(_in(span))
        .group_by(_DAYS.conversation_id)
        .having(func.sum(_DAYS.messages_in) > 0, func.sum(_DAYS.handoffs) > 0)
    )
    return int(conn.execute(select(func.count()).select_from(wanted.subquery())).scalar() or 0)


def bot_seconds(conn: Connection, span: Span) -> tuple[float | None, dict[str, float]]:
    """The median of the whole span, and of each day: from the day's first words of a customer to the bot's answer."""
    many = func.count().label("many")
    counted = select(_DAYS.day, _DAYS.bot_s, many).where(_in(span), _DAYS.bot_s.is_not(None))
    days: dict[str, Counter[float]] = {}
    whole: Counter[float] = Counter()
    for row in conn.execute(counted.group_by(_DAYS.day, _DAYS.bot_s)):
        days.setdefault(row.day, Counter())[row.bot_s] = row.many
        whole[row.bot_s] += row.many
    return (_middle(whole) if whole else None), {day: _middle(values) for day, values in days.items()}


def _middle(counted: Counter[float]) -> float:
    """The median of values that are given with how often each occurs; there is at least one."""
    total, passed = counted.total(), 0
    values = sorted(counted)
    for place, value in enumerate(values):
        passed += counted[value]
        if 2 * passed == total:
            return (value + values[place + 1]) / 2
        if 2 * passed > total:
            break
    return value


def mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def marks(conn: Connection, span: Span, kind: str) -> dict[str, int]:
    """How often each intent was understood, or how many messages each operator wrote."""
    table = report_marks.c
    statement = (
        select(table.name, func.sum(table.count).label("many"))
        .where(table.kind == kind, span.has_day(table.day))
        .group_by(table.name)
    )
    if span.channel:
        same = and_(_DAYS.day == table.day, _DAYS.conversation_id == table.conversation_id)
        statement = statement.join_from(report_marks, report_days, same).where(_DAYS.channel == span.channel)
    return {row.name: int(row.many) for row in conn.execute(statement)}


# --- handoffs, cases, promises, satisfaction ----------------------------------------------------------------------


def handoffs_in(conn: Connection, span: Span) -> Sequence[Any]:
    """Requested in this span: reason, operator, requested_at; from then `reply_s`, `wait_s` until taken, `whole_s`
    until it ended; and from when it was taken `answer_s` and `handle_s`."""
    table = handoffs.c
    asked, taken = table.requested_at, table.taken_at
    statement = select(
        table.reason,
        table.operator,
        asked,
        seconds_between(asked, table.first_reply_at).label("reply_s"),
        seconds_between(asked, taken).label("wait_s"),
        seconds_between(asked, table.ended_at).label("whole_s"),
        seconds_between(taken, table.first_reply_at).label("answer_s"),
        seconds_between(taken, table.ended_at).label("handle_s"),
    ).where(span.has(asked))
    return conn.execute(_on_channel(statement, handoffs, span)).all()


def complaints_in(conn: Connection, span: Span) -> Sequence[Any]:
    """Opened or solved in this span: category, cause, site, product, reopened, opened_at, solved_at, `solved_s`."""
    statement = (
        select(
            cases.c.id, cases.c.category, cases.c.cause, cases.c.reopened, cases.c.opened_at, cases.c.solved_at,
            func.coalesce(sites.c.key, "").label("site"),
            func.coalesce(assets.c.name, "").label("product"),
            seconds_between(cases.c.opened_at, cases.c.solved_at).label("solved_s"),
        )
        .outerjoin_from(cases, sites, sites.c.id == cases.c.site_id)
        .outerjoin(assets, assets.c.id == cases.c.asset_id)
        .where(cases.c.kind == COMPLAINT, or_(span.has(cases.c.opened_at), span.has(cases.c.solved_at)))
    )  # fmt: skip
    return conn.execute(_on_channel(statement, cases, span)).all()


def promises_in(conn: Connection, span: Span, now: datetime) -> dict[str, tuple[int, int, int]]:
    """(kept, missed, still running) of the clocks that ran out or ended in this span, by kind."""
    is_missed = or_(clocks.c.breached_at.is_not(None), and_(clocks.c.state == "running", clocks.c.due_at < now))
    statement = (
        select(
            clocks.c.kind,
            func.sum(case((and_(clocks.c.state == "met", ~is_missed), 1), else_=0)).label("kept"),
            func.sum(case((is_missed, 1), else_=0)).label("missed"),
            func.sum(case((and_(clocks.c.state.in_(("running", "paused")), ~is_missed), 1), else_=0)).label("running"),
        )
        .where(span.has(clocks.c.started_at))
        .group_by(clocks.c.kind)
    )
    if span.channel:
        statement = _on_channel(statement.join(cases, cases.c.id == clocks.c.case_id), cases, span)
    return {row.kind: (int(row.kept), int(row.missed), int(row.running)) for row in conn.execute(statement)}


def scores_in(conn: Connection, span: Span) -> Sequence[Any]:
    """Answers given in this span: kind (csat | nps), score, answered_at, and the owner of the case it was about."""
    statement = (
        select(surveys.c.kind, surveys.c.score, surveys.c.answered_at, func.coalesce(cases.c.owner, "").label("owner"))
        .outerjoin_from(surveys, cases, cases.c.id == surveys.c.case_id)
        .where(span.has(surveys.c.answered_at), surveys.c.score.is_not(None))
    )
    if span.channel:
        of = func.coalesce(surveys.c.conversation_id, cases.c.conversation_id)
        statement = statement.join(conversations, conversations.c.id == of)
        statement = statement.where(conversations.c.channel == span.channel)
    return conn.execute(statement).all()


def asked_in(conn: Connection, span: Span) -> int:
    """How many were asked how satisfied they are."""
    asked = select(func.count()).where(span.has(surveys.c.asked_at), surveys.c.kind == "csat")
    return int(conn.execute(asked).scalar() or 0)


def _on_channel(statement: Select[Any], table: Any, span: Span) -> Select[Any]:
    if not span.channel:
        return statement
    return statement.join(conversations, conversations.c.id == table.c.conversation_id).where(
        conversations.c.channel == span.channel
    )


# --- what is counted ----------------------------------------------------------------------------------------------

CONVERSATIONS: Final[Mapping[str, ColumnElement[bool]]] = {
    "asked": _IS_ASKED,
    "contained": _IS_CONTAINED,
    "not_contained": and_(_IS_ASKED, ~_IS_CONTAINED),
    "unclear": _DAYS.unclear > 0,
    "staff": _DAYS.staff_out > 0,
    "answered": _DAYS.bot_s.is_not(None),
}


def conversation_ids(
    conn: Connection, span: Span, what: str, name: str, *, before: int | None, limit: int
) -> list[int]:
    """Conversations behind a number, the newest first; `before`: the last id of the page before.

    `what`: a key of CONVERSATIONS, or intent, operator, handoff (name: the reason), person_answered, survey.
    """
    if what in CONVERSATIONS:
        column = _DAYS.conversation_id
        source: Select[Any] = select(column).where(_in(span), CONVERSATIONS[what])
    elif what in ("intent", "operator"):
        column = report_marks.c.conversation_id
        source = select(column).where(report_marks.c.kind == what, span.has_day(report_marks.c.day))
        source = source.where(report_marks.c.name == name)
        if span.channel:
            same = and_(_DAYS.day == report_marks.c.day, _DAYS.conversation_id == column)
            source = source.join_from(report_marks, report_days, same).where(_DAYS.channel == span.channel)
    elif what in ("handoff", "taken", "person_answered"):
        column = handoffs.c.conversation_id
        source = _on_channel(select(column).where(span.has(handoffs.c.requested_at)), handoffs, span)
        if what == "person_answered":
            source = source.where(handoffs.c.first_reply_at.is_not(None))
        elif what == "taken":
            source = source.where(handoffs.c.operator == name)
        elif name:
            source = source.where(handoffs.c.reason == name)
    else:
        raise ValueError(f"conversations are not counted by {what!r}")
    if before is not None:
        source = source.where(column < before)
    return [int(found) for found in conn.execute(source.distinct().order_by(column.desc()).limit(limit)).scalars()]


_NUMBERED: Final[Select[Any]] = select(cases.c.id, cases.c.number)


def case_ids(
    conn: Connection, span: Span, what: str, name: str, *, before: int | None, limit: int
) -> list[tuple[int, str]]:
    """(id, number) of the cases behind a number, the newest first.

    `what`: opened, solved, category, cause, site, product; kept and missed (name: kind of clock); score (name: 1 to 5);
    repeated (name: a JSON list of cause, category, quality type, site, product; null: not counted apart by it).
    """
    statement = _NUMBERED.where(cases.c.kind == COMPLAINT)
    if what == "solved":
        statement = statement.where(span.has(cases.c.solved_at))
    elif what in ("kept", "missed"):
        is_missed = clocks.c.breached_at.is_not(None)
        chosen = select(clocks.c.case_id).where(span.has(clocks.c.started_at), clocks.c.kind == name)
        chosen = chosen.where(is_missed) if what == "missed" else chosen.where(clocks.c.state == "met", ~is_missed)
        statement = _NUMBERED.where(cases.c.id.in_(chosen))
    elif what == "score":
        asked = select(surveys.c.case_id).where(span.has(surveys.c.answered_at), surveys.c.kind == "csat")
        asked = asked.where(surveys.c.score == int(name)) if name else asked
        statement = _NUMBERED.where(cases.c.id.in_(asked))
    else:
        statement = statement.where(span.has(cases.c.opened_at))
        if what in ("category", "cause", "site", "product"):
            statement = statement.where(_is_of(what, name))
        elif what == "repeated":
            statement = statement.where(*_of_cause(name))
        elif what != "opened":
            raise ValueError(f"cases are not counted by {what!r}")
    statement = _on_channel(statement, cases, span)
    if before is not None:
        statement = statement.where(cases.c.id < before)
    rows = conn.execute(statement.order_by(cases.c.id.desc()).limit(limit))
    return [(row.id, row.number) for row in rows]


def _is_of(what: str, name: str) -> ColumnElement[bool]:
    """Cases of this category, cause, site (by its key) or product (the name of what it is about); "": of none."""
    if what == "site":
        there = select(sites.c.id).where(sites.c.key == name)
        return cases.c.site_id.in_(there) if name else cases.c.site_id.is_(None)
    if what == "product":
        named = select(assets.c.id).where(assets.c.name == name)
        return cases.c.asset_id.in_(named) if name else or_(cases.c.asset_id.is_(None), cases.c.asset_id.in_(named))
    return cases.c[what] == name


def _of_cause(name: str) -> list[ColumnElement[bool]]:
    """Raises: ValueError for a name that nobody gave out."""
    told = json.loads(name)
    kinds = (str, str, str, str | None, str | None)
    if not isinstance(told, list) or len(told) != 5 or not all(map(isinstance, told, kinds)):
        raise ValueError("a cause is named by five words")
    cause, category, quality_type, site, product = told
    same = [cases.c.cause == cause, cases.c.category == category, cases.c.quality_type == quality_type]
    return [*same, *(_is_of(what, each) for what, each in (("site", site), ("product", product)) if each is not None)]
