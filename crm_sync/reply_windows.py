"""Reply windows: what a customer's message allows us to say, opened on acceptance and counted by each send.

Every message of a kind starts that kind's window anew; windows of different kinds run side by side. The vendor counts
from when it was written: what left between then and its acceptance is of the new window. Replies that found none open
are held (`outbox.is_held`) and become due again, oldest first, in the transaction that opens one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, bindparam, case, func, literal_column, null, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.elements import ColumnElement

from bot.ports import Clock, WindowState
from bot.types import ConversationId, Outbound, ReplyWindow
from crm_sync.columns import id_in, is_postgres
from crm_sync.database import Database
from crm_sync.statements import Statement
from crm_sync.tables import conversations, outbox, reply_windows

HELD: Final = "held: waits for the customer to write"
_Key = tuple[int, str]  # of a window: identity, kind
_Counted = Mapping[_Key, Mapping[str, int]]  # outbox id -> attempt, of what left before its window was opened
_NOTHING_TAKEN: Final[Mapping[str, int]] = {}
LATE: Final = timedelta(seconds=2)  # vendors' stamps are whole seconds; before that nobody waits for the past
_KEPT_FREE: Final = 2  # whatever was counted before: a clock that is off must not silence us
_now = bindparam("now", type_=reply_windows.c.closes_at.type)


def _opening(build: Any) -> Statement:
    fresh = ("quota", "used", "opened_at", "closes_at", "taken_for")
    row = build(reply_windows)
    return Statement(
        row.on_conflict_do_update(
            index_elements=["identity_id", "kind"], set_={name: row.excluded[name] for name in fresh}
        ),
        column_keys=("identity_id", "kind", *fresh),
    )


_OPEN_SQLITE, _OPEN_POSTGRES = _opening(sqlite.insert), _opening(postgresql.insert)
_RENEW = Statement(
    update(reply_windows)
    .where(reply_windows.c.kind == bindparam("b_kind"), id_in(reply_windows.c.identity_id, "b_ids"))
    .values(
        quota=bindparam("b_quota"),
        used=0,
        opened_at=bindparam("b_opened_at"),
        closes_at=bindparam("b_closes_at"),
        taken_for=_NOTHING_TAKEN,
    )
)
_is_held: ColumnElement[Any] = literal_column("outbox.is_held")  # written as the partial index has it
_RELEASE = Statement(
    update(outbox)
    .where(id_in(outbox.c.conversation_id, "b_ids"), _is_held)
    .values(
        state="pending",
        is_held=False,
        reason="",
        # Held at the first try: nothing ever left, so it may be merged with others again, or by itself.
        merged_into=case((outbox.c.attempts <= 1, null()), else_=outbox.c.merged_into),
        attempts=case((outbox.c.attempts <= 1, 0), else_=outbox.c.attempts),
    )
)
_LEFT = Statement(
    select(
        conversations.c.id,
        func.coalesce(func.sum(reply_windows.c.quota - reply_windows.c.used), 0).label("left"),
        func.max(reply_windows.c.closes_at).label("closes_at"),
    )
    .join_from(conversations, reply_windows, reply_windows.c.identity_id == conversations.c.identity_id)
    .where(id_in(conversations.c.id, "ids"), reply_windows.c.closes_at > _now)
    .group_by(conversations.c.id)
)
_OPEN_NOW = Statement(
    select(
        reply_windows.c.identity_id,
        reply_windows.c.kind,
        reply_windows.c.quota,
        reply_windows.c.used,
        reply_windows.c.taken_for,
    )
    .join_from(reply_windows, conversations, conversations.c.identity_id == reply_windows.c.identity_id)
    .where(conversations.c.id == bindparam("conversation"), reply_windows.c.closes_at > _now)
    .order_by(reply_windows.c.closes_at, reply_windows.c.kind)
    .with_for_update(of=reply_windows)
)
_BEFORE = Statement(
    select(
        reply_windows.c.identity_id,
        reply_windows.c.kind,
        reply_windows.c.taken_for,
    )
    .where(id_in(reply_windows.c.identity_id, "ids"), reply_windows.c.used > 0)
    .order_by(reply_windows.c.identity_id, reply_windows.c.kind)
    .with_for_update()
)
_SENDS = Statement(select(outbox.c.id, outbox.c.state, outbox.c.sent_at).where(id_in(outbox.c.id, "ids")))
_COUNT = Statement(
    update(reply_windows)
    .where(reply_windows.c.identity_id == bindparam("b_identity"), reply_windows.c.kind == bindparam("b_kind"))
    .values(used=bindparam("b_used"), taken_for=bindparam("b_taken_for"))
)


@dataclass(frozen=True, slots=True)
class Opening:
    """A message opens this window."""

    identity_id: int
    window: ReplyWindow
    written_at: datetime  # by the vendor's clock


def open_windows(
    conn: Connection, openings: Iterable[Opening], conversation_ids: Collection[int], now: datetime
) -> None:
    """The windows are open, of several of one kind the last written, and unused but for what left since it was written;
    what was held in these conversations is due.
    """
    last: dict[tuple[int, str], Opening] = {}
    for opening in openings:
        key = opening.identity_id, opening.window.kind
        if key not in last or opening.written_at >= last[key].written_at:
            last[key] = opening
    written_before = now - LATE
    late = {key: opening for key, opening in last.items() if opening.written_at < written_before}
    counted = _left_since_written(conn, late) if late else {}
    if is_postgres(conn):
        _OPEN_POSTGRES.change_each(conn, _rows(last, counted, now))
    else:
        _OPEN_SQLITE.change_each(conn, _rows(_renewed(conn, last, counted, now), counted, now))
    _RELEASE.change(conn, {"b_ids": sorted(conversation_ids)})


def _renewed(conn: Connection, last: Mapping[_Key, Opening], counted: _Counted, now: datetime) -> dict[_Key, Opening]:
    """Windows that were there and begin with nothing counted, as nearly all do, are open anew, those of a kind by one
    statement; the others are returned. Not where several write at once: they would lock these rows in any order.
    """
    left: dict[_Key, Opening] = {}
    unused: dict[ReplyWindow, dict[_Key, Opening]] = {}
    for key, opening in last.items():
        group = left if counted.get(key) else unused.setdefault(opening.window, {})
        group[key] = opening
    for window, group in unused.items():
        wanted = {
            "b_kind": window.kind,
            "b_ids": [identity_id for identity_id, _ in group],
            "b_quota": window.quota,
            "b_opened_at": now,
            "b_closes_at": now + window.lasts,
        }
        if _RENEW.change(conn, wanted) < len(group):
            left |= group
    return left


def _rows(openings: Mapping[_Key, Opening], counted: _Counted, now: datetime) -> list[dict[str, Any]]:
    rows = []
    for key, opening in sorted(openings.items(), key=lambda item: item[0]):
        window, taken_for = opening.window, counted.get(key, _NOTHING_TAKEN)
        rows.append(
            {
                "identity_id": opening.identity_id,
                "kind": window.kind,
                "quota": window.quota,
                "used": min(len(taken_for), max(window.quota - _KEPT_FREE, 0)),
                "opened_at": now,
                "closes_at": now + window.lasts,
                "taken_for": taken_for,
            }
        )
    return rows


def _left_since_written(conn: Connection, openings: Mapping[_Key, Opening]) -> dict[_Key, dict[str, int]]:
    """For each of these windows, what was taken from the one before and left after this one's message was written."""
    before = {
        (row.identity_id, row.kind): row.taken_for
        for row in _BEFORE.rows(conn, {"ids": sorted({identity_id for identity_id, _ in openings})})
        if (row.identity_id, row.kind) in openings
    }
    taken = sorted({int(key) for taken_for in before.values() for key in taken_for})
    sends = {str(row.id): row for row in _SENDS.rows(conn, {"ids": taken})} if taken else {}
    return {
        window: {
            key: attempt
            for key, attempt in taken_for.items()
            if (send := sends.get(key)) is not None and _left_since(send, openings[window].written_at)
        }
        for window, taken_for in before.items()
    }


def _left_since(send: Any, at: datetime) -> bool:
    return bool(send.state == "sending" or (send.sent_at is not None and send.sent_at >= at))


def left_in(conn: Connection, conversation_ids: Collection[int], now: datetime) -> dict[int, WindowState]:
    """What may still be said in each of these conversations; those without an open window are left out."""
    rows = _LEFT.rows(conn, {"ids": sorted(conversation_ids), "now": now})
    return {row.id: WindowState(max(int(row.left), 0), row.closes_at) for row in rows}


class SqlQuotaLedger:
    """Implements `bot.ports.QuotaLedger`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def take(self, outbound: Outbound, *, reserve: int = 0) -> bool:
        return await self._run(outbound, partial(_take, outbound=outbound, reserve=reserve))

    async def give_back(self, outbound: Outbound) -> None:
        await self._run(outbound, partial(_give_back, outbound=outbound))

    async def spent(self, outbound: Outbound) -> None:
        await self._run(outbound, _spend)

    async def state(self, conversation_id: ConversationId) -> WindowState:
        now = self._clock.now()
        found = await self._database.run(lambda conn: left_in(conn, [conversation_id], now), read=True)
        return found.get(conversation_id, WindowState(0, None))

    async def _run(self, outbound: Outbound, change: Callable[[Connection, Sequence[Any]], bool]) -> bool:
        wanted = {"conversation": outbound.conversation_id, "now": self._clock.now()}
        return await self._database.run(lambda conn: change(conn, _OPEN_NOW.rows(conn, wanted)))


def _take(conn: Connection, windows: Sequence[Any], *, outbound: Outbound, reserve: int) -> bool:
    key = str(outbound.outbox_id)
    if any(window.taken_for.get(key) == outbound.attempt for window in windows):
        return True
    if sum(max(window.quota - window.used, 0) for window in windows) < reserve + 1:
        return False
    window = next(window for window in windows if window.used < window.quota)
    _count(conn, window, window.used + 1, {**window.taken_for, key: outbound.attempt})
    return True


def _give_back(conn: Connection, windows: Sequence[Any], *, outbound: Outbound) -> bool:
    key = str(outbound.outbox_id)
    for window in windows:
        if window.taken_for.get(key) == outbound.attempt:
            others = {name: attempt for name, attempt in window.taken_for.items() if name != key}
            _count(conn, window, max(window.used - 1, 0), others)
            return True
    return False


def _spend(conn: Connection, windows: Sequence[Any]) -> bool:
    for window in windows:
        _count(conn, window, window.quota, window.taken_for)
    return bool(windows)


def _count(conn: Connection, window: Any, used: int, taken_for: Mapping[str, int]) -> None:
    _COUNT.change(
        conn, {"b_identity": window.identity_id, "b_kind": window.kind, "b_used": used, "b_taken_for": taken_for}
    )
