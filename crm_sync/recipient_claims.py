"""Recipients handed out to be sent to, how each send ended, and what dead senders left behind. Set-based and short.

A send is fenced by its attempt: only what attempt n has to tell ends attempt n, so neither a sender whose lease was
taken for over nor one that stores twice can end what somebody else does now. Nothing that may have left goes back to
`pending`; only `decide` does that, for a person.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, bindparam, func, select, update

from bot.errors import NotFound, RuleError
from bot.reach.types import Step
from crm_sync.broadcast_tables import broadcast_recipients, broadcasts, contact_wishes
from crm_sync.broadcast_waits import turned_away
from crm_sync.columns import UtcDateTime, id_in, is_state
from crm_sync.eligibility import SendRules, agreement, moments, rechecked
from crm_sync.outbox_claims import UNFINISHED
from crm_sync.recipient_counts import Place, add_counts, moved
from crm_sync.statements import Statement
from crm_sync.tables import conversations, customers, identities, outbox

SEND_LEASE: Final = timedelta(seconds=30)  # longer than any channel waits for a vendor's answer
BEHIND_REPLIES: Final = timedelta(seconds=2)  # before asking again whether a conversation's replies have left
Quiet = tuple[str, str]
# (now, the person's zone, their own quiet hours) -> when it may leave, now or later; None: not any more.
MayLeave = Callable[[datetime, str, Quiet | None], datetime | None]
# (occasion, step, zone, quiet hours) -> the hour that is planned for somebody there; None: the one written down
Planned = Callable[[str, str, str, Quiet | None], datetime | None]

_row = broadcast_recipients.c
_talk = conversations.alias("talk")
_them = identities.alias("them")
_waits_for_replies = (
    select(outbox.c.id)
    .where(outbox.c.conversation_id == conversations.c.id, is_state(outbox.c.state, *UNFINISHED))
    .correlate(conversations)
    .exists()
)


@dataclass(frozen=True, slots=True)
class Handed:
    """A recipient to be sent to. `is_left`: a dead sender had it, and nobody knows whether it left."""

    id: int
    broadcast_id: int
    customer_id: int
    occasion: str
    step: str
    arm: str
    conversation_id: int
    identity_id: int
    channel: str
    account: str
    chat_id: str
    topic: str
    external_id: str
    attempt: int
    batch: str = ""
    is_left: bool = False


@dataclass(frozen=True)
class Asked:
    """Of which broadcast recipients are asked for, and what holds for it; kept as long as its rules are."""

    broadcast_id: int
    rules: SendRules
    may_leave: MayLeave
    steps: tuple[Step, ...] = ()  # of a journey
    planned: Planned = lambda occasion, step, zone, quiet: None

    @cached_property
    def statement(self) -> Select[Any]:
        """The rules asked again about recipients, with what a send needs."""
        columns: tuple[ColumnElement[Any], ...] = (
            *(_row[name] for name in ("broadcast_id", "customer_id", "occasion", "step", "arm", "attempts")),
            conversations.c.id.label("conversation_id"),
            identities.c.id.label("identity_id"),
            conversations.c.channel,
            conversations.c.account,
            conversations.c.chat_id,
            conversations.c.topic,
            identities.c.external_id,
            customers.c.timezone,
            contact_wishes.c.quiet_from,
            contact_wishes.c.quiet_until,
            _waits_for_replies.label("waits"),
        )
        return (
            rechecked(self.rules, *columns)
            .outerjoin(contact_wishes, contact_wishes.c.customer_id == customers.c.id)
            .where(id_in(_row.id, "ids"))
            .order_by(_row.id)
        )

    @cached_property
    def withdrawn(self) -> Statement:
        """Of recipients those who agree no longer."""
        agree = agreement(
            conversations.c.customer_id, self.rules.purpose, lambda grant: grant.c.channel == conversations.c.channel
        )
        return Statement(
            select(_row.id)
            .join_from(broadcast_recipients, conversations, conversations.c.id == _row.conversation_id)
            .where(id_in(_row.id, "ids"), ~agree)
        )


def withdrawn(conn: Connection, ask: Asked, ids: Sequence[int], now: datetime) -> set[int]:
    """Those of these who took their consent back since they were claimed: asked just before they are called."""
    return {row.id for row in ask.withdrawn.rows(conn, {"ids": sorted(ids), "eligible_now": now})}


@dataclass(frozen=True, slots=True)
class Claim:
    """`looked_at`: due recipients, of which those not handed out were skipped or wait. `is_running` False: of none."""

    handed: tuple[Handed, ...] = ()
    looked_at: int = 0
    is_running: bool = True


def claim(conn: Connection, ask: Asked, sender: str, place: tuple[str, str], *, limit: int, now: datetime) -> Claim:
    """Due recipients of one account are `sending`, unless they may not be sent to any more: those are skipped.

    Whoever is in their quiet hours, or has replies that have not left yet, waits.
    """
    state = conn.execute(select(broadcasts.c.state).where(broadcasts.c.id == ask.broadcast_id)).scalar()
    if state != "running":
        return Claim(is_running=False)
    due = conn.execute(
        _DUE, {"broadcast": ask.broadcast_id, "channel": place[0], "account": place[1], "now": now, "limit": limit}
    )
    ids = list(due.scalars())
    if not ids:
        return Claim()
    changes: Counter[Place] = Counter()
    skipped: dict[tuple[str, str], list[int]] = defaultdict(list)
    later: dict[datetime, list[int]] = defaultdict(list)
    handed: list[Handed] = []
    turned = turned_away(conn, ask.steps, ids, now) if ask.steps else {}
    for row in conn.execute(ask.statement, {**moments(ask.rules, now), "ids": ids}):
        own = (row.quiet_from, row.quiet_until) if row.quiet_from else None
        # Where they are now, which may not be where they were when it was written down.
        planned = ask.planned(row.occasion, row.step, row.timezone, own)
        at = ask.may_leave(max(now, planned or now), row.timezone, own)
        reason = row.reason or turned.get(row.id) or ("quiet_hours" if at is None else "")
        if reason:
            skipped[row.arm, reason].append(row.id)
        elif at is not None and at > now:
            later[at].append(row.id)
        elif row.waits:
            later[now + BEHIND_REPLIES].append(row.id)
        else:
            handed.append(handed_of(row, row.attempts + 1))
    for (arm, reason), rows in skipped.items():
        _set(conn, rows, state="skipped", reason=reason)
        changes[(ask.broadcast_id, arm, "pending", "")] -= len(rows)
        changes[(ask.broadcast_id, arm, "skipped", reason)] += len(rows)
    for at, rows in later.items():
        _set(conn, rows, not_before=at)
    for one in handed:
        moved(changes, ask.broadcast_id, one.arm, ("pending", ""), ("sending", ""))
    lease = {"lease_owner": sender, "lease_until": now + SEND_LEASE}
    _set(conn, [one.id for one in handed], state="sending", attempts=_row.attempts + 1, batch="", **lease)
    add_counts(conn, changes)
    return Claim(tuple(handed), len(ids))


_DUE = (
    select(_row.id)
    .where(
        _row.broadcast_id == bindparam("broadcast"),
        _row.channel == bindparam("channel"),
        _row.account == bindparam("account"),
        is_state(_row.state, "pending"),
        _row.not_before <= bindparam("now", type_=UtcDateTime()),
    )
    .order_by(_row.not_before, _row.id)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
)
_CHANGE = update(broadcast_recipients).where(id_in(_row.id, "ids"))


def _set(conn: Connection, ids: Sequence[int], **values: Any) -> None:
    if ids:
        conn.execute(_CHANGE.values(**values), {"ids": sorted(ids)})


def handed_of(row: Any, attempt: int, *, batch: str = "", is_left: bool = False) -> Handed:
    """A row with its conversation's address, as it is handed to a sender."""
    return Handed(
        id=row.id,
        broadcast_id=row.broadcast_id,
        customer_id=row.customer_id,
        occasion=row.occasion,
        step=row.step,
        arm=row.arm,
        conversation_id=row.conversation_id,
        identity_id=row.identity_id,
        channel=row.channel,
        account=row.account,
        chat_id=row.chat_id,
        topic=row.topic,
        external_id=row.external_id,
        attempt=attempt,
        batch=batch,
        is_left=is_left,
    )


# --- what dead senders left -------------------------------------------------------------------------------------------


def take_over(conn: Connection, sender: str, direct: Sequence[str], limit: int, now: datetime) -> list[Handed]:
    """Recipients whose sender is gone are this one's, to be made `uncertain`; not those of a mass send (batches).

    Where sending is the transaction that stores it (`direct` channels) nothing has left: they are due again.
    """
    over = (
        select(
            *(_row[name] for name in ("id", "broadcast_id", "customer_id", "occasion", "step", "arm")),
            *(_row[name] for name in ("attempts", "batch", "channel", "account", "conversation_id", "identity_id")),
            _talk.c.chat_id,
            _talk.c.topic,
            _them.c.external_id,
        )
        .join_from(broadcast_recipients, _talk, _talk.c.id == _row.conversation_id)
        .join(_them, _them.c.id == _talk.c.identity_id)
        .where(is_state(_row.state, "sending"), _row.lease_until <= now, _row.batch == "")
        .order_by(_row.id)
        .limit(limit)
        .with_for_update(of=broadcast_recipients, skip_locked=True)
    )
    rows = conn.execute(over).all()
    changes: Counter[Place] = Counter()
    unsent = [row for row in rows if row.channel in direct]
    _set(conn, [row.id for row in unsent], state="pending", lease_owner=None, lease_until=None)
    for row in unsent:
        moved(changes, row.broadcast_id, row.arm, ("sending", ""), ("pending", ""))
    add_counts(conn, changes)
    left = [row for row in rows if row.channel not in direct]
    _set(conn, [row.id for row in left], lease_owner=sender, lease_until=now + SEND_LEASE)
    return [handed_of(row, row.attempts, batch=row.batch, is_left=True) for row in left]


def renew(conn: Connection, ids: Sequence[int], sender: str, now: datetime) -> None:
    """The leases of sends that take long begin anew."""
    mine = update(broadcast_recipients).where(
        id_in(_row.id, "ids"), is_state(_row.state, "sending"), _row.lease_owner == sender
    )
    conn.execute(mine.values(lease_until=now + SEND_LEASE), {"ids": sorted(ids)})


def release_dead(conn: Connection, now: datetime) -> int:
    """Sends in flight count as interrupted from now on; how many. Only for a store nobody else works on."""
    interrupted = is_state(_row.state, "sending")
    return conn.execute(update(broadcast_recipients).where(interrupted).values(lease_until=now)).rowcount


def next_due(conn: Connection, broadcast_id: int) -> datetime | None:
    """When the earliest of those that wait may leave; None when nobody waits."""
    waiting = select(func.min(_row.not_before)).where(
        _row.broadcast_id == broadcast_id, is_state(_row.state, "pending")
    )
    return conn.execute(waiting).scalar()


# --- those that nobody will be sent to, and what a person decides -----------------------------------------------------


def skip_pending(conn: Connection, broadcast_id: int, reason: str, limit: int) -> int:
    """So many of those that wait are skipped; how many there were."""
    waiting = (
        select(_row.id, _row.arm)
        .where(_row.broadcast_id == broadcast_id, is_state(_row.state, "pending"))
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = conn.execute(waiting).all()
    _set(conn, [row.id for row in rows], state="skipped", reason=reason)
    changes: Counter[Place] = Counter()
    for row in rows:
        moved(changes, broadcast_id, row.arm, ("pending", ""), ("skipped", reason))
    add_counts(conn, changes)
    return len(rows)


def decide(conn: Connection, broadcast_id: int, ids: Sequence[int] | None, *, again: bool, now: datetime) -> int:
    """Of these `uncertain` recipients (None: of all) a person says: send again, or they count as failed; how many.

    Raises: NotFound for ids that are not of this broadcast, RuleError for one that is not uncertain.
    """
    chosen = select(_row.id, _row.arm, _row.state, _row.reason).where(
        _row.broadcast_id == broadcast_id,
        is_state(_row.state, "uncertain") if ids is None else id_in(_row.id, "ids"),
    )
    parameters: Mapping[str, Any] = {} if ids is None else {"ids": sorted(ids)}
    rows = conn.execute(chosen.order_by(_row.id).with_for_update(), parameters).all()
    if ids is not None and len(rows) < len(set(ids)):
        raise NotFound("some of these are no recipients of this broadcast")
    if wrong := next((row for row in rows if row.state != "uncertain"), None):
        raise RuleError(f"recipient {wrong.id} is {wrong.state}: only an uncertain send needs a decision")
    to = ("pending", "") if again else ("failed", "decided")
    _set(conn, [row.id for row in rows], state=to[0], reason=to[1], not_before=now, lease_owner=None, lease_until=None)
    changes: Counter[Place] = Counter()
    for row in rows:
        moved(changes, broadcast_id, row.arm, (row.state, row.reason), to)
    add_counts(conn, changes)
    return len(rows)
